//! Polling: each client asks on its own fixed timetable, late when it must, never skipping.

use std::time::Duration;

use measurement::result::{Model, ModelKind};
use serde_json::{Value, json};
use ticker::{clock, random};

use super::{
    Conflict, Ran,
    exchange::{Exchange, Question},
    page::{self, Page},
    request,
};
use crate::{
    plan::{Carrier, Compression, Http, HttpClient, Pace, PollMode, TransportOptions, VariantPlan, Workload},
    scenario::headers::Initiator,
    worker::{Client, Job},
};

mod chat;
mod direct;
mod uplink;

pub(super) use self::direct::direct;

pub(super) const INITIATOR: Initiator = Initiator::Fetch;
pub(super) const KEYS: &[&str] =
    &["interval", "mode", "conditional", "compression", "client", "pace", "http", "tls", "keep_alive"];
pub(super) const HTTP: &[Http] = &[Http::H1, Http::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = None;
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] = &[
    Workload::Ticker,
    Workload::Chat,
    Workload::Idle,
    Workload::Burst,
    Workload::Storm,
    Workload::Uplink,
    Workload::Mixed,
];
pub(super) const SCHEMES: &[&str] = &["http", "https"];
pub(super) const PEER_KEYS: &[&str] = &["cursor", "snapshot"];

pub(super) const PAGE: Option<Page> =
    Some(Page { script: include_str!("polling/page.js"), task, conflict: not_of_a_page });
/// Requests keep the connection alive by themselves.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = true;

const PATH: &str = "/quotes";
const STREAM_PHASES: u64 = 21;

pub(super) fn conflict(options: &TransportOptions) -> Option<Conflict> {
    let plain = options.http == Http::H1 && !options.tls && options.keep_alive;
    if options.client == HttpClient::Pooled && !(plain && options.compression == Compression::None) {
        let why = "its bytes are the server's count of plain HTTP/1.1: leave http, tls, keep_alive and compression out";
        return Some(Conflict {
            what: "`client = \"pooled\"` and another connection than the plain one",
            why,
        });
    }
    (!options.keep_alive && options.http == Http::H2).then_some(Conflict {
        what: "`keep_alive = false` and `http = \"2\"`",
        why: "a connection of HTTP/2 is made for many requests",
    })
}

pub(super) fn label(options: &TransportOptions) -> String {
    let mut label = format!("polling {}", humantime::format_duration(options.interval));
    if options.mode == PollMode::Latest {
        label.push_str(" latest");
    }
    if options.conditional {
        label.push_str(" 304");
    }
    if options.compression == Compression::Gzip {
        label.push_str(" gzip");
    }
    if !options.keep_alive {
        label.push_str(" no keep-alive");
    }
    label += &super::connection(options);
    if options.client == HttpClient::Pooled {
        label.push_str(" pooled");
    }
    if options.pace == Pace::AfterAnswer {
        label.push_str(" after answer");
    }
    label
}

pub(super) fn model(options: &TransportOptions) -> Model {
    // After an answer the period is longer by the round trip and the server's work, which only the run knows.
    let period_us = options.interval.as_secs_f64() * 1e6;
    Model { kind: ModelKind::Pull, period_us: Some(period_us), expected_delay_us: Some(period_us / 2.0) }
}

pub(super) fn drain(options: &TransportOptions) -> Duration {
    options.interval + Duration::from_secs(1)
}

pub(super) fn coalesces(options: &TransportOptions) -> bool {
    options.mode == PollMode::Latest
}

pub(super) fn loses(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn connections(_options: &TransportOptions) -> u32 {
    1
}

pub(super) fn library_only(options: &TransportOptions) -> Option<Conflict> {
    let because = |what| {
        Some(Conflict { what, why: "the direct engine keeps one connection of its own for each client" })
    };
    if options.client == HttpClient::Pooled {
        return because("`engine = \"direct\"` and `client = \"pooled\"`");
    }
    if !options.keep_alive {
        return because("`engine = \"direct\"` and `keep_alive = false`");
    }
    super::not_plain(options).or_else(|| super::answer::gzip(options))
}

/// What a tab is told; it polls at the instants at which a client of ours would.
fn task(job: &Job, index: usize) -> Value {
    let options = &job.variant.options;
    let period_ns = options.interval.as_nanos() as u64;
    json!({
        "path": PATH,
        "symbols": page::symbols(job, index),
        "latest": options.mode == PollMode::Latest,
        "conditional": options.conditional,
        "after_answer": options.pace == Pace::AfterAnswer,
        "period_ms": period_ns as f64 / 1e6,
        "phase_ms": phase_ns(job, job.number(index), period_ns) as f64 / 1e6,
    })
}

fn not_of_a_page(options: &TransportOptions) -> Option<Conflict> {
    let because = |what| {
        Some(Conflict { what, why: "a page's connections are the browser's: leave one of the two out" })
    };
    if options.client == HttpClient::Pooled {
        return because("`client = \"pooled\"`");
    }
    if options.keep_alive { None } else { because("`keep_alive = false`") }
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    if client.plan().workload == Workload::Uplink {
        return uplink::run(client, stands).await;
    }
    if client.plan().workload == Workload::Chat {
        return chat::run(client, stands).await;
    }
    let from_ns = clock::now_ns();
    let mut exchange = Exchange::open(client).await?;
    let ran = converse(client, stands, &mut exchange, from_ns).await;
    exchange.close(client).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, exchange: &mut Exchange, from_ns: u64) -> Ran {
    let options = &client.plan().options;
    // Without a cursor the server answers with a snapshot: where the client stands.
    let known = client.resumes_after().map(|after| after.to_string());
    let path = path(client, known.as_deref());
    let first = Question { path: &path, conditional: false, opening: known.is_none() };
    let answer = exchange.ask(client, &first).await?;
    let mut cursor = answer.cursor.or(known);
    *stands = true;
    client.connected(from_ns, answer.done_ns);
    let Some(t0_ns) = client.started().await else { return Ok(()) };
    let period_ns = options.interval.as_nanos() as u64;
    let mut planned_ns = t0_ns + phase_ns(&client.worker.job, client.number(), period_ns);
    // One who comes back keeps the timetable, without what was due while it was away.
    let away_ns = clock::now_ns().saturating_sub(planned_ns).next_multiple_of(period_ns);
    if client.before.get() > 1 {
        planned_ns += away_ns;
    }
    let mut answered_ns = answer.done_ns;
    loop {
        // A poll that is due while the one before is under way is sent late, never skipped.
        let late = clock::now_ns() > planned_ns;
        tokio::select! {
            biased;
            () = client.closing() => return Ok(()),
            () = client.worker.pacer.at(planned_ns) => {}
        }
        let free_ns = free_ns(client.plan(), planned_ns, answered_ns);
        client.worker.recorder.borrow_mut().action(free_ns, clock::now_ns(), late);
        let path = self::path(client, cursor.as_deref());
        let question = Question { path: &path, conditional: options.conditional, opening: false };
        let answer = exchange.ask(client, &question).await?;
        cursor = answer.cursor.or(cursor);
        answered_ns = answer.done_ns;
        client.worker.recorder.borrow_mut().request(planned_ns, answer.done_ns, answer.updates);
        planned_ns = next_ns(options.pace, planned_ns, answer.done_ns, period_ns);
    }
}

/// The instant that the generator's own lag counts from. Over an emulated network an answer may take longer than the interval: a
/// poll that waits for it is late by the network, not by the generator.
fn free_ns(plan: &VariantPlan, planned_ns: u64, answered_ns: u64) -> u64 {
    if plan.link.is_some() { planned_ns.max(answered_ns) } else { planned_ns }
}

/// When the next poll is due: on the timetable whatever the answer took, or a period after the answer.
fn next_ns(pace: Pace, planned_ns: u64, done_ns: u64, period_ns: u64) -> u64 {
    match pace {
        Pace::Fixed => planned_ns + period_ns,
        Pace::AfterAnswer => done_ns + period_ns,
    }
}

/// The clients' phases are stratified, (i + u)/N of the period (METRICS, rule 0).
fn phase_ns(job: &Job, number: u32, period_ns: u64) -> u64 {
    let drawn = random::unit(job.seed, STREAM_PHASES, number.into());
    ((f64::from(number) + drawn) / f64::from(job.variant.load.clients) * period_ns as f64) as u64
}

/// The url's path and query, or the reference server's with the cursor and the mode.
fn path(client: &Client, cursor: Option<&str>) -> String {
    let given = client.endpoint().path.as_deref().unwrap_or(PATH);
    if client.worker.mapping.is_some() || client.worker.listening.is_some() || given.contains('?') {
        return request::fill_cursor(given, cursor);
    }
    let path = match (cursor, client.plan().options.mode) {
        (None, _) => given.to_owned(),
        (Some(after), PollMode::Since) => format!("{given}?after={after}"),
        (Some(after), PollMode::Latest) => format!("{given}?after={after}&mode=latest"),
    };
    request::with_symbols(client, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_makes_fixed_polls_late_and_the_others_fewer() {
        // A poll each 100 that is answered after 250: three fixed ones are due by then.
        let due = |pace| {
            let mut planned = vec![0];
            while planned.len() < 4 {
                let last = planned[planned.len() - 1];
                planned.push(next_ns(pace, last, last + 250, 100));
            }
            planned
        };
        assert_eq!(due(Pace::Fixed), [0, 100, 200, 300]);
        assert_eq!(due(Pace::AfterAnswer), [0, 350, 700, 1_050]);
    }
}
