//! Long polling: each client asks at once again; the server holds the answer until there is news.

use std::time::Duration;

use measurement::result::{Model, ModelKind};
use serde_json::{Value, json};
use ticker::clock;

use super::{
    Conflict, Ran,
    exchange::{Exchange, Question},
    page::{self, Page},
    request,
};
use crate::{
    plan::{Carrier, Compression, Http, TransportOptions, Workload},
    scenario::headers::Initiator,
    worker::{Client, Job},
};

mod direct;

pub(super) use self::direct::direct;

pub(super) const INITIATOR: Initiator = Initiator::Fetch;
pub(super) const KEYS: &[&str] = &["compression", "http", "tls"];
pub(super) const HTTP: &[Http] = &[Http::H1, Http::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = None;
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] =
    &[Workload::Ticker, Workload::Idle, Workload::Burst, Workload::Storm, Workload::Mixed];
pub(super) const SCHEMES: &[&str] = &["http", "https"];
pub(super) const PEER_KEYS: &[&str] = &["cursor", "snapshot"];

pub(super) const PAGE: Option<Page> =
    Some(Page { script: include_str!("long_polling/page.js"), task, conflict: page::any });
/// Requests keep the connection alive by themselves.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const PATH: &str = "/quotes/wait";
/// An answer without news that came at once, and another, is a server that does not hold: asking on would be a flood.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    let mut label = "long-polling".to_owned();
    if options.compression == Compression::Gzip {
        label.push_str(" gzip");
    }
    label + &super::connection(options)
}

pub(super) fn model(_options: &TransportOptions) -> Model {
    // The dead time between two holds adds to it; it is of the order of a round trip.
    Model { kind: ModelKind::Held, period_us: None, expected_delay_us: Some(0.0) }
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
    super::not_plain(options).or_else(|| super::answer::gzip(options))
}

/// What a tab is told.
fn task(job: &Job, index: usize) -> Value {
    json!({ "path": PATH, "symbols": page::symbols(job, index) })
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut exchange = Exchange::open(client).await?;
    let ran = converse(client, stands, &mut exchange, from_ns).await;
    exchange.close(client).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, exchange: &mut Exchange, from_ns: u64) -> Ran {
    let mut cursor = client.resumes_after().map(|after| after.to_string());
    let mut before_ns = None;
    loop {
        let asked_ns = clock::now_ns();
        let path = path(client, cursor.as_deref());
        let question = Question { path: &path, conditional: false, opening: !*stands };
        let answer = tokio::select! {
            biased;
            answer = exchange.ask(client, &question) => answer?,
            () = client.closing() => return Ok(()),
        };
        cursor = answer.cursor.or(cursor);
        if *stands {
            let mut recorder = client.worker.recorder.borrow_mut();
            recorder.request(asked_ns, answer.done_ns, answer.updates);
            if let Some(before_ns) = before_ns {
                recorder.rearmed(before_ns, exchange.asked_ns());
            }
        } else {
            *stands = true;
            client.connected(from_ns, answer.done_ns);
        }
        before_ns = Some(answer.done_ns);
        if answer.updates == 0 {
            // Such a pause is ours, not the protocol's.
            before_ns = None;
            client.worker.pacer.at(asked_ns + SHORTEST_PAUSE.as_nanos() as u64).await;
        }
    }
}

/// The url's path and query, or the reference server's with the cursor.
fn path(client: &Client, cursor: Option<&str>) -> String {
    let given = client.endpoint().path.as_deref().unwrap_or(PATH);
    if client.worker.mapping.is_some() || client.worker.listening.is_some() || given.contains('?') {
        return request::fill_cursor(given, cursor);
    }
    let path = cursor.map_or_else(|| given.to_owned(), |after| format!("{given}?after={after}"));
    request::with_symbols(client, path)
}
