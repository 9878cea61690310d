//! The result file, `tickertape-result/1`: its types and nothing else. Field names are a contract; more may be added, none renamed.
//!
//! Times are microseconds as floats (`_us`), sizes are bytes. What a machine or a transport cannot tell is
//! null, and [`Trial::unavailable`] says why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claim::ClaimResult;

mod bytes;
mod closing;
mod findings;
mod link;
mod memory;
mod shared;
mod sockets;
mod staleness;

pub use bytes::{Bytes, Counted, Handshake, Kernel, Layers, Quic, QuicEnd, QuicWay, QuicWays, Steady};
pub use closing::Closing;
pub use findings::{Class, Classes, Finding, Severity, Validity, Verdict};
pub use link::LinkModel;
pub use memory::{KernelMemory, ServerMemory};
pub use shared::SharedServer;
pub use sockets::{SocketOptions, Sockets};
pub use staleness::{Age, Mean, PerSymbol, TimeWeighted, VersionLag, WholeScreen};

/// Value of [`RunResult::format`] that this version writes.
pub const FORMAT: &str = "tickertape-result/1";

/// One run: all variants of a scenario with their trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// Name and version of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: String,
    /// Hash over the manifest, the scenario and the start time, in hexadecimal.
    pub id: String,
    /// The command line that made this result.
    pub command: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub finished_at: String,
    /// Whether every planned trial was run to its end.
    pub status: Status,
    /// Why the status is not complete.
    pub partial_reason: Option<String>,
    /// What was asked.
    pub scenario: ScenarioInfo,
    /// Under which conditions.
    pub manifest: Manifest,
    /// What was found, in the scenario's order.
    pub variants: Vec<Variant>,
    /// Published figures that the scenario names, beside the measured ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimResult>,
}

/// How a run or a trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To its planned end.
    #[default]
    Complete,
    /// Stopped before its end; what it holds is real.
    Partial,
    /// Without usable figures.
    Failed,
}

/// The scenario as it was read and resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioInfo {
    /// Path as given on the command line.
    pub path: String,
    /// Title.
    pub title: String,
    /// Why the scenario exists.
    pub why: Option<String>,
    /// What to notice.
    pub notice: Option<String>,
    /// The scenario file, whole, secrets redacted.
    pub text: String,
    /// The resolved plan.
    pub plan: Value,
}

/// Conditions of the run, in three classes of comparability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Differences here make any comparison meaningless.
    pub must_match: BTreeMap<String, Value>,
    /// Differences here make a comparison of times and cost meaningless.
    pub timed_must_match: BTreeMap<String, Value>,
    /// Worth knowing.
    pub recorded: BTreeMap<String, Value>,
}

/// One row of the comparison: a transport with its options at one point of the sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    /// Unique within the run.
    pub name: String,
    /// The transport's name; a label to everything that reads results.
    pub kind: String,
    /// `library` or `direct`.
    pub engine: String,
    /// Options that differ from the defaults, as in the scenario file.
    pub options: BTreeMap<String, Value>,
    /// Keys of the sweep and this variant's values.
    pub point: BTreeMap<String, Value>,
    /// What theory expects of it.
    pub model: Model,
    /// Clients asked for.
    pub clients: u64,
    /// The emulated network; null for this machine's loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkModel>,
    /// In the order in which they were run.
    pub trials: Vec<Trial>,
    /// Dotted metric name -> summary over the trials.
    pub summary: BTreeMap<String, Summary>,
}

/// Which closed form describes a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// Who starts a delivery.
    pub kind: ModelKind,
    /// Poll period in microseconds; null unless `pull`.
    pub period_us: Option<f64>,
    /// Expected mean delivery delay in microseconds, without the one-way delay; null when unknown.
    pub expected_delay_us: Option<f64>,
}

/// Who starts a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// The client asks on a timetable.
    Pull,
    /// The client asks and the server holds the answer.
    Held,
    /// The server sends when there is news.
    #[default]
    Push,
}

/// A figure over all trials of a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Median over the trials that have the figure.
    pub median: f64,
    /// Lower end: the smallest value below 6 trials, else of the 95 % interval of the median.
    pub low: f64,
    /// Upper end, likewise.
    pub high: f64,
    /// Trials that have the figure.
    pub trials: u64,
}

/// One trial: a fresh server process and fresh connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Number of the trial within its variant, from 0.
    pub index: u64,
    /// Position in the whole run, from 0.
    pub order: u64,
    /// How it ended.
    pub status: Status,
    /// Why it failed or is partial.
    pub error: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Length of the measure phase in seconds.
    pub window_s: f64,
    /// What can be trusted.
    pub validity: Validity,
    /// Connections.
    pub clients: Clients,
    /// Counts of updates; quotes are selected by their due time in the window.
    pub updates: Updates,
    /// Whether the feed and the pollers kept their timetable.
    pub schedule: ScheduleReport,
    /// r − g: from the due instant to the receipt.
    pub delivery_delay: Option<Histogram>,
    /// a − g: from the due instant to the publication.
    pub publisher_lag: Option<Histogram>,
    /// r − a: from the publication to the receipt.
    pub transit: Option<Histogram>,
    /// Delay until this or a newer quote of the symbol arrived, over all updates.
    pub reflection_delay: Option<Histogram>,
    /// Between successive messages with updates at one client, over messages received in the window.
    #[serde(default)]
    pub inter_arrival: Option<Histogram>,
    /// Requests: from the planned instant to the whole answer.
    pub response_time: Option<Histogram>,
    /// From the planned instant of a client's action to the action.
    pub action_lag: Option<Histogram>,
    /// Staleness averaged over symbols and clients.
    pub per_symbol: Option<PerSymbol>,
    /// Staleness of "any symbol on the screen is wrong".
    pub whole_screen: Option<WholeScreen>,
    /// Spread of the mean delivery delay over clients.
    pub fairness: Option<Fairness>,
    /// From the first SYN to an established stream (TCP, TLS, upgrade or first answer).
    pub connect: Option<Histogram>,
    /// From the established stream, or t0 if later, to the first update.
    pub first_update: Option<Histogram>,
    /// From an answer to the next question of a client that asks again at once: half of the time in which nobody
    /// can be told anything.
    #[serde(default)]
    pub rearm_gap: Option<Histogram>,
    /// How connections that have a close handshake ended.
    #[serde(default)]
    pub closing: Option<Closing>,
    /// Connections that take an earlier one's place: from the beginning to the established stream.
    #[serde(default)]
    pub reconnect: Option<Histogram>,
    /// Clients that do not keep up by plan; they are in no other count of updates.
    #[serde(default)]
    pub slow_readers: Option<SlowReaders>,
    /// From a connection's planned end, or a fault's, to the first update due after it.
    pub reconnect_to_fresh: Option<Histogram>,
    /// Requests of the measure phase; null for pure push.
    pub requests: Option<Requests>,
    /// Bytes.
    pub bytes: Bytes,
    /// Socket options in force.
    #[serde(default)]
    pub sockets: Sockets,
    /// Variants that ran at the same time against one server; null of one that had it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_server: Option<SharedServer>,
    /// Cost of the server process in the measure phase.
    pub server: Process,
    /// Cost of the load generator in the measure phase.
    pub loadgen: Process,
    /// What the kernel holds for the connections.
    #[serde(default)]
    pub kernel_memory: Option<KernelMemory>,
    /// What the server holds through the trial; null where it does not tell.
    #[serde(default)]
    pub server_memory: Option<ServerMemory>,
    /// The smallest delay this machine can resolve, with the same number of clients.
    pub floor: Option<Histogram>,
    /// How the two ends' clocks were brought together.
    #[serde(default)]
    pub clock: Option<ClockReport>,
    /// One row a second of the measure phase.
    pub series: Vec<SeriesRow>,
    /// One client's receptions in the measure phase, bounded.
    pub trace: Option<Trace>,
    /// Dotted field name -> why it is null.
    pub unavailable: BTreeMap<String, String>,
}

/// How times of the server were made times of the generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockReport {
    /// `same-host`, `endpoint` or `none`; `page` where clients are tabs, whose clocks are put on ours.
    pub kind: String,
    /// Server's Unix time less ours, at the middle of the window.
    pub offset_us: f64,
    /// The largest error of a one-way delay that this can make: half the fastest exchange's round trip, what
    /// the wall clock was moved, or the last digit of `sent_at`, whichever is more.
    pub error_us: f64,
    /// Change of the offset over the trial, in parts per million; null with one set of samples only.
    pub drift_ppm: Option<f64>,
    /// Exchanges made.
    pub samples: u64,
}

/// Connections of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clients {
    /// Asked for.
    pub asked: u64,
    /// Established at the start of the measure phase.
    pub connected: u64,
    /// Lost unexpectedly.
    pub disconnected: u64,
    /// Established again.
    pub reconnected: u64,
}

/// Counts of updates over all clients. `expected = delivered_once + coalesced + lost + pending_at_end`.
///
/// What a feed without sequence numbers cannot tell is null, with its reason in [`Trial::unavailable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Updates {
    /// Updates the server published with a due time in the window.
    pub generated: Option<u64>,
    /// First and last sequence number of these.
    #[serde(default)]
    pub window_sequences: Option<(u64, u64)>,
    /// Sum over clients of the updates due in the window while subscribed.
    pub expected: Option<u64>,
    /// Of these, received at least once.
    pub delivered_once: u64,
    /// Of these, replaced by a newer quote of the same symbol by design.
    pub coalesced: Option<u64>,
    /// Of these, never received though something newer was.
    pub lost: Option<u64>,
    /// Of these, not received when the drain ended, with nothing newer received.
    pub pending_at_end: Option<u64>,
    /// Receptions beyond the first.
    pub duplicated: Option<u64>,
    /// First receptions after a newer quote.
    pub reordered: Option<u64>,
    /// Quotes received in snapshots.
    pub snapshot: u64,
    /// Distinct quotes among the delivered.
    pub distinct: u64,
    /// Receptions at an instant in the window, whenever the quote was due: what bytes and processor time of the
    /// window, which are selected by time too, are divided by.
    pub received_in_window: u64,
}

impl Updates {
    /// Whether every expected update is in exactly one of the four parts; true where nothing is expected.
    pub fn add_up(&self) -> bool {
        let parts = [self.coalesced, self.lost, self.pending_at_end].map(Option::unwrap_or_default);
        self.expected.is_none_or(|expected| expected == self.delivered_once + parts.iter().sum::<u64>())
    }
}

/// Whether the feed and the pollers kept their timetable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleReport {
    /// Quotes a second by the schedule, in the window; of a third party's feed, by its own sequence numbers.
    pub wanted_per_second: f64,
    /// Quotes a second that were published.
    pub achieved_per_second: f64,
    /// Polls due while the one before was still under way; sent late.
    pub late_polls: u64,
    /// Polls never sent.
    pub dropped_polls: u64,
}

/// A distribution of durations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// Samples.
    pub count: u64,
    /// Distinct events behind the samples: quotes for push, polls for polling, messages for echo.
    pub distinct: u64,
    /// Smallest.
    pub min_us: Option<f64>,
    /// Exact mean.
    pub mean_us: Option<f64>,
    /// Median.
    pub p50_us: Option<f64>,
    /// 90th percentile.
    pub p90_us: Option<f64>,
    /// 95th percentile; null without 10 distinct events above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<f64>,
    /// 99th percentile; null without 10 distinct events above it.
    pub p99_us: Option<f64>,
    /// 99.9th percentile; null without 10 distinct events above it.
    pub p999_us: Option<f64>,
    /// Largest.
    pub max_us: Option<f64>,
    /// Percentiles (as `p99`) that noise makes unreliable; they are shown grey.
    pub unresolved: Vec<String>,
    /// The whole histogram in nanoseconds: HdrHistogram V2, compressed, base64.
    pub hdr: String,
}

/// Spread over clients of their mean delivery delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fairness {
    /// Median client.
    pub p50_us: f64,
    /// 99th percentile of the clients; null with too few clients.
    pub p99_us: Option<f64>,
    /// Jain's index (Σx)² / (n Σx²): 1 when all clients are alike.
    pub jain: f64,
}

/// Requests of the measure phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Requests {
    /// Answered.
    pub sent: u64,
    /// Brought at least one new quote.
    pub useful: u64,
    /// Brought none.
    pub empty: u64,
    /// `empty / sent`.
    pub useless_share: f64,
}

/// Clients that read slowly by plan. `expected = received + skipped + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlowReaders {
    /// How many.
    pub clients: u64,
    /// Updates published from their subscription on, over all of them.
    pub expected: u64,
    /// Of these, received one by one.
    pub received: u64,
    /// Of these, left out by the server in favour of a snapshot that was newer, as it said.
    pub skipped: u64,
    /// Of these, not on the way any more when they closed, with nothing newer received.
    pub pending: u64,
    /// Whose connection the server ended.
    pub disconnected: u64,
}

/// Cost of one side in the measure phase: of its process, or of all of them together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// User and system time of all threads.
    pub cpu_seconds: Option<f64>,
    /// Of it, the publisher thread's (server only).
    pub publisher_cpu_seconds: Option<f64>,
    /// `cpu_seconds` per reception in the window, as the other figures per update.
    pub cpu_us_per_update: Option<f64>,
    /// Resident set at the end of the window.
    pub rss_bytes: Option<u64>,
    /// Largest resident set so far.
    pub rss_peak_bytes: Option<u64>,
    /// Growth of the resident set per client, the server's from before the first connection, fresh generator processes' from
    /// before they knew their clients; user memory, the kernel's is apart.
    pub rss_per_client_bytes: Option<f64>,
    /// Voluntary context switches per delivered update.
    pub voluntary_switches_per_update: Option<f64>,
    /// Socket reads and writes per delivered update.
    pub socket_calls_per_update: Option<f64>,
    /// Writes of the window that found a socket's buffer full: backpressure (server only).
    #[serde(default)]
    pub write_stalls: Option<u64>,
    /// Heap allocations per delivered update.
    pub allocations_per_update: Option<f64>,
    /// Bytes of these per delivered update, growth of those that were enlarged included.
    #[serde(default)]
    pub allocated_bytes_per_update: Option<f64>,
    /// System calls of all threads per delivered update.
    #[serde(default)]
    pub syscalls_per_update: Option<f64>,
    /// Time spent runnable but not running, as a share of the window and the cores.
    pub run_delay_share: Option<f64>,
    /// Cores it was pinned to.
    pub cores: Vec<u32>,
    /// Processes that share the work.
    #[serde(default)]
    pub processes: Option<u64>,
}

/// One second of the measure phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesRow {
    /// Start of the second, from the start of the window.
    pub t_s: f64,
    /// Median delivery delay of quotes received in it.
    pub delay_p50_us: Option<f64>,
    /// 99th percentile.
    pub delay_p99_us: Option<f64>,
    /// Largest.
    pub delay_max_us: Option<f64>,
    /// Quotes received in it, over all clients.
    pub delivered: u64,
    /// Bytes both ways in it, over all clients.
    pub bytes: u64,
    /// Largest lag of the generator's own planned actions in it.
    pub lag_us: Option<f64>,
}

/// One client's receptions of one symbol: enough to draw its staleness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// Index of the client.
    pub client: u64,
    /// The symbol's name.
    pub symbol: String,
    /// Due instants of the symbol's quotes, microseconds from the start of the window (negative: before it).
    pub due_us: Vec<f64>,
    /// Receptions in order.
    pub receptions: Vec<Reception>,
}

/// A reception of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reception {
    /// Instant of the receipt, microseconds from the start of the window.
    pub at_us: f64,
    /// Due instant of the quote, microseconds from the start of the window.
    pub due_us: f64,
}
