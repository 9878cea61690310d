//! What a parent and its generator processes say to each other: JSON lines over the child's stdin and stdout.
//!
//! The child speaks first ([`Said::Hello`]). Each line of the parent ([`Told`]) is acknowledged by its name; in between the
//! child tells its progress, and after `close`, as its last line, all that it found. The end of stdin ends the child.
//! Types only, and nothing in them that is of one machine: several machines would say the same (docs/processes.md).

use std::{collections::BTreeMap, net::SocketAddr, ops::Range, path::PathBuf};

use measurement::{
    glimpse::Glimpse,
    recorder::{Frame, Parts},
    result::SlowReaders,
    tape::Tape,
    validity::Exhausted,
};
use serde::{Deserialize, Serialize};
use ticker::Anchor;

use crate::{
    endpoint::{Endpoint, EndpointError},
    plan::{
        VariantPlan,
        peer::{Peer, Secret},
    },
    scenario::headers,
    socket::Books,
    worker::{Found, Stage},
};

/// The version of these messages: parent and child must have the same.
pub const PROTOCOL: u32 = 1;

/// A line from the parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Told {
    /// What to do; first, and once.
    Job(Box<JobMessage>),
    /// Begin to connect.
    Connect {
        /// The ramp's beginning in CLOCK_MONOTONIC nanoseconds.
        from_ns: u64,
    },
    /// The feed starts.
    Run {
        /// CLOCK_MONOTONIC nanoseconds.
        t0_ns: u64,
    },
    /// The window ends early.
    Cut {
        /// CLOCK_MONOTONIC nanoseconds.
        at_ns: u64,
    },
    /// Close everything in order and tell what was found.
    Close {},
}

/// Name of a line that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// [`Told::Job`]: the timetable is made.
    Job,
    /// [`Told::Connect`]
    Connect,
    /// [`Told::Run`]
    Run,
    /// [`Told::Cut`]
    Cut,
    /// [`Told::Close`]
    Close,
}

/// A line from the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It is there.
    Hello {
        /// [`PROTOCOL`] as the child knows it.
        protocol: u32,
        /// Its process, for CPU and memory accounting.
        pid: u32,
    },
    /// A line was taken.
    Ack(Taken),
    /// A few times a second, and whenever nothing else is said for that long: silence is a sign of death.
    Progress(Box<Progress>),
    /// Everything, after which it ends.
    Found(Box<FoundMessage>),
    /// It cannot go on, and ends.
    Error(String),
}

/// Live counts of all the child's clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Clients whose stream stands.
    pub connected: u64,
    /// Clients that could not connect.
    pub failed: u64,
    /// Quotes of the window received.
    pub delivered: u64,
    /// Connections lost unexpectedly.
    pub disconnected: u64,
    /// Connections opened again.
    pub reconnected: u64,
    /// Delays and bytes, if somebody watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glimpse: Option<Glimpse>,
}

/// What a generator process is given.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobMessage {
    /// As in the result file. The timetable is a pure function of it.
    pub variant: VariantPlan,
    /// Request header fields, with what the environment filled in.
    pub headers: Vec<(String, String)>,
    /// What the environment fills into the plan's texts.
    pub secrets: Vec<(String, String)>,
    /// Seed of the phases of polls.
    pub seed: u64,
    /// The server.
    pub place: Where,
    /// The network namespace that its clients live in, if it is not the process's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
    /// Numbers of its clients among all of the trial.
    pub clients: Range<u32>,
    /// The run's one pair of clock readings.
    pub anchor: Anchor,
    /// Cores to run on, a thread each; none for one thread anywhere.
    pub cores: Vec<u32>,
    /// Addresses that connections come from.
    pub sources: u32,
    /// Whether progress shows delays and bytes.
    pub watched: bool,
}

impl JobMessage {
    /// A variant on its way, with what its serialised form leaves out.
    pub fn variant(&self) -> VariantPlan {
        let secret =
            |name: &str| self.secrets.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let mut variant = self.variant.clone();
        variant.headers.clone_from(&self.headers);
        if let Some(peer) = &mut variant.peer {
            for text in peer.texts() {
                // A text of an unknown name is one that was plain.
                text.filled = headers::fill(&text.written, &secret).unwrap_or_else(|_| text.written.clone());
            }
            peer.secrets = self.secrets.iter().cloned().map(|(name, value)| Secret { name, value }).collect();
        }
        variant
    }
}

/// Secrets of a variant as pairs.
pub fn secrets(variant: &VariantPlan) -> Vec<(String, String)> {
    let secrets = variant.peer.iter().flat_map(|peer| &peer.secrets);
    secrets.map(|secret| (secret.name.clone(), secret.value.clone())).collect()
}

/// Where a server is, as far as a process must be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Where {
    /// A reference server.
    Reference {
        /// Its address.
        address: SocketAddr,
        /// Certificates to trust for TLS (PEM), of each process that may answer.
        certificate: Option<String>,
        /// Its address for QUIC and the certificate.
        quic: Option<(SocketAddr, String)>,
    },
    /// Somebody else's: the plan's url.
    Peer {
        /// What fills `{port}`.
        port: Option<u16>,
        /// Where clients connect instead of the url's address, where a network is emulated; and the same for QUIC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<(SocketAddr, Option<SocketAddr>)>,
    },
}

impl Where {
    /// The same server by way of other addresses.
    pub fn through(self, via: SocketAddr, via_quic: Option<SocketAddr>) -> Self {
        match self {
            Self::Reference { address: _, certificate, quic } => {
                let quic = quic.map(|(address, pem)| (via_quic.unwrap_or(address), pem));
                Self::Reference { address: via, certificate, quic }
            }
            Self::Peer { port, through: _ } => Self::Peer { port, through: Some((via, via_quic)) },
        }
    }

    /// The endpoint.
    pub async fn endpoint(&self, peer: Option<&Peer>) -> Result<Endpoint, EndpointError> {
        match (self, peer) {
            (Self::Reference { address, certificate, quic }, _) => {
                let endpoint = Endpoint::reference(*address, certificate.as_deref())?;
                match quic {
                    Some((address, pem)) => endpoint.with_quic(*address, pem),
                    None => Ok(endpoint),
                }
            }
            (Self::Peer { port, through }, Some(peer)) => {
                let mut endpoint = Endpoint::of_peer(peer, *port).await?;
                if let Some((address, quic)) = through {
                    endpoint.go_through(*address, *quic);
                }
                Ok(endpoint)
            }
            (Self::Peer { .. }, None) => {
                let cause = "the plan has none".to_owned();
                Err(EndpointError::Url { url: String::new(), cause })
            }
        }
    }
}

/// What a generator process found: [`Found`], with its recording in parts.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundMessage {
    recording: Parts,
    books: Books,
    unsocketed_payload: [u64; 4],
    errors: Vec<String>,
    connected: u64,
    disconnected: u64,
    reconnected: u64,
    tapes: Vec<Tape>,
    exhausted: Exhausted,
    closes: BTreeMap<u16, u64>,
    slow: SlowReaders,
}

impl From<Found> for FoundMessage {
    fn from(found: Found) -> Self {
        let Found {
            recording,
            books,
            unsocketed_payload,
            errors,
            connected,
            disconnected,
            reconnected,
            tapes,
            exhausted,
            closes,
            slow,
            // Browsers are held by the parent.
            page: _,
        } = found;
        let recording = Parts::from(recording);
        Self {
            recording,
            books,
            unsocketed_payload,
            errors,
            connected,
            disconnected,
            reconnected,
            tapes,
            exhausted,
            closes,
            slow,
        }
    }
}

impl FoundMessage {
    /// The findings again, in the trial's frame.
    pub fn in_frame(self, frame: &Frame) -> Found {
        let Self {
            recording,
            books,
            unsocketed_payload,
            errors,
            connected,
            disconnected,
            reconnected,
            tapes,
            exhausted,
            closes,
            slow,
        } = self;
        let recording = recording.in_frame(frame);
        Found {
            recording,
            books,
            unsocketed_payload,
            errors,
            connected,
            disconnected,
            reconnected,
            tapes,
            exhausted,
            closes,
            slow,
            page: None,
        }
    }
}

impl From<Stage> for Told {
    /// Connecting needs an instant: [`Stage::Connect`] says at once.
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Connect => Self::Connect { from_ns: 0 },
            Stage::Run { t0_ns } => Self::Run { t0_ns },
            Stage::Cut { at_ns } => Self::Cut { at_ns },
            Stage::Close => Self::Close {},
        }
    }
}

impl Told {
    /// Its name.
    pub fn name(&self) -> Taken {
        match self {
            Self::Job(_) => Taken::Job,
            Self::Connect { .. } => Taken::Connect,
            Self::Run { .. } => Taken::Run,
            Self::Cut { .. } => Taken::Cut,
            Self::Close {} => Taken::Close,
        }
    }
}

#[cfg(test)]
mod tests;
