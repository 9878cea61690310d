//! What clients of somebody else's server heard, made the figures of a trial. Pure.

use std::ops::Range;

use measurement::{
    learn::{self, Bridge, Numbering, Rules},
    offset::Offset,
    result::{ClockReport, Histogram, Trial},
    validity::PeerEvidence,
};

use crate::{
    clients::{self, mapping::Mapping},
    plan::{
        VariantPlan,
        peer::{self, ClockKind, Peer},
    },
    trial::Clocks,
    worker::Found,
};

/// Share of a percentile that the clocks' error may be.
const CLOCK_SHARE: f64 = 0.1;

/// What was learned beside the recording.
pub struct Lesson {
    /// For the verdict.
    pub evidence: PeerEvidence,
    /// How times were compared.
    pub clock: ClockReport,
}

/// Learns the feed from the tapes and puts the recording that this makes in the place of the workers' own.
/// `window` is in CLOCK_MONOTONIC nanoseconds.
pub fn learn(
    variant: &VariantPlan,
    peer: &Peer,
    found: &mut Found,
    clocks: &Clocks,
    window: Range<u64>,
) -> Lesson {
    let kind = peer.message.clock;
    let offset = Offset::between(clocks.before, clocks.after);
    let bridge = match (kind, offset) {
        (ClockKind::SameHost | ClockKind::Endpoint, Some(offset)) => Bridge::Known(offset),
        (ClockKind::None, _) | (_, None) => Bridge::Fastest,
    };
    let rules = rules(variant, peer);
    let middle_ns = u64::midpoint(window.start, window.end) as f64;
    let learned = learn::learn(&found.tapes, rules, bridge, window);
    let own = std::mem::replace(&mut found.recording, learned.recording);
    found.recording.merge(own);
    found.errors.iter_mut().for_each(|error| *error = peer::redact(error, &peer.secrets));

    let mut knowledge = learned.knowledge;
    if let Some(first) = &mut knowledge.skipped.1 {
        *first = peer::redact(first, &peer.secrets);
    }
    let resolution_us = if rules.times { knowledge.resolution_ns as f64 / 1e3 } else { 0.0 };
    let drift_ppm = clocks.before.and(clocks.after).map(|_| learned.offset.drift_ppm());
    let clock = ClockReport {
        kind: kind.name().to_owned(),
        offset_us: if matches!(kind, ClockKind::SameHost) {
            0.0
        } else {
            ahead_us(learned.offset.offset_at_ns(middle_ns), clocks)
        },
        error_us: resolution_us.max(learned.offset.error_ns() / 1e3),
        drift_ppm,
        samples: clocks.exchanges,
    };
    let evidence = PeerEvidence {
        knowledge,
        unbridged: rules.times && matches!(bridge, Bridge::Fastest),
        wall_drift_ppm: drift_ppm.filter(|_| kind == ClockKind::SameHost),
        has_process: peer.server.is_some(),
    };
    Lesson { evidence, clock }
}

/// From the offset to our monotonic clock to that to our wall clock.
fn ahead_us(offset_ns: f64, clocks: &Clocks) -> f64 {
    let ours = i128::from(clocks.anchor.unix_ns) - i128::from(clocks.anchor.mono_ns);
    (offset_ns - ours as f64) / 1e3
}

fn rules(variant: &VariantPlan, peer: &Peer) -> Rules {
    let asked = clients::acts_on_a_timetable(variant.kind);
    let Some(mapping) = Mapping::new(&peer.message) else {
        let coalesces = clients::coalesces(variant.kind, &variant.options);
        return Rules { numbering: Numbering::Feed, times: true, sends: true, coalesces, asked };
    };
    let numbering = match mapping.numbers() {
        (true, _) => Numbering::Feed,
        (false, true) => Numbering::Symbol,
        (false, false) => Numbering::None,
    };
    Rules { numbering, times: mapping.times(), sends: false, coalesces: peer.message.snapshot, asked }
}

/// Takes out of a trial what its feed does not tell, and says why.
pub fn withhold(trial: &mut Trial, lesson: &Lesson) {
    let knowledge = &lesson.evidence.knowledge;
    let mut reasons: Vec<(&str, String)> = Vec::new();
    if let Some(why) = &knowledge.numbers {
        let updates = &mut trial.updates;
        updates.generated = None;
        updates.expected = None;
        updates.coalesced = None;
        updates.lost = None;
        updates.pending_at_end = None;
        updates.duplicated = None;
        updates.reordered = None;
        let fields = [
            "updates.generated",
            "updates.expected",
            "updates.coalesced",
            "updates.lost",
            "updates.pending_at_end",
            "updates.duplicated",
            "updates.reordered",
        ];
        reasons.extend(fields.map(|field| (field, why.clone())));
    }
    trial.updates.window_sequences = knowledge.window_sequences.filter(|_| knowledge.numbers.is_none());
    if let Some(why) = &knowledge.delays {
        trial.delivery_delay = None;
        trial.fairness = None;
        for row in &mut trial.series {
            row.delay_p50_us = None;
            row.delay_p99_us = None;
            row.delay_max_us = None;
        }
        reasons.extend(["delivery_delay", "fairness"].map(|field| (field, why.clone())));
    }
    if let Some(why) = &knowledge.publication {
        trial.publisher_lag = None;
        trial.transit = None;
        reasons.extend(["publisher_lag", "transit"].map(|field| (field, why.clone())));
    }
    if let Some(why) = &knowledge.staleness {
        trial.per_symbol = None;
        trial.whole_screen = None;
        trial.reflection_delay = None;
        trial.trace = None;
        let fields = ["per_symbol", "whole_screen", "reflection_delay", "trace"];
        reasons.extend(fields.map(|field| (field, why.clone())));
    }
    trial.unavailable.extend(reasons.into_iter().map(|(field, why)| (field.to_owned(), why)));
    refuse_percentiles(trial, lesson.clock.error_us);
    trial.clock = Some(lesson.clock.clone());
}

/// A percentile of which the clocks' error is more than a tenth is not told (METRICS rule 4).
pub(crate) fn refuse_percentiles(trial: &mut Trial, error_us: f64) {
    let histograms = [
        ("delivery_delay", &mut trial.delivery_delay),
        ("transit", &mut trial.transit),
        ("reflection_delay", &mut trial.reflection_delay),
    ];
    for (field, histogram) in histograms {
        let Some(Histogram { p50_us, p90_us, p99_us, p999_us, .. }) = histogram else { continue };
        for (name, percentile) in [("p50", p50_us), ("p90", p90_us), ("p99", p99_us), ("p999", p999_us)] {
            if percentile.is_some_and(|value| error_us > CLOCK_SHARE * value) {
                let value = percentile.take().unwrap_or_default();
                let why =
                    format!("{value:.0} µs is too near to the {error_us:.0} µs by which the clocks may err");
                trial.unavailable.insert(format!("{field}.{name}"), why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_near_the_clocks_error_are_not_told() {
        let delays = Histogram { p50_us: Some(900.0), p99_us: Some(40_000.0), ..Histogram::default() };
        let mut trial = Trial { delivery_delay: Some(delays), ..Trial::default() };
        refuse_percentiles(&mut trial, 100.0);
        let delays = trial.delivery_delay.unwrap();
        assert_eq!((delays.p50_us, delays.p99_us), (None, Some(40_000.0)));
        assert!(trial.unavailable["delivery_delay.p50"].contains("900 µs"));
    }
}
