//! Waits for instants of CLOCK_MONOTONIC: with a timerfd, since tokio's timers are a millisecond coarse, which would be
//! part of every delay. Where there is none, with tokio's.

use std::time::Duration;

use ticker::clock;
use tokio::time::sleep;

/// A timer, which takes a descriptor when it is first waited for.
#[derive(Default)]
pub(crate) struct Timer {
    #[cfg(target_os = "linux")]
    descriptor: Option<precise::Descriptor>,
}

impl Timer {
    /// Ends at `due_ns`, at once if that has passed. It may be given up, and waited for anew.
    pub(crate) async fn until(&mut self, due_ns: u64) {
        loop {
            let left_ns = due_ns.saturating_sub(clock::now_ns());
            if left_ns == 0 {
                return;
            }
            if !self.has_waited(due_ns).await {
                sleep(Duration::from_nanos(left_ns)).await;
            }
        }
    }

    /// Waits with the descriptor; false without one.
    #[cfg(target_os = "linux")]
    async fn has_waited(&mut self, due_ns: u64) -> bool {
        if self.descriptor.is_none() {
            self.descriptor = precise::Descriptor::open().ok();
        }
        match &self.descriptor {
            Some(descriptor) => descriptor.wait(due_ns).await.is_ok(),
            None => false,
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn has_waited(&mut self, _due_ns: u64) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
mod precise {
    use std::{
        io,
        os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    };

    use nix::sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    };
    use tokio::io::{Interest, unix::AsyncFd};

    pub(super) struct Descriptor(AsyncFd<Inner>);

    impl Descriptor {
        pub(super) fn open() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = Inner(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
            #[expect(
                unsafe_code,
                reason = "tokio wants to be told that the descriptor stays open and the same"
            )]
            // SAFETY: `Inner` owns its timerfd, always answers with that one, and closes it when dropped.
            let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
            Ok(Self(timer))
        }

        /// Ends at `due_ns`, or before if an earlier wait was given up when it was over.
        pub(super) async fn wait(&self, due_ns: u64) -> io::Result<()> {
            let due = TimeSpec::new((due_ns / 1_000_000_000) as i64, (due_ns % 1_000_000_000) as i64);
            // It also takes back an expiration that nobody has read.
            self.0.get_ref().0.set(Expiration::OneShot(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.0.readable().await?.clear_ready();
            Ok(())
        }
    }

    /// tokio asks for a raw descriptor too, which nix does not give.
    struct Inner(TimerFd);

    impl AsFd for Inner {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl AsRawFd for Inner {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn waits_are_never_early_and_may_be_given_up() {
        let mut timer = Timer::default();
        let mut late = Vec::new();
        for n in 0..20 {
            // One that is given up long before it is over, one when it has gone off, and one for what has passed.
            for (given_up_us, rest_us) in [(1_000_000, 0), (10, 200)] {
                tokio::select! {
                    biased;
                    () = timer.until(clock::now_ns() + given_up_us * 1_000) => {}
                    () = tokio::task::yield_now() => {}
                }
                std::thread::sleep(Duration::from_micros(rest_us));
            }
            timer.until(clock::now_ns()).await;
            let due_ns = clock::now_ns() + 1_300_000 + n * 10_000;
            timer.until(due_ns).await;
            let now_ns = clock::now_ns();
            assert!(now_ns >= due_ns);
            late.push((now_ns - due_ns) / 1_000);
        }
        late.sort_unstable();
        println!("late by {late:?} µs");
        // tokio's would be late by half a millisecond and more.
        assert!(cfg!(not(target_os = "linux")) || late[0] < 400, "{late:?}");
    }
}
