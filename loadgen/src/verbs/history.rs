//! `loadgen history`: adds results to the history, shows what changed, draws trends.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use miette::{IntoDiagnostic as _, miette};
use reports::history::{self, Filter, Point, Series, Store};

use super::printed;
use crate::cli::{FilterArgs, HistoryAction, HistoryArgs, HistoryFormat};

/// Does what the arguments say; every error is a bad argument or a bad file.
pub fn run(arguments: &HistoryArgs, out: &mut dyn Write) -> miette::Result<()> {
    let db = &arguments.db;
    match &arguments.action {
        HistoryAction::Add { results, commit } => add(db, results, commit.as_deref(), out),
        HistoryAction::Show { filter, format } => {
            let (filter, series) = read(db, filter)?;
            printed(match format {
                HistoryFormat::Table => write!(out, "{}", history::text(&series, &filter)),
                HistoryFormat::Csv => write!(out, "{}", history::to_csv(&series)),
            })
        }
        HistoryAction::Plot { filter, out: page } => {
            let (filter, series) = read(db, filter)?;
            let html = history::page(&series, &filter).into_diagnostic()?;
            reports::write(page, html.as_bytes()).into_diagnostic()?;
            printed(writeln!(out, "Page: {}", page.display()))
        }
    }
}

/// Reads everything first: one bad file and nothing is added.
fn add(db: &Path, results: &[PathBuf], commit: Option<&str>, out: &mut dyn Write) -> miette::Result<()> {
    let mut points = Vec::new();
    for path in results {
        points.extend(points_of(path, commit)?);
    }
    let added = Store::create(db).and_then(|mut store| store.add(&points)).into_diagnostic()?;
    let known = if added.known > 0 { format!(", {} known already", added.known) } else { String::new() };
    let noun = if added.new == 1 { "result" } else { "results" };
    printed(writeln!(out, "{} {noun} added to {}{known}", added.new, db.display()))
}

fn points_of(path: &Path, commit: Option<&str>) -> miette::Result<Vec<Point>> {
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) {
        if commit.is_some() {
            return Err(miette!(
                "--commit is for results: {} names the commit of each line itself",
                path.display()
            ));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| miette!("failed to read {}: {error}", path.display()))?;
        return history::read_csv(&text).map_err(|error| miette!("{}: {error}", path.display()));
    }
    let result = reports::load(path).into_diagnostic()?;
    history::points(&result, commit).map_err(|error| miette!("{}: {error}", path.display()))
}

/// The series that are wanted; a name that nothing has is an error with those that there are.
fn read(db: &Path, filter: &FilterArgs) -> miette::Result<(Filter, Vec<Series>)> {
    let points = Store::open(db).and_then(|store| store.points()).into_diagnostic()?;
    let filter = Filter { metric: filter.metric.clone(), variant: filter.variant.clone() };
    let check = |what: &str, wanted: &Option<String>, of: fn(&Point) -> &str| {
        let Some(wanted) = wanted else { return Ok(()) };
        let mut known: Vec<&str> = points.iter().map(of).collect();
        known.sort_unstable();
        known.dedup();
        if known.contains(&wanted.as_str()) {
            return Ok(());
        }
        let known: String = known.join(", ").chars().filter(|c| !c.is_control()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known };
        Err(miette!("the history has no {what} {wanted:?}; it has {known}"))
    };
    check("metric", &filter.metric, |point| &point.key.metric)?;
    check("variant", &filter.variant, |point| &point.key.variant)?;
    let series = history::series(&points, &filter);
    Ok((filter, series))
}
