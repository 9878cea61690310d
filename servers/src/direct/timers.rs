//! One deadline for each connection, in a heap that forgets lazily. It knows slots and instants only.

use std::{cmp::Reverse, collections::BinaryHeap};

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;

/// The deadlines of a hub's connections.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

/// A connection's part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// When, in CLOCK_MONOTONIC nanoseconds.
    at_ns: u64,
    /// The earliest entry in the heap.
    armed_ns: u64,
}

impl Default for Deadline {
    fn default() -> Self {
        Self { at_ns: NEVER, armed_ns: NEVER }
    }
}

impl Deadline {
    /// Whether there is none.
    pub(super) fn is_off(&self) -> bool {
        self.at_ns == NEVER
    }
}

impl Timers {
    /// Moves the deadline of `slot`. Putting it off costs nothing.
    pub(super) fn set(&mut self, slot: u32, deadline: &mut Deadline, at_ns: u64) {
        deadline.at_ns = at_ns;
        if at_ns < deadline.armed_ns {
            deadline.armed_ns = at_ns;
            self.heap.push(Reverse((at_ns, slot)));
        }
    }

    /// The next instant at which something may be due.
    pub(super) fn next_ns(&self) -> u64 {
        self.heap.peek().map_or(NEVER, |Reverse((at_ns, _))| *at_ns)
    }

    /// A slot that may be due by `now_ns`, and the entry's instant: to be held against [`Self::is_due`].
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<(u64, u32)> {
        if self.next_ns() > now_ns {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether the deadline has come, given an entry of `slot` for `entry_ns`. One that was put off gets a new entry.
    pub(super) fn is_due(&mut self, slot: u32, deadline: &mut Deadline, entry_ns: u64, now_ns: u64) -> bool {
        // Another connection's of the same slot, or one that an earlier entry took over.
        if deadline.armed_ns != entry_ns {
            return false;
        }
        deadline.armed_ns = NEVER;
        if deadline.at_ns <= now_ns {
            deadline.at_ns = NEVER;
            return true;
        }
        if deadline.at_ns != NEVER {
            self.set(slot, deadline, deadline.at_ns);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots that are due by `now_ns`.
    fn due(timers: &mut Timers, deadlines: &mut [Deadline], now_ns: u64) -> Vec<u32> {
        let mut found = Vec::new();
        while let Some((entry_ns, slot)) = timers.pop(now_ns) {
            if timers.is_due(slot, &mut deadlines[slot as usize], entry_ns, now_ns) {
                found.push(slot);
            }
        }
        found
    }

    #[test]
    fn deadlines_move_both_ways_and_come_once() {
        let mut timers = Timers::default();
        let mut deadlines = [Deadline::default(); 3];
        for (slot, at_ns) in [(0, 10), (1, 20), (2, 30), (0, 25), (2, 5), (1, NEVER)] {
            timers.set(slot, &mut deadlines[slot as usize], at_ns);
        }
        assert_eq!(due(&mut timers, &mut deadlines, 4), [0_u32; 0]);
        assert_eq!(due(&mut timers, &mut deadlines, 9), [2]);
        assert_eq!(due(&mut timers, &mut deadlines, 24), [0_u32; 0]);
        assert_eq!(due(&mut timers, &mut deadlines, 100), [0]);
        assert_eq!(timers.next_ns(), NEVER);
        timers.set(1, &mut deadlines[1], 200);
        assert_eq!(due(&mut timers, &mut deadlines, 200), [1]);
    }
}
