//! The quote and its canonical JSON: always exactly `quote_bytes` long, so that every transport carries the same payload.
//!
//! It knows no schedule, transport or envelope: only one quote as text.

use std::io::Write as _;

use serde::Deserialize;

use crate::schedule::Due;

/// Most symbols of one feed: their names keep one width.
pub const MOST_SYMBOLS: u32 = 10_000;
/// Shortest `quote_bytes`: all fields, an empty pad and room for ten-digit sequence numbers.
pub const SHORTEST_BYTES: u32 = 110;
/// Longest `quote_bytes`.
pub const LONGEST_BYTES: u32 = 60_000;

const WELL_KNOWN: [&str; 16] = [
    "ACME", "BOLT", "CRUX", "DUNE", "ECHO", "FLUX", "GRIT", "HALO", "IRIS", "JADE", "KITE", "LUNA", "MINT",
    "NOVA", "OPAL", "PIKE",
];

/// The name of symbol `index`: four capital letters, distinct for all indices below [`MOST_SYMBOLS`].
pub fn symbol_name(index: u32) -> String {
    if let Some(name) = WELL_KNOWN.get(index as usize) {
        return (*name).to_owned();
    }
    // Q is the first letter of no well-known name, so generated names never meet them.
    let digit = |power: u32| char::from(b'A' + (index / 26_u32.pow(power) % 26) as u8);
    ['Q', digit(2), digit(1), digit(0)].iter().collect()
}

/// The index whose [`symbol_name`] is `name`, whether or not a feed has that many.
pub fn symbol_index(name: &str) -> Option<u32> {
    if let Some(index) = WELL_KNOWN.iter().position(|known| *known == name) {
        return u32::try_from(index).ok();
    }
    let [b'Q', digits @ ..] = name.as_bytes() else { return None };
    let digit = |byte: &u8| byte.is_ascii_uppercase().then(|| u32::from(byte - b'A'));
    let [a, b, c] = digits else { return None };
    let index = digit(a)? * 26 * 26 + digit(b)? * 26 + digit(c)?;
    // The first names of the generated kind belong to indices that have well-known ones.
    (index >= WELL_KNOWN.len() as u32).then_some(index)
}

/// A quote ready to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote<'a> {
    /// Sequence number, symbol, price and quantity from the schedule.
    pub due: Due,
    /// The symbol's name.
    pub symbol: &'a str,
    /// Scheduled instant in Unix microseconds.
    pub due_us: u64,
    /// Instant of the hand-over to the first socket write, in Unix microseconds.
    pub sent_us: u64,
}

impl Quote<'_> {
    /// Appends the canonical JSON, padded to `quote_bytes`.
    ///
    /// A quote whose fields alone are longer (a sequence number past ten digits at the shortest length) is
    /// written whole with an empty pad.
    pub fn encode(&self, quote_bytes: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let Due { seq, cents, quantity, .. } = self.due;
        write!(
            out,
            r#"{{"seq":{seq},"sym":"{}","px":{}.{:02},"qty":{quantity},"due":{},"sent":{},"pad":""#,
            self.symbol,
            cents / 100,
            cents % 100,
            self.due_us,
            self.sent_us,
        )
        .expect("writing to a Vec does not fail");
        let end = start + quote_bytes as usize - 2;
        if out.len() < end {
            out.resize(end, b'.');
        }
        out.extend_from_slice(br#""}"#);
    }
}

/// A received quote, borrowed from the message; the pad is not looked at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct QuoteView<'a> {
    /// Feed-wide sequence number, from 1.
    pub seq: u64,
    /// The symbol's name.
    #[serde(borrow)]
    pub sym: &'a str,
    /// Price.
    pub px: f64,
    /// Quantity.
    pub qty: u32,
    /// Scheduled instant in Unix microseconds.
    pub due: u64,
    /// Instant of publication in Unix microseconds.
    pub sent: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(seq: u64, quote_bytes: u32) -> Vec<u8> {
        let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_105, quantity: 300 };
        let quote =
            Quote { due, symbol: "ACME", due_us: 1_795_230_683_531_537, sent_us: 1_795_230_683_531_551 };
        let mut out = Vec::new();
        quote.encode(quote_bytes, &mut out);
        out
    }

    #[test]
    fn the_text_is_the_documented_one() {
        assert_eq!(
            String::from_utf8(encoded(1_234_567, 112)).unwrap(),
            r#"{"seq":1234567,"sym":"ACME","px":101.05,"qty":300,"due":1795230683531537,"sent":1795230683531551,"pad":"......"}"#
        );
    }

    proptest! {
        #[test]
        fn every_quote_has_the_asked_length_and_reads_back(seq in 1_u64..9_999_999_999, bytes in SHORTEST_BYTES..2_000) {
            let text = encoded(seq, bytes);
            prop_assert_eq!(text.len(), bytes as usize);
            let view: QuoteView<'_> = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!((view.seq, view.sym, view.px, view.qty), (seq, "ACME", 101.05, 300));
            prop_assert_eq!((view.due, view.sent), (1_795_230_683_531_537, 1_795_230_683_531_551));
        }
    }

    #[test]
    fn symbol_names_are_distinct_and_four_wide() {
        let names: std::collections::HashSet<String> = (0..MOST_SYMBOLS).map(symbol_name).collect();
        assert_eq!(names.len(), MOST_SYMBOLS as usize);
        assert!(names.iter().all(|name| name.len() == 4));
        assert!((0..MOST_SYMBOLS).all(|index| symbol_index(&symbol_name(index)) == Some(index)));
        assert!(["", "acme", "QAAA", "QAA", "QAaZ", "XAAA"].iter().all(|name| symbol_index(name).is_none()));
    }
}
