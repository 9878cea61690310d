//! The history of results: figures by commit in one SQLite file, their change points, tables and trend plots.
//!
//! It keeps summaries, never whole results, and judges nothing: a change point is a question to a person.

use std::path::PathBuf;

use measurement::{
    changes::{self, Change},
    result::{RunResult, Status},
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

mod exchange;
mod page;
mod show;
mod store;

pub use exchange::{read_csv, to_csv};
pub use page::page;
pub use show::text;
pub use store::{Added, Store};

/// What can go wrong with a history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no file to read.
    #[error("there is no history at {}: expected one that `loadgen history add RESULT` made", .0.display())]
    NotThere(PathBuf),
    /// A file of something else.
    #[error("{} is not a history: expected a SQLite file that `loadgen history add` made, found {found}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A history that was damaged.
    #[error("the history {} is damaged: {found}; restore it, or move it away and add the results again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What SQLite found.
        found: String,
    },
    /// SQLite fails for another reason.
    #[error("failed to use the history {}: {cause}", path.display())]
    Sql {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A result that has no place in a trend.
    #[error("result {id} is not added: expected {expected}, found {found}")]
    Refused {
        /// The result's id.
        id: String,
        /// What a result needs.
        expected: &'static str,
        /// What this one has.
        found: String,
    },
    /// A CSV that is no history.
    #[error("line {line} of the history's CSV: expected {expected}, found {found}")]
    Csv {
        /// From 1, the heading; a cell with line ends makes it a row.
        line: usize,
        /// What a row has there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A plot or the page cannot be made.
    #[error(transparent)]
    Report(#[from] crate::ReportError),
}

/// One figure of one result.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The result's id.
    pub id: String,
    /// RFC 3339, UTC, milliseconds: it sorts as text.
    pub started_at: String,
    /// What was measured; `None` where neither the result nor the command line said.
    pub commit: Option<String>,
    /// The figure's place.
    pub key: Key,
    /// Unit of the values, as in `measurement::metrics`.
    pub unit: String,
    /// Median over the trials.
    pub median: f64,
    /// Lower end, as in the result's summary.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Trials behind it.
    pub trials: u64,
}

/// What makes two figures members of one series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Title of the scenario.
    pub scenario: String,
    /// The variant's name.
    pub variant: String,
    /// Fingerprint of the variant's resolved plan: another load or another option is another series.
    pub settings: String,
    /// Dotted name.
    pub metric: String,
    /// Fingerprint of the machine's facts.
    pub machine: String,
    /// What a person calls that machine.
    pub machine_name: String,
}

/// Figures of one key in order of time, and where they changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the figures are of.
    pub key: Key,
    /// Unit of the values.
    pub unit: String,
    /// At least one.
    pub points: Vec<Point>,
    /// Indices are of [`Self::points`].
    pub changes: Vec<Change>,
}

/// Which series are wanted; `None` is all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Dotted name of a metric.
    pub metric: Option<String>,
    /// Name of a variant.
    pub variant: Option<String>,
}

impl Filter {
    fn takes(&self, key: &Key) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.metric, &key.metric) && is(&self.variant, &key.variant)
    }
}

/// Points -> series with their change points, by scenario, variant, metric and machine.
pub fn series(points: &[Point], filter: &Filter) -> Vec<Series> {
    let mut points: Vec<&Point> = points.iter().filter(|point| filter.takes(&point.key)).collect();
    points.sort_by(|a, b| (&a.key, &a.started_at, &a.id).cmp(&(&b.key, &b.started_at, &b.id)));
    let of_one_key = points.chunk_by(|a, b| a.key == b.key);
    let series = of_one_key.map(|points| {
        let values: Vec<f64> = points.iter().map(|point| point.median).collect();
        Series {
            key: points[0].key.clone(),
            unit: points[0].unit.clone(),
            changes: changes::changes(&values),
            points: points.iter().map(|&point| point.clone()).collect(),
        }
    });
    series.collect()
}

/// A result's figures as points. `commit` overrules the revision that the result tells, which is this program's own.
///
/// A partial result is refused: its figures are of another window.
pub fn points(result: &RunResult, commit: Option<&str>) -> Result<Vec<Point>, HistoryError> {
    let refused = |expected, found: String| HistoryError::Refused {
        id: shown(&result.id),
        expected,
        found: shown(&found),
    };
    if result.status != Status::Complete {
        return Err(refused(
            "a complete one",
            result.partial_reason.clone().unwrap_or_else(|| "a partial one".into()),
        ));
    }
    if result.id.is_empty() {
        return Err(refused("an id", "none".to_owned()));
    }
    let started_at = humantime::parse_rfc3339(&result.started_at).map_err(|error| {
        refused("a time of its start after RFC 3339", format!("{:?}: {error}", result.started_at))
    })?;
    let revision = result.manifest.recorded.get("git_revision").and_then(Value::as_str);
    let commit = commit.or(revision).map(str::to_owned);
    let (machine, machine_name) = machine(result);
    let mut points = Vec::new();
    for variant in &result.variants {
        let settings = settings(result, &variant.name);
        for (metric, figure) in &variant.summary {
            let unit = measurement::metrics::find(metric).map_or("", |metric| metric.unit);
            if ![figure.median, figure.low, figure.high].iter().all(|value| value.is_finite()) {
                continue;
            }
            points.push(Point {
                id: result.id.clone(),
                started_at: humantime::format_rfc3339_millis(started_at).to_string(),
                commit: commit.clone(),
                key: Key {
                    scenario: result.scenario.title.clone(),
                    variant: variant.name.clone(),
                    settings: settings.clone(),
                    metric: metric.clone(),
                    machine: machine.clone(),
                    machine_name: machine_name.clone(),
                },
                unit: unit.to_owned(),
                median: figure.median,
                low: figure.low,
                high: figure.high,
                trials: figure.trials,
            });
        }
    }
    if points.is_empty() {
        return Err(refused("figures", "none that can be trusted".to_owned()));
    }
    Ok(points)
}

/// The machine is what timed comparisons need to be the same, but for the compiler: like the commit, a new one is a cause
/// that a trend should show.
fn machine(result: &RunResult) -> (String, String) {
    let facts = &result.manifest.timed_must_match;
    let kept: Map<String, Value> = facts
        .iter()
        .filter(|(name, _)| *name != "rustc")
        .map(|(name, fact)| (name.clone(), fact.clone()))
        .collect();
    let words = ["cpu_model", "cores", "kernel"].map(|name| match facts.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "unknown".to_owned(),
        Some(fact) => fact.to_string(),
    });
    let [cpu, cores, kernel] = words;
    (fingerprint(&Value::Object(kept)), format!("{cpu}, {cores} cores, kernel {kernel}"))
}

/// Of the variant's own part of the plan: what happens to its neighbours does not end its series.
fn settings(result: &RunResult, variant: &str) -> String {
    let plans = result.scenario.plan.get("variants").and_then(Value::as_array);
    let plan = plans.and_then(|plans| {
        plans.iter().find(|plan| plan.get("name").and_then(Value::as_str) == Some(variant))
    });
    fingerprint(plan.unwrap_or(&Value::Null))
}

/// The first 64 bits of SHA-256 over the JSON, whose keys serde_json keeps sorted.
fn fingerprint(value: &Value) -> String {
    Sha256::digest(value.to_string().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Text from a file on its way to a terminal or an error: no control characters, not endless.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A commit in a few characters; the dirty mark stays.
fn short(commit: Option<&str>) -> String {
    let Some(commit) = commit.map(shown).filter(|commit| !commit.is_empty()) else {
        return "unknown".to_owned();
    };
    let hexadecimal = commit.len() > 12 && commit.chars().all(|c| c.is_ascii_hexdigit());
    commit.chars().take(if hexadecimal { 10 } else { 24 }).collect()
}

/// `+8.1 %`, or from and to where there is no ratio.
fn difference(change: &Change) -> String {
    if change.before > 0.0 && change.after > 0.0 {
        format!("{:+.1} %", (change.after / change.before - 1.0) * 100.0)
    } else {
        format!(
            "{} to {}",
            crate::format::significant(change.before),
            crate::format::significant(change.after)
        )
    }
}

/// A value with its unit, for people.
fn value(unit: &str, value: f64) -> String {
    match unit {
        "us" => crate::format::duration(value),
        "s" => crate::format::duration(value * 1e6),
        "bytes" => crate::format::bytes(value),
        "share" => crate::format::share(value),
        _ => crate::format::significant(value),
    }
}

/// How often chance alone would mark a change among so many series.
fn by_chance(series: &[Series]) -> String {
    let told = series.iter().filter(|series| series.points.len() >= changes::FEWEST).count();
    let short = series.len() - told;
    let mut words = format!(
        "Change points by E-divisive, permutation test at {}: of {told} series with at least {} results, chance alone would \
         mark about {}.",
        changes::ALPHA,
        changes::FEWEST,
        crate::format::significant(told as f64 * changes::ALPHA),
    );
    if short > 0 {
        words.push_str(&format!(" {short} shorter ones cannot tell."));
    }
    words
}

#[cfg(test)]
pub(crate) mod tests;
