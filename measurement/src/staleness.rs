//! Staleness of what is shown: exact time integrals of age, excess age, sync lag and version lag (METRICS, definitions).
//!
//! All times are nanoseconds after t0. It knows the timetable and receptions, no clients' numbers and no transport.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use ticker::Timetable;

use crate::{
    histogram::{self, Recorder, us},
    result,
};

/// The window in which staleness is observed, in nanoseconds after t0.
pub type Window = Range<u64>;

/// Lags that grow as ramps, weighted by time: two histograms, of the lag at each ramp's start and end.
///
/// Time above x is Σ(end − x)⁺ − Σ(start − x)⁺.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ramps {
    start: Recorder,
    end: Recorder,
    /// Σ(end² − start²) / 2: the lag's integral over time, in ns².
    area: f64,
    wrong_ns: u128,
    total_ns: u128,
}

impl Ramps {
    fn observe(&mut self, ns: u64) {
        self.total_ns += u128::from(ns);
    }

    fn record(&mut self, start_ns: u64, end_ns: u64) {
        self.start.record(start_ns);
        self.end.record(end_ns);
        self.area += (end_ns as f64 - start_ns as f64) * (end_ns as f64 + start_ns as f64) / 2.0;
        self.wrong_ns += u128::from(end_ns - start_ns);
    }

    fn merge(&mut self, other: &Self) {
        self.start.merge(&other.start);
        self.end.merge(&other.end);
        self.area += other.area;
        self.wrong_ns += other.wrong_ns;
        self.total_ns += other.total_ns;
    }

    /// Share of the observed time with a lag; 0 when nothing was observed.
    pub fn wrong_share(&self) -> f64 {
        if self.total_ns == 0 { 0.0 } else { self.wrong_ns as f64 / self.total_ns as f64 }
    }

    fn time_above(&self, lag_ns: f64) -> f64 {
        let excess = |recorder: &Recorder| -> f64 {
            recorder
                .hdr()
                .iter_recorded()
                .map(|step| {
                    (step.value_iterated_to() as f64 - lag_ns).max(0.0) * step.count_at_value() as f64
                })
                .sum()
        };
        excess(&self.end) - excess(&self.start)
    }

    /// The lag that is exceeded during the share `1 − q` of the time, in nanoseconds.
    fn quantile_ns(&self, q: f64) -> u64 {
        let allowed = (1.0 - q) * self.total_ns as f64;
        if self.wrong_ns as f64 <= allowed {
            return 0;
        }
        let (mut low, mut high) = (0, self.end.max_ns());
        while high - low > high / 2_000 {
            let middle = low + (high - low) / 2;
            if self.time_above(middle as f64) > allowed {
                low = middle;
            } else {
                high = middle;
            }
            if high - low <= 1 {
                break;
            }
        }
        high
    }

    /// The result file's form; percentiles need enough distinct ramps or events, whichever are fewer.
    pub fn finish(&self, distinct: u64) -> result::TimeWeighted {
        let distinct = distinct.min(self.end.count());
        let quantile = |q| histogram::has_tail(distinct, q).then(|| us(self.quantile_ns(q)));
        let observed = self.total_ns > 0;
        result::TimeWeighted {
            count: self.end.count(),
            distinct,
            total_s: self.total_ns as f64 / 1e9,
            mean_us: observed.then(|| self.area / self.total_ns as f64 / 1e3),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            max_us: observed.then(|| us(self.end.max_ns())),
            unresolved: Vec::new(),
            hdr_start: histogram::encode(self.start.hdr()),
            hdr_end: histogram::encode(self.end.hdr()),
        }
    }
}

/// What one client shows of one symbol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// One more than the position of the newest received quote among the symbol's quotes; 0 before the first.
    next: u32,
    /// When it was received.
    since_ns: u64,
}

impl Shown {
    /// How many of the symbol's quotes, from the first, are received or overtaken.
    pub fn covered(&self) -> u32 {
        self.next
    }
}

/// Sums over clients and symbols of one worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Staleness {
    lag: Ramps,
    /// Σ∫A dt and Σ∫X dt in ns².
    age_area: f64,
    excess_area: f64,
    /// Σ∫V dt in ns.
    version_area: f64,
    version_max: u64,
    peak: Recorder,
    screen: Ramps,
}

impl Staleness {
    /// A client received the quote at `position` of `symbol` at `at_ns`. Returns the positions that this
    /// reception newly covers; empty if a newer quote is shown already.
    pub fn receive(
        &mut self,
        table: &Timetable,
        window: &Window,
        shown: &mut Shown,
        (symbol, position): (u32, u32),
        at_ns: u64,
    ) -> Range<u32> {
        if position < shown.next {
            return 0..0;
        }
        let covered = shown.next..position + 1;
        if shown.next > 0 && at_ns > shown.since_ns {
            self.close(table, window, shown, symbol, at_ns);
            if window.contains(&at_ns) {
                self.peak.record(at_ns.saturating_sub(due(table, symbol, shown.next - 1)));
            }
        }
        *shown = Shown { next: position + 1, since_ns: at_ns };
        covered
    }

    /// Accounts for the time from the last reception to `until_ns`, in which one quote was shown.
    pub fn close(&mut self, table: &Timetable, window: &Window, shown: &Shown, symbol: u32, until_ns: u64) {
        let (from, to) = (shown.since_ns.max(window.start), until_ns.min(window.end));
        if shown.next == 0 || from >= to {
            return;
        }
        let generated = due(table, symbol, shown.next - 1);
        let age = |at: u64| at as f64 - generated as f64;
        self.lag.observe(to - from);
        self.age_area += (age(to) - age(from)) * (age(to) + age(from)) / 2.0;
        let mut previous = generated;
        let mut versions = 0;
        for &seq in &table.of_symbol(symbol)[shown.next as usize..] {
            let due = table.offset_ns(seq).unwrap_or(u64::MAX);
            if due >= to {
                break;
            }
            let behind = (to - due.max(from)) as f64;
            self.excess_area += behind * (due - previous) as f64;
            self.version_area += behind;
            if versions == 0 {
                self.lag.record(from.saturating_sub(due), to - due);
            }
            versions += 1;
            previous = due;
        }
        self.version_max = self.version_max.max(versions);
    }

    /// Accounts for the time in which the oldest quote that a client's screen misses was due at `missing_due_ns`.
    pub fn close_screen(
        &mut self,
        window: &Window,
        since_ns: u64,
        missing_due_ns: Option<u64>,
        until_ns: u64,
    ) {
        let (from, to) = (since_ns.max(window.start), until_ns.min(window.end));
        if from >= to {
            return;
        }
        self.screen.observe(to - from);
        if let Some(due) = missing_due_ns.filter(|&due| due < to) {
            self.screen.record(from.saturating_sub(due), to - due);
        }
    }

    /// Adds another worker's sums.
    pub fn merge(&mut self, other: &Self) {
        self.lag.merge(&other.lag);
        self.age_area += other.age_area;
        self.excess_area += other.excess_area;
        self.version_area += other.version_area;
        self.version_max = self.version_max.max(other.version_max);
        self.peak.merge(&other.peak);
        self.screen.merge(&other.screen);
    }

    /// Samples that no histogram could hold.
    pub fn clipped(&self) -> u64 {
        self.lag.end.clipped() + self.peak.clipped() + self.screen.end.clipped()
    }

    /// Averages over symbols and clients; `None` when nothing was shown in the window.
    pub fn per_symbol(&self, distinct: u64) -> Option<result::PerSymbol> {
        let total_ns = self.lag.total_ns as f64;
        if total_ns == 0.0 {
            return None;
        }
        Some(result::PerSymbol {
            out_of_sync_share: self.lag.wrong_share(),
            sync_lag: self.lag.finish(distinct),
            excess_age: result::Mean { mean_us: self.excess_area / total_ns / 1e3 },
            age: result::Age {
                mean_us: self.age_area / total_ns / 1e3,
                peak: self.peak.finish(distinct).unwrap_or_default(),
            },
            version_lag: result::VersionLag { mean: self.version_area / total_ns, max: self.version_max },
        })
    }

    /// The whole screen's figures; `None` when nothing was observed.
    pub fn whole_screen(&self, distinct: u64) -> Option<result::WholeScreen> {
        (self.screen.total_ns > 0).then(|| result::WholeScreen {
            out_of_sync_share: self.screen.wrong_share(),
            sync_lag: self.screen.finish(distinct),
        })
    }
}

fn due(table: &Timetable, symbol: u32, position: u32) -> u64 {
    let seq = table.of_symbol(symbol)[position as usize];
    table.offset_ns(seq).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use ticker::{Arrivals, FeedSettings};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// One symbol, a quote each second, the k-th due at k s.
    fn table() -> Timetable {
        let feed = FeedSettings {
            symbols: 1,
            updates_per_second: 1.0,
            arrivals: Arrivals::Constant,
            ..FeedSettings::default()
        };
        Timetable::new(&feed, 100 * SECOND).unwrap()
    }

    fn observed(receptions: &[(u32, u64)], window: Window) -> result::PerSymbol {
        let (table, mut staleness, mut shown) = (table(), Staleness::default(), Shown::default());
        for &(position, at_ns) in receptions {
            staleness.receive(&table, &window, &mut shown, (0, position), at_ns);
        }
        staleness.close(&table, &window, &shown, 0, window.end);
        staleness.per_symbol(1_000).unwrap()
    }

    #[test]
    fn push_with_a_constant_delay_matches_by_hand() {
        // Each quote arrives 0.2 s late: wrong 20 % of the time, lag ramps 0 → 0.2 s.
        let receptions: Vec<(u32, u64)> =
            (0..20).map(|k| (k, (u64::from(k) + 1) * SECOND + SECOND / 5)).collect();
        let seen = observed(&receptions, 10 * SECOND..20 * SECOND);
        let near = |value: f64, expected: f64| {
            assert!((value - expected).abs() < 1e-6 * expected, "{value} != {expected}");
        };
        near(seen.out_of_sync_share, 0.2);
        near(seen.sync_lag.mean_us.unwrap(), 0.02e6);
        near(seen.sync_lag.max_us.unwrap(), 0.2e6);
        near(seen.age.mean_us, 0.7e6);
        near(seen.excess_age.mean_us, 0.2e6);
        near(seen.version_lag.mean, 0.2);
        assert_eq!((seen.version_lag.max, seen.sync_lag.count), (1, 10));
        near(seen.age.peak.mean_us.unwrap(), 1.2e6);
    }

    #[test]
    fn a_skipped_quote_counts_two_versions_behind() {
        // Quotes 1 and 2 are due at 1 s and 2 s; only the third arrives, at 3.5 s.
        let seen = observed(&[(0, SECOND), (2, 7 * SECOND / 2)], SECOND..7 * SECOND / 2);
        assert_eq!(seen.version_lag.max, 2);
        assert!((seen.version_lag.mean - (1.0 * 1.0 + 0.5 * 2.0) / 2.5).abs() < 1e-9);
        assert!((seen.sync_lag.mean_us.unwrap() - 1.125e6 / 2.5).abs() < 1.0);
    }

    #[test]
    fn time_weighted_percentiles_invert_time_above() {
        let mut ramps = Ramps::default();
        ramps.observe(10 * SECOND);
        for _ in 0..100 {
            ramps.record(0, SECOND / 10);
        }
        let told = ramps.finish(10_000);
        // Wrong all the time with lags even over 0 to 100 ms.
        assert!((told.p50_us.unwrap() - 50_000.0).abs() < 200.0, "{told:?}");
        assert!((told.p90_us.unwrap() - 90_000.0).abs() < 200.0);
        assert_eq!(told.p99_us, None);
    }

    #[test]
    fn receptions_of_one_instant_are_one() {
        let seen =
            observed(&[(0, SECOND), (1, 4 * SECOND), (2, 4 * SECOND), (3, 4 * SECOND)], SECOND..5 * SECOND);
        assert_eq!(seen.age.peak.count, 1);
        assert!((seen.age.peak.max_us.unwrap() - 3e6).abs() < 1e-6);
    }

    #[test]
    fn the_screen_is_wrong_from_the_first_missing_quote() {
        let mut staleness = Staleness::default();
        let window = 0..10 * SECOND;
        staleness.close_screen(&window, 0, Some(2 * SECOND), 4 * SECOND);
        staleness.close_screen(&window, 4 * SECOND, Some(11 * SECOND), 10 * SECOND);
        assert!((staleness.whole_screen(100).unwrap().out_of_sync_share - 0.2).abs() < 1e-9);
    }
}
