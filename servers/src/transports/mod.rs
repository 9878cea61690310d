//! One file per transport, each with the same function: its routes. Comparing two of them shows what differs
//! on the wire.

mod long_polling;
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

use crate::app::App;

/// The routes of `transport`.
pub(crate) fn routes(transport: Transport, app: &Arc<App>) -> Router<Arc<App>> {
    match transport {
        Transport::Polling => polling::routes(),
        Transport::LongPolling => long_polling::routes(),
        Transport::Sse => sse::routes(),
        Transport::WebSocket => websocket::routes(),
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

/// Why a cursor is refused that is ahead of the feed: it belongs to another feed, or an earlier server.
fn ahead(after: u64, last: u64) -> Response {
    refuse(StatusCode::BAD_REQUEST, format!("after is {after}, expected at most {last}, the newest quote"))
}
