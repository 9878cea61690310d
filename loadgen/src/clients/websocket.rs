//! WebSocket: one upgraded connection; tokio-tungstenite on the counting stream.

use std::{pin::pin, rc::Rc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use measurement::result::{Model, ModelKind};
use ticker::clock;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, handshake::client::generate_key, protocol::WebSocketConfig},
};

use super::{Ran, envelope, request};
use crate::{
    plan::TransportOptions,
    scenario::headers::Initiator,
    socket::{Socket, Wire},
    worker::{Client, ClientError},
};

pub(super) const INITIATOR: Initiator = Initiator::WebSocket;
pub(super) const KEYS: &[&str] = &[];
/// An empty ping of 2 bytes and its masked pong of 6 (RFC 6455 section 5.5).
pub(super) const HEARTBEAT_BYTES: u64 = 8;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const SUBPROTOCOL: &str = "ticker.json.v1";
/// tungstenite's own default of 128 KiB costs 137 kB and 3.4 times the processor time for each client.
const READ_BUFFER: usize = 4096;
const LONGEST_MESSAGE: usize = 16 << 20;

pub(super) fn label(_options: &TransportOptions) -> String {
    "websocket".to_owned()
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
    // The first message is the snapshot: with it the stream stands.
    let first = stream.next().await.ok_or(ClientError::Closed)??;
    take(client, socket, &first)?;
    *stands = true;
    client.connected(from_ns, socket.last_read_ns());
    let mut closing = pin!(client.closing());
    loop {
        let message = tokio::select! {
            biased;
            message = stream.next() => message.ok_or(ClientError::Closed)??,
            () = &mut closing => break,
        };
        take(client, socket, &message)?;
    }
    close(stream, client, socket).await
}

async fn upgrade(client: &Client, socket: &Rc<Socket>) -> Result<WebSocketStream<Wire>, ClientError> {
    let address = client.worker.job.address;
    let own = [
        ("connection", "Upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-version", "13".to_owned()),
        ("sec-websocket-key", generate_key()),
        ("sec-websocket-protocol", SUBPROTOCOL.to_owned()),
        ("origin", format!("http://{address}")),
    ];
    let request = request::get(client, &format!("ws://{address}/ws"), &own, ())?;
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

/// Records one message; the receipt is the read that completed it.
fn take(client: &Client, socket: &Socket, message: &Message) -> Ran {
    let text = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Close(_) => return Err(ClientError::Closed),
        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
    };
    if envelope::is_envelope(text) {
        let envelope = envelope::Envelope::parse(text)?;
        let unit = socket.claim(envelope.payload_bytes()).ok_or(ClientError::Unscanned)?;
        client.snapshot(envelope.last, envelope.quotes()?.into_iter().map(|(seq, _)| seq), unit.stamp_ns);
        return Ok(());
    }
    let unit = socket.claim(text.len() as u64).ok_or(ClientError::Unscanned)?;
    client.quotes(std::iter::once(envelope::parse_quote(text)?), unit.stamp_ns);
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
