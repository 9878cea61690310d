//! What a run will do, fully resolved: no defaults left open, no file format, no sockets.
//!
//! `scenario` makes a [`Plan`] from a file; the runner takes it from there and never sees the file's types.

use std::{collections::BTreeMap, ops::Range, path::PathBuf, time::Duration};

use measurement::{claim::Claim, gate::Gate, recorder::Phases};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticker::{Engine, FeedSettings, Transport};

pub mod link;
pub mod options;
pub mod peer;
pub mod workload;

pub use link::Link;
pub use options::{
    Carrier, Compression, Deflate, Driver, Encoding, Http, HttpClient, Pace, PollMode, TransportOptions,
};
use peer::Peer;
pub use workload::Workload;
use workload::{Mix, SlowReaders, Storm};

/// What slow readers are given to read what waits for them.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// A run: every variant, `trials` times each.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The scenario's file name without its ending; names the run folder.
    pub name: String,
    /// Path as given.
    pub path: PathBuf,
    /// Title for the report.
    pub title: String,
    /// Why the scenario exists.
    pub why: Option<String>,
    /// What to notice.
    pub notice: Option<String>,
    /// The file's text, secrets redacted.
    #[serde(skip)]
    pub text: String,
    /// Trials of each variant.
    pub trials: u32,
    /// Seed of the order of trials and of the phases of polls.
    pub seed: u64,
    /// True when `--quick` shortened it.
    pub quick: bool,
    /// In the file's order, sweeps unrolled.
    pub variants: Vec<VariantPlan>,
    /// Limits to keep, each of one variant.
    pub gates: Vec<Gate>,
    /// Published figures to be held against the measured ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
}

impl Plan {
    /// Which variants a trial runs at the same time, by their places: each alone, but all of a mix.
    pub fn together(&self) -> Vec<Range<usize>> {
        let all = self.variants.len();
        let is_mixed = self.variants.iter().any(|variant| variant.mix.is_some());
        let each = if is_mixed { all.max(1) } else { 1 };
        (0..all).step_by(each).map(|from| from..from + each).collect()
    }
}

/// One row of the comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VariantPlan {
    /// Unique within the plan.
    pub name: String,
    /// The transport.
    pub kind: Transport,
    /// What is done over it.
    #[serde(default, skip_serializing_if = "Workload::is_ticker")]
    pub workload: Workload,
    /// Which implementation of both sides.
    pub engine: Engine,
    /// What the clients are; with another than native clients `engine` is the server's alone.
    #[serde(default, skip_serializing_if = "Driver::is_native")]
    pub driver: Driver,
    /// The transport's options, defaults filled in.
    pub options: TransportOptions,
    /// The options that the file sets, for the result file.
    pub set: BTreeMap<String, Value>,
    /// Keys of the sweep and this variant's values.
    pub point: BTreeMap<String, Value>,
    /// What the reference server publishes; says nothing of somebody else's.
    pub feed: FeedSettings,
    /// Somebody else's server; without it the reference server is measured.
    pub peer: Option<Peer>,
    /// The emulated network; without it, this machine's loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// All clients connect again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// Some clients do not keep up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<SlowReaders>,
    /// Other transports run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// How clients come and how long they stay.
    pub load: Load,
    /// The name of the header profile: `minimal`, `browser`, `authenticated` or `own`.
    pub header_profile: String,
    /// Request header fields that every request carries besides Host, secrets filled in.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
}

impl VariantPlan {
    /// Whether the clients' bytes come from the server's counters, since a library owns their sockets.
    pub fn counted_by_server(&self) -> bool {
        self.options.client == HttpClient::Pooled
    }

    /// Somebody else's server whose schedule is to be learned; a schedule that clients keep is known.
    pub fn heard(&self) -> Option<&Peer> {
        self.peer.as_ref().filter(|_| !self.workload.clients_publish() && !self.workload.has_rooms())
    }

    /// Somebody else's server with rooms of its own. One that speaks the reference server's protocol has the same rooms.
    pub fn rooms_of_others(&self) -> Option<&Peer> {
        self.peer.as_ref().filter(|peer| peer.say.is_some())
    }

    /// Whether another machine may be measured.
    pub fn is_remote(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.remote)
    }

    /// Text to be shown, without secrets.
    pub fn redact(&self, text: &str) -> String {
        peer::redact(text, self.peer.as_ref().map_or(&[], |peer| peer.secrets.as_slice()))
    }

    /// Whether the scenario says itself where requests come from (RFC 6454 section 7).
    pub fn sets_origin(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.open.headers.iter().any(|(name, _)| name == "origin"))
    }

    /// Connections that all clients may hold at the same time.
    pub fn connections(&self) -> u32 {
        let mut of_each = crate::clients::connections(self.kind, &self.options);
        if self.workload.has_rooms() {
            of_each += crate::clients::chat::connections(self.kind);
        }
        self.load.clients.saturating_mul(of_each)
    }

    /// How clients are spread that publish themselves.
    pub fn phases(&self) -> Option<Phases> {
        let period_ns = (1e9 / self.feed.updates_per_second) as u64;
        self.workload.clients_publish().then_some(Phases { clients: self.load.clients, period_ns })
    }

    /// How long after the window the last quote may still be on its way.
    pub fn drain(&self) -> Duration {
        let begins = self.phases().map_or(0, |phases| phases.period_ns);
        let link = self.link.as_ref().map_or(Duration::ZERO, Link::drain)
            + self.slow.map_or(Duration::ZERO, |_| CATCHING_UP);
        let own = crate::clients::drain(self.kind, &self.options) + Duration::from_nanos(begins) + link;
        own.max(self.mix.map_or(Duration::ZERO, |mix| mix.drain))
    }

    /// Clients that are there at the same time, those of other transports included.
    pub fn all_clients(&self) -> u32 {
        self.mix.map_or(self.load.clients, |mix| mix.clients)
    }

    /// The measure phase, in nanoseconds after t0.
    pub fn window_ns(&self) -> Range<u64> {
        let from = self.load.warmup.as_nanos() as u64;
        from..from + self.load.measure.as_nanos() as u64
    }
}

/// How many processes each side of a trial is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Processes {
    /// As many as the clients' connections need; the generator stays in this process as long as one is enough.
    #[default]
    Auto,
    /// So many of each side, the generator's started fresh for each trial as the server's are.
    Number(u32),
}

/// How clients come and how long they stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Number of clients.
    pub clients: u32,
    /// Symbols that each client wants; all of them if it is as many as the feed has, or more.
    pub symbols_per_client: u32,
    /// Length of the connect ramp.
    #[serde(with = "micros")]
    pub connect_over: Duration,
    /// Discarded time before the window.
    #[serde(with = "micros")]
    pub warmup: Duration,
    /// The window.
    #[serde(with = "micros")]
    pub measure: Duration,
    /// Length of a session, over which handshake bytes are also shown amortised.
    #[serde(with = "micros")]
    pub session: Duration,
    /// Processes of each side.
    pub processes: Processes,
}

mod micros {
    //! Durations in the result file are microseconds, as floats.
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64() * 1e6)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let us = f64::deserialize(deserializer)?;
        // Whole nanoseconds: what was written is a multiple of them.
        let ns = (us * 1e3).round();
        if (0.0..=u64::MAX as f64).contains(&ns) {
            Ok(Duration::from_nanos(ns as u64))
        } else {
            Err(D::Error::custom(format!("{us} is no duration in microseconds")))
        }
    }
}
