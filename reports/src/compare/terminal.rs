//! A comparison on a terminal: the verdict, what is not equal, and what the machine could have seen. Plain text.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Comparison, Row, Verdict, words};

const WIDTH: u16 = 120;

/// The verdict with its reasons. Counted metrics without a difference are one line for each variant unless `all`.
pub fn terminal(comparison: &Comparison, all: bool) -> String {
    let mut text = format!("{}\n\n", comparison.title);
    let line =
        |text: &mut String, line: &str| writeln!(text, "{line}").expect("writing to a String does not fail");
    for (name, side) in [("base", &comparison.base), ("candidate", &comparison.candidate)] {
        let target = side.target.as_ref().map(|target| format!(", {target}")).unwrap_or_default();
        line(&mut text, &format!("{name:<10} {}  {}{target}", side.started_at, words::clip(&side.command)));
    }
    for variant in &comparison.variants {
        let shown: Vec<&Row> = variant.rows.iter().filter(|row| all || is_shown(row)).collect();
        let equal = variant.rows.iter().filter(|row| row.gates && !shown.iter().any(|s| s == row)).count();
        line(&mut text, &format!("\n{}: {equal} {} without a difference", variant.name, counted(equal)));
        if !shown.is_empty() {
            line(&mut text, &table(&shown).to_string().replace('\u{a0}', " "));
        }
    }
    line(&mut text, "");
    if !comparison.timed.is_empty() {
        line(&mut text, &format!("Timed metrics were not compared: {}.", comparison.timed));
    } else if !comparison.settings.timed_gates {
        line(&mut text, "Timed metrics advise; they decide with `--timed gate`.");
    }
    for note in &comparison.notes {
        line(&mut text, &format!("! {note}"));
    }
    line(&mut text, &format!("{}: {}.", comparison.verdict.name(), words::sentence(comparison)));
    // A result from elsewhere must not steer the terminal.
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

fn counted(count: usize) -> &'static str {
    if count == 1 { "counted metric" } else { "counted metrics" }
}

/// What was tested, and everything that gates and differs.
pub(super) fn is_shown(row: &Row) -> bool {
    let different = row.verdict.is_some_and(|verdict| verdict != Verdict::Equivalent);
    row.p_worse.is_some() || different || row.gates && row.verdict.is_none()
}

fn table(rows: &[&Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["metric", "base", "candidate", "change", "95 % of ratio", "limit", "verdict"]);
    for row in rows {
        let verdict = row.verdict.map_or("–", Verdict::name);
        let advice = if row.gates || row.verdict.is_none() { "" } else { " (advice)" };
        let cells = [
            words::side(row, row.base),
            words::side(row, row.candidate),
            words::change(row),
            words::interval(row),
        ]
        // No line may break between a number and its unit.
        .map(|cell| cell.replace(' ', "\u{a0}"));
        let reading = words::reading(row);
        let verdict = format!("{verdict}{advice}");
        let verdict = if reading.is_empty() { verdict } else { format!("{verdict}: {reading}") };
        let cells = std::iter::once(row.metric.clone()).chain(cells).chain([words::limit(row), verdict]);
        table.add_row(cells.collect::<Vec<_>>());
    }
    for index in 1..=3 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
