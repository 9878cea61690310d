//! `/ws/room?room=NAME`: each text message of a member goes to all members of its room as it is, its sender among them.

use std::sync::Arc;

use axum::{
    extract::{Query, Request, State},
    http::StatusCode,
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use ticker::Transport;
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    Switch, check_origin,
    conversation::{CLOSE_TIMEOUT, MOST_UNANSWERED},
    limits,
    negotiation::Extension,
    socket::{Broken, Came, Payload, Socket},
    switch, upgrade_of,
};
use crate::{
    app::App,
    rooms::{Event, Kind, Member, TooSlow},
    transports::{
        refuse,
        say::{self, Place},
    },
};

pub(super) async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Response {
    app.counters(Transport::WebSocket).request();
    let agreed = check_origin(&app, &request).and_then(|()| {
        let Query(Place { room }) = Query::try_from_uri(request.uri())
            .map_err(|rejection| Box::new(refuse(StatusCode::BAD_REQUEST, rejection.body_text())))?;
        // The switch first: one who is refused has never been there.
        let switch = switch(&app, &request)?;
        Ok((switch, say::join(&app, &room)?))
    });
    match agreed {
        Ok((Switch { response, extension, .. }, member)) => {
            let tasks = app.tasks.clone();
            tasks.spawn(talk(upgrade_of(request), extension, member, app));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// One member from the upgrade to the close.
async fn talk(upgrade: OnUpgrade, extension: Option<Extension>, member: Member, app: Arc<App>) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(mut socket) = Socket::over(upgraded, limits(&app), extension.as_ref()).await else { return };
    let farewell = converse(&mut socket, member, &app).await;
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
///
/// What it says is not limited in number: it pays for each message by reading it.
async fn converse(socket: &mut Socket, mut member: Member, app: &App) -> Option<(CloseCode, &'static str)> {
    let mut heartbeat = interval(app.settings.heartbeat);
    heartbeat.reset();
    let mut unanswered = 0;
    loop {
        tokio::select! {
            () = app.tasks.stopping() => return Some((CloseCode::Away, "the server stops")),
            events = member.next() => match events {
                Ok(events) => tell(socket, &events, app).await.ok()?,
                Err(TooSlow) => return Some((CloseCode::Policy, "too slow")),
            },
            came = socket.next() => match came {
                Ok(Came::Message(Payload::Text(text))) => member.room().say(text),
                Ok(Came::Message(Payload::Binary(_))) => {
                    return Some((CloseCode::Unsupported, "messages of a room are text"));
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
                socket.ping().await.ok()?;
            }
        }
    }
}

/// Events that are there together go out in one write, as far as it takes them.
async fn tell(socket: &mut Socket, events: &[Arc<Event>], app: &App) -> Result<(), Broken> {
    for event in events {
        socket.feed(Payload::Text(event.text.clone())).await?;
    }
    let said = events.iter().filter(|event| event.kind == Kind::Said).count();
    app.counters(Transport::WebSocket).quotes(said);
    socket.flush().await
}
