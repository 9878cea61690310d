//! What follows a run that has gates, claims or a baseline: judged, printed, written beside the result, and an exit code.

use std::{io::Write, path::Path};

use measurement::{
    claim::{ClaimResult, ClaimVerdict, Judge},
    result::{Manifest, RunResult},
};
use miette::IntoDiagnostic as _;
use reports::{
    compare::{self, Comparison, Settings},
    gates::{Judged, Judgement},
};

use super::{
    compare::{annotations, exit_code},
    printed,
};
use crate::{
    ci::{self, Annotation, Level},
    cli::compare::OnInconclusive,
    plan::Plan,
};

const FAILED: u8 = 1;
const NOT_TRUSTED: u8 = 3;

/// Reads the baseline and makes sure, before anything runs, that the run can be held against it.
pub(super) fn baseline(
    path: Option<&Path>,
    plan: &Plan,
    manifest: &Manifest,
) -> miette::Result<Option<RunResult>> {
    let Some(path) = path else { return Ok(None) };
    let baseline = reports::load(path).into_diagnostic()?;
    let planned = serde_json::to_value(plan).unwrap_or_default();
    compare::comparable(&baseline, &manifest.must_match, &planned)
        .into_diagnostic()
        .map_err(|error| error.wrap_err(format!("{} is a baseline of something else", path.display())))?;
    Ok(Some(baseline))
}

/// Judges a run. The exit code is `None` where nothing is asserted: it has no gates, no claims but for context, and no baseline.
pub(super) fn judge(
    result: &RunResult,
    baseline: Option<&RunResult>,
    on_inconclusive: Option<OnInconclusive>,
    folder: &Path,
    out: &mut dyn Write,
) -> miette::Result<Option<u8>> {
    let judged = reports::gates::judge(result, baseline);
    let against = |baseline| {
        compare::compare(baseline, result, &Settings::default(), None).map(|found| (baseline, found))
    };
    let comparison = baseline.map(against).transpose().into_diagnostic()?;
    if judged.is_empty() && result.claims.is_empty() && comparison.is_none() {
        return Ok(None);
    }
    let broken = reports::claims::broken(result);
    let fails = on_inconclusive != Some(OnInconclusive::Pass);
    let found = comparison.as_ref().map(|(_, comparison)| comparison);
    let junit = reports::render_junit(result, &judged, found, fails, folder).into_diagnostic()?;
    if let Some((baseline, comparison)) = &comparison {
        printed(write!(out, "\nAgainst the baseline: {}", compare::terminal(comparison, false)))?;
        let folder = folder.join("baseline");
        let page =
            reports::render_comparison(comparison, baseline, result, fails, &folder).into_diagnostic()?;
        printed(writeln!(out, "Comparison: {}", page.display()))?;
    }
    let passed = judged.iter().filter(|gate| gate.judgement == Judgement::Passed).count();
    if !judged.is_empty() {
        printed(writeln!(out, "{passed} of {} gates passed.", judged.len()))?;
    }
    for gate in judged.iter().filter(|gate| gate.judgement != Judgement::Passed) {
        let word = word(gate.judgement);
        printed(writeln!(out, "Gate {word}: {}: {} – {}", gate.gate.variant, gate.name(), gate.told))?;
    }
    printed(writeln!(out, "JUnit: {}", junit.display()))?;
    let mut lines = gate_annotations(&judged);
    lines.extend(broken.into_iter().map(claim_annotation));
    lines.extend(found.map(annotations).unwrap_or_default());
    let environment = |name: &str| std::env::var(name).ok();
    printed(ci::announce(environment, &markdown(result, &judged, found), &lines, out))?;
    let asserted = result.claims.iter().any(|claim| claim.judge == Judge::Assert);
    if judged.is_empty() && comparison.is_none() && !asserted {
        return Ok(None);
    }
    let compared = found.map(|found| exit_code(found.verdict, on_inconclusive));
    Ok(Some(worst(&judged, &result.claims, compared)))
}

fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Passed => "passed",
        Judgement::Failed => "FAILED",
        Judgement::Untold => "CANNOT BE TOLD",
        Judgement::NotAsked => "not asked",
    }
}

/// 3 wins over 1, and 1 over 4.
fn worst(judged: &[Judged], claims: &[ClaimResult], compared: Option<u8>) -> u8 {
    let any = |judgement| judged.iter().any(|gate| gate.judgement == judgement);
    let claimed = |verdict| claims.iter().any(|claim| claim.verdict == verdict);
    let codes = [
        (any(Judgement::Untold) || claimed(ClaimVerdict::NotMeasured), NOT_TRUSTED),
        (compared == Some(NOT_TRUSTED), NOT_TRUSTED),
        (any(Judgement::Failed) || claimed(ClaimVerdict::Fails), FAILED),
    ];
    let found = codes.into_iter().find(|(is, _)| *is).map(|(_, code)| code);
    found.or(compared).unwrap_or(0)
}

fn gate_annotations(judged: &[Judged]) -> Vec<Annotation> {
    let broken = judged.iter().filter(|gate| matches!(gate.judgement, Judgement::Failed | Judgement::Untold));
    broken
        .map(|gate| Annotation {
            level: Level::Error,
            title: format!("Gate {}", gate.name()),
            message: format!("{}: {}", gate.gate.variant, gate.told),
        })
        .collect()
}

fn claim_annotation((text, told): (String, String)) -> Annotation {
    Annotation { level: Level::Error, title: format!("Claim {text}"), message: told }
}

fn markdown(result: &RunResult, judged: &[Judged], comparison: Option<&Comparison>) -> String {
    let mut text = reports::summary_markdown(result);
    if !judged.is_empty() {
        text.push_str("\n## Gates\n\n");
        for gate in judged {
            let line =
                format!("{}: {}: {} – {}", word(gate.judgement), gate.gate.variant, gate.name(), gate.told);
            text.push_str(&format!("- {}\n", reports::escape_markdown(&line)));
        }
    }
    if let Some(comparison) = comparison {
        text.push_str(&format!("\n{}", compare::markdown(comparison)));
    }
    text
}

#[cfg(test)]
mod tests {
    use measurement::{
        claim::Bound,
        gate::{Gate, Limit},
    };

    use super::*;

    #[test]
    fn what_cannot_be_trusted_wins_over_what_failed_and_that_over_what_is_undecided() {
        let judged = |judgements: &[Judgement]| -> Vec<Judged> {
            let gate = Gate {
                variant: "v".to_owned(),
                metric: "updates.lost".to_owned(),
                limit: Limit::Equals(0.0),
            };
            let one = |judgement: &Judgement| Judged {
                gate: gate.clone(),
                judgement: *judgement,
                told: String::new(),
            };
            judgements.iter().map(one).collect()
        };
        let check = |judgements: &[Judgement], compared, expected| {
            assert_eq!(worst(&judged(judgements), &[], compared), expected, "{judgements:?} {compared:?}");
        };
        use Judgement::{Failed, NotAsked, Passed, Untold};
        check(&[], None, 0);
        check(&[Passed, NotAsked], None, 0);
        check(&[Passed, Failed], Some(4), 1);
        check(&[Failed, Untold], None, 3);
        check(&[Failed], Some(3), 3);
        check(&[Passed], Some(1), 1);
        check(&[Passed], Some(4), 4);
    }

    #[test]
    fn an_asserted_claim_counts_as_a_gate_does_and_context_never() {
        let check = |verdicts: &[ClaimVerdict], compared, expected| {
            let claim = |verdict: &ClaimVerdict| ClaimResult {
                text: String::new(),
                source: String::new(),
                variant: "v".to_owned(),
                metric: "updates.lost".to_owned(),
                over: None,
                minus: None,
                claimed: 0.0,
                measured: None,
                low: None,
                high: None,
                reason: None,
                unit: String::new(),
                tolerance: 0.0,
                bound: Bound::About,
                judge: if *verdict == Context { Judge::Context } else { Judge::Assert },
                verdict: *verdict,
                why: None,
            };
            let claims: Vec<ClaimResult> = verdicts.iter().map(claim).collect();
            assert_eq!(worst(&[], &claims, compared), expected, "{verdicts:?} {compared:?}");
        };
        use ClaimVerdict::{Context, Fails, Holds, NotMeasured};
        check(&[Holds, Context], None, 0);
        check(&[Holds, Fails], Some(4), 1);
        check(&[Fails, NotMeasured], None, 3);
        check(&[Context], Some(4), 4);
    }
}
