//! A claim: a figure that somebody published, beside what a run measured.
//!
//! A scenario asks for it, the plan carries it resolved, the result keeps what became of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    metrics::{self, Metric},
    result::{RunResult, Summary},
    summary,
};

/// A published figure and how it is looked up in a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// What was claimed, in a sentence.
    pub text: String,
    /// Where it was published.
    pub source: String,
    /// The published figure, in the unit that is printed.
    pub claimed: f64,
    /// The variant whose figure is held against it.
    pub variant: String,
    /// The metric's dotted name.
    pub metric: String,
    /// The figure is the ratio to this variant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// The figure is the difference to this variant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<String>,
    /// The measured figure is multiplied by it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub factor: f64,
    /// Printed instead of the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How far the two may differ, as a share of the published figure.
    #[serde(default)]
    pub tolerance: f64,
    /// On which side.
    #[serde(default)]
    pub bound: Bound,
    /// Whether a run can fail by it.
    #[serde(default)]
    pub judge: Judge,
    /// Why the two differ or agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// On which side of the published figure the measured one may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Within the tolerance of it.
    #[default]
    About,
    /// No less, but for the tolerance.
    AtLeast,
    /// No more, but for the tolerance.
    AtMost,
}

/// Whether a run can fail by a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// It can.
    #[default]
    Assert,
    /// It cannot: the claim is shown and not judged.
    Context,
}

impl Bound {
    /// Every word of a scenario file and what it stands for.
    pub const WORDS: &[(&str, Self)] =
        &[("about", Self::About), ("at-least", Self::AtLeast), ("at-most", Self::AtMost)];
}

impl Judge {
    /// Every word of a scenario file and what it stands for.
    pub const WORDS: &[(&str, Self)] = &[("assert", Self::Assert), ("context", Self::Context)];
}

/// How a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClaimVerdict {
    /// The measured figure agrees with it.
    Holds,
    /// It does not.
    Fails,
    /// There is no measured figure, or none that may be used.
    #[serde(rename = "not measured")]
    NotMeasured,
    /// It is shown and not judged.
    Context,
}

/// A published figure beside the measured one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// What was claimed, in a sentence.
    pub text: String,
    /// Where it was published.
    pub source: String,
    /// The variant whose figure is held against it.
    pub variant: String,
    /// The metric's dotted name.
    pub metric: String,
    /// The other variant where the figure is a ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// The other variant where the figure is a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<String>,
    /// The published figure.
    pub claimed: f64,
    /// The measured figure, made of medians over the trials; null where there is none.
    pub measured: Option<f64>,
    /// The least that the trials allow it to be; null where that is unknown.
    pub low: Option<f64>,
    /// The most, likewise.
    pub high: Option<f64>,
    /// Why there is no measured figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unit of the figures: that of a metric (`us`, `bytes`, `share`, `count`, `1/s`, `s`), the scenario's own, or empty.
    pub unit: String,
    /// How far the two may differ, as a share of the published figure.
    pub tolerance: f64,
    /// On which side.
    pub bound: Bound,
    /// Whether the run can fail by it.
    pub judge: Judge,
    /// How it ended.
    pub verdict: ClaimVerdict,
    /// Why the two differ or agree.
    pub why: Option<String>,
}

/// Floats of one and the same figure may differ by so much of it: rates are quotients.
const ROUNDING: f64 = 1e-9;

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

/// A measured figure and how sure it is.
struct Figure {
    median: f64,
    low: f64,
    high: f64,
}

/// Holds every claim of the result's plan against the result; none where it names none.
pub fn judge(result: &RunResult) -> Vec<ClaimResult> {
    let claims = result.scenario.plan.get("claims").cloned().unwrap_or_default();
    let claims: Vec<Claim> = serde_json::from_value(claims).unwrap_or_default();
    claims.into_iter().map(|claim| judged(claim, result)).collect()
}

fn judged(claim: Claim, result: &RunResult) -> ClaimResult {
    let (figure, reason) = match measured(&claim, result) {
        Ok(figure) => (Some(figure), None),
        Err(reason) => (None, Some(reason)),
    };
    let verdict = match (claim.judge, &figure) {
        (Judge::Context, _) => ClaimVerdict::Context,
        (Judge::Assert, None) => ClaimVerdict::NotMeasured,
        (Judge::Assert, Some(figure)) if agrees(&claim, figure.median) => ClaimVerdict::Holds,
        (Judge::Assert, Some(_)) => ClaimVerdict::Fails,
    };
    let own = if claim.over.is_some() { "" } else { metrics::find(&claim.metric).map_or("", |m| m.unit) };
    // JSON has no infinity, which a ratio to a range that begins at nothing has.
    let finite = |value: f64| value.is_finite().then_some(value);
    ClaimResult {
        measured: figure.as_ref().and_then(|figure| finite(figure.median)),
        low: figure.as_ref().and_then(|figure| finite(figure.low)),
        high: figure.as_ref().and_then(|figure| finite(figure.high)),
        reason,
        unit: claim.unit.unwrap_or_else(|| own.to_owned()),
        verdict,
        text: claim.text,
        source: claim.source,
        variant: claim.variant,
        metric: claim.metric,
        over: claim.over,
        minus: claim.minus,
        claimed: claim.claimed,
        tolerance: claim.tolerance,
        bound: claim.bound,
        judge: claim.judge,
        why: claim.why,
    }
}

fn agrees(claim: &Claim, measured: f64) -> bool {
    let slack = claim.claimed.abs() * (claim.tolerance + ROUNDING);
    match claim.bound {
        Bound::About => (measured - claim.claimed).abs() <= slack,
        Bound::AtLeast => measured >= claim.claimed - slack,
        Bound::AtMost => measured <= claim.claimed + slack,
    }
}

/// The claim's figure, or why there is none.
fn measured(claim: &Claim, result: &RunResult) -> Result<Figure, String> {
    let metric =
        metrics::find(&claim.metric).ok_or_else(|| format!("no metric is named {}", claim.metric))?;
    let own = of(result, &claim.variant, metric)?;
    let figure = match (&claim.over, &claim.minus) {
        (Some(other), _) => {
            let other_figure = of(result, other, metric)?;
            if other_figure.median <= 0.0 {
                return Err(format!("{other}: {} is 0: there is no ratio to it", metric.name));
            }
            // Of both ranges, the ends that make the ratio least and most.
            Figure {
                median: own.median / other_figure.median,
                low: own.low / other_figure.high,
                high: own.high / other_figure.low,
            }
        }
        (None, Some(other)) => {
            let other = of(result, other, metric)?;
            Figure {
                median: own.median - other.median,
                low: own.low - other.high,
                high: own.high - other.low,
            }
        }
        (None, None) => Figure { median: own.median, low: own.low, high: own.high },
    };
    let times = |value: f64| value * claim.factor;
    Ok(Figure { median: times(figure.median), low: times(figure.low), high: times(figure.high) })
}

fn of(result: &RunResult, name: &str, metric: &Metric) -> Result<Summary, String> {
    let variant = result.variants.iter().find(|variant| variant.name == name);
    let variant = variant.ok_or_else(|| format!("the result has no variant {name}"))?;
    let values = summary::trusted(variant, metric).map_err(|reason| format!("{name}: {reason}"))?;
    summary::over(values).ok_or_else(|| format!("{name}: no trial has a figure"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Manifest, ScenarioInfo, Status, Trial, Variant, Verdict};

    /// Two variants of three trials with these losses.
    fn result() -> RunResult {
        let variant = |name: &str, lost: [u64; 3]| {
            let trial = |lost| {
                let mut trial = Trial::default();
                trial.updates.lost = Some(lost);
                trial
            };
            Variant {
                name: name.to_owned(),
                trials: lost.into_iter().map(trial).collect(),
                ..Variant::default()
            }
        };
        RunResult {
            format: crate::result::FORMAT.to_owned(),
            id: String::new(),
            command: String::new(),
            started_at: String::new(),
            finished_at: String::new(),
            status: Status::Complete,
            partial_reason: None,
            scenario: ScenarioInfo::default(),
            manifest: Manifest::default(),
            variants: vec![variant("a", [90, 100, 120]), variant("b", [4, 5, 8]), variant("none", [0, 0, 0])],
            claims: Vec::new(),
        }
    }

    fn claim(claimed: f64) -> Claim {
        Claim {
            text: "It loses a hundred".to_owned(),
            source: "Somebody 2009".to_owned(),
            claimed,
            variant: "a".to_owned(),
            metric: "updates.lost".to_owned(),
            over: None,
            minus: None,
            factor: 1.0,
            unit: None,
            tolerance: 0.0,
            bound: Bound::About,
            judge: Judge::Assert,
            why: None,
        }
    }

    fn of_result(claim: &Claim, mut result: RunResult) -> ClaimResult {
        result.scenario.plan = serde_json::json!({ "claims": [claim] });
        judge(&result).remove(0)
    }

    fn of(claim: &Claim) -> ClaimResult {
        of_result(claim, result())
    }

    #[test]
    fn medians_are_held_against_the_figure_with_its_bound_and_tolerance() {
        use Bound::{About, AtLeast, AtMost};
        use ClaimVerdict::{Fails, Holds};
        let check = |claimed, bound, tolerance, expected| {
            let found = of(&Claim { bound, tolerance, ..claim(claimed) });
            assert_eq!(found.verdict, expected, "{claimed} {bound:?} {tolerance}");
            assert_eq!((found.measured, found.low, found.high), (Some(100.0), Some(90.0), Some(120.0)));
        };
        check(100.0, About, 0.0, Holds);
        check(101.0, About, 0.0, Fails);
        check(101.0, About, 0.01, Holds);
        check(99.0, About, 0.01, Fails);
        check(99.0, AtLeast, 0.0, Holds);
        check(101.0, AtLeast, 0.0, Fails);
        check(101.0, AtLeast, 0.01, Holds);
        check(101.0, AtMost, 0.0, Holds);
        check(99.0, AtMost, 0.0, Fails);
        check(99.0, AtMost, 0.02, Holds);
    }

    #[test]
    fn ratios_and_differences_are_of_medians_and_their_ranges_of_both() {
        let ratio = of(&Claim { over: Some("b".to_owned()), ..claim(20.0) });
        assert_eq!(ratio.verdict, ClaimVerdict::Holds);
        assert_eq!((ratio.measured, ratio.low, ratio.high), (Some(20.0), Some(11.25), Some(30.0)));
        assert_eq!(ratio.unit, "");
        let less = of(&Claim { minus: Some("b".to_owned()), ..claim(95.0) });
        assert_eq!(less.verdict, ClaimVerdict::Holds);
        assert_eq!((less.low, less.high, less.unit.as_str()), (Some(82.0), Some(116.0), "count"));
        let bits = of(&Claim { factor: 8.0, unit: Some("bit/s".to_owned()), ..claim(800.0) });
        assert_eq!(bits.verdict, ClaimVerdict::Holds);
        assert_eq!((bits.high, bits.unit.as_str()), (Some(960.0), "bit/s"));
    }

    #[test]
    fn context_is_never_judged_and_what_is_not_measured_says_why() {
        let context = |claim: Claim| of(&Claim { judge: Judge::Context, ..claim });
        assert_eq!(context(claim(7.0)).verdict, ClaimVerdict::Context);
        let check = |claim: Claim, reason: &str| {
            let found = of(&claim);
            assert_eq!((found.verdict, found.measured), (ClaimVerdict::NotMeasured, None), "{found:?}");
            assert!(found.reason.as_ref().is_some_and(|told| told.contains(reason)), "{found:?}");
            let found = context(claim);
            assert!(found.verdict == ClaimVerdict::Context && found.reason.is_some(), "{found:?}");
        };
        check(Claim { over: Some("none".to_owned()), ..claim(1.0) }, "there is no ratio");
        check(Claim { metric: "connect.p50".to_owned(), ..claim(1.0) }, "a: no trial can tell it");
        check(Claim { metric: "no.such".to_owned(), ..claim(1.0) }, "no metric");
        check(Claim { variant: "c".to_owned(), ..claim(1.0) }, "no variant c");
        let mut broken = result();
        broken.variants[0].trials[1].validity.classes.counts = Verdict::Invalid;
        assert_eq!(of_result(&claim(100.0), broken).verdict, ClaimVerdict::NotMeasured);
    }

    #[test]
    fn a_plan_without_claims_has_none_and_one_reads_back_as_written() {
        assert_eq!(judge(&result()), []);
        let given = Claim { over: Some("b".to_owned()), tolerance: 0.1, ..claim(20.0) };
        let written = serde_json::to_value(&given).unwrap();
        assert_eq!(serde_json::from_value::<Claim>(written).unwrap(), given);
        let found = serde_json::to_value(of(&given)).unwrap();
        assert_eq!((&found["verdict"], &found["bound"]), (&"holds".into(), &"about".into()));
        let not = of(&Claim { variant: "c".to_owned(), ..claim(1.0) });
        assert_eq!(serde_json::to_value(not).unwrap()["verdict"], "not measured");
    }
}
