//! The page: one self-contained file, from the overview, the plots and the result's own counts.
//!
//! askama escapes every text; only the drawings, whose labels are escaped where they are made, go in as they are.

use askama::Template;
use measurement::result::{RunResult, Severity};
use serde_json::Value;

use crate::{
    ReportError, format,
    html::sections::{Section, table},
    overview::{self, COLUMNS, Column, NOT_DECIDED, Overview},
    plots::{Plot, Table},
    terminal,
};

mod knowledge;
mod sections;

/// Findings that void figures and stand at the top; all are in their own section.
const MOST_GRAVE: usize = 5;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    result: &'a RunResult,
    overview: Overview,
    columns: &'a [Column],
    not_decided: &'static str,
    tally: String,
    grave: Vec<String>,
    findings: Vec<String>,
    any_trial: bool,
    plots: &'a [Plot],
    tables: Vec<Section>,
    manifest: Vec<(&'static str, Table)>,
    plan: String,
}

/// The whole page.
pub(crate) fn page(result: &RunResult, plots: &[Plot]) -> Result<String, ReportError> {
    let findings = terminal::findings(result);
    let grave = findings.iter().filter(|(severity, _)| *severity == Severity::Invalid);
    let page = Page {
        tally: terminal::tally(&findings),
        grave: grave.map(|(_, text)| text.clone()).take(MOST_GRAVE).collect(),
        result,
        overview: overview::overview(result),
        columns: &COLUMNS,
        not_decided: NOT_DECIDED,
        findings: findings.into_iter().map(|(_, text)| text).collect(),
        any_trial: result.variants.iter().any(|variant| !variant.trials.is_empty()),
        plots,
        tables: sections::all(result),
        manifest: manifest(result),
        plan: serde_json::to_string_pretty(&result.scenario.plan).unwrap_or_default(),
    };
    Ok(page.render()?)
}

/// Every table of the page that is not behind a plot, with its title.
pub(crate) fn tables(result: &RunResult) -> Vec<(&'static str, Table)> {
    let sections = sections::all(result).into_iter().map(|section| (section.title, section.table));
    sections.chain(manifest(result)).collect()
}

fn manifest(result: &RunResult) -> Vec<(&'static str, Table)> {
    let manifest = &result.manifest;
    [
        ("Must match in any comparison", &manifest.must_match),
        ("Must match where times and cost are compared", &manifest.timed_must_match),
        ("Recorded", &manifest.recorded),
    ]
    .map(|(title, facts)| {
        let text = |value: &Value| match value {
            Value::Null => format::NONE.to_owned(),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        let rows = facts.iter().map(|(key, value)| vec![key.clone(), text(value)]).collect();
        (title, table(&["fact", "value"], rows))
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plots, testing};

    fn rendered(result: &RunResult) -> String {
        page(result, &plots::all(result).unwrap()).unwrap()
    }

    #[test]
    fn the_page_loads_nothing_from_anywhere() {
        let html = rendered(&testing::result()).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=\"", "<link", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_text_of_the_result_is_escaped() {
        let html = rendered(&testing::result());
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "not escaped");
        assert!(html.matches("alert(1)").count() > 5);
    }

    #[test]
    fn what_was_asked_is_on_the_page_in_order() {
        let html = rendered(&testing::result());
        let mut from = 0;
        for part in [
            "<h1>Stock ticker",
            "On loopback",
            "price wrong",
            "server CPU per 1,000 users",
            "Which is best?",
            "Traffic that goes both ways",
            "The load generator was overloaded",
            "Delivery delay by percentile",
            "Every byte by layer",
            "loadgen run ticker",
        ] {
            let at = html[from..].find(part);
            assert!(at.is_some(), "{part} is missing or out of order");
            from += at.unwrap();
        }
    }

    #[test]
    fn what_voids_figures_stands_above_the_answer() {
        let html = rendered(&testing::result());
        let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part} is missing"));
        let (warning, answer) = (at("timing and cost INVALID, loadgen.cpu"), at("class=\"lead\""));
        assert!(at("void figures") < answer && warning < answer && answer < at("id=\"findings\""));
    }

    #[test]
    fn nothing_was_noticed_only_where_something_ran() {
        let mut result = testing::without_figures();
        result.variants.clear();
        let html = rendered(&result);
        assert!(html.contains("No trial was run.") && !html.contains("every count agrees"));
    }

    #[test]
    fn a_partial_run_says_so_first() {
        let html = rendered(&testing::without_figures());
        assert!(html.contains("This result is partial: stream, trial 1: no server."));
    }
}
