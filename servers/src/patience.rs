//! The time limit for request heads: how long a connection may take to say what it wants.
//!
//! hyper's own limit also runs while a kept-alive connection is idle between two requests, which would hang up
//! on every slow poller. This one runs from the first byte of a head (and from connecting to the first head).

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Watches the reads of one connection. Costs a timer only while a head is cut short.
pub(crate) struct Patience {
    limit: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    /// Requests that had been understood when the wait began: one more ends it.
    heads: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// For a connection that was just accepted.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waiting: Some(Waiting { heads: 0, timer: None }) }
    }

    /// Bytes came in; `heads` requests have been understood so far.
    pub(crate) fn bytes_came(&mut self, heads: u64) {
        if self.waiting.as_ref().is_none_or(|waiting| waiting.heads != heads) {
            self.waiting = Some(Waiting { heads, timer: None });
        }
    }

    /// Nothing more to read for now. Ready when a begun head has taken too long.
    pub(crate) fn poll_exhausted(&mut self, heads: u64, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.waiting {
            Some(waiting) if waiting.heads == heads => {
                waiting.timer.get_or_insert_with(|| Box::pin(sleep(self.limit))).as_mut().poll(context)
            }
            Some(_) | None => {
                self.waiting = None;
                Poll::Pending
            }
        }
    }

    /// No heads are expected any more: the connection was upgraded.
    pub(crate) fn end(&mut self) {
        self.waiting = None;
    }
}
