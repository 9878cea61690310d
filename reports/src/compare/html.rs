//! A comparison as one self-contained page: the verdict, every figure, and the shift function.
//!
//! askama escapes every text; only the drawing, whose labels are escaped where it is made, goes in as it is.

use askama::Template;
use measurement::result::RunResult;

use super::{Comparison, Row, Verdict, terminal::is_shown, words};
use crate::{
    ReportError,
    plots::{Plot, shift},
};

#[derive(Template)]
#[template(path = "comparison.html")]
struct Page<'a> {
    comparison: &'a Comparison,
    sentence: String,
    differing: Vec<Line>,
    all: Vec<(String, Vec<Line>)>,
    shift: Option<Plot>,
}

/// One row as text.
struct Line {
    variant: String,
    metric: String,
    meaning: &'static str,
    base: String,
    candidate: String,
    range: String,
    change: String,
    interval: String,
    limit: String,
    verdict: &'static str,
    class: &'static str,
    reading: String,
}

impl Line {
    fn of(variant: &str, row: &Row) -> Self {
        let range = |spread: Option<super::Spread>| {
            let spread = spread.filter(|spread| spread.low < spread.high)?;
            Some(format!("{} – {}", words::value(row, spread.low), words::value(row, spread.high)))
        };
        let ranges = [range(row.base), range(row.candidate)].map(|range| range.unwrap_or_default());
        Self {
            variant: variant.to_owned(),
            metric: row.metric.clone(),
            meaning: words::meaning(&row.metric),
            base: words::side(row, row.base),
            candidate: words::side(row, row.candidate),
            range: if ranges.iter().all(String::is_empty) { String::new() } else { ranges.join(" · ") },
            change: words::change(row),
            interval: words::interval(row),
            limit: words::limit(row),
            verdict: row.verdict.map_or("–", Verdict::name),
            class: class(row.verdict),
            reading: match (row.gates, row.verdict) {
                (false, Some(_)) => words::join("advice", &words::reading(row)),
                _ => words::reading(row),
            },
        }
    }
}

fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Regression | Verdict::Invalid) => "bad",
        Some(Verdict::Improved) => "good",
        Some(Verdict::Unresolved | Verdict::Inconclusive) => "open",
        Some(Verdict::Equivalent) | None => "",
    }
}

/// The whole page.
///
/// # Errors
///
/// A histogram of a result that cannot be read, or a drawing that fails.
pub fn page(comparison: &Comparison, base: &RunResult, candidate: &RunResult) -> Result<String, ReportError> {
    let line = |(variant, row): (&str, &Row)| Line::of(variant, row);
    let all = comparison.variants.iter().map(|variant| {
        let lines = variant.rows.iter().map(|row| Line::of(&variant.name, row)).collect();
        (variant.name.clone(), lines)
    });
    let page = Page {
        comparison,
        sentence: words::sentence(comparison),
        differing: comparison.rows().filter(|(_, row)| is_shown(row)).map(line).collect(),
        all: all.collect(),
        shift: shift::plot(base, candidate)?,
    };
    Ok(page.render()?)
}
