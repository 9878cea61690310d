//! Words that all forms of a comparison share.

use measurement::{
    metrics,
    result::{RunResult, Status},
};

use serde_json::Value;

use super::{Comparison, Row, Spread, Verdict};
use crate::{format, gates};

/// Longer texts of a result are cut.
const LONGEST: usize = 80;

/// What a reader of the verdict must know of the two results.
pub(super) fn notes(base: &RunResult, candidate: &RunResult) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, result) in [("base", base), ("candidate", candidate)] {
        if result.status != Status::Complete {
            let reason = result.partial_reason.as_deref().unwrap_or("it did not end");
            notes.push(format!("The {side} is partial: {}.", clip(reason)));
        }
        let quick = result.scenario.plan.get("quick").and_then(serde_json::Value::as_bool);
        if quick == Some(true) {
            notes.push(format!("The {side} is a quick run: one trial shows no spread."));
        }
    }
    if base.id == candidate.id {
        notes.push("Base and candidate are the same result.".to_owned());
    }
    notes
}

/// Cut, and on one line.
pub(super) fn clip(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The first place at which two plans differ, by its path, with what is there.
pub(super) fn first_difference(path: &str, base: &Value, candidate: &Value) -> Option<String> {
    match (base, candidate) {
        (Value::Object(from), Value::Object(to)) => {
            let mut keys: Vec<&String> = from.keys().chain(to.keys()).collect();
            keys.sort();
            keys.dedup();
            let nothing = Value::Null;
            let below = |key: &&String| {
                let of = |side: &serde_json::Map<String, Value>| side.get(*key).unwrap_or(&nothing).clone();
                first_difference(&format!("{path}.{key}"), &of(from), &of(to))
            };
            keys.iter().find_map(below)
        }
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            let pairs = from.iter().zip(to).enumerate();
            pairs.into_iter().find_map(|(n, (from, to))| first_difference(&format!("{path}[{n}]"), from, to))
        }
        (Value::Array(from), Value::Array(to)) => {
            Some(format!("`{path}` has {} entries in the base and {} in the candidate", from.len(), to.len()))
        }
        (base, candidate) if base == candidate => None,
        (base, candidate) => {
            let text = |value: &Value| clip(&value.to_string());
            Some(format!("`{path}` is {} in the base and {} in the candidate", text(base), text(candidate)))
        }
    }
}

/// Two notes as one.
pub(super) fn join(first: &str, second: &str) -> String {
    [first, second].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("; ")
}

/// The sentence that a report opens with.
pub(super) fn sentence(comparison: &Comparison) -> String {
    let worst: Vec<String> = comparison
        .rows()
        .filter(|(_, row)| row.gates && row.verdict == Some(comparison.verdict))
        .map(|(variant, row)| format!("{variant}: {} {}", row.metric, change(row)))
        .collect();
    let some = |worst: &[String]| {
        let more = worst.len().saturating_sub(3);
        let named = worst.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        if more > 0 { format!("{named}; and {more} more") } else { named }
    };
    let advice =
        comparison.rows().filter(|(_, row)| !row.gates && row.verdict == Some(Verdict::Regression)).count();
    let found = match comparison.verdict {
        Verdict::Equivalent => "no difference that matters in anything that gates".to_owned(),
        Verdict::Improved => format!("nothing is worse, and better is {}", some(&worst)),
        Verdict::Regression => format!("worse is {}", some(&worst)),
        Verdict::Invalid if worst.is_empty() => "nothing could be judged".to_owned(),
        Verdict::Invalid => format!("the data cannot be trusted: {}", some(&worst)),
        Verdict::Unresolved | Verdict::Inconclusive => format!("not decided is {}", some(&worst)),
    };
    match advice {
        0 => found,
        1 => format!("{found}; one metric that only advises is worse"),
        n => format!("{found}; {n} metrics that only advise are worse"),
    }
}

/// `+40.0 %`, `1.62×`, `0 → 3`, or the dash.
pub(super) fn change(row: &Row) -> String {
    let (Some(base), Some(candidate)) = (row.base, row.candidate) else { return format::NONE.to_owned() };
    match row.ratio {
        Some(1.0) => "unchanged".to_owned(),
        Some(ratio) if !(0.5..2.0).contains(&ratio) => format!("{ratio:.2}×"),
        Some(ratio) if (ratio - 1.0).abs() < 0.000_05 => format!("{:+.1e}", ratio - 1.0),
        Some(ratio) => format!("{:+.2} %", (ratio - 1.0) * 100.0),
        None => format!("{} → {}", value(row, base.median), value(row, candidate.median)),
    }
}

/// The interval of the ratio, or nothing.
pub(super) fn interval(row: &Row) -> String {
    row.low.zip(row.high).map_or_else(String::new, |(low, high)| format!("{low:.3} – {high:.3}"))
}

/// A side's median.
pub(super) fn side(row: &Row, spread: Option<Spread>) -> String {
    let Some(spread) = spread else { return format::NONE.to_owned() };
    value(row, spread.median)
}

/// A value in its metric's unit.
pub(super) fn value(row: &Row, value: f64) -> String {
    gates::figure(value, &row.unit)
}

/// What decides here, and what this machine could have seen.
pub(super) fn limit(row: &Row) -> String {
    let delta = (row.delta > 0.0).then(|| format!("±{}", format::share(row.delta)));
    let floor = row.floor.filter(|floor| *floor > 0.0).map(|floor| format!("floor {}", format::share(floor)));
    let visible = row.smallest_visible.map(|ratio| format!("80 % power from {ratio:.2}×"));
    [delta, floor, visible].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What the verdict says in words, for one row.
pub(super) fn reading(row: &Row) -> String {
    let seen = match row.verdict {
        Some(Verdict::Unresolved) => {
            format!("no change above {:.2}×; smaller ones cannot be seen here", 1.0 + row.delta)
        }
        Some(Verdict::Inconclusive) if row.p_worse.is_some() => match row.smallest_visible {
            Some(ratio) => format!("this machine finds {ratio:.2}× and more in 4 of 5 comparisons"),
            None => "neither a change nor its absence is shown".to_owned(),
        },
        Some(Verdict::Inconclusive) => "larger than its limit, but the two ranges overlap".to_owned(),
        _ => String::new(),
    };
    join(&row.note, &seen)
}

/// A row as one line of plain text.
pub fn told(row: &Row) -> String {
    let figures =
        format!("base {}, candidate {}, {}", side(row, row.base), side(row, row.candidate), change(row));
    let rest = [limit(row), reading(row)];
    let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    if rest.is_empty() { figures } else { format!("{figures} ({})", rest.join("; ")) }
}

/// Meaning of a metric in plain words.
pub(super) fn meaning(metric: &str) -> &'static str {
    metrics::find(metric).map_or("", |metric| metric.meaning)
}
