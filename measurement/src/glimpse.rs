//! What a trial has found so far, for a person who watches: delays and bytes. Results are never made of it.

use serde::{Deserialize, Serialize};

use crate::histogram::Recorder as Durations;

/// The delays and bytes of one worker or of several, up to some instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Glimpse {
    delay: Durations,
    received: u64,
    sent: u64,
}

impl Glimpse {
    /// Takes over what a worker has. Does not allocate.
    pub fn take(&mut self, delay: &Durations, received: u64, sent: u64) {
        self.delay.clear();
        self.delay.merge(delay);
        (self.received, self.sent) = (received, sent);
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        self.delay.merge(&other.delay);
        self.received += other.received;
        self.sent += other.sent;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.delay.clear();
        (self.received, self.sent) = (0, 0);
    }

    /// Deliveries behind the delays.
    pub fn deliveries(&self) -> u64 {
        self.delay.count()
    }

    /// The sum of all delays in nanoseconds: of two glimpses' differences a mean can be made.
    pub fn delay_sum_ns(&self) -> u128 {
        self.delay.sum_ns()
    }

    /// A quantile of the delay in nanoseconds; `None` without ten deliveries above it.
    pub fn delay_ns(&self, quantile: f64) -> Option<u64> {
        crate::histogram::has_tail(self.delay.count(), quantile).then(|| self.delay.quantile_ns(quantile))
    }

    /// The longest delay in nanoseconds; `None` without deliveries.
    pub fn longest_delay_ns(&self) -> Option<u64> {
        (self.delay.count() > 0).then(|| self.delay.max_ns())
    }

    /// Bytes from the server since the first connection, of connections that we count ourselves.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes to the server, likewise.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glimpses_of_workers_add_up_and_are_taken_afresh() {
        let mut delays = Durations::default();
        (1..=1_000).for_each(|n| delays.record(n * 1_000));
        let (mut one, mut all) = (Glimpse::default(), Glimpse::default());
        one.take(&delays, 10, 1);
        one.take(&delays, 20, 2);
        all.merge(&one);
        all.merge(&one);
        assert_eq!((all.deliveries(), all.received(), all.sent()), (2_000, 40, 4));
        assert_eq!(all.delay_sum_ns(), 2 * 500_500_000);
        assert_eq!(all.delay_ns(0.5).map(|ns| ns / 10_000), Some(50));
        assert_eq!((all.delay_ns(0.999), all.longest_delay_ns()), (None, Some(1_000_000)));
        all.clear();
        assert_eq!((all.deliveries(), all.delay_ns(0.5), all.longest_delay_ns()), (0, None, None));
    }
}
