//! When each quote is due: an absolute schedule, seeded, a pure function of its settings.
//!
//! It knows no clock: offsets are nanoseconds after t0, whatever t0 is. Several processes with the same
//! settings therefore publish the identical feed without talking to each other.

use serde::{Deserialize, Serialize};

use crate::{
    quote, random,
    stage::{Stage, Stages},
};

const STREAM_GAPS: u64 = 1;
const STREAM_SYMBOLS: u64 = 2;
const STREAM_PRICES: u64 = 3;
const STREAM_QUANTITIES: u64 = 4;

const LOWEST_CENTS: u64 = 10_000;
const HIGHEST_CENTS: u64 = 99_999;
const LARGEST_STEP_CENTS: u64 = 25;

/// How the due times are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly spaced; the symbols take turns.
    Constant,
    /// A Poisson process over the feed; each quote's symbol is drawn evenly, so each symbol is Poisson too.
    Poisson,
    /// One quote of every symbol at one instant, the instants evenly spaced.
    Burst,
}

impl Arrivals {
    /// Every kind, in the order in which errors list them.
    pub const ALL: [Self; 3] = [Self::Constant, Self::Poisson, Self::Burst];

    /// The name that scenario files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
            Self::Burst => "burst",
        }
    }
}

/// What the reference servers publish (`[feed]` of a scenario).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedSettings {
    /// Number of symbols.
    pub symbols: u32,
    /// Quotes per second over all symbols.
    pub updates_per_second: f64,
    /// How due times are spread.
    pub arrivals: Arrivals,
    /// Length of every encoded quote in bytes.
    pub quote_bytes: u32,
    /// Seed of due times, symbols, prices and quantities.
    pub seed: u64,
    /// Times of another rate, in order and apart from each other; between them it is `updates_per_second`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

/// Settings that cannot make a feed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FeedError {
    /// No symbols, or more than [`quote::MOST_SYMBOLS`].
    #[error("symbols is {0}, expected 1 to {max}", max = quote::MOST_SYMBOLS)]
    Symbols(u32),
    /// A rate that is not a positive number of at most a million.
    #[error("updates_per_second is {0}, expected more than 0 and at most 1000000")]
    Rate(f64),
    /// Too short for the fields, or longer than [`quote::LONGEST_BYTES`].
    #[error("quote_bytes is {0}, expected {min} to {max}", min = quote::SHORTEST_BYTES, max = quote::LONGEST_BYTES)]
    QuoteBytes(u32),
    /// A stage without length, with a rate that none can have, or that begins before the one before it ends.
    #[error(
        "stages has {0}, expected stages in order that last and have rates of more than 0 and at most 1000000"
    )]
    Stage(Stage),
}

impl FeedSettings {
    /// Checks the ranges.
    pub fn check(&self) -> Result<(), FeedError> {
        if !(1..=quote::MOST_SYMBOLS).contains(&self.symbols) {
            return Err(FeedError::Symbols(self.symbols));
        }
        if !(self.updates_per_second > 0.0 && self.updates_per_second <= 1e6) {
            return Err(FeedError::Rate(self.updates_per_second));
        }
        let mut free_ns = 0;
        for stage in &self.stages {
            let ends_ns =
                stage.from_ns.checked_add(stage.lasts_ns).filter(|ends_ns| *ends_ns > stage.from_ns);
            let rates = [stage.from_rate, stage.to_rate].iter().all(|rate| *rate > 0.0 && *rate <= 1e6);
            match ends_ns.filter(|_| rates && stage.from_ns >= free_ns) {
                Some(ends_ns) => free_ns = ends_ns,
                None => return Err(FeedError::Stage(stage.clone())),
            }
        }
        if !(quote::SHORTEST_BYTES..=quote::LONGEST_BYTES).contains(&self.quote_bytes) {
            return Err(FeedError::QuoteBytes(self.quote_bytes));
        }
        Ok(())
    }
}

impl Default for FeedSettings {
    /// The stock ticker of the shipped scenarios.
    fn default() -> Self {
        Self {
            symbols: 8,
            updates_per_second: 10.0,
            arrivals: Arrivals::Poisson,
            quote_bytes: 120,
            seed: 1,
            stages: Vec::new(),
        }
    }
}

/// One planned quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Feed-wide sequence number, from 1.
    pub seq: u64,
    /// Index of the symbol, `0..symbols`.
    pub symbol: u32,
    /// Due time in nanoseconds after t0.
    pub offset_ns: u64,
    /// Price in hundredths; differs from the symbol's price before.
    pub cents: u64,
    /// Quantity, a multiple of 100 from 100 to 900.
    pub quantity: u32,
}

/// The endless schedule of a feed. Offsets never decrease.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: FeedSettings,
    next_seq: u64,
    offset_ns: u64,
    stages: Stages,
    cents: Vec<u64>,
}

impl Schedule {
    /// The schedule of checked settings.
    pub fn new(settings: &FeedSettings) -> Result<Self, FeedError> {
        settings.check()?;
        let opening = |symbol| {
            let span = HIGHEST_CENTS - LOWEST_CENTS + 1;
            LOWEST_CENTS + random::below(settings.seed, STREAM_PRICES, symbol, span)
        };
        Ok(Self {
            settings: settings.clone(),
            next_seq: 1,
            offset_ns: 0,
            stages: Stages::new(settings),
            cents: (0..u64::from(settings.symbols)).map(opening).collect(),
        })
    }

    fn offset_of(&self, seq: u64) -> u64 {
        let gap_ns = 1e9 / self.settings.updates_per_second;
        match self.settings.arrivals {
            // Multiplied from zero, not added up: no rounding drifts in.
            Arrivals::Constant => (seq as f64 * gap_ns).round() as u64,
            Arrivals::Poisson => {
                let gap = -random::unit(self.settings.seed, STREAM_GAPS, seq).ln() * gap_ns;
                self.offset_ns + gap.round() as u64
            }
            Arrivals::Burst => {
                let size = u64::from(self.settings.symbols);
                let burst = (seq - 1) / size + 1;
                ((burst * size) as f64 * gap_ns).round() as u64
            }
        }
    }

    fn symbol_of(&self, seq: u64) -> u32 {
        let symbols = u64::from(self.settings.symbols);
        let symbol = match self.settings.arrivals {
            Arrivals::Constant | Arrivals::Burst => (seq - 1) % symbols,
            Arrivals::Poisson => random::below(self.settings.seed, STREAM_SYMBOLS, seq, symbols),
        };
        u32::try_from(symbol).expect("below the number of symbols, which is a u32")
    }

    /// A step of 1 to [`LARGEST_STEP_CENTS`] up or down, turned round at the ends of the range.
    fn step_price(&mut self, symbol: u32, seq: u64) -> u64 {
        let drawn =
            random::below(self.settings.seed, STREAM_PRICES, u64::MAX / 2 + seq, 2 * LARGEST_STEP_CENTS);
        let (step, up) = (drawn / 2 + 1, drawn.is_multiple_of(2));
        let cents = &mut self.cents[symbol as usize];
        let up = if up { *cents + step <= HIGHEST_CENTS } else { *cents < LOWEST_CENTS + step };
        *cents = if up { *cents + step } else { *cents - step };
        *cents
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.offset_ns = self.offset_of(seq);
        let symbol = self.symbol_of(seq);
        let cents = self.step_price(symbol, seq);
        let quantity = 100 * (1 + random::below(self.settings.seed, STREAM_QUANTITIES, seq, 9) as u32);
        let offset_ns = self.stages.warp(self.offset_ns);
        Some(Due { seq, symbol, offset_ns, cents, quantity })
    }
}

/// The schedule up to a horizon, laid out for look-ups by sequence number and by symbol.
#[derive(Clone, Debug)]
pub struct Timetable {
    offsets_ns: Vec<u64>,
    symbols: Vec<u32>,
    positions: Vec<u32>,
    by_symbol: Vec<Vec<u64>>,
}

impl Timetable {
    /// All quotes due up to `horizon_ns` after t0, and the first one beyond it.
    pub fn new(settings: &FeedSettings, horizon_ns: u64) -> Result<Self, FeedError> {
        let mut table = Self::heard([], settings.symbols);
        for due in Schedule::new(settings)? {
            table.push(due.offset_ns, due.symbol);
            if due.offset_ns > horizon_ns {
                break;
            }
        }
        Ok(table)
    }

    /// A feed that was heard instead of planned: due time and symbol index of each quote, from number 1 on.
    ///
    /// Due times must not decrease.
    pub fn heard(quotes: impl IntoIterator<Item = (u64, u32)>, symbols: u32) -> Self {
        let mut table = Self {
            offsets_ns: Vec::new(),
            symbols: Vec::new(),
            positions: Vec::new(),
            by_symbol: vec![Vec::new(); symbols as usize],
        };
        for (offset_ns, symbol) in quotes {
            table.push(offset_ns, symbol);
        }
        table
    }

    fn push(&mut self, offset_ns: u64, symbol: u32) {
        self.offsets_ns.push(offset_ns);
        self.symbols.push(symbol);
        let of_symbol = &mut self.by_symbol[symbol as usize];
        self.positions.push(of_symbol.len() as u32);
        of_symbol.push(self.offsets_ns.len() as u64);
    }

    /// Due time of quote `seq` in nanoseconds after t0; `None` beyond the horizon or for 0.
    #[inline]
    pub fn offset_ns(&self, seq: u64) -> Option<u64> {
        self.offsets_ns.get((seq as usize).checked_sub(1)?).copied()
    }

    /// Symbol index of quote `seq`; `None` beyond the horizon or for 0.
    #[inline]
    pub fn symbol(&self, seq: u64) -> Option<u32> {
        self.symbols.get((seq as usize).checked_sub(1)?).copied()
    }

    /// Index of quote `seq` within [`Self::of_symbol`]; `None` beyond the horizon or for 0.
    #[inline]
    pub fn position(&self, seq: u64) -> Option<u32> {
        self.positions.get((seq as usize).checked_sub(1)?).copied()
    }

    /// The sequence numbers of one symbol, ascending.
    pub fn of_symbol(&self, symbol: u32) -> &[u64] {
        &self.by_symbol[symbol as usize]
    }

    /// Number of symbols.
    pub fn symbols(&self) -> u32 {
        self.by_symbol.len() as u32
    }

    /// The highest sequence number in the table.
    pub fn last_seq(&self) -> u64 {
        self.offsets_ns.len() as u64
    }

    /// The sequence numbers due in `from_ns..to_ns` (nanoseconds after t0), as a half-open range.
    pub fn due_between(&self, from_ns: u64, to_ns: u64) -> std::ops::Range<u64> {
        let seq_from = |offset_ns| self.offsets_ns.partition_point(|&offset| offset < offset_ns) as u64 + 1;
        seq_from(from_ns)..seq_from(to_ns).max(seq_from(from_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(arrivals: Arrivals) -> FeedSettings {
        FeedSettings { arrivals, updates_per_second: 100.0, ..FeedSettings::default() }
    }

    fn first(settings: &FeedSettings, n: usize) -> Vec<Due> {
        Schedule::new(settings).unwrap().take(n).collect()
    }

    #[test]
    fn the_same_settings_give_the_same_feed_and_another_seed_another_one() {
        for arrivals in Arrivals::ALL {
            let settings = feed(arrivals);
            assert_eq!(first(&settings, 500), first(&settings, 500));
            assert_ne!(first(&settings, 500), first(&FeedSettings { seed: 2, ..settings }, 500));
        }
    }

    #[test]
    fn the_rate_is_kept() {
        for arrivals in Arrivals::ALL {
            let last = first(&feed(arrivals), 20_000).pop().unwrap();
            let seconds = last.offset_ns as f64 / 1e9;
            assert!((seconds - 200.0).abs() < 5.0, "{arrivals:?}: 20,000 quotes took {seconds} s");
        }
    }

    #[test]
    fn the_price_changes_with_every_quote_of_a_symbol_and_stays_six_wide() {
        let mut before = std::collections::HashMap::new();
        for due in first(&FeedSettings { symbols: 2, ..feed(Arrivals::Poisson) }, 200_000) {
            assert!((LOWEST_CENTS..=HIGHEST_CENTS).contains(&due.cents));
            assert_ne!(before.insert(due.symbol, due.cents), Some(due.cents));
        }
    }

    #[test]
    fn a_burst_is_one_quote_of_every_symbol_at_one_instant() {
        let dues = first(&feed(Arrivals::Burst), 24);
        for burst in dues.chunks(8) {
            assert!(burst.iter().all(|due| due.offset_ns == burst[0].offset_ns));
            assert_eq!(burst.iter().map(|due| due.symbol).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
        }
        assert_eq!(dues[8].offset_ns - dues[0].offset_ns, 80_000_000);
    }

    #[test]
    fn poisson_gaps_have_the_spread_of_an_exponential() {
        let dues = first(&feed(Arrivals::Poisson), 50_000);
        let gaps: Vec<f64> = dues.windows(2).map(|w| (w[1].offset_ns - w[0].offset_ns) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = variance.sqrt() / mean;
        assert!((variation - 1.0).abs() < 0.03, "coefficient of variation {variation}");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = FeedSettings::default();
        let error = |settings: FeedSettings| settings.check().unwrap_err().to_string();
        assert!(error(FeedSettings { symbols: 0, ..good.clone() }).starts_with("symbols is 0"));
        assert!(error(FeedSettings { updates_per_second: f64::NAN, ..good.clone() }).contains("NaN"));
        assert!(error(FeedSettings { quote_bytes: 20, ..good }).starts_with("quote_bytes is 20"));
    }

    #[test]
    fn a_timetable_answers_by_sequence_symbol_and_time() {
        let settings = feed(Arrivals::Constant);
        let table = Timetable::new(&settings, 1_000_000_000).unwrap();
        assert_eq!(table.last_seq(), 101);
        assert_eq!(table.offset_ns(1), Some(10_000_000));
        assert_eq!((table.offset_ns(0), table.symbol(102)), (None, None));
        assert_eq!(table.of_symbol(1)[..3], [2, 10, 18]);
        assert_eq!((table.position(10), table.position(2)), (Some(1), Some(0)));
        assert_eq!(table.due_between(20_000_000, 50_000_000), 2..5);
        assert_eq!(table.due_between(50_000_000, 20_000_000), 5..5);
    }
}
