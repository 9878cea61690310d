//! Who gets which quotes, and the bytes of a round: made once for each framing, sent to each client.
//!
//! Lists forget lazily: an entry whose client has gone or wants something else is dropped when it is met.

use std::sync::Arc;

use crate::encoded::{Encoded, Framing};

/// A client's place in a list.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: u32,
    /// The subscription that it was made for.
    pub(super) epoch: u32,
}

/// The lists of a hub.
pub(super) struct Crowd {
    /// Clients of all symbols, by framing.
    pub(super) all: [Vec<Place>; Framing::ALL.len()],
    /// Clients of some symbols, by symbol.
    pub(super) by_symbol: Vec<Vec<Place>>,
    /// Clients whose answers are held.
    pub(super) waiting: Vec<Place>,
    epoch: u32,
}

impl Crowd {
    /// Nobody, of a feed with so many symbols.
    pub(super) fn new(symbols: u32) -> Self {
        Self {
            all: Default::default(),
            by_symbol: vec![Vec::new(); symbols as usize],
            waiting: Vec::new(),
            epoch: 0,
        }
    }

    /// A number that no earlier subscription has.
    pub(super) fn next_epoch(&mut self) -> u32 {
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch
    }
}

/// The bytes of several quotes in one framing.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where each quote ends, and its sequence number.
    ends: Vec<(u32, u64)>,
}

impl Batch {
    /// Empty again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends a quote.
    pub(super) fn push(&mut self, quote: &Encoded, framing: Framing) {
        self.bytes.extend_from_slice(quote.frame(framing));
        self.ends.push((self.bytes.len() as u32, quote.seq));
    }

    /// Only these quotes.
    pub(super) fn fill(&mut self, quotes: &[Arc<Encoded>], framing: Framing) {
        self.clear();
        quotes.iter().for_each(|quote| self.push(quote, framing));
    }

    /// How many quotes it holds.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many of its quotes a reader at `cursor` has, and how many bytes they are.
    pub(super) fn past(&self, cursor: u64) -> (usize, usize) {
        let count = self.ends.partition_point(|&(_, seq)| seq <= cursor);
        (count, count.checked_sub(1).map_or(0, |last| self.ends[last].0 as usize))
    }

    /// What a write that took `bytes` of it (more than nothing) left: how many quotes are begun or whole, the number of
    /// the last of them, and where it ends.
    pub(super) fn cut(&self, bytes: usize) -> (usize, u64, usize) {
        let index = self.ends.partition_point(|&(end, _)| (end as usize) < bytes);
        let (end, seq) = self.ends[index];
        (index + 1, seq, end as usize)
    }
}

#[cfg(test)]
mod tests {
    use ticker::{Due, Quote};

    use super::*;

    #[test]
    fn a_batch_knows_its_quotes_by_bytes_and_numbers() {
        let quote = |seq| {
            let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_125, quantity: 300 };
            Arc::new(Encoded::new(&Quote { due, symbol: "ACME", due_us: 0, sent_us: 0 }, 110).framed())
        };
        let mut batch = Batch::default();
        batch.fill(&[quote(5), quote(7), quote(8)], Framing::TextFrame);
        assert_eq!((batch.len(), batch.bytes.len()), (3, 3 * 112));
        assert_eq!(
            [4, 5, 6, 7, 8, 9].map(|cursor| batch.past(cursor)),
            [(0, 0), (1, 112), (1, 112), (2, 224), (3, 336), (3, 336)]
        );
        assert_eq!(
            [1, 112, 113, 336].map(|bytes| batch.cut(bytes)),
            [(1, 5, 112), (1, 5, 112), (2, 7, 224), (3, 8, 336)]
        );
    }
}
