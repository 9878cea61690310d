//! NDJSON streaming: one long response, a line for each message; a page's `fetch` and `ReadableStream`.

use std::{pin::pin, time::Duration};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use measurement::result::{Model, ModelKind};
use ticker::clock;
use wire::Bodies;

use super::{
    Conflict, Ran,
    http::Http,
    message::{self, Incoming as Message},
    page::Page,
    response::Opening,
};
use crate::{
    plan::{Carrier, Http as Version, TransportOptions, Workload},
    scenario::headers::Initiator,
    socket::Socket,
    worker::{Client, ClientError},
};

mod direct;

pub(super) use self::direct::direct;

pub(super) const INITIATOR: Initiator = Initiator::Fetch;
pub(super) const KEYS: &[&str] = &["http", "tls", "coalesce"];
pub(super) const HTTP: &[Version] = &[Version::H1, Version::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = None;
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] = &[
    Workload::Ticker,
    Workload::Idle,
    Workload::Burst,
    Workload::Storm,
    Workload::SlowReader,
    Workload::Mixed,
];
pub(super) const SCHEMES: &[&str] = &["http", "https"];
pub(super) const PEER_KEYS: &[&str] = &[];
/// No page of ours speaks it.
pub(super) const PAGE: Option<Page> = None;
/// Blank lines are sent only into silence, which a feed with updates has none of.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const PATH: &str = "/ndjson";
const MEDIA_TYPE: &str = "application/x-ndjson";
/// A line without an end would fill the memory.
const LONGEST_LINE: usize = 16 << 20;

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    format!("ndjson{}", super::connection(options))
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

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut http = Http::open(client, Bodies::Lines).await?;
    let ran = converse(client, stands, &mut http, from_ns).await;
    http.close(client).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, http: &mut Http, from_ns: u64) -> Ran {
    let path =
        client.resumes_after().map_or_else(|| PATH.to_owned(), |after| format!("{PATH}?after={after}"));
    let opening = Opening { path: &path, own: &[], media_type: MEDIA_TYPE };
    let body = opening.stream(client, http, (stands, from_ns)).await?;
    follow(client, stands, http.socket(), body, from_ns).await
}

async fn follow(
    client: &Client,
    stands: &mut bool,
    socket: &Socket,
    mut body: Incoming,
    from_ns: u64,
) -> Ran {
    let mut lines = Lines::default();
    let mut closing = pin!(client.closing());
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame.ok_or(ClientError::Closed)??,
            () = &mut closing => return Ok(()),
        };
        let Ok(bytes) = frame.into_data() else { continue };
        lines.take(&bytes, |line| take(client, socket, line))?;
        if lines.any && !*stands {
            *stands = true;
            client.connected(from_ns, socket.last_read_ns());
        }
    }
}

/// Records one line.
fn take(client: &Client, socket: &Socket, line: &[u8]) -> Ran {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    message::take(client, &Message::of(line), |payload| socket.claim(payload).map(|unit| unit.stamp_ns))?;
    Ok(())
}

/// What has come of a line.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    any: bool,
}

impl Lines {
    /// Hands over each line that is whole, without its end; blank ones are heartbeats.
    fn take(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8]) -> Ran) -> Ran {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (piece, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.begun.is_empty() {
                if !piece.is_empty() {
                    self.any = true;
                    line(piece)?;
                }
                continue;
            }
            self.begun.extend_from_slice(piece);
            self.any = true;
            line(&self.begun)?;
            self.begun.clear();
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() > LONGEST_LINE { Err(ClientError::LongLine) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"{1}\n\n{22}\r\n{3}";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines
                    .take(piece, |line| {
                        seen.push(String::from_utf8(line.to_vec()).unwrap());
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(seen, ["{1}", "{22}\r"], "pieces of {size}");
            assert_eq!(lines.begun, b"{3}");
        }
    }
}
