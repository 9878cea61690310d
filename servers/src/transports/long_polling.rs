//! Long polling: the client asks `GET /quotes/wait?after=N`, and the answer waits until there is something newer.
//!
//! The answer is the one that polling gets. What it saves is the empty ones; what it keeps is a request head and
//! a response head for each batch, and a moment between two questions in which nothing can be sent.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use ticker::Transport;
use tokio::time::timeout;

use super::{ahead, coding::coded, refuse, select};
use crate::{
    app::App,
    direct::{Answer, Question as Asked, Request, Then, Wait},
    encoded::Envelope,
    log::{Subscription, Update},
};

/// `GET /quotes/wait`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/quotes/wait", get(wait))
}

/// The query. A key that is not here is refused, so that nobody trusts in a filter that does nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The newest sequence number that the client has; without it, it gets a snapshot at once.
    after: Option<u64>,
    /// Names between commas; without it, all symbols.
    symbols: Option<String>,
}

async fn wait(
    State(app): State<Arc<App>>,
    question: Result<Query<Question>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let counters = app.counters(Transport::LongPolling);
    counters.request();
    let Question { after, symbols } = match question {
        Ok(Query(question)) => question,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let selection = match select(&app, symbols.as_deref()) {
        Ok(selection) => selection,
        Err(refusal) => return *refusal,
    };
    let answer = |envelope: &Envelope| (HEAD, coded(&app, &headers, envelope.json())).into_response();
    let Some(after) = after else { return answer(&app.log.snapshot(&selection)) };
    let last = app.log.last();
    if after > last {
        return ahead(after, last);
    }
    // A hold as long as the others' heartbeat keeps proxies from taking the quiet connection for a dead one.
    let mut subscription = Subscription::new(&app.log, Some(after), selection);
    let update = timeout(app.settings.heartbeat, subscription.next(Arc::clone)).await;
    match update {
        Ok(Some(Update::Quotes(quotes))) => {
            counters.quotes(quotes.len());
            answer(&Envelope { last: subscription.cursor(), gap: 0, snapshot: false, quotes })
        }
        Ok(Some(Update::Snapshot(envelope))) => answer(&envelope),
        // Silence, or the server stops: the client asks again, or finds nobody.
        Ok(None) | Err(_) => {
            answer(&Envelope { last: subscription.cursor(), gap: 0, snapshot: false, quotes: Vec::new() })
        }
    }
}

/// The direct engine's part: the same answers in the same words.
pub(super) fn direct(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    let app = answer.app;
    let Asked { after, symbols, .. } = Asked::of(request.query, &["after", "symbols"])?;
    let selection = select(app, symbols).ok()?;
    if app.settings.compress || after.is_some_and(|after| after > app.log.last()) {
        return None;
    }
    app.counters(Transport::LongPolling).request();
    let Some(after) = after else {
        tell(answer, &app.log.snapshot(&selection));
        return Some(Then::Asks);
    };
    Some(Then::Waits(Wait { after, selection, transport: Transport::LongPolling, answer: tell }))
}

fn tell(answer: &mut Answer<'_>, envelope: &Envelope) {
    let fields = HEAD.map(|(_, value)| value.as_bytes());
    let head = [("content-type", fields[0]), ("cache-control", fields[1])];
    answer.whole(&head, |body| envelope.write_json(body));
}

/// No cache may keep an answer that was held for one question (RFC 6202 section 5.5).
const HEAD: [(header::HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
