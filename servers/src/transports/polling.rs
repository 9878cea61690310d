//! Polling: the client asks `GET /quotes?after=N` again and again, and gets what it has not seen yet.
//!
//! Every answer carries its state in full, so the server keeps nothing about the client. The price is a request
//! head and a response head for each question, asked in vain or not.

mod room;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http_body::Frame;
use serde::Deserialize;
use ticker::Transport;

use super::{ahead, coding::coded, refuse, select};
use crate::{
    app::App,
    direct::{Answer, Question as Asked, Request, Then, decimal, text},
    encoded::Envelope,
    selection::Selection,
};

/// `GET /quotes`, and the way up of those who only ask, and `/room`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/quotes", get(quotes))
        .route("/uplink", post(uplink))
        .route("/room", get(room::ask).delete(room::leave))
}

/// `POST /uplink`: takes one message, for the workload uplink. Off unless the server runs with `--echo`.
async fn uplink(State(app): State<Arc<App>>, message: Bytes) -> Response {
    if !app.settings.echo {
        return refuse(StatusCode::NOT_FOUND, "there is no uplink here, the server runs without --echo");
    }
    if message.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "the message is empty, expected a body");
    }
    StatusCode::NO_CONTENT.into_response()
}

/// The query. A key that is not here is refused, so that nobody trusts in a filter that does nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The newest sequence number that the client has; without it, it gets a snapshot.
    after: Option<u64>,
    #[serde(default)]
    mode: Mode,
    /// Names between commas; without it, all symbols.
    symbols: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Every quote since then.
    #[default]
    Since,
    /// Of each symbol the newest quote since then.
    Latest,
}

async fn quotes(
    State(app): State<Arc<App>>,
    question: Result<Query<Question>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let counters = app.counters(Transport::Polling);
    counters.request();
    let Question { after, mode, symbols } = match question {
        Ok(Query(question)) => question,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let selection = match select(&app, symbols.as_deref()) {
        Ok(selection) => selection,
        Err(refusal) => return *refusal,
    };
    let last = app.log.last();
    if let Some(after) = after
        && after > last
    {
        return ahead(after, last);
    }

    // The entity tag is the newest sequence number of what was asked for. A client that sends it back learns for
    // the price of two heads and no body that nothing happened.
    let newest = app.log.last_of(&selection);
    let tags = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    if matches(tags, newest) {
        return (StatusCode::NOT_MODIFIED, state(&app, newest), Body::new(Nothing)).into_response();
    }
    let answer = answer(&app, after, mode, &selection);
    // The tag of the answer itself: a quote may have come since.
    let newest = answer.quotes.last().map_or(newest, |quote| quote.seq);
    let head = [(header::CONTENT_TYPE, "application/json")];
    (head, state(&app, newest), coded(&app, &headers, answer.json())).into_response()
}

/// What there is, counted.
fn answer(app: &App, after: Option<u64>, mode: Mode, selection: &Selection) -> Envelope {
    let answer = match (after, mode) {
        (None, _) => app.log.snapshot(selection),
        (Some(after), Mode::Since) => app.log.since(after, selection),
        (Some(after), Mode::Latest) => app.log.latest(after, selection),
    };
    if !answer.snapshot {
        app.counters(Transport::Polling).quotes(answer.quotes.len());
    }
    answer
}

/// The direct engine's part: the same answer in the same words.
pub(super) fn direct(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    let app = answer.app;
    let Asked { after, latest, symbols } = Asked::of(request.query, &["after", "mode", "symbols"])?;
    let selection = select(app, symbols).ok()?;
    if app.settings.compress || after.is_some_and(|after| after > app.log.last()) {
        return None;
    }
    app.counters(Transport::Polling).request();
    let newest = app.log.last_of(&selection);
    let tags = request.values("if-none-match").filter_map(text);
    let (tag, body) = if matches(tags, newest) {
        (newest, None)
    } else {
        let mode = if latest { Mode::Latest } else { Mode::Since };
        let envelope = self::answer(app, after, mode, &selection);
        (envelope.quotes.last().map_or(newest, |quote| quote.seq), Some(envelope))
    };
    let mut quoted = [b'"'; 22];
    let mut digits = [0; 20];
    let digits = decimal(tag, &mut digits);
    quoted[1..=digits.len()].copy_from_slice(digits);
    let state: [(&str, &[u8]); 2] = [("etag", &quoted[..digits.len() + 2]), ("cache-control", b"no-cache")];
    match body {
        None => answer.empty("304 Not Modified", &state),
        Some(envelope) => {
            let [tag, cache] = state;
            let head = [("content-type", &b"application/json"[..]), tag, cache];
            answer.whole(&head, |body| envelope.write_json(body));
        }
    }
    Some(Then::Asks)
}

/// The body of a 304, of which nobody says how long it is: over HTTP/2 hyper would write `content-length: 0`, which
/// a 304 must not have where a 200 had another (RFC 9110 section 8.6).
struct Nothing;

impl HttpBody for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// What caches are told. They may keep the answer but must ask before they use it (RFC 9111 section 5.2.2.4).
///
/// Where answers may be compressed or not, the tag is weak (RFC 9110 section 8.8.1), and a cache must not hand a
/// compressed one to those who cannot read it (section 12.5.5).
fn state(app: &App, newest: u64) -> HeaderMap {
    let tag = if app.settings.compress { format!("W/\"{newest}\"") } else { format!("\"{newest}\"") };
    let tag = HeaderValue::try_from(tag).expect("digits and quotes are ASCII");
    let mut fields = HeaderMap::from_iter([
        (header::ETAG, tag),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]);
    if app.settings.compress {
        fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    fields
}

/// Whether `If-None-Match` names the tag of `last`, strong or weak (RFC 9110 section 13.1.2).
fn matches<'a>(lists: impl Iterator<Item = &'a str>, last: u64) -> bool {
    let mut digits = [0; 20];
    let digits = decimal(last, &mut digits);
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|candidate| {
        let quoted = candidate.strip_prefix("W/").unwrap_or(candidate);
        let tag = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        candidate == "*" || tag.is_some_and(|tag| tag.as_bytes() == digits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_is_a_list_of_tags() {
        let check = |value: &str, expected| {
            assert_eq!(matches([value].into_iter(), 17), expected, "{value}");
        };
        check("\"17\"", true);
        check("W/\"17\"", true);
        check("\"16\", \"17\"", true);
        check("*", true);
        check("\"1\"", false);
        check("17", false);
        check("", false);
        check("\"\"", false);
        assert!(!matches([].into_iter(), 17));
    }
}
