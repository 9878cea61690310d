//! A quote in every encoding, made once and shared by all clients; and the envelope around several quotes.
//!
//! It knows formats, not who sends them: no sockets, no cursors.

use std::{
    io::Write as _,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde_json::value::RawValue;
use ticker::Quote;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One published quote. All three views share one allocation, so a client costs a reference count, not a copy.
pub(crate) struct Encoded {
    /// The canonical JSON.
    pub(crate) json: Bytes,
    /// The same as a block of an event stream: `id: N`, `data: {…}`, blank line.
    pub(crate) event: Bytes,
    /// The same as checked UTF-8 text.
    pub(crate) text: Utf8Bytes,
    raw: OnceLock<Arc<RawValue>>,
}

impl Encoded {
    /// Encodes `quote`, padded to `quote_bytes`.
    pub(crate) fn new(quote: &Quote<'_>, quote_bytes: u32) -> Self {
        let mut event = Vec::with_capacity(quote_bytes as usize + LONGEST_EVENT_FRAMING);
        write!(event, "id: {}\ndata: ", quote.due.seq).expect("writing to a Vec does not fail");
        let start = event.len();
        quote.encode(quote_bytes, &mut event);
        let end = event.len();
        event.extend_from_slice(b"\n\n");

        let event = Bytes::from(event);
        let json = event.slice(start..end);
        let text = Utf8Bytes::try_from(json.clone()).expect("a quote is ASCII");
        Self { json, event, text, raw: OnceLock::new() }
    }

    /// The same as a value that serialises to itself; made when it is first asked for.
    pub(crate) fn raw(&self) -> Arc<RawValue> {
        let make = || RawValue::from_string(self.text.to_string()).expect("a quote is JSON").into();
        Arc::clone(self.raw.get_or_init(make))
    }
}

/// `id: `, twenty digits, `\ndata: ` and the blank line.
const LONGEST_EVENT_FRAMING: usize = 4 + 20 + 7 + 2;

/// Several quotes in one body: `{"last":N,"gap":N,"snapshot":bool,"quotes":[…]}`.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// The newest sequence number of the feed when the envelope was made.
    pub(crate) last: u64,
    /// Quotes up to `last` that the reader was still owed and that nothing will bring any more.
    pub(crate) gap: u64,
    /// True when the quotes are a symbol's newest ones instead of all that followed the reader's cursor.
    pub(crate) snapshot: bool,
    /// Canonical JSON, ascending by sequence number.
    pub(crate) quotes: Vec<Bytes>,
}

impl Envelope {
    /// The envelope as compact JSON, the quotes verbatim.
    pub(crate) fn json(&self) -> Vec<u8> {
        let Self { last, gap, snapshot, quotes } = self;
        let length: usize = quotes.iter().map(|quote| quote.len() + 1).sum();
        let mut body = Vec::with_capacity(length + LONGEST_ENVELOPE);
        write!(body, r#"{{"last":{last},"gap":{gap},"snapshot":{snapshot},"quotes":["#)
            .expect("writing to a Vec does not fail");
        for (index, quote) in quotes.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(quote);
        }
        body.extend_from_slice(b"]}");
        body
    }
}

/// The envelope's own text with two numbers of twenty digits.
const LONGEST_ENVELOPE: usize = 90;

#[cfg(test)]
mod tests {
    use ticker::Due;

    use super::*;

    #[test]
    fn every_view_holds_the_canonical_json() {
        let due = Due { seq: 7, symbol: 0, offset_ns: 0, cents: 10_125, quantity: 300 };
        let quote =
            Quote { due, symbol: "ACME", due_us: 1_795_230_683_531_537, sent_us: 1_795_230_683_531_551 };
        let encoded = Encoded::new(&quote, 120);
        let mut json = Vec::new();
        quote.encode(120, &mut json);
        assert_eq!(encoded.json, json);
        assert_eq!(encoded.text.as_str().as_bytes(), json);
        assert_eq!(encoded.raw().get().as_bytes(), json);
        assert_eq!(encoded.event, [b"id: 7\ndata: ", json.as_slice(), b"\n\n"].concat());
    }

    #[test]
    fn an_envelope_is_the_documented_text() {
        let check = |snapshot, quotes: &[&'static str], expected: &str| {
            let quotes = quotes.iter().map(|quote| Bytes::from_static(quote.as_bytes())).collect();
            let text = Envelope { last: 9, gap: 2, snapshot, quotes }.json();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        };
        check(false, &[], r#"{"last":9,"gap":2,"snapshot":false,"quotes":[]}"#);
        check(true, &["{1}"], r#"{"last":9,"gap":2,"snapshot":true,"quotes":[{1}]}"#);
        check(false, &["{1}", "{2}"], r#"{"last":9,"gap":2,"snapshot":false,"quotes":[{1},{2}]}"#);
    }
}
