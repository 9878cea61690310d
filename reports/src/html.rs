//! The page: one self-contained file, from the overview, the plots and the result's own counts.
//!
//! askama escapes every text; only the drawings, whose labels are escaped where they are made, and the page's own
//! script go in as they are. The page may run that one script, known by its hash, and load nothing.

use askama::Template;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use measurement::result::{RunResult, Severity, Variant};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    ReportError, claims,
    economy::{self, CutOff, Row, Wins},
    format,
    html::sections::{Section, table},
    overview::{self, COLUMNS, Column, NOT_DECIDED, Overview},
    plots::{self, Plot, Table},
    questions::{self, Question},
    terminal,
};

mod knowledge;
pub(crate) mod sections;

/// Findings that void figures and stand at the top; all are in their own section.
const MOST_GRAVE: usize = 5;
/// Sentences about where the answer flips; the rest is folded away.
const MOST_FLIPS: usize = 2;
/// With more variants the tables of single trials are folded away.
const MOST_OPEN: usize = 12;
const SCRIPT: &str = include_str!("../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    result: &'a RunResult,
    overview: Overview,
    columns: &'a [Column],
    not_decided: &'static str,
    claims_title: &'static str,
    claims: Vec<claims::Row>,
    /// Shown at once, and folded away.
    flips: (Vec<String>, Vec<String>),
    /// Anchors and titles.
    contents: Vec<(&'static str, &'static str)>,
    /// Number, name and colour of each series.
    names: Vec<(usize, String, String)>,
    days: Vec<Row>,
    day_columns: [&'static str; 3],
    users: String,
    users_plain: u64,
    hours: String,
    cut_off: Option<CutOff>,
    /// The shortest of the waits, seconds per user and as text.
    best_wait: Option<(f64, String)>,
    wins: Option<Wins>,
    questions: Vec<Question>,
    folded: bool,
    script: &'static str,
    script_hash: String,
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
    let mut overview = overview::overview(result);
    let hidden = overview.flips.split_off(overview.flips.len().min(MOST_FLIPS));
    let cut_off = economy::cut_off(result);
    let waits = cut_off.iter().flat_map(|cut_off| &cut_off.rows);
    let waits = waits.filter_map(|row| Some((row.wait.rate?, row.wait.text.clone())));
    let mut page = Page {
        tally: terminal::tally(&findings),
        grave: grave.map(|(_, text)| text.clone()).take(MOST_GRAVE).collect(),
        result,
        flips: (std::mem::take(&mut overview.flips), hidden),
        overview,
        claims_title: claims::TITLE,
        claims: claims::rows(result),
        contents: Vec::new(),
        names: names(result),
        days: economy::days(result),
        day_columns: economy::DAY,
        users: format::plain(economy::USERS),
        users_plain: economy::USERS as u64,
        hours: format::plain(economy::HOURS),
        best_wait: waits.min_by(|a, b| a.0.total_cmp(&b.0)),
        cut_off,
        wins: economy::wins(result),
        questions: questions::questions(result),
        folded: result.variants.len() > MOST_OPEN,
        script: SCRIPT,
        script_hash: format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(SCRIPT))),
        columns: &COLUMNS,
        not_decided: NOT_DECIDED,
        findings: findings.into_iter().map(|(_, text)| text).collect(),
        any_trial: result.variants.iter().any(|variant| !variant.trials.is_empty()),
        plots,
        tables: sections::all(result),
        manifest: manifest(result),
        plan: serde_json::to_string_pretty(&result.scenario.plan).unwrap_or_default(),
    };
    page.contents = contents(&page);
    Ok(page.render()?)
}

/// Every table of the page that is not behind a plot, with its title.
pub(crate) fn tables(result: &RunResult) -> Vec<(&'static str, Table)> {
    let sections = sections::all(result).into_iter().map(|section| (section.title, section.table));
    let claims = std::iter::once((claims::TITLE, claims::table(result)));
    claims.chain(sections).chain(manifest(result)).collect()
}

/// Number, name and colour of each series, as the drawings have them.
fn names(result: &RunResult) -> Vec<(usize, String, String)> {
    let name = |(n, variant): (usize, &Variant)| (n, variant.name.clone(), plots::colour(n));
    result.variants.iter().enumerate().map(name).collect()
}

fn contents(page: &Page<'_>) -> Vec<(&'static str, &'static str)> {
    let mut contents = vec![("answer", "The answer")];
    if !page.claims.is_empty() {
        contents.push(("claims", claims::TITLE));
    }
    contents.push(("findings", "What was noticed"));
    contents.extend(page.plots.iter().map(|plot| (plot.name, plot.title)));
    let sections = [
        (!page.days.is_empty(), "day", "What many users cost a day"),
        (page.cut_off.is_some(), "cut-off", "How often polling could ask at most"),
        (page.wins.is_some(), "wins", "When polling wins"),
        (!page.questions.is_empty(), "questions", "Six questions"),
        (true, "counts", "Every count"),
        (true, "again", "Make it again"),
    ];
    contents.extend(sections.iter().filter(|section| section.0).map(|section| (section.1, section.2)));
    contents
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
        let html = rendered(&testing::swept()).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=\"", "<link", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn only_the_script_of_the_hash_may_run() {
        let html = rendered(&testing::result());
        let scripts: Vec<&str> = html.split("<script>").skip(1).collect();
        assert_eq!(scripts.len(), 1);
        let script = scripts[0].split("</script>").next().unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(script));
        let policy = format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}';");
        assert!(html.replace("&#39;", "'").replace("&#x3D;", "=").contains(&policy), "{policy}");
        assert!(!html.contains("onclick") && !html.contains("javascript:"));
    }

    #[test]
    fn headings_do_not_skip_a_level() {
        let html = rendered(&testing::swept());
        let levels: Vec<u32> =
            html.split("<h").skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)).collect();
        assert_eq!(levels[0], 1);
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1 && pair[1] > 1), "{levels:?}");
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
            "What <span class=\"users\">10,000</span> users cost a day",
            "polling matches push only if you accept",
            "When polling wins",
            "Did it even happen?",
            "Every byte by layer",
            "loadgen run ticker",
        ] {
            let at = html[from..].find(part);
            assert!(at.is_some(), "{part} is missing or out of order");
            from += at.unwrap();
        }
    }

    #[test]
    fn claims_stand_right_after_the_first_table() {
        assert!(!rendered(&testing::result()).contains("id=\"claims\""));
        let html = rendered(&testing::claimed());
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "not escaped");
        let mut from = 0;
        for part in [
            "What the columns mean",
            "<h2 id=\"claims\">Claimed and measured",
            "A price is wrong half of the time.",
            "Somebody 2009, table 4",
            "50.0 %",
            "51.0 %",
            "holds",
            "at least 435",
            "fails",
            "Headers count once.",
            "not measured",
            "6,968,000 bit/s",
            "Another size of heads.",
            "On this page",
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
