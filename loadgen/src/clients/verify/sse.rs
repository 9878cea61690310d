//! The rules of `GET /sse`.

use std::{io, time::Duration};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Findings;
use crate::{control::Control, endpoint::Endpoint};

const SECTION: &str = "GET /sse: server-sent events";
const PATH: &str = "/sse";
const PATIENCE: Duration = Duration::from_secs(10);
/// Blocks that are looked at: the retry, the snapshot and some quotes.
const BLOCKS: usize = 5;

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    let Some(blocks) = blocks(endpoint, findings, &path, &[], BLOCKS).await? else { return Ok(()) };
    let told = blocks.first().cloned().unwrap_or_default();
    findings.hold("sse.retry", SECTION, told == "retry: 2000", told, "retry: 2000");
    let snapshot = Event::of(blocks.get(1).map_or("", String::as_str));
    findings.hold(
        "sse.snapshot",
        SECTION,
        snapshot.event == "snapshot",
        format!("event {:?}", snapshot.event),
        "an event of type snapshot after the retry",
    );
    let Some(last) = findings.snapshot(&snapshot.data) else { return Ok(()) };
    findings.hold("sse.snapshot-id", SECTION, snapshot.id == last.to_string(), &snapshot.id, last);
    let newest = quotes(findings, last, &blocks[2..]);
    findings.hold("sse.news", SECTION, newest > last, "no quotes in 10 s", "a feed with updates");

    // Back with the first quote's number: everything after it, and no snapshot.
    let id = (last + 1).to_string();
    if let Some(blocks) = self::blocks(endpoint, findings, &path, &[("last-event-id", &id)], 2).await? {
        let back = Event::of(blocks.get(1).map_or("", String::as_str));
        let told = format!("event {:?}, id {:?}", back.event, back.id);
        let kept = back.event.is_empty() && back.id == (last + 2).to_string();
        findings.hold(
            "sse.resume",
            SECTION,
            kept,
            told,
            format!("quote {} after Last-Event-ID {id}", last + 2),
        );
    }
    if let Some(blocks) = self::blocks(endpoint, findings, &path, &[("last-event-id", "junk")], 2).await? {
        let back = Event::of(blocks.get(1).map_or("", String::as_str));
        findings.hold("sse.junk-cursor", SECTION, back.event == "snapshot", back.event, "a snapshot");
    }
    Ok(())
}

fn quotes(findings: &mut Findings, last: u64, blocks: &[String]) -> u64 {
    let mut newest = last;
    for block in blocks.iter().filter(|block| !block.starts_with(':')) {
        let event = Event::of(block);
        findings.hold(
            "sse.event-type",
            SECTION,
            event.event.is_empty(),
            &event.event,
            "the default type for a quote",
        );
        newest = findings.follow(newest, &[&event.data]);
        findings.hold("sse.id", SECTION, event.id == newest.to_string(), &event.id, newest);
    }
    newest
}

/// The first blocks of a stream, without the blank lines; `None` if it is no event stream.
async fn blocks(
    endpoint: &Endpoint,
    findings: &mut Findings,
    path: &str,
    headers: &[(&str, &str)],
    count: usize,
) -> io::Result<Option<Vec<String>>> {
    let mut control = Control::open(endpoint).await?;
    let response = control.begin(path, headers).await?;
    findings.hold("sse.status", SECTION, response.status() == 200, response.status(), "200 OK");
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    let (kind, caching) = (header("content-type"), header("cache-control"));
    let is_stream = kind.starts_with("text/event-stream");
    findings.hold("sse.content-type", SECTION, is_stream, kind, "text/event-stream");
    findings.hold("sse.cache-control", SECTION, caching.contains("no-store"), caching, "no-store");
    if !is_stream {
        return Ok(None);
    }
    let text = read(response.into_body(), count).await;
    findings.hold("sse.line-ends", SECTION, !text.contains('\r'), "CR", "single LF");
    Ok(Some(text.split("\n\n").take(count).map(str::to_owned).collect()))
}

/// Text up to that many blank lines, or until patience ends.
async fn read(mut body: Incoming, count: usize) -> String {
    let mut text = String::new();
    let reading = async {
        while text.matches("\n\n").count() < count
            && let Some(Ok(frame)) = body.frame().await
        {
            text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[], |data| data)));
        }
    };
    // Silence is told by the blocks that are missing.
    let _ = timeout(PATIENCE, reading).await;
    text
}

/// A block's fields.
#[derive(Default)]
struct Event {
    event: String,
    id: String,
    data: String,
}

impl Event {
    fn of(block: &str) -> Self {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned()).unwrap_or_default()
        };
        Self { event: field("event"), id: field("id"), data: field("data") }
    }
}
