//! The feed as protocol buffers: the messages of docs/ticker.proto, written by hand so that building needs no protoc.
//!
//! It knows messages and no service. The encoding is the one of the protobuf specification: fields in the order of
//! their numbers, numbers as varints.

use prost::Message as _;

use crate::{Quote, QuoteView};

/// The service's method, as HTTP/2 has it (gRPC over HTTP/2, "Path").
pub const SUBSCRIBE: &str = "/ticker.v1.Ticker/Subscribe";

/// What a client wants.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeRequest {
    /// The newest sequence number that it has; without it, it gets a snapshot.
    #[prost(uint64, optional, tag = "1")]
    pub after: Option<u64>,
    /// Names of the symbols that it wants; none for all.
    #[prost(string, repeated, tag = "2")]
    pub symbols: Vec<String>,
}

/// One message of the stream; empty as a heartbeat.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// What it holds.
    #[prost(oneof = "Kind", tags = "1, 2")]
    pub kind: Option<Kind>,
}

/// What an [`Event`] holds.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// One quote.
    #[prost(message, tag = "1")]
    Quote(WireQuote),
    /// The newest quote of every symbol.
    #[prost(message, tag = "2")]
    Snapshot(Snapshot),
}

/// A quote.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WireQuote {
    /// Feed-wide sequence number, from 1.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// The symbol's name.
    #[prost(string, tag = "2")]
    pub sym: String,
    /// Price in cents.
    #[prost(uint64, tag = "3")]
    pub cents: u64,
    /// Quantity.
    #[prost(uint32, tag = "4")]
    pub qty: u32,
    /// Scheduled instant in Unix microseconds.
    #[prost(uint64, tag = "5")]
    pub due: u64,
    /// Instant of publication in Unix microseconds.
    #[prost(uint64, tag = "6")]
    pub sent: u64,
}

/// Where a new reader stands, or one that fell out of the replay window.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Snapshot {
    /// The feed's newest sequence number.
    #[prost(uint64, tag = "1")]
    pub last: u64,
    /// Quotes that the reader has lost.
    #[prost(uint64, tag = "2")]
    pub gap: u64,
    /// Ascending by sequence number.
    #[prost(message, repeated, tag = "3")]
    pub quotes: Vec<WireQuote>,
}

impl WireQuote {
    /// The message of a quote.
    pub fn of(quote: &Quote<'_>) -> Self {
        Self {
            seq: quote.due.seq,
            sym: quote.symbol.to_owned(),
            cents: quote.due.cents,
            qty: quote.due.quantity,
            due: quote.due_us,
            sent: quote.sent_us,
        }
    }

    /// The quote as all readers take it.
    pub fn view(&self) -> QuoteView<'_> {
        QuoteView {
            seq: self.seq,
            sym: &self.sym,
            px: self.cents as f64 / 100.0,
            qty: self.qty,
            due: self.due,
            sent: self.sent,
        }
    }

    /// Bytes of the message without the field that it is in.
    pub fn bytes(&self) -> u64 {
        self.encoded_len() as u64
    }
}

/// An [`Event`] with one quote, encoded.
pub fn encode_quote(quote: &Quote<'_>) -> Vec<u8> {
    Event { kind: Some(Kind::Quote(WireQuote::of(quote))) }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Due;

    fn quote() -> Quote<'static> {
        let due = Due { seq: 300, symbol: 1, offset_ns: 0, cents: 10_105, quantity: 300 };
        Quote { due, symbol: "BOLT", due_us: 1_795_230_683_531_537, sent_us: 1_795_230_683_531_551 }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let bytes = encode_quote(&quote());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Field 1 (a message of 33 bytes): seq 300, sym "BOLT", cents 10105, qty 300, due, sent.
        let expected = "0a21\
             08ac02\
             1204424f4c54\
             18f94e\
             20ac02\
             28bdb2bfa9d3829903\
             30cbb2bfa9d3829903";
        assert_eq!(hex.len(), expected.len(), "{hex}");
        assert_eq!(hex[..26], expected[..26]);
        let event = Event::decode(bytes.as_slice()).unwrap();
        let Some(Kind::Quote(read)) = event.kind else { panic!("no quote") };
        let view = read.view();
        assert_eq!((view.seq, view.sym, view.px, view.qty), (300, "BOLT", 101.05, 300));
        assert_eq!((view.due, view.sent), (1_795_230_683_531_537, 1_795_230_683_531_551));
        assert_eq!(read.bytes() + 2, bytes.len() as u64);
    }

    #[test]
    fn the_document_names_the_same_fields() {
        let proto = include_str!("../../docs/ticker.proto");
        for line in [
            "optional uint64 after = 1;",
            "repeated string symbols = 2;",
            "Quote quote = 1;",
            "Snapshot snapshot = 2;",
            "uint64 seq = 1;",
            "string sym = 2;",
            "uint64 cents = 3;",
            "uint32 qty = 4;",
            "uint64 due = 5;",
            "uint64 sent = 6;",
            "uint64 last = 1;",
            "uint64 gap = 2;",
            "repeated Quote quotes = 3;",
            "rpc Subscribe(SubscribeRequest) returns (stream Event);",
            "package ticker.v1;",
        ] {
            assert!(proto.contains(line), "{line}");
        }
    }
}
