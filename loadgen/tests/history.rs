//! `loadgen history` as a user runs it, and its change points against Apache Otava's on the same series.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{fs, path::Path, process::Command};

use measurement::{
    changes::changes,
    result::{FORMAT, Manifest, RunResult, ScenarioInfo, Status, Summary, Variant},
};
use ticker::random;

use crate::python;

/// A normal deviate by the sum of twelve uniforms.
fn normal(seed: u64, n: usize) -> f64 {
    (0..12).map(|part| random::unit(seed, part, n as u64)).sum::<f64>() - 6.0
}

/// Levels with 2 % of normal noise.
fn noisy(seed: u64, length: usize, level: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..length).map(|n| level(n) * (1.0 + 0.02 * normal(seed, n))).collect()
}

#[test]
fn change_points_agree_with_apache_otava_within_one_position() {
    let two = |n| match n {
        0..30 => 100.0,
        30..62 => 115.0,
        _ => 104.0,
    };
    let series: [(&str, Vec<f64>, &[usize]); 6] = [
        ("flat", noisy(11, 60, |_| 100.0), &[]),
        ("step", noisy(12, 60, |n| if n < 35 { 100.0 } else { 108.0 }), &[35]),
        ("late", noisy(13, 60, |n| if n < 52 { 100.0 } else { 108.0 }), &[52]),
        ("two", noisy(14, 90, two), &[30, 62]),
        ("lognormal", (0..80).map(|n| 1_000.0 * (0.4 * normal(15, n)).exp()).collect(), &[]),
        ("counted", (0..40).map(|n| if n < 22 { 491.0 } else { 531.0 }).collect(), &[22]),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, values, _) in &series {
        let rows = values
            .iter()
            .enumerate()
            .map(|(n, value)| format!("2026-{:02}-{:02}T05:00:00Z,c{n},{value}\n", 1 + n / 28, 1 + n % 28));
        let text = format!("time,commit,value\n{}", rows.collect::<String>());
        fs::write(folder.path().join(format!("{name}.csv")), text).unwrap();
    }
    let theirs = python::run("changes.py", &[folder.path()]);
    for (name, values, planted) in &series {
        let ours: Vec<usize> = changes(values).iter().map(|change| change.index).collect();
        for test in ["default", "permutation"] {
            let found = theirs[name][test].as_array().unwrap();
            let found: Vec<usize> = found.iter().map(|index| index.as_u64().unwrap() as usize).collect();
            let near = |others: &[usize]| {
                ours.len() == others.len() && ours.iter().zip(others).all(|(a, b)| a.abs_diff(*b) <= 1)
            };
            assert!(near(&found), "{name}: ours {ours:?}, Otava's ({test}) {found:?}");
            assert!(near(planted), "{name}: ours {ours:?}, planted {planted:?}");
        }
    }
}

fn result(n: usize, delay_us: f64) -> RunResult {
    let figure = |median: f64| Summary { median, low: median * 0.98, high: median * 1.02, trials: 3 };
    let variant = Variant {
        name: "mine".to_owned(),
        summary: [
            ("delivery_delay.p50".to_owned(), figure(delay_us)),
            ("bytes.per_client_second".to_owned(), figure(512.0)),
        ]
        .into(),
        ..Variant::default()
    };
    RunResult {
        format: FORMAT.to_owned(),
        id: format!("{n:016x}"),
        command: "loadgen run mine.toml".to_owned(),
        started_at: format!("2026-11-{:02}T05:00:00.000Z", n + 1),
        finished_at: format!("2026-11-{:02}T05:01:00.000Z", n + 1),
        status: Status::Complete,
        partial_reason: None,
        scenario: ScenarioInfo { title: "Mine".to_owned(), ..ScenarioInfo::default() },
        manifest: Manifest {
            recorded: [("git_revision".to_owned(), format!("c{n}").into())].into(),
            ..Manifest::default()
        },
        variants: vec![variant],
        claims: Vec::new(),
    }
}

/// Exit code, standard output, standard error.
fn history(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("history")
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn results_are_added_shown_drawn_and_carried_to_another_history() {
    let place = tempfile::tempdir().unwrap();
    let files: Vec<String> = (0..20).map(|n| format!("r{n}.json")).collect();
    for (n, file) in files.iter().enumerate() {
        let delay = noisy(4, 20, |n| if n < 12 { 300.0 } else { 345.0 })[n];
        fs::write(place.path().join(file), serde_json::to_string(&result(n, delay)).unwrap()).unwrap();
    }
    let add: Vec<&str> = std::iter::once("add").chain(files.iter().map(String::as_str)).collect();
    assert_eq!(
        history(place.path(), &add),
        (0, "20 results added to runs/history.sqlite\n".to_owned(), String::new())
    );
    let (code, again, _) = history(place.path(), &["add", "r0.json", "--commit", "other"]);
    assert_eq!((code, again.as_str()), (0, "0 results added to runs/history.sqlite, 1 known already\n"));

    let (code, shown, _) = history(place.path(), &["show"]);
    assert!(code == 0 && shown.contains("20 results, 2 series"), "{shown}");
    assert!(shown.contains("c12") && shown.contains("delivery_delay.p50"), "{shown}");
    let (_, figures, _) =
        history(place.path(), &["show", "--metric", "delivery_delay.p50", "--variant", "mine"]);
    assert_eq!(figures.matches("<- +").count(), 1, "{figures}");
    assert_eq!(figures.lines().filter(|line| line.trim_start().starts_with('c')).count(), 21, "{figures}");

    let (code, told, _) = history(place.path(), &["plot", "--out", "trends.html"]);
    assert_eq!((code, told.as_str()), (0, "Page: trends.html\n"));
    assert!(
        fs::read_to_string(place.path().join("trends.html")).unwrap().contains("mine · delivery_delay.p50")
    );

    let (_, csv, _) = history(place.path(), &["show", "--format", "csv"]);
    fs::write(place.path().join("history.csv"), &csv).unwrap();
    let (code, _, _) = history(place.path(), &["add", "history.csv", "--db", "copy.sqlite"]);
    assert_eq!(code, 0);
    assert_eq!(history(place.path(), &["show", "--format", "csv", "--db", "copy.sqlite"]).1, csv);
}

#[test]
fn what_cannot_be_used_is_named_and_nothing_is_added() {
    let place = tempfile::tempdir().unwrap();
    let mut partial = result(1, 300.0);
    partial.status = Status::Partial;
    partial.partial_reason = Some("interrupted".to_owned());
    for (file, result) in [("good.json", result(0, 300.0)), ("partial.json", partial)] {
        fs::write(place.path().join(file), serde_json::to_string(&result).unwrap()).unwrap();
    }
    fs::write(place.path().join("notes.sqlite"), "not a database at all, and long enough ".repeat(60))
        .unwrap();
    fs::write(place.path().join("bad.csv"), "a,b\n").unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let (code, _, stderr) = history(place.path(), arguments);
        // Errors are wrapped to the terminal's width.
        let told: String =
            stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(code == 2 && told.contains(expected), "{arguments:?}: {stderr}");
    };
    check(&["show"], "there is no history at");
    check(&["add", "good.json", "partial.json"], "expected a complete one, found interrupted");
    check(&["show"], "there is no history at");
    check(&["add", "none.json"], "none.json");
    check(&["add", "bad.csv"], "expected a column");
    check(&["add", "good.json", "--db", "notes.sqlite"], "no SQLite file");
    check(&["add"], "<RESULT>");
    assert_eq!(history(place.path(), &["add", "good.json"]).0, 0);
    check(&["show", "--metric", "delivery.p50"], "the history has no metric");
    check(&["plot", "--variant", "yours"], "it has mine");
}
