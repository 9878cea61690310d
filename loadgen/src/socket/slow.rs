//! Reading slowly on purpose: so many bytes a second, a piece at a time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use ticker::clock;
use tokio::time::{Sleep, sleep};

use crate::stream::Stream;

/// Bytes of the kernel's receive buffer that are asked for.
pub(super) const SLOW_BUFFER: usize = 4_096;
/// The same once it hurries.
const ROOM: usize = 4 << 20;
/// Most bytes of one read.
pub(super) const PIECE: usize = 4_096;
/// How long it sleeps at a time, so that it soon sees when it may hurry.
const NAP: Duration = Duration::from_millis(100);

/// When the next piece may be read.
#[derive(Debug)]
pub(super) struct Slowness {
    bytes_per_second: u32,
    free_ns: u64,
    nap: Pin<Box<Sleep>>,
}

impl Slowness {
    pub(super) fn new(bytes_per_second: u32) -> Self {
        Self { bytes_per_second, free_ns: 0, nap: Box::pin(sleep(Duration::ZERO)) }
    }

    /// Ready when the next piece may be read; `may_hurry` is asked after each nap.
    pub(super) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        stream: &Stream,
        may_hurry: impl Fn() -> bool,
    ) -> Poll<()> {
        loop {
            if self.free_ns > 0 && may_hurry() {
                self.hurry(stream);
            }
            let left = Duration::from_nanos(self.free_ns.saturating_sub(clock::now_ns()));
            if left.is_zero() {
                return Poll::Ready(());
            }
            ready!(self.nap.as_mut().poll(cx));
            self.nap = Box::pin(sleep(left.min(NAP)));
        }
    }

    /// From now on it reads what waits, as fast as it comes.
    fn hurry(&mut self, stream: &Stream) {
        self.free_ns = 0;
        if self.bytes_per_second != u32::MAX {
            self.bytes_per_second = u32::MAX;
            // A failure leaves it slow, which the trial's end does not wait for.
            let _ = SockRef::from(stream.tcp()).set_recv_buffer_size(ROOM);
        }
    }

    /// So many bytes were read: they take their time.
    pub(super) fn read(&mut self, bytes: usize) {
        if self.bytes_per_second != u32::MAX {
            let taken_ns = bytes as f64 / f64::from(self.bytes_per_second) * 1e9;
            self.free_ns = clock::now_ns() + taken_ns as u64;
            self.nap = Box::pin(sleep(Duration::ZERO));
        }
    }
}
