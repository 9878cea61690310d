//! Reading slowly on purpose: so many bytes a second, a piece at a time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Bytes of the kernel's receive buffer that are asked for.
pub(super) const SLOW_BUFFER: usize = 4_096;
/// Most bytes of one read.
pub(super) const PIECE: usize = 512;

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
        ready!(self.turn.as_mut().poll(cx));
        Poll::Ready(())
    }

    /// So many bytes were read: they take their time.
    pub(super) fn read(&mut self, bytes: usize) {
        let taken = Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_second));
        self.turn = Box::pin(sleep(taken));
    }
}
