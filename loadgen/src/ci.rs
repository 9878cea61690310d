//! What a CI system shows beside the log: a job's summary and annotations, where its environment asks for them.

use std::{fs::OpenOptions, io::Write};

/// How an annotation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It broke something.
    Error,
    /// To be looked at.
    Warning,
}

/// One line beside a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// How it is shown.
    pub level: Level,
    /// A few words.
    pub title: String,
    /// What was found and what was expected.
    pub message: String,
}

/// Adds the Markdown to the job's summary (`GITHUB_STEP_SUMMARY`) and prints annotations (`GITHUB_ACTIONS`). Without these
/// variables it does nothing.
///
/// # Errors
///
/// The summary's file or the output cannot be written.
pub fn announce(
    environment: impl Fn(&str) -> Option<String>,
    markdown: &str,
    annotations: &[Annotation],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    if let Some(path) = environment("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        let mut summary = OpenOptions::new().append(true).create(true).open(path)?;
        writeln!(summary, "{markdown}")?;
    }
    if environment("GITHUB_ACTIONS").is_some_and(|set| set == "true") {
        for Annotation { level, title, message } in annotations {
            let level = match level {
                Level::Error => "error",
                Level::Warning => "warning",
            };
            writeln!(out, "::{level} title={}::{}", property(title), data(message))?;
        }
    }
    Ok(())
}

/// Text of a workflow command: a line end would begin another.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The same within its head, where colons and commas end a value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_one_line_each_and_the_summary_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary.md");
        let environment = |name: &str| match name {
            "GITHUB_STEP_SUMMARY" => Some(path.display().to_string()),
            "GITHUB_ACTIONS" => Some("true".to_owned()),
            _ => None,
        };
        let annotation = Annotation {
            level: Level::Error,
            title: "a: b, c".to_owned(),
            message: "50 %\n::error::planted".to_owned(),
        };
        let mut out = Vec::new();
        for _ in 0..2 {
            announce(environment, "## One", std::slice::from_ref(&annotation), &mut out).expect("it writes");
        }
        let line = "::error title=a%3A b%2C c::50 %25%0A::error::planted\n";
        assert_eq!(String::from_utf8(out).expect("text"), line.repeat(2));
        assert_eq!(std::fs::read_to_string(&path).expect("a summary"), "## One\n## One\n");
        let mut nothing = Vec::new();
        announce(|_| None, "## One", &[annotation], &mut nothing).expect("it does nothing");
        assert!(nothing.is_empty());
    }
}
