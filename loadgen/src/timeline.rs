//! The phases of a trial on the one clock: which phase an instant belongs to, for every worker alike.

use std::cell::{Cell, RefCell};

use measurement::ledger::Phase;

const SECOND_NS: u64 = 1_000_000_000;

/// The instants between phases, in CLOCK_MONOTONIC nanoseconds.
///
/// Before [`Timeline::start`] everything is [`Phase::Connect`]. Phases follow from instants, so bytes and
/// quotes are attributed by when they moved and not by when a message about the phase came round.
#[derive(Debug)]
pub struct Timeline {
    t0_ns: Cell<u64>,
    from_ns: Cell<u64>,
    to_ns: Cell<u64>,
    bytes_by_second: RefCell<Vec<u64>>,
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        let unknown = || Cell::new(u64::MAX);
        Self {
            t0_ns: unknown(),
            from_ns: unknown(),
            to_ns: unknown(),
            bytes_by_second: RefCell::default(),
            received: Cell::default(),
            sent: Cell::default(),
        }
    }
}

impl Timeline {
    /// The feed starts at `t0_ns`; the window is given in nanoseconds after it.
    pub fn start(&self, t0_ns: u64, window: &std::ops::Range<u64>) {
        self.t0_ns.set(t0_ns);
        self.from_ns.set(t0_ns + window.start);
        self.to_ns.set(t0_ns + window.end);
        let seconds = (window.end - window.start).div_ceil(SECOND_NS);
        *self.bytes_by_second.borrow_mut() = vec![0; seconds as usize];
    }

    /// When the feed started; `None` until it has.
    pub fn t0_ns(&self) -> Option<u64> {
        Some(self.t0_ns.get()).filter(|t0_ns| *t0_ns != u64::MAX)
    }

    /// So many bytes came and went at `at_ns`.
    #[inline]
    pub fn moved(&self, at_ns: u64, received: u64, sent: u64) {
        self.received.set(self.received.get() + received);
        self.sent.set(self.sent.get() + sent);
        if let Some(since) = at_ns.checked_sub(self.from_ns.get())
            && let Some(second) = self.bytes_by_second.borrow_mut().get_mut((since / SECOND_NS) as usize)
        {
            *second += received + sent;
        }
    }

    /// Bytes that came and went since the first connection.
    pub fn totals(&self) -> (u64, u64) {
        (self.received.get(), self.sent.get())
    }

    /// Bytes that moved in each second of the window.
    pub fn bytes_by_second(&self) -> Vec<u64> {
        self.bytes_by_second.borrow().clone()
    }

    /// The window ends early.
    pub fn cut(&self, at_ns: u64) {
        self.to_ns.set(at_ns.min(self.to_ns.get()));
    }

    /// The phase of an instant.
    #[inline]
    pub fn phase(&self, at_ns: u64) -> Phase {
        if at_ns >= self.to_ns.get() {
            Phase::Drain
        } else if at_ns >= self.from_ns.get() {
            Phase::Measure
        } else if at_ns >= self.t0_ns.get() {
            Phase::WarmUp
        } else {
            Phase::Connect
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_has_its_phase() {
        let timeline = Timeline::default();
        assert_eq!(timeline.phase(5), Phase::Connect);
        timeline.start(100, &(10..20));
        let check = |at, phase| assert_eq!(timeline.phase(at), phase, "{at}");
        check(99, Phase::Connect);
        check(100, Phase::WarmUp);
        check(110, Phase::Measure);
        check(119, Phase::Measure);
        check(120, Phase::Drain);
        timeline.cut(115);
        assert_eq!(timeline.phase(115), Phase::Drain);
    }
}
