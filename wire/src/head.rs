//! Heads of HTTP/1.1 messages (RFC 9112 sections 2 to 4): where one ends, and what its start line says.
//!
//! It does not know what the fields mean ([`crate::fields`]), nor which response answers which request.

use memchr::memchr;

use crate::error::excerpt;
use crate::fields::{Fields, is_token};
use crate::{Part, ScanError, Sink};

/// Longest head, chunk head or trailer section, in bytes with line ends.
pub(crate) const LONGEST_HEAD: usize = 64 * 1024;

/// Whose heads come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What a start line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Request(Method),
    Response { status: u16 },
}

/// A request's method, as far as it decides about the response's body (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Head,
    Connect,
    Get,
    Other,
}

/// What a head says of the bytes to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) start: Start,
    pub(crate) fields: Fields,
    /// Its bytes without the digits that grow with what they count; see [`Sink::head`].
    pub(crate) steady_bytes: u64,
}

/// Reads one head after another.
#[derive(Debug)]
pub(crate) struct HeadReader {
    side: Side,
    /// What has come of a line that was split; its capacity is kept.
    line: Vec<u8>,
    /// Bytes of the head at hand.
    len: usize,
    start: Option<Start>,
    /// Digits in the request line that grow with what they count.
    digits: usize,
    fields: Fields,
}

impl HeadReader {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, line: Vec::new(), len: 0, start: None, digits: 0, fields: Fields::default() }
    }

    /// Whether no head has begun.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes it took, and the head if it ends with them.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(usize, Option<Head>), ScanError> {
        let mut used = 0;
        while let Some(at) = memchr(b'\n', &bytes[used..]) {
            let piece = &bytes[used..used + at];
            used += at + 1;
            self.lengthen(at + 1)?;
            let head = if self.line.is_empty() {
                self.end_line(piece, sink)?
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(piece);
                let head = self.end_line(&line, sink)?;
                line.clear();
                self.line = line;
                head
            };
            if head.is_some() {
                sink.count(Part::Headers, used);
                return Ok((used, head));
            }
        }
        self.lengthen(bytes.len() - used)?;
        self.line.extend_from_slice(&bytes[used..]);
        sink.count(Part::Headers, bytes.len());
        Ok((bytes.len(), None))
    }

    fn lengthen(&mut self, bytes: usize) -> Result<(), ScanError> {
        self.len += bytes;
        if self.len > LONGEST_HEAD {
            return Err(ScanError::HeadTooLong { limit: LONGEST_HEAD });
        }
        Ok(())
    }

    /// Takes a line without its LF; returns the head if it was the blank line.
    fn end_line(&mut self, line: &[u8], sink: &mut impl Sink) -> Result<Option<Head>, ScanError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (self.start, line) {
            // RFC 9112 section 2.2: a server ignores empty lines before a request line.
            (None, []) if self.side == Side::Client => Ok(None),
            (None, line) => {
                let start = match self.side {
                    Side::Client => {
                        self.digits = digits_of_query(line);
                        request_line(line)?
                    }
                    Side::Server => status_line(line)?,
                };
                if let Start::Response { status } = start {
                    sink.status(status);
                }
                self.start = Some(start);
                Ok(None)
            }
            (Some(start), []) => {
                let fields = std::mem::take(&mut self.fields);
                let digits = std::mem::take(&mut self.digits) + fields.growing_digits;
                let steady_bytes = (std::mem::take(&mut self.len) - digits) as u64;
                self.start = None;
                Ok(Some(Head { start, fields, steady_bytes }))
            }
            (Some(_), line) => {
                let (name, value) = self.fields.read(line)?;
                sink.field(name, value);
                Ok(None)
            }
        }
    }
}

fn request_line(line: &[u8]) -> Result<Start, ScanError> {
    let mut words = line.split(|&byte| byte == b' ');
    match [words.next(), words.next(), words.next(), words.next()] {
        [Some(method), Some([_, ..]), Some(version), None] if is_token(method) && is_http_1(version) => {
            Ok(Start::Request(match method {
                b"HEAD" => Method::Head,
                b"CONNECT" => Method::Connect,
                b"GET" => Method::Get,
                _ => Method::Other,
            }))
        }
        _ => Err(ScanError::RequestLine { found: excerpt(line) }),
    }
}

/// Digits of the query's values that are numbers and nothing else: cursors.
fn digits_of_query(line: &[u8]) -> usize {
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let Some(from) = memchr(b'?', target) else { return 0 };
    let values = target[from + 1..].split(|&byte| byte == b'&').filter_map(|parameter| {
        let (_, value) = parameter.split_at(memchr(b'=', parameter)?);
        Some(&value[1..])
    });
    values.filter(|value| value.iter().all(u8::is_ascii_digit)).map(<[u8]>::len).sum()
}

fn status_line(line: &[u8]) -> Result<Start, ScanError> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let version = words.next().unwrap_or_default();
    match words.next() {
        Some([a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) if is_http_1(version) => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            Ok(Start::Response { status: digit(a) * 100 + digit(b) * 10 + digit(c) })
        }
        _ => Err(ScanError::StatusLine { found: excerpt(line) }),
    }
}

fn is_http_1(version: &[u8]) -> bool {
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tally;

    /// Reads one head whole and by single bytes; all of it must be headers.
    fn read(side: Side, bytes: &[u8]) -> Result<Option<Head>, ScanError> {
        let results = [bytes.len().max(1), 1].map(|size| {
            let (mut reader, mut tally) = (HeadReader::new(side), Tally::default());
            let mut head = None;
            for piece in bytes.chunks(size) {
                assert_eq!(head, None, "nothing comes after the head");
                let (used, found) = reader.feed(piece, &mut tally)?;
                assert_eq!(used, piece.len());
                head = found;
            }
            assert_eq!((tally.headers, tally.total()), (bytes.len() as u64, bytes.len() as u64));
            assert_eq!(reader.is_at_rest(), head.is_some() || bytes.is_empty());
            Ok(head)
        });
        assert_eq!(results[0], results[1]);
        results[0].clone()
    }

    #[test]
    fn start_lines_are_read() {
        let check = |side, head: &str, start| {
            assert_eq!(read(side, head.as_bytes()).unwrap().map(|head| head.start), Some(start), "{head:?}");
        };
        check(Side::Client, "GET / HTTP/1.1\r\n\r\n", Start::Request(Method::Get));
        check(Side::Client, "POST / HTTP/1.1\r\n\r\n", Start::Request(Method::Other));
        check(Side::Client, "\r\n\r\nHEAD /a?b HTTP/1.0\r\nHost: x\r\n\r\n", Start::Request(Method::Head));
        check(Side::Client, "CONNECT a:1 HTTP/1.1\n\n", Start::Request(Method::Connect));
        check(Side::Server, "HTTP/1.1 200 OK\r\n\r\n", Start::Response { status: 200 });
        check(Side::Server, "HTTP/1.1 304\n\n", Start::Response { status: 304 });
        check(Side::Server, "HTTP/1.0 404 \r\nA: b\n\r\n", Start::Response { status: 404 });
    }

    #[test]
    fn digits_that_grow_are_left_out_of_the_steady_length() {
        let check = |side, line: &str, field: &str, digits: usize| {
            let head = format!("{line}\r\n{field}\r\n\r\n");
            let found = read(side, head.as_bytes()).unwrap().unwrap().steady_bytes;
            assert_eq!(found, (head.len() - digits) as u64, "{head:?}");
        };
        let get = |query: &str| format!("GET /quotes{query} HTTP/1.1");
        check(Side::Client, &get("?after=123"), "Host: a", 3);
        check(Side::Client, &get("?after=123&mode=latest&n=4"), "Host: a", 4);
        check(Side::Client, &get("?sid=12ab&t=q0000001&x&y="), "Host: a", 0);
        check(Side::Client, &get("/12"), "Host: 127.0.0.1:40001", 5);
        check(Side::Client, &get(""), "Host: [::1]:80", 2);
        check(Side::Client, &get(""), "Referer: http://127.0.0.1:40001/", 5);
        check(Side::Client, &get(""), "origin: http://localhost", 0);
        check(Side::Client, &get(""), "If-None-Match: W/\"17\"", 2);
        check(Side::Client, &get(""), "If-None-Match: \"17ab\"", 2);
        check(Side::Server, "HTTP/1.1 200 OK", "content-length: 1024", 4);
        check(Side::Server, "HTTP/1.1 200 OK", "etag: \"9\"", 1);
        check(Side::Server, "HTTP/1.1 200 OK", "cache-control: max-age=60", 0);
    }

    #[test]
    fn other_start_lines_fail() {
        let check = |side, line: &str, error: fn(String) -> ScanError| {
            assert_eq!(read(side, format!("{line}\r\n").as_bytes()), Err(error(line.to_owned())));
        };
        for line in
            ["GET /", "GET / HTTP/2.0", "GET  HTTP/1.1", " / HTTP/1.1", "GET / HTTP/1.1 ", "\u{1}", "G"]
        {
            check(Side::Client, line, |found| ScanError::RequestLine { found });
        }
        for line in
            ["", "HTTP/1.1", "HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/2 200 OK", "HTTP/1.1  200 OK"]
        {
            check(Side::Server, line, |found| ScanError::StatusLine { found });
        }
    }

    #[test]
    fn an_endless_head_fails_at_its_limit() {
        let with_value = |length: usize| {
            let head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(length));
            (head.len(), read(Side::Client, head.as_bytes()))
        };
        let error = Err(ScanError::HeadTooLong { limit: LONGEST_HEAD });
        let (len, head) = with_value(LONGEST_HEAD - 23);
        assert!(len == LONGEST_HEAD && head.is_ok());
        assert_eq!(with_value(LONGEST_HEAD - 22).1, error);
        assert_eq!(read(Side::Client, &b"\r\n".repeat(LONGEST_HEAD)), error);
        assert_eq!(read(Side::Server, &[b'x'; LONGEST_HEAD + 1]), error);
    }
}
