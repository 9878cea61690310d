//! For tests: a sink that writes down everything, and the check that splits do not matter.
//!
//! A log reads `H19 B5 m5 |`: 19 bytes of headers, 5 of body, a message of 5 body bytes, a boundary. `T` is
//! transport framing, `A` app framing.

use crate::{Part, ScanError, Sink};

/// Everything a scanner reported, adjoining counts of one part added up.
#[derive(Default)]
pub(crate) struct Log {
    entries: Vec<(char, u64)>,
}

impl Log {
    pub(crate) fn text(&self) -> String {
        let entry =
            |&(kind, n): &(char, u64)| if kind == '|' { "|".to_owned() } else { format!("{kind}{n}") };
        self.entries.iter().map(entry).collect::<Vec<_>>().join(" ")
    }
}

impl Sink for Log {
    fn count(&mut self, part: Part, bytes: usize) {
        let kind = match part {
            Part::Headers => 'H',
            Part::TransportFraming => 'T',
            Part::AppFraming => 'A',
            Part::Body => 'B',
        };
        assert!(bytes > 0, "counts nothing");
        match self.entries.last_mut() {
            Some((last, sum)) if *last == kind => *sum += bytes as u64,
            _ => self.entries.push((kind, bytes as u64)),
        }
    }

    fn message(&mut self, body_bytes: u64) {
        self.entries.push(('m', body_bytes));
    }

    fn boundary(&mut self) {
        self.entries.push(('|', 0));
    }
}

/// Feeds `bytes` to a new scanner whole, then in pieces of 1, 2, 3 and 7 bytes: each log must read `expected`.
pub(crate) fn check<S>(
    new: impl Fn() -> S,
    feed: impl Fn(&mut S, &[u8], &mut Log) -> Result<(), ScanError>,
    bytes: &[u8],
    expected: Result<&str, ScanError>,
) {
    let expected = expected.map(str::to_owned);
    for size in [bytes.len().max(1), 1, 2, 3, 7] {
        let (mut scanner, mut log) = (new(), Log::default());
        let result = bytes.chunks(size).try_for_each(|piece| feed(&mut scanner, piece, &mut log));
        let found = result.map(|()| log.text());
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
        assert_eq!(found, expected, "{shown:?} in pieces of {size}");
    }
}
