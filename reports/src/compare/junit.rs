//! A comparison as JUnit XML, which every CI system shows: one test case for each metric that gates.

use super::{Comparison, Row, Verdict, words};
use crate::junit::{Case, Outcome, document};

/// The XML document. Undecided rows fail if `undecided_fails`, else they are skipped.
pub fn junit(comparison: &Comparison, undecided_fails: bool) -> String {
    document(&comparison.title, &cases(comparison, undecided_fails))
}

/// Its cases.
pub(crate) fn cases(comparison: &Comparison, undecided_fails: bool) -> Vec<Case> {
    let case = |(variant, row): (&str, &Row)| {
        let text = format!("{}: {}", words::meaning(&row.metric), words::told(row));
        Case {
            suite: variant.to_owned(),
            name: row.metric.clone(),
            outcome: match row.verdict {
                Some(Verdict::Equivalent | Verdict::Improved) => Outcome::Passed,
                None => Outcome::Skipped(text),
                Some(Verdict::Unresolved | Verdict::Inconclusive) if !undecided_fails => {
                    Outcome::Skipped(text)
                }
                Some(Verdict::Regression) => Outcome::Failed(text),
                Some(Verdict::Unresolved | Verdict::Inconclusive | Verdict::Invalid) => Outcome::Error(text),
            },
        }
    };
    comparison.rows().filter(|(_, row)| row.gates).map(case).collect()
}
