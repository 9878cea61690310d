//! Event streams (WHATWG HTML section 9.2): which bytes belong to an event that dispatches, which to none.
//!
//! It decodes no field and knows nothing of the chunks that carry the stream.

use memchr::memchr2;

use crate::{Part, Sink};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// As much of a line as it takes to tell its field: a byte order mark and `data:`.
const TELLING: usize = 8;

/// Scans one event stream.
///
/// A block reaches up to and including its blank line. Whether it dispatches is known when it has ended, so
/// its bytes are pending until then. A blank line that ends in CR ends its block at the CR; an LF right after
/// it is app framing of its own, since waiting for it would hold back a finished event.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    pending: u64,
    has_data: bool,
    line: LineStart,
    past_first_line: bool,
    carriage_return: Option<CarriageReturn>,
}

/// What the CR before the next byte ended: an LF there belongs to the same line end.
#[derive(Debug)]
enum CarriageReturn {
    Line,
    Block,
}

/// The first bytes of the line at hand.
#[derive(Debug, Default)]
struct LineStart {
    bytes: [u8; TELLING],
    len: usize,
}

impl LineStart {
    #[inline]
    fn push(&mut self, piece: &[u8]) {
        let len = piece.len().min(TELLING - self.len);
        self.bytes[self.len..self.len + len].copy_from_slice(&piece[..len]);
        self.len += len;
    }
}

impl EventStream {
    /// Scans `bytes`. With `frame_ends` they are the last ones of a chunk: a boundary at their very end is
    /// left to the caller, who announces it when the chunk's line end was counted.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], frame_ends: bool, sink: &mut impl Sink) {
        while !bytes.is_empty() {
            let ended = if let Some(ended) = self.carriage_return.take()
                && bytes[0] == b'\n'
            {
                let line_feed = &bytes[..1];
                bytes = &bytes[1..];
                self.late_line_feed(&ended, line_feed, sink)
            } else if let Some(at) = memchr2(b'\r', b'\n', bytes) {
                self.take(&bytes[..at], 1);
                sink.body(&bytes[..=at]);
                let ended = self.end_line(sink);
                if bytes[at] == b'\r' {
                    self.carriage_return =
                        Some(if ended { CarriageReturn::Block } else { CarriageReturn::Line });
                }
                bytes = &bytes[at + 1..];
                ended
            } else {
                self.take(bytes, 0);
                sink.body(bytes);
                return;
            };
            if ended && !(frame_ends && bytes.is_empty()) {
                sink.boundary();
            }
        }
    }

    #[inline]
    fn take(&mut self, piece: &[u8], line_end: u64) {
        self.line.push(piece);
        self.pending += piece.len() as u64 + line_end;
    }

    /// Returns whether a block has ended here.
    fn late_line_feed(&mut self, ended: &CarriageReturn, line_feed: &[u8], sink: &mut impl Sink) -> bool {
        match ended {
            CarriageReturn::Line => {
                self.pending += 1;
                sink.body(line_feed);
                false
            }
            CarriageReturn::Block => {
                sink.count(Part::AppFraming, 1);
                true
            }
        }
    }

    /// Returns whether the line was blank, so that its block has ended.
    fn end_line(&mut self, sink: &mut impl Sink) -> bool {
        let mut line = &self.line.bytes[..self.line.len];
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        let blank = line.is_empty();
        // A field without a colon is a field with an empty value.
        self.has_data |= line == b"data" || line.starts_with(b"data:");
        self.line.len = 0;
        if blank {
            self.end_block(sink);
        }
        blank
    }

    fn end_block(&mut self, sink: &mut impl Sink) {
        let bytes = std::mem::take(&mut self.pending);
        if std::mem::take(&mut self.has_data) {
            sink.count(Part::Body, bytes as usize);
            sink.message(bytes);
        } else {
            sink.count(Part::AppFraming, bytes as usize);
            sink.dropped();
        }
    }

    /// Bytes of the block at hand, not counted yet; 0 between blocks.
    #[inline]
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// The stream ends here: a block that is half-way never dispatches, so it is app framing.
    pub(crate) fn end(&mut self, sink: &mut impl Sink) {
        let bytes = std::mem::take(self).pending;
        if bytes > 0 {
            sink.count(Part::AppFraming, bytes as usize);
            sink.dropped();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &str, expected: &str) {
        check_bytes(stream.as_bytes(), expected);
    }

    fn check_bytes(stream: &[u8], expected: &str) {
        let feed = |events: &mut EventStream, bytes: &[u8], log: &mut _| {
            events.feed(bytes, false, log);
            Ok(())
        };
        crate::testing::check(EventStream::default, feed, stream, Ok(expected));
    }

    #[test]
    fn a_block_with_data_dispatches() {
        check("data: x\n\n", "B9 m9 |");
        check("data\n\n", "B6 m6 |");
        check("data:\n\n", "B7 m7 |");
        check("id: 7\nevent: quote\ndata: x\ndata: y\n\n", "B36 m36 |");
        check("data: x\n: after\n\ndata: y\n\n", "B17 m17 | B9 m9 |");
    }

    #[test]
    fn a_block_without_data_is_app_framing() {
        check(": hb\n\n", "A6 |");
        check("retry: 1000\n\n", "A13 |");
        check("id: 7\n\n", "A7 |");
        check("\n\n", "A1 | A1 |");
        check("datum: x\n\n", "A10 |");
        check("dat\na: x\n\n", "A10 |");
        check(" data: x\n\n", "A10 |");
        check("Data: x\n\n", "A9 |");
        check(": hb\n\ndata: x\n\n: hb\n\n", "A6 | B9 m9 | A6 |");
    }

    #[test]
    fn every_line_end_ends_a_line() {
        check("data: x\r\rdata: y\r\r", "B9 m9 | B9 m9 |");
        check("data: x\r\n\r\ndata: y\r\n\r\n", "B10 m10 | A1 | B10 m10 | A1 |");
        check("data: x\n\r\n", "B9 m9 | A1 |");
        check("data: x\r\n\n", "B10 m10 |");
        check("data: x\n\rdata: y\n\n", "B9 m9 | B9 m9 |");
        check(": hb\r\n\r\n", "A7 | A1 |");
        // A CR before an LF is one line end, not a line end and a blank line.
        check("data: x\r\ndata: y\n\n", "B18 m18 |");
    }

    #[test]
    fn a_byte_order_mark_may_open_the_stream_only() {
        check("\u{feff}data: x\n\n", "B12 m12 |");
        check("\u{feff}\n\u{feff}data: x\n\n", "A4 | A12 |");
        check_bytes(b"\xef\xbbdata: x\n\n", "A11 |");
    }

    #[test]
    fn what_is_half_way_is_settled_as_app_framing() {
        let mut log = crate::testing::Log::default();
        let mut events = EventStream::default();
        events.feed(b"data: x\n\ndata: y\n", false, &mut log);
        assert_eq!((events.pending(), log.text().as_str()), (8, "B9 m9 |"));
        events.end(&mut log);
        assert_eq!((events.pending(), log.text().as_str()), (0, "B9 m9 | A8"));
    }

    #[test]
    fn a_boundary_at_the_end_of_a_frame_is_left_to_the_caller() {
        let mut log = crate::testing::Log::default();
        let mut events = EventStream::default();
        events.feed(b"data: x\n\ndata: y\n\n", true, &mut log);
        assert_eq!(log.text(), "B9 m9 | B9 m9");
    }
}
