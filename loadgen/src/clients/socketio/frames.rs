//! The WebSocket of a session: each message is one packet. It knows frames and the probe, no events.

use std::rc::Rc;

use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Utf8Bytes, handshake::client::generate_key, protocol::WebSocketConfig},
};

use wire::Bodies;

use super::{Ran, Session, polls::path, request};
use crate::{
    conditions::FRAMES_READ_BUFFER,
    socket::{Socket, Wire},
    worker::{Client, ClientError},
};

const LONGEST_MESSAGE: usize = 16 << 20;

/// What came.
pub(super) enum Message {
    /// A packet.
    Text(Utf8Bytes),
    /// Part of one.
    Binary,
    /// A frame of WebSocket's own.
    Control,
}

/// An upgraded connection.
pub(super) struct Frames {
    stream: WebSocketStream<Wire>,
    socket: Rc<Socket>,
}

impl Frames {
    /// Connects, for a new session or, with the first half of the probe, for one that stands.
    pub(super) async fn open(client: &Client, sid: Option<&str>) -> Result<Self, ClientError> {
        let socket = client.connect(Bodies::Whole).await.map_err(ClientError::Connect)?;
        match Self::shake_hands(client, &socket, sid).await {
            Ok(stream) => Ok(Self { stream, socket }),
            Err(error) => {
                client.finish(socket).await;
                Err(error)
            }
        }
    }

    async fn shake_hands(
        client: &Client,
        socket: &Rc<Socket>,
        sid: Option<&str>,
    ) -> Result<WebSocketStream<Wire>, ClientError> {
        let endpoint = client.endpoint();
        let mut own = vec![
            ("connection", "Upgrade".to_owned()),
            ("upgrade", "websocket".to_owned()),
            ("sec-websocket-version", "13".to_owned()),
            ("sec-websocket-key", generate_key()),
        ];
        if !client.plan().sets_origin() {
            own.push(("origin", endpoint.origin()));
        }
        let scheme = if endpoint.is_secure() { "wss" } else { "ws" };
        let url = format!("{scheme}://{}{}", endpoint.authority, path(client, "websocket", sid));
        let request = request::of(client, Method::GET, &url, (&fields(client), &own), ())?;
        let config = WebSocketConfig::default()
            .read_buffer_size(FRAMES_READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(LONGEST_MESSAGE));
        let (mut stream, response) = client_async_with_config(request, socket.wire(), Some(config)).await?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::Status { found: response.status(), expected: "101" });
        }
        if sid.is_some() {
            say(&mut stream, socket, "2probe").await?;
        }
        Ok(stream)
    }

    /// Opens a second way into a session and waits for the server's word that it works.
    pub(super) async fn probe(client: &Client, sid: &str) -> Result<Self, ClientError> {
        let mut frames = Self::open(client, Some(sid)).await?;
        let answered = loop {
            match frames.next().await {
                Ok(Message::Text(text)) => {
                    let claimed = frames.claim(0).ok_or(ClientError::Unscanned).map(drop);
                    if text != "3probe" {
                        break Err(ClientError::Refused(text.to_string()));
                    }
                    break claimed;
                }
                Ok(Message::Control) => {}
                Ok(Message::Binary) => break Err(ClientError::Refused("a probe with bytes".to_owned())),
                Err(error) => break Err(error),
            }
        };
        match answered {
            Ok(()) => Ok(frames),
            Err(error) => {
                frames.finish(client).await;
                Err(error)
            }
        }
    }

    /// Sends a packet. Nothing that a client says is an update.
    pub(super) async fn say(&mut self, packet: &str) -> Ran {
        say(&mut self.stream, &self.socket, packet).await
    }

    /// Sends a packet that says something as a member of a room.
    pub(super) async fn publish(&mut self, packet: &str, payload: u64) -> Ran {
        self.stream.send(tungstenite::Message::text(packet)).await?;
        self.socket.claim_sent_payload(payload).ok_or(ClientError::Unscanned)?;
        Ok(())
    }

    /// The next message. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Result<Message, ClientError> {
        Ok(match self.stream.next().await.ok_or(ClientError::Closed)?? {
            tungstenite::Message::Text(text) => Message::Text(text),
            tungstenite::Message::Binary(_) => Message::Binary,
            tungstenite::Message::Close(_) => return Err(ClientError::Closed),
            tungstenite::Message::Ping(_)
            | tungstenite::Message::Pong(_)
            | tungstenite::Message::Frame(_) => Message::Control,
        })
    }

    /// The oldest message that was not claimed yet has so much payload; when it was received.
    pub(super) fn claim(&self, payload_bytes: u64) -> Option<u64> {
        self.socket.claim(payload_bytes).map(|unit| unit.stamp_ns)
    }

    /// The instant of the last read.
    pub(super) fn last_read_ns(&self) -> u64 {
        self.socket.last_read_ns()
    }

    /// Leaves the namespace, then the close handshake (RFC 6455 section 7.1.2) to its end.
    pub(super) async fn hang_up(&mut self, session: &mut Session<'_>) -> Ran {
        self.say(super::leave(session.client)).await?;
        self.stream.send(tungstenite::Message::Close(None)).await?;
        loop {
            let message = match self.next().await {
                Ok(message) => message,
                Err(_) => return Ok(()),
            };
            match session.take_message(self, &message, |_| {}) {
                Ok(_) | Err(ClientError::Closed) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes in order.
    pub(super) async fn finish(self, client: &Client) {
        drop(self.stream);
        client.finish(self.socket).await;
    }
}

async fn say(stream: &mut WebSocketStream<Wire>, socket: &Socket, packet: &str) -> Ran {
    stream.send(tungstenite::Message::text(packet)).await?;
    socket.claim_sent().ok_or(ClientError::Unscanned)?;
    Ok(())
}

/// The profile's fields, which are a fetch's, as a page's WebSocket has them.
fn fields(client: &Client) -> Vec<(String, String)> {
    let profile = &client.plan().headers;
    if !request::is_of_a_page(client) {
        return profile.clone();
    }
    let of_fetch = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("sec-") || ["accept", "authorization", "connection", "referer"].contains(&&*name)
    };
    let mut fields: Vec<_> = [
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
        // Offered because browsers do; it is not accepted.
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    fields.extend(profile.iter().filter(|(name, _)| !of_fetch(name)).cloned());
    fields
}
