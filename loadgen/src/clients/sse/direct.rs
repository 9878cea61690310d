//! The event stream on the direct engine: an event's data, in place where it is one line.

use std::io;

use memchr::memchr2;

use super::{
    super::streaming::Streaming,
    {MEDIA_TYPE, PATH, own},
};
use crate::{direct::Setup, worker::Found};

pub(in crate::clients) fn direct(setup: Setup) -> io::Result<Found> {
    Streaming { path: PATH, media_type: MEDIA_TYPE, text: data }.run(setup, &own())
}

/// The data of one event (WHATWG HTML section 9.2.6): its data lines' values, joined by line feeds.
fn data<'a>(mut event: &'a [u8], joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let mut found: Option<&[u8]> = None;
    let mut several = false;
    while let Some(at) = memchr2(b'\n', b'\r', event) {
        let (line, end, rest) = (&event[..at], event[at], &event[at + 1..]);
        event = if end == b'\r' { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
        let Some(value) = value(line) else { continue };
        match found {
            None => found = Some(value),
            Some(first) => {
                if !std::mem::replace(&mut several, true) {
                    joined.clear();
                    joined.extend_from_slice(first);
                }
                joined.push(b'\n');
                joined.extend_from_slice(value);
            }
        }
    }
    if several { Some(joined) } else { found }
}

/// The value of a data line.
fn value(line: &[u8]) -> Option<&[u8]> {
    if line == b"data" {
        return Some(b"");
    }
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_what_the_lines_say() {
        let check = |event: &str, expected: Option<&str>| {
            let mut joined = vec![b'x'];
            assert_eq!(data(event.as_bytes(), &mut joined), expected.map(str::as_bytes), "{event:?}");
        };
        check("data: {1}\n\n", Some("{1}"));
        check("id: 7\ndata:{1}\n\n", Some("{1}"));
        check("event: snapshot\r\nid: 7\r\ndata:  {1}\r\n\r\n", Some(" {1}"));
        check("data: a\r\rdata: b", Some("a"));
        check("data: a\ndata\ndata: b\n\n", Some("a\n\nb"));
        check(": data: a\nid: 1\n\n", None);
    }
}
