//! Waiting for planned instants: one timerfd for a worker, any number of waiting clients.
//!
//! tokio's timer wheel is a millisecond coarse and would be measured instead of the server.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use ticker::clock;
use tokio::io::{Interest, unix::AsyncFd};

/// Wakes the worker's clients at their planned instants.
pub struct Pacer {
    waiting: RefCell<BinaryHeap<Reverse<Entry>>>,
    armed_for_ns: Cell<u64>,
    timer: AsyncFd<Timer>,
}

struct Entry {
    due_ns: u64,
    waker: Waker,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.due_ns == other.due_ns
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due_ns.cmp(&other.due_ns)
    }
}

impl Pacer {
    /// A pacer for the current runtime; [`Self::drive`] must run beside its users.
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        #[expect(unsafe_code, reason = "tokio wants to be told that the descriptor stays open and the same")]
        // SAFETY: `Timer` owns its timerfd, always answers with that one, and closes it when dropped.
        let timer = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE) }?;
        Ok(Self { waiting: RefCell::default(), armed_for_ns: Cell::new(u64::MAX), timer })
    }

    /// Ends at `due_ns` (CLOCK_MONOTONIC), at once if that has passed.
    pub fn at(self: &Rc<Self>, due_ns: u64) -> At {
        At { pacer: Rc::clone(self), due_ns, queued: false }
    }

    /// Wakes whoever is due, for ever.
    pub async fn drive(self: Rc<Self>) -> io::Result<()> {
        loop {
            let mut guard = self.timer.readable().await?;
            guard.clear_ready();
            // The count of expirations is of no interest, and WouldBlock means that it was re-armed meanwhile.
            let _ = nix::unistd::read(self.timer.get_ref().as_fd(), &mut [0; 8]);
            self.armed_for_ns.set(u64::MAX);
            self.wake_due()?;
        }
    }

    fn wake_due(&self) -> io::Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        let now = clock::now_ns();
        while waiting.peek().is_some_and(|Reverse(entry)| entry.due_ns <= now) {
            if let Some(Reverse(entry)) = waiting.pop() {
                entry.waker.wake();
            }
        }
        match waiting.peek() {
            Some(Reverse(next)) => self.arm(next.due_ns),
            None => Ok(()),
        }
    }

    fn arm(&self, due_ns: u64) -> io::Result<()> {
        if due_ns >= self.armed_for_ns.get() {
            return Ok(());
        }
        self.armed_for_ns.set(due_ns);
        // A zero instant would disarm the timer.
        let due_ns = due_ns.max(1);
        let due = TimeSpec::new((due_ns / 1_000_000_000) as i64, (due_ns % 1_000_000_000) as i64);
        self.timer.get_ref().0.set(Expiration::OneShot(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        Ok(())
    }
}

/// tokio asks for a raw descriptor too, which nix does not give.
struct Timer(TimerFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// The wait for one planned instant.
pub struct At {
    pacer: Rc<Pacer>,
    due_ns: u64,
    queued: bool,
}

impl Future for At {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if clock::now_ns() >= self.due_ns {
            return Poll::Ready(());
        }
        if !self.queued {
            self.queued = true;
            let entry = Entry { due_ns: self.due_ns, waker: cx.waker().clone() };
            self.pacer.waiting.borrow_mut().push(Reverse(entry));
            // A timer that cannot be set is the same failure as one that cannot be read: `drive` ends with it.
            let _ = self.pacer.arm(self.due_ns);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn waits_end_in_order_and_never_early() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let pacer = Rc::new(Pacer::new().unwrap());
                tokio::task::spawn_local(Rc::clone(&pacer).drive());
                let start = clock::now_ns();
                let ended = Rc::new(RefCell::new(Vec::new()));
                let waits: Vec<_> = [5_u64, 1, 3, 0]
                    .into_iter()
                    .map(|ms| {
                        let (pacer, ended) = (Rc::clone(&pacer), Rc::clone(&ended));
                        tokio::task::spawn_local(async move {
                            pacer.at(start + ms * 1_000_000).await;
                            assert!(clock::now_ns() >= start + ms * 1_000_000);
                            ended.borrow_mut().push(ms);
                        })
                    })
                    .collect();
                for wait in waits {
                    wait.await.unwrap();
                }
                assert_eq!(*ended.borrow(), [0, 1, 3, 5]);
            })
            .await;
    }
}
