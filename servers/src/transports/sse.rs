//! Server-sent events: the client asks `GET /sse` once, and the response never ends.
//!
//! Each quote is a block of text (WHATWG HTML section 9.2) in a chunk of its own (RFC 9112 section 7.1). The
//! `id` of the last block is all that a client needs to come back: it sends it as `Last-Event-ID`.

mod room;

use std::{convert::Infallible, sync::Arc, vec};

use axum::{
    Router,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use ticker::Transport;

use super::{heartbeat::Heartbeat, refuse, select};
use crate::{
    app::App,
    direct::{Answer, Follow, Question as Asked, Request, Stream as Quotes, Then, text},
    encoded::{Envelope, Framing, chunk},
    log::{Subscription, Update},
};

/// How long a browser waits before it comes back, in milliseconds; sent first, and last when the server stops.
const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");
/// A comment: keeps proxies from taking a quiet stream for a dead one.
const HEARTBEAT: Bytes = Bytes::from_static(b": hb\n\n");

/// `GET /sse`, and of a room.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/sse", get(events)).route("/sse/room", get(room::events))
}

/// The query. A key that is not here is refused, so that nobody trusts in a filter that does nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Names between commas; without it, all symbols.
    symbols: Option<String>,
}

async fn events(
    State(app): State<Arc<App>>,
    question: Result<Query<Question>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    app.counters(Transport::Sse).request();
    let selection = match question {
        Ok(Query(Question { symbols })) => select(&app, symbols.as_deref()),
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let selection = match selection {
        Ok(selection) => selection,
        Err(refusal) => return *refusal,
    };
    // A cursor that is no number, or ahead of the feed (of another server, say), means a fresh beginning: on an
    // error status a browser would never come back by itself.
    let cursor = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let cursor = cursor.filter(|&cursor| cursor <= app.log.last());

    let events = Events {
        subscription: Subscription::new(&app.log, cursor, selection),
        blocks: vec![RETRY].into_iter(),
        heartbeat: Heartbeat::new(app.settings.heartbeat),
        ended: false,
        app,
    };
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would collect the stream and pass it on in pieces of its own size.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, Body::from_stream(events.stream())).into_response()
}

/// The direct engine's part: the same stream in the same words.
pub(super) fn direct(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    let app = answer.app;
    let Asked { symbols, .. } = Asked::of(request.query, &["symbols"])?;
    let selection = select(app, symbols).ok()?;
    app.counters(Transport::Sse).request();
    let cursor = request.values("last-event-id").next().and_then(|id| text(id)?.parse().ok());
    let cursor = cursor.filter(|&cursor| cursor <= app.log.last());
    answer.endless(&[
        ("content-type", b"text/event-stream"),
        ("cache-control", b"no-store"),
        ("x-accel-buffering", b"no"),
    ]);
    chunk(&RETRY, answer.out);
    Some(Then::Follows(Follow::begin(answer, &QUOTES, cursor, selection, None)))
}

static QUOTES: Quotes = Quotes {
    transport: Transport::Sse,
    framing: Framing::EventChunk,
    snapshot: |envelope, out| chunk(&snapshot(envelope), out),
    silence: b"6\r\n: hb\n\n\r\n",
    farewell: b"D\r\nretry: 2000\n\n\r\n0\r\n\r\n",
};

/// One client's stream.
struct Events {
    app: Arc<App>,
    subscription: Subscription,
    /// Blocks that are ready to go. Only references: the bytes are the log's.
    blocks: vec::IntoIter<Bytes>,
    heartbeat: Heartbeat,
    ended: bool,
}

impl Events {
    /// The response body: each item becomes one chunk. hyper gathers the chunks that are ready at once into one
    /// write, and asks for no more while the client does not read.
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

    /// Waits for quotes, for silence to last too long, or for the server to stop.
    async fn wait(&mut self) -> Bytes {
        let update = tokio::select! {
            biased;
            update = self.subscription.next(|quote| quote.event.clone()) => update,
            () = self.heartbeat.silence() => return HEARTBEAT,
        };
        match update {
            Some(Update::Quotes(quotes)) => {
                self.app.counters(Transport::Sse).quotes(quotes.len());
                self.blocks = quotes.into_iter();
                self.blocks.next().expect("an update is never empty")
            }
            Some(Update::Snapshot(envelope)) => snapshot(&envelope),
            None => {
                self.ended = true;
                RETRY
            }
        }
    }
}

/// The envelope as an event of its own type, so that no client takes it for a quote.
fn snapshot(envelope: &Envelope) -> Bytes {
    let mut block = format!("event: snapshot\nid: {}\ndata: ", envelope.last).into_bytes();
    block.extend_from_slice(&envelope.json());
    block.extend_from_slice(b"\n\n");
    block.into()
}
