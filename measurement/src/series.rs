//! One row a second of the measure phase: delays of what was received in it, bytes, the generator's own lag.

use hdrhistogram::Histogram;

use serde::{Deserialize, Serialize};

use crate::{histogram::LONGEST_NS, result, transfer};

const SECOND_NS: u64 = 1_000_000_000;
/// Two digits, from a microsecond: a second's histogram stays near 12 kB.
const LOWEST_NS: u64 = 1_000;
const SIGNIFICANT_DIGITS: u8 = 2;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    #[serde(with = "transfer")]
    delays: Histogram<u32>,
    delivered: u64,
    bytes: u64,
    lag_ns: Option<u64>,
}

/// The rows of one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series(Vec<Row>);

impl Series {
    /// Rows for a window of `length_ns`.
    pub fn new(length_ns: u64) -> Self {
        let row = || Row {
            delays: Histogram::new_with_bounds(LOWEST_NS, LONGEST_NS, SIGNIFICANT_DIGITS)
                .expect("constant bounds are valid"),
            delivered: 0,
            bytes: 0,
            lag_ns: None,
        };
        Self((0..length_ns.div_ceil(SECOND_NS)).map(|_| row()).collect())
    }

    fn row(&mut self, at_ns: u64) -> Option<&mut Row> {
        self.0.get_mut((at_ns / SECOND_NS) as usize)
    }

    /// A quote was received at `at_ns` of the window.
    #[inline]
    pub fn delivered(&mut self, at_ns: u64, delay_ns: u64) {
        if let Some(row) = self.row(at_ns) {
            row.delivered += 1;
            row.delays.saturating_record(delay_ns);
        }
    }

    /// Bytes moved at `at_ns` of the window.
    #[inline]
    pub fn moved(&mut self, at_ns: u64, bytes: u64) {
        if let Some(row) = self.row(at_ns) {
            row.bytes += bytes;
        }
    }

    /// An action planned at `at_ns` of the window was `lag_ns` late.
    pub fn lag(&mut self, at_ns: u64, lag_ns: u64) {
        if let Some(row) = self.row(at_ns) {
            row.lag_ns = row.lag_ns.max(Some(lag_ns));
        }
    }

    /// Adds another worker's rows.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.delays.add(&theirs.delays).expect("all rows have the same bounds");
            mine.delivered += theirs.delivered;
            mine.bytes += theirs.bytes;
            mine.lag_ns = mine.lag_ns.max(theirs.lag_ns);
        }
    }

    /// The result file's rows.
    pub fn finish(&self) -> Vec<result::SeriesRow> {
        let rows = self.0.iter().enumerate();
        rows.map(|(second, row)| {
            let quantile = |q| (row.delivered > 0).then(|| row.delays.value_at_quantile(q) as f64 / 1e3);
            result::SeriesRow {
                t_s: second as f64,
                delay_p50_us: quantile(0.5),
                delay_p99_us: quantile(0.99),
                delay_max_us: quantile(1.0),
                delivered: row.delivered,
                bytes: row.bytes,
                lag_us: row.lag_ns.map(|ns| ns as f64 / 1e3),
            }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_by_second_and_add_up() {
        let (mut a, mut b) = (Series::new(2_500_000_000), Series::new(2_500_000_000));
        a.delivered(100, 2_000_000);
        a.moved(1_999_999_999, 40);
        b.moved(1_000_000_000, 2);
        b.lag(2_400_000_000, 7_000);
        b.delivered(9_000_000_000, 1);
        a.merge(&b);
        let rows = a.finish();
        assert_eq!(
            rows.iter().map(|row| (row.delivered, row.bytes)).collect::<Vec<_>>(),
            [(1, 0), (0, 42), (0, 0)]
        );
        assert_eq!((rows[1].delay_p50_us, rows[2].lag_us), (None, Some(7.0)));
        assert!((rows[0].delay_p50_us.unwrap() - 2_000.0).abs() < 40.0);
    }
}
