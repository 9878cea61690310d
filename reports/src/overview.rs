//! What a report says first: one sentence, one row for each variant, ties, and where the answer flips.
//!
//! Page, Markdown and terminal show this one derivation.

use measurement::{
    result::{Class, RunResult, Status, Summary, Trial, Variant, Verdict},
    summary::FEWEST_FOR_INTERVAL,
};
use serde_json::Value;

use crate::{format, links};

pub(crate) mod flips;

/// What no figure of a run tells.
pub const NOT_DECIDED: &str = "These numbers do not decide everything. Traffic that goes both ways, binary messages, \
proxies that buffer or cut long connections, how a client authenticates, and how it comes back after a lost \
connection can each outweigh a difference in this table.";

const UNRESOLVED: &str =
    "~ marks a percentile that noise or the machine's own floor makes unreliable; the findings say why.";

/// The four columns: heading, the metric behind it, its class.
pub const COLUMNS: [Column; 4] = [
    Column {
        title: "price wrong",
        metric: "per_symbol.out_of_sync_share",
        class: Class::Timing,
        explanation: "share of time in which the shown price of a symbol is not the newest",
    },
    Column {
        title: "behind by (mean, p99)",
        metric: "delivery_delay.mean",
        class: Class::Timing,
        explanation: "from the instant a quote is due to its receipt by the client; of an echo, there and back",
    },
    Column {
        title: "MB per user-hour",
        metric: "bytes.per_client_second",
        class: Class::Bytes,
        explanation: "bytes through the user's socket, both ways, without TCP/IP",
    },
    Column {
        title: "server CPU per 1,000 users",
        metric: "server.cpu_seconds_per_client_second",
        class: Class::Cost,
        explanation: "in per cent of one core",
    },
];

/// A column of the overview.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Plain words.
    pub title: &'static str,
    /// The metric's dotted name.
    pub metric: &'static str,
    /// Which findings void it.
    pub class: Class,
    /// What it means.
    pub explanation: &'static str,
}

/// What a report says first.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// One sentence with its conditions.
    pub headline: String,
    /// Warnings about the run as a whole: partial, quick.
    pub warnings: Vec<String>,
    /// One for each variant.
    pub rows: Vec<Row>,
    /// Where asking and pushing add as many bytes; a sentence for each family of pull variants that can tell.
    pub flips: Vec<String>,
    /// What `low` and `high` are: a range or an interval.
    pub spread: String,
    /// What a marked figure means; empty where there is none.
    pub marks: &'static str,
}

/// One variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// One for each of [`COLUMNS`].
    pub cells: [Cell; 4],
    /// `valid`, or what is not.
    pub validity: String,
    /// Whether everything is valid.
    pub valid: bool,
}

/// One figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// The figure with its unit, a dash, or `invalid`.
    pub text: String,
    /// Its spread over the trials, empty with one trial.
    pub spread: String,
    /// Best of its column, or not to be told from the best.
    pub best: Option<Best>,
}

/// How a figure stands to the best of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// Better than every other.
    Alone,
    /// Its range overlaps with that of the best.
    Tie,
}

/// Derives the overview.
pub fn overview(result: &RunResult) -> Overview {
    let mut rows: Vec<Row> = result.variants.iter().map(row).collect();
    for (index, column) in COLUMNS.iter().enumerate() {
        let best = best(&result.variants, column.metric);
        for (row, best) in rows.iter_mut().zip(best) {
            row.cells[index].best = best;
        }
    }
    let marked = rows.iter().any(|row| row.cells.iter().any(|cell| cell.text.contains(format::UNRESOLVED)));
    Overview {
        headline: headline(result),
        warnings: warnings(result),
        rows,
        flips: flips::flips(&result.variants),
        spread: spread_words(&result.variants),
        marks: if marked { UNRESOLVED } else { "" },
    }
}

fn row(variant: &Variant) -> Row {
    let (validity, valid) = validity(variant);
    let cell = |index: usize, format: &dyn Fn(f64) -> String| cell(variant, &COLUMNS[index], format);
    let mut behind = cell(1, &format::duration);
    if variant.summary.contains_key(COLUMNS[1].metric) {
        let p99 = variant.summary.get("delivery_delay.p99").map(|p99| p99.median);
        let p99 = format::or_unresolved(p99, unresolved(variant, "p99"), format::duration);
        behind.text = format!("{}{}, {p99}", behind.text, clock_error(variant));
    }
    Row {
        name: variant.name.clone(),
        cells: [
            cell(0, &format::share),
            behind,
            cell(2, &|bytes| format::significant(bytes * 3_600.0 / 1e6)),
            cell(3, &|cores| format!("{} %", format::significant(cores * 1_000.0 * 100.0))),
        ],
        validity,
        valid,
    }
}

fn unresolved(variant: &Variant, percentile: &str) -> bool {
    let unresolved = |trial: &Trial| {
        trial
            .delivery_delay
            .as_ref()
            .is_some_and(|delay| delay.unresolved.iter().any(|known| known == percentile))
    };
    variant.trials.iter().any(unresolved)
}

fn cell(variant: &Variant, column: &Column, format: &dyn Fn(f64) -> String) -> Cell {
    let Some(summary) = variant.summary.get(column.metric) else {
        let invalid = variant.trials.iter().any(|trial| verdict(trial, column.class) == Verdict::Invalid);
        let text = if invalid { "invalid" } else { format::NONE };
        return Cell { text: text.to_owned(), ..Cell::default() };
    };
    let (low, high) = (format(summary.low), format(summary.high));
    let spread = if low == high { String::new() } else { format!("{low} – {high}") };
    Cell { text: format(summary.median), spread, best: None }
}

/// ` ± 120 µs`: the largest error of a delay between two clocks; empty where both ends read one.
fn clock_error(variant: &Variant) -> String {
    let clocks = variant.trials.iter().filter_map(|trial| trial.clock.as_ref());
    let error_us = clocks.map(|clock| clock.error_us).fold(0.0, f64::max);
    if error_us > 0.0 { format!(" ± {}", format::duration(error_us)) } else { String::new() }
}

/// The verdict of one class of a trial.
pub fn verdict(trial: &Trial, class: Class) -> Verdict {
    trial.validity.classes.of(class)
}

/// The classes with their names.
pub const CLASSES: [(Class, &str); 4] =
    [(Class::Counts, "counts"), (Class::Bytes, "bytes"), (Class::Timing, "timing"), (Class::Cost, "cost")];

fn validity(variant: &Variant) -> (String, bool) {
    let trials = &variant.trials;
    if trials.is_empty() {
        return ("not run".to_owned(), false);
    }
    let mut parts = Vec::new();
    for (status, word) in [(Status::Failed, "failed"), (Status::Partial, "partial")] {
        let count = trials.iter().filter(|trial| trial.status == status).count();
        if count > 0 {
            parts.push(format!("{count} of {} trials {word}", trials.len()));
        }
    }
    for (class, name) in CLASSES {
        for (wanted, word) in [(Verdict::Invalid, "invalid"), (Verdict::Unresolved, "partly unresolved")] {
            let count = trials.iter().filter(|trial| verdict(trial, class) == wanted).count();
            if count > 0 {
                parts.push(format!("{name} {word} in {count} of {}", trials.len()));
            }
        }
    }
    let sound = |trial: &Trial| {
        let class = |(class, _): &(Class, &str)| verdict(trial, *class) < Verdict::Invalid;
        trial.status == Status::Complete && trial.validity.valid && CLASSES.iter().all(class)
    };
    let valid = trials.iter().all(sound);
    (if parts.is_empty() { "valid".to_owned() } else { parts.join("; ") }, valid)
}

/// Lower is better in all four columns. Only variants under the same load and feed are compared, and only where
/// several trials show how far a figure varies.
fn best(variants: &[Variant], metric: &str) -> Vec<Option<Best>> {
    let figures: Vec<Option<&Summary>> = variants.iter().map(|variant| variant.summary.get(metric)).collect();
    let rivals = |variant: &Variant| -> Vec<&Summary> {
        let same = |other: &&Variant| conditions_of(other) == conditions_of(variant);
        variants.iter().filter(same).filter_map(|other| other.summary.get(metric)).collect()
    };
    let stand = |(variant, figure): (&Variant, &Option<&Summary>)| {
        let (figure, rivals) = ((*figure)?, rivals(variant));
        let smallest = rivals.iter().min_by(|a, b| a.median.total_cmp(&b.median))?;
        let near = |figure: &Summary| figure.low <= smallest.high;
        let equals = rivals.iter().filter(|rival| near(rival)).count();
        (rivals.len() > 1 && figure.trials > 1 && near(figure)).then_some(if equals > 1 {
            Best::Tie
        } else {
            Best::Alone
        })
    };
    variants.iter().zip(&figures).map(stand).collect()
}

/// The part of a sweep's point that is not the transport's own choice.
pub(crate) fn conditions_of(variant: &Variant) -> Vec<(&String, &Value)> {
    variant.point.iter().filter(|(key, _)| !key.starts_with("transport.")).collect()
}

fn warnings(result: &RunResult) -> Vec<String> {
    let mut warnings = Vec::new();
    if result.status != Status::Complete {
        let reason = result.partial_reason.as_deref().unwrap_or("it did not end");
        warnings.push(format!("This result is partial: {reason}."));
    }
    if result.scenario.plan.get("quick").and_then(Value::as_bool) == Some(true) {
        warnings
            .push("This was a quick run: one trial of half the window. Take it as a first look.".to_owned());
    }
    warnings
}

fn spread_words(variants: &[Variant]) -> String {
    let trials = variants.iter().map(|variant| variant.trials.len()).max().unwrap_or(0);
    match trials {
        0 | 1 => "One trial of each variant: no spread can be told, so none is called best.".to_owned(),
        n if n < FEWEST_FOR_INTERVAL => {
            format!("Median of {n} trials; below it the range from the smallest to the largest.")
        }
        n => format!("Median of {n} trials; below it the 95 % interval of the median."),
    }
}

fn headline(result: &RunResult) -> String {
    let conditions = conditions(result);
    let wrong = |variant: &Variant| variant.summary.get(COLUMNS[0].metric).map(|summary| summary.median);
    let mut told: Vec<(&str, f64)> =
        result.variants.iter().filter_map(|variant| Some((variant.name.as_str(), wrong(variant)?))).collect();
    told.sort_by(|a, b| a.1.total_cmp(&b.1));
    let part = |(name, share): &(&str, f64)| format!("{} with {name}", format::share(*share));
    match told.as_slice() {
        [] => format!("{conditions}: {}.", delays(result)),
        [(name, share)] => {
            format!("{conditions}: a shown price is wrong {} of the time with {name}.", format::share(*share))
        }
        [(name, share), .., last] => format!(
            "{conditions}: a shown price is wrong {} of the time with {name}, {}.",
            format::share(*share),
            part(last)
        ),
    }
}

/// The least and the most mean delay, where nobody knows which price was right.
fn delays(result: &RunResult) -> String {
    let mean = |variant: &Variant| variant.summary.get(COLUMNS[1].metric).map(|summary| summary.median);
    let mut told: Vec<(&str, f64)> =
        result.variants.iter().filter_map(|variant| Some((variant.name.as_str(), mean(variant)?))).collect();
    told.sort_by(|a, b| a.1.total_cmp(&b.1));
    let [what, how] = match common(result, &["workload"]).as_deref() {
        Some("echo") => ["a message takes", "there and back"],
        _ => ["an update is", "late"],
    };
    match told.as_slice() {
        [] => "no variant has valid times".to_owned(),
        [(name, delay)] => format!("{what} {} {how} on average with {name}", format::duration(*delay)),
        [(name, delay), .., (last, most)] => format!(
            "{what} {} {how} on average with {name}, {} with {last}",
            format::duration(*delay),
            format::duration(*most)
        ),
    }
}

/// The conditions that hold for every variant; what differs is called "several".
fn conditions(result: &RunResult) -> String {
    let common = |path: &[&str]| common(result, path);
    let place = result.manifest.recorded.get("network").and_then(Value::as_str);
    let place =
        place.and_then(|network| network.split(',').next()).map(|place| format!("On {}", clip(place)));
    let mut parts: Vec<String> = links::place(result).or(place).into_iter().collect();
    parts.push(match common(&["options", "http"]) {
        Some(versions) if versions == SEVERAL => "several HTTP versions".to_owned(),
        Some(version) => format!("HTTP/{version}"),
        // A plan that does not name it has the scenario format's default.
        None => "HTTP/1.1".to_owned(),
    });
    parts.push(security(result, common(&["options", "tls"]).as_deref()).to_owned());
    // Somebody else's server publishes what it likes: then the plan has no feed.
    let planned = |variant: &Value| variant.get("feed").is_some_and(|feed| !feed.is_null());
    let variants = result.scenario.plan.get("variants").and_then(Value::as_array);
    if variants.is_some_and(|variants| variants.iter().all(planned))
        && let (Some(rate), Some(symbols)) =
            (common(&["feed", "updates_per_second"]), common(&["feed", "symbols"]))
    {
        parts.push(match common(&["workload"]).as_deref() {
            Some("echo") => format!("{rate} messages/s from each client and back"),
            Some("uplink") => format!("{rate} messages/s from each client"),
            Some("chat") => format!("{rate} messages/s in each room of {symbols}"),
            Some("idle") => "nothing to say".to_owned(),
            _ => format!("{rate} updates/s over {symbols} symbols"),
        });
    }
    if let Some(clients) = common(&["load", "clients"]) {
        parts.push(format!("{clients} clients"));
    }
    parts.join(", ")
}

const SEVERAL: &str = "several";

/// What all variants of the plan have at `path`, [`SEVERAL`] where they differ, `None` where the first has nothing.
fn common(result: &RunResult, path: &[&str]) -> Option<String> {
    let variants = result.scenario.plan.get("variants")?.as_array()?;
    let mut values =
        variants.iter().map(|variant| path.iter().try_fold(variant, |value, key| value.get(key)));
    let first = values.next()??;
    if !values.all(|value| value == Some(first)) {
        return Some(SEVERAL.to_owned());
    }
    let text = first.as_str().map_or_else(|| first.to_string(), str::to_owned);
    Some(first.as_f64().map_or_else(|| clip(&text), format::plain))
}

/// As planned; a plan that does not say is judged by the bytes.
fn security(result: &RunResult, planned: Option<&str>) -> &'static str {
    let counted = |trial: &Trial| trial.bytes.received.tls + trial.bytes.sent.tls > 0;
    match planned {
        Some("true") => "TLS",
        Some("false") => "no TLS",
        Some(SEVERAL) => "TLS for some",
        _ if result.variants.iter().flat_map(|variant| &variant.trials).any(counted) => "TLS",
        _ => "no TLS",
    }
}

/// A sentence stays one, whatever the file holds.
fn clip(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use measurement::result::ClockReport;

    use crate::testing;

    #[test]
    fn the_overview_of_a_plain_run() {
        insta::assert_debug_snapshot!(overview(&testing::result()));
    }

    #[test]
    fn overlapping_ranges_are_ties() {
        let with = |low: f64, median: f64, high: f64| Variant {
            summary: [("m".to_owned(), Summary { median, low, high, trials: 3 })].into(),
            ..Variant::default()
        };
        let check =
            |variants: &[Variant], expected: &[Option<Best>]| assert_eq!(best(variants, "m"), expected);
        check(&[with(1.0, 2.0, 3.0), with(5.0, 6.0, 7.0)], &[Some(Best::Alone), None]);
        check(&[with(1.0, 2.0, 3.0), with(3.0, 6.0, 7.0)], &[Some(Best::Tie), Some(Best::Tie)]);
        check(&[with(1.0, 2.0, 3.0), Variant::default()], &[None, None]);
        let at = |clients: u64, variant: Variant| Variant {
            point: [("load.clients".to_owned(), clients.into())].into(),
            ..variant
        };
        let few = [at(10, with(1.0, 2.0, 3.0)), at(10, with(5.0, 6.0, 7.0))];
        let many = [at(90, with(11.0, 12.0, 13.0)), at(90, with(15.0, 16.0, 17.0))];
        check(&[few, many].concat(), &[Some(Best::Alone), None, Some(Best::Alone), None]);
    }

    #[test]
    fn the_conditions_are_those_of_the_result() {
        let with = |network: Option<&str>, options: Value| {
            let mut result = testing::result();
            let recorded = &mut result.manifest.recorded;
            recorded.remove("network");
            recorded.extend(network.map(|network| ("network".to_owned(), network.into())));
            result.scenario.plan = serde_json::json!({ "variants": [{ "options": options }] });
            conditions(&result)
        };
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(with(None, serde_json::json!({})), "HTTP/1.1, no TLS");
        check(with(Some("loopback, IPv4"), Value::Null), "On loopback, HTTP/1.1, no TLS");
        check(with(Some("eth0"), serde_json::json!({ "tls": true, "http": "2" })), "On eth0, HTTP/2, TLS");
        let mut counted = testing::result();
        counted.variants[0].trials[0].bytes.received.tls = 22;
        assert!(conditions(&counted).contains("HTTP/1.1, TLS, "), "{}", conditions(&counted));
        counted.scenario.plan = Value::Null;
        assert!(conditions(&counted).ends_with("HTTP/1.1, TLS"), "{}", conditions(&counted));
    }

    #[test]
    fn no_row_is_called_valid_beside_an_invalid_class() {
        let mut result = testing::result();
        result.variants[0].trials[0].validity.classes.bytes = Verdict::Invalid;
        let row = &overview(&result).rows[0];
        assert_eq!((row.validity.as_str(), row.valid), ("bytes invalid in 1 of 3", false));
    }

    #[test]
    fn an_unresolved_percentile_is_marked_and_a_missing_one_is_a_dash() {
        let behind = |change: fn(&mut measurement::result::Histogram)| {
            let mut result = testing::result();
            let variant = &mut result.variants[0];
            variant.trials.iter_mut().filter_map(|trial| trial.delivery_delay.as_mut()).for_each(change);
            variant.summary = measurement::summary::summarise(&variant.trials);
            let overview = overview(&result);
            (overview.rows[0].cells[1].text.clone(), overview.marks)
        };
        let (text, marks) = behind(|delay| delay.unresolved.push("p99".to_owned()));
        assert!(text.contains(", ~") && !marks.is_empty(), "{text}");
        let (text, marks) = behind(|delay| delay.p99_us = None);
        assert!(text.ends_with(", –") && marks.is_empty(), "{text}");
    }

    #[test]
    fn a_run_without_figures_says_so() {
        let overview = overview(&testing::without_figures());
        assert!(overview.headline.ends_with("no variant has valid times."), "{}", overview.headline);
        assert!(overview.rows.iter().all(|row| !row.valid));
    }

    #[test]
    fn a_delay_between_two_clocks_carries_its_error() {
        let mut result = testing::result();
        let cell = |result: &RunResult| overview(result).rows[0].cells[1].text.clone();
        assert!(!cell(&result).contains('±'));
        let clock = ClockReport { error_us: 120.0, ..ClockReport::default() };
        result.variants[0].trials[1].clock = Some(clock);
        assert!(cell(&result).contains(" ± 120 µs, "), "{}", cell(&result));
    }
}
