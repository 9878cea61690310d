//! Planned instants of one event loop: a heap of them and one timerfd, which the loop waits for with its sockets.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

/// What is planned, the earliest first.
pub(super) struct Timers {
    planned: BinaryHeap<Reverse<(u64, u32)>>,
    timer: TimerFd,
    armed_for_ns: u64,
}

impl Timers {
    /// Room for `count` instants; more make it grow.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Self { planned: BinaryHeap::with_capacity(count), timer, armed_for_ns: u64::MAX })
    }

    /// Plans `token` for `due_ns` (CLOCK_MONOTONIC).
    pub(super) fn plan(&mut self, due_ns: u64, token: u32) {
        self.planned.push(Reverse((due_ns, token)));
    }

    /// When the next one is due; `u64::MAX` without one.
    #[inline]
    pub(super) fn next_ns(&self) -> u64 {
        self.planned.peek().map_or(u64::MAX, |Reverse((due_ns, _))| *due_ns)
    }

    /// Takes the next one that is due at `now_ns`, with its instant.
    #[inline]
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<(u64, u32)> {
        if self.next_ns() > now_ns {
            return None;
        }
        self.planned.pop().map(|Reverse(due)| due)
    }

    /// Sets the timer for the next one. It need not be read: setting it again makes it unreadable.
    pub(super) fn arm(&mut self) -> io::Result<()> {
        let due_ns = self.next_ns();
        if due_ns == self.armed_for_ns || due_ns == u64::MAX {
            return Ok(());
        }
        self.armed_for_ns = due_ns;
        // A zero instant would disarm the timer.
        let due_ns = due_ns.max(1);
        let due = TimeSpec::new((due_ns / 1_000_000_000) as i64, (due_ns % 1_000_000_000) as i64);
        self.timer.set(Expiration::OneShot(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        Ok(())
    }
}

impl AsFd for Timers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
