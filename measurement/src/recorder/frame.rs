//! What all recorders of a trial share: the schedule, the window, and who wants what from when.

use std::{ops::Range, sync::Arc};

use ticker::{Subscriptions, Timetable};

use crate::staleness::Window;

/// What all recorders of a trial share.
#[derive(Clone)]
pub struct Frame {
    /// The feed's schedule, to beyond the end of the drain.
    pub table: Arc<Timetable>,
    /// The instant from which the schedule's offsets count; `u64::MAX` until it is known.
    pub t0_ns: u64,
    /// The measure phase, in nanoseconds after t0.
    pub window: Window,
    /// Whether the transport leaves out what a newer quote of the symbol replaces.
    pub coalesces: bool,
    /// Whether clients ask on timetables of their own: then each request is an event of its own, while a quote
    /// that is pushed to many at once is one event.
    pub asked: bool,
    /// Which symbols each client wants.
    pub subscriptions: Subscriptions,
    /// Where each client publishes the feed itself: when its own begins.
    pub phases: Option<Phases>,
}

/// Clients that publish the feed themselves begin one after another, so that they do not all speak at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Clients of the trial.
    pub clients: u32,
    /// The time over which they are spread, in nanoseconds.
    pub period_ns: u64,
}

impl Phases {
    /// When client number `client` of the trial begins, in nanoseconds after t0.
    pub fn of(&self, client: u32) -> u64 {
        let share = u128::from(self.period_ns) * u128::from(client) / u128::from(self.clients.max(1));
        share as u64
    }
}

impl Frame {
    /// The sequence numbers due in the window.
    pub fn seqs(&self) -> Range<u64> {
        self.table.due_between(self.window.start, self.window.end)
    }

    /// Whether client number `client` of the trial wants quote `seq`; one beyond the schedule nobody wants.
    #[inline]
    pub(super) fn wants(&self, client: u32, seq: u64) -> bool {
        self.subscriptions.is_all()
            || self.table.symbol(seq).is_some_and(|symbol| self.subscriptions.wants(client, symbol))
    }

    /// How many of `seqs` client number `client` wants.
    pub fn wanted(&self, client: u32, seqs: &Range<u64>) -> u64 {
        let Some(symbols) = self.subscriptions.symbols_of(client) else { return seqs.end - seqs.start };
        let of = |symbol: u32| {
            let of_symbol = self.table.of_symbol(symbol);
            let before = |end: u64| of_symbol.partition_point(|&seq| seq < end);
            (before(seqs.end) - before(seqs.start)) as u64
        };
        symbols.into_iter().map(of).sum()
    }

    /// When the feed of client number `client` of the trial begins, in nanoseconds after t0.
    #[inline]
    pub fn phase(&self, client: u32) -> u64 {
        self.phases.map_or(0, |phases| phases.of(client))
    }

    /// Nanoseconds after t0; 0 for what was before.
    #[inline]
    pub fn offset(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.t0_ns)
    }
}
