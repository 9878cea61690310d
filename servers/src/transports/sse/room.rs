//! `GET /sse/room?room=NAME`: what is said in a room, a block for each message; `event: online` tells how many are there.

use std::{convert::Infallible, sync::Arc, vec};

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use ticker::Transport;

use super::{HEARTBEAT, RETRY};
use crate::{
    app::App,
    rooms::{Kind, Member, TooSlow},
    transports::{
        heartbeat::Heartbeat,
        refuse,
        say::{self, Place},
    },
};

/// The last block of a member that did not read.
const TOO_SLOW: Bytes = Bytes::from_static(b"event: slow\ndata: too slow\n\n");

pub(super) async fn events(
    State(app): State<Arc<App>>,
    place: Result<Query<Place>, QueryRejection>,
) -> Response {
    app.counters(Transport::Sse).request();
    let place = match place {
        Ok(Query(place)) => place,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let member = match say::join(&app, &place.room) {
        Ok(member) => member,
        Err(refusal) => return *refusal,
    };
    let heartbeat = Heartbeat::new(app.settings.heartbeat);
    let events = Events { app, member, blocks: vec![RETRY].into_iter(), heartbeat, ended: false };
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, Body::from_stream(events.stream())).into_response()
}

/// One member's stream.
struct Events {
    app: Arc<App>,
    member: Member,
    blocks: vec::IntoIter<Bytes>,
    heartbeat: Heartbeat,
    ended: bool,
}

impl Events {
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut events| async {
            let block = events.next().await?;
            Some((Ok(block), events))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        let block = match self.blocks.next() {
            Some(block) => block,
            None if self.ended => return None,
            None => self.wait().await,
        };
        self.heartbeat.put_off();
        Some(block)
    }

    /// Waits for somebody to say something, for silence to last too long, or for the server to stop.
    async fn wait(&mut self) -> Bytes {
        let events = tokio::select! {
            biased;
            () = self.app.tasks.stopping() => {
                self.ended = true;
                return RETRY;
            }
            events = self.member.next() => events,
            () = self.heartbeat.silence() => return HEARTBEAT,
        };
        match events {
            Ok(events) => {
                let said = events.iter().filter(|event| event.kind == Kind::Said).count();
                self.app.counters(Transport::Sse).quotes(said);
                let blocks: Vec<Bytes> = events.iter().map(|event| event.block()).collect();
                self.blocks = blocks.into_iter();
                self.blocks.next().unwrap_or(HEARTBEAT)
            }
            Err(TooSlow) => {
                self.ended = true;
                TOO_SLOW
            }
        }
    }
}
