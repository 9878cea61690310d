//! `loadgen compare`, baselines, gates and claims as a user runs them: exit codes, files, and what is refused.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

const SCENARIO: &str = r#"
title = "Two ways <script>alert(1)</script>"
[feed]
updates_per_second = 50.0
[load]
clients = 3
connect_over = "10ms"
warmup = "200ms"
measure = "500ms"
trials = 1
[[transport]]
kind = "websocket"
[[transport]]
kind = "sse"
"#;

/// What a run prints and how it ends.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn loadgen(place: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place).env("NO_COLOR", "1").env("HOME", place).args(arguments);
    for variable in ["XDG_STATE_HOME", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"] {
        command.env_remove(variable);
    }
    said(&mut command)
}

fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr)
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A folder with a scenario.
fn workplace(gates: &str) -> TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    fs::write(place.path().join("two.toml"), format!("{SCENARIO}{gates}")).expect("a scenario");
    place
}

/// The scenario's run, whose times may be void on a busy machine: the result is there either way.
fn run(place: &Path) -> PathBuf {
    let ran = loadgen(place, &["run", "two.toml", "--quiet"]);
    assert!([0, 3].contains(&ran.code), "{}", ran.stderr);
    fs::read_link(place.join("runs/latest")).map(|link| place.join("runs").join(link)).expect("a run")
}

/// The same result again, changed, in a folder of its own.
fn changed(result: &Path, name: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let text = fs::read_to_string(result.join("result.json")).expect("a result");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut value);
    let folder = result.parent().expect("a folder").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("result.json"), value.to_string()).expect("written");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_comparison_ends_in_a_verdict_files_and_an_exit_code() {
    let place = workplace("");
    let result = run(place.path());
    let compare = |candidate: &Path, more: &[&str]| {
        let arguments = ["compare", text(&result), text(candidate)];
        loadgen(place.path(), &[&arguments[..], more].concat())
    };
    let same = compare(&result, &["--out", "verdict"]);
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    assert!(same.stdout.contains("EQUIVALENT") && same.stdout.contains("`loadgen ab`"), "{}", same.stdout);
    for file in ["comparison.html", "comparison.md", "comparison.json", "junit.xml"] {
        let text = fs::read_to_string(place.path().join("verdict").join(file)).expect("a file");
        assert!(
            text.contains("alert(1)") && (file.ends_with("json") || !text.contains("<script>alert")),
            "{file}"
        );
    }
    let lossy = changed(&result, "lossy", |value| {
        value["variants"][0]["trials"][0]["updates"]["lost"] = 3.into();
    });
    let worse = compare(&lossy, &[]);
    assert_eq!(worse.code, 1, "{}", worse.stdout);
    assert!(worse.stdout.contains("REGRESSION: worse is websocket: updates.lost 0 → 3"), "{}", worse.stdout);
    let beside = fs::read_dir(&lossy).expect("a folder").flatten().find(|entry| entry.path().is_dir());
    let junit = fs::read_to_string(beside.expect("a comparison").path().join("junit.xml")).expect("JUnit");
    assert!(junit.contains("failures=\"1\"") && junit.contains("name=\"updates.lost\"><failure"), "{junit}");
    let broken = changed(&result, "broken", |value| {
        value["variants"][1]["trials"][0]["validity"]["classes"]["bytes"] = "invalid".into();
    });
    assert_eq!(compare(&broken, &[]).code, 3);
}

#[test]
fn what_is_no_result_or_another_plans_is_refused_with_the_reason() {
    let place = workplace("");
    let result = run(place.path());
    let refused = |candidate: &Path, expected: &[&str]| {
        let said = loadgen(place.path(), &["compare", text(&result), text(candidate)]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.stderr);
        for part in expected {
            assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
        }
    };
    let whole = fs::read_to_string(result.join("result.json")).expect("a result");
    let cut = place.path().join("cut.json");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    refused(&cut, &["cut.json is not a result", "EOF"]);
    fs::write(&cut, "\u{1b}[2J not JSON").expect("written");
    refused(&cut, &["expected JSON"]);
    refused(&place.path().join("none.json"), &["failed to read", "none.json"]);
    let other = changed(&result, "other", |value| {
        value["manifest"]["must_match"]["plan"] = "other".into();
        value["scenario"]["plan"]["variants"][0]["load"]["clients"] = 9.into();
    });
    refused(&other, &["`variants[0].load.clients` is 3 in the base and 9 in the candidate"]);
    let newer = changed(&result, "newer", |value| value["format"] = "tickertape-result/9".into());
    refused(&newer, &["expected format \"tickertape-result/1\"", "tickertape-result/9"]);
    // Only delays that can be trusted are compared, and a busy machine's cannot: these are called so.
    let timed = |name, garbled: Option<&str>| {
        changed(&result, name, |value| {
            let trial = &mut value["variants"][0]["trials"][0];
            trial["validity"]["classes"]["timing"] = "ok".into();
            if let Some(garbled) = garbled {
                trial["delivery_delay"]["hdr"] = garbled.into();
            }
        })
    };
    let (whole, garbled) = (timed("timed", None), timed("garbled", Some("AAAA")));
    let said = loadgen(place.path(), &["compare", text(&whole), text(&garbled)]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.stderr);
    assert!(said.stderr.contains("failed to decode a histogram"), "{}", said.stderr);
    let missing = loadgen(place.path(), &["compare", text(&result), text(&result), "--ledger", "none.json"]);
    assert!(missing.code == 2 && missing.stderr.contains("there is no such file"), "{}", missing.stderr);
}

#[test]
fn a_run_is_judged_by_its_gates_and_its_baseline() {
    let gates = "[[gate]]\nmetric = \"updates.lost\"\nequals = 0\n\
                 [[gate]]\nvariant = \"sse\"\nmetric = \"bytes.header_overhead_per_update\"\nbelow = 5\n\
                 [[gate]]\nmetric = \"bytes.headers_per_update\"\nmax_increase = \"1%\"\n";
    let place = workplace(gates);
    let summary = place.path().join("summary.md");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place.path()).env("HOME", place.path()).args(["run", "two.toml", "--quiet"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).env_remove("XDG_STATE_HOME");
    let ran = said(&mut command);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("2 of 5 gates passed."), "{}", ran.stdout);
    let broken = "Gate FAILED: sse: bytes.header_overhead_per_update below 5 B – found";
    assert!(ran.stdout.contains(broken), "{}", ran.stdout);
    assert!(ran.stdout.contains("::error title=Gate bytes.header_overhead_per_update below 5 B::sse"));
    assert!(fs::read_to_string(&summary).expect("a summary").contains("## Gates"));
    let latest = place.path().join("runs/latest");
    let junit = fs::read_to_string(latest.join("junit.xml")).expect("JUnit");
    assert!(junit.contains("tests=\"5\" failures=\"1\" errors=\"0\" skipped=\"2\""), "{junit}");

    let baseline = loadgen(place.path(), &["report", "runs/latest", "--baseline", "kept/two.json"]);
    assert_eq!(baseline.code, 0, "{}", baseline.stderr);
    let against = ["run", "two.toml", "--quiet", "--baseline", "kept/two.json"];
    let again = loadgen(place.path(), &against);
    assert!(
        again.stdout.contains("Against the baseline") && again.stdout.contains("4 of 5 gates passed."),
        "{}",
        again.stdout
    );
    assert!(place.path().join("runs/latest/baseline/comparison.html").is_file());
    // The gate of five bytes is broken still; the comparison finds nothing.
    assert_eq!(again.code, 1, "{}", again.stdout);
    let junit = fs::read_to_string(latest.join("junit.xml")).expect("JUnit");
    assert!(junit.contains("failures=\"1\" errors=\"0\""), "{junit}");

    let other = loadgen(place.path(), &[&against[..], &["--set", "load.clients=4"]].concat());
    assert_eq!(other.code, 2, "{}", other.stdout);
    assert!(
        other.stderr.contains("baseline of something else") && other.stderr.contains("load.clients"),
        "{}",
        other.stderr
    );
}

#[test]
fn a_run_is_judged_by_its_claims() {
    let claim = |text: &str, more: &str| {
        format!("[[claim]]\ntext = \"{text}\"\nsource = \"Somebody 2009\"\nvariant = \"sse\"\n{more}\n")
    };
    let claims = claim("Nothing is lost.", "claimed = 0\nmetric = \"updates.lost\"")
        + &claim("Heads are alike.", "claimed = 100\nover = \"websocket\"\nmetric = \"updates.expected\"")
        + &claim(
            "It was fast.",
            "claimed = \"1us\"\nmetric = \"delivery_delay.p50\"\njudge = \"context\"\nwhy = \"Another machine.\"",
        );
    let place = workplace(&claims);
    let checked = loadgen(place.path(), &["check", "two.toml"]);
    assert!(
        checked.stdout.contains("Claim: Nothing is lost.: sse, updates.lost exactly 0"),
        "{}",
        checked.stdout
    );

    let ran = loadgen(place.path(), &["run", "two.toml", "--quiet"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    for line in [
        "claim holds: Nothing is lost: claimed 0, measured 0",
        "claim FAILS: Heads are alike: claimed 100, measured 1",
        "claim for context: It was fast: claimed 1.0 µs, ",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let latest = place.path().join("runs/latest");
    let read = |name: &str| fs::read_to_string(latest.join(name)).expect("a file of the run");
    let result: Value = serde_json::from_str(&read("result.json")).expect("JSON");
    let verdicts: Vec<&str> =
        result["claims"].as_array().expect("claims").iter().filter_map(|c| c["verdict"].as_str()).collect();
    assert_eq!(verdicts, ["holds", "fails", "context"]);
    assert!(
        read("junit.xml")
            .contains("<testsuite name=\"claims\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\">")
    );
    assert!(
        read("report.html").contains("Another machine.")
            && read("summary.md").contains("## Claimed and measured")
    );
    assert!(read("tables/claimed-and-measured.csv").contains("Somebody 2009"));

    let report = loadgen(place.path(), &["report", "runs/latest"]);
    assert!(report.code == 0 && report.stdout.contains("claim FAILS"), "{}", report.stdout);
    // Nothing of the one that holds two variants is left, and what is left holds.
    let only = loadgen(place.path(), &["run", "two.toml", "--quiet", "--only", "sse"]);
    assert_eq!(only.code, 0, "{}", only.stdout);
    assert!(!only.stdout.contains("Heads are alike"), "{}", only.stdout);
    let without = loadgen(place.path(), &["run", "two.toml", "--quiet", "--set", "claim=[]"]);
    assert!(!without.stdout.contains("claim holds") && [0, 3].contains(&without.code), "{}", without.stdout);
}
