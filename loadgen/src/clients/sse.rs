//! Server-sent events: one long response; the browser's EventSource.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt as _;
use hyper::body::Incoming;
use measurement::result::{Model, ModelKind};
use serde_json::{Value, json};
use sse_stream::{Sse, SseStream};
use ticker::clock;
use wire::Bodies;

use super::{
    Conflict, Ran,
    http::Http,
    message::{self, Incoming as Message},
    page::{self, Page},
    response::Opening,
};
use crate::{
    plan::{Carrier, Http as Version, TransportOptions, Workload},
    scenario::headers::Initiator,
    socket::Socket,
    worker::{Client, ClientError, Job},
};

mod chat;
mod direct;

pub(super) use self::direct::direct;

pub(super) const INITIATOR: Initiator = Initiator::EventSource;
pub(super) const KEYS: &[&str] = &["http", "tls", "coalesce"];
pub(super) const HTTP: &[Version] = &[Version::H1, Version::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = None;
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] = &[
    Workload::Ticker,
    Workload::Chat,
    Workload::Idle,
    Workload::Burst,
    Workload::Storm,
    Workload::SlowReader,
    Workload::Mixed,
];
pub(super) const SCHEMES: &[&str] = &["http", "https"];
pub(super) const PEER_KEYS: &[&str] = &["event"];
pub(super) const PAGE: Option<Page> =
    Some(Page { script: include_str!("sse/page.js"), task, conflict: page::any });
/// Comments are sent only into silence, which a feed with updates has none of.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const PATH: &str = "/sse";
const MEDIA_TYPE: &str = "text/event-stream";

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    format!("sse{}", super::connection(options))
}

pub(super) fn model(_options: &TransportOptions) -> Model {
    Model { kind: ModelKind::Push, period_us: None, expected_delay_us: Some(0.0) }
}

pub(super) fn drain(_options: &TransportOptions) -> Duration {
    Duration::from_secs(1)
}

pub(super) fn coalesces(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn loses(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn connections(_options: &TransportOptions) -> u32 {
    1
}

pub(super) fn library_only(options: &TransportOptions) -> Option<Conflict> {
    super::not_plain(options)
}

/// What a tab is told.
fn task(job: &Job, index: usize) -> Value {
    let path = job.symbols(index).map(|symbols| format!("{PATH}?symbols={}", symbols.join(",")));
    json!({ "path": path.as_deref().unwrap_or(PATH) })
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    if client.plan().workload == Workload::Chat {
        return chat::run(client, stands).await;
    }
    let from_ns = clock::now_ns();
    let mut http = Http::open(client, Bodies::Events).await?;
    let ran = converse(client, stands, &mut http, from_ns).await;
    http.close(client).await;
    ran
}

/// What the request says beside the profile.
fn own() -> [(&'static str, String); 2] {
    [("accept", MEDIA_TYPE.to_owned()), ("cache-control", "no-cache".to_owned())]
}

async fn converse(client: &Client, stands: &mut bool, http: &mut Http, from_ns: u64) -> Ran {
    let mut own = own().to_vec();
    // As an EventSource that comes back does (WHATWG HTML section 9.2.4).
    own.extend(client.resumes_after().map(|after| ("last-event-id", after.to_string())));
    let opening = Opening { path: PATH, own: &own, media_type: MEDIA_TYPE };
    let body = opening.stream(client, http, (stands, from_ns)).await?;
    follow(client, stands, http.socket(), body, from_ns).await
}

async fn follow(client: &Client, stands: &mut bool, socket: &Socket, body: Incoming, from_ns: u64) -> Ran {
    let mut events = SseStream::new(body);
    let mut closing = pin!(client.closing());
    loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event.ok_or(ClientError::Closed)??,
            () = &mut closing => return Ok(()),
        };
        if take(client, socket, &event)? && !*stands {
            *stands = true;
            client.connected(from_ns, socket.last_read_ns());
        }
    }
}

/// Records one event. True if it had data.
fn take(client: &Client, socket: &Socket, event: &Sse) -> Result<bool, ClientError> {
    // A block without data (`retry`, a comment) dispatches nothing.
    let Some(data) = event.data.as_deref() else { return Ok(false) };
    let message = Message { event: event.event.as_deref(), ..Message::of(data.as_bytes()) };
    message::take(client, &message, |payload| socket.claim(payload).map(|unit| unit.stamp_ns))?;
    Ok(true)
}
