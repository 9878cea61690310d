//! Gates of a scenario, judged: against their limits, and where they say so against a baseline.

use measurement::{
    gate::{Gate, Limit},
    metrics::{self, Better, Comparison, Metric},
    result::RunResult,
    summary,
};

use crate::{
    format,
    junit::{Case, Outcome},
};

/// How a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The limit is kept.
    Passed,
    /// It is broken.
    Failed,
    /// It cannot be told: no figure, or one that must not be used.
    Untold,
    /// It needs a baseline, and none was given.
    NotAsked,
}

/// A gate with what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The gate.
    pub gate: Gate,
    /// How it ended.
    pub judgement: Judgement,
    /// Found and expected, in words.
    pub told: String,
}

impl Judged {
    /// `websocket: delivery_delay.p99 below 50 ms`
    pub fn name(&self) -> String {
        let unit = metrics::find(&self.gate.metric).map_or("", |metric| metric.unit);
        format!("{} {}", self.gate.metric, limit(self.gate.limit, unit))
    }
}

/// The gates that a result's plan names; none where it names none.
pub fn of(result: &RunResult) -> Vec<Gate> {
    let gates = result.scenario.plan.get("gates").cloned().unwrap_or_default();
    serde_json::from_value(gates).unwrap_or_default()
}

/// Judges every gate of the result's plan.
pub fn judge(result: &RunResult, baseline: Option<&RunResult>) -> Vec<Judged> {
    let judged = |gate: Gate| {
        let (judgement, told) = one(&gate, result, baseline);
        Judged { gate, judgement, told }
    };
    of(result).into_iter().map(judged).collect()
}

/// JUnit cases.
pub(crate) fn cases(judged: &[Judged]) -> Vec<Case> {
    let case = |judged: &Judged| Case {
        suite: judged.gate.variant.clone(),
        name: judged.name(),
        outcome: match judged.judgement {
            Judgement::Passed => Outcome::Passed,
            Judgement::Failed => Outcome::Failed(judged.told.clone()),
            Judgement::Untold => Outcome::Error(judged.told.clone()),
            Judgement::NotAsked => Outcome::Skipped(judged.told.clone()),
        },
    };
    judged.iter().map(case).collect()
}

fn one(gate: &Gate, result: &RunResult, baseline: Option<&RunResult>) -> (Judgement, String) {
    let untold = |why: String| (Judgement::Untold, why);
    let Some(metric) = metrics::find(&gate.metric) else {
        return untold(format!("no metric is named {}", gate.metric));
    };
    let found = match values(result, gate, metric) {
        Ok(found) => found,
        Err(why) => return untold(why),
    };
    let Some(median) = summary::over(found.clone()).map(|summary| summary.median) else {
        return untold("no trial has a figure".to_owned());
    };
    let shown = |value: f64| figure(value, metric.unit);
    let range = range(&found, &shown);
    let told = format!("found {}{range}, expected {}", shown(median), limit(gate.limit, metric.unit));
    let kept = match gate.limit {
        Limit::Below(most) => median < most,
        Limit::Above(least) => median > least,
        Limit::Equals(exactly) => found.iter().all(|value| *value == exactly),
        Limit::MaxIncrease(share) => return against(gate, metric, (median, share), baseline),
    };
    (if kept { Judgement::Passed } else { Judgement::Failed }, told)
}

/// A stored baseline is of another day and maybe of another machine: it judges what is counted only.
fn against(
    gate: &Gate,
    metric: &Metric,
    (median, share): (f64, f64),
    baseline: Option<&RunResult>,
) -> (Judgement, String) {
    let Some(baseline) = baseline else {
        return (Judgement::NotAsked, "it needs a baseline: run with --baseline RESULT".to_owned());
    };
    if metric.comparison == Comparison::Timed {
        let why = "a timed metric needs both sides beside each other: use `loadgen ab`";
        return (Judgement::Untold, why.to_owned());
    }
    let base = values(baseline, gate, metric).ok().and_then(summary::over);
    let Some(base) = base.map(|summary| summary.median) else {
        return (Judgement::Untold, "the baseline has no such figure".to_owned());
    };
    let kept = match metric.better {
        Better::Less => median <= base * (1.0 + share),
        Better::More => median >= base * (1.0 - share),
    };
    let shown = |value: f64| figure(value, metric.unit);
    let told = format!(
        "found {}, baseline {}, expected at most {} worse",
        shown(median),
        shown(base),
        format::share(share)
    );
    (if kept { Judgement::Passed } else { Judgement::Failed }, told)
}

/// The metric in every trial that may be judged by.
fn values(result: &RunResult, gate: &Gate, metric: &Metric) -> Result<Vec<f64>, String> {
    let variant = result.variants.iter().find(|variant| variant.name == gate.variant);
    let variant = variant.ok_or_else(|| format!("the result has no variant {}", gate.variant))?;
    summary::trusted(variant, metric)
}

fn range(found: &[f64], shown: &dyn Fn(f64) -> String) -> String {
    let low = found.iter().copied().fold(f64::INFINITY, f64::min);
    let high = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low < high { format!(" ({} – {})", shown(low), shown(high)) } else { String::new() }
}

fn limit(limit: Limit, unit: &str) -> String {
    match limit {
        Limit::Below(most) => format!("below {}", figure(most, unit)),
        Limit::Above(least) => format!("above {}", figure(least, unit)),
        Limit::Equals(exactly) => format!("equal to {}", figure(exactly, unit)),
        Limit::MaxIncrease(share) => format!("at most {} worse than the baseline", format::share(share)),
    }
}

/// A value in its metric's unit, whole numbers whole.
pub(crate) fn figure(value: f64, unit: &str) -> String {
    let exact = || if value.fract() == 0.0 { format::plain(value) } else { format::significant(value) };
    match unit {
        "us" => format::duration(value),
        "bytes" => format!("{} B", exact()),
        "share" => format::share(value),
        "s" => format!("{} s", format::significant(value)),
        _ => exact(),
    }
}

#[cfg(test)]
mod tests {
    use measurement::result::{Status, Verdict};

    use super::*;
    use crate::testing;

    fn judged(metric: &str, limit: Limit, baseline: Option<&RunResult>) -> Judged {
        let mut result = testing::result();
        let gate = Gate { variant: "stream".to_owned(), metric: metric.to_owned(), limit };
        result.scenario.plan["gates"] = serde_json::to_value([gate]).unwrap();
        judge(&result, baseline).remove(0)
    }

    #[test]
    fn limits_are_kept_or_broken_or_cannot_be_told() {
        let check = |metric, limit, expected, told: &str| {
            let judged = judged(metric, limit, None);
            assert_eq!(judged.judgement, expected, "{judged:?}");
            assert!(judged.told.contains(told), "{judged:?}");
        };
        use Judgement::{Failed, NotAsked, Passed, Untold};
        check("updates.lost", Limit::Equals(0.0), Passed, "found 0, expected equal to 0");
        check("updates.lost", Limit::Equals(1.0), Failed, "found 0");
        check("updates.delivered_once", Limit::Above(19_999.0), Passed, "found 20,000");
        check("delivery_delay.p50", Limit::Below(1.0), Failed, "expected below 1.0 µs");
        check("delivery_delay.p50", Limit::Below(1e6), Passed, "expected below 1.00 s");
        check("connect.p50", Limit::Below(1e6), Untold, "no trial can tell it");
        check("no.such", Limit::Below(1.0), Untold, "no metric is named no.such");
        check("updates.lost", Limit::MaxIncrease(0.01), NotAsked, "--baseline");
    }

    #[test]
    fn a_baseline_judges_what_is_counted() {
        let base = testing::result();
        let overhead = "bytes.header_overhead_per_update";
        let kept = judged(overhead, Limit::MaxIncrease(0.01), Some(&base));
        assert_eq!(kept.judgement, Judgement::Passed, "{kept:?}");
        assert_eq!(kept.name(), format!("{overhead} at most 1.00 % worse than the baseline"));
        let mut leaner = testing::result();
        for trial in &mut leaner.variants[1].trials {
            trial.bytes.header_overhead_per_update = Some(1.0);
        }
        let broken = judged(overhead, Limit::MaxIncrease(0.01), Some(&leaner));
        assert_eq!(broken.judgement, Judgement::Failed, "{broken:?}");
        let timed = judged("delivery_delay.p50", Limit::MaxIncrease(0.01), Some(&base));
        assert!(timed.judgement == Judgement::Untold && timed.told.contains("loadgen ab"), "{timed:?}");
    }

    #[test]
    fn a_count_that_is_invalid_once_cannot_be_told() {
        let mut result = testing::result();
        let gate = Gate {
            variant: "stream".to_owned(),
            metric: "updates.lost".to_owned(),
            limit: Limit::Equals(0.0),
        };
        result.scenario.plan["gates"] = serde_json::to_value([gate]).unwrap();
        result.variants[1].trials[0].validity.classes.counts = Verdict::Invalid;
        assert_eq!(judge(&result, None)[0].judgement, Judgement::Untold);
        result.variants[1].trials[0].validity.classes.counts = Verdict::Ok;
        result.variants[1].trials[0].status = Status::Failed;
        assert_eq!(judge(&result, None)[0].judgement, Judgement::Untold);
    }
}
