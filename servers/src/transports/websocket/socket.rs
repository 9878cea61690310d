//! The frames of one conversation: tungstenite, or yawc where messages are compressed (tungstenite cannot).
//!
//! It knows messages and control frames, no quotes and no feed.

use std::io::ErrorKind;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use yawc::{Frame, OpCode, Options, WebSocket as Deflating, WebSocketError};

use super::negotiation::Extension;
use crate::conditions::{FRAMES_READ_BUFFER, FRAMES_WRITE_BUFFER};

/// What a connection may hold.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Longest message of the client, decompressed.
    pub(super) longest_message: usize,
    /// Most bytes that wait to be written.
    pub(super) most_waiting: usize,
}

/// A message.
#[derive(Clone)]
pub(super) enum Payload {
    Text(Utf8Bytes),
    Binary(Bytes),
}

impl Payload {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// What came from the client.
pub(super) enum Came {
    Message(Payload),
    Pong,
    /// A ping, which the library answers.
    Ping,
    /// The client's close frame, still to be answered.
    Close,
}

/// Why nothing more can be read or written.
pub(super) enum Broken {
    /// The client broke the rules, which our close frame has to say.
    Rules(CloseCode, &'static str),
    /// The client broke the rules, and the library has a close frame ready.
    Told,
    /// There is nobody left.
    Gone,
}

/// The frames of one connection.
pub(super) enum Socket {
    Plain(Box<WebSocketStream<TokioIo<Upgraded>>>),
    Deflating(Box<Deflating<TokioIo<Upgraded>>>),
}

impl Socket {
    /// Frames over an upgraded connection.
    pub(super) async fn over(
        upgraded: Upgraded,
        limits: Limits,
        extension: Option<&Extension>,
    ) -> Result<Self, Broken> {
        let io = TokioIo::new(upgraded);
        let Some(extension) = extension else {
            let config = plain(limits);
            let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
            return Ok(Self::Plain(Box::new(stream)));
        };
        let agreed = extension.to_string();
        let stream =
            Deflating::from_stream_with_extensions(io, yawc::Role::Server, Some(&agreed), deflating(limits));
        stream.map(|stream| Self::Deflating(Box::new(stream))).map_err(|_| Broken::Gone)
    }

    /// The next message or control frame. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Result<Came, Broken> {
        match self {
            Self::Plain(stream) => match stream.next().await.ok_or(Broken::Gone)? {
                Ok(Message::Text(text)) => Ok(Came::Message(Payload::Text(text))),
                Ok(Message::Binary(bytes)) => Ok(Came::Message(Payload::Binary(bytes))),
                Ok(Message::Pong(_)) => Ok(Came::Pong),
                Ok(Message::Ping(_) | Message::Frame(_)) => Ok(Came::Ping),
                Ok(Message::Close(_)) => Ok(Came::Close),
                Err(error) => Err(broken(&error)),
            },
            Self::Deflating(stream) => {
                let frame = match stream.next_frame().await {
                    Ok(frame) => frame,
                    Err(error) => return Err(deflating_broken(&error, stream)),
                };
                let (opcode, _, payload) = frame.into_parts();
                Ok(match opcode {
                    OpCode::Text => {
                        let text = Utf8Bytes::try_from(payload);
                        let broken = |_| Broken::Rules(CloseCode::Invalid, "text is not UTF-8");
                        Came::Message(Payload::Text(text.map_err(broken)?))
                    }
                    OpCode::Binary | OpCode::Continuation => Came::Message(Payload::Binary(payload)),
                    OpCode::Pong => Came::Pong,
                    OpCode::Ping => Came::Ping,
                    OpCode::Close => Came::Close,
                })
            }
        }
    }

    /// Queues a message; written at the latest with the next [`Self::flush`].
    pub(super) async fn feed(&mut self, payload: Payload) -> Result<(), Broken> {
        match self {
            Self::Plain(stream) => {
                let message = match payload {
                    Payload::Text(text) => Message::Text(text),
                    Payload::Binary(bytes) => Message::Binary(bytes),
                };
                stream.feed(message).await.map_err(|_| Broken::Gone)
            }
            Self::Deflating(stream) => {
                let frame = match payload {
                    Payload::Text(text) => Frame::text(Bytes::from(text)),
                    Payload::Binary(bytes) => Frame::binary(bytes),
                };
                stream.feed(frame).await.map_err(|_| Broken::Gone)
            }
        }
    }

    /// Writes all that is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        match self {
            Self::Plain(stream) => stream.flush().await.map_err(|_| Broken::Gone),
            Self::Deflating(stream) => stream.flush().await.map_err(|_| Broken::Gone),
        }
    }

    /// Sends an empty ping.
    pub(super) async fn ping(&mut self) -> Result<(), Broken> {
        match self {
            Self::Plain(stream) => stream.send(Message::Ping(Bytes::new())).await.map_err(|_| Broken::Gone),
            Self::Deflating(stream) => stream.send(Frame::ping(Bytes::new())).await.map_err(|_| Broken::Gone),
        }
    }

    /// Sends our close frame.
    pub(super) async fn close(&mut self, code: CloseCode, reason: &'static str) -> Result<(), Broken> {
        match self {
            Self::Plain(stream) => {
                let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                stream.send(Message::Close(Some(frame))).await.map_err(|_| Broken::Gone)
            }
            Self::Deflating(stream) => {
                let code = yawc::close::CloseCode::from(u16::from(code));
                stream.send(Frame::close(code, reason)).await.map_err(|_| Broken::Gone)
            }
        }
    }

    /// Reads until the client has closed; answers what is still to be answered on the way.
    pub(super) async fn read_out(&mut self) {
        let _ = self.flush().await;
        while self.next().await.is_ok() {}
    }
}

fn plain(limits: Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(FRAMES_READ_BUFFER)
        .write_buffer_size(FRAMES_WRITE_BUFFER)
        .max_write_buffer_size(limits.most_waiting)
        .max_message_size(Some(limits.longest_message))
        .max_frame_size(Some(limits.longest_message))
}

/// The window of 32 KiB is zlib's, for each connection and direction; the level is its default.
fn deflating(limits: Limits) -> Options {
    Options::default()
        .with_balanced_compression()
        .with_limits(limits.longest_message, 2 * limits.longest_message)
        .with_read_buffer_capacity(FRAMES_READ_BUFFER)
        .with_write_buffer_capacity(FRAMES_READ_BUFFER)
        .with_backpressure_boundary(FRAMES_WRITE_BUFFER)
}

/// The close code for what a client did wrong (RFC 6455 section 7.4.1).
fn broken(error: &Error) -> Broken {
    match error {
        Error::Capacity(_) => Broken::Rules(CloseCode::Size, "message too long"),
        Error::Utf8(_) => Broken::Rules(CloseCode::Invalid, "text is not UTF-8"),
        Error::Protocol(_) => Broken::Rules(CloseCode::Protocol, "broken frame"),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Broken::Gone,
    }
}

/// yawc queues a close frame for a fault that it finds in a frame. What it finds when it puts fragments together it
/// only reports, and reads on.
fn deflating_broken(error: &WebSocketError, stream: &mut Deflating<TokioIo<Upgraded>>) -> Broken {
    // What does not inflate is an I/O error here, too, but has its close frame like every fault.
    let gone = matches!(error, WebSocketError::ConnectionClosed)
        || matches!(error, WebSocketError::IoError(error) if error.kind() != ErrorKind::InvalidInput);
    if gone {
        return Broken::Gone;
    }
    let has_told = matches!(stream.next_frame().now_or_never(), Some(Err(WebSocketError::ConnectionClosed)));
    if has_told {
        Broken::Told
    } else if matches!(error, WebSocketError::FrameTooLarge) {
        Broken::Rules(CloseCode::Size, "message too long")
    } else {
        Broken::Rules(CloseCode::Protocol, "broken frame")
    }
}
