//! The history on a terminal: change points of everything, or every figure of what was asked for.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::{Filter, Series, by_chance, difference, short, shown, value};

/// With neither metric nor variant, the change points, newest first; else a table for each series.
pub fn text(series: &[Series], filter: &Filter) -> String {
    let mut text = String::new();
    if filter.metric.is_none() && filter.variant.is_none() {
        overview(&mut text, series);
    } else {
        series.iter().for_each(|series| whole(&mut text, series));
    }
    line(&mut text, &by_chance(series));
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head);
    table
}

fn write(text: &mut String, table: &Table) {
    for row in table.lines() {
        line(text, row.trim_end());
    }
    text.push('\n');
}

fn overview(text: &mut String, series: &[Series]) {
    let mut results: Vec<&str> =
        series.iter().flat_map(|series| &series.points).map(|point| point.id.as_str()).collect();
    results.sort_unstable();
    results.dedup();
    line(text, &format!("{} results, {} series of figures.\n", results.len(), series.len()));
    let mut changes: Vec<_> =
        series.iter().flat_map(|series| series.changes.iter().map(move |change| (series, change))).collect();
    if changes.is_empty() {
        line(text, "No change points.\n");
        return;
    }
    changes.sort_by(|(a, at), (b, bt)| b.points[bt.index].started_at.cmp(&a.points[at.index].started_at));
    let mut rows = table(&[
        "commit", "on", "variant", "metric", "before", "after", "change", "p", "scenario", "machine",
    ]);
    for (series, change) in changes {
        let point = &series.points[change.index];
        rows.add_row([
            short(point.commit.as_deref()),
            day(&point.started_at),
            shown(&series.key.variant),
            shown(&series.key.metric),
            value(&series.unit, change.before),
            value(&series.unit, change.after),
            difference(change),
            format!("{:.3}", change.p),
            shown(&series.key.scenario),
            shown(&series.key.machine),
        ]);
    }
    write(text, &rows);
}

fn whole(text: &mut String, series: &Series) {
    let key = &series.key;
    line(text, &format!("{} · {} · {}", shown(&key.variant), shown(&key.metric), shown(&key.scenario)));
    line(text, &format!("on {} ({})", shown(&key.machine_name), shown(&key.machine)));
    let mut rows = table(&["commit", "on", "median", "low", "high", "trials", "change"]);
    for column in 2..6 {
        if let Some(column) = rows.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (index, point) in series.points.iter().enumerate() {
        let change = series.changes.iter().find(|change| change.index == index);
        let change = change.map(|change| format!("<- {} (p {:.3})", difference(change), change.p));
        let figures = [point.median, point.low, point.high].map(|figure| value(&series.unit, figure));
        let cells = [short(point.commit.as_deref()), day(&point.started_at)].into_iter().chain(figures);
        rows.add_row(cells.chain([point.trials.to_string(), change.unwrap_or_default()]));
    }
    write(text, &rows);
}

/// The day and minute.
fn day(started_at: &str) -> String {
    started_at.chars().take(16).collect::<String>().replace('T', " ")
}
