//! A search for capacity, shown: a table for the terminal and for Markdown, a plot, and the record itself.
//!
//! It reads the record only. What ended at the load generator or the machine is never called the server's capacity.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use comfy_table::{ContentArrangement, Table, presets};
use measurement::{
    capacity::{Capacity, Condition, Found, LimitedBy, Outcome, Step},
    gate::Limit,
    metrics,
};

use crate::{ReportError, escape_markdown, format, gates, plots, write};

const WIDTH: u16 = 130;
const HEAD: [&str; 6] =
    ["variant", "most that held", "figure there", "first that failed", "figure or reason", "trials"];

/// Writes `capacity.json`, `capacity.md` and the plot into the search's folder; the Markdown is the first path.
pub fn render(capacity: &Capacity, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let json = serde_json::to_string_pretty(capacity).expect("a record has no map whose keys are not text");
    let mut files = vec![
        write(&folder.join("capacity.md"), markdown(capacity).as_bytes())?,
        write(&folder.join("capacity.json"), json.as_bytes())?,
    ];
    if let Some(plot) = plots::capacity::plot(capacity)? {
        let path = folder.join("plots");
        fs::create_dir_all(&path).map_err(|cause| ReportError::Make { path: path.clone(), cause })?;
        files.push(write(&path.join("capacity.svg"), plot.svg.as_bytes())?);
        files.push(write(&path.join("capacity.png"), &plot.png)?);
    }
    Ok(files)
}

/// What was found, a row for each variant, and what ended each search.
pub fn terminal(capacity: &Capacity) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(HEAD);
    for found in &capacity.variants {
        table.add_row(row(capacity, found));
    }
    let mut text = format!("{}\n\n{table}\n", headline(capacity));
    for sentence in sentences(capacity) {
        writeln!(text, "{sentence}").expect("writing to a String does not fail");
    }
    // A scenario from elsewhere must not steer the terminal.
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

/// One line for a step, as progress shows it.
pub fn step(conditions: &[Condition], name: &str, varied: &str, step: &Step) -> String {
    let (value, unit) = (format::plain(step.value), noun(varied));
    let again = if step.confirms { " again" } else { "" };
    let trials = if step.trials > 1 { format!(", {} trials", step.trials) } else { String::new() };
    let figures = figures(conditions, step);
    let reasons = if step.reasons.is_empty() || step.outcome == Outcome::Broken {
        String::new()
    } else {
        format!(" ({})", step.reasons.join("; "))
    };
    format!("{name}: {value} {unit}{again}{trials}: {figures}, {}{reasons}", word(step.outcome))
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "holds",
        Outcome::Broken => "FAILS",
        Outcome::Harness => "VOID: the load generator or the machine is at its end",
        Outcome::Server => "VOID: the server refuses or drops connections",
        Outcome::Untold => "cannot be told",
    }
}

fn headline(capacity: &Capacity) -> String {
    let conditions: Vec<String> = capacity.conditions.iter().map(condition).collect();
    format!("{}: the most {} with {}", capacity.title, noun(&capacity.varied), conditions.join(" and "))
}

fn noun(varied: &str) -> &str {
    match varied {
        "load.clients" => "clients",
        "feed.updates_per_second" => "updates a second",
        other => other,
    }
}

/// `delivery_delay.p95 < 500 ms`
pub fn condition(condition: &Condition) -> String {
    let unit = metrics::find(&condition.metric).map_or("", |metric| metric.unit);
    let (sign, limit) = match condition.limit {
        Limit::Below(limit) => ("<", limit),
        Limit::Above(limit) => (">", limit),
        Limit::Equals(limit) => ("=", limit),
        Limit::MaxIncrease(limit) => ("≤ baseline +", limit),
    };
    format!("{} {sign} {}", condition.metric, gates::figure(limit, unit))
}

fn figures(conditions: &[Condition], step: &Step) -> String {
    let told = conditions.iter().zip(&step.figures).map(|(condition, figure)| {
        let unit = metrics::find(&condition.metric).map_or("", |metric| metric.unit);
        format!("{} {}", condition.metric, format::or_none(*figure, |figure| gates::figure(figure, unit)))
    });
    if step.figures.is_empty() { "nothing was run".to_owned() } else { told.collect::<Vec<_>>().join(", ") }
}

/// The step that stands for a value: its last one with that outcome, since confirmations come last.
fn standing(found: &Found, value: Option<f64>, held: bool) -> Option<&Step> {
    let of = |step: &&Step| Some(step.value) == value && (step.outcome == Outcome::Held) == held;
    found.steps.iter().rfind(of)
}

fn row(capacity: &Capacity, found: &Found) -> Vec<String> {
    let good = standing(found, found.held, true);
    let bad = standing(found, found.failed, false);
    let at_least = match found.limited_by {
        LimitedBy::Condition | LimitedBy::Server => "",
        LimitedBy::Harness | LimitedBy::Untold | LimitedBy::Most | LimitedBy::Stopped => "≥ ",
    };
    let bad_figure = bad.map(|step| match step.outcome {
        Outcome::Held | Outcome::Broken => figures(&capacity.conditions, step),
        Outcome::Harness | Outcome::Server | Outcome::Untold => {
            format!("{}: {}", word(step.outcome), step.reasons.join("; "))
        }
    });
    let trials = |step: Option<&Step>| step.map_or("–".to_owned(), |step| step.trials.to_string());
    vec![
        found.name.clone(),
        found.held.map_or("none".to_owned(), |held| format!("{at_least}{}", format::plain(held))),
        format::or_none(good, |step| figures(&capacity.conditions, step)),
        format::or_none(found.failed, format::plain),
        format::or_none(bad_figure, |text| text),
        format!("{} / {}", trials(good), trials(bad)),
    ]
}

/// What ended each search, where the table alone could be taken for more than it says.
fn sentences(capacity: &Capacity) -> Vec<String> {
    let mut told = Vec::new();
    if capacity.quick {
        told.push("Quick: half the window, and nothing was confirmed by repetition.".to_owned());
    }
    for found in &capacity.variants {
        let held = found.held.map_or("no value".to_owned(), format::plain);
        let why = match found.limited_by {
            LimitedBy::Condition if found.held.is_none() => {
                "the condition breaks at the smallest value that was tried".to_owned()
            }
            LimitedBy::Condition => String::new(),
            LimitedBy::Harness => format!(
                "the limit is that of the load generator or of this machine, NOT the server's capacity: {held} held, and how \
                 far the server could go is not known ({})",
                found.reason
            ),
            LimitedBy::Server => {
                format!("above {held} the server refuses or drops connections ({})", found.reason)
            }
            LimitedBy::Untold => format!("above {held} the figure cannot be told ({})", found.reason),
            LimitedBy::Most => format!(
                "it never failed: {held} is the most that was allowed to be tried (--most {})",
                format::plain(capacity.most)
            ),
            LimitedBy::Stopped => format!("stopped before it ended; {held} held so far ({})", found.reason),
        };
        if !why.is_empty() {
            told.push(format!("! {}: {why}.", found.name));
        }
        for value in &found.contradicted {
            told.push(format!(
                "! {}: at {} repetitions contradict the first trial; the smaller value stands.",
                found.name,
                format::plain(*value)
            ));
        }
    }
    if let Some(reason) = &capacity.partial_reason {
        told.push(format!("This search is PARTIAL: {reason}"));
    }
    told
}

/// The same as Markdown, with every step.
pub fn markdown(capacity: &Capacity) -> String {
    let mut lines = vec![format!("# {}", escape_markdown(&headline(capacity))), String::new()];
    let joined = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| escape_markdown(cell)).collect();
        format!("| {} |", cells.join(" | "))
    };
    lines.push(format!("| {} |", HEAD.join(" | ")));
    lines.push(format!("|{}", "---|".repeat(HEAD.len())));
    lines.extend(capacity.variants.iter().map(|found| joined(row(capacity, found))));
    lines.push(String::new());
    lines.extend(sentences(capacity).iter().map(|line| format!("{}\n", escape_markdown(line))));
    lines.push("![the metric against the varied value](plots/capacity.svg)\n".to_owned());
    lines.push("## Steps\n".to_owned());
    let head = ["variant", noun(&capacity.varied), "trials", "figure", "outcome", "folder"];
    lines.push(format!("| {} |", head.join(" | ")));
    lines.push(format!("|{}", "---|".repeat(head.len())));
    for found in &capacity.variants {
        for step in &found.steps {
            let reasons: Vec<&str> =
                std::iter::once(word(step.outcome)).chain(step.reasons.iter().map(String::as_str)).collect();
            lines.push(joined(vec![
                found.name.clone(),
                format!("{}{}", format::plain(step.value), if step.confirms { " (again)" } else { "" }),
                step.trials.to_string(),
                figures(&capacity.conditions, step),
                reasons.join("; "),
                format::or_none(step.folder.clone(), |folder| folder),
            ]));
        }
    }
    let command = capacity.command.replace('`', "'");
    lines.push(format!("\nMade by `{command}` on {}.", escape_markdown(&capacity.started_at)));
    lines.join("\n") + "\n"
}

#[cfg(test)]
pub(crate) mod tests {
    use measurement::{capacity::FORMAT, result::Status};

    use super::*;

    fn tried(value: f64, ms: f64, outcome: Outcome) -> Step {
        let reasons =
            if outcome == Outcome::Harness { vec!["loadgen.cpu 91 %".to_owned()] } else { Vec::new() };
        let figures = vec![(outcome != Outcome::Harness).then_some(ms * 1e3)];
        let folder = Some(format!("steps/{value}"));
        Step { value, trials: 1, confirms: false, outcome, figures, reasons, folder }
    }

    pub(crate) fn record() -> Capacity {
        let found = |name: &str, steps: Vec<Step>, limited_by| Found {
            name: name.to_owned(),
            held: Some(200.0),
            failed: Some(210.0),
            limited_by,
            reason: "loadgen.cpu 91 %".to_owned(),
            contradicted: Vec::new(),
            steps,
        };
        let condition = Condition { metric: "delivery_delay.p95".to_owned(), limit: Limit::Below(500_000.0) };
        Capacity {
            format: FORMAT.to_owned(),
            command: "loadgen capacity x".to_owned(),
            started_at: "then".to_owned(),
            finished_at: "later".to_owned(),
            status: Status::Complete,
            partial_reason: None,
            title: "Stock <ticker>".to_owned(),
            scenario: "x.toml".to_owned(),
            varied: "load.clients".to_owned(),
            most: 1e6,
            quick: false,
            conditions: vec![condition],
            variants: vec![
                found(
                    "asking",
                    vec![tried(200.0, 12.0, Outcome::Held), tried(210.0, 700.0, Outcome::Broken)],
                    LimitedBy::Condition,
                ),
                found(
                    "stream",
                    vec![tried(200.0, 5.0, Outcome::Held), tried(210.0, 0.0, Outcome::Harness)],
                    LimitedBy::Harness,
                ),
            ],
        }
    }

    #[test]
    fn the_generator_s_limit_is_not_sold_as_the_server_s() {
        let text = terminal(&record());
        assert!(text.contains("the most clients with delivery_delay.p95 < 500 ms"), "{text}");
        assert!(text.contains("≥ 200") && text.contains("NOT the server's capacity"), "{text}");
        assert!(!text.contains("! asking"), "{text}");
        let page = markdown(&record());
        assert!(page.contains("Stock &lt;ticker>") && page.contains("steps/210"), "{page}");
        assert!(page.contains("delivery\\_delay.p95 700 ms"), "{page}");
    }

    #[test]
    fn what_never_failed_and_what_contradicts_is_said() {
        let mut record = record();
        let found = &mut record.variants[0];
        (found.limited_by, found.failed, found.contradicted) = (LimitedBy::Most, None, vec![300.0]);
        let text = terminal(&record);
        assert!(text.contains("it never failed: 200") && text.contains("at 300 repetitions"), "{text}");
    }

    #[test]
    fn the_folder_has_record_page_and_plot_and_the_record_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = render(&record(), folder.path()).unwrap();
        assert_eq!(files.len(), 4);
        let text = fs::read_to_string(folder.path().join("capacity.json")).unwrap();
        assert_eq!(serde_json::from_str::<Capacity>(&text).unwrap(), record());
        let svg = fs::read_to_string(folder.path().join("plots/capacity.svg")).unwrap();
        for part in ["delivery_delay.p95 (ms)", "clients", "asking", "stream", "limit"] {
            assert!(svg.contains(part), "{part}");
        }
    }
}
