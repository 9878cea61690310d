//! Result files -> HTML, plots, Markdown and HdrHistogram logs.
//!
//! It reads results only, and knows no transport by name: rows are labels, and a variant's model says what
//! theory expects of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use measurement::result::{FORMAT, RunResult};

pub mod format;
pub mod overview;
pub mod plots;

mod economy;
mod hdrlog;
mod html;
mod markdown;
mod plan;
mod questions;
mod terminal;

#[cfg(test)]
mod testing;

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

/// Renders a result into its folder: the page, the summary, plots and logs. The page is the first path returned.
pub fn render(result: &RunResult, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let plots = plots::all(result)?;
    let mut files = vec![
        ("report.html".to_owned(), html::page(result, &plots)?.into_bytes()),
        ("summary.md".to_owned(), markdown::summary(result).into_bytes()),
    ];
    for plot in plots {
        files.push((format!("plots/{}.svg", plot.name), plot.svg.into_bytes()));
        files.push((format!("plots/{}.png", plot.name), plot.png));
    }
    files.extend(hdrlog::files(result)?.into_iter().map(|(name, bytes)| (format!("hdr/{name}"), bytes)));
    // Made even when no trial had figures: the folder's shape is the same for every run.
    for part in ["plots", "hdr"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).map_err(|cause| ReportError::Write { path, cause })?;
    }
    files.into_iter().map(|(name, bytes)| write(&folder.join(name), &bytes)).collect()
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf, ReportError> {
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
