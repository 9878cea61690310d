//! The direct engine: clients as small state machines on an event loop of the worker's thread; epoll, one read buffer, one
//! timer. No task, channel, future or allocation for each quote. What is said on a connection a [`Dialogue`] knows; this
//! knows no transport. Stages, recorder, ledger and the order of closing are those of the library engine.

use std::{io, sync::Arc};

use tokio::sync::watch;

use crate::worker::{Found, Job, Live, Stage};

mod desk;
mod dialogue;
mod hearing;
mod line;
mod looping;
mod reading;
mod slot;
mod timers;

pub(crate) use desk::Desk;
pub(crate) use dialogue::{Cut, Dialogue, Leave, Turn};

/// What a worker of this engine is given.
pub(crate) struct Setup {
    /// Its part of the trial.
    pub(crate) job: Job,
    /// What the trial asks.
    pub(crate) stage: watch::Receiver<Stage>,
    /// What it shows.
    pub(crate) live: Arc<Live>,
}

/// Runs the worker's clients until the trial says close and they have closed.
///
/// # Errors
/// The system gives no epoll or timer. What goes wrong with clients is counted and noted.
pub(crate) fn run<D: Dialogue>(setup: Setup, dialogue: D) -> io::Result<Found> {
    looping::Looping::new(setup, dialogue)?.run()
}

#[cfg(test)]
mod tests;
