//! The history as CSV: for spreadsheets and other tools, for a copy in a repository, and back.

use super::{HistoryError, Key, Point};
use crate::exports::csv;

const HEAD: [&str; 15] = [
    "id",
    "started_at",
    "commit",
    "scenario",
    "variant",
    "metric",
    "unit",
    "median",
    "low",
    "high",
    "trials",
    "machine",
    "machine_name",
    "settings",
    "change",
];

/// One line for each point. `change` holds the p-value where `series` has a change point, and is not read back.
pub fn to_csv(series: &[super::Series]) -> String {
    let mut text = csv::line(HEAD);
    for series in series {
        for (index, point) in series.points.iter().enumerate() {
            let change = series.changes.iter().find(|change| change.index == index);
            text.push_str(&csv::line([
                point.id.as_str(),
                &point.started_at,
                point.commit.as_deref().unwrap_or_default(),
                &point.key.scenario,
                &point.key.variant,
                &point.key.metric,
                &point.unit,
                &point.median.to_string(),
                &point.low.to_string(),
                &point.high.to_string(),
                &point.trials.to_string(),
                &point.key.machine,
                &point.key.machine_name,
                &point.key.settings,
                &change.map(|change| change.p.to_string()).unwrap_or_default(),
            ]));
        }
    }
    text
}

/// Reads what [`to_csv`] wrote: the same columns, by name and in any order.
pub fn read_csv(text: &str) -> Result<Vec<Point>, HistoryError> {
    let wrong = |line: usize, expected: &str, found: &str| HistoryError::Csv {
        line,
        expected: expected.to_owned(),
        found: format!("{:?}", super::shown(found)),
    };
    let rows = csv::read(text).map_err(|error| wrong(1, "quotes that are closed", &error))?;
    let (head, rows) = rows.split_first().ok_or_else(|| wrong(1, "a heading", ""))?;
    let mut columns = [0; HEAD.len() - 1];
    for (column, name) in columns.iter_mut().zip(HEAD) {
        let place = head.iter().position(|title| title == name);
        *column = place.ok_or_else(|| wrong(1, &format!("a column {name:?}"), &head.join(",")))?;
    }
    let mut points = Vec::new();
    for (row, line) in rows.iter().zip(2..) {
        if row.len() != head.len() {
            return Err(wrong(line, &format!("{} cells", head.len()), &format!("{} cells", row.len())));
        }
        let cells = columns.map(|column| csv::unguarded(&row[column]));
        points.push(point(cells).map_err(|(expected, found)| wrong(line, expected, &found))?);
    }
    Ok(points)
}

fn point(cells: [&str; HEAD.len() - 1]) -> Result<Point, (&'static str, String)> {
    let [
        id,
        started_at,
        commit,
        scenario,
        variant,
        metric,
        unit,
        median,
        low,
        high,
        trials,
        machine,
        machine_name,
        settings,
    ] = cells.map(str::to_owned);
    if id.is_empty() {
        return Err(("an id", id));
    }
    let number = |text: String| match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) | Err(_) => Err(("a number", text)),
    };
    let started = humantime::parse_rfc3339(&started_at).map_err(|_| ("a time after RFC 3339", started_at))?;
    Ok(Point {
        id,
        started_at: humantime::format_rfc3339_millis(started).to_string(),
        commit: (!commit.is_empty()).then_some(commit),
        key: Key { scenario, variant, settings, metric, machine, machine_name },
        unit,
        median: number(median)?,
        low: number(low)?,
        high: number(high)?,
        trials: trials.parse().map_err(|_| ("a whole number", trials))?,
    })
}
