//! A feed learned from what its clients heard: a timetable out of the server's own numbers and times, and the
//! tapes played back against it through the same [`Recorder`] that a planned feed uses.
//!
//! What nobody heard has no time of its own: a hole takes the due time of the update after it.

use std::{collections::HashMap, ops::Range, sync::Arc};

use ticker::Timetable;

use crate::{
    offset::Offset,
    recorder::{Frame, Recorder, Recording},
    tape::{Kind, NO_SYMBOL, NO_TIME, Row, Tape},
};

mod numbering;

use numbering::Numbers;

/// How a feed numbers its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// One counter over all symbols.
    Feed,
    /// One counter for each symbol.
    Symbol,
    /// Not at all.
    None,
}

/// What the messages tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Their numbers.
    pub numbering: Numbering,
    /// Whether they say when an update was made.
    pub times: bool,
    /// Whether they say when it was published, too.
    pub sends: bool,
    /// See [`Frame::coalesces`].
    pub coalesces: bool,
    /// See [`Frame::asked`].
    pub asked: bool,
}

/// How the server's times become ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bridge {
    /// By a known offset.
    Known(Offset),
    /// By nothing: the fastest update is taken for one without delay.
    Fastest,
}

/// A learned feed.
pub struct Learned {
    /// The tapes played back.
    pub recording: Recording,
    /// What can be told, and what not.
    pub knowledge: Knowledge,
    /// The offset that was used.
    pub offset: Offset,
}

/// What a learned feed lets one tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    /// Losses, duplicates and order: there are usable numbers. Otherwise why not.
    pub numbers: Option<String>,
    /// Delays: there are times. Otherwise why not.
    pub delays: Option<String>,
    /// Staleness: every update's symbol and time are known. Otherwise why not.
    pub staleness: Option<String>,
    /// Publisher lag and transit: the server tells due and sent. Otherwise why not.
    pub publication: Option<String>,
    /// Numbers of the window's first and last update, where one counter runs over the feed.
    pub window_sequences: Option<(u64, u64)>,
    /// The step of the server's times in nanoseconds; 0 if it tells none.
    pub resolution_ns: u64,
    /// Updates whose time lies before that of the one before.
    pub backwards: u64,
    /// Clients that stood and heard nothing while others did.
    pub silent: u64,
    /// Messages without an update, and the first of them.
    pub skipped: (u64, Option<String>),
    /// Updates heard over the whole trial.
    pub heard: u64,
}

/// Plays back the tapes of one trial; `window` is in CLOCK_MONOTONIC nanoseconds.
pub fn learn(tapes: &[Tape], rules: Rules, bridge: Bridge, window: Range<u64>) -> Learned {
    let symbols = Symbols::of(tapes);
    let offset = match bridge {
        Bridge::Known(offset) => offset,
        Bridge::Fastest => fastest(tapes),
    };
    let first_at = tapes.iter().flat_map(|tape| tape.connected.iter().flatten()).map(|(from, _)| *from).min();
    // Updates may be older than the trial: all that are count as of the epoch.
    let epoch = first_at.unwrap_or(window.start).min(window.start);
    let times = Times { offset, epoch, told: rules.times };
    let mut knowledge = Knowledge {
        resolution_ns: tapes.iter().filter_map(Tape::step_ns).min().unwrap_or(0),
        heard: tapes.iter().map(Tape::len).sum(),
        skipped: skipped(tapes),
        ..Knowledge::default()
    };
    explain(&mut knowledge, rules);
    let numbers = match rules.numbering {
        Numbering::Feed => numbering::of_feed(tapes, &symbols, times),
        Numbering::Symbol => numbering::of_symbols(tapes, &symbols, times),
        Numbering::None => Err("the messages carry no sequence number".to_owned()),
    };
    let numbers = numbers.unwrap_or_else(|why| {
        knowledge.staleness.get_or_insert_with(|| why.clone());
        knowledge.numbers = Some(why);
        Numbers::default()
    });
    if numbers.unknown_symbols > 0 {
        let why = format!("{} updates reached no client: nobody knows their symbol", numbers.unknown_symbols);
        knowledge.staleness.get_or_insert(why);
    }
    knowledge.backwards = numbers.backwards;
    let frame = Frame {
        table: Arc::new(Timetable::heard(numbers.table.iter().copied(), symbols.count() + 1)),
        t0_ns: epoch,
        window: window.start - epoch..window.end - epoch,
        coalesces: rules.coalesces,
        asked: rules.asked,
        subscriptions: Default::default(),
        phases: None,
    };
    knowledge.window_sequences = numbers.originals(&frame.seqs());
    let player =
        Player { rules, times, symbols: &symbols, numbers: &numbers, numbered: knowledge.numbers.is_none() };
    let recording = player.play(tapes, &frame, &mut knowledge);
    Learned { recording, knowledge, offset }
}

fn explain(knowledge: &mut Knowledge, rules: Rules) {
    if !rules.times {
        let why = "the messages do not say when an update was made".to_owned();
        knowledge.delays = Some(why.clone());
        knowledge.staleness = Some(why.clone());
        knowledge.publication = Some(why);
    } else if !rules.sends {
        knowledge.publication = Some("the messages carry one time, not both due and sent".to_owned());
    }
}

fn skipped(tapes: &[Tape]) -> (u64, Option<String>) {
    let count = tapes.iter().map(|tape| tape.skipped().0).sum();
    (count, tapes.iter().find_map(|tape| tape.skipped().1).map(str::to_owned))
}

/// The clock offset that makes the fastest update one without delay.
fn fastest(tapes: &[Tape]) -> Offset {
    let updates = rows(tapes).filter(|row| row.kind == Kind::Update && row.due_ns != NO_TIME);
    let ahead = updates.map(|row| row.due_ns.saturating_sub(row.at_ns as i64)).max();
    Offset::constant(ahead.unwrap_or(0), 0.0)
}

fn rows(tapes: &[Tape]) -> impl Iterator<Item = &Row> {
    tapes.iter().flat_map(Tape::rows)
}

/// Symbols of all tapes under one numbering.
struct Symbols {
    of_tape: Vec<Vec<u32>>,
    names: usize,
}

impl Symbols {
    fn of(tapes: &[Tape]) -> Self {
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut of_tape = Vec::with_capacity(tapes.len());
        for tape in tapes {
            let numbers = tape.symbols.iter().map(|name| {
                let next = known.len() as u32;
                *known.entry(name).or_insert(next)
            });
            of_tape.push(numbers.collect());
        }
        Self { of_tape, names: known.len() }
    }

    /// Number of symbols; what has none, or an unknown one, is put under the number after them.
    fn count(&self) -> u32 {
        self.names as u32
    }

    fn number(&self, tape: usize, row: &Row) -> u32 {
        if row.symbol == NO_SYMBOL { self.count() } else { self.of_tape[tape][row.symbol as usize] }
    }
}

/// From the server's times to nanoseconds after the epoch.
#[derive(Clone, Copy)]
struct Times {
    offset: Offset,
    epoch: u64,
    told: bool,
}

impl Times {
    /// When the update was due; where no time is told, when it was received.
    fn due(&self, row: &Row) -> u64 {
        let at_ns = if self.told && row.due_ns != NO_TIME { self.ours(row.due_ns) } else { row.at_ns };
        at_ns.saturating_sub(self.epoch)
    }

    /// A server's time on our clock.
    fn ours(&self, server_ns: i64) -> u64 {
        self.offset.ours_ns(server_ns).max(0).unsigned_abs()
    }
}

/// Plays tapes into recorders.
struct Player<'a> {
    rules: Rules,
    times: Times,
    symbols: &'a Symbols,
    numbers: &'a Numbers,
    numbered: bool,
}

impl Player<'_> {
    fn play(&self, tapes: &[Tape], frame: &Frame, knowledge: &mut Knowledge) -> Recording {
        let anything = rows(tapes).next().is_some();
        let mut all: Option<Recording> = None;
        let mut most_of_a_client = 0;
        let mut reordered = 0;
        for (index, tape) in tapes.iter().enumerate() {
            let clients = tape.connected.len();
            let mut recorder = Recorder::new(frame.clone(), clients, index == 0);
            let mut heads = vec![Head::default(); clients];
            for (client, connected) in tape.connected.iter().enumerate() {
                if let Some((from_ns, at_ns)) = connected {
                    recorder.connected(client, *from_ns, *at_ns);
                }
            }
            for row in tape.rows() {
                self.row(&mut recorder, &mut heads, index, row, frame, &mut reordered);
            }
            for (client, head) in heads.iter().enumerate() {
                if let Some(at_ns) = head.open_ns {
                    recorder.batch_end(client, at_ns);
                } else if anything && tape.connected[client].is_some() {
                    knowledge.silent += 1;
                    recorder.snapshot(client, 0, std::iter::empty(), self.times.epoch);
                }
                most_of_a_client = most_of_a_client.max(head.in_window);
            }
            let found = recorder.finish();
            match &mut all {
                None => all = Some(found),
                Some(all) => all.merge(found),
            }
        }
        let mut recording = all.unwrap_or_else(|| Recorder::new(frame.clone(), 0, false).finish());
        if !self.numbered {
            recording.distinct = Some(most_of_a_client);
        }
        if self.rules.numbering == Numbering::Symbol {
            recording.sums.counts.reordered = reordered;
        }
        recording
    }

    fn row(
        &self,
        recorder: &mut Recorder,
        heads: &mut [Head],
        tape: usize,
        row: &Row,
        frame: &Frame,
        reordered: &mut u64,
    ) {
        let client = row.client as usize;
        let head = &mut heads[client];
        if let Some(at_ns) = head.open_ns.replace(row.at_ns).filter(|_| row.begins) {
            recorder.batch_end(client, at_ns);
        }
        let symbol = self.symbols.number(tape, row);
        let due_ns = self.times.epoch + self.times.due(row);
        let in_window = frame.window.contains(&frame.offset(due_ns));
        if !self.numbered {
            if row.kind == Kind::Update {
                recorder.unnumbered(client, due_ns, row.at_ns);
                head.in_window += u64::from(in_window);
            }
            return;
        }
        let id = self.numbers.id(symbol, row.sequence);
        match row.kind {
            Kind::Update => {
                if self.rules.numbering == Numbering::Symbol {
                    *reordered += u64::from(head.late(symbol, row.sequence) && frame.seqs().contains(&id));
                }
                let sent_ns = if row.sent_ns == NO_TIME { due_ns } else { self.times.ours(row.sent_ns) };
                recorder.quote(client, id, sent_ns, row.at_ns);
            }
            Kind::Snapshot => recorder.snapshot_part(client, id, row.at_ns),
            Kind::Cursor => recorder.snapshot(client, id, std::iter::empty(), row.at_ns),
        }
    }
}

/// Where one client's playback stands.
#[derive(Clone, Default)]
struct Head {
    /// The receipt of the message that is being played.
    open_ns: Option<u64>,
    /// The newest number of each symbol.
    newest: HashMap<u32, u64>,
    /// Unnumbered updates due in the window.
    in_window: u64,
}

impl Head {
    /// Whether a newer update of the symbol came before.
    fn late(&mut self, symbol: u32, number: u64) -> bool {
        let newest = self.newest.entry(symbol).or_insert(number);
        let late = number < *newest;
        *newest = number.max(*newest);
        late
    }
}

#[cfg(test)]
mod tests;
