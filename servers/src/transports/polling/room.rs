//! `/room?room=NAME`: a member of a room that asks from time to time what was said.
//!
//! Its first question, without a cursor, lets it in and is answered with a number that its later ones name. Who does not ask
//! for long is gone; `DELETE` says so at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use ticker::{Transport, clock};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    rooms::{Member, Missed, Visitor},
    transports::{refuse, say},
};

/// A member that has not asked for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The room's name.
    room: String,
    /// Number of the newest event that the member has; without it, somebody comes.
    after: Option<u64>,
    /// Who asks, as it was told when it came.
    member: Option<String>,
}

/// `{"last":N,"gap":G,"online":N,"member":"…","messages":[…]}`; the member's number only to one who comes.
#[derive(Serialize)]
struct Answer<'a> {
    last: u64,
    gap: u64,
    online: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    messages: Vec<&'a RawValue>,
}

pub(super) async fn ask(
    State(app): State<Arc<App>>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    app.counters(Transport::Polling).request();
    let question = match question {
        Ok(Query(question)) => question,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let Some(after) = question.after else {
        return match say::join(&app, &question.room) {
            Ok(member) => come(&app, member),
            Err(refusal) => *refusal,
        };
    };
    match visitor(&app, &question) {
        Some((visitor, _)) => {
            visitor.seen_ns.store(clock::now_ns(), Relaxed);
            let missed = visitor.room.since(after);
            app.counters(Transport::Polling).quotes(missed.messages.len());
            answer(&missed, None)
        }
        None => unknown(),
    }
}

pub(super) async fn leave(
    State(app): State<Arc<App>>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    match question {
        Ok(Query(question)) => match visitor(&app, &question) {
            Some((visitor, number)) => {
                app.rooms.forget(number);
                visitor.leaves.cancel();
                StatusCode::NO_CONTENT.into_response()
            }
            None => unknown(),
        },
        Err(rejection) => refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
    }
}

fn unknown() -> Response {
    refuse(StatusCode::NOT_FOUND, "no such member is in this room: come in by asking without a cursor")
}

/// Who asks, if it is still there, and in that room.
fn visitor(app: &App, question: &Question) -> Option<(Visitor, u64)> {
    let number = u64::from_str_radix(question.member.as_deref()?, 16).ok()?;
    let visitor = app.rooms.visitor(number)?;
    visitor.room.is_called(&question.room).then_some((visitor, number))
}

/// Lets somebody in: a task is the member until it does not ask any more.
fn come(app: &Arc<App>, member: Member) -> Response {
    let missed = member.room().since(member.cursor());
    let visitor = Visitor {
        room: Arc::clone(member.room()),
        seen_ns: Arc::new(AtomicU64::new(clock::now_ns())),
        leaves: CancellationToken::new(),
    };
    let number = app.rooms.visit(visitor.clone());
    let stay = stay(Arc::clone(app), visitor, member, number);
    app.tasks.spawn(stay);
    answer(&missed, Some(format!("{number:016x}")))
}

async fn stay(app: Arc<App>, visitor: Visitor, member: Member, number: u64) {
    loop {
        let idle = Duration::from_nanos(clock::now_ns().saturating_sub(visitor.seen_ns.load(Relaxed)));
        let Some(left) = PATIENCE.checked_sub(idle).filter(|left| !left.is_zero()) else { break };
        tokio::select! {
            () = sleep(left) => {}
            () = visitor.leaves.cancelled() => break,
            () = app.tasks.stopping() => break,
        }
    }
    app.rooms.forget(number);
    drop(member);
}

fn answer(missed: &Missed, member: Option<String>) -> Response {
    let Missed { last, gap, online, messages } = missed;
    let messages = messages.iter().map(|event| event.json()).collect();
    let answer = Answer { last: *last, gap: *gap, online: *online, member, messages };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}
