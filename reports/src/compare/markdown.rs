//! A comparison as Markdown: for a pull request's comment or a job's summary.

use std::fmt::Write as _;

use super::{Comparison, Row, Verdict, terminal::is_shown, words};
use crate::markdown::escape;

/// The verdict, what differs, and everything else folded away.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    let line =
        |text: &mut String, line: &str| writeln!(text, "{line}").expect("writing to a String does not fail");
    line(&mut text, &format!("## {} – {}", comparison.verdict.name(), escape(&comparison.title)));
    line(&mut text, &format!("\n{}.\n", escape(&sentence_case(&words::sentence(comparison)))));
    let shown: Vec<(&str, &Row)> = comparison.rows().filter(|(_, row)| is_shown(row)).collect();
    if !shown.is_empty() {
        rows(&mut text, &shown);
    }
    if !comparison.timed.is_empty() {
        line(&mut text, &format!("\nTimed metrics were not compared: {}.", escape(&comparison.timed)));
    }
    for note in &comparison.notes {
        line(&mut text, &format!("\n> {}", escape(note)));
    }
    let every: Vec<(&str, &Row)> = comparison.rows().collect();
    line(&mut text, &format!("\n<details><summary>All {} figures</summary>\n", every.len()));
    rows(&mut text, &every);
    line(&mut text, "\n</details>");
    text
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn rows(text: &mut String, rows: &[(&str, &Row)]) {
    text.push_str("| variant | metric | base | candidate | change | 95 % of ratio | limit | verdict |\n");
    text.push_str("|---|---|--:|--:|--:|---|---|---|\n");
    for (variant, row) in rows {
        let verdict = row.verdict.map_or("–", Verdict::name);
        let advice = if row.gates || row.verdict.is_none() { "" } else { " (advice)" };
        let reading = words::reading(row);
        let cells = [
            escape(variant),
            format!("`{}`", row.metric),
            words::side(row, row.base),
            words::side(row, row.candidate),
            words::change(row),
            words::interval(row),
            words::limit(row),
            if reading.is_empty() {
                format!("{verdict}{advice}")
            } else {
                format!("{verdict}{advice}: {}", escape(&reading))
            },
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}
