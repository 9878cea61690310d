//! Who generates the load of a trial: threads of this process, or processes of their own. The trial sees no difference.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    process::{self, Usage},
    worker::{Found, Job, Live, Stage},
};

mod children;
mod frame;
pub mod message;
pub mod obey;
mod sizes;
mod threads;

pub use children::Children;
pub use frame::frame;
use message::Where;
pub use sizes::{Sizes, share};
pub use threads::Threads;

/// How long processes may take from hearing of the ramp to being ready for it.
const READY_TIME: Duration = Duration::from_millis(200);
const READY_TIME_OF_EACH: Duration = Duration::from_millis(50);

/// What went wrong with a process that generates load.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// The threads.
    #[error("failed to start workers: {0}")]
    Threads(#[source] io::Error),
    /// A worker's own end.
    #[error("a worker failed: {0}")]
    Worker(#[source] io::Error),
    /// A process that could not be started.
    #[error("failed to start a generator process: {0}")]
    Spawn(#[source] io::Error),
    /// A process that said something else, or nothing more.
    #[error("generator process {number} (pid {pid}) {what}")]
    Process {
        /// From 1.
        number: usize,
        /// Its process.
        pid: u32,
        /// What it did.
        what: String,
    },
}

/// The workers of a trial.
pub enum Crew {
    /// In this process.
    Threads(Threads),
    /// In processes of their own.
    Children(Box<Children>),
}

impl Crew {
    /// Starts `sizes.generators` processes, or threads on `cores` for none, for all clients of `job`. Nothing connects before
    /// [`Self::connect`].
    pub async fn start(job: &Job, place: &Where, cores: &[u32], sizes: &Sizes) -> Result<Self, CrewError> {
        if sizes.generators == 0 {
            return Ok(Self::Threads(Threads::new(job, cores)));
        }
        Children::start(job, place, cores, sizes).await.map(Box::new).map(Self::Children)
    }

    /// The connect ramp begins at `from_ns`.
    pub async fn connect(&mut self, from_ns: u64) -> Result<(), CrewError> {
        match self {
            Self::Threads(threads) => threads.connect(from_ns).map_err(CrewError::Threads),
            Self::Children(children) => children.connect(from_ns).await,
        }
    }

    /// How far ahead the ramp must begin, so that all are ready for it.
    pub fn lead(&self) -> Duration {
        match self {
            Self::Threads(_) => Duration::ZERO,
            Self::Children(children) => READY_TIME + READY_TIME_OF_EACH * children.pids().count() as u32,
        }
    }

    /// Announces a stage; all have heard of it when this returns.
    pub async fn announce(&mut self, stage: Stage) -> Result<(), CrewError> {
        match self {
            Self::Threads(threads) => {
                threads.announce(stage);
                Ok(())
            }
            Self::Children(children) => children.announce(stage).await,
        }
    }

    /// Live counts, one for each thread or process.
    pub fn lives(&self) -> &[Arc<Live>] {
        match self {
            Self::Threads(threads) => threads.lives(),
            Self::Children(children) => children.lives(),
        }
    }

    /// Ends when one that should go on does not. Threads never do: their end is found when they are joined.
    pub async fn failed(&mut self) -> CrewError {
        match self {
            Self::Threads(_) => std::future::pending().await,
            Self::Children(children) => children.failed().await,
        }
    }

    /// What all processes that generate load have used, this one and browsers with them; `None` where the system does not tell.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Threads(threads) => {
                let browsers = threads.lives().iter().map(|live| live.browser.load(Ordering::Relaxed));
                process::usage_with(std::process::id(), browsers.filter(|pid| *pid > 0))
            }
            Self::Children(children) => children.usage(),
        }
    }

    /// The same, of before they knew their clients: processes of their own alone can tell it.
    pub fn fresh(&self) -> Option<Usage> {
        match self {
            Self::Threads(_) => None,
            Self::Children(children) => children.fresh(),
        }
    }

    /// How many processes they are.
    pub fn processes(&self) -> u64 {
        match self {
            Self::Threads(_) => 1,
            Self::Children(children) => children.pids().count() as u64,
        }
    }

    /// Waits for all and adds up what they found.
    pub async fn join(self) -> Result<Found, CrewError> {
        match self {
            Self::Threads(threads) => {
                let joined = tokio::task::spawn_blocking(|| threads.join()).await;
                joined.map_err(io::Error::other).flatten().map_err(CrewError::Worker)
            }
            Self::Children(children) => children.join().await,
        }
    }
}
