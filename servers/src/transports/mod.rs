//! One file per transport, each with the same function: its routes. Comparing two of them shows what differs
//! on the wire.

mod coding;
#[cfg(feature = "grpc")]
mod grpc;
mod heartbeat;
mod long_polling;
mod ndjson;
mod polling;
pub(crate) mod say;
mod socketio;
mod sse;
mod websocket;
#[cfg(feature = "quic")]
mod webtransport;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use ticker::Transport;

use crate::{
    app::App,
    direct::{Answer, Request, Then},
    page::{Lane, Role},
    selection::Selection,
};

#[cfg(feature = "quic")]
pub(crate) use webtransport::{accept as accept_sessions, open as listen_for_sessions};

/// Where QUIC sessions are asked for.
pub(crate) const SESSIONS: &str = "/webtransport";

/// The routes of `transport`.
pub(crate) fn routes(transport: Transport, app: &Arc<App>) -> Router<Arc<App>> {
    match transport {
        Transport::Polling => polling::routes(),
        Transport::LongPolling => long_polling::routes(),
        Transport::Sse => sse::routes(),
        Transport::Ndjson => ndjson::routes(),
        Transport::WebSocket => websocket::routes(),
        #[cfg(feature = "grpc")]
        Transport::Grpc => grpc::routes(),
        #[cfg(not(feature = "grpc"))]
        Transport::Grpc => Router::new(),
        // A library's service, which wants its state when it is made.
        Transport::SocketIo => socketio::routes(app),
        // Its sessions come over UDP.
        Transport::WebTransport => Router::new(),
    }
}

/// How the teaching page shows it, if browsers speak it.
pub(crate) fn lane(transport: Transport) -> Option<Lane> {
    match transport {
        Transport::Polling | Transport::Sse | Transport::WebSocket => Some(Lane::First),
        Transport::LongPolling | Transport::SocketIo => Some(Lane::More),
        Transport::WebTransport => cfg!(feature = "quic").then_some(Lane::Sessions),
        // A browser has nothing to speak NDJSON's lines or gRPC's frames with but its polling's fetch.
        Transport::Ndjson | Transport::Grpc => None,
    }
}

/// What the teaching page connects to besides its lanes: by name, over which transport, what for.
pub(crate) const EXTRAS: [(&str, Transport, Role); 5] = [
    ("chat-socketio", Transport::SocketIo, Role::Chat),
    ("chat-websocket", Transport::WebSocket, Role::Chat),
    ("echo", Transport::WebSocket, Role::Echo),
    ("spare", Transport::Sse, Role::Spare),
    ("stranger", Transport::WebSocket, Role::Stranger),
];

/// Answers a request of the direct engine. `None` where it has no part in it, or where it would be refused: then the
/// routes answer.
pub(crate) fn direct(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    if reads_from_elsewhere(answer.app, request) {
        return None;
    }
    match request.path {
        "/quotes" => polling::direct(answer, request),
        "/quotes/wait" => long_polling::direct(answer, request),
        "/sse" => sse::direct(answer, request),
        "/ndjson" => ndjson::direct(answer, request),
        "/ws" => websocket::direct(answer, request),
        "/ws/echo" => websocket::direct_echo(answer, request),
        _ => None,
    }
}

/// Whether the settings name this origin.
pub(crate) fn is_allowed(app: &App, origin: &[u8]) -> bool {
    app.settings.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin)
}

/// Whether a page of an allowed origin asks: that it may read is said by the routes.
fn reads_from_elsewhere(app: &App, request: &Request<'_>) -> bool {
    let asks = |(name, value): (&str, &[u8])| name.eq_ignore_ascii_case("origin") && is_allowed(app, value);
    !app.settings.allowed_origins.is_empty() && request.fields().any(asks)
}

/// The body of every refusal: `{"error":"…"}`.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

pub(crate) fn refuse(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Refusal { error: error.into() })).into_response()
}

/// The symbols that a reader names, or why it is refused.
fn select(app: &App, symbols: Option<&str>) -> Result<Selection, Box<Response>> {
    Selection::of_list(symbols, app.settings.feed.symbols)
        .map_err(|error| Box::new(refuse(StatusCode::BAD_REQUEST, error.to_string())))
}

/// Why a cursor is refused that is ahead of the feed: it belongs to another feed, or an earlier server.
fn ahead(after: u64, last: u64) -> Response {
    refuse(StatusCode::BAD_REQUEST, format!("after is {after}, expected at most {last}, the newest quote"))
}

/// Whether a request comes from no page, from one of this server (`host`), or from an allowed one.
fn origin_is_welcome(origin: Option<&str>, host: Option<&str>, allowed: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    let own = origin.parse::<Uri>().is_ok_and(|origin| {
        let authority = origin.authority().map(|authority| authority.as_str());
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    });
    own || allowed.iter().any(|allowed| allowed == origin)
}
