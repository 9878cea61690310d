//! Durations: recorded locally in nanoseconds, merged at the end, kept whole in the result file.
//!
//! It knows neither what the durations mean nor how many distinct events are behind them: callers say so.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram as Hdr,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};

use serde::{Deserialize, Serialize};

use crate::{result, transfer};

/// The longest duration that fits, in nanoseconds (20 minutes); longer ones are counted as clipped.
pub const LONGEST_NS: u64 = 1_200_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// A percentile q is told only with this many distinct events above it: n (1 − q) ≥ 10.
const TAIL_EVENTS: f64 = 10.0;

/// A text that is not a histogram.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not base64.
    #[error("failed to decode a histogram: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not a compressed V2 histogram.
    #[error("failed to decode a histogram: {0:?}")]
    Format(hdrhistogram::serialization::DeserializeError),
}

/// The whole histogram as text: HdrHistogram V2, compressed, base64. Empty text for no samples.
pub fn encode(histogram: &Hdr<u64>) -> String {
    if histogram.is_empty() {
        return String::new();
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("writing to a Vec does not fail, and the histogram's size fits the format");
    STANDARD.encode(bytes)
}

/// Reads what [`encode`] wrote.
pub fn decode(text: &str) -> Result<Hdr<u64>, DecodeError> {
    if text.is_empty() {
        return Ok(empty());
    }
    let bytes = STANDARD.decode(text)?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(DecodeError::Format)
}

/// A histogram of the range and precision that all results share.
pub fn empty() -> Hdr<u64> {
    Hdr::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS).expect("constant bounds are valid")
}

/// Whether `distinct` events are enough to tell the quantile `q` (METRICS rule 8).
pub fn has_tail(distinct: u64, q: f64) -> bool {
    // The subtraction 1 − 0.99 is a hair below 0.01: the tolerance keeps 1,000 events enough for p99.
    distinct as f64 * (1.0 - q) >= TAIL_EVENTS - 1e-6
}

/// A distribution being recorded: the histogram, the exact mean, and what did not fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorder {
    #[serde(with = "transfer")]
    hdr: Hdr<u64>,
    sum_ns: u128,
    max_ns: u64,
    clipped: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { hdr: empty(), sum_ns: 0, max_ns: 0, clipped: 0 }
    }
}

impl Recorder {
    /// Records a duration in nanoseconds. Does not allocate.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.record_n(ns, 1);
    }

    /// Records the same duration `n` times.
    #[inline]
    pub fn record_n(&mut self, ns: u64, n: u64) {
        self.sum_ns += u128::from(ns) * u128::from(n);
        self.max_ns = self.max_ns.max(ns);
        if self.hdr.record_n(ns.min(LONGEST_NS), n).is_err() || ns > LONGEST_NS {
            self.clipped += n;
        }
    }

    /// Adds what another worker recorded.
    pub fn merge(&mut self, other: &Self) {
        self.hdr.add(&other.hdr).expect("all recorders have the same bounds");
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.clipped += other.clipped;
    }

    /// Forgets all samples. Does not allocate.
    pub fn clear(&mut self) {
        self.hdr.reset();
        (self.sum_ns, self.max_ns, self.clipped) = (0, 0, 0);
    }

    /// The sum of all samples in nanoseconds, exact.
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.hdr.len()
    }

    /// Samples beyond [`LONGEST_NS`].
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Largest value in nanoseconds, exact.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The quantile `q` in nanoseconds, to three digits; 0 without samples.
    pub fn quantile_ns(&self, q: f64) -> u64 {
        self.hdr.value_at_quantile(q)
    }

    pub(crate) fn hdr(&self) -> &Hdr<u64> {
        &self.hdr
    }

    /// The result file's form; `distinct` events decide which percentiles are told. `None` without samples.
    pub fn finish(&self, distinct: u64) -> Option<result::Histogram> {
        if self.hdr.is_empty() {
            return None;
        }
        let quantile = |q| has_tail(distinct, q).then(|| us(self.hdr.value_at_quantile(q).min(self.max_ns)));
        Some(result::Histogram {
            count: self.hdr.len(),
            distinct,
            min_us: Some(us(self.hdr.min().min(self.max_ns))),
            mean_us: Some(self.sum_ns as f64 / self.hdr.len() as f64 / 1e3),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: Some(us(self.max_ns)),
            unresolved: Vec::new(),
            hdr: encode(&self.hdr),
        })
    }
}

/// Nanoseconds as microseconds.
pub(crate) fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_the_result_file() {
        let mut recorder = Recorder::default();
        (1..=5_000).for_each(|n| recorder.record(n * 1_000));
        let written = recorder.finish(5_000).unwrap();
        let read = decode(&written.hdr).unwrap();
        assert_eq!(read.len(), 5_000);
        assert_eq!(read.value_at_quantile(0.5), recorder.quantile_ns(0.5));
        assert_eq!((written.mean_us, written.max_us), (Some(2_500.5), Some(5_000.0)));
        assert!(decode("not base64!").is_err() && decode("AAAA").is_err());
        assert!(decode("").unwrap().is_empty());
    }

    #[test]
    fn percentiles_need_ten_distinct_events_above_them() {
        let mut recorder = Recorder::default();
        recorder.record_n(1_000, 200_000);
        let told = |distinct| {
            let h = recorder.finish(distinct).unwrap();
            [h.p50_us, h.p90_us, h.p95_us, h.p99_us, h.p999_us].map(|p| p.is_some())
        };
        assert_eq!(told(19), [false; 5]);
        assert_eq!(told(20), [true, false, false, false, false]);
        assert_eq!(told(100), [true, true, false, false, false]);
        assert_eq!(told(200), [true, true, true, false, false]);
        assert_eq!(told(1_000), [true, true, true, true, false]);
        assert_eq!(told(10_000), [true; 5]);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_kept_in_the_maximum() {
        let mut recorder = Recorder::default();
        recorder.record(LONGEST_NS + 5);
        assert_eq!((recorder.clipped(), recorder.max_ns(), recorder.count()), (1, LONGEST_NS + 5, 1));
    }

    #[test]
    fn merging_adds_everything() {
        let (mut a, mut b) = (Recorder::default(), Recorder::default());
        a.record(10);
        b.record_n(30, 3);
        a.merge(&b);
        let merged = a.finish(4).unwrap();
        assert_eq!((merged.count, merged.mean_us, merged.max_us), (4, Some(0.025), Some(0.03)));
    }
}
