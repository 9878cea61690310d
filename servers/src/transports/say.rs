//! `POST /say?room=NAME`: how members speak whose transport only listens. The body is one message.

use std::sync::Arc;

use axum::{
    Router,
    body::to_bytes,
    extract::{Query, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{refuse, websocket::is_welcome};
use crate::{app::App, conditions::LONGEST_MESSAGE, rooms::Member};

/// The query of whoever joins a room, or speaks in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The room's name.
    pub(super) room: String,
}

/// `POST /say`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/say", post(say))
}

async fn say(State(app): State<Arc<App>>, request: Request) -> Response {
    // A page of another origin may post a text without asking (Fetch, section 2.2.1).
    if !is_welcome(&app, &request) {
        return refuse(StatusCode::FORBIDDEN, "this origin may not speak here");
    }
    let place = match Query::<Place>::try_from_uri(request.uri()) {
        Ok(Query(place)) => place,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let Ok(body) = to_bytes(request.into_body(), LONGEST_MESSAGE).await else {
        return refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a message has at most {LONGEST_MESSAGE} bytes"),
        );
    };
    // A copy: rooms keep messages, and a body is a part of its connection's buffer of some kilobytes, all of which would be kept.
    let Ok(text) = Utf8Bytes::try_from(Bytes::copy_from_slice(&body)) else {
        return refuse(StatusCode::BAD_REQUEST, "a message is UTF-8 text");
    };
    match app.rooms.room(&place.room) {
        Some(room) => {
            room.say(text);
            StatusCode::NO_CONTENT.into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "nobody is in this room"),
    }
}

/// A new member, or why not.
pub(super) fn join(app: &App, room: &str) -> Result<Member, Box<Response>> {
    use crate::rooms::Refused;
    if !app.settings.rooms {
        let why = "there are no rooms here, the server runs without --rooms";
        return Err(Box::new(refuse(StatusCode::NOT_FOUND, why)));
    }
    app.rooms.join(room).map_err(|refused| {
        let status = match refused {
            Refused::Name => StatusCode::BAD_REQUEST,
            Refused::Rooms | Refused::Members => StatusCode::SERVICE_UNAVAILABLE,
        };
        Box::new(refuse(status, refused.to_string()))
    })
}
