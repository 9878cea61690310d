//! `loadgen report`: renders a result again, also that of a run that was killed.

use std::{io::Write, path::Path};

use miette::IntoDiagnostic as _;

use super::printed;
use crate::{cli::ReportArgs, folder};

/// Writes report, plots and logs beside the result and prints the table.
pub fn run(arguments: &ReportArgs, out: &mut dyn Write) -> miette::Result<()> {
    let path = &arguments.result;
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    if path.is_dir() && folder::is_unfinished(folder) {
        let result = folder::rebuild(folder).into_diagnostic()?;
        folder::write_result(folder, &result).into_diagnostic()?;
    }
    let result = reports::load(path).into_diagnostic()?;
    let files = reports::render(&result, folder).into_diagnostic()?;
    if let Some(baseline) = &arguments.baseline {
        reports::write_baseline(&result, baseline).into_diagnostic()?;
        printed(writeln!(out, "Baseline: {}", baseline.display()))?;
    }
    let table = reports::terminal_table(&result);
    printed(writeln!(out, "{table}"))?;
    files.first().map_or(Ok(()), |report| printed(writeln!(out, "Report: {}", report.display())))
}
