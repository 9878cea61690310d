//! Messages over a carried byte stream: tungstenite, or yawc where the handshake agreed on compression.
//!
//! It knows frames and neither quotes nor sockets.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};
use yawc::{Frame, OpCode, Options, WebSocket as Deflating};

use crate::{conditions::FRAMES_READ_BUFFER, socket::Wire, worker::ClientError};

const LONGEST_MESSAGE: usize = 16 << 20;

/// What came.
pub(super) enum Said {
    /// A text or binary message, decompressed.
    Message(Bytes),
    /// The server's close frame with its code, if it has one.
    Close(Option<u16>),
    /// A ping or pong; the library answers.
    Control,
}

/// The frames of one connection.
pub(super) enum Frames {
    Plain(Box<WebSocketStream<Carried>>),
    Deflating(Box<Deflating<Carried>>),
}

impl Frames {
    /// Frames without compression, or with what the handshake agreed on.
    pub(super) async fn over(carried: Carried, extensions: Option<&str>) -> Result<Self, ClientError> {
        let Some(agreed) = extensions else {
            let config = WebSocketConfig::default()
                .read_buffer_size(FRAMES_READ_BUFFER)
                .write_buffer_size(0)
                .max_message_size(Some(LONGEST_MESSAGE));
            let stream = WebSocketStream::from_raw_socket(carried, Role::Client, Some(config)).await;
            return Ok(Self::Plain(Box::new(stream)));
        };
        let options = Options::default()
            .with_balanced_compression()
            .with_utf8()
            .with_limits(LONGEST_MESSAGE, 2 * LONGEST_MESSAGE)
            .with_read_buffer_capacity(FRAMES_READ_BUFFER)
            .with_write_buffer_capacity(FRAMES_READ_BUFFER);
        let stream =
            Deflating::from_stream_with_extensions(carried, yawc::Role::Client, Some(agreed), options)?;
        Ok(Self::Deflating(Box::new(stream)))
    }

    /// Whether messages on the wire are shorter than what they say.
    pub(super) fn are_compressed(&self) -> bool {
        matches!(self, Self::Deflating(_))
    }

    /// The next message or control frame. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Result<Said, ClientError> {
        match self {
            Self::Plain(stream) => Ok(match stream.next().await.ok_or(ClientError::Closed)?? {
                Message::Text(text) => Said::Message(text.into()),
                Message::Binary(bytes) => Said::Message(bytes),
                Message::Close(frame) => Said::Close(frame.map(|frame| frame.code.into())),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Said::Control,
            }),
            Self::Deflating(stream) => {
                let frame = stream.next_frame().await.map_err(|error| {
                    let closed = matches!(error, yawc::WebSocketError::ConnectionClosed);
                    if closed { ClientError::Closed } else { ClientError::Deflated(error) }
                })?;
                Ok(match frame.opcode() {
                    OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                        Said::Message(frame.into_payload())
                    }
                    OpCode::Close => Said::Close(frame.close_code().map(u16::from)),
                    OpCode::Ping | OpCode::Pong => Said::Control,
                })
            }
        }
    }

    /// Sends a text message.
    pub(super) async fn text(&mut self, text: &str) -> Result<(), ClientError> {
        match self {
            Self::Plain(stream) => Ok(stream.send(Message::text(text)).await?),
            Self::Deflating(stream) => Ok(stream.send(Frame::text(text.to_owned())).await?),
        }
    }

    /// Sends a binary message.
    pub(super) async fn binary(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        match self {
            Self::Plain(stream) => Ok(stream.send(Message::binary(bytes)).await?),
            Self::Deflating(stream) => Ok(stream.send(Frame::binary(bytes)).await?),
        }
    }

    /// Sends an empty ping.
    pub(super) async fn ping(&mut self) -> Result<(), ClientError> {
        match self {
            Self::Plain(stream) => Ok(stream.send(Message::Ping(Bytes::new())).await?),
            Self::Deflating(stream) => Ok(stream.send(Frame::ping(Bytes::new())).await?),
        }
    }

    /// Sends our close frame (RFC 6455 section 7.1.2).
    pub(super) async fn close(&mut self) -> Result<(), ClientError> {
        match self {
            Self::Plain(stream) => Ok(stream.send(Message::Close(None)).await?),
            Self::Deflating(stream) => {
                Ok(stream.send(Frame::close(yawc::close::CloseCode::Normal, [])).await?)
            }
        }
    }
}

/// The byte stream below: the connection itself, or one stream of an HTTP/2 connection.
pub(super) enum Carried {
    /// With what came together with the answer to the handshake.
    Own {
        /// Still to be read.
        rest: Bytes,
        /// The connection.
        wire: Wire,
    },
    /// RFC 8441.
    Stream(TokioIo<Upgraded>),
}

impl AsyncRead for Carried {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own { rest, .. } if !rest.is_empty() => {
                let taken = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..taken]);
                rest.advance(taken);
                Poll::Ready(Ok(()))
            }
            Self::Own { wire, .. } => Pin::new(wire).poll_read(cx, buf),
            Self::Stream(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Carried {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own { wire, .. } => Pin::new(wire).poll_write(cx, bytes),
            Self::Stream(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own { wire, .. } => Pin::new(wire).poll_flush(cx),
            Self::Stream(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own { wire, .. } => Pin::new(wire).poll_shutdown(cx),
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
