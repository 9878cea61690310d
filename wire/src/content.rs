//! What the bytes of one body are: one message, or a stream of them in one of four framings.
//!
//! It does not know what carries the body: lengths, chunks or HTTP/2 frames.

use memchr::memchr;

use crate::sse::EventStream;
use crate::websocket::Frames;
use crate::{Part, ScanError, Sink};

/// How the messages of a body are told apart, where its head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// Each body is one message.
    Whole,
    /// Server-sent events (WHATWG HTML section 9.2).
    Events,
    /// A line for each message (NDJSON).
    Lines,
    /// A flag, four bytes of length and so many bytes (gRPC's Length-Prefixed-Message), in both directions.
    Delimited,
    /// WebSocket frames in both directions (RFC 8441).
    Frames,
}

/// The messages of one body under way.
#[derive(Debug)]
pub(crate) enum Content {
    /// One message, of so many bytes so far.
    Whole(u64),
    /// A stream of events.
    Events(EventStream),
    /// Lines; so many bytes of the one at hand.
    Lines(u64),
    /// Length-prefixed messages.
    Delimited(Delimited),
    /// WebSocket frames.
    Frames(Frames),
}

/// A message with its prefix.
#[derive(Debug, Default)]
pub(crate) struct Delimited {
    prefix: [u8; PREFIX],
    prefix_len: usize,
    /// Of the message at hand: its bytes with the prefix, and those still to come; `None` within a prefix.
    message: Option<(u64, u64)>,
}

/// A flag and a length of four bytes.
const PREFIX: usize = 5;

impl Content {
    /// The content of a response body.
    pub(crate) fn of_response(bodies: Bodies) -> Self {
        match bodies {
            Bodies::Whole => Self::Whole(0),
            Bodies::Events => Self::Events(EventStream::default()),
            Bodies::Lines => Self::Lines(0),
            Bodies::Delimited => Self::Delimited(Delimited::default()),
            Bodies::Frames => Self::Frames(Frames::default()),
        }
    }

    /// The content of a request body: only two of them are streams in both directions.
    pub(crate) fn of_request(bodies: Bodies) -> Self {
        match bodies {
            Bodies::Whole | Bodies::Events | Bodies::Lines => Self::Whole(0),
            Bodies::Delimited | Bodies::Frames => Self::of_response(bodies),
        }
    }

    /// Takes body bytes; with `frame_ends` a boundary at their very end is left to the caller.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        frame_ends: bool,
        sink: &mut impl Sink,
    ) -> Result<(), ScanError> {
        match self {
            Self::Whole(sum) => {
                if !bytes.is_empty() {
                    sink.count(Part::Body, bytes.len());
                    sink.body(bytes);
                }
                *sum += bytes.len() as u64;
            }
            Self::Events(events) => events.feed(bytes, frame_ends, sink),
            Self::Lines(line) => lines(line, bytes, frame_ends, sink),
            Self::Delimited(delimited) => delimited.feed(bytes, frame_ends, sink),
            Self::Frames(frames) => frames.feed(bytes, sink)?,
        }
        Ok(())
    }

    /// Whether no message is half-way: a whole body's is from its start.
    pub(crate) fn is_between_messages(&self) -> bool {
        match self {
            Self::Whole(_) => false,
            Self::Events(events) => events.pending() == 0,
            Self::Lines(line) => *line == 0,
            Self::Delimited(delimited) => delimited.is_between_messages(),
            Self::Frames(frames) => frames.is_between_messages(),
        }
    }

    /// Bytes fed but not counted yet.
    pub(crate) fn pending(&self) -> u64 {
        match self {
            Self::Events(events) => events.pending(),
            Self::Whole(_) | Self::Lines(_) | Self::Delimited(_) | Self::Frames(_) => 0,
        }
    }

    /// The body is complete.
    pub(crate) fn end(&mut self, sink: &mut impl Sink) {
        match self {
            Self::Whole(0) | Self::Lines(0) | Self::Delimited(_) | Self::Frames(_) => {}
            // The last line may have no end of its own.
            Self::Whole(bytes) | Self::Lines(bytes) => sink.message(std::mem::take(bytes)),
            Self::Events(events) => events.end(sink),
        }
    }

    /// The body was cut off.
    pub(crate) fn cut(&mut self, sink: &mut impl Sink) {
        match self {
            Self::Events(events) => events.end(sink),
            Self::Whole(_) | Self::Lines(_) | Self::Delimited(_) | Self::Frames(_) => {}
        }
    }
}

/// A line with its end is a message; a blank one is a heartbeat.
fn lines(line: &mut u64, mut bytes: &[u8], frame_ends: bool, sink: &mut impl Sink) {
    while !bytes.is_empty() {
        let end = memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |at| at + 1);
        if *line == 0 && end == Some(0) {
            sink.count(Part::AppFraming, 1);
        } else {
            sink.count(Part::Body, taken);
            sink.body(&bytes[..taken]);
            *line += taken as u64;
            if end.is_some() {
                sink.message(std::mem::take(line));
            }
        }
        bytes = &bytes[taken..];
        if end.is_some() && !(frame_ends && bytes.is_empty()) {
            sink.boundary();
        }
    }
}

impl Delimited {
    fn feed(&mut self, mut bytes: &[u8], frame_ends: bool, sink: &mut impl Sink) {
        while !bytes.is_empty() {
            let taken = match &mut self.message {
                None => {
                    let taken = (PREFIX - self.prefix_len).min(bytes.len());
                    self.prefix[self.prefix_len..self.prefix_len + taken].copy_from_slice(&bytes[..taken]);
                    self.prefix_len += taken;
                    if self.prefix_len == PREFIX {
                        let length = self.prefix[1..].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
                        self.message = Some((PREFIX as u64 + length, length));
                    }
                    taken
                }
                Some((_, left)) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    taken as usize
                }
            };
            sink.count(Part::Body, taken);
            sink.body(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let Some((whole, 0)) = self.message {
                *self = Self::default();
                sink.message(whole);
                if !(frame_ends && bytes.is_empty()) {
                    sink.boundary();
                }
            }
        }
    }

    fn is_between_messages(&self) -> bool {
        self.prefix_len == 0 && self.message.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bodies: Bodies, bytes: &[u8], expected: &str) {
        let feed = |content: &mut Content, bytes: &[u8], log: &mut crate::testing::Log| {
            content.feed(bytes, false, log)
        };
        crate::testing::check(|| Content::of_response(bodies), feed, bytes, Ok(expected));
    }

    #[test]
    fn lines_are_messages_and_blank_ones_heartbeats() {
        check(Bodies::Lines, b"{1}\n{22}\n", "B4 m4 | B5 m5 |");
        check(Bodies::Lines, b"\n{1}\n\n", "A1 | B4 m4 | A1 |");
        check(Bodies::Lines, b"{1}\n{2", "B4 m4 | B2");
        check(Bodies::Lines, b"\r\n", "B2 m2 |");
    }

    #[test]
    fn prefixes_tell_lengths() {
        check(Bodies::Delimited, b"\0\0\0\0\x02ab\0\0\0\0\x01c", "B7 m7 | B6 m6 |");
        check(Bodies::Delimited, b"\0\0\0\0\0\x01\0\0\0\x01", "B5 m5 | B5");
        let long = [b"\0\0\0\x01\x00".as_slice(), &[b'x'; 256]].concat();
        check(Bodies::Delimited, &long, "B261 m261 |");
    }

    #[test]
    fn only_two_contents_are_streams_in_requests() {
        assert!(matches!(Content::of_request(Bodies::Events), Content::Whole(0)));
        assert!(matches!(Content::of_request(Bodies::Frames), Content::Frames(_)));
    }
}
