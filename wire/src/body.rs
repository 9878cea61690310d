//! Message bodies (RFC 9112 section 6): how long one is, and whether it is one message or a stream of events.
//!
//! It does not know which request it belongs to: [`crate::http1`] decides whether there is a body at all.

use crate::chunked::Chunked;
use crate::content::Content;
use crate::{ScanError, Sink};

/// One body under way.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    content: Content,
}

/// Where a body ends (RFC 9112 section 6.3).
#[derive(Debug)]
pub(crate) enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// With the last chunk and its trailers.
    Chunked(Chunked),
    /// When the connection closes.
    UntilClose,
}

impl Body {
    pub(crate) fn new(framing: Framing, content: Content) -> Self {
        Self { framing, content }
    }

    /// Returns how many bytes it took; fewer than all of them only at the end of the body.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, ScanError> {
        match &mut self.framing {
            Framing::Length(left) => {
                let take = (*left).min(bytes.len() as u64);
                *left -= take;
                self.content.feed(&bytes[..take as usize], *left == 0, sink)?;
                Ok(take as usize)
            }
            Framing::Chunked(chunked) => chunked.feed(bytes, &mut self.content, sink),
            Framing::UntilClose => {
                self.content.feed(bytes, false, sink)?;
                Ok(bytes.len())
            }
        }
    }

    /// Whether all of it was fed; never known of a body that lasts until close.
    pub(crate) fn is_done(&self) -> bool {
        match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.is_done(),
            Framing::UntilClose => false,
        }
    }

    /// Whether a phase may change here.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.content.is_between_messages()
    }

    /// Bytes fed but not counted yet.
    pub(crate) fn pending(&self) -> u64 {
        self.content.pending()
    }

    /// The body is complete.
    pub(crate) fn end(&mut self, sink: &mut impl Sink) {
        self.content.end(sink);
        sink.boundary();
    }

    /// The connection has closed: that completes a body that lasts until close and cuts off any other.
    pub(crate) fn close(&mut self, sink: &mut impl Sink) {
        match &self.framing {
            Framing::UntilClose => self.end(sink),
            Framing::Length(_) | Framing::Chunked(_) => self.content.cut(sink),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Bodies;
    use crate::head::LONGEST_HEAD;

    fn content(is_event_stream: bool) -> Content {
        Content::of_response(if is_event_stream { Bodies::Events } else { Bodies::Whole })
    }

    /// Scans one body, and ends it when it is done.
    fn check(
        framing: impl Fn() -> Framing,
        is_event_stream: bool,
        bytes: &str,
        expected: Result<&str, ScanError>,
    ) {
        let feed = |body: &mut Body, bytes: &[u8], log: &mut crate::testing::Log| {
            assert_eq!(body.feed(bytes, log)?, bytes.len(), "the tests' bodies end with their bytes");
            if body.is_done() {
                body.end(log);
            }
            Ok(())
        };
        crate::testing::check(
            || Body::new(framing(), content(is_event_stream)),
            feed,
            bytes.as_bytes(),
            expected,
        );
    }

    fn check_chunked(bytes: &str, expected: &str) {
        check(|| Framing::Chunked(Chunked::default()), false, bytes, Ok(expected));
    }

    fn check_events(bytes: &str, expected: &str) {
        check(|| Framing::Chunked(Chunked::default()), true, bytes, Ok(expected));
    }

    fn check_fails(bytes: &str, expected: ScanError) {
        check(|| Framing::Chunked(Chunked::default()), false, bytes, Err(expected));
    }

    #[test]
    fn a_length_is_the_body() {
        check(|| Framing::Length(5), false, "hello", Ok("B5 m5 |"));
        check(|| Framing::Length(6), false, "hello", Ok("B5"));
        check(|| Framing::Length(9), true, "data: x\n\n", Ok("B9 m9 |"));
        check(|| Framing::Length(18), true, "data: x\n\ndata: y\n\n", Ok("B9 m9 | B9 m9 |"));
        check(|| Framing::Length(9), true, "data: x\n:", Ok("A9 |"));
    }

    #[test]
    fn until_close_has_no_end_of_its_own() {
        check(|| Framing::UntilClose, false, "hello", Ok("B5"));
        check(|| Framing::UntilClose, true, "data: x\n\n: hb\n\n", Ok("B9 m9 | A6 |"));
    }

    #[test]
    fn chunk_heads_and_line_ends_are_framing() {
        check_chunked("5\r\nhello\r\n0\r\n\r\n", "T3 B5 T5 H2 m5 |");
        check_chunked("3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", "T3 B3 T7 B10 T5 H2 m13 |");
        check_chunked("5;name=\"value\"\r\nhello\r\n0 ;last\r\n\r\n", "T16 B5 T11 H2 m5 |");
        check_chunked("5\nhello\n0\n\n", "T2 B5 T3 H1 m5 |");
        check_chunked("0\r\n\r\n", "T3 H2 |");
        check_chunked("fFffffffffffffff\r\nx", "T18 B1");
    }

    #[test]
    fn the_limit_is_each_head_s_own() {
        let chunks = LONGEST_HEAD;
        let body = format!("{}0\n\n", "1\nx\n".repeat(chunks));
        let mut log = crate::testing::Log::default();
        let mut body_scan = Body::new(Framing::Chunked(Chunked::default()), content(false));
        assert_eq!(body_scan.feed(body.as_bytes(), &mut log), Ok(body.len()));
        body_scan.end(&mut log);
        assert!(log.text().ends_with(&format!("B1 T3 H1 m{chunks} |")));
    }

    #[test]
    fn trailers_are_headers() {
        check_chunked("1\r\nx\r\n0\r\nDigest: a\r\nB: c\r\n\r\n", "T3 B1 T5 H19 m1 |");
        check_chunked("1\r\nx\r\n0\r\nA: \r\r\n\n", "T3 B1 T5 H7 m1 |");
        check_chunked("1\nx\n0\nA\n\n", "T2 B1 T3 H3 m1 |");
    }

    #[test]
    fn events_are_found_across_chunks() {
        check_events("9\r\ndata: x\n\n\r\n6\r\n: hb\n\n\r\n", "T3 B9 m9 T2 | T3 A6 T2 |");
        // A block over three chunks: their framing is counted at once, the block at its end.
        check_events("4\r\ndata\r\n4\r\n: x\n\r\n1\r\n\n\r\n", "T13 B9 m9 T2 |");
        check_events("12\r\ndata: x\n\ndata: y\n\n\r\n", "T4 B9 m9 | B9 m9 T2 |");
        check_events("c\r\ndata: x\n\nid:\r\n2\r\n\n\n\r\n", "T3 B9 m9 | T5 A5 T2 |");
        check_events("a\r\ndata: x\r\n\r\r\n1\r\n\n\r\n", "T3 B10 m10 T2 | T3 A1 T2 |");
        check_events("5\r\ndata:\r\n0\r\n\r\n", "T8 H2 A5 |");
    }

    #[test]
    fn broken_chunks_fail() {
        check_fails("x\r\n", ScanError::ChunkHead { found: b'x' });
        check_fails("\r\n", ScanError::ChunkHead { found: b'\r' });
        check_fails("5\rx", ScanError::ChunkHead { found: b'x' });
        check_fails("5,", ScanError::ChunkHead { found: b',' });
        check_fails("11111111111111111\r\n", ScanError::ChunkHead { found: b'1' });
        check_fails("1\r\nxy", ScanError::ChunkEnd { found: b'y' });
        check_fails("1\r\nx\ry", ScanError::ChunkEnd { found: b'y' });
        check_fails("1\r\nx\r\r\n", ScanError::ChunkEnd { found: b'\r' });
        let limit = LONGEST_HEAD;
        check_fails(&format!("1;{}", "x".repeat(limit)), ScanError::HeadTooLong { limit });
        check_fails(&format!("0\r\n{}", "a: b\r\n".repeat(limit / 6 + 1)), ScanError::HeadTooLong { limit });
    }

    #[test]
    fn closing_completes_only_a_body_until_close() {
        let check = |framing, is_event_stream, bytes: &[u8], expected| {
            let (mut body, mut log) =
                (Body::new(framing, content(is_event_stream)), crate::testing::Log::default());
            body.feed(bytes, &mut log).unwrap();
            body.close(&mut log);
            assert_eq!((body.pending(), log.text().as_str()), (0, expected));
        };
        check(Framing::UntilClose, false, b"hello", "B5 m5 |");
        check(Framing::UntilClose, true, b"data: x\n\n:", "B9 m9 | A1 |");
        check(Framing::Length(6), false, b"hello", "B5");
        check(Framing::Length(6), true, b"data:", "A5");
    }
}
