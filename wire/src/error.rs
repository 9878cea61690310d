//! What a scanner could not read: what it found, and what it expected instead.

/// Bytes that are not what their place in the stream asks for.
///
/// The scanner stays failed: it returns the same error again and counts nothing more, so that the layers no
/// longer add up to the socket's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Not a request line of HTTP/1 (RFC 9112 section 3).
    #[error("request line is {found:?}, expected `METHOD target HTTP/1.1`")]
    RequestLine {
        /// The line's beginning.
        found: String,
    },
    /// Not a status line of HTTP/1 (RFC 9112 section 4).
    #[error("status line is {found:?}, expected `HTTP/1.1 200 reason`")]
    StatusLine {
        /// The line's beginning.
        found: String,
    },
    /// Not a field line (RFC 9112 section 5; folded lines are refused).
    #[error("field line is {found:?}, expected `name: value`")]
    FieldLine {
        /// The line's beginning.
        found: String,
    },
    /// A length that is no number, or differs from the one before (RFC 9110 section 8.6).
    #[error("content-length is {found:?}, expected one decimal number, the same each time")]
    ContentLength {
        /// The field's value.
        found: String,
    },
    /// A request whose body has no end (RFC 9112 section 6.3).
    #[error("the last transfer coding of a request is not chunked, expected chunked")]
    RequestCoding,
    /// A head, a chunk's head or trailers without an end.
    #[error("a head goes on past {limit} bytes, expected a blank line before")]
    HeadTooLong {
        /// The longest head that is read.
        limit: usize,
    },
    /// Not a chunk's head (RFC 9112 section 7.1).
    #[error("chunk head holds byte {found:#04x}, expected a size of hexadecimal digits and a line end")]
    ChunkHead {
        /// The byte that does not fit.
        found: u8,
    },
    /// A chunk longer than its head said (RFC 9112 section 7.1).
    #[error("chunk data is followed by byte {found:#04x}, expected a line end")]
    ChunkEnd {
        /// The byte that does not fit.
        found: u8,
    },
    /// A 101 for another protocol (RFC 9110 section 15.2.2).
    #[error("101 Switching Protocols without `Upgrade: websocket`, expected no other protocol")]
    OtherProtocol,
    /// A 101 while the client's next request has begun.
    #[error("101 Switching Protocols in the middle of a request, expected it after a whole one")]
    SwitchedEarly,
    /// A 2xx answer to CONNECT (RFC 9110 section 9.3.6).
    #[error("the connection became a tunnel by CONNECT, expected HTTP or WebSocket")]
    Tunnel,
    /// A reserved opcode (RFC 6455 section 5.2).
    #[error("frame opcode is {found:#x}, expected 0, 1, 2, 8, 9 or 0xa")]
    Opcode {
        /// The frame's opcode.
        found: u8,
    },
    /// RSV2 or RSV3 (RFC 6455 section 5.2), or RSV1 on another than a message's first frame (RFC 7692 section 6).
    #[error(
        "frame begins with byte {found:#04x}, expected no reserved bits but RSV1 on a message's first frame"
    )]
    ReservedBits {
        /// The frame's first byte.
        found: u8,
    },
    /// A control frame in fragments (RFC 6455 section 5.5).
    #[error("control frame {opcode:#x} is fragmented, expected FIN")]
    FragmentedControl {
        /// The frame's opcode.
        opcode: u8,
    },
    /// A control frame with a 2 or 8 byte length (RFC 6455 section 5.5).
    #[error("control frame {opcode:#x} is longer than 125 bytes, expected at most 125")]
    LongControl {
        /// The frame's opcode.
        opcode: u8,
    },
    /// The highest bit of a frame's length is set (RFC 6455 section 5.2).
    #[error("frame length is {found}, expected less than 2^63")]
    FrameLength {
        /// The length as it was written.
        found: u64,
    },
    /// A continuation of nothing (RFC 6455 section 5.4).
    #[error("continuation frame outside a fragmented message, expected a text or binary frame")]
    StrayContinuation,
    /// A second message before the first ended (RFC 6455 section 5.4).
    #[error("new message inside a fragmented one, expected a continuation frame")]
    InterleavedMessage,
    /// Not the preface of HTTP/2 (RFC 9113 section 3.4).
    #[error("the connection begins with something else, expected the preface of HTTP/2")]
    Preface,
    /// More padding than payload (RFC 9113 section 6.1).
    #[error("a DATA frame of {length} bytes has as much padding or more, expected less")]
    Padding {
        /// The frame's length.
        length: usize,
    },
    /// Bytes after [`Http1::settle`](crate::Http1::settle).
    #[error("{bytes} bytes came after the connection was settled, expected none")]
    AfterEnd {
        /// How many of them.
        bytes: usize,
    },
}

/// The beginning of a line, for a message.
pub(crate) fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned()
}
