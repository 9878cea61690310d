//! Header fields (RFC 9112 section 5, RFC 9110): the few that decide what the bytes to come are.
//!
//! It does not know where a head ends or which message it opens; every other field is only checked for its form.

use memchr::{memchr, memrchr};

use crate::ScanError;
use crate::content::Bodies;
use crate::error::excerpt;

/// What the fields of one head say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) content_length: Option<u64>,
    pub(crate) coding: Option<Coding>,
    pub(crate) upgrades_to_websocket: bool,
    is_event_stream: bool,
    is_lines: bool,
    is_encoded: bool,
    /// Digits of values that grow with what they count; see [`crate::Sink::head`].
    pub(crate) growing_digits: usize,
}

/// The last transfer coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Chunked,
    Other,
}

impl Fields {
    /// What a response's body is by its type; a compressed one is not looked into.
    pub(crate) fn bodies(&self) -> Bodies {
        if self.is_encoded {
            Bodies::Whole
        } else if self.is_event_stream {
            Bodies::Events
        } else if self.is_lines {
            Bodies::Lines
        } else {
            Bodies::Whole
        }
    }

    /// Takes in one field line, without its line end. Returns its name and its value.
    pub(crate) fn read<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), ScanError> {
        let colon = memchr(b':', line).filter(|&at| is_token(&line[..at]));
        let Some(colon) = colon else {
            return Err(ScanError::FieldLine { found: excerpt(line) });
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("content-length") {
            self.growing_digits += digits(value);
            self.read_content_length(value)?;
        } else if is("etag") || is("if-none-match") {
            self.growing_digits += digits(value);
        } else if is("host") || is("origin") || is("referer") {
            self.growing_digits += digits_of_port(value);
        } else if is("transfer-encoding") {
            let last = list(value).next_back().unwrap_or_default();
            let chunked = last.eq_ignore_ascii_case(b"chunked");
            self.coding = Some(if chunked { Coding::Chunked } else { Coding::Other });
        } else if is("content-type") {
            let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
            let media_type = media_type.trim_ascii();
            self.is_event_stream = media_type.eq_ignore_ascii_case(b"text/event-stream");
            self.is_lines = media_type.eq_ignore_ascii_case(b"application/x-ndjson");
        } else if is("content-encoding") {
            self.is_encoded |= !value.eq_ignore_ascii_case(b"identity");
        } else if is("upgrade") {
            self.upgrades_to_websocket |= list(value).any(|name| name.eq_ignore_ascii_case(b"websocket"));
        }
        Ok((name, value))
    }

    fn read_content_length(&mut self, value: &[u8]) -> Result<(), ScanError> {
        for element in list(value) {
            let digits = !element.is_empty() && element.iter().all(u8::is_ascii_digit);
            let length = str::from_utf8(element).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            if length.is_none() || self.content_length.is_some_and(|before| Some(before) != length) {
                return Err(ScanError::ContentLength { found: excerpt(value) });
            }
            self.content_length = length;
        }
        Ok(())
    }
}

fn digits(value: &[u8]) -> usize {
    value.iter().filter(|byte| byte.is_ascii_digit()).count()
}

/// Digits after the last colon: a server that binds port 0 gets another each time.
fn digits_of_port(value: &[u8]) -> usize {
    let after = memrchr(b':', value).map_or(&[][..], |at| &value[at + 1..]);
    after.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether `word` is a token (RFC 9110 section 5.6.2), as methods and field names are.
pub(crate) fn is_token(word: &[u8]) -> bool {
    !word.is_empty()
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// The elements of a comma-separated list (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[&str]) -> Result<Fields, ScanError> {
        let mut fields = Fields::default();
        lines.iter().try_for_each(|line| fields.read(line.as_bytes()).map(drop)).map(|()| fields)
    }

    #[test]
    fn lengths_and_codings_are_read() {
        let check = |lines: &[&str], content_length, coding| {
            let found = fields(lines).map(|fields| (fields.content_length, fields.coding));
            assert_eq!(found, Ok((content_length, coding)), "{lines:?}");
        };
        check(&["Content-Length: 42"], Some(42), None);
        check(&["content-length:42 ", "CONTENT-LENGTH: 42, 42"], Some(42), None);
        check(&["Transfer-Encoding: chunked"], None, Some(Coding::Chunked));
        check(&["transfer-encoding: gzip, Chunked"], None, Some(Coding::Chunked));
        check(&["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], None, Some(Coding::Chunked));
        check(&["Transfer-Encoding: gzip"], None, Some(Coding::Other));
        check(&["Content-Length-Of: x", "X: Content-Length: 5"], None, None);
    }

    #[test]
    fn event_streams_and_upgrades_are_seen() {
        let has_events = |lines: &[&str]| fields(lines).unwrap().bodies() == Bodies::Events;
        assert_eq!(fields(&["Content-Type: application/x-ndjson"]).unwrap().bodies(), Bodies::Lines);
        assert!(has_events(&["Content-Type: text/event-stream"]));
        assert!(has_events(&[
            "content-type: Text/Event-Stream; charset=utf-8",
            "Content-Encoding: identity"
        ]));
        assert!(!has_events(&["Content-Type: text/event-streams"]));
        assert!(!has_events(&["Content-Type: text/event-stream", "Content-Encoding: gzip"]));
        let upgrades = |lines: &[&str]| fields(lines).unwrap().upgrades_to_websocket;
        assert!(upgrades(&["Upgrade: websocket"]));
        assert!(upgrades(&["upgrade: h2c, WebSocket"]));
        assert!(!upgrades(&["Upgrade: h2c"]));
    }

    #[test]
    fn broken_fields_fail() {
        for line in ["no colon", ": x", "Host : x", " folded: x", "a b: c"] {
            assert_eq!(fields(&[line]), Err(ScanError::FieldLine { found: line.to_owned() }));
        }
        for value in ["", "+5", "5 5", "5, 6", "-1", "0x5", "18446744073709551616", "5,"] {
            let error = ScanError::ContentLength { found: value.to_owned() };
            assert_eq!(fields(&[&format!("Content-Length: {value}")]), Err(error));
        }
    }
}
