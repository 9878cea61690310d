//! WebSocket: one upgraded connection, or one stream of an HTTP/2 connection; frames on the counting stream.

mod chat;
mod direct;
pub mod echo;
mod frames;
mod handshake;
mod publishing;

use std::{pin::pin, rc::Rc, time::Duration};

use measurement::result::{Model, ModelKind};
use serde_json::{Value, json};
use ticker::clock;
use wire::Bodies;

use self::frames::{Frames, Said};
use super::{
    Conflict, Ran,
    http::Http,
    message::{self, Incoming},
    page::{self, Page},
};
use crate::{
    plan::{Carrier, Deflate, Encoding, Http as Version, TransportOptions, Workload},
    scenario::headers::Initiator,
    socket::Socket,
    worker::{Client, ClientError, Job},
};

pub(super) use self::direct::direct;

pub(super) const INITIATOR: Initiator = Initiator::WebSocket;
pub(super) const KEYS: &[&str] = &["http", "tls", "encoding", "deflate", "coalesce"];
pub(super) const HTTP: &[Version] = &[Version::H1, Version::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = None;
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] = &[
    Workload::Ticker,
    Workload::Echo,
    Workload::Uplink,
    Workload::Chat,
    Workload::Idle,
    Workload::Burst,
    Workload::Storm,
    Workload::SlowReader,
    Workload::Mixed,
];
pub(super) const SCHEMES: &[&str] = &["ws", "wss"];
pub(super) const PEER_KEYS: &[&str] = &["subprotocols", "send", "keepalive"];
pub(super) const PAGE: Option<Page> =
    Some(Page { script: include_str!("websocket/page.js"), task, conflict: page::any });
/// An empty ping of 2 bytes and its masked pong of 6 (RFC 6455 section 5.5).
pub(super) const HEARTBEAT_BYTES: u64 = 8;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const PATH: &str = "/ws";
const ECHO_PATH: &str = "/ws/echo";
const UPLINK_PATH: &str = "/ws/uplink";
/// Longest wait for the server's answer to our close frame.
const CLOSING_TIME: Duration = Duration::from_secs(3);

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    let mut label = "websocket".to_owned();
    if options.encoding == Encoding::Binary {
        label.push_str(" binary");
    }
    match options.deflate {
        Deflate::Off => {}
        Deflate::Takeover => label.push_str(" deflate"),
        Deflate::NoTakeover => label.push_str(" deflate, no takeover"),
    }
    label + &super::connection(options)
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
    let deflates = (options.deflate != Deflate::Off).then_some(Conflict {
        what: "`engine = \"direct\"` and `deflate`",
        why: "the direct engine inflates nothing: leave one of the two out",
    });
    super::not_plain(options).or(deflates)
}

/// What a tab is told.
fn task(job: &Job, index: usize) -> Value {
    let symbols = page::symbols(job, index);
    let path = if symbols.is_null() { PATH.to_owned() } else { format!("{PATH}?symbols=") };
    json!({ "path": path, "symbols": symbols, "subprotocol": handshake::ours(job.variant.options.encoding) })
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let path = path(client);
    if client.plan().options.http == Version::H1 {
        let socket = client.connect(Bodies::Frames).await.map_err(ClientError::Connect)?;
        let ran = async {
            let frames = handshake::upgrade(client, &socket, &path).await?;
            converse(client, stands, (frames, &socket), from_ns).await
        };
        let ran = ran.await;
        client.finish(socket).await;
        return ran;
    }
    let mut http = Http::open(client, Bodies::Frames).await?;
    let ran = async {
        http.await_extended_connect(client).await?;
        let frames = handshake::connect(client, &mut http, &path).await?;
        let socket = Rc::clone(http.socket());
        converse(client, stands, (frames, &socket), from_ns).await
    };
    let ran = ran.await;
    http.close(client).await;
    ran
}

/// The url's path and query, or the reference server's; symbols are said in a message.
fn path(client: &Client) -> String {
    match (&client.endpoint().path, client.symbols()) {
        (Some(path), _) => super::chat::in_place(client, path),
        (None, _) if client.plan().workload == Workload::Chat => chat::path(client),
        (None, _) if client.plan().workload == Workload::Echo => ECHO_PATH.to_owned(),
        (None, _) if client.plan().workload == Workload::Uplink => UPLINK_PATH.to_owned(),
        (None, None) => match client.resumes_after() {
            Some(after) => format!("{PATH}?after={after}"),
            None => PATH.to_owned(),
        },
        (None, Some(_)) => format!("{PATH}?symbols="),
    }
}

async fn converse(
    client: &Client,
    stands: &mut bool,
    (mut frames, socket): (Frames, &Socket),
    from_ns: u64,
) -> Ran {
    if client.plan().workload.clients_publish() {
        return publishing::converse(client, stands, (frames, socket), from_ns).await;
    }
    if client.plan().workload == Workload::Chat {
        return chat::converse(client, stands, (frames, socket), from_ns).await;
    }
    match &client.plan().peer {
        // Somebody else's stream stands once it was told what is wanted.
        Some(peer) => {
            for text in &peer.open.send {
                say(&mut frames, socket, &text.filled).await?;
            }
        }
        // With the snapshot of what it wants the stream stands.
        None => {
            if let Some(symbols) = client.symbols() {
                subscribe(&mut frames, socket, &symbols).await?;
            }
            let first = frames.next().await?;
            take(client, socket, &frames, &first)?;
        }
    }
    *stands = true;
    client.connected(from_ns, socket.last_read_ns());
    let mut closing = pin!(client.closing());
    let mut keepalive = KeepAlive::of(client);
    loop {
        let said = tokio::select! {
            biased;
            said = frames.next() => said?,
            () = &mut closing => break,
            () = keepalive.due(client) => {
                keepalive.send(client, &mut frames, socket).await?;
                continue;
            }
        };
        if let Said::Close(code) = &said {
            client.closed(*code, None);
            return Err(ClientError::Closed);
        }
        take(client, socket, &frames, &said)?;
    }
    close_with(frames, client, |frames, said| take(client, socket, frames, said)).await
}

/// The stream begins with the snapshot of nothing; what is wanted comes in a message.
async fn subscribe(frames: &mut Frames, socket: &Socket, symbols: &[String]) -> Ran {
    frames.next().await?;
    socket.claim(0).ok_or(ClientError::Unscanned)?;
    say(frames, socket, &serde_json::json!({ "subscribe": symbols }).to_string()).await
}

/// Sends a text message. Nothing that a client says is an update.
async fn say(frames: &mut Frames, socket: &Socket, text: &str) -> Ran {
    frames.text(text).await?;
    // In a stream of HTTP/2 it is written by the connection's own task.
    while socket.claim_sent().is_none() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// What the scenario wants to be sent from time to time.
struct KeepAlive {
    next_ns: u64,
}

impl KeepAlive {
    fn of(client: &Client) -> Self {
        let mut keepalive = Self { next_ns: clock::now_ns() };
        keepalive.put_off(client);
        keepalive
    }

    fn put_off(&mut self, client: &Client) {
        let every = client.plan().peer.as_ref().and_then(|peer| Some(peer.open.keepalive.as_ref()?.every));
        self.next_ns = every.map_or(u64::MAX, |every| self.next_ns + every.as_nanos() as u64);
    }

    async fn due(&self, client: &Client) {
        if self.next_ns == u64::MAX {
            std::future::pending::<()>().await;
        }
        client.worker.pacer.at(self.next_ns).await;
    }

    async fn send(&mut self, client: &Client, frames: &mut Frames, socket: &Socket) -> Ran {
        self.put_off(client);
        let Some(keepalive) = client.plan().peer.as_ref().and_then(|peer| peer.open.keepalive.as_ref())
        else {
            return Ok(());
        };
        match keepalive.send.filled.as_str() {
            "ping" => frames.ping().await,
            text => say(frames, socket, text).await,
        }
    }
}

/// Records one message.
fn take(client: &Client, socket: &Socket, frames: &Frames, said: &Said) -> Ran {
    let bytes = match said {
        Said::Message(bytes) => bytes,
        Said::Close(_) => return Err(ClientError::Closed),
        Said::Control => return Ok(()),
    };
    message::take(client, &Incoming::of(bytes), |payload| {
        let unit = if frames.are_compressed() {
            socket.claim_share(payload, bytes.len() as u64)
        } else {
            socket.claim(payload)
        };
        unit.map(|unit| unit.stamp_ns)
    })?;
    Ok(())
}

/// The close handshake (RFC 6455 section 7.1.2): our close frame, then what is still on its way, then theirs.
async fn close_with(mut frames: Frames, client: &Client, take: impl Fn(&Frames, &Said) -> Ran) -> Ran {
    let from_ns = clock::now_ns();
    frames.close().await?;
    let answered = async {
        loop {
            match frames.next().await {
                Ok(Said::Close(code)) => return Ok(Some(code)),
                Ok(said) => take(&frames, &said)?,
                Err(_) => return Ok(None),
            }
        }
    };
    match tokio::time::timeout(CLOSING_TIME, answered).await {
        Ok(Ok(Some(code))) => client.closed(code, Some(from_ns)),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(None)) | Err(_) => client.unclosed(),
    }
    // tungstenite ends its stream only when it is asked once more.
    let _ = tokio::time::timeout(CLOSING_TIME, frames.next()).await;
    Ok(())
}
