//! The one clock: CLOCK_MONOTONIC nanoseconds, anchored once to Unix time. No other module reads time.
//!
//! All processes of a run on one host share this clock, so one-way delays are direct subtractions.

use std::time::Duration;

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use serde::{Deserialize, Serialize};

/// The longest busy wait of [`sleep_until`]; its cost is part of the publisher's reported CPU time.
pub const LONGEST_SPIN: Duration = Duration::from_micros(15);

/// Nanoseconds of CLOCK_MONOTONIC: comparable between processes of one host, untouched by clock steps.
#[inline]
pub fn now_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch. Used to date runs and to make an [`Anchor`], never to measure.
pub fn unix_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_REALTIME)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("clock_gettime takes these two clocks on every Linux and BSD");
    time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs()
}

/// Blocks the thread until `due_ns` (CLOCK_MONOTONIC): an absolute sleep that ends [`LONGEST_SPIN`] early,
/// then a spin. Returns at once when `due_ns` has passed.
///
/// The caller's thread should have its timer slack at 1 ns (Linux defaults to 50 µs).
pub fn sleep_until(due_ns: u64) {
    let wake_ns = due_ns.saturating_sub(LONGEST_SPIN.as_nanos() as u64);
    while now_ns() < wake_ns {
        let request =
            nix::sys::time::TimeSpec::new((wake_ns / 1_000_000_000) as i64, (wake_ns % 1_000_000_000) as i64);
        // A signal may end the sleep early: the loop reads the clock again.
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &request);
    }
    while now_ns() < due_ns {
        std::hint::spin_loop();
    }
}

/// One pair of readings that ties CLOCK_MONOTONIC to Unix time.
///
/// The parent process takes it once and hands it to every process of a run, so that `due` and `sent` of a
/// quote convert back to monotonic time without a second, differing reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Nanoseconds since the Unix epoch at the instant of the anchor.
    pub unix_ns: u64,
    /// CLOCK_MONOTONIC nanoseconds at the same instant.
    pub mono_ns: u64,
}

impl Anchor {
    /// Reads both clocks, the monotonic one before and after, and takes the middle.
    pub fn now() -> Self {
        let before = now_ns();
        let unix_ns = unix_ns();
        let after = now_ns();
        Self { unix_ns, mono_ns: before + (after - before) / 2 }
    }

    /// Unix microseconds (rounded down) of a monotonic instant; a safe integer in JavaScript until 2255.
    pub fn unix_us(&self, mono_ns: u64) -> u64 {
        let unix_ns = i128::from(self.unix_ns) + i128::from(mono_ns) - i128::from(self.mono_ns);
        (unix_ns.max(0) / 1_000) as u64
    }

    /// The monotonic instant, in nanoseconds, of a time in Unix microseconds.
    pub fn mono_ns_of(&self, unix_us: u64) -> u64 {
        let mono_ns = i128::from(unix_us) * 1_000 - i128::from(self.unix_ns) + i128::from(self.mono_ns);
        mono_ns.clamp(0, i128::from(u64::MAX)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_converts_there_and_back_to_the_microsecond() {
        let anchor = Anchor { unix_ns: 1_795_230_683_000_000_000, mono_ns: 5_000_000_000 };
        let check = |mono_ns: u64, unix_us: u64| {
            assert_eq!(anchor.unix_us(mono_ns), unix_us);
            assert!(mono_ns - anchor.mono_ns_of(unix_us) < 1_000);
        };
        check(5_000_000_000, 1_795_230_683_000_000);
        check(5_000_001_999, 1_795_230_683_000_001);
        check(4_000_000_000, 1_795_230_682_000_000);
    }

    #[test]
    fn sleeping_ends_after_the_due_time() {
        let due = now_ns() + 2_000_000;
        sleep_until(due);
        assert!(now_ns() >= due);
        sleep_until(0);
    }
}
