//! Reading slowly on purpose: so many bytes a second, a piece at a time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::time::{Sleep, sleep};

use crate::stream::Stream;

/// Bytes of the kernel's receive buffer that are asked for.
pub(super) const SLOW_BUFFER: usize = 4_096;
/// The same once it hurries.
const ROOM: usize = 4 << 20;
/// Most bytes of one read.
pub(super) const PIECE: usize = 4_096;

/// When the next piece may be read.
#[derive(Debug)]
pub(super) struct Slowness {
    bytes_per_second: u32,
    turn: Pin<Box<Sleep>>,
}

impl Slowness {
    pub(super) fn new(bytes_per_second: u32) -> Self {
        Self { bytes_per_second, turn: Box::pin(sleep(Duration::ZERO)) }
    }

    /// Ready when the next piece may be read.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes_per_second == u32::MAX { Poll::Ready(()) } else { self.turn.as_mut().poll(cx) }
    }

    /// Most bytes of its next read: what a twentieth of a second holds, so that it soon sees when it may hurry.
    pub(super) fn piece(&self) -> usize {
        ((self.bytes_per_second / 20) as usize).clamp(1, PIECE)
    }

    /// From now on it reads what waits, as fast as it comes.
    pub(super) fn hurry(&mut self, stream: &Stream) {
        if self.bytes_per_second != u32::MAX {
            self.bytes_per_second = u32::MAX;
            self.turn = Box::pin(sleep(Duration::ZERO));
            // A failure leaves it slow, which the trial's end does not wait for.
            let _ = SockRef::from(stream.tcp()).set_recv_buffer_size(ROOM);
        }
    }

    /// So many bytes were read: they take their time.
    pub(super) fn read(&mut self, bytes: usize) {
        if self.bytes_per_second != u32::MAX {
            let taken = Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_second));
            self.turn = Box::pin(sleep(taken));
        }
    }
}
