//! Polling: each client asks on its own fixed timetable, late when it must, never skipping.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use measurement::result::{Model, ModelKind};
use ticker::{clock, random};

use super::{Ran, envelope::Envelope, request};
use crate::{
    plan::{HttpClient, PollMode, TransportOptions},
    scenario::headers::Initiator,
    socket::Socket,
    worker::{Client, ClientError},
};

pub(super) const INITIATOR: Initiator = Initiator::Fetch;
pub(super) const KEYS: &[&str] = &["interval", "mode", "conditional", "client"];

/// Requests keep the connection alive by themselves.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = true;

const STREAM_PHASES: u64 = 21;
const READ_BUFFER: usize = 8192;

pub(super) fn label(options: &TransportOptions) -> String {
    let mut label = format!("polling {}", humantime::format_duration(options.interval));
    if options.mode == PollMode::Latest {
        label.push_str(" latest");
    }
    if options.conditional {
        label.push_str(" 304");
    }
    if options.client == HttpClient::Pooled {
        label.push_str(" pooled");
    }
    label
}

pub(super) fn model(options: &TransportOptions) -> Model {
    let period_us = options.interval.as_secs_f64() * 1e6;
    Model { kind: ModelKind::Pull, period_us: Some(period_us), expected_delay_us: Some(period_us / 2.0) }
}

pub(super) fn drain(options: &TransportOptions) -> Duration {
    options.interval + Duration::from_secs(1)
}

pub(super) fn coalesces(options: &TransportOptions) -> bool {
    options.mode == PollMode::Latest
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let (mut line, connection) = match &client.worker.http {
        Some(pool) => (Line::Pooled(pool.clone()), None),
        None => {
            let socket = client.connect().await.map_err(ClientError::Connect)?;
            let builder = &mut http1::Builder::new();
            let (requests, connection) =
                builder.max_buf_size(READ_BUFFER).handshake(TokioIo::new(socket.wire())).await?;
            (Line::Counted { requests, socket }, Some(tokio::task::spawn_local(connection)))
        }
    };
    let ran = converse(client, stands, &mut line, from_ns).await;
    if let Line::Counted { requests, socket } = line {
        drop(requests);
        if let Some(connection) = connection {
            // With the last sender gone hyper ends by itself; its last act is our FIN.
            let _ = connection.await;
        }
        client.finish(socket).await;
    }
    ran
}

async fn converse(client: &Client, stands: &mut bool, line: &mut Line, from_ns: u64) -> Ran {
    // Without `after` the server answers with a snapshot: where the client stands.
    let Poll { last, done_ns, .. } = ask(client, line, None).await?;
    let mut after = last.unwrap_or(0);
    *stands = true;
    client.connected(from_ns, done_ns);
    let Some(t0_ns) = client.started().await else { return Ok(()) };
    let period_ns = client.plan().options.interval.as_nanos() as u64;
    let mut planned_ns = t0_ns + phase_ns(client, period_ns);
    loop {
        // A poll that is due while the one before is under way is sent late, never skipped.
        let late = clock::now_ns() > planned_ns;
        tokio::select! {
            biased;
            () = client.closing() => return Ok(()),
            () = client.worker.pacer.at(planned_ns) => {}
        }
        client.worker.recorder.borrow_mut().action(planned_ns, clock::now_ns(), late);
        let poll = ask(client, line, Some(after)).await?;
        after = poll.last.unwrap_or(after);
        client.worker.recorder.borrow_mut().request(planned_ns, poll.done_ns, poll.quotes);
        planned_ns += period_ns;
    }
}

/// The clients' phases are stratified, (i + u)/N of the period (METRICS, rule 0).
fn phase_ns(client: &Client, period_ns: u64) -> u64 {
    let number = u64::from(client.number());
    let drawn = random::unit(client.worker.job.seed, STREAM_PHASES, number);
    ((number as f64 + drawn) / f64::from(client.plan().load.clients) * period_ns as f64) as u64
}

/// What requests go out on.
enum Line {
    Counted { requests: SendRequest<Empty<Bytes>>, socket: Rc<Socket> },
    Pooled(reqwest::Client),
}

/// What one poll brought.
struct Poll {
    /// The newest sequence number; `None` for "not modified".
    last: Option<u64>,
    quotes: usize,
    done_ns: u64,
}

async fn ask(client: &Client, line: &mut Line, after: Option<u64>) -> Result<Poll, ClientError> {
    let options = &client.plan().options;
    let path = match (after, options.mode) {
        (None, _) => "/quotes".to_owned(),
        (Some(after), PollMode::Since) => format!("/quotes?after={after}"),
        (Some(after), PollMode::Latest) => format!("/quotes?after={after}&mode=latest"),
    };
    let own = match after {
        Some(after) if options.conditional => Some(("if-none-match", format!("\"{after}\""))),
        Some(_) | None => None,
    };
    match line {
        Line::Counted { requests, socket } => {
            let request = request::get(client, &path, own.as_slice(), Empty::new())?;
            requests.ready().await?;
            let response = requests.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            let read = Read::of(status, &body)?;
            let stamp_ns = match &read {
                Read::NotModified => socket.last_read_ns(),
                Read::Answer(envelope) => {
                    socket.claim(envelope.payload_bytes()).ok_or(ClientError::Unscanned)?.stamp_ns
                }
            };
            record(client, &read, stamp_ns)
        }
        Line::Pooled(pool) => {
            let url = format!("http://{}{path}", client.worker.job.address);
            let (head, ()) = request::get(client, &url, own.as_slice(), ())?.into_parts();
            let response = pool.get(url).headers(head.headers).send().await?;
            let status = response.status();
            let body = response.bytes().await?;
            let stamp_ns = clock::now_ns();
            let read = Read::of(status, &body)?;
            if let Read::Answer(envelope) = &read {
                client.unsocketed_payload(envelope.payload_bytes(), stamp_ns);
            }
            record(client, &read, stamp_ns)
        }
    }
}

enum Read<'a> {
    NotModified,
    Answer(Envelope<'a>),
}

impl<'a> Read<'a> {
    fn of(status: http::StatusCode, body: &'a [u8]) -> Result<Self, ClientError> {
        match status {
            http::StatusCode::OK => Ok(Self::Answer(Envelope::parse(body)?)),
            http::StatusCode::NOT_MODIFIED => Ok(Self::NotModified),
            found => Err(ClientError::Status { found, expected: "200 or 304" }),
        }
    }
}

fn record(client: &Client, read: &Read<'_>, stamp_ns: u64) -> Result<Poll, ClientError> {
    let Read::Answer(envelope) = read else {
        return Ok(Poll { last: None, quotes: 0, done_ns: stamp_ns });
    };
    let quotes = envelope.quotes()?;
    let count = quotes.len();
    if envelope.snapshot {
        client.snapshot(envelope.last, quotes.into_iter().map(|(seq, _)| seq), stamp_ns);
    } else {
        client.quotes(quotes.into_iter(), stamp_ns);
    }
    Ok(Poll { last: Some(envelope.last), quotes: count, done_ns: stamp_ns })
}
