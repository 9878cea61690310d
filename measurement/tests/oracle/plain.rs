//! The definitions of METHODOLOGY.md counted the plain way: sets, and a look at the screen in each millisecond.
//!
//! Slow and obvious on purpose. It shares no code with the recorder.

use std::collections::BTreeSet;

use measurement::recorder::{Counts, Totals};

use super::synthetic::{Feed, MS, Message};

/// One client's counts and delays, from its messages.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) counts: Counts,
    pub(crate) totals: Totals,
    /// Sums of D over deliveries and of S over expected quotes that were shown, and how many of these there are.
    pub(crate) delay_ns: u64,
    pub(crate) reflection_ns: u64,
    pub(crate) reflections: u64,
    pub(crate) screen: Screen,
}

/// What a look in each millisecond adds up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Screen {
    pub(crate) looks: f64,
    pub(crate) wrong: f64,
    pub(crate) age_ns: f64,
    pub(crate) excess_ns: f64,
    pub(crate) lag_ns: f64,
    pub(crate) versions: f64,
    pub(crate) most_versions: u64,
    pub(crate) whole_looks: f64,
    pub(crate) whole_wrong: f64,
    pub(crate) whole_lag_ns: f64,
}

/// A client that had a snapshot up to 0 before the feed began, and then `messages` in order of receipt.
pub(crate) fn count(feed: &Feed, messages: &[Message], coalesces: bool) -> Plain {
    let mut plain = Plain::default();
    let window = feed.in_window();
    let (mut received, mut newest) = (BTreeSet::new(), 0);
    for message in messages {
        if let Some(last) = message.snapshot {
            newest = newest.max(last);
            plain.counts.snapshot += message.quotes.len() as u64;
            continue;
        }
        for quote in &message.quotes {
            let counted = u64::from(window.contains(&quote.seq));
            plain.counts.received_in_window += u64::from(feed.window.contains(&message.at));
            if !received.insert(quote.seq) {
                plain.counts.duplicated += counted;
                continue;
            }
            // The newest itself was not received, but a snapshot covered it: that, too, came before.
            plain.counts.reordered += u64::from(quote.seq <= newest) * counted;
            plain.counts.delivered_once += counted;
            plain.delay_ns += (message.at - feed.due(quote.seq)) * counted;
            newest = newest.max(quote.seq);
        }
    }
    for seq in window {
        plain.totals.expected += 1;
        let shown =
            messages.iter().filter(|message| shows(feed, message, seq)).map(|message| message.at).min();
        plain.reflections += u64::from(shown.is_some());
        plain.reflection_ns += shown.map_or(0, |at| at - feed.due(seq));
        if received.contains(&seq) {
            continue;
        }
        match shown {
            _ if seq > newest => plain.totals.pending += 1,
            Some(_) if coalesces => plain.totals.coalesced += 1,
            Some(_) | None => plain.totals.lost += 1,
        }
    }
    plain.screen = look(feed, messages);
    plain
}

/// Whether the message brings this quote or a newer one of its symbol.
fn shows(feed: &Feed, message: &Message, seq: u64) -> bool {
    let same = |other: u64| other >= seq && feed.table.symbol(other) == feed.table.symbol(seq);
    message.quotes.iter().any(|quote| same(quote.seq))
}

/// Everything happens at whole milliseconds: between two of them figures are constant or straight, so that a look
/// in the middle gives the integral exactly.
fn look(feed: &Feed, messages: &[Message]) -> Screen {
    let mut screen = Screen::default();
    let mut shown: Vec<Option<u64>> = vec![None; feed.table.symbols() as usize];
    let mut messages = messages.iter().peekable();
    for at in (0..feed.window.end).step_by(MS as usize).map(|at| at + MS / 2) {
        while let Some(message) = messages.next_if(|message| message.at <= at) {
            for quote in &message.quotes {
                let symbol = feed.table.symbol(quote.seq).expect("a quote of the feed") as usize;
                shown[symbol] = shown[symbol].max(Some(quote.seq));
            }
        }
        if at < feed.window.start {
            continue;
        }
        let missing = |symbol: usize| {
            let seqs = feed.table.of_symbol(symbol as u32).iter().copied();
            let newer = seqs.filter(|&seq| Some(seq) > shown[symbol]);
            newer.take_while(|&seq| feed.due(seq) <= at).collect::<Vec<_>>()
        };
        let oldest = (0..shown.len()).filter_map(|symbol| missing(symbol).first().copied()).min();
        screen.whole_looks += 1.0;
        screen.whole_wrong += f64::from(u8::from(oldest.is_some()));
        screen.whole_lag_ns += oldest.map_or(0.0, |seq| (at - feed.due(seq)) as f64);
        for (symbol, seq) in shown.iter().enumerate() {
            let Some(seq) = *seq else { continue };
            let missing = missing(symbol);
            let generated = feed.due(seq);
            screen.looks += 1.0;
            screen.wrong += f64::from(u8::from(!missing.is_empty()));
            screen.age_ns += (at - generated) as f64;
            screen.excess_ns += missing.last().map_or(0.0, |&last| (feed.due(last) - generated) as f64);
            screen.lag_ns += missing.first().map_or(0.0, |&first| (at - feed.due(first)) as f64);
            screen.versions += missing.len() as f64;
            screen.most_versions = screen.most_versions.max(missing.len() as u64);
        }
    }
    screen
}

impl Screen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.looks += other.looks;
        self.wrong += other.wrong;
        self.age_ns += other.age_ns;
        self.excess_ns += other.excess_ns;
        self.lag_ns += other.lag_ns;
        self.versions += other.versions;
        self.most_versions = self.most_versions.max(other.most_versions);
        self.whole_looks += other.whole_looks;
        self.whole_wrong += other.whole_wrong;
        self.whole_lag_ns += other.whole_lag_ns;
    }
}
