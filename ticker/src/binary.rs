//! `ticker.binary.v1`: a quote in 36 bytes of fixed layout, a snapshot as a head and such records.
//!
//! Numbers are big-endian (network byte order). It knows messages, not what frames them; docs/PROTOCOL.md shows
//! the layout.

use crate::{Quote, QuoteView};

/// First byte of a message that is one quote.
pub const QUOTE: u8 = 1;
/// First byte of a message that is a snapshot.
pub const SNAPSHOT: u8 = 2;
/// First byte of a message that is one quote and padding, which only clients of an echo send.
pub const PADDED: u8 = 3;
/// Bytes of a quote without the message's first byte.
pub const RECORD_BYTES: usize = 36;
/// Bytes of a snapshot before its records: kind, last, gap.
pub const SNAPSHOT_HEAD_BYTES: usize = 1 + 8 + 8;

/// Appends a message with one quote: 37 bytes.
pub fn encode_quote(quote: &Quote<'_>, out: &mut Vec<u8>) {
    out.push(QUOTE);
    encode_record(quote, out);
}

/// Appends a message with one quote and zeros after it, `quote_bytes` long besides its first byte; 37 bytes at least.
pub fn encode_padded(quote: &Quote<'_>, quote_bytes: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(PADDED);
    encode_record(quote, out);
    out.resize(out.len().max(start + 1 + quote_bytes as usize), 0);
}

/// Appends the head of a snapshot; the records of its quotes follow.
pub fn encode_snapshot_head(last: u64, gap: u64, out: &mut Vec<u8>) {
    out.push(SNAPSHOT);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&gap.to_be_bytes());
}

/// seq u64 · due u64 · sent u64 (Unix microseconds) · symbol (4 ASCII letters) · price in cents u32 · quantity u32.
fn encode_record(quote: &Quote<'_>, out: &mut Vec<u8>) {
    let mut symbol = [b' '; 4];
    let name = quote.symbol.as_bytes();
    let length = name.len().min(symbol.len());
    symbol[..length].copy_from_slice(&name[..length]);
    out.extend_from_slice(&quote.due.seq.to_be_bytes());
    out.extend_from_slice(&quote.due_us.to_be_bytes());
    out.extend_from_slice(&quote.sent_us.to_be_bytes());
    out.extend_from_slice(&symbol);
    // Prices of the schedule stay below 2^32 cents by far.
    out.extend_from_slice(&(quote.due.cents as u32).to_be_bytes());
    out.extend_from_slice(&quote.due.quantity.to_be_bytes());
}

/// A message taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<'a> {
    /// One quote.
    Quote(QuoteView<'a>),
    /// The newest quote of every symbol.
    Snapshot {
        /// The feed's newest sequence number.
        last: u64,
        /// Quotes that the reader has lost.
        gap: u64,
        /// Ascending by sequence number.
        quotes: Vec<QuoteView<'a>>,
    },
}

/// Bytes that are no message of `ticker.binary.v1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a binary message of {length} bytes that begins with {first:?}, expected 1 and 36 bytes, 2, 16 and records of 36, or 3 and at least 36"
)]
pub struct NotBinary {
    /// Its first byte.
    pub first: Option<u8>,
    /// Its length.
    pub length: usize,
}

/// Takes a message apart.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, NotBinary> {
    let wrong = || NotBinary { first: bytes.first().copied(), length: bytes.len() };
    match bytes.split_first() {
        Some((&QUOTE, record)) => record_of(record).map(Message::Quote).ok_or_else(wrong),
        Some((&PADDED, rest)) => {
            rest.get(..RECORD_BYTES).and_then(record_of).map(Message::Quote).ok_or_else(wrong)
        }
        Some((&SNAPSHOT, rest)) if rest.len() >= 16 && (rest.len() - 16) % RECORD_BYTES == 0 => {
            let (head, records) = rest.split_at(16);
            let quotes = records.chunks(RECORD_BYTES).map(record_of).collect::<Option<_>>();
            let (last, gap) = number(&head[..8]).zip(number(&head[8..])).ok_or_else(wrong)?;
            Ok(Message::Snapshot { last, gap, quotes: quotes.ok_or_else(wrong)? })
        }
        _ => Err(wrong()),
    }
}

fn record_of(record: &[u8]) -> Option<QuoteView<'_>> {
    if record.len() != RECORD_BYTES {
        return None;
    }
    let cents = u32::from_be_bytes(record[28..32].try_into().ok()?);
    Some(QuoteView {
        seq: number(&record[..8])?,
        due: number(&record[8..16])?,
        sent: number(&record[16..24])?,
        sym: std::str::from_utf8(&record[24..28]).ok()?,
        px: f64::from(cents) / 100.0,
        qty: u32::from_be_bytes(record[32..36].try_into().ok()?),
    })
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Due;

    fn quote(seq: u64) -> Quote<'static> {
        let due = Due { seq, symbol: 1, offset_ns: 0, cents: 10_105, quantity: 300 };
        Quote { due, symbol: "BOLT", due_us: 1_795_230_683_531_537, sent_us: 1_795_230_683_531_551 }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut bytes = Vec::new();
        encode_quote(&quote(1_234_567), &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01\
             000000000012d687\
             000660c0b72e8911\
             000660c0b72e891f\
             424f4c54\
             00002779\
             0000012c"
        );
    }

    #[test]
    fn padding_is_not_looked_at() {
        for (quote_bytes, length) in [(0, 37), (36, 37), (120, 121)] {
            let mut bytes = vec![9];
            encode_padded(&quote(7), quote_bytes, &mut bytes);
            assert_eq!(bytes.len(), 1 + length);
            let Ok(Message::Quote(found)) = decode(&bytes[1..]) else { panic!("{bytes:?}") };
            assert_eq!((found.seq, found.sym, found.qty), (7, "BOLT", 300));
        }
        assert!(decode(&[PADDED; RECORD_BYTES]).is_err());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        encode_quote(&quote(1), &mut one);
        encode_snapshot_head(9, 0, &mut many);
        many.extend_from_slice(&one[1..]);
        assert!(decode(&one).is_ok() && decode(&many).is_ok());
        for wrong in [&[][..], &[3], &one[..36], &many[..52], &[one.as_slice(), b"x"].concat()] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn messages_read_back(seqs in proptest::collection::vec(1_u64..u64::MAX, 0..9), last: u64, gap: u64) {
            let mut bytes = Vec::new();
            encode_snapshot_head(last, gap, &mut bytes);
            seqs.iter().for_each(|&seq| encode_record(&quote(seq), &mut bytes));
            let Ok(Message::Snapshot { last: read_last, gap: read_gap, quotes }) = decode(&bytes) else {
                panic!("not a snapshot");
            };
            prop_assert_eq!((read_last, read_gap), (last, gap));
            prop_assert_eq!(quotes.iter().map(|quote| quote.seq).collect::<Vec<_>>(), seqs);
            prop_assert!(quotes.iter().all(|quote| (quote.sym, quote.px, quote.qty) == ("BOLT", 101.05, 300)));
        }
    }
}
