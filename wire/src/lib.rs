//! What is on the wire: sans-IO scanners that assign every byte of a connection to a layer.
//!
//! They are fed the bytes that a socket moved, in any split, and tell a [`Sink`] what each one was. This crate
//! opens no socket, reads no clock, decodes no payload and knows neither phases nor transports; only
//! [`kernel`] asks the operating system, about sockets that others opened.

mod body;
mod chunked;
mod connection;
mod content;
mod error;
mod fields;
mod head;
mod http1;
mod http2;
pub mod kernel;
mod sse;
mod tally;
#[cfg(test)]
mod testing;
mod websocket;

pub use connection::Connection;
pub use content::Bodies;
pub use error::ScanError;
pub use http1::Http1;
pub use http2::Http2;
pub use tally::Tally;

/// The layer of a byte, as far as the wire alone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Start line, fields, blank line, trailers (RFC 9112 sections 2.1 and 7.1.2); payloads of HEADERS and
    /// CONTINUATION (RFC 9113 sections 6.2 and 6.10).
    Headers,
    /// Chunk heads and tails (RFC 9112 section 7.1); WebSocket frame heads, masks, control frames (RFC 6455
    /// section 5.2); HTTP/2 preface, frame heads, padding and all other frames (RFC 9113 sections 3.4 and 6).
    TransportFraming,
    /// What the application sent around its messages: comments, heartbeats, blocks without data (WHATWG HTML
    /// section 9.2).
    AppFraming,
    /// Bytes of a message; the decoded message tells how many of them are payload, the rest is app framing.
    Body,
}

/// Where a scanner reports to; one for each direction of a connection.
///
/// The order and the sizes of reports depend on the bytes only, not on how they were split: adjoining counts
/// of one part may come in several pieces, nothing else varies.
pub trait Sink {
    /// `bytes` more belong to `part`.
    fn count(&mut self, part: Part, bytes: usize);
    /// A whole message (HTTP body, SSE event that dispatches, WebSocket data message) ended with the last
    /// counted byte; `body_bytes` were counted as [`Part::Body`] for it.
    ///
    /// Two ends are known later than their last body byte: a chunked body's comes with its last chunk and
    /// trailers, that of a body until close with [`Http1::settle`].
    fn message(&mut self, body_bytes: u64);
    /// Nothing is half-way here: a phase may change. Called after `message()` too, after bodiless heads,
    /// heads of event streams, control frames and comment blocks.
    ///
    /// An SSE event that fills a chunk to its end is followed by the chunk's line end first, so that the chunk
    /// stays whole. A WebSocket control frame inside a fragmented message is not followed by a boundary.
    fn boundary(&mut self);
    /// A head of HTTP/1.1 ended with the last counted byte. `bytes` is its length without the digits that grow with
    /// what they count: a content length, an entity tag, a cursor in the target's query, a port. So heads of one
    /// kind from one program are equally long.
    fn head(&mut self, _kind: HeadKind, _bytes: u64) {}
    /// So many of the [`Part::TransportFraming`] counted last are digits of a chunk's length.
    fn length_digits(&mut self, _digits: usize) {}
    /// The next piece of what may become a message: all of its body, in order, each byte once and as it is on the
    /// wire (a masked frame's is masked). Either [`Sink::message`] or [`Sink::dropped`] follows where it ends.
    fn body(&mut self, _piece: &[u8]) {}
    /// What was handed out since the last message makes none: an event without data.
    fn dropped(&mut self) {}
    /// The status of a response whose head comes.
    fn status(&mut self, _status: u16) {}
    /// A field of the head that comes, its value without the space around it. Trailers are not told.
    fn field(&mut self, _name: &[u8], _value: &[u8]) {}
    /// The next piece of a WebSocket control frame's payload; an empty payload has no piece.
    fn control(&mut self, _piece: &[u8]) {}
    /// A control frame has ended, with this opcode (RFC 6455 section 5.5).
    fn control_end(&mut self, _opcode: u8) {}
}

/// What a head of HTTP/1.1 opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadKind {
    /// A GET request.
    Get,
    /// A request with another method.
    OtherRequest,
    /// An answer to GET with content.
    Content,
    /// An answer to GET without content: 204, 304, or a length of 0.
    NoContent,
    /// An answer to another method, or a switch of protocols.
    OtherResponse,
}
