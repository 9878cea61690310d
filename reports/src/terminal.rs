//! The result on a terminal: the overview as a table, then what was noticed. Plain text without colour.

use std::{collections::BTreeMap, fmt::Write as _};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use measurement::result::{Finding, RunResult, Severity, Trial, Variant};

use crate::{
    claims,
    overview::{self, Best, CLASSES, COLUMNS, Overview},
};

const WIDTH: u16 = 110;

/// Headline, one row for each variant, findings. No line is wider than 110 columns, but for long claims and findings.
pub fn terminal_table(result: &RunResult) -> String {
    let overview = overview::overview(result);
    let table = table(&overview).to_string().replace('\u{a0}', " ");
    let mut text = format!("{}\n{}\n\n{table}\n", result.scenario.title, overview.headline);
    let line =
        |text: &mut String, line: &str| writeln!(text, "{line}").expect("writing to a String does not fail");
    let marked = overview.rows.iter().any(|row| row.cells.iter().any(|cell| cell.best.is_some()));
    let marks = if marked { " * best of its column, = not to be told from the best." } else { "" };
    line(&mut text, &format!("{}{marks}", overview.spread));
    if !overview.marks.is_empty() {
        line(&mut text, overview.marks);
    }
    for claim in &result.claims {
        line(&mut text, &claims::line(claim));
    }
    for flip in &overview.flips {
        line(&mut text, &format!("- {flip}"));
    }
    for warning in &overview.warnings {
        line(&mut text, &format!("! {warning}"));
    }
    for (_, found) in findings(result) {
        line(&mut text, &format!("! {found}"));
    }
    // A result from elsewhere must not steer the terminal.
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

fn table(overview: &Overview) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    let titles = COLUMNS.iter().map(|column| column.title);
    table.set_header(std::iter::once("").chain(titles).chain(["validity"]));
    for row in &overview.rows {
        let cells = row.cells.iter().map(|cell| {
            let mark = match cell.best {
                Some(Best::Alone) => " *",
                Some(Best::Tie) => " =",
                None => "",
            };
            let spread = if cell.spread.is_empty() { String::new() } else { format!("\n{}", cell.spread) };
            // No line may break between a number and its unit.
            format!("{}{mark}{spread}", cell.text).replace(' ', "\u{a0}")
        });
        let cells: Vec<String> =
            std::iter::once(row.name.clone()).chain(cells).chain([row.validity.clone()]).collect();
        table.add_row(cells);
    }
    for index in 1..=COLUMNS.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Findings and errors with the trials that they are about, the worst first.
pub(crate) fn findings(result: &RunResult) -> Vec<(Severity, String)> {
    let mut lines = Vec::new();
    for variant in &result.variants {
        for trial in &variant.trials {
            if let Some(error) = &trial.error {
                lines.push((
                    Severity::Invalid,
                    format!("{}, trial {}: {error}", variant.name, trial.index + 1),
                ));
            }
        }
        lines.extend(variant_findings(variant));
    }
    lines.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    lines
}

fn variant_findings(variant: &Variant) -> Vec<(Severity, String)> {
    let mut by_code: BTreeMap<&str, Vec<&Trial>> = BTreeMap::new();
    for trial in &variant.trials {
        for finding in &trial.validity.findings {
            by_code.entry(&finding.code).or_default().push(trial);
        }
    }
    let line = |(code, trials): (&str, Vec<&Trial>)| {
        let of_code = |finding: &&Finding| finding.code == code;
        let all: Vec<&Finding> =
            trials.iter().filter_map(|trial| trial.validity.findings.iter().find(of_code)).collect();
        // Of equals the last would win: the first trial's is told.
        let finding = all.iter().rev().max_by_key(|finding| finding.severity)?;
        let times = if all.len() > 1 { format!(" (worst of {} trials)", all.len()) } else { String::new() };
        let severity = match finding.severity {
            Severity::Note => "note",
            Severity::Unresolved => "unresolved",
            Severity::Invalid => "INVALID",
        };
        let text = format!(
            "{}: {} {severity}, {code}: {} {} (limit: {}){times}. {}",
            variant.name,
            classes(finding),
            finding.message,
            finding.figure,
            finding.limit,
            finding.advice
        );
        Some((finding.severity, text))
    };
    by_code.into_iter().filter_map(line).collect()
}

/// The classes of figures that a finding is about, `timing and cost` say.
fn classes(finding: &Finding) -> String {
    let names: Vec<&str> =
        CLASSES.iter().filter(|(class, _)| finding.concerns(*class)).map(|(_, name)| *name).collect();
    names.join(" and ")
}

/// One sentence for the page's top: how many findings of which severity there are.
pub(crate) fn tally(findings: &[(Severity, String)]) -> String {
    let count = |severity| findings.iter().filter(|(known, _)| *known == severity).count();
    let figures = [
        (count(Severity::Invalid), "void figures"),
        (count(Severity::Unresolved), "leave a percentile unresolved"),
        (count(Severity::Note), "are notes"),
    ];
    let parts: Vec<String> = figures
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if parts.is_empty() { String::new() } else { format!("Findings: {}.", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_table_of_a_plain_run() {
        insta::assert_snapshot!(terminal_table(&testing::result()));
    }

    #[test]
    fn each_claim_has_a_line() {
        let text = terminal_table(&testing::claimed());
        for start in
            ["claim holds: A price", "claim FAILS: ", "claim NOT MEASURED: It", "claim for context: So"]
        {
            assert_eq!(text.lines().filter(|line| line.starts_with(start)).count(), 1, "{start}: {text}");
        }
    }

    #[test]
    fn a_result_cannot_steer_the_terminal() {
        let mut result = testing::result();
        result.scenario.title = "\u{1b}[2Jgone\r".to_owned();
        result.variants[0].name = "\u{7}bell".to_owned();
        assert!(terminal_table(&result).chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn a_failed_run_names_its_cause() {
        let text = terminal_table(&testing::without_figures());
        assert!(text.contains("stream, trial 1: no server"), "{text}");
    }
}
