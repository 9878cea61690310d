//! Two clocks brought together: the offset of a server's clock from ours, its error, and how both drift.
//!
//! Pure: exchanges and readings come in as numbers. Source of the exchange: RFC 5905 section 8 (NTP).

/// One exchange: our instant before, the server's reading, our instant after; nanoseconds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When we asked, on our clock (t1).
    pub asked_ns: i64,
    /// What the server's clock said (t2 = t3: its answer is one reading).
    pub server_ns: i64,
    /// When the answer was here, on our clock (t4).
    pub answered_ns: i64,
}

impl Exchange {
    /// ((t2 − t1) + (t3 − t4)) / 2: what the server's clock shows more than ours.
    pub fn offset_ns(&self) -> i64 {
        // Both differences are near each other and huge: their midpoint without their sum.
        (self.server_ns - self.asked_ns).midpoint(self.server_ns - self.answered_ns)
    }

    /// (t4 − t1) − (t3 − t2): the round trip. The offset is right to half of it; asymmetry is invisible.
    pub fn delay_ns(&self) -> f64 {
        (self.answered_ns - self.asked_ns) as f64
    }
}

/// The exchange with the smallest round trip: the one that waited least, and so errs least.
pub fn best(exchanges: &[Exchange]) -> Option<Exchange> {
    exchanges.iter().copied().min_by(|a, b| a.delay_ns().total_cmp(&b.delay_ns()))
}

/// The server's clock as a straight line over ours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Offset {
    /// Our instant at which `offset_ns` holds.
    at_ns: f64,
    /// Server's clock less ours, in whole nanoseconds.
    offset_ns: i64,
    /// Change of the offset a nanosecond; 0 when it was looked at once.
    drift: f64,
    /// The largest error of the offset.
    error_ns: f64,
}

impl Offset {
    /// A constant offset, right to `error_ns`.
    pub fn constant(offset_ns: i64, error_ns: f64) -> Self {
        Self { at_ns: 0.0, offset_ns, drift: 0.0, error_ns }
    }

    /// Through the best exchange before and the best one after; either alone gives a constant.
    pub fn between(before: Option<Exchange>, after: Option<Exchange>) -> Option<Self> {
        let middle =
            |exchange: Exchange| f64::midpoint(exchange.asked_ns as f64, exchange.answered_ns as f64);
        let (first, last) = match (before, after) {
            (Some(first), Some(last)) => (first, last),
            (Some(only), None) | (None, Some(only)) => {
                return Some(Self::constant(only.offset_ns(), only.delay_ns() / 2.0));
            }
            (None, None) => return None,
        };
        let span = middle(last) - middle(first);
        let drift = if span > 0.0 { (last.offset_ns() - first.offset_ns()) as f64 / span } else { 0.0 };
        let error_ns = first.delay_ns().max(last.delay_ns()) / 2.0;
        Some(Self { at_ns: middle(first), offset_ns: first.offset_ns(), drift, error_ns })
    }

    /// Our instant of a server's reading.
    ///
    /// Integers, since a float holds Unix nanoseconds to 256 ns only.
    pub fn ours_ns(&self, server_ns: i64) -> i64 {
        let whole = server_ns.saturating_sub(self.offset_ns);
        whole - (self.drift * (whole as f64 - self.at_ns)).round() as i64
    }

    /// Server's clock less ours at one of our instants.
    pub fn offset_at_ns(&self, ours_ns: f64) -> f64 {
        self.offset_ns as f64 + self.drift * (ours_ns - self.at_ns)
    }

    /// The largest error of a one-way delay.
    pub fn error_ns(&self) -> f64 {
        self.error_ns
    }

    /// Change of the offset in parts per million.
    pub fn drift_ppm(&self) -> f64 {
        self.drift * 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An exchange over a way of `out` and `back` with a server whose clock shows `ours · (1 + drift) + offset`.
    fn exchange(at_ns: i64, out: i64, back: i64, offset: i64, drift: f64) -> Exchange {
        let there = at_ns + out;
        let server_ns = there + offset + (there as f64 * drift) as i64;
        Exchange { asked_ns: at_ns, server_ns, answered_ns: at_ns + out + back }
    }

    #[test]
    fn a_symmetric_way_gives_the_offset_and_an_asymmetric_one_errs_by_less_than_half_the_delay() {
        let fair = exchange(1_000, 200, 200, 5_000_000, 0.0);
        assert_eq!((fair.offset_ns(), fair.delay_ns()), (5_000_000, 400.0));
        let skewed = exchange(1_000, 390, 10, 5_000_000, 0.0);
        assert!((skewed.offset_ns() - 5_000_000).abs() as f64 <= skewed.delay_ns() / 2.0);
    }

    #[test]
    fn the_fastest_exchange_is_kept() {
        let slow = exchange(0, 9_000, 100, 70, 0.0);
        let fast = exchange(50, 100, 120, 70, 0.0);
        assert_eq!(best(&[slow, fast, slow]), Some(fast));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn a_planted_offset_and_drift_are_undone() {
        let (offset, drift) = (-1_700_000_000_000_000_123, 40e-6);
        let before = exchange(1_000_000_000, 1_000, 1_000, offset, drift);
        let after = exchange(31_000_000_000, 1_000, 1_000, offset, drift);
        let line = Offset::between(Some(before), Some(after)).unwrap();
        assert!((line.drift_ppm() - 40.0).abs() < 0.1, "{line:?}");
        assert_eq!(line.error_ns(), 1_000.0);
        let ours = 20_000_000_000_i64;
        let server = ours + offset + (ours as f64 * drift) as i64;
        assert!((line.ours_ns(server) - ours).abs() < 1_500, "{}", line.ours_ns(server) - ours);
        let single = Offset::between(None, Some(before)).unwrap();
        assert_eq!(single.drift_ppm(), 0.0);
        assert_eq!(Offset::between(None, None), None);
    }

    #[test]
    fn unix_times_are_converted_to_the_nanosecond() {
        let line = Offset::constant(1_795_230_683_000_000_007, 0.0);
        assert_eq!(line.ours_ns(1_795_230_683_000_000_048), 41);
    }
}
