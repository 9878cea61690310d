//! What a worker, or several merged ones, found: settled counts and the figures made of them.

use serde::{Deserialize, Serialize};

use super::{Counts, Durations, Frame, Sums};
use crate::result;

/// Settled per-client counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// See [`result::Updates`].
    pub expected: u64,
    /// See [`result::Updates`].
    pub pending: u64,
    /// See [`result::Updates`].
    pub coalesced: u64,
    /// See [`result::Updates`].
    pub lost: u64,
}

/// What a worker, or several merged ones, found.
pub struct Recording {
    /// Sums of what was recorded on the way.
    pub sums: Sums,
    /// Counts that are settled at the end.
    pub totals: Totals,
    /// Distinct events, where they were not told by numbers of the schedule.
    pub(crate) distinct: Option<u64>,
    pub(super) client_means_ns: Vec<f64>,
    pub(super) frame: Frame,
}

impl Recording {
    /// Adds another worker's recording of the same trial.
    pub fn merge(&mut self, other: Self) {
        let (mine, theirs) = (&mut self.sums, other.sums);
        for (mine, theirs) in [
            (&mut mine.delay, &theirs.delay),
            (&mut mine.transit, &theirs.transit),
            (&mut mine.reflection, &theirs.reflection),
            (&mut mine.inter_arrival, &theirs.inter_arrival),
            (&mut mine.response, &theirs.response),
            (&mut mine.action_lag, &theirs.action_lag),
            (&mut mine.connect, &theirs.connect),
            (&mut mine.first_update, &theirs.first_update),
            (&mut mine.close, &theirs.close),
            (&mut mine.rearm, &theirs.rearm),
            (&mut mine.reconnect, &theirs.reconnect),
            (&mut mine.fresh, &theirs.fresh),
        ] {
            mine.merge(theirs);
        }
        mine.staleness.merge(&theirs.staleness);
        mine.series.merge(&theirs.series);
        mine.slices.merge(&theirs.slices);
        merge_counts(&mut mine.counts, &theirs.counts);
        for (mine, theirs) in mine.publisher_lag_us.iter_mut().zip(&theirs.publisher_lag_us) {
            *mine = (*mine).max(*theirs);
        }
        mine.trace = mine.trace.take().or(theirs.trace);
        self.totals.expected += other.totals.expected;
        self.totals.pending += other.totals.pending;
        self.totals.coalesced += other.totals.coalesced;
        self.totals.lost += other.totals.lost;
        self.client_means_ns.extend(other.client_means_ns);
    }

    /// Distinct quotes of the window that any client received.
    pub fn distinct_quotes(&self) -> u64 {
        let numbered = || self.sums.publisher_lag_us.iter().filter(|&&lag| lag > 0).count() as u64;
        self.distinct.unwrap_or_else(numbered)
    }

    /// Distinct events behind delays: useful requests where clients ask on a timetable of their own, deliveries where
    /// each client publishes its own feed, else quotes.
    pub fn distinct_events(&self) -> u64 {
        match self.frame.phases {
            Some(_) => self.sums.counts.delivered_once,
            None if self.frame.asked => self.sums.counts.useful,
            None => self.distinct_quotes(),
        }
    }

    /// Publisher lag over the distinct delivered quotes, to the microsecond.
    pub fn publisher_lag(&self) -> Option<result::Histogram> {
        let mut lags = Durations::default();
        for &lag in self.sums.publisher_lag_us.iter().filter(|&&lag| lag > 0) {
            lags.record((lag - 1) * 1_000);
        }
        lags.finish(lags.count())
    }

    /// Counts of updates; `generated` comes from the server.
    pub fn updates(&self, generated: u64) -> result::Updates {
        let (counts, totals) = (&self.sums.counts, &self.totals);
        let seqs = self.frame.seqs();
        result::Updates {
            generated: Some(generated),
            window_sequences: (!seqs.is_empty()).then(|| (seqs.start, seqs.end - 1)),
            expected: Some(totals.expected),
            delivered_once: counts.delivered_once,
            coalesced: Some(totals.coalesced),
            lost: Some(totals.lost),
            pending_at_end: Some(totals.pending),
            duplicated: Some(counts.duplicated),
            reordered: Some(counts.reordered),
            snapshot: counts.snapshot,
            distinct: self.distinct_quotes(),
            received_in_window: counts.received_in_window,
        }
    }

    /// Spread of the clients' mean delays; `None` without deliveries.
    pub fn fairness(&self) -> Option<result::Fairness> {
        let mut means = self.client_means_ns.clone();
        means.sort_by(f64::total_cmp);
        let n = means.len();
        let at = |q: f64| means[((n as f64 * q).ceil() as usize).clamp(1, n) - 1] / 1e3;
        let (sum, squares) = means.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
        (n > 0).then(|| result::Fairness {
            p50_us: at(0.5),
            p99_us: (n >= 100).then(|| at(0.99)),
            jain: if squares > 0.0 { sum * sum / (n as f64 * squares) } else { 1.0 },
        })
    }

    /// The traced client, if this recording holds it.
    pub fn trace(&self) -> Option<result::Trace> {
        self.sums.trace.clone().filter(|trace| !trace.receptions.is_empty())
    }

    /// Samples that no histogram could hold.
    pub fn clipped(&self) -> u64 {
        let sums = &self.sums;
        [&sums.delay, &sums.transit, &sums.reflection, &sums.response, &sums.action_lag, &sums.connect]
            .iter()
            .map(|recorder| recorder.clipped())
            .sum::<u64>()
            + sums.staleness.clipped()
    }

    /// The schedule and the window.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

fn merge_counts(mine: &mut Counts, theirs: &Counts) {
    mine.delivered_once += theirs.delivered_once;
    mine.duplicated += theirs.duplicated;
    mine.reordered += theirs.reordered;
    mine.snapshot += theirs.snapshot;
    mine.received_in_window += theirs.received_in_window;
    mine.requests += theirs.requests;
    mine.useful += theirs.useful;
    mine.late_polls += theirs.late_polls;
    mine.unknown += theirs.unknown;
}
