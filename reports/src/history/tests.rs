//! The history over made-up results: what goes in comes out, changes are marked, files of others are refused.

use std::fs;

use measurement::result::RunResult;
use rusqlite::Connection;

use super::*;
use crate::testing;

/// Noise without a source of randomness: the fractional parts of multiples of the golden ratio, in −1..1.
fn noise(n: usize) -> f64 {
    (n as f64 * 0.618_033_988_749_895).fract() * 2.0 - 1.0
}

/// The n-th of a row of runs, its delays times `factor`.
fn run(n: usize, factor: f64) -> RunResult {
    let mut result = testing::result();
    result.id = format!("{n:016x}");
    result.started_at = format!("2026-11-{:02}T05:{:02}:00.000Z", 1 + n / 60, n % 60);
    result.manifest.recorded.insert("git_revision".to_owned(), format!("c{n:03}").into());
    for variant in &mut result.variants {
        for (name, figure) in &mut variant.summary {
            if name.starts_with("delivery_delay") {
                for value in [&mut figure.median, &mut figure.low, &mut figure.high] {
                    *value *= factor * (1.0 + 0.02 * noise(n));
                }
            }
        }
    }
    result
}

/// 24 runs; from the 16th on delays are a tenth longer.
pub(crate) fn stepped() -> Vec<Point> {
    let runs = (0..24).map(|n| run(n, if n < 15 { 1.0 } else { 1.1 }));
    runs.flat_map(|result| points(&result, None).unwrap()).collect()
}

fn store(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

#[test]
fn what_goes_in_comes_out_and_nothing_is_overwritten() {
    let (_folder, path) = store("deep/history.sqlite");
    let mut added = points(&run(0, 1.0), None).unwrap();
    added.extend(points(&run(1, 1.0), Some("theirs-1")).unwrap());
    let mut store = Store::create(&path).unwrap();
    assert_eq!(store.add(&added).unwrap(), Added { new: 2, known: 0 });
    let changed = points(&run(1, 5.0), None).unwrap();
    assert_eq!(store.add(&changed).unwrap(), Added { new: 0, known: 1 });
    drop(store);
    let mut read = Store::open(&path).unwrap().points().unwrap();
    let order = |a: &Point, b: &Point| (&a.id, &a.key).cmp(&(&b.id, &b.key));
    read.sort_by(order);
    added.sort_by(order);
    assert_eq!(read, added);
    assert!(read.iter().any(|point| point.commit.as_deref() == Some("theirs-1")));
    assert!(read.iter().any(|point| point.commit.as_deref() == Some("c000")));
}

#[test]
fn an_error_leaves_nothing_behind() {
    let (_folder, path) = store("history.sqlite");
    let mut store = Store::create(&path).unwrap();
    let mut both = points(&run(0, 1.0), None).unwrap();
    let twice = points(&run(1, 1.0), None).unwrap();
    both.extend(twice.iter().chain(&twice).cloned());
    let error = store.add(&both).unwrap_err().to_string();
    assert!(error.contains("history.sqlite") && error.contains("UNIQUE"), "{error}");
    assert_eq!(store.points().unwrap(), []);
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let (folder, path) = store("other.sqlite");
    let check = |path: &std::path::Path, expected: &str| {
        let before = fs::read(path).unwrap();
        for error in [Store::open(path).unwrap_err(), Store::create(path).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains(expected) && error.contains(&path.display().to_string()), "{error}");
        }
        assert!(fs::read(path).unwrap() == before, "{expected}: it was changed");
    };
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    check(&path, "a SQLite file of something else");

    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a database, but long enough to be taken for one ".repeat(40)).unwrap();
    check(&text, "no SQLite file");

    let later = folder.path().join("later.sqlite");
    Store::create(&later).unwrap();
    Connection::open(&later).unwrap().execute_batch("PRAGMA user_version = 7").unwrap();
    check(&later, "version 7 of a history, this program knows version 1");

    let broken = folder.path().join("broken.sqlite");
    Store::create(&broken).unwrap().add(&stepped()).unwrap();
    let mut bytes = fs::read(&broken).unwrap();
    let (from, to) = (bytes.len() / 3, bytes.len() / 2);
    bytes[from..to].fill(0xa5);
    fs::write(&broken, &bytes).unwrap();
    check(&broken, "damaged");

    let cut = folder.path().join("cut.sqlite");
    fs::write(&cut, &bytes[..from]).unwrap();
    check(&cut, "damaged");

    let none = folder.path().join("none.sqlite");
    let error = Store::open(&none).unwrap_err().to_string();
    assert!(error.starts_with("there is no history at") && !none.exists(), "{error}");
}

#[test]
fn results_that_are_no_point_of_a_trend_are_refused() {
    let error = points(&testing::without_figures(), None).unwrap_err().to_string();
    assert!(error.contains("expected a complete one, found stream, trial 1: no server"), "{error}");
    let mut result = run(0, 1.0);
    result.started_at = "yesterday".to_owned();
    assert!(points(&result, None).unwrap_err().to_string().contains("RFC 3339"));
    result = run(0, 1.0);
    result.variants.iter_mut().for_each(|variant| variant.summary.clear());
    assert!(points(&result, None).unwrap_err().to_string().contains("expected figures"));
}

#[test]
fn machines_and_settings_are_kept_apart_and_compilers_are_not() {
    let key = |change: &dyn Fn(&mut RunResult)| {
        let mut result = run(0, 1.0);
        change(&mut result);
        points(&result, None).unwrap()[0].key.clone()
    };
    let plain = key(&|_| {});
    let fact = |name: &'static str| {
        move |result: &mut RunResult| {
            result.manifest.timed_must_match.insert(name.to_owned(), "other".into());
        }
    };
    assert_ne!(key(&fact("kernel")).machine, plain.machine);
    assert_eq!(key(&fact("rustc")), plain);
    let plan = serde_json::json!({ "variants": [{ "name": "polling 1s", "load": { "clients": 5 } }] });
    assert_ne!(key(&|result| result.scenario.plan = plan.clone()).settings, plain.settings);
}

#[test]
fn a_step_is_marked_where_it_is() {
    let filter = Filter { metric: Some("delivery_delay.p99".to_owned()), variant: Some("stream".to_owned()) };
    let series = series(&stepped(), &filter);
    assert_eq!(series.len(), 1);
    let found: Vec<usize> = series[0].changes.iter().map(|change| change.index).collect();
    assert_eq!(found, [15]);
    insta::assert_snapshot!("series", text(&series, &filter));
}

#[test]
fn the_overview_names_what_changed_only() {
    let mut points = stepped();
    points.retain(|point| {
        ["delivery_delay.p50", "bytes.per_client_second"].contains(&point.key.metric.as_str())
    });
    let series = series(&points, &Filter::default());
    let text = text(&series, &Filter::default());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(text.contains("delivery_delay.p50") && !text.contains("bytes.per_client_second"), "{text}");
    insta::assert_snapshot!("overview", text);
}

#[test]
fn the_page_stands_alone_and_escapes_every_text() {
    let mut points = stepped();
    points.iter_mut().for_each(|point| point.commit = Some(testing::HOSTILE.to_owned()));
    let filter = Filter::default();
    let html = page(&series(&points, &filter), &filter).unwrap();
    assert!(!html.contains("<script") && !html.contains("<img"), "not escaped");
    let plain = html.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=\"", "<link", "@import", "url("] {
        assert!(!plain.contains(outside), "{outside}");
    }
    assert!(html.matches("<svg ").count() >= 6 && html.contains("stream · delivery_delay.p99"));
    let nothing = page(&[], &filter).unwrap();
    assert!(nothing.contains("No change points"), "{nothing}");
}

#[test]
fn the_csv_reads_back_as_it_was() {
    let mut points = stepped();
    points[0].commit = None;
    points.iter_mut().for_each(|point| point.key.scenario = "=1+1, \"quoted\"\nline".to_owned());
    let text = to_csv(&series(&points, &Filter::default()));
    assert!(text.contains(",\"'=1+1, \"\"quoted\"\"\nline\","), "{}", &text[..600]);
    let mut read = read_csv(&text).unwrap();
    let order = |a: &Point, b: &Point| (&a.id, &a.key).cmp(&(&b.id, &b.key));
    read.sort_by(order);
    points.sort_by(order);
    assert_eq!(read, points);
}

#[test]
fn a_csv_that_is_no_history_is_refused_with_its_line() {
    let text = to_csv(&series(&stepped(), &Filter::default()));
    let (head, rest) = text.split_once("\r\n").unwrap();
    let first = rest.lines().next().unwrap();
    let check = |text: &str, expected: &str| {
        let error = read_csv(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("", "line 1 of the history's CSV: expected a heading");
    check("a,b\n1,2\n", "line 1 of the history's CSV: expected a column \"id\"");
    check(&format!("{head}\r\n{first},more\r\n"), "line 2 of the history's CSV: expected 15 cells, found");
    check(&format!("{head}\r\n{}\r\n", first.replace("2026-", "soon-")), "expected a time after RFC 3339");
    check(&format!("{head}\r\n\"open"), "never closed");
}
