//! `loadgen compare`: two results, a verdict, and files that show it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use measurement::{noise::NoiseLedger, result::RunResult};
use miette::IntoDiagnostic as _;
use reports::compare::{self, Comparison, Settings, Verdict};

use super::printed;
use crate::{
    ci::{self, Annotation, Level},
    cli::compare::{CompareArgs, JudgingArgs, OnInconclusive, Timed},
    ledger,
};

/// Compares. An error is bad usage: two results that cannot be compared, or are none.
pub fn run(arguments: &CompareArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let base = reports::load(&arguments.base).into_diagnostic()?;
    let candidate = reports::load(&arguments.candidate).into_diagnostic()?;
    let folder = arguments.out.clone().unwrap_or_else(|| beside(&arguments.candidate, &base));
    judge(&base, &candidate, (&arguments.judging, Timed::Advise), &folder, out)
}

/// Compares two results, prints the verdict, writes its files into `folder`, and tells the exit code. `timed` is what timed
/// metrics may do where the user does not say.
pub(super) fn judge(
    base: &RunResult,
    candidate: &RunResult,
    (judging, timed): (&JudgingArgs, Timed),
    folder: &Path,
    out: &mut dyn Write,
) -> miette::Result<ExitCode> {
    let ledger = ledger(judging.ledger.as_deref(), candidate)?;
    let timed = judging.timed.unwrap_or(timed);
    let settings =
        Settings { delta: judging.delta, timed_gates: timed == Timed::Gate, ..Settings::default() };
    let comparison = compare::compare(base, candidate, &settings, ledger.as_ref()).into_diagnostic()?;
    let undecided_fails = judging.on_inconclusive != Some(OnInconclusive::Pass);
    let page = reports::render_comparison(&comparison, base, candidate, undecided_fails, folder)
        .into_diagnostic()?;
    printed(write!(out, "{}", compare::terminal(&comparison, judging.all)))?;
    printed(writeln!(out, "Report: {}", page.display()))?;
    let environment = |name: &str| std::env::var(name).ok();
    printed(ci::announce(environment, &compare::markdown(&comparison), &annotations(&comparison), out))?;
    Ok(ExitCode::from(exit_code(comparison.verdict, judging.on_inconclusive)))
}

/// The machine's ledger: the one that was named, or the one that `doctor` keeps of this result's machine, if any.
fn ledger(given: Option<&Path>, candidate: &RunResult) -> miette::Result<Option<NoiseLedger>> {
    let facts = &candidate.manifest.timed_must_match;
    let path = match ledger::path(given, facts) {
        Ok(path) => path,
        // Nowhere to keep one: then there is none.
        Err(_) if given.is_none() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = ledger::load(&path, facts)?;
    if let (None, Some(given)) = (&found, given) {
        return Err(miette::miette!(
            "failed to read the noise ledger {}: there is no such file",
            given.display()
        ));
    }
    Ok(found)
}

/// In the candidate's folder, named after the base.
fn beside(candidate: &Path, base: &RunResult) -> PathBuf {
    let folder = if candidate.is_dir() { Some(candidate) } else { candidate.parent() };
    let id: String = base.id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    folder.unwrap_or(Path::new("")).join(format!("comparison-with-{id}"))
}

pub(super) fn exit_code(verdict: Verdict, on_inconclusive: Option<OnInconclusive>) -> u8 {
    match (verdict, on_inconclusive) {
        (Verdict::Unresolved | Verdict::Inconclusive, Some(OnInconclusive::Fail)) => 1,
        (Verdict::Unresolved | Verdict::Inconclusive, Some(OnInconclusive::Pass)) => 0,
        (verdict, _) => verdict.exit_code(),
    }
}

/// What is worse, or could not be judged, as lines beside a check.
pub(super) fn annotations(comparison: &Comparison) -> Vec<Annotation> {
    let annotation = |(variant, row): (&str, &compare::Row)| {
        let level = match (row.verdict?, row.gates) {
            (Verdict::Regression | Verdict::Invalid, true) => Level::Error,
            (Verdict::Regression, false) | (Verdict::Unresolved | Verdict::Inconclusive, true) => {
                Level::Warning
            }
            (Verdict::Equivalent | Verdict::Improved, _)
            | (Verdict::Unresolved | Verdict::Inconclusive | Verdict::Invalid, false) => return None,
        };
        let title = format!("{} {}", row.verdict?.name(), row.metric);
        Some(Annotation { level, title, message: format!("{variant}: {}", compare::told(row)) })
    };
    comparison.rows().filter_map(annotation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_decides_what_undecided_means() {
        let check = |verdict, choice, expected| assert_eq!(exit_code(verdict, choice), expected);
        check(Verdict::Inconclusive, None, 4);
        check(Verdict::Unresolved, Some(OnInconclusive::Pass), 0);
        check(Verdict::Unresolved, Some(OnInconclusive::Fail), 1);
        check(Verdict::Regression, Some(OnInconclusive::Pass), 1);
        check(Verdict::Invalid, Some(OnInconclusive::Pass), 3);
        check(Verdict::Improved, None, 0);
    }
}
