//! The clients: one file per transport, the same functions in the same order. This file only dispatches.

use std::{io, time::Duration};

use measurement::result::Model;
use ticker::{Engine, Transport};

use crate::{
    direct,
    plan::{Carrier, Http, TransportOptions, Workload},
    scenario::headers::Initiator,
    worker::{Client, ClientError, Found},
};

mod answer;
pub(crate) mod chat;
pub(crate) mod envelope;
mod exchange;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(not(feature = "grpc"))]
#[path = "absent.rs"]
mod grpc;
mod http;
mod long_polling;
pub(crate) mod mapping;
pub(crate) mod message;
mod ndjson;
pub mod page;
mod polling;
mod prepared;
mod publishing;
mod request;
mod response;
mod socketio;
mod sse;
mod streaming;
pub mod verify;
mod websocket;
mod webtransport;

pub use mapping::check_pattern;
pub use page::Page;
pub use websocket::echo;

/// The item of that name in the transport's own file: `of!(kind, KEYS)`, `of!(kind, await run(&client))`.
macro_rules! of {
    ([$kind:expr] [$($item:tt)+] [$($after:tt)*]) => {
        match $kind {
            Transport::Polling => polling::$($item)+ $($after)*,
            Transport::LongPolling => long_polling::$($item)+ $($after)*,
            Transport::Sse => sse::$($item)+ $($after)*,
            Transport::Ndjson => ndjson::$($item)+ $($after)*,
            Transport::WebSocket => websocket::$($item)+ $($after)*,
            Transport::SocketIo => socketio::$($item)+ $($after)*,
            Transport::Grpc => grpc::$($item)+ $($after)*,
            Transport::WebTransport => webtransport::$($item)+ $($after)*,
        }
    };
    ($kind:expr, await $($item:tt)+) => { of!([$kind] [$($item)+] [.await]) };
    ($kind:expr, $($item:tt)+) => { of!([$kind] [$($item)+] []) };
}

/// The cargo feature that the transport needs and this build leaves out.
pub fn left_out(kind: Transport) -> Option<&'static str> {
    of!(kind, FEATURE).filter(|feature| match *feature {
        "grpc" => !cfg!(feature = "grpc"),
        _ => !cfg!(feature = "quic"),
    })
}

/// Scenario keys that this transport takes besides the ones that all take.
pub fn keys(kind: Transport) -> &'static [&'static str] {
    of!(kind, KEYS)
}

/// What can be done over the transport.
pub fn workloads(kind: Transport) -> &'static [Workload] {
    of!(kind, WORKLOADS)
}

/// Versions of HTTP that the transport can be carried by, the default first.
pub fn http(kind: Transport) -> &'static [Http] {
    of!(kind, HTTP)
}

/// What the transport's messages can travel in, the default first; empty where there is no choice.
pub fn carriers(kind: Transport) -> &'static [Carrier] {
    of!(kind, CARRIERS)
}

/// Options that exclude each other.
pub fn conflict(kind: Transport, options: &TransportOptions) -> Option<Conflict> {
    of!(kind, conflict(options))
}

/// Options that exclude each other: what the file writes, and why it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Keys and values.
    pub what: &'static str,
    /// The reason.
    pub why: &'static str,
}

/// The engines that a variant can have.
pub fn engines(kind: Transport, options: &TransportOptions) -> &'static [Engine] {
    if library_only(kind, options).is_some() { &[Engine::Library] } else { &Engine::ALL }
}

/// Why the direct engine does not speak the transport with these options; `None` if it does.
pub fn library_only(kind: Transport, options: &TransportOptions) -> Option<Conflict> {
    of!(kind, library_only(options))
}

/// How a page speaks the transport; `None` if no page of ours does.
pub fn page(kind: Transport) -> Option<Page> {
    of!(kind, PAGE)
}

/// Runs a worker's clients on the direct engine.
pub(crate) fn direct(setup: direct::Setup) -> io::Result<Found> {
    of!(setup.job.variant.kind, direct(setup))
}

/// The direct engine speaks HTTP/1.1 without TLS.
fn not_plain(options: &TransportOptions) -> Option<Conflict> {
    let because = |what| {
        Some(Conflict { what, why: "the direct engine speaks plain HTTP/1.1: leave one of the two out" })
    };
    if options.http != Http::H1 {
        return because("`engine = \"direct\"` and another `http` than \"1.1\"");
    }
    if options.tls { because("`engine = \"direct\"` and `tls = true`") } else { None }
}

/// What transports have in common that only libraries speak.
mod library {
    use std::io;

    use super::Conflict;
    use crate::{direct::Setup, plan::TransportOptions, worker::Found};

    pub(super) fn library_only(_options: &TransportOptions) -> Option<Conflict> {
        let why = "the direct engine does not speak it: leave `engine` out";
        Some(Conflict { what: "`engine = \"direct\"`", why })
    }

    pub(super) fn direct(_setup: Setup) -> io::Result<Found> {
        Err(io::Error::other("the direct engine does not speak this transport"))
    }
}

/// Schemes of a url that the transport is reached by.
pub fn schemes(kind: Transport) -> &'static [&'static str] {
    of!(kind, SCHEMES)
}

/// Keys of `[transport.open]` and `[transport.message]` that mean something to this transport, besides those
/// that do to all.
pub fn peer_keys(kind: Transport) -> &'static [&'static str] {
    of!(kind, PEER_KEYS)
}

/// The name of a variant that has none: the kind and what differs from the defaults.
pub fn label(kind: Transport, options: &TransportOptions) -> String {
    of!(kind, label(options))
}

/// How a page makes the transport's request: it decides the browser's header fields.
pub fn initiator(kind: Transport) -> Initiator {
    of!(kind, INITIATOR)
}

/// Which closed form describes the variant.
pub fn model(kind: Transport, options: &TransportOptions) -> Model {
    of!(kind, model(options))
}

/// How long after the window the last quote may still be on its way.
pub fn drain(kind: Transport, options: &TransportOptions) -> Duration {
    of!(kind, drain(options))
}

/// Whether a quote that a newer one of its symbol replaces is left out by design.
pub fn coalesces(kind: Transport, options: &TransportOptions) -> bool {
    of!(kind, coalesces(options))
}

/// Whether what the network loses stays lost, by design.
pub fn loses(kind: Transport, options: &TransportOptions) -> bool {
    of!(kind, loses(options))
}

/// Connections that one client may hold at the same time.
pub fn connections(kind: Transport, options: &TransportOptions) -> u32 {
    of!(kind, connections(options))
}

/// Whether clients act on a timetable of their own, whose lag is then the generator's.
pub fn acts_on_a_timetable(kind: Transport) -> bool {
    of!(kind, ACTS_ON_A_TIMETABLE)
}

/// Runs one client from its place on the connect ramp to its close, over as many connections as are planned; what goes wrong
/// is counted and noted.
pub async fn run(client: Client) {
    client.ramp().await;
    let mut failures = 0;
    loop {
        let mut stands = false;
        let ran = of!(client.plan().kind, await run(&client, &mut stands));
        failures = if stands { 0 } else { failures + 1 };
        let comes_back = client.before.get() > 0 && client.comes_back(failures).await;
        match ran {
            Ok(()) => {}
            // Where connections are to break, it is no fault that they do.
            Err(_) if comes_back => {}
            Err(error) if stands || client.before.get() > 0 => client.disconnected(&error),
            Err(error) => client.failed(&error),
        }
        if !comes_back {
            return;
        }
    }
}

/// Bytes of one heartbeat of one client, both directions; 0 where a busy feed needs none.
pub fn heartbeat_bytes(kind: Transport) -> u64 {
    of!(kind, HEARTBEAT_BYTES)
}

/// ` h2 tls`: what a name tells of the connection beyond the plain one.
fn connection(options: &TransportOptions) -> String {
    let mut words = String::new();
    if options.http == Http::H2 {
        words.push_str(" h2");
    }
    if options.tls {
        words.push_str(" tls");
    }
    words
}

type Ran = Result<(), ClientError>;
