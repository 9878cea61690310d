//! An HTTP/2 connection (RFC 9113), seen from either side: frames by type, messages by what the bodies are.
//!
//! It does not decompress header fields (RFC 7541), so the caller tells it what the bodies of this connection
//! are. It does not know time, phases or what a message means.

use std::collections::HashMap;

use crate::content::{Bodies, Content};
use crate::{Part, ScanError, Sink};

/// What a client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length, type, flags, stream (RFC 9113 section 4.1).
const HEAD: usize = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// Scans both directions of one HTTP/2 connection.
///
/// ```
/// let (mut up, mut down) = (wire::Tally::default(), wire::Tally::default());
/// let mut connection = wire::Http2::new(wire::Bodies::Whole);
/// connection.up(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &mut up)?;
/// connection.down(b"\0\0\x02\0\x01\0\0\0\x01[]", &mut down)?;
/// assert_eq!((up.transport_framing, down.transport_framing, down.body, down.messages), (33, 9, 2, 1));
/// # Ok::<(), wire::ScanError>(())
/// ```
#[derive(Debug)]
pub struct Http2 {
    up: Direction,
    down: Direction,
    failed: Option<ScanError>,
}

impl Http2 {
    /// A connection on which nothing was sent yet.
    pub fn new(bodies: Bodies) -> Self {
        Self {
            up: Direction::new(Content::of_request, bodies, PREFACE.len()),
            down: Direction::new(Content::of_response, bodies, 0),
            failed: None,
        }
    }

    /// Scans bytes from client to server. After an error it fails for good, in both directions.
    pub fn up(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        let result = self.up.scan(bytes, sink);
        self.failed = result.as_ref().err().cloned();
        result
    }

    /// Scans bytes from server to client. After an error it fails for good, in both directions.
    pub fn down(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        let result = self.down.scan(bytes, sink);
        self.failed = result.as_ref().err().cloned();
        result
    }

    /// Bytes from server to client that were fed but not counted yet: event blocks without their end.
    pub fn pending(&self) -> u64 {
        self.down.streams.values().map(Content::pending).sum()
    }

    /// Both directions have closed: counts what is pending as app framing. After that more bytes are an error.
    pub fn settle(&mut self, up: &mut impl Sink, down: &mut impl Sink) {
        if self.failed.is_none() {
            self.up.close(up);
            self.down.close(down);
        }
    }
}

/// One direction of a connection.
#[derive(Debug)]
struct Direction {
    content: fn(Bodies) -> Content,
    bodies: Bodies,
    preface_left: usize,
    head: [u8; HEAD],
    head_len: usize,
    frame: Option<Frame>,
    /// Streams with a body under way.
    streams: HashMap<u32, Content>,
    closed: bool,
}

/// A frame whose payload is under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    flags: u8,
    stream: u32,
    /// Bytes of the payload still to come, padding left out.
    left: usize,
    padding: Padding,
}

/// What kind of frame it is, as far as its bytes' layer depends on it (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    /// HEADERS and CONTINUATION.
    Headers,
    Reset,
    Other,
}

/// Padding at the end of a payload (RFC 9113 section 6.1).
#[derive(Clone, Copy, Debug)]
enum Padding {
    /// Its length is the next byte.
    Unread,
    /// So many bytes.
    Left(usize),
}

impl Direction {
    fn new(content: fn(Bodies) -> Content, bodies: Bodies, preface_left: usize) -> Self {
        Self {
            content,
            bodies,
            preface_left,
            head: [0; HEAD],
            head_len: 0,
            frame: None,
            streams: HashMap::new(),
            closed: false,
        }
    }

    fn scan(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        if self.closed && !bytes.is_empty() {
            return Err(ScanError::AfterEnd { bytes: bytes.len() });
        }
        while !bytes.is_empty() {
            let used = match self.frame {
                None if self.preface_left > 0 => self.preface(bytes, sink)?,
                None => self.read_head(bytes, sink)?,
                Some(frame) => self.read_payload(frame, bytes, sink)?,
            };
            bytes = &bytes[used..];
            if let Some(frame) = self.frame
                && frame.left == 0
                && matches!(frame.padding, Padding::Left(0))
            {
                self.frame = None;
                self.end_frame(frame, sink);
            }
        }
        Ok(())
    }

    fn preface(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, ScanError> {
        let used = self.preface_left.min(bytes.len());
        let from = PREFACE.len() - self.preface_left;
        if bytes[..used] != PREFACE[from..from + used] {
            return Err(ScanError::Preface);
        }
        self.preface_left -= used;
        sink.count(Part::TransportFraming, used);
        Ok(used)
    }

    fn read_head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, ScanError> {
        let used = (HEAD - self.head_len).min(bytes.len());
        self.head[self.head_len..self.head_len + used].copy_from_slice(&bytes[..used]);
        self.head_len += used;
        sink.count(Part::TransportFraming, used);
        if self.head_len == HEAD {
            self.head_len = 0;
            self.frame = Some(self.begin_frame()?);
        }
        Ok(used)
    }

    fn begin_frame(&mut self) -> Result<Frame, ScanError> {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        let kind = match kind {
            0 => Kind::Data,
            1 | 9 => Kind::Headers,
            3 => Kind::Reset,
            _ => Kind::Other,
        };
        let padding = match kind {
            Kind::Data if flags & PADDED != 0 && length == 0 => return Err(ScanError::Padding { length }),
            Kind::Data if flags & PADDED != 0 => Padding::Unread,
            // Padding of HEADERS is told by a byte of the payload that is headers like the rest.
            Kind::Data | Kind::Headers | Kind::Reset | Kind::Other => Padding::Left(0),
        };
        if kind == Kind::Data {
            // Its own head may have been missed only if the peer broke the protocol.
            self.streams.entry(stream).or_insert_with(|| (self.content)(self.bodies));
        }
        Ok(Frame { kind, flags, stream, left: length, padding })
    }

    fn read_payload(
        &mut self,
        mut frame: Frame,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<usize, ScanError> {
        let used = match (frame.padding, frame.left) {
            (Padding::Unread, length) => {
                let padding = usize::from(bytes[0]);
                if padding >= length {
                    return Err(ScanError::Padding { length });
                }
                sink.count(Part::TransportFraming, 1);
                frame.left = length - 1 - padding;
                frame.padding = Padding::Left(padding);
                1
            }
            (Padding::Left(left), 0) => {
                let used = left.min(bytes.len());
                sink.count(Part::TransportFraming, used);
                frame.padding = Padding::Left(left - used);
                used
            }
            (Padding::Left(_), left) => {
                let used = left.min(bytes.len());
                frame.left -= used;
                match frame.kind {
                    Kind::Data => self.data(frame, &bytes[..used], sink)?,
                    Kind::Headers => sink.count(Part::Headers, used),
                    Kind::Reset | Kind::Other => sink.count(Part::TransportFraming, used),
                }
                used
            }
        };
        self.frame = Some(frame);
        Ok(used)
    }

    fn data(&mut self, frame: Frame, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        match self.streams.get_mut(&frame.stream) {
            Some(content) => content.feed(bytes, frame.left == 0, sink),
            None => Ok(()),
        }
    }

    fn end_frame(&mut self, frame: Frame, sink: &mut impl Sink) {
        let ends = frame.flags & END_STREAM != 0;
        match frame.kind {
            Kind::Data | Kind::Headers if ends => {
                if let Some(mut content) = self.streams.remove(&frame.stream) {
                    content.end(sink);
                }
            }
            Kind::Headers => {
                let content = self.content;
                self.streams.entry(frame.stream).or_insert_with(|| content(self.bodies));
            }
            Kind::Reset => {
                if let Some(mut content) = self.streams.remove(&frame.stream) {
                    content.cut(sink);
                }
            }
            Kind::Data | Kind::Other => {}
        }
        let open_head = frame.kind == Kind::Headers && frame.flags & END_HEADERS == 0;
        if !open_head && self.streams.values().all(Content::is_between_messages) {
            sink.boundary();
        }
    }

    fn close(&mut self, sink: &mut impl Sink) {
        for (_, mut content) in self.streams.drain() {
            content.cut(sink);
        }
        self.closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_STREAM: u32 = 0;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn check(bodies: Bodies, frames: &[Vec<u8>], expected: &str) {
        let feed = |scan: &mut Http2, bytes: &[u8], log: &mut crate::testing::Log| scan.down(bytes, log);
        crate::testing::check(|| Http2::new(bodies), feed, &frames.concat(), Ok(expected));
    }

    #[test]
    fn frames_have_their_layers() {
        let settings = frame(4, 0, NO_STREAM, &[0; 6]);
        let head = frame(1, END_HEADERS, 1, b"\x88");
        let data = |flags, bytes: &[u8]| frame(0, flags, 1, bytes);
        check(Bodies::Whole, &[settings, head, data(END_STREAM, b"[]")], "T15 | T9 H1 T9 B2 m2 |");
        // A head with END_STREAM is a whole answer, a 304 say.
        check(Bodies::Whole, &[frame(1, END_HEADERS | END_STREAM, 1, b"\x8b")], "T9 H1 |");
        let long_head = [frame(1, 0, 1, b"\x88"), frame(9, END_HEADERS, 1, b"xyz")];
        check(Bodies::Events, &long_head, "T9 H1 T9 H3 |");
        check(Bodies::Whole, &[frame(6, 0, 0, &[0; 8]), frame(0x10, 0, 0, b"u")], "T17 | T10 |");
    }

    #[test]
    fn a_body_may_take_several_frames_and_end_with_an_empty_one() {
        let head = frame(1, END_HEADERS, 3, b"\x88");
        let frames = [head, frame(0, 0, 3, b"ab"), frame(0, 0, 3, b"c"), frame(0, END_STREAM, 3, b"")];
        check(Bodies::Whole, &frames, "T9 H1 T9 B2 T9 B1 T9 m3 |");
    }

    #[test]
    fn padding_is_framing() {
        let padded = frame(0, PADDED | END_STREAM, 1, b"\x03abpad");
        check(Bodies::Whole, &[padded], "T10 B2 T3 m2 |");
    }

    #[test]
    fn streams_of_messages_are_looked_into() {
        let head = || frame(1, END_HEADERS, 1, b"\x88");
        let data = |bytes: &[u8]| frame(0, 0, 1, bytes);
        let events = [head(), data(b"data: x\n\n"), data(b"data"), data(b": y\n\n: hb\n\n")];
        check(Bodies::Events, &events, "T9 H1 | T9 B9 m9 | T18 B9 m9 | A6 |");
        check(Bodies::Lines, &[head(), data(b"{1}\n{2}\n")], "T9 H1 | T9 B4 m4 | B4 m4 |");
        check(Bodies::Delimited, &[head(), data(b"\0\0\0\0\x01a")], "T9 H1 | T9 B6 m6 |");
        check(
            Bodies::Frames,
            &[head(), data(b"\x81\x01a"), data(b"\x89\0")],
            "T9 H1 | T11 B1 m1 | | T11 | |",
        );
    }

    #[test]
    fn a_reset_ends_a_stream() {
        let frames = [frame(1, END_HEADERS, 1, b"\x88"), frame(0, 0, 1, b"ab"), frame(3, 0, 1, &[0; 4])];
        check(Bodies::Whole, &frames, "T9 H1 T9 B2 T13 |");
        check(Bodies::Events, &frames, "T9 H1 | T22 A2 |");
    }

    #[test]
    fn trailers_end_a_stream() {
        let frames = [frame(1, END_HEADERS, 1, b"\x88"), frame(0, 0, 1, b"\0\0\0\0\0"), frame(1, 5, 1, b"t")];
        check(Bodies::Delimited, &frames, "T9 H1 | T9 B5 m5 | T9 H1 |");
    }

    #[test]
    fn a_client_begins_with_its_preface() {
        let feed = |scan: &mut Http2, bytes: &[u8], log: &mut crate::testing::Log| scan.up(bytes, log);
        let get = frame(1, END_HEADERS | END_STREAM, 1, b"\x82\x86");
        let bytes = [PREFACE.as_slice(), &frame(4, 0, 0, b""), &get].concat();
        crate::testing::check(|| Http2::new(Bodies::Events), feed, &bytes, Ok("T33 | T9 H2 |"));
        let error = Err(ScanError::Preface);
        crate::testing::check(|| Http2::new(Bodies::Whole), feed, b"GET / HTTP/1.1\r\n\r\n", error);
    }

    #[test]
    fn padding_longer_than_its_frame_fails() {
        let feed = |scan: &mut Http2, bytes: &[u8], log: &mut crate::testing::Log| scan.down(bytes, log);
        let error = Err(ScanError::Padding { length: 3 });
        crate::testing::check(|| Http2::new(Bodies::Whole), feed, &frame(0, PADDED, 1, b"\x03ab"), error);
    }
}
