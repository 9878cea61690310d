//! The clients: one file per transport, the same functions in the same order. This file only dispatches.

use std::time::Duration;

use measurement::result::Model;
use ticker::Transport;

use crate::{
    plan::{Carrier, Http, TransportOptions},
    scenario::headers::Initiator,
    worker::{Client, ClientError},
};

mod envelope;
mod exchange;
mod long_polling;
pub(crate) mod mapping;
pub(crate) mod message;
mod polling;
mod request;
mod sse;
pub mod verify;
mod websocket;
mod webtransport;

pub use mapping::check_pattern;

/// The reference servers' heartbeat period, the same for every transport.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// Scenario keys that this transport takes besides the ones that all take.
pub fn keys(kind: Transport) -> &'static [&'static str] {
    match kind {
        Transport::Polling => polling::KEYS,
        Transport::LongPolling => long_polling::KEYS,
        Transport::Sse => sse::KEYS,
        Transport::WebSocket => websocket::KEYS,
        Transport::WebTransport => webtransport::KEYS,
    }
}

/// Versions of HTTP that the transport can be carried by, the default first.
pub fn http(kind: Transport) -> &'static [Http] {
    match kind {
        Transport::Polling => polling::HTTP,
        Transport::LongPolling => long_polling::HTTP,
        Transport::Sse => sse::HTTP,
        Transport::WebSocket => websocket::HTTP,
        Transport::WebTransport => webtransport::HTTP,
    }
}

/// What the transport's messages can travel in, the default first; empty where there is no choice.
pub fn carriers(kind: Transport) -> &'static [Carrier] {
    match kind {
        Transport::Polling => polling::CARRIERS,
        Transport::LongPolling => long_polling::CARRIERS,
        Transport::Sse => sse::CARRIERS,
        Transport::WebSocket => websocket::CARRIERS,
        Transport::WebTransport => webtransport::CARRIERS,
    }
}

/// Options that exclude each other.
pub fn conflict(kind: Transport, options: &TransportOptions) -> Option<Conflict> {
    match kind {
        Transport::Polling => polling::conflict(options),
        Transport::LongPolling => long_polling::conflict(options),
        Transport::Sse => sse::conflict(options),
        Transport::WebSocket => websocket::conflict(options),
        Transport::WebTransport => webtransport::conflict(options),
    }
}

/// Options that exclude each other: what the file writes, and why it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Keys and values.
    pub what: &'static str,
    /// The reason.
    pub why: &'static str,
}

/// Schemes of a url that the transport is reached by.
pub fn schemes(kind: Transport) -> &'static [&'static str] {
    match kind {
        Transport::Polling => polling::SCHEMES,
        Transport::LongPolling => long_polling::SCHEMES,
        Transport::Sse => sse::SCHEMES,
        Transport::WebSocket => websocket::SCHEMES,
        Transport::WebTransport => webtransport::SCHEMES,
    }
}

/// Keys of `[transport.open]` and `[transport.message]` that mean something to this transport, besides those
/// that do to all.
pub fn peer_keys(kind: Transport) -> &'static [&'static str] {
    match kind {
        Transport::Polling => polling::PEER_KEYS,
        Transport::LongPolling => long_polling::PEER_KEYS,
        Transport::Sse => sse::PEER_KEYS,
        Transport::WebSocket => websocket::PEER_KEYS,
        Transport::WebTransport => webtransport::PEER_KEYS,
    }
}

/// The name of a variant that has none: the kind and what differs from the defaults.
pub fn label(kind: Transport, options: &TransportOptions) -> String {
    match kind {
        Transport::Polling => polling::label(options),
        Transport::LongPolling => long_polling::label(options),
        Transport::Sse => sse::label(options),
        Transport::WebSocket => websocket::label(options),
        Transport::WebTransport => webtransport::label(options),
    }
}

/// How a page makes the transport's request: it decides the browser's header fields.
pub fn initiator(kind: Transport) -> Initiator {
    match kind {
        Transport::Polling => polling::INITIATOR,
        Transport::LongPolling => long_polling::INITIATOR,
        Transport::Sse => sse::INITIATOR,
        Transport::WebSocket => websocket::INITIATOR,
        Transport::WebTransport => webtransport::INITIATOR,
    }
}

/// Which closed form describes the variant.
pub fn model(kind: Transport, options: &TransportOptions) -> Model {
    match kind {
        Transport::Polling => polling::model(options),
        Transport::LongPolling => long_polling::model(options),
        Transport::Sse => sse::model(options),
        Transport::WebSocket => websocket::model(options),
        Transport::WebTransport => webtransport::model(options),
    }
}

/// How long after the window the last quote may still be on its way.
pub fn drain(kind: Transport, options: &TransportOptions) -> Duration {
    match kind {
        Transport::Polling => polling::drain(options),
        Transport::LongPolling => long_polling::drain(options),
        Transport::Sse => sse::drain(options),
        Transport::WebSocket => websocket::drain(options),
        Transport::WebTransport => webtransport::drain(options),
    }
}

/// Whether a quote that a newer one of its symbol replaces is left out by design.
pub fn coalesces(kind: Transport, options: &TransportOptions) -> bool {
    match kind {
        Transport::Polling => polling::coalesces(options),
        Transport::LongPolling => long_polling::coalesces(options),
        Transport::Sse => sse::coalesces(options),
        Transport::WebSocket => websocket::coalesces(options),
        Transport::WebTransport => webtransport::coalesces(options),
    }
}

/// Whether what the network loses stays lost, by design.
pub fn loses(kind: Transport, options: &TransportOptions) -> bool {
    match kind {
        Transport::Polling | Transport::LongPolling | Transport::Sse | Transport::WebSocket => false,
        Transport::WebTransport => webtransport::loses(options),
    }
}

/// The cargo feature that a build has left out, without which the transport cannot be had.
pub fn left_out(kind: Transport) -> Option<&'static str> {
    match kind {
        Transport::Polling | Transport::LongPolling | Transport::Sse | Transport::WebSocket => None,
        Transport::WebTransport => (!cfg!(feature = "quic")).then_some("quic"),
    }
}

/// Whether clients act on a timetable of their own, whose lag is then the generator's.
pub fn acts_on_a_timetable(kind: Transport) -> bool {
    match kind {
        Transport::Polling => polling::ACTS_ON_A_TIMETABLE,
        Transport::LongPolling => long_polling::ACTS_ON_A_TIMETABLE,
        Transport::Sse => sse::ACTS_ON_A_TIMETABLE,
        Transport::WebSocket => websocket::ACTS_ON_A_TIMETABLE,
        Transport::WebTransport => webtransport::ACTS_ON_A_TIMETABLE,
    }
}

/// Runs one client from its place on the connect ramp to its close; what goes wrong is counted and noted.
pub async fn run(client: Client) {
    client.ramp().await;
    let mut stands = false;
    let ran = match client.plan().kind {
        Transport::Polling => polling::run(&client, &mut stands).await,
        Transport::LongPolling => long_polling::run(&client, &mut stands).await,
        Transport::Sse => sse::run(&client, &mut stands).await,
        Transport::WebSocket => websocket::run(&client, &mut stands).await,
        Transport::WebTransport => webtransport::run(&client, &mut stands).await,
    };
    match ran {
        Ok(()) => {}
        Err(error) if stands => client.disconnected(&error),
        Err(error) => client.failed(&error),
    }
}

/// Bytes of one heartbeat of one client, both directions; 0 where a busy feed needs none.
pub fn heartbeat_bytes(kind: Transport) -> u64 {
    match kind {
        Transport::Polling => polling::HEARTBEAT_BYTES,
        Transport::LongPolling => long_polling::HEARTBEAT_BYTES,
        Transport::Sse => sse::HEARTBEAT_BYTES,
        Transport::WebSocket => websocket::HEARTBEAT_BYTES,
        Transport::WebTransport => webtransport::HEARTBEAT_BYTES,
    }
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
