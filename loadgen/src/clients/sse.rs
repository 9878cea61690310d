//! Server-sent events: one long response; the browser's EventSource.

use std::{pin::pin, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use measurement::result::{Model, ModelKind};
use sse_stream::{Sse, SseStream};
use ticker::clock;

use super::{
    Conflict, Ran,
    message::{self, Incoming as Message},
    request,
};
use crate::{
    plan::{Carrier, Http, TransportOptions},
    scenario::headers::Initiator,
    socket::Socket,
    worker::{Client, ClientError},
};

pub(super) const INITIATOR: Initiator = Initiator::EventSource;
pub(super) const KEYS: &[&str] = &["http", "tls"];
pub(super) const HTTP: &[Http] = &[Http::H1, Http::H2];
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const SCHEMES: &[&str] = &["http", "https"];
pub(super) const PEER_KEYS: &[&str] = &["event"];
/// Comments are sent only into silence, which a feed with updates has none of.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

/// An idle stream holds little; hyper's own adaptive buffer grows with bursts.
const READ_BUFFER: usize = 8192;
const PATH: &str = "/sse";

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

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let socket = client.connect().await.map_err(ClientError::Connect)?;
    let ran = converse(client, stands, &socket, from_ns).await;
    client.finish(socket).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, socket: &Rc<Socket>, from_ns: u64) -> Ran {
    let (mut requests, connection) =
        http1::Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(socket.wire())).await?;
    let connection = tokio::task::spawn_local(connection);
    let own = [("accept", "text/event-stream".to_owned()), ("cache-control", "no-cache".to_owned())];
    let path = client.endpoint().path.as_deref().unwrap_or(PATH);
    let response = requests.send_request(request::get(client, path, &own, Empty::<Bytes>::new())?).await?;
    if response.status() != http::StatusCode::OK {
        return Err(ClientError::Status { found: response.status(), expected: "200" });
    }
    request::refuse_coding(response.headers())?;
    check_type(response.headers())?;
    if client.plan().peer.is_some() {
        // Somebody else's stream stands with its head; the reference server's with its snapshot.
        *stands = true;
        client.connected(from_ns, clock::now_ns());
    }
    let followed = follow(client, stands, socket, response.into_body(), from_ns).await;
    // hyper gives the connection up; closing it in order is the socket's business.
    drop(requests);
    connection.abort();
    let _ = connection.await;
    followed
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

/// Anything else than an event stream is read by no EventSource (WHATWG HTML section 9.2.2).
fn check_type(headers: &http::HeaderMap) -> Ran {
    let found =
        headers.get(http::header::CONTENT_TYPE).map(|found| String::from_utf8_lossy(found.as_bytes()));
    match found.as_deref() {
        Some(found) if found.to_ascii_lowercase().starts_with("text/event-stream") => Ok(()),
        found => Err(ClientError::Type {
            found: found.unwrap_or("none").to_owned(),
            expected: "text/event-stream",
        }),
    }
}
