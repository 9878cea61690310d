//! When a quiet stream has to say something, so that nobody on the way takes it for dead.

use std::{pin::Pin, time::Duration};

use ticker::clock;
use tokio::time::{Sleep, sleep};

/// Ends after a silence. Putting it off costs a look at the clock; the timer itself moves once per period.
pub(super) struct Heartbeat {
    period: Duration,
    quiet_since_ns: u64,
    timer: Pin<Box<Sleep>>,
}

impl Heartbeat {
    /// For a stream that begins now.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, quiet_since_ns: clock::now_ns(), timer: Box::pin(sleep(period)) }
    }

    /// Something was sent.
    pub(super) fn put_off(&mut self) {
        self.quiet_since_ns = clock::now_ns();
    }

    /// Waits until nothing was sent for a period. Safe to drop while it waits.
    pub(super) async fn silence(&mut self) {
        loop {
            self.timer.as_mut().await;
            let quiet = Duration::from_nanos(clock::now_ns() - self.quiet_since_ns);
            let left = self.period.saturating_sub(quiet);
            if left.is_zero() {
                self.timer.set(sleep(self.period));
                return;
            }
            self.timer.set(sleep(left));
        }
    }
}
