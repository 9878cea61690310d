//! `/ws/chat`: the chat over frames: each message is a word of the client or an event of the room, as JSON.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    Switch, check_origin,
    conversation::{CLOSE_TIMEOUT, MOST_MESSAGES, MOST_UNANSWERED},
    limits,
    negotiation::Extension,
    socket::{Broken, Came, Payload, Socket},
    switch, upgrade_of,
};
use crate::{
    app::App,
    chat::{Event, Visitor, Word},
    transports::refuse,
};

pub(super) async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Response {
    if !app.settings.chat {
        return refuse(StatusCode::NOT_FOUND, "there is no chat here, the server runs without --chat");
    }
    match check_origin(&app, &request).and_then(|()| switch(&app, &request)) {
        Ok(Switch { response, extension, .. }) => {
            let tasks = app.tasks.clone();
            tasks.spawn(talk(upgrade_of(request), extension, app));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// One chatter from the upgrade to the close.
async fn talk(upgrade: OnUpgrade, extension: Option<Extension>, app: Arc<App>) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(mut socket) = Socket::over(upgraded, limits(&app), extension.as_ref()).await else { return };
    let farewell = converse(&mut socket, &app).await;
    let _ = timeout(CLOSE_TIMEOUT, async {
        if let Some((code, reason)) = farewell
            && socket.close(code, reason).await.is_err()
        {
            return;
        }
        socket.read_out().await;
    })
    .await;
}

/// Until it goes, or has to; then with what is said in the close frame, unless the client has said it.
async fn converse(socket: &mut Socket, app: &App) -> Option<(CloseCode, &'static str)> {
    let mut events = app.room.events();
    let mut visitor = app.room.visitor();
    let mut heartbeat = interval(app.settings.heartbeat);
    heartbeat.reset();
    let (mut unanswered, mut messages) = (0, 0);
    loop {
        tokio::select! {
            () = app.tasks.stopping() => return Some((CloseCode::Away, "the server stops")),
            event = events.recv() => match event {
                Ok(event) if visitor.is_in() => say(socket, &event).await.ok()?,
                Ok(_) => {}
                Err(_) => return Some((CloseCode::Policy, "too slow")),
            },
            came = socket.next() => match came {
                Ok(Came::Message(said)) => {
                    messages += 1;
                    if messages > MOST_MESSAGES {
                        return Some((CloseCode::Policy, "too many messages"));
                    }
                    if let Some(refusal) = hear(&mut visitor, &said) {
                        say(socket, &refusal).await.ok()?;
                    }
                }
                Ok(Came::Pong) => unanswered = 0,
                Ok(Came::Ping) => {}
                Ok(Came::Close) | Err(Broken::Gone | Broken::Told) => return None,
                Err(Broken::Rules(code, reason)) => return Some((code, reason)),
            },
            _ = heartbeat.tick() => {
                if unanswered == MOST_UNANSWERED {
                    return Some((CloseCode::Policy, "no pong"));
                }
                unanswered += 1;
                messages = 0;
                socket.ping().await.ok()?;
            }
        }
    }
}

/// Does what a message says; the answer is for its sender alone.
fn hear(visitor: &mut Visitor<'_>, said: &Payload) -> Option<Event> {
    match serde_json::from_slice::<Word>(said.as_bytes()) {
        Ok(word) => visitor.hear(word).err(),
        Err(error) => Some(Event::Refused { error: format!("this is no word of the chat: {error}") }),
    }
}

async fn say(socket: &mut Socket, event: &Event) -> Result<(), Broken> {
    let text = serde_json::to_string(event).unwrap_or_default();
    socket.feed(Payload::Text(text.into())).await?;
    socket.flush().await
}
