//! What the live view knows: taken from events, without a terminal. Nothing here is a result.

use std::collections::VecDeque;

use measurement::{
    glimpse::Glimpse,
    ledger::Phase,
    result::{Severity, Status, Trial},
};

use crate::events::{self, Event};

/// Seconds that the line of delays goes back.
const LONGEST_LINE: usize = 120;
/// A rate is taken over so long.
const RATE_OVER_NS: u64 = 1_000_000_000;

/// The run and its current trial.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) title: String,
    pub(super) trials: u32,
    pub(super) planned_s: f64,
    pub(super) started_ns: u64,
    pub(super) now_ns: u64,
    pub(super) current: Current,
    pub(super) ended: Vec<Ended>,
    pub(super) stopping: bool,
}

/// The trial that runs.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) order: u32,
    pub(super) name: String,
    pub(super) phase: Phase,
    pub(super) seconds: f64,
    pub(super) asked: u32,
    pub(super) connected: u64,
    pub(super) delivered: u64,
    pub(super) so_far: Glimpse,
    /// Bytes a second, from the server and to it.
    pub(super) rates: (f64, f64),
    /// Mean delay of each second with deliveries, in microseconds.
    pub(super) delays_us: VecDeque<u64>,
    /// Where the second at hand began: instant, deliveries, their delays, bytes.
    pub(super) second: (u64, u64, u128, (u64, u64)),
}

/// A trial that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) updates: u64,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) overhead: Option<f64>,
    /// What is wrong with it as a whole, or its verdict.
    pub(super) verdict: String,
    pub(super) good: bool,
    /// Findings that are more than notes: code and sentence.
    pub(super) findings: Vec<(String, String)>,
}

impl View {
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    pub(super) fn event(&mut self, event: &Event<'_>, now_ns: u64) {
        self.now_ns = now_ns;
        match event {
            Event::Started { trials, seconds, folder: _ } => {
                (self.trials, self.planned_s, self.started_ns) = (*trials, *seconds, now_ns);
            }
            Event::Trial { order, variants, pair: _ } => {
                let name = events::name(variants);
                let asked = variants.iter().map(|variant| variant.load.clients).sum();
                self.current = Current { order: *order, name, asked, ..Current::default() };
                self.current.second.0 = now_ns;
            }
            Event::Progress { phase, seconds, connected, delivered, workers } => {
                let current = &mut self.current;
                (current.phase, current.seconds) = (*phase, *seconds);
                (current.connected, current.delivered) = (*connected, *delivered);
                current.so_far.clear();
                workers.iter().for_each(|worker| worker.add_to(&mut current.so_far));
                current.note_second(now_ns);
            }
            Event::Ended { variant, trial } => self.ended.push(Ended::of(&variant.name, trial)),
            Event::Stopping => self.stopping = true,
        }
    }

    /// Seconds since the run began.
    pub(super) fn elapsed_s(&self) -> f64 {
        self.now_ns.saturating_sub(self.started_ns) as f64 / 1e9
    }

    /// Seconds that are left by the plan.
    pub(super) fn left_s(&self) -> f64 {
        (self.planned_s - self.elapsed_s()).max(0.0)
    }

    /// Share of the run that is done, by trials.
    pub(super) fn done(&self) -> f64 {
        self.ended.len() as f64 / f64::from(self.trials.max(1))
    }
}

impl Current {
    /// Once a second: its mean delay and the bytes in it.
    fn note_second(&mut self, now_ns: u64) {
        let (from_ns, deliveries, sum_ns, bytes) = self.second;
        let length_ns = now_ns.saturating_sub(from_ns);
        if length_ns < RATE_OVER_NS {
            return;
        }
        let (received, sent) = (self.so_far.received(), self.so_far.sent());
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / (length_ns as f64 / 1e9);
        self.rates = (rate(received, bytes.0), rate(sent, bytes.1));
        let came = self.so_far.deliveries().saturating_sub(deliveries);
        if came > 0 {
            let sum_ns = self.so_far.delay_sum_ns().saturating_sub(sum_ns);
            let mean_us = sum_ns / u128::from(came) / 1_000;
            self.delays_us.push_back(u64::try_from(mean_us).unwrap_or(u64::MAX));
            if self.delays_us.len() > LONGEST_LINE {
                self.delays_us.pop_front();
            }
        }
        self.second = (now_ns, self.so_far.deliveries(), self.so_far.delay_sum_ns(), (received, sent));
    }
}

impl Ended {
    fn of(name: &str, trial: &Trial) -> Self {
        let delay = trial.delivery_delay.as_ref();
        let verdict = match (trial.status, &trial.error) {
            (Status::Complete, _) if trial.validity.valid => "valid".to_owned(),
            (Status::Complete, _) => "INVALID".to_owned(),
            (Status::Partial, error) => format!("partial: {}", error.as_deref().unwrap_or("did not end")),
            (Status::Failed, error) => format!("FAILED: {}", error.as_deref().unwrap_or("did not end")),
        };
        let grave = trial.validity.findings.iter().filter(|finding| finding.severity == Severity::Invalid);
        Self {
            name: name.to_owned(),
            number: trial.index + 1,
            updates: trial.updates.delivered_once,
            p50_us: delay.and_then(|delay| delay.p50_us),
            p99_us: delay.and_then(|delay| delay.p99_us),
            overhead: trial.bytes.header_overhead_per_update,
            good: trial.status == Status::Complete && trial.validity.valid,
            verdict,
            findings: grave.map(|finding| (finding.code.clone(), finding.message.clone())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use measurement::histogram::Recorder;

    use super::*;

    #[test]
    fn a_second_has_the_mean_of_its_own_delays_and_its_own_bytes() {
        let (mut current, mut delays) = (Current::default(), Recorder::default());
        let mut at = |current: &mut Current, seconds: u64, delay_us: u64, received: u64| {
            delays.record(delay_us * 1_000);
            current.so_far.take(&delays, received, 0);
            current.note_second(seconds * RATE_OVER_NS);
        };
        at(&mut current, 1, 100, 500);
        at(&mut current, 3, 300, 2_500);
        assert_eq!(
            (current.delays_us.make_contiguous(), current.rates),
            (&mut [100, 300][..], (1_000.0, 0.0))
        );
        for second in 4..4 + LONGEST_LINE as u64 {
            at(&mut current, second, 7, 0);
        }
        assert_eq!((current.delays_us.len(), current.delays_us[0]), (LONGEST_LINE, 7));
    }

    #[test]
    fn the_end_of_a_trial_is_told_with_what_voids_it() {
        let failed =
            Trial { status: Status::Failed, error: Some("no server".to_owned()), ..Trial::default() };
        let failed = Ended::of("a", &failed);
        assert_eq!((failed.verdict.as_str(), failed.good, failed.number), ("FAILED: no server", false, 1));
        let view =
            View { trials: 4, ended: vec![failed], planned_s: 2.0, now_ns: 5_000_000_000, ..View::default() };
        assert_eq!((view.done(), view.elapsed_s(), view.left_s()), (0.25, 5.0, 0.0));
    }
}
