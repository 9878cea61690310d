//! The window in ten equal slices with the median delay of each: what the test for a steady state looks at.

use hdrhistogram::Histogram;

use serde::{Deserialize, Serialize};

use crate::{histogram::LONGEST_NS, transfer};

const COUNT: u64 = 10;
/// Two digits, from a microsecond, as in the series by second.
const LOWEST_NS: u64 = 1_000;
const SIGNIFICANT_DIGITS: u8 = 2;

/// The slices of one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slices {
    length_ns: u64,
    #[serde(with = "transfer::many")]
    delays: Vec<Histogram<u32>>,
}

impl Slices {
    /// Slices of a window of `window_ns`.
    pub fn new(window_ns: u64) -> Self {
        let empty = || {
            Histogram::new_with_bounds(LOWEST_NS, LONGEST_NS, SIGNIFICANT_DIGITS)
                .expect("constant bounds are valid")
        };
        Self { length_ns: window_ns.div_ceil(COUNT).max(1), delays: (0..COUNT).map(|_| empty()).collect() }
    }

    /// A quote was received at `at_ns` of the window.
    #[inline]
    pub fn delivered(&mut self, at_ns: u64, delay_ns: u64) {
        if let Some(delays) = self.delays.get_mut((at_ns / self.length_ns) as usize) {
            delays.saturating_record(delay_ns);
        }
    }

    /// Adds another worker's slices.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.delays.iter_mut().zip(&other.delays) {
            mine.add(theirs).expect("all slices have the same bounds");
        }
    }

    /// Median delay of each slice that has any, in microseconds, in order.
    pub fn medians_us(&self) -> Vec<f64> {
        let told = self.delays.iter().filter(|delays| !delays.is_empty());
        told.map(|delays| delays.value_at_quantile(0.5) as f64 / 1e3).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_of_the_window_has_its_median() {
        let (mut a, mut b) = (Slices::new(1_000), Slices::new(1_000));
        a.delivered(0, 2_000_000);
        a.delivered(99, 2_000_000);
        b.delivered(999, 5_000_000);
        b.delivered(1_000, 9_000_000);
        a.merge(&b);
        let medians = a.medians_us();
        assert_eq!(medians.len(), 2);
        assert!((medians[0] - 2_000.0).abs() < 40.0 && (medians[1] - 5_000.0).abs() < 100.0, "{medians:?}");
    }
}
