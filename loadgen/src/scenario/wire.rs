//! The scenario file as it is written, key by key; every value keeps its position. No defaults, no checks.
//!
//! Plain structs only: flattened and tagged types lose positions.

mod headers;
mod peer;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use ticker::Engine;
use toml::Spanned;

pub(super) use self::{
    headers::Headers,
    peer::{Keepalive, Message, Open, Send, Server},
};
use super::{
    scalar::{AutoOr, One, OneOrMany, Quantity, Time},
    schema,
};
use crate::plan::{
    Carrier, Compression, Deflate, Driver, Encoding, Http, HttpClient, Pace, PollMode,
    link::{Failure, Level, Preset},
};

/// A scenario file.
pub(super) type File = Document<Vec<Spanned<Transport>>>;

/// What one `--set` may hold: the same tables, but `transport.NAME.key`.
pub(super) type Set = Document<BTreeMap<Spanned<String>, Transport>>;

/// A scenario: what is published, who listens, and the ways that are compared.
//
// `T` is how the transports are written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(title = "Scenario", bound = "T: Default")]
pub(super) struct Document<T> {
    /// Heading of the report; the file's name if left out.
    pub(super) title: Option<One<String>>,
    /// Why the scenario exists: the report prints it.
    pub(super) why: Option<One<String>>,
    /// What to look at in the result: the report prints it.
    pub(super) notice: Option<One<String>>,
    #[serde(default)]
    /// What is measured.
    pub(super) workload: Workload,
    #[serde(default)]
    /// What the reference servers publish: the same schedule for every transport.
    pub(super) feed: Feed,
    #[serde(default)]
    /// Who listens, for how long, how often.
    pub(super) load: Load,
    #[serde(default)]
    /// Keys for every transport that takes them and does not set them itself.
    pub(super) defaults: Defaults,
    #[serde(default)]
    /// What is compared: one row of the report each, and one for each value of a sweep.
    #[schemars(with = "Vec<Transport>")]
    pub(super) transport: T,
    /// Lets every server be on another machine. Load only what is yours.
    pub(super) allow_remote: Option<One<bool>>,
    /// An emulated network between client and server; this machine's loopback if left out.
    #[serde(default)]
    pub(super) link: Link,
    /// Limits that figures must keep; one that is broken ends the run with exit code 1.
    #[schemars(with = "Option<Vec<Gate>>")]
    pub(super) gate: Option<Vec<Spanned<Gate>>>,
    /// Stages of the feed, one after another from the beginning of the window.
    #[schemars(with = "Option<Vec<Phase>>")]
    pub(super) phase: Option<Vec<Spanned<Phase>>>,
    /// Published figures, shown beside the measured ones; one that is asserted and does not hold ends the run with exit code 1.
    #[schemars(with = "Option<Vec<Claim>>")]
    pub(super) claim: Option<Vec<Spanned<Claim>>>,
}

/// `[[gate]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Gate {
    /// The variant's name; every variant if left out.
    pub(super) variant: Option<One<String>>,
    /// The metric's dotted name, as `loadgen list metrics` prints it.
    #[schemars(schema_with = "schema::metric")]
    pub(super) metric: Option<One<String>>,
    /// The median over the trials must be less than this.
    pub(super) below: Option<One<Quantity>>,
    /// The median over the trials must be more than this.
    pub(super) above: Option<One<Quantity>>,
    /// Every trial must have exactly this.
    pub(super) equals: Option<One<Quantity>>,
    /// At most so much worse than the baseline that `--baseline` names, as a share.
    pub(super) max_increase: Option<One<Quantity>>,
}

/// `[[claim]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["text", "source", "claimed", "variant", "metric"]))]
pub(super) struct Claim {
    /// What was claimed, in a sentence.
    pub(super) text: Option<One<String>>,
    /// Where it was published.
    pub(super) source: Option<One<String>>,
    /// The published figure in the metric's unit: a number, or text such as "50ms", "12 kB" or "96%".
    #[schemars(schema_with = "schema::claimed")]
    pub(super) claimed: Option<One<Quantity>>,
    /// Whose figure is held against it: a variant's name, of a sweep the full name of one of its points.
    pub(super) variant: Option<One<String>>,
    /// The metric's dotted name, as `loadgen list metrics` prints it.
    #[schemars(schema_with = "schema::metric")]
    pub(super) metric: Option<One<String>>,
    /// Another variant: the figure is the ratio to its figure, a bare number.
    pub(super) over: Option<One<String>>,
    /// Another variant, instead of `over`: the figure is the difference to its figure.
    pub(super) minus: Option<One<String>>,
    /// The measured figure is multiplied by it first, 1 if left out.
    #[schemars(schema_with = "schema::factor")]
    pub(super) factor: Option<One<f64>>,
    /// Printed instead of the metric's unit; `claimed` is then a number in it.
    pub(super) unit: Option<One<String>>,
    /// How far the two may differ, as a share of the published figure; not at all if left out.
    pub(super) tolerance: Option<One<Quantity>>,
    /// On which side of the published figure the measured one may be, `about` if left out.
    #[schemars(schema_with = "schema::bound")]
    pub(super) bound: Option<One<String>>,
    /// `assert` (default): the run fails if it does not hold. `context`: it is shown and not judged.
    #[schemars(schema_with = "schema::judge")]
    pub(super) judge: Option<One<String>>,
    /// Why the two differ or agree: the report prints it.
    pub(super) why: Option<One<String>>,
}

/// `[workload]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Workload {
    /// `ticker` (default): the server publishes to all. `echo`: each client publishes and gets back what it said. `uplink`:
    /// each client publishes and the server acknowledges. `chat`: members of a room publish to each other. `idle`: nothing is
    /// said. `burst`: the rate jumps for a while. `storm`: all clients connect again at once. `slow-reader`: some clients do not
    /// keep up. `mixed`: all transports at the same time against one server.
    #[schemars(schema_with = "schema::workload")]
    pub(super) kind: Option<One<String>>,
    /// burst and storm: when it begins, after the window does; a quarter of the window if left out.
    pub(super) at: Option<One<Time>>,
    /// burst: how long it lasts, "2s" if left out.
    pub(super) lasts: Option<One<Time>>,
    /// burst: how many times the feed's rate, 100 if left out.
    pub(super) factor: Option<One<f64>>,
    /// storm: clients come back evenly drawn over this time, "0s" if left out. A list is a sweep.
    pub(super) jitter: Option<OneOrMany<Time>>,
    /// slow-reader: share of the clients that read slowly, "1%" if left out, at least one.
    #[schemars(schema_with = "schema::share")]
    pub(super) share: Option<One<Quantity>>,
    /// slow-reader: how fast they read, such as "1 kB/s" or "8 kbit/s"; "1 kB/s" if left out.
    #[schemars(schema_with = "schema::bandwidth")]
    pub(super) read: Option<One<String>>,
}

/// `[link]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Link {
    /// A network that many know; the other keys change it.
    #[schemars(schema_with = "schema::words::<Preset>")]
    pub(super) preset: Option<OneOrMany<String>>,
    /// From client to server and back; half of it each way.
    pub(super) rtt: Option<OneOrMany<Time>>,
    /// Up to so much more each way, drawn evenly.
    pub(super) jitter: Option<OneOrMany<Time>>,
    /// Bandwidth from server to client, such as "10 Mbit/s" or "1 MB/s"; as much as comes if left out.
    #[schemars(schema_with = "schema::bandwidth")]
    pub(super) down: Option<OneOrMany<String>>,
    /// Bandwidth from client to server.
    #[schemars(schema_with = "schema::bandwidth")]
    pub(super) up: Option<OneOrMany<String>>,
    /// Share of packets lost, such as "1%"; only where packets are emulated.
    #[schemars(schema_with = "schema::share")]
    pub(super) loss: Option<OneOrMany<Quantity>>,
    /// What is emulated: packets where this machine allows it, else connections; or one of the two.
    #[schemars(schema_with = "schema::words::<Level>")]
    pub(super) level: Option<OneOrMany<String>>,
    /// Failures on a timetable, `[[link.event]]`.
    #[schemars(with = "Option<Vec<LinkEvent>>")]
    pub(super) event: Option<Vec<Spanned<LinkEvent>>>,
}

/// `[[link.event]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct LinkEvent {
    /// When, after the window begins.
    pub(super) at: Option<One<Time>>,
    /// What fails: nothing gets through, or connections are reset.
    #[schemars(schema_with = "schema::words::<Failure>")]
    pub(super) what: Option<One<String>>,
    /// For how long, "1s" if left out.
    pub(super) lasts: Option<One<Time>>,
}

/// `[[phase]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Phase {
    /// How long.
    pub(super) lasts: Option<One<Time>>,
    /// Quotes a second over all symbols, at its end if it is a ramp.
    pub(super) updates_per_second: Option<One<f64>>,
    /// Whether the rate moves there evenly from what it was; false if left out.
    pub(super) ramp: Option<One<bool>>,
}

/// `[feed]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Feed {
    /// Symbols of the feed, 8 if left out.
    #[schemars(schema_with = "schema::symbols")]
    pub(super) symbols: Option<OneOrMany<i128>>,
    /// Quotes a second over all symbols, 10 if left out.
    #[schemars(schema_with = "schema::rate")]
    pub(super) updates_per_second: Option<OneOrMany<f64>>,
    /// How quotes are spread over time, `poisson` if left out.
    #[schemars(schema_with = "schema::arrivals")]
    pub(super) arrivals: Option<OneOrMany<String>>,
    /// Length of a quote as JSON in bytes, 120 if left out.
    #[schemars(schema_with = "schema::quote_bytes")]
    pub(super) quote_bytes: Option<OneOrMany<i128>>,
    /// Seed of the feed and of the order of trials, 1 if left out.
    pub(super) seed: Option<One<i128>>,
}

/// `[load]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Load {
    /// Clients at the same time, 200 if left out. A list is a sweep.
    #[schemars(schema_with = "schema::clients")]
    pub(super) clients: Option<OneOrMany<i128>>,
    /// Symbols that each client wants; all if left out.
    pub(super) symbols_per_client: Option<One<i128>>,
    /// All clients connect evenly spread over this time, "1s" if left out.
    pub(super) connect_over: Option<OneOrMany<Time>>,
    /// Discarded time before the window, "3s" if left out.
    pub(super) warmup: Option<OneOrMany<Time>>,
    /// The window, "100ms" to "1h", "10s" if left out.
    pub(super) measure: Option<OneOrMany<Time>>,
    /// Fresh server processes for each variant, 3 if left out: 3 describe, 10 or more allow comparisons.
    #[schemars(schema_with = "schema::trials")]
    pub(super) trials: Option<One<i128>>,
    /// Length over which handshake bytes are also shown amortised, "10m" if left out.
    pub(super) session: Option<OneOrMany<Time>>,
    /// Processes of each side: "auto", or a number, which also makes the generator's fresh for each trial.
    #[schemars(schema_with = "schema::processes")]
    pub(super) processes: Option<One<AutoOr>>,
    /// What the clients are: code of the load generator, or tabs of a headless Chromium. "native" if left out.
    #[schemars(schema_with = "schema::driver")]
    pub(super) driver: Option<One<String>>,
    /// Request header profile, several to sweep over, or a table of header fields; "browser" if left out. ${NAME} is filled in from the environment.
    pub(super) headers: Option<Headers>,
}

/// `[defaults]`: keys for every transport that does not set them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Defaults {
    /// Which implementation of both sides: the libraries that everybody uses, or code of our own on the hot paths of
    /// plain HTTP/1.1.
    #[schemars(schema_with = "schema::words::<Engine>")]
    pub(super) engine: Option<OneOrMany<String>>,
    /// What the clients are, in the place of `load.driver`.
    #[schemars(schema_with = "schema::words::<Driver>")]
    pub(super) driver: Option<OneOrMany<String>>,
    /// Version of HTTP that carries it, "1.1" if left out and taken.
    #[schemars(schema_with = "schema::words::<Http>")]
    pub(super) http: Option<OneOrMany<String>>,
    /// Whether the connection to the reference server is encrypted. For a `url` its scheme says so.
    pub(super) tls: Option<OneOrMany<bool>>,
    /// Push on the direct engine: how long the server may hold back what is ready, to send more in one write, "100us" to
    /// "1s"; not at all if left out.
    pub(super) coalesce: Option<OneOrMany<Time>>,
    /// Lets this server be on another machine. Load only what is yours.
    pub(super) allow_remote: Option<One<bool>>,
    /// Polling: time between the polls of a client, "1ms" to "10m", "1s" if left out.
    pub(super) interval: Option<OneOrMany<Time>>,
    /// Polling: all quotes since the last one seen, or the newest of each symbol.
    #[schemars(schema_with = "schema::words::<PollMode>")]
    pub(super) mode: Option<OneOrMany<String>>,
    /// Polling: whether an unchanged answer may be a 304 without a body.
    pub(super) conditional: Option<OneOrMany<bool>>,
    /// Polling: one counted connection for each client, or an ordinary pooled client.
    #[schemars(schema_with = "schema::words::<HttpClient>")]
    pub(super) client: Option<OneOrMany<String>>,
    /// Polling: whether polls keep a timetable or wait after each answer.
    #[schemars(schema_with = "schema::words::<Pace>")]
    pub(super) pace: Option<OneOrMany<String>>,
    /// Whether one connection carries many requests.
    pub(super) keep_alive: Option<OneOrMany<bool>>,
    /// Whether answers may be compressed.
    #[schemars(schema_with = "schema::words::<Compression>")]
    pub(super) compression: Option<OneOrMany<String>>,
    /// How quotes are written.
    #[schemars(schema_with = "schema::words::<Encoding>")]
    pub(super) encoding: Option<OneOrMany<String>>,
    /// WebSocket: whether messages are compressed, and whether each builds on those before.
    #[schemars(schema_with = "schema::words::<Deflate>")]
    pub(super) deflate: Option<OneOrMany<String>>,
    /// What the messages travel in, where the transport has a choice.
    #[schemars(schema_with = "schema::words::<Carrier>")]
    pub(super) carrier: Option<OneOrMany<String>>,
}

/// `[[transport]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["kind"]))]
pub(super) struct Transport {
    /// The transport, as `loadgen list transports` names it.
    #[schemars(schema_with = "schema::kind")]
    pub(super) kind: Option<One<String>>,
    /// Heading of the row; what differs from its neighbours if left out. Names are unique.
    pub(super) name: Option<One<String>>,
    /// Which implementation of both sides: the libraries that everybody uses, or code of our own on the hot paths of
    /// plain HTTP/1.1.
    #[schemars(schema_with = "schema::words::<Engine>")]
    pub(super) engine: Option<OneOrMany<String>>,
    /// What the clients are, in the place of `load.driver`.
    #[schemars(schema_with = "schema::words::<Driver>")]
    pub(super) driver: Option<OneOrMany<String>>,
    /// Version of HTTP that carries it, "1.1" if left out and taken.
    #[schemars(schema_with = "schema::words::<Http>")]
    pub(super) http: Option<OneOrMany<String>>,
    /// Whether the connection to the reference server is encrypted. For a `url` its scheme says so.
    pub(super) tls: Option<OneOrMany<bool>>,
    /// Push on the direct engine: how long the server may hold back what is ready, to send more in one write, "100us" to
    /// "1s"; not at all if left out.
    pub(super) coalesce: Option<OneOrMany<Time>>,
    /// Lets this server be on another machine. Load only what is yours.
    pub(super) allow_remote: Option<One<bool>>,
    /// Polling: time between the polls of a client, "1ms" to "10m", "1s" if left out.
    pub(super) interval: Option<OneOrMany<Time>>,
    /// Polling: all quotes since the last one seen, or the newest of each symbol.
    #[schemars(schema_with = "schema::words::<PollMode>")]
    pub(super) mode: Option<OneOrMany<String>>,
    /// Polling: whether an unchanged answer may be a 304 without a body.
    pub(super) conditional: Option<OneOrMany<bool>>,
    /// Polling: one counted connection for each client, or an ordinary pooled client.
    #[schemars(schema_with = "schema::words::<HttpClient>")]
    pub(super) client: Option<OneOrMany<String>>,
    /// Polling: whether polls keep a timetable or wait after each answer.
    #[schemars(schema_with = "schema::words::<Pace>")]
    pub(super) pace: Option<OneOrMany<String>>,
    /// Whether one connection carries many requests.
    pub(super) keep_alive: Option<OneOrMany<bool>>,
    /// Whether answers may be compressed.
    #[schemars(schema_with = "schema::words::<Compression>")]
    pub(super) compression: Option<OneOrMany<String>>,
    /// How quotes are written.
    #[schemars(schema_with = "schema::words::<Encoding>")]
    pub(super) encoding: Option<OneOrMany<String>>,
    /// WebSocket: whether messages are compressed, and whether each builds on those before.
    #[schemars(schema_with = "schema::words::<Deflate>")]
    pub(super) deflate: Option<OneOrMany<String>>,
    /// What the messages travel in, where the transport has a choice.
    #[schemars(schema_with = "schema::words::<Carrier>")]
    pub(super) carrier: Option<OneOrMany<String>>,
    /// mixed: its share of the clients, such as "30%" or 0.3; what the others leave if left out, evenly.
    #[schemars(schema_with = "schema::share")]
    pub(super) share: Option<One<Quantity>>,
    /// Where a server of your own is; without it the reference server is measured. {port} is a free port, {after} in a poll's query the cursor.
    pub(super) url: Option<One<String>>,
    /// Certificate authority to trust instead of the system's, a PEM file.
    pub(super) ca: Option<One<String>>,
    /// How a server of your own is started or watched.
    #[schemars(with = "Server")]
    pub(super) server: Option<Spanned<Server>>,
    /// What is said to a server of your own first.
    #[schemars(with = "Open")]
    pub(super) open: Option<Spanned<Open>>,
    /// Chat: how a member says something to a server of your own.
    #[schemars(with = "Send")]
    pub(super) send: Option<Spanned<Send>>,
    /// How the messages of a server of your own are read.
    #[schemars(with = "Message")]
    pub(super) message: Option<Spanned<Message>>,
}

/// The keys that a table takes, read off its own error about an unknown one: the structs stay the only list.
pub(super) fn keys_of<'de, T: Deserialize<'de>>() -> Vec<String> {
    let error = match toml::from_str::<T>("\"\" = 0") {
        Ok(_) => return Vec::new(),
        Err(error) => error,
    };
    quoted(error.message().split_once(", expected").map_or("", |(_, expected)| expected))
}

/// The words between backticks.
pub(super) fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
