//! Published figures beside the measured ones, in words: rows of tables, lines, and test cases.

use measurement::{
    claim::{Bound, ClaimResult, ClaimVerdict},
    result::RunResult,
};

use crate::{
    format, gates,
    junit::{Case, Outcome},
    plots::Table,
};

/// Heading of the section and of the tables.
pub(crate) const TITLE: &str = "Claimed and measured";

/// A claim as tables show it.
pub(crate) struct Row {
    pub text: String,
    pub source: String,
    pub claimed: String,
    /// How far the two may differ; empty where not at all.
    pub tolerance: String,
    pub measured: String,
    /// From the least to the most, or why nothing was measured; empty where every trial found the same.
    pub spread: String,
    pub verdict: &'static str,
    pub fails: bool,
    pub why: String,
}

/// One row for each claim of the result.
pub(crate) fn rows(result: &RunResult) -> Vec<Row> {
    result.claims.iter().map(row).collect()
}

fn row(claim: &ClaimResult) -> Row {
    Row {
        text: claim.text.clone(),
        source: claim.source.clone(),
        claimed: claimed(claim),
        tolerance: tolerance(claim),
        measured: format::or_none(claim.measured, |value| figure(value, &claim.unit)),
        spread: claim.reason.clone().unwrap_or_else(|| range(claim)),
        verdict: word(claim.verdict),
        fails: matches!(claim.verdict, ClaimVerdict::Fails | ClaimVerdict::NotMeasured),
        why: claim.why.clone().unwrap_or_default(),
    }
}

/// All of it for other programs; without claims it has no rows.
pub(crate) fn table(result: &RunResult) -> Table {
    let head = ["claim", "source", "claimed", "tolerance", "measured", "range", "verdict", "why they differ"];
    let cells = |row: Row| {
        let verdict = row.verdict.to_owned();
        vec![row.text, row.source, row.claimed, row.tolerance, row.measured, row.spread, verdict, row.why]
    };
    Table {
        head: head.iter().map(|&title| title.to_owned()).collect(),
        rows: rows(result).into_iter().map(cells).collect(),
    }
}

/// `claim holds: 96 % of the polls bring nothing: claimed 96.0 %, measured 95.8 % (95.1 % – 96.2 %)`
pub(crate) fn line(claim: &ClaimResult) -> String {
    let verdict = match claim.verdict {
        ClaimVerdict::Holds => "claim holds",
        ClaimVerdict::Fails => "claim FAILS",
        ClaimVerdict::NotMeasured => "claim NOT MEASURED",
        ClaimVerdict::Context => "claim for context",
    };
    format!("{verdict}: {}: {}", claim.text.trim_end_matches('.'), told(claim))
}

/// The claims that a run can fail by and does, each with its name and what was found.
pub fn broken(result: &RunResult) -> Vec<(String, String)> {
    let broken = result
        .claims
        .iter()
        .filter(|claim| matches!(claim.verdict, ClaimVerdict::Fails | ClaimVerdict::NotMeasured));
    broken.map(|claim| (claim.text.clone(), told(claim))).collect()
}

/// JUnit cases.
pub(crate) fn cases(result: &RunResult) -> Vec<Case> {
    let case = |claim: &ClaimResult| Case {
        suite: "claims".to_owned(),
        name: format!("{} ({})", claim.text, of(claim)),
        outcome: match claim.verdict {
            ClaimVerdict::Holds => Outcome::Passed,
            ClaimVerdict::Fails => Outcome::Failed(told(claim)),
            ClaimVerdict::NotMeasured => Outcome::Error(told(claim)),
            ClaimVerdict::Context => Outcome::Skipped(told(claim)),
        },
    };
    result.claims.iter().map(case).collect()
}

/// `claimed 96.0 %, measured 95.8 % (95.1 % – 96.2 %)`
fn told(claim: &ClaimResult) -> String {
    let Row { claimed, tolerance, measured, spread, .. } = row(claim);
    let tolerance = if tolerance.is_empty() { tolerance } else { format!(" {tolerance}") };
    let measured = match (claim.measured, spread.is_empty()) {
        (Some(_), true) => format!("measured {measured}"),
        (Some(_), false) => format!("measured {measured} ({spread})"),
        (None, _) => format!("not measured, {spread}"),
    };
    format!("claimed {claimed}{tolerance}, {measured}")
}

/// Whose figure it is, and of what.
fn of(claim: &ClaimResult) -> String {
    let other = match (&claim.over, &claim.minus) {
        (Some(other), _) => format!(" over {other}"),
        (None, Some(other)) => format!(" minus {other}"),
        (None, None) => String::new(),
    };
    format!("{}{other}, {}", claim.variant, claim.metric)
}

fn word(verdict: ClaimVerdict) -> &'static str {
    match verdict {
        ClaimVerdict::Holds => "holds",
        ClaimVerdict::Fails => "fails",
        ClaimVerdict::NotMeasured => "not measured",
        ClaimVerdict::Context => "for context",
    }
}

fn claimed(claim: &ClaimResult) -> String {
    let side = match claim.bound {
        Bound::About => "",
        Bound::AtLeast => "at least ",
        Bound::AtMost => "at most ",
    };
    format!("{side}{}", figure(claim.claimed, &claim.unit))
}

/// What is not judged needs none.
fn tolerance(claim: &ClaimResult) -> String {
    if claim.verdict == ClaimVerdict::Context || claim.tolerance == 0.0 {
        return String::new();
    }
    let sign = match claim.bound {
        Bound::About => "±",
        Bound::AtLeast => "−",
        Bound::AtMost => "+",
    };
    // Two digits of a percentage: 0.07 × 100 is not 7.
    format!("{sign} {} %", format::plain((claim.tolerance * 1e4).round() / 1e2))
}

fn range(claim: &ClaimResult) -> String {
    match (claim.low, claim.high) {
        (Some(low), Some(high)) if low < high => {
            format!("{} – {}", figure(low, &claim.unit), figure(high, &claim.unit))
        }
        _ => String::new(),
    }
}

/// A value in a metric's unit or in the claim's own; differences may be below zero.
fn figure(value: f64, unit: &str) -> String {
    let size = gates::figure(value.abs(), unit);
    let text = match unit {
        "us" | "bytes" | "share" | "s" | "count" | "" => size,
        "1/s" => format!("{size}/s"),
        own => format!("{size} {own}"),
    };
    if value < 0.0 { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn figures_are_in_the_metrics_unit_or_the_claims_own() {
        let check = |value, unit, expected: &str| assert_eq!(figure(value, unit), expected);
        check(0.96, "share", "96.0 %");
        check(50_000.0, "us", "50.0 ms");
        check(-50_000.0, "us", "−50.0 ms");
        check(871_000.0, "bytes", "871,000 B");
        check(6_968_000.0, "bit/s", "6,968,000 bit/s");
        check(2.5, "1/s", "2.50/s");
        check(435.5, "", "436");
    }

    #[test]
    fn each_claim_has_a_line_and_a_case() {
        let result = testing::claimed();
        let lines: Vec<String> = result.claims.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"));
        let outcomes: Vec<bool> =
            cases(&result).iter().map(|case| matches!(case.outcome, Outcome::Passed)).collect();
        assert_eq!(outcomes, [true, false, false, false]);
        let broken = broken(&result);
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(cases(&result).iter().all(|case| case.suite == "claims"));
    }
}
