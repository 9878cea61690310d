//! The server of a trial: the reference server, or somebody else's. The trial asks both the same questions.

use std::{io, path::Path, process::ExitStatus, time::Duration};

use measurement::offset::{self, Exchange};
use ticker::{Anchor, clock};

use crate::{
    crew::message::Where,
    endpoint::{Endpoint, EndpointError},
    network::Home,
    plan::VariantPlan,
    process::{self, Cores, Usage},
    syscalls::{Syscalls, Uncounted},
};

mod member;
mod peer;
mod program;
mod reference;

use peer::PeerServer;
pub use program::Program;
use reference::Reference;
pub use reference::{start_message, stats};
use stats::Stats;

/// How long a server may take to end.
const STOP_TIME: Duration = Duration::from_secs(8);

/// What can go wrong with the server.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The process could not be started.
    #[error("failed to start the server: {0}")]
    Spawn(#[source] io::Error),
    /// It said nothing, or something else than expected.
    #[error("failed to start the server: expected {expected}, found {found}")]
    Unexpected {
        /// What was waited for.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// One that was not started here is not there.
    #[error("failed to reach the server: {0}")]
    Unreachable(String),
    /// It ended by itself.
    #[error("the server ended by itself ({status}){said}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The last that it printed.
        said: String,
    },
    /// It could not be told or asked.
    #[error("failed to talk to the server: {0}")]
    Pipe(#[from] io::Error),
    /// Its control endpoints did not answer.
    #[error("failed to ask the server: {0}")]
    Http(#[from] reqwest::Error),
    /// There is nowhere to connect.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// A running server.
pub enum Target {
    /// Ours, fresh.
    Reference(Box<Reference>),
    /// Somebody else's.
    Peer(Box<PeerServer>),
}

impl Target {
    /// Starts or finds the server of variants that run at the same time and waits until it is ready. Somebody else's has one
    /// at a time.
    ///
    /// `program` is the one that serves where the server is ours, in a network of its own if it is given a `home`; what a server of somebody else's prints goes
    /// into a file in `folder`.
    pub async fn start(
        program: &Program,
        variants: &[&VariantPlan],
        (cores, home): (&Cores, Option<Home>),
        folder: Option<&Path>,
    ) -> Result<Self, TargetError> {
        let theirs = variants.iter().find_map(|variant| Some((variant, variant.peer.as_ref()?)));
        match theirs {
            None => Ok(Self::Reference(Box::new(Reference::start(program, variants, (cores, home)).await?))),
            Some((variant, peer)) => {
                Ok(Self::Peer(Box::new(PeerServer::start(variant, peer, cores, folder).await?)))
            }
        }
    }

    /// Where clients connect.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::Reference(reference) => reference.endpoint.clone(),
            Self::Peer(peer) => peer.endpoint.clone(),
        }
    }

    /// Where it is, as another process is told it.
    pub fn place(&self) -> Where {
        match self {
            Self::Reference(reference) => reference.place.clone(),
            Self::Peer(peer) => Where::Peer { port: peer.port, through: None },
        }
    }

    /// Its processes, as far as they are known; of somebody else's the first one.
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::Reference(reference) => reference.pids(),
            Self::Peer(peer) => peer.pid.into_iter().collect(),
        }
    }

    /// Connections that its counters have only because they are asked for.
    pub fn askers(&self) -> u64 {
        match self {
            Self::Reference(reference) => reference.askers(),
            Self::Peer(_) => 0,
        }
    }

    /// What its processes used so far; `None` where no process is known.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Reference(reference) => process::usage_of(reference.pids()),
            Self::Peer(peer) => process::usage_of_tree(peer.pid?),
        }
    }

    /// Counts its system calls from now on.
    pub fn syscalls(&self) -> Result<Syscalls, Uncounted> {
        match self.pids().as_slice() {
            [] => Err(Uncounted::NoProcess),
            pids => Syscalls::of_all(pids),
        }
    }

    /// Tells the server when to publish. Somebody else's publishes as it likes.
    pub async fn publish(
        &mut self,
        anchor: Anchor,
        t0_ns: u64,
        window: &std::ops::Range<u64>,
    ) -> Result<(), TargetError> {
        match self {
            Self::Reference(reference) => reference.publish(start_message(anchor, t0_ns, window)).await,
            Self::Peer(_) => Ok(()),
        }
    }

    /// The server's counters; `None` where it has none that we could read.
    pub async fn stats(&self) -> Option<Stats> {
        match self {
            Self::Reference(reference) => reference.stats().await.ok(),
            Self::Peer(_) => None,
        }
    }

    /// The best of some exchanges with the server's clock, and how many there were. On one host the wall clock is
    /// the exchange, without a way.
    pub async fn exchange(&self) -> Result<(Option<Exchange>, u64), TargetError> {
        match self {
            Self::Reference(_) => Ok((None, 0)),
            Self::Peer(peer) => peer.exchange().await,
        }
    }

    /// Ends when the server does, which it should not do by itself.
    pub async fn ended(&mut self) -> TargetError {
        match self {
            Self::Reference(reference) => reference.ended().await,
            Self::Peer(peer) => peer.ended().await,
        }
    }

    /// Tells the server to stop and waits; one that does not is killed. One that was not started here stays.
    pub async fn stop(self) -> Result<(), TargetError> {
        match self {
            Self::Reference(reference) => reference.stop().await,
            Self::Peer(peer) => peer.stop().await,
        }
    }
}

/// Pairs of readings of which the closest counts: one that was interrupted tells little.
const READINGS: usize = 32;

/// The wall clock against ours, as an exchange without a way.
fn wall_clock() -> Option<Exchange> {
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    let read = || {
        let asked = clock::now_ns();
        let server = clock::unix_ns();
        Exchange { asked_ns: signed(asked), server_ns: signed(server), answered_ns: signed(clock::now_ns()) }
    };
    offset::best(&std::iter::repeat_with(read).take(READINGS).collect::<Vec<_>>())
}
