//! From a server's own numbers to places in a timetable: holes filled, times made to rise, huge gaps refused.

use std::{collections::HashMap, ops::Range};

use super::{Symbols, Times};
use crate::tape::{Kind, Row, Tape};

/// Numbers that leave more holes than this for each heard update are no counter.
const HOLES_PER_UPDATE: u64 = 64;
/// What is allowed in any case.
const HOLES: u64 = 100_000;

/// Places in the timetable by the server's numbers.
#[derive(Default)]
pub(super) struct Numbers {
    /// Due offset and symbol of each place, from 1 on.
    pub(super) table: Vec<(u64, u32)>,
    /// Updates that nobody heard after the first one that was: their symbol is unknown.
    pub(super) unknown_symbols: u64,
    /// Updates whose time lies before the one before.
    pub(super) backwards: u64,
    places: Places,
}

enum Places {
    /// Feed-wide: the first number.
    Feed { first: u64 },
    /// By symbol: its first number, and the places from there on.
    Symbols(HashMap<u32, (u64, Vec<u64>)>),
}

impl Default for Places {
    fn default() -> Self {
        Self::Feed { first: 1 }
    }
}

impl Numbers {
    /// The place of a number; of one below the first it is 0.
    pub(super) fn id(&self, symbol: u32, number: u64) -> u64 {
        match &self.places {
            Places::Feed { first } => number.checked_sub(*first).map_or(0, |after| after + 1),
            Places::Symbols(places) => places
                .get(&symbol)
                .and_then(|(first, places)| places.get(number.checked_sub(*first)? as usize))
                .copied()
                .unwrap_or(0),
        }
    }

    /// The server's own numbers of the first and last of some places.
    pub(super) fn originals(&self, places: &Range<u64>) -> Option<(u64, u64)> {
        let first = match &self.places {
            Places::Feed { first } => *first,
            // The one counter of a single symbol is the feed's.
            Places::Symbols(places) if places.len() == 1 => places.values().next()?.0,
            Places::Symbols(_) => return None,
        };
        (!places.is_empty()).then(|| (first + places.start - 1, first + places.end - 2))
    }
}

/// A counter's heard numbers: the lowest, and for each from there on when it was due.
struct Counter {
    first: u64,
    dues: Vec<Option<u64>>,
}

impl Counter {
    fn of(name: &str, numbers: impl Iterator<Item = (u64, u64)> + Clone) -> Result<Self, String> {
        let heard = numbers.clone().count() as u64;
        let first = numbers.clone().map(|(number, _)| number).min().unwrap_or(1);
        let last = numbers.clone().map(|(number, _)| number).max().unwrap_or(0);
        let length = if heard == 0 { 0 } else { (last - first).saturating_add(1) };
        if length > HOLES + heard.saturating_mul(HOLES_PER_UPDATE) {
            return Err(format!(
                "{name} goes from {first} to {last} in {heard} updates: that is not a counter"
            ));
        }
        let mut dues = vec![None; length as usize];
        for (number, due) in numbers {
            let known: &mut Option<u64> = &mut dues[(number - first) as usize];
            *known = Some(known.map_or(due, |known| known.min(due)));
        }
        Ok(Self { first, dues })
    }

    /// Due times without holes and never falling, and how often they fell.
    fn rising(&self) -> (Vec<u64>, u64) {
        let mut filled = vec![0; self.dues.len()];
        let mut after = 0;
        for (slot, due) in filled.iter_mut().zip(&self.dues).rev() {
            after = due.unwrap_or(after);
            *slot = after;
        }
        let (mut highest, mut backwards) = (0, 0);
        for due in &mut filled {
            backwards += u64::from(*due < highest);
            highest = highest.max(*due);
            *due = highest;
        }
        (filled, backwards)
    }
}

fn numbered(tapes: &[Tape]) -> impl Iterator<Item = (usize, &Row)> + Clone {
    let rows = tapes.iter().enumerate().flat_map(|(index, tape)| tape.rows().map(move |row| (index, row)));
    rows.filter(|(_, row)| row.kind != Kind::Cursor)
}

/// One counter over the whole feed.
pub(super) fn of_feed(tapes: &[Tape], symbols: &Symbols, times: Times) -> Result<Numbers, String> {
    let heard = numbered(tapes).map(|(_, row)| (row.sequence, times.due(row)));
    let counter = Counter::of("the sequence number", heard)?;
    let (dues, backwards) = counter.rising();
    let mut of_place = vec![symbols.count(); dues.len()];
    for (tape, row) in numbered(tapes) {
        of_place[(row.sequence - counter.first) as usize] = symbols.number(tape, row);
    }
    let deliveries = numbered(tapes).filter(|(_, row)| row.kind == Kind::Update);
    let first_delivered = deliveries.map(|(_, row)| row.sequence).min().unwrap_or(u64::MAX);
    let from = first_delivered.saturating_sub(counter.first).min(dues.len() as u64) as usize;
    let unknown_symbols = of_place[from..].iter().filter(|&&symbol| symbol == symbols.count()).count() as u64;
    Ok(Numbers {
        table: dues.into_iter().zip(of_place).collect(),
        unknown_symbols,
        backwards,
        places: Places::Feed { first: counter.first },
    })
}

/// One counter for each symbol; places are in the order of due times.
pub(super) fn of_symbols(tapes: &[Tape], symbols: &Symbols, times: Times) -> Result<Numbers, String> {
    let mut heard: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
    for (tape, row) in numbered(tapes) {
        heard.entry(symbols.number(tape, row)).or_default().push((row.sequence, times.due(row)));
    }
    let (mut all, mut backwards, mut firsts) = (Vec::new(), 0, HashMap::new());
    for (symbol, numbers) in heard {
        let counter = Counter::of("a symbol's sequence number", numbers.iter().copied())?;
        let (dues, fell) = counter.rising();
        backwards += fell;
        firsts.insert(symbol, (counter.first, vec![0; dues.len()]));
        all.extend(dues.into_iter().enumerate().map(|(index, due)| (due, symbol, index)));
    }
    all.sort_unstable();
    for (place, (_, symbol, index)) in all.iter().enumerate() {
        if let Some((_, places)) = firsts.get_mut(symbol) {
            places[*index] = place as u64 + 1;
        }
    }
    let table = all.into_iter().map(|(due, symbol, _)| (due, symbol)).collect();
    Ok(Numbers { table, unknown_symbols: 0, backwards, places: Places::Symbols(firsts) })
}
