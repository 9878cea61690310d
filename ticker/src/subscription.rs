//! Which symbols each of many readers wants: a pure function of the reader's number.

use serde::{Deserialize, Serialize};

/// Every reader wants as many symbols, and every symbol has about as many readers.
///
/// Reader `i` wants the symbols `i·k … i·k + k − 1` modulo their number: neighbours want different ones, so no
/// message fits all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriptions {
    /// How many symbols there are and how many of them each wants; `None` when all want all.
    some: Option<(u32, u32)>,
}

impl Subscriptions {
    /// Each wants `per_reader` of `symbols`.
    pub fn new(symbols: u32, per_reader: u32) -> Self {
        Self { some: (per_reader < symbols).then_some((symbols, per_reader)) }
    }

    /// Whether every reader wants every symbol.
    #[inline]
    pub fn is_all(&self) -> bool {
        self.some.is_none()
    }

    /// Whether reader number `reader` wants the symbol.
    #[inline]
    pub fn wants(&self, reader: u32, symbol: u32) -> bool {
        self.some.is_none_or(|(symbols, per_reader)| {
            let first = first(reader, symbols, per_reader);
            (symbol + symbols - first) % symbols < per_reader
        })
    }

    /// Indices of the symbols that reader number `reader` wants, ascending; `None` for all.
    pub fn symbols_of(&self, reader: u32) -> Option<Vec<u32>> {
        let (symbols, per_reader) = self.some?;
        let first = first(reader, symbols, per_reader);
        let mut wanted: Vec<u32> = (first..first + per_reader).map(|symbol| symbol % symbols).collect();
        wanted.sort_unstable();
        Some(wanted)
    }
}

fn first(reader: u32, symbols: u32, per_reader: u32) -> u32 {
    (u64::from(reader) * u64::from(per_reader) % u64::from(symbols)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_wants_as_many_and_every_symbol_is_wanted_about_as_often() {
        for (symbols, per_reader) in [(8, 3), (10, 1), (7, 6), (100, 8)] {
            let subscriptions = Subscriptions::new(symbols, per_reader);
            let mut readers = vec![0_u32; symbols as usize];
            for reader in 0..symbols {
                let wanted = subscriptions.symbols_of(reader).unwrap();
                assert_eq!(wanted.len(), per_reader as usize);
                for symbol in 0..symbols {
                    assert_eq!(subscriptions.wants(reader, symbol), wanted.contains(&symbol));
                }
                wanted.iter().for_each(|&symbol| readers[symbol as usize] += 1);
            }
            assert!(readers.iter().all(|&readers| readers == per_reader), "{readers:?}");
        }
    }

    #[test]
    fn all_of_them_is_no_selection() {
        for all in [Subscriptions::default(), Subscriptions::new(8, 8), Subscriptions::new(8, 9)] {
            assert!(all.is_all() && all.wants(3, 7) && all.symbols_of(3).is_none());
        }
    }
}
