//! Request heads that the engine understands, and the heads of its answers. It does no I/O.
//!
//! It is strict: whatever is not plainly one of its requests is somebody else's, who will refuse it or serve it.

use std::{
    io::Write as _,
    str::from_utf8,
    time::{Duration, UNIX_EPOCH},
};

use crate::{app::App, fault};

/// Most header fields of a request; with more it is somebody else's.
const MOST_FIELDS: usize = 64;

/// Room for the fields of a request.
pub(super) type Room<'b> = [httparse::Header<'b>; MOST_FIELDS];

/// An empty one.
pub(super) fn room<'b>() -> Room<'b> {
    [httparse::EMPTY_HEADER; MOST_FIELDS]
}

/// What bytes at the beginning of a request are.
pub(super) enum Parsed<'b> {
    /// The head's end is still to come.
    Partial,
    /// Nothing for this engine.
    Other,
    /// A whole head of so many bytes.
    Whole(Request<'b>, usize),
}

/// A GET request over HTTP/1.1 without a body.
pub(crate) struct Request<'b> {
    /// The path.
    pub(crate) path: &'b str,
    /// What follows the question mark.
    pub(crate) query: Option<&'b str>,
    /// Path and query.
    pub(crate) target: &'b str,
    /// Whether the client wants the connection to end with the answer (RFC 9112 section 9.6).
    pub(crate) closes: bool,
    fields: &'b [httparse::Header<'b>],
}

impl<'b> Request<'b> {
    /// Values of the field, in order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b> {
        self.fields.iter().map(|field| (field.name, field.value))
    }
}

/// Whether a list of tokens (RFC 9110 section 5.6.1) has one.
fn lists(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Reads a request head.
pub(super) fn parse<'b>(bytes: &'b [u8], room: &'b mut Room<'b>) -> Parsed<'b> {
    let mut head = httparse::Request::new(room);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Other,
    };
    let (Some("GET"), Some(1), Some(target)) = (head.method, head.version, head.path) else {
        return Parsed::Other;
    };
    if !target.starts_with('/') {
        return Parsed::Other;
    }
    let fields: &'b [httparse::Header<'b>] = head.headers;
    let mut closes = false;
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            // A body, or something that has to be answered before it.
            14 if is("content-length") => return Parsed::Other,
            17 if is("transfer-encoding") => return Parsed::Other,
            6 if is("expect") => return Parsed::Other,
            10 if is("connection") => closes |= lists(field.value, "close"),
            _ => {}
        }
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Parsed::Whole(Request { path, query, target, closes, fields }, length)
}

/// A query of known keys.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Question<'b> {
    /// `after`.
    pub(crate) after: Option<u64>,
    /// `mode=latest`.
    pub(crate) latest: bool,
    /// `symbols`.
    pub(crate) symbols: Option<&'b str>,
}

impl<'b> Question<'b> {
    /// Reads a query of these keys at most, each once; `None` for any other, or where something is escaped or is no
    /// number.
    pub(crate) fn of(query: Option<&'b str>, keys: &[&str]) -> Option<Self> {
        let mut question = Self::default();
        let mut seen = 0_u8;
        for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            let place = keys.iter().position(|known| *known == key)?;
            let plain = !value.bytes().any(|byte| matches!(byte, b'%' | b'+'));
            if !plain || seen & (1 << place) != 0 {
                return None;
            }
            seen |= 1 << place;
            match (key, value) {
                ("after", digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    question.after = Some(digits.parse().ok()?);
                }
                ("mode", "since") => {}
                ("mode", "latest") => question.latest = true,
                ("symbols", list) => question.symbols = Some(list),
                _ => return None,
            }
        }
        Some(question)
    }
}

/// An answer that is written. Its heads have the bytes of the library engine's.
pub(crate) struct Answer<'a> {
    /// The server.
    pub(crate) app: &'a App,
    /// What goes to the client.
    pub(crate) out: &'a mut Vec<u8>,
    /// Room for a body.
    pub(super) body: &'a mut Vec<u8>,
    /// The Date field's value.
    pub(super) date: &'a [u8],
    /// Whether the connection ends with it.
    pub(super) closes: bool,
}

impl Answer<'_> {
    /// An answer with a body, which `write` appends.
    pub(crate) fn whole(&mut self, fields: &[(&str, &[u8])], write: impl FnOnce(&mut Vec<u8>)) {
        self.body.clear();
        write(self.body);
        let mut digits = [0; 20];
        let length = decimal(self.body.len() as u64, &mut digits);
        self.head("200 OK", fields, Some(("content-length", length)));
        self.out.extend_from_slice(self.body);
    }

    /// An answer without one.
    pub(crate) fn empty(&mut self, status: &str, fields: &[(&str, &[u8])]) {
        self.head(status, fields, None);
    }

    /// The head of an answer that never ends (RFC 9112 section 7.1).
    pub(crate) fn endless(&mut self, fields: &[(&str, &[u8])]) {
        self.head("200 OK", fields, Some(("transfer-encoding", b"chunked")));
    }

    fn head(&mut self, status: &str, fields: &[(&str, &[u8])], framing: Option<(&str, &[u8])>) {
        let out = &mut *self.out;
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_bytes());
        out.extend_from_slice(b"\r\n");
        fields.iter().for_each(|&(name, value)| field(name, value, out));
        if self.app.settings.fault == Some(fault::Fault::ExtraHeader) {
            let (name, value) = fault::field();
            field(name.as_str(), value.as_bytes(), out);
        }
        if let Some((name, value)) = framing {
            field(name, value, out);
        }
        if self.closes {
            field("connection", b"close", out);
        }
        field("date", self.date, out);
        out.extend_from_slice(b"\r\n");
    }
}

fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `number` in decimal digits.
pub(crate) fn decimal(number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut rest = &mut room[..];
    write!(rest, "{number}").expect("twenty digits hold every u64");
    let left = rest.len();
    &room[..20 - left]
}

/// The Date field's value (RFC 9110 section 5.6.7), made anew once a second.
#[derive(Default)]
pub(super) struct Date {
    until_ns: u64,
    text: String,
}

impl Date {
    /// As of `now_ns` (monotonic); Unix time is asked for when a second is over.
    pub(super) fn at(&mut self, now_ns: u64, unix_ns: impl FnOnce() -> u64) -> &[u8] {
        const SECOND: u64 = 1_000_000_000;
        if now_ns >= self.until_ns {
            let unix_ns = unix_ns();
            let second = Duration::from_secs(unix_ns / SECOND);
            self.text = httpdate::fmt_http_date(UNIX_EPOCH + second);
            self.until_ns = now_ns + SECOND - unix_ns % SECOND;
        }
        self.text.as_bytes()
    }
}

/// A field's value as text, where it is.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_requests_are_understood_and_all_others_are_left_alone() {
        let kind = |bytes: &str| match parse(bytes.as_bytes(), &mut room()) {
            Parsed::Partial => "partial".to_owned(),
            Parsed::Other => "other".to_owned(),
            Parsed::Whole(request, length) => {
                format!(
                    "{} {:?} closes={} {length}/{}",
                    request.path,
                    request.query,
                    request.closes,
                    bytes.len()
                )
            }
        };
        let check = |bytes: &str, expected: &str| assert_eq!(kind(bytes), expected, "{bytes:?}");
        check("", "partial");
        check("GET /a?b=c HTTP/1.1\r\nhost: x\r\n\r\nGET", "/a Some(\"b=c\") closes=false 32/35");
        check("GET / HTTP/1.1\r\nConnection: upgrade, Close\r\n\r\n", "/ None closes=true 46/46");
        check("GET / HTTP/1.1\r\nhost", "partial");
        check("GET / HTTP/1.0\r\n\r\n", "other");
        check("HEAD / HTTP/1.1\r\n\r\n", "other");
        check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "other");
        check("\x16\x03\x01", "other");
        check("GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", "other");
        check("GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "other");
        check("GET http://x/ HTTP/1.1\r\n\r\n", "other");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1));
        check(&many, "other");
    }

    #[test]
    fn queries_of_known_keys_are_read_and_all_others_are_left_alone() {
        let of = |query| Question::of(Some(query), &["after", "mode", "symbols"]);
        let latest = Question { after: Some(7), latest: true, symbols: Some("A,B") };
        assert_eq!(of("after=7&mode=latest&symbols=A,B"), Some(latest));
        assert_eq!(of(""), Some(Question::default()));
        for other in
            ["after=-1", "after=+1", "after=1&after=2", "mode=new", "symbols=%41", "x=1", "after", "after=1x"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of("after="), None);
        assert_eq!(Question::of(Some("mode=latest"), &["after"]), None);
        assert_eq!(Question::of(None, &[]), Some(Question::default()));
    }

    #[test]
    fn numbers_and_dates_are_text() {
        assert_eq!(decimal(0, &mut [0; 20]), b"0");
        assert_eq!(decimal(u64::MAX, &mut [0; 20]), b"18446744073709551615");
        let mut date = Date::default();
        let first = b"Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(date.at(50, || 784_111_777_900_000_000), first);
        assert_eq!(date.at(100_000_049, || unreachable!()), first);
        assert_eq!(date.at(100_000_050, || 784_111_778_000_000_000), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
