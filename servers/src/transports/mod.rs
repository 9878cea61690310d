//! One file per transport, each with the same function: its routes. Comparing two of them shows what differs
//! on the wire.

mod coding;
#[cfg(feature = "grpc")]
mod grpc;
mod heartbeat;
mod long_polling;
mod ndjson;
mod polling;
mod socketio;
mod sse;
mod websocket;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use ticker::Transport;

use crate::{app::App, selection::Selection};

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
    }
}

/// The body of every refusal: `{"error":"…"}`.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Response {
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
