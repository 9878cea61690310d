//! NDJSON streaming: the client asks `GET /ndjson` once, and the response never ends; each line is a message.
//!
//! It is server-sent events without the event stream's words: a page reads it with `fetch` and a `ReadableStream`.
//! Nobody comes back by themselves: the cursor of a client that does is `?after=N`.

use std::{convert::Infallible, sync::Arc, vec};

use axum::{
    Router,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use ticker::Transport;

use super::{ahead, heartbeat::Heartbeat, refuse, select};
use crate::{
    app::App,
    direct::{Answer, Follow, Question as Asked, Request, Stream as Quotes, Then},
    encoded::{Framing, chunk},
    log::{Subscription, Update},
};

/// A blank line: keeps proxies from taking a quiet stream for a dead one.
const HEARTBEAT: Bytes = Bytes::from_static(b"\n");

/// `GET /ndjson`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/ndjson", get(lines))
}

/// The query. A key that is not here is refused, so that nobody trusts in a filter that does nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The newest sequence number that the client has; without it, it gets a snapshot.
    after: Option<u64>,
    /// Names between commas; without it, all symbols.
    symbols: Option<String>,
}

async fn lines(State(app): State<Arc<App>>, question: Result<Query<Question>, QueryRejection>) -> Response {
    app.counters(Transport::Ndjson).request();
    let Question { after, symbols } = match question {
        Ok(Query(question)) => question,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let selection = match select(&app, symbols.as_deref()) {
        Ok(selection) => selection,
        Err(refusal) => return *refusal,
    };
    let last = app.log.last();
    if let Some(after) = after.filter(|&after| after > last) {
        return ahead(after, last);
    }
    let lines = Lines {
        subscription: Subscription::new(&app.log, after, selection),
        ready: vec![].into_iter(),
        heartbeat: Heartbeat::new(app.settings.heartbeat),
        app,
    };
    let head = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would collect the stream and pass it on in pieces of its own size.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, Body::from_stream(lines.stream())).into_response()
}

/// The direct engine's part: the same stream in the same words.
pub(super) fn direct(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    let app = answer.app;
    let Asked { after, symbols, .. } = Asked::of(request.query, &["after", "symbols"])?;
    let selection = select(app, symbols).ok()?;
    if after.is_some_and(|after| after > app.log.last()) {
        return None;
    }
    app.counters(Transport::Ndjson).request();
    answer.endless(&[
        ("content-type", b"application/x-ndjson"),
        ("cache-control", b"no-store"),
        ("x-accel-buffering", b"no"),
    ]);
    Some(Then::Follows(Follow::begin(answer, &QUOTES, after, selection, None)))
}

static QUOTES: Quotes = Quotes {
    transport: Transport::Ndjson,
    framing: Framing::LineChunk,
    snapshot: |envelope, out| {
        let mut line = envelope.json();
        line.push(b'\n');
        chunk(&line, out);
    },
    silence: b"1\r\n\n\r\n",
    farewell: b"0\r\n\r\n",
};

/// One client's stream.
struct Lines {
    app: Arc<App>,
    subscription: Subscription,
    /// Lines that are ready to go. Only references: the bytes are the log's.
    ready: vec::IntoIter<Bytes>,
    heartbeat: Heartbeat,
}

impl Lines {
    /// The response body: each item becomes one chunk, or one DATA frame.
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut lines| async {
            let line = lines.next().await?;
            Some((Ok(line), lines))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        let line = match self.ready.next() {
            Some(line) => line,
            None => self.wait().await?,
        };
        self.heartbeat.put_off();
        Some(line)
    }

    /// Waits for quotes, or for silence to last too long; `None` when the server stops.
    async fn wait(&mut self) -> Option<Bytes> {
        let update = tokio::select! {
            biased;
            update = self.subscription.next(|quote| quote.line.clone()) => update?,
            () = self.heartbeat.silence() => return Some(HEARTBEAT),
        };
        match update {
            Update::Quotes(quotes) => {
                self.app.counters(Transport::Ndjson).quotes(quotes.len());
                self.ready = quotes.into_iter();
                self.ready.next()
            }
            Update::Snapshot(envelope) => {
                let mut line = envelope.json();
                line.push(b'\n');
                Some(line.into())
            }
        }
    }
}
