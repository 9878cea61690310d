//! WebSocket: one upgraded connection; tokio-tungstenite on the counting stream.

use std::{pin::pin, rc::Rc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use measurement::result::{Model, ModelKind};
use ticker::clock;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, handshake::client::generate_key, protocol::WebSocketConfig},
};

use super::{
    Conflict, Ran,
    message::{self, Incoming},
    request,
};
use crate::{
    plan::{Carrier, Deflate, Encoding, Http, TransportOptions},
    scenario::headers::Initiator,
    socket::{Socket, Wire},
    worker::{Client, ClientError},
};

pub(super) const INITIATOR: Initiator = Initiator::WebSocket;
pub(super) const KEYS: &[&str] = &["http", "tls", "encoding", "deflate"];
pub(super) const HTTP: &[Http] = &[Http::H1, Http::H2];
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const SCHEMES: &[&str] = &["ws", "wss"];
pub(super) const PEER_KEYS: &[&str] = &["subprotocols", "send", "keepalive"];
/// An empty ping of 2 bytes and its masked pong of 6 (RFC 6455 section 5.5).
pub(super) const HEARTBEAT_BYTES: u64 = 8;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const PATH: &str = "/ws";
const SUBPROTOCOL: &str = "ticker.json.v1";
/// tungstenite's own default of 128 KiB costs 137 kB and 3.4 times the processor time for each client.
const READ_BUFFER: usize = 4096;
const LONGEST_MESSAGE: usize = 16 << 20;

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

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let socket = client.connect().await.map_err(ClientError::Connect)?;
    let ran = converse(client, stands, &socket, from_ns).await;
    client.finish(socket).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, socket: &Rc<Socket>, from_ns: u64) -> Ran {
    let mut stream = upgrade(client, socket).await?;
    match &client.plan().peer {
        // Somebody else's stream stands once it was told what is wanted.
        Some(peer) => {
            for text in &peer.open.send {
                say(&mut stream, socket, &text.filled).await?;
            }
        }
        // The first message is the snapshot: with it the stream stands.
        None => {
            let first = stream.next().await.ok_or(ClientError::Closed)??;
            take(client, socket, &first)?;
        }
    }
    *stands = true;
    client.connected(from_ns, socket.last_read_ns());
    let mut closing = pin!(client.closing());
    let mut keepalive = KeepAlive::of(client);
    loop {
        let message = tokio::select! {
            biased;
            message = stream.next() => message.ok_or(ClientError::Closed)??,
            () = &mut closing => break,
            () = keepalive.due(client) => {
                keepalive.send(client, &mut stream, socket).await?;
                continue;
            }
        };
        take(client, socket, &message)?;
    }
    close(stream, client, socket).await
}

/// Sends a text message. Nothing that a client says is an update.
async fn say(stream: &mut WebSocketStream<Wire>, socket: &Socket, text: &str) -> Ran {
    stream.send(Message::text(text)).await?;
    socket.claim_sent().ok_or(ClientError::Unscanned)?;
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

    async fn send(&mut self, client: &Client, stream: &mut WebSocketStream<Wire>, socket: &Socket) -> Ran {
        self.put_off(client);
        let Some(keepalive) = client.plan().peer.as_ref().and_then(|peer| peer.open.keepalive.as_ref())
        else {
            return Ok(());
        };
        match keepalive.send.filled.as_str() {
            "ping" => Ok(stream.send(Message::Ping(bytes::Bytes::new())).await?),
            text => say(stream, socket, text).await,
        }
    }
}

async fn upgrade(client: &Client, socket: &Rc<Socket>) -> Result<WebSocketStream<Wire>, ClientError> {
    let endpoint = client.endpoint();
    let mut own = vec![
        ("connection", "Upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-version", "13".to_owned()),
        ("sec-websocket-key", generate_key()),
    ];
    let offered = subprotocols(client);
    if !offered.is_empty() {
        own.push(("sec-websocket-protocol", offered));
    }
    if !client.plan().sets_origin() {
        own.push(("origin", endpoint.origin()));
    }
    let scheme = if endpoint.is_secure() { "wss" } else { "ws" };
    let path = endpoint.path.as_deref().unwrap_or(PATH);
    let request = request::get(client, &format!("{scheme}://{}{path}", endpoint.authority), &own, ())?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST_MESSAGE));
    let (stream, response) = client_async_with_config(request, socket.wire(), Some(config)).await?;
    match response.status() {
        http::StatusCode::SWITCHING_PROTOCOLS => Ok(stream),
        found => Err(ClientError::Status { found, expected: "101" }),
    }
}

/// What is offered: the scenario's subprotocols, or the ticker's own to a server that speaks it.
fn subprotocols(client: &Client) -> String {
    match &client.plan().peer {
        Some(peer) if !peer.open.subprotocols.is_empty() => peer.open.subprotocols.join(", "),
        Some(_) if client.worker.mapping.is_some() || client.worker.listening.is_some() => String::new(),
        Some(_) | None => SUBPROTOCOL.to_owned(),
    }
}

/// Records one message.
fn take(client: &Client, socket: &Socket, message: &Message) -> Ran {
    let text = match message {
        Message::Text(text) => text.as_bytes(),
        // Some servers send their JSON as binary.
        Message::Binary(bytes) => bytes,
        Message::Close(_) => return Err(ClientError::Closed),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
    };
    message::take(client, &Incoming::of(text), |payload| socket.claim(payload).map(|unit| unit.stamp_ns))?;
    Ok(())
}

/// The close handshake (RFC 6455 section 7.1.2): our close frame, then what is still on its way, then theirs.
async fn close(mut stream: WebSocketStream<Wire>, client: &Client, socket: &Socket) -> Ran {
    stream.send(Message::Close(None)).await?;
    while let Some(Ok(message)) = stream.next().await {
        match take(client, socket, &message) {
            Err(ClientError::Closed) => {}
            taken => taken?,
        }
    }
    Ok(())
}
