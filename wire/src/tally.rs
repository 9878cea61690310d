//! The plainest [`Sink`]: one counter for each part. It knows no phases and no payload.

use serde::{Deserialize, Serialize};

use crate::{Part, Sink};

/// Bytes of one direction by part, and the messages in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Bytes of [`Part::Headers`].
    pub headers: u64,
    /// Bytes of [`Part::TransportFraming`].
    pub transport_framing: u64,
    /// Bytes of [`Part::AppFraming`].
    pub app_framing: u64,
    /// Bytes of [`Part::Body`].
    pub body: u64,
    /// Whole messages.
    pub messages: u64,
}

impl Tally {
    /// All bytes: what the socket moved, less what is pending.
    pub fn total(&self) -> u64 {
        self.headers + self.transport_framing + self.app_framing + self.body
    }
}

impl Sink for Tally {
    #[inline]
    fn count(&mut self, part: Part, bytes: usize) {
        let counter = match part {
            Part::Headers => &mut self.headers,
            Part::TransportFraming => &mut self.transport_framing,
            Part::AppFraming => &mut self.app_framing,
            Part::Body => &mut self.body,
        };
        *counter += bytes as u64;
    }

    #[inline]
    fn message(&mut self, _body_bytes: u64) {
        self.messages += 1;
    }

    #[inline]
    fn boundary(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_counter_and_all_add_up() {
        let mut tally = Tally::default();
        tally.count(Part::Headers, 1);
        tally.count(Part::TransportFraming, 20);
        tally.count(Part::AppFraming, 300);
        tally.count(Part::Body, 4_000);
        tally.message(4_000);
        tally.boundary();
        let expected =
            Tally { headers: 1, transport_framing: 20, app_framing: 300, body: 4_000, messages: 1 };
        assert_eq!(tally, expected);
        assert_eq!(tally.total(), 4_321);
    }
}
