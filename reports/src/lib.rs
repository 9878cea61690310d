//! Result files -> HTML, plots, Markdown, and what other tools read.
//!
//! It reads results only, and knows no transport by name: rows are labels, and a variant's model says what
//! theory expects of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use measurement::result::{FORMAT, RunResult};

pub mod capacity;
pub mod claims;
pub mod compare;
pub mod crossover;
pub mod format;
pub mod gates;
pub mod history;
pub mod overview;
pub mod plots;

mod baseline;
mod economy;
mod exports;
mod html;
mod junit;
mod links;
mod markdown;
mod plan;
mod questions;
mod terminal;

#[cfg(test)]
mod testing;

pub use baseline::write as write_baseline;
pub use markdown::escape as escape_markdown;
pub use terminal::terminal_table;

/// What can go wrong with a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file cannot be read.
    #[error("failed to read {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A folder cannot be made.
    #[error("failed to make {}: {cause}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write {}: {cause}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file is not a result of this version.
    #[error("{} is not a result: expected {expected}, found {found}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What a result has there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A histogram in the result cannot be read.
    #[error(transparent)]
    Histogram(#[from] measurement::histogram::DecodeError),
    /// A plot cannot be drawn.
    #[error("failed to draw {plot}: {cause}")]
    Draw {
        /// Which.
        plot: &'static str,
        /// Why.
        cause: String,
    },
    /// The page's template fails.
    #[error("failed to fill the page: {0}")]
    Template(#[from] askama::Error),
}

/// Longer texts of a broken file are cut in its error.
const LONGEST_FOUND: usize = 200;

/// Reads a `result.json`, or the one in a folder.
pub fn load(path: &Path) -> Result<RunResult, ReportError> {
    let path = if path.is_dir() { path.join("result.json") } else { path.to_owned() };
    let text = fs::read_to_string(&path).map_err(|cause| ReportError::Read { path: path.clone(), cause })?;
    let wrong = |expected: String, found: String| {
        // What a file says must neither fill the terminal nor steer it.
        let found = found.chars().filter(|c| !c.is_control()).collect::<String>();
        let cut = found.char_indices().nth(LONGEST_FOUND).map_or(found.len(), |(at, _)| at);
        let rest = if cut < found.len() { "…" } else { "" };
        ReportError::Format { path: path.clone(), expected, found: format!("{}{rest}", &found[..cut]) }
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong("JSON".to_owned(), error.to_string()))?;
    // The format first: another version's file differs in more than its first unknown field.
    match value.get("format").and_then(serde_json::Value::as_str) {
        Some(FORMAT) => {}
        Some(found) => return Err(wrong(format!("format {FORMAT:?}"), format!("{found:?}"))),
        None => return Err(wrong(format!("format {FORMAT:?}"), "no format".to_owned())),
    }
    serde_json::from_str(&text).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        wrong("the fields of that format".to_owned(), format!("at {at}: {error}"))
    })
}

/// Renders a result into its folder: the page, the summary, plots, and what other tools read. The page is the first path returned.
pub fn render(result: &RunResult, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let plots = plots::all(result)?;
    let mut files = vec![
        ("report.html".to_owned(), html::page(result, &plots)?.into_bytes()),
        ("summary.md".to_owned(), markdown::summary(result).into_bytes()),
    ];
    files.extend(exports::files(result, &plots)?);
    for plot in plots {
        files.push((format!("plots/{}.svg", plot.name), plot.svg.into_bytes()));
        files.push((format!("plots/{}.png", plot.name), plot.png));
    }
    // Made even when no trial had figures: the folder's shape is the same for every run.
    for part in ["plots", "hdr", "tables"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).map_err(|cause| ReportError::Write { path, cause })?;
    }
    files.into_iter().map(|(name, bytes)| write(&folder.join(name), &bytes)).collect()
}

/// Writes a comparison in all its forms into a folder, which is made: a page, Markdown, JSON and JUnit. The page's path is
/// returned.
pub fn render_comparison(
    comparison: &compare::Comparison,
    base: &RunResult,
    candidate: &RunResult,
    undecided_fails: bool,
    folder: &Path,
) -> Result<PathBuf, ReportError> {
    // First what can fail: a comparison that cannot be shown leaves no files.
    let page = compare::page(comparison, base, candidate)?;
    let json =
        serde_json::to_string_pretty(comparison).expect("a comparison has no map whose keys are not text");
    fs::create_dir_all(folder).map_err(|cause| ReportError::Write { path: folder.to_owned(), cause })?;
    write(&folder.join("comparison.json"), json.as_bytes())?;
    write(&folder.join("comparison.md"), compare::markdown(comparison).as_bytes())?;
    write(&folder.join("junit.xml"), compare::junit(comparison, undecided_fails).as_bytes())?;
    write(&folder.join("comparison.html"), page.as_bytes())
}

/// Writes `junit.xml` into a run's folder: a case for each gate, each claim, and each gating metric of a comparison.
pub fn render_junit(
    result: &RunResult,
    judged: &[gates::Judged],
    comparison: Option<&compare::Comparison>,
    undecided_fails: bool,
    folder: &Path,
) -> Result<PathBuf, ReportError> {
    let mut cases = gates::cases(judged);
    cases.extend(claims::cases(result));
    cases
        .extend(comparison.map(|comparison| compare::cases(comparison, undecided_fails)).unwrap_or_default());
    write(&folder.join("junit.xml"), junit::document(&result.scenario.title, &cases).as_bytes())
}

/// The run's summary as Markdown.
pub fn summary_markdown(result: &RunResult) -> String {
    markdown::summary(result)
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let temporary = path.with_extension("tmp");
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|cause| ReportError::Write { path: path.to_owned(), cause })?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_result_is_refused_with_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let check = |text: &str, expected: &str| {
            fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(error.contains("result.json") && error.contains(expected), "{text}: {error}");
        };
        check("{\"format\": \"tickertape-re", "EOF");
        check("[]", "no format");
        check(r#"{"format": "tickertape-result/99"}"#, "found \"tickertape-result/99\"");
        check(&format!(r#"{{"format": "{FORMAT}", "id": 5}}"#), "expected a string");
        let hostile = format!(
            r#"{{"format": "{FORMAT}", "id": "", "command": "", "started_at": "", "finished_at": "", "status": "\u001b[2J{}"}}"#,
            "x".repeat(9_000)
        );
        check(&hostile, "at line 1, column");
        let error = load(&path).unwrap_err().to_string();
        assert!(error.chars().count() < 500 && !error.contains(char::is_control), "{error}");
        assert!(load(&folder.path().join("none.json")).unwrap_err().to_string().contains("none.json"));
        fs::remove_file(&path).unwrap();
        assert!(load(folder.path()).unwrap_err().to_string().contains("result.json"));
    }

    #[test]
    fn a_rendered_folder_is_whole_and_its_result_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let result = testing::result();
        let files = render(&result, folder.path()).unwrap();
        assert_eq!(files[0], folder.path().join("report.html"));
        assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() > 0), "{files:?}");
        assert!(files.iter().any(|file| file.ends_with("plots/percentiles.png")), "{files:?}");
        assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "hlog")), "{files:?}");
        fs::write(folder.path().join("result.json"), serde_json::to_string(&result).unwrap()).unwrap();
        assert!(load(folder.path()).unwrap() == result, "it reads back otherwise than it was written");
    }

    #[test]
    fn a_run_without_figures_still_has_a_report() {
        let folder = tempfile::tempdir().unwrap();
        render(&testing::without_figures(), folder.path()).unwrap();
    }
}
