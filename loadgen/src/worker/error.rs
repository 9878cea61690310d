//! What can go wrong with one client, whatever it speaks.

use std::io;

/// What can go wrong with one client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error("failed to connect: {0}")]
    Connect(#[source] io::Error),
    /// HTTP.
    #[error("failed to exchange HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// A request that cannot be formed.
    #[error("failed to form a request: {0}")]
    Request(#[from] http::Error),
    /// The pooled client.
    #[error("failed to exchange HTTP: {0}")]
    Pooled(#[from] reqwest::Error),
    /// Feed settings that make no schedule.
    #[error("failed to make the schedule: {0}")]
    Feed(#[from] ticker::FeedError),
    /// WebSocket.
    #[error("failed to exchange WebSocket messages: {0}")]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
    /// QUIC, HTTP/3 or the session above them.
    #[error("failed to exchange messages over QUIC: {0}")]
    Quic(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server listens for TCP only, or told no certificate.
    #[error("the server has no address for QUIC")]
    NoQuic,
    /// The cargo feature that this build leaves out.
    #[error("this build leaves it out: build with --features {0}")]
    LeftOut(&'static str),
    /// A message's length is no length.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// An event stream that is none.
    #[error("failed to read the event stream: {0}")]
    Events(#[from] sse_stream::Error),
    /// The status line of an answer.
    #[error("the server answered {found}, expected {expected}")]
    Status {
        /// What came.
        found: http::StatusCode,
        /// What the protocol wants.
        expected: &'static str,
    },
    /// A body of another kind.
    #[error("the answer's type is {found}, expected {expected}")]
    Type {
        /// Its Content-Type.
        found: String,
        /// What the transport wants.
        expected: &'static str,
    },
    /// A body that is compressed.
    #[error("the answer is compressed ({0}), expected it as it is: it was not asked for")]
    Coding(String),
    /// A body that says that it is compressed and is not.
    #[error("failed to inflate the answer: {0}")]
    Inflate(#[source] io::Error),
    /// A protocol buffer that is none.
    #[cfg(feature = "grpc")]
    #[error("failed to read a message: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A line without an end.
    #[error("a line has more than 16 MiB, expected its end before")]
    LongLine,
    /// A message of the binary layout that is none.
    #[error(transparent)]
    Binary(#[from] ticker::binary::NotBinary),
    /// A handshake that came out otherwise than it was asked for.
    #[error("the server's handshake {0}")]
    Handshake(String),
    /// Compressed WebSocket messages.
    #[error("failed to exchange WebSocket messages: {0}")]
    Deflated(#[from] yawc::WebSocketError),
    /// A message that is not the ticker's.
    #[error("failed to read a message: {0}")]
    Message(#[from] serde_json::Error),
    /// The server does not let the client in.
    #[error("the server refused: {0}")]
    Refused(String),
    /// A connection that broke.
    #[error("failed to read or write: {0}")]
    Io(#[source] io::Error),
    /// Bytes that are not what the protocol sends.
    #[error("failed to follow the byte stream: {0}")]
    Wire(#[from] wire::ScanError),
    /// A message that the direct engine reads otherwise than the JSON parser does.
    #[error("two readers disagree about a message: {0}")]
    Disagree(String),
    /// The byte stream has no such message.
    #[error("a decoded message is not in the byte stream")]
    Unscanned,
    /// What a page says of its own end.
    #[error("the page says: {0}")]
    Page(String),
    /// The end.
    #[error("the server closed the connection")]
    Closed,
}
