//! `/ws/echo` sends back what the client says, `/ws/uplink` only that it came: for the workloads echo and uplink, and for conformance
//! suites. Off unless the server runs with `--echo`.
//!
//! What comes is appended to a log of the connection's own and goes out as quotes do: same subscription, same loop,
//! same writes. So a suite of single clients tests the fan-out. It knows no quotes.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use ticker::FeedSettings;

use super::{
    Switch, check_origin,
    conversation::{Heard, Topic, converse},
    limits,
    negotiation::Extension,
    socket::{Limits, Payload},
    switch, upgrade_of,
};
use crate::{
    app::App,
    encoded::Envelope,
    log::{Entry, Log, Subscription},
    selection::Selection,
    settings::Settings,
    transports::refuse,
};

/// The longest messages of the suites have 16 MiB.
pub(super) const LONGEST_MESSAGE: usize = 16 * 1024 * 1024 + 64 * 1024;
/// Messages that wait to be sent back before the client is listened to again. One bounds the memory, and what was said
/// before a fault is answered before the close frame.
const WINDOW: u64 = 1;

impl Entry for Payload {
    fn symbol(&self) -> u32 {
        0
    }
}

/// What one client says.
struct Echo {
    log: Arc<Log<Payload>>,
    /// Messages so far, where only their number is answered.
    counted: Option<AtomicU64>,
}

impl Topic for Echo {
    type Entry = Payload;

    fn message(&self, said: &Arc<Payload>) -> Payload {
        Payload::clone(said)
    }

    fn snapshot(&self, envelope: &Envelope<Payload>) -> Payload {
        // The client is not listened to while so much waits that it could fall out of the log.
        envelope
            .quotes
            .last()
            .map_or_else(|| Payload::Binary(Default::default()), |said| Payload::clone(said))
    }

    fn hear(&self, said: Payload) -> Heard {
        let answer = match &self.counted {
            Some(count) => {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                Payload::Text(format!("{{\"ack\":{number}}}").into())
            }
            None => said,
        };
        self.log.append(vec![answer]);
        Heard::Answered
    }

    fn listens(&self, behind: u64) -> bool {
        behind < WINDOW
    }

    fn pushed(&self, _count: usize) {}
}

pub(super) async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, request, false)
}

/// The same for what is only acknowledged.
pub(super) async fn uplink(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, request, true)
}

fn answer(app: Arc<App>, request: Request, counts: bool) -> Response {
    if !app.settings.echo {
        return refuse(StatusCode::NOT_FOUND, "there is no echo here, the server runs without --echo");
    }
    match check_origin(&app, &request).and_then(|()| switch(&app, &request)) {
        Ok(Switch { response, extension, .. }) => {
            let spawner = Arc::clone(&app);
            spawner.tasks.spawn(talk(upgrade_of(request), extension, app, counts));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// One client's connection. The feed's log ends with the server by itself, this one has to be told.
async fn talk(upgrade: OnUpgrade, extension: Option<Extension>, app: Arc<App>, counts: bool) {
    let log = Arc::new(Log::new(&window()));
    let subscription = Subscription::new(&log, Some(0), Selection::default());
    let topic = Echo { log: Arc::clone(&log), counted: counts.then(AtomicU64::default) };
    let roomy = roomy(limits(&app));
    let conversation = converse(upgrade, (roomy, extension), topic, subscription, Arc::clone(&app));
    let mut conversation = pin!(conversation);
    tokio::select! {
        () = &mut conversation => return,
        () = app.tasks.stopping() => log.close(),
    }
    conversation.await;
}

/// A log that keeps what waits, of the one thing that is said.
fn window() -> Settings {
    let feed = FeedSettings { symbols: 1, ..FeedSettings::default() };
    Settings { feed, replay_window: WINDOW as usize, ..Settings::default() }
}

/// Room for long messages.
fn roomy(limits: Limits) -> Limits {
    Limits { longest_message: LONGEST_MESSAGE, most_waiting: limits.most_waiting + LONGEST_MESSAGE }
}
