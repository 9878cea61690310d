//! A quote in every encoding, made once and shared by all clients; and the envelope around several quotes.
//!
//! It knows formats, not who sends them: no sockets, no cursors.

use std::{
    io::Write as _,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde_json::value::RawValue;
use ticker::{Quote, binary};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One published quote. All views share one allocation, so a client costs a reference count, not a copy.
pub(crate) struct Encoded {
    /// Its sequence number.
    pub(crate) seq: u64,
    /// The index of its symbol.
    pub(crate) symbol: u32,
    /// The canonical JSON.
    pub(crate) json: Bytes,
    /// The same as a block of an event stream: `id: N`, `data: {…}`, blank line.
    pub(crate) event: Bytes,
    /// The same as checked UTF-8 text.
    pub(crate) text: Utf8Bytes,
    /// The same as a line: `{…}` and a line feed.
    pub(crate) line: Bytes,
    /// A message of `ticker.binary.v1`.
    pub(crate) binary: Bytes,
    /// An event of docs/ticker.proto.
    #[cfg(feature = "grpc")]
    pub(crate) protobuf: Bytes,
    /// Whether a planted fault keeps it from everybody.
    withheld: bool,
    /// Where the direct engine runs: what goes out on its streams.
    frames: Option<Frames>,
    raw: OnceLock<Arc<RawValue>>,
}

impl Encoded {
    /// Encodes `quote`, padded to `quote_bytes`.
    pub(crate) fn new(quote: &Quote<'_>, quote_bytes: u32) -> Self {
        let mut event =
            Vec::with_capacity(quote_bytes as usize + LONGEST_EVENT_FRAMING + 1 + binary::RECORD_BYTES);
        write!(event, "id: {}\ndata: ", quote.due.seq).expect("writing to a Vec does not fail");
        let start = event.len();
        quote.encode(quote_bytes, &mut event);
        let end = event.len();
        event.extend_from_slice(b"\n\n");
        let event_end = event.len();
        binary::encode_quote(quote, &mut event);

        let all = Bytes::from(event);
        let json = all.slice(start..end);
        let text = Utf8Bytes::try_from(json.clone()).expect("a quote is ASCII");
        let (event, line, binary) = (all.slice(..event_end), all.slice(start..=end), all.slice(event_end..));
        Self {
            seq: quote.due.seq,
            symbol: quote.due.symbol,
            json,
            event,
            text,
            line,
            binary,
            withheld: false,
            frames: None,
            raw: OnceLock::new(),
            #[cfg(feature = "grpc")]
            protobuf: ticker::protobuf::encode_quote(quote).into(),
        }
    }

    /// The same with its frames.
    pub(crate) fn framed(mut self) -> Self {
        self.frames = Some(Frames::of(&self));
        self
    }

    /// The bytes that carry it on a stream with that framing.
    ///
    /// # Panics
    /// When it was not [`framed`](Self::framed).
    pub(crate) fn frame(&self, framing: Framing) -> &[u8] {
        self.frames.as_ref().expect("the direct engine's quotes are framed").get(framing)
    }

    /// The same, kept from everybody if so.
    pub(crate) fn withheld(mut self, withheld: bool) -> Self {
        self.withheld = withheld;
        self
    }

    /// Whether a planted fault keeps it from everybody.
    pub(crate) fn is_withheld(&self) -> bool {
        self.withheld
    }

    /// The same as a value that serialises to itself; made when it is first asked for.
    pub(crate) fn raw(&self) -> Arc<RawValue> {
        let make = || RawValue::from_string(self.text.to_string()).expect("a quote is JSON").into();
        Arc::clone(self.raw.get_or_init(make))
    }
}

/// What stands around a quote on a stream of HTTP/1.1, heads of chunks and frames included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A chunk (RFC 9112 section 7.1) with a block of an event stream.
    EventChunk,
    /// A chunk with a line.
    LineChunk,
    /// A text frame (RFC 6455 section 5.2), not masked.
    TextFrame,
    /// A binary frame with a message of `ticker.binary.v1`.
    BinaryFrame,
}

impl Framing {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::EventChunk, Self::LineChunk, Self::TextFrame, Self::BinaryFrame];
}

/// A quote in every framing, one after the other.
struct Frames {
    bytes: Box<[u8]>,
    ends: [u32; 4],
}

impl Frames {
    fn of(quote: &Encoded) -> Self {
        let mut bytes = Vec::with_capacity(3 * quote.event.len() + quote.binary.len() + 40);
        let mut ends = [0; 4];
        for framing in Framing::ALL {
            match framing {
                Framing::EventChunk => chunk(&quote.event, &mut bytes),
                Framing::LineChunk => chunk(&quote.line, &mut bytes),
                Framing::TextFrame => frame(TEXT, &quote.json, &mut bytes),
                Framing::BinaryFrame => frame(BINARY, &quote.binary, &mut bytes),
            }
            ends[framing as usize] = bytes.len() as u32;
        }
        Self { bytes: bytes.into(), ends }
    }

    fn get(&self, framing: Framing) -> &[u8] {
        let index = framing as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[index] as usize]
    }
}

/// The first byte of a text message's only frame, and of a binary one's (RFC 6455 section 5.2).
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;

/// Appends `body` as a chunk (RFC 9112 section 7.1).
pub(crate) fn chunk(body: &[u8], out: &mut Vec<u8>) {
    write!(out, "{:X}\r\n", body.len()).expect("writing to a Vec does not fail");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// Appends `payload` as one frame without a mask, as servers send it (RFC 6455 section 5.1).
pub(crate) fn frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..0x1_0000 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// `id: `, twenty digits, `\ndata: ` and the blank line.
const LONGEST_EVENT_FRAMING: usize = 4 + 20 + 7 + 2;

/// Several quotes in one body: `{"last":N,"gap":N,"snapshot":bool,"quotes":[…]}`.
pub(crate) struct Envelope<E = Encoded> {
    /// The newest sequence number of the feed when the envelope was made.
    pub(crate) last: u64,
    /// Quotes up to `last` that the reader was still owed and that nothing will bring any more.
    pub(crate) gap: u64,
    /// True when the quotes are a symbol's newest ones instead of all that followed the reader's cursor.
    pub(crate) snapshot: bool,
    /// Ascending by sequence number.
    pub(crate) quotes: Vec<Arc<E>>,
}

impl Envelope {
    /// The envelope as compact JSON, the quotes verbatim.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.write_json(&mut body);
        body
    }

    /// Appends the same to `body`.
    pub(crate) fn write_json(&self, body: &mut Vec<u8>) {
        let Self { last, gap, snapshot, quotes } = self;
        let length: usize = quotes.iter().map(|quote| quote.json.len() + 1).sum();
        body.reserve(length + LONGEST_ENVELOPE);
        write!(body, r#"{{"last":{last},"gap":{gap},"snapshot":{snapshot},"quotes":["#)
            .expect("writing to a Vec does not fail");
        for (index, quote) in quotes.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&quote.json);
        }
        body.extend_from_slice(b"]}");
    }

    /// The envelope as a message of `ticker.binary.v1`.
    pub(crate) fn binary(&self) -> Vec<u8> {
        let mut body =
            Vec::with_capacity(binary::SNAPSHOT_HEAD_BYTES + self.quotes.len() * binary::RECORD_BYTES);
        binary::encode_snapshot_head(self.last, self.gap, &mut body);
        self.quotes.iter().for_each(|quote| body.extend_from_slice(&quote.binary[1..]));
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
        assert_eq!(encoded.line, [json.as_slice(), b"\n"].concat());
        assert_eq!((encoded.binary[0], encoded.binary.len()), (1, 37));
        assert_eq!(encoded.raw().get().as_bytes(), json);
        assert_eq!(encoded.event, [b"id: 7\ndata: ", json.as_slice(), b"\n\n"].concat());
    }

    #[test]
    fn frames_are_the_views_with_their_heads() {
        let due = Due { seq: 7, symbol: 0, offset_ns: 0, cents: 10_125, quantity: 300 };
        for (bytes, head) in [(110_u32, vec![0x81, 110]), (300, vec![0x81, 126, 1, 44])] {
            let quote = Encoded::new(&Quote { due, symbol: "ACME", due_us: 0, sent_us: 0 }, bytes).framed();
            let chunk = |body: &[u8]| [format!("{:X}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
            assert_eq!(quote.frame(Framing::EventChunk), chunk(&quote.event));
            assert_eq!(quote.frame(Framing::LineChunk), chunk(&quote.line));
            assert_eq!(quote.frame(Framing::TextFrame), [&head, &quote.json[..]].concat());
            assert_eq!(quote.frame(Framing::BinaryFrame), [&[0x82, 37], &quote.binary[..]].concat());
        }
        let mut long = Vec::new();
        frame(BINARY, &[7; 70_000], &mut long);
        assert_eq!((&long[..10], long.len()), (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70][..], 70_010));
    }

    fn encoded(seq: u64) -> Arc<Encoded> {
        let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_125, quantity: 300 };
        Arc::new(Encoded::new(&Quote { due, symbol: "ACME", due_us: 0, sent_us: 0 }, 110))
    }

    #[test]
    fn an_envelope_is_the_documented_text() {
        let check = |snapshot, seqs: &[u64], expected: &str| {
            let quotes: Vec<_> = seqs.iter().map(|&seq| encoded(seq)).collect();
            let texts: Vec<&str> = quotes.iter().map(|quote| quote.text.as_str()).collect();
            let expected = expected.replace("QUOTES", &texts.join(","));
            let text = Envelope { last: 9, gap: 2, snapshot, quotes: quotes.clone() }.json();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        };
        check(false, &[], r#"{"last":9,"gap":2,"snapshot":false,"quotes":[]}"#);
        check(true, &[1], r#"{"last":9,"gap":2,"snapshot":true,"quotes":[QUOTES]}"#);
        check(false, &[1, 2], r#"{"last":9,"gap":2,"snapshot":false,"quotes":[QUOTES]}"#);
    }

    #[test]
    fn a_binary_envelope_reads_back() {
        let envelope = Envelope { last: 9, gap: 2, snapshot: true, quotes: vec![encoded(3), encoded(7)] };
        let bytes = envelope.binary();
        let Ok(binary::Message::Snapshot { last, gap, quotes }) = binary::decode(&bytes) else { panic!() };
        assert_eq!((last, gap, quotes.len(), quotes[1].seq), (9, 2, 2, 7));
    }
}
