//! `loadgen capacity` and `loadgen crossover` as a user runs them: what arithmetic gives is what they find.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use measurement::{
    capacity::{Capacity, LimitedBy, Outcome},
    crossover::Crossover,
    result::{ModelKind, Status},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Ten updates for each client in a window of 200 ms: `--quick` halves 400 ms.
const TEN_EACH: [&str; 5] = [
    "feed.arrivals=constant",
    "feed.updates_per_second=50",
    "load.connect_over=10ms",
    "load.warmup=100ms",
    "load.measure=400ms",
];

fn workplace() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn loadgen(place: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place).env("NO_COLOR", "1").env("HOME", place).env_remove("XDG_STATE_HOME");
    command.arg(verb);
    command
}

fn capacity(place: &Path, arguments: &[&str]) -> Command {
    let mut command = loadgen(place, "capacity");
    command.args(["smoke", "--only", "websocket"]);
    for set in TEN_EACH {
        command.args(["--set", set]);
    }
    command.args(arguments);
    command
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The one search's folder.
fn folder(place: &Path, name: &str) -> PathBuf {
    let mut found = fs::read_dir(place.join("runs").join(name)).expect("a search");
    found.next().expect("its folder").expect("an entry").path()
}

fn record(place: &Path) -> Capacity {
    let path = folder(place, "smoke-capacity").join("capacity.json");
    serde_json::from_str(&fs::read_to_string(path).expect("a record")).expect("a record that reads")
}

#[test]
fn the_capacity_is_the_one_that_arithmetic_gives() {
    let place = workplace();
    let until = ["--until", "updates.delivered_once < 100", "--from", "8", "--quick"];
    let (code, stdout, stderr) = output(capacity(place.path(), &until));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stderr.contains("websocket: 16 clients: updates.delivered_once 160, FAILS"), "{stderr}");
    assert!(stdout.contains("the most clients with updates.delivered_once < 100"), "{stdout}");
    let record = record(place.path());
    let found = &record.variants[0];
    assert_eq!((found.held, found.failed), (Some(9.0), Some(10.0)));
    assert_eq!((record.status, found.limited_by), (Status::Complete, LimitedBy::Condition));
    let values: Vec<f64> = found.steps.iter().map(|step| step.value).collect();
    assert_eq!(values, [8.0, 16.0, 12.0, 10.0, 9.0]);
    let folder = folder(place.path(), "smoke-capacity");
    for step in &found.steps {
        assert_eq!(step.figures, [Some(step.value * 10.0)]);
        let result = reports::load(&folder.join(step.folder.as_ref().unwrap())).unwrap();
        assert_eq!(result.variants[0].clients as f64, step.value);
    }
    for name in ["capacity.md", "plots/capacity.svg", "steps/01-websocket-8/report.html"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    let latest = fs::canonicalize(place.path().join("runs/latest")).unwrap();
    assert_eq!(latest, fs::canonicalize(folder).unwrap());
}

#[test]
fn both_ends_are_confirmed_by_three_trials() {
    let place = workplace();
    let until = ["--until", "updates.delivered_once < 200", "--from", "9", "--most", "10", "--quiet"];
    let (code, stdout, stderr) = output(capacity(place.path(), &until));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let record = record(place.path());
    let tried: Vec<(f64, u32, bool)> =
        record.variants[0].steps.iter().map(|step| (step.value, step.trials, step.confirms)).collect();
    assert_eq!(tried, [(9.0, 1, false), (10.0, 1, false), (9.0, 3, true), (10.0, 3, true)]);
    assert_eq!((record.variants[0].held, record.variants[0].failed), (Some(9.0), Some(10.0)));
}

#[test]
fn what_the_machine_cannot_carry_is_not_the_server_s_capacity() {
    let place = workplace();
    let script = format!(
        "ulimit -n 100 && exec '{}' capacity smoke --quick --only websocket --until 'updates.delivered_once < 1e6' \
         --from 36 --set load.processes=1 --set load.warmup=100ms --set load.measure=400ms",
        env!("CARGO_BIN_EXE_loadgen")
    );
    let mut shell = Command::new("sh");
    shell.current_dir(place.path()).env("NO_COLOR", "1").args(["-c", &script]);
    let (code, stdout, stderr) = output(shell);
    assert_eq!(code, 3, "{stdout}{stderr}");
    assert!(stdout.contains("NOT the server's capacity") && stdout.contains("open files"), "{stdout}");
    let record = record(place.path());
    let found = &record.variants[0];
    assert_eq!((found.held, found.failed), (Some(36.0), Some(37.0)));
    assert_eq!(found.limited_by, LimitedBy::Harness);
    let run = found.steps.iter().filter(|step| step.folder.is_some()).count();
    assert_eq!((run, found.steps.last().unwrap().outcome), (1, Outcome::Harness));
}

#[test]
fn ctrl_c_keeps_what_there_is() {
    let place = workplace();
    let mut command = capacity(place.path(), &["--until", "updates.delivered_once < 1e6", "--from", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("its progress")).lines();
    let mut told = 0;
    for line in lines {
        told += u32::from(line.expect("text").contains("holds"));
        if told == 1 {
            let child = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
            // Already gone is found out below.
            let _ = kill(child, Signal::SIGINT);
            told += 1;
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    let record = record(place.path());
    assert_eq!((record.status, record.variants[0].limited_by), (Status::Partial, LimitedBy::Stopped));
    assert!(record.variants[0].held >= Some(1.0), "{record:?}");
}

#[test]
fn a_crossover_measures_what_it_predicts() {
    let place = workplace();
    let mut command = loadgen(place.path(), "crossover");
    command.args(["--only", "polling", "--only", "websocket", "--quiet"]);
    command.args(["--rtts", "0ms", "--intervals", "200ms", "--rates", "10,20"]);
    for set in ["load.clients=5", "load.measure=600ms", "load.warmup=100ms", "load.connect_over=10ms"] {
        command.args(["--set", set]);
    }
    let (code, stdout, stderr) = output(command);
    // A machine without a quiet moment has bytes all the same.
    assert!(code == 0 || code == 3, "{code}: {stdout}{stderr}");
    let folder = folder(place.path(), "crossover");
    let text = fs::read_to_string(folder.join("crossover.json")).expect("a record");
    let record: Crossover = serde_json::from_str(&text).expect("a record that reads");
    assert_eq!((record.status, record.points.len()), (Status::Complete, 4));
    for point in &record.points {
        let (measured, predicted) = (point.measured.bytes_per_hour, point.predicted.bytes_per_hour);
        let ratio = measured.expect("bytes") / predicted.expect("a prediction");
        assert!((0.85..1.18).contains(&ratio), "{}: {ratio}", point.variant);
        let polls = record.transports[point.transport].model.kind == ModelKind::Pull;
        assert_eq!(point.interval_us, polls.then_some(200_000.0));
        let wait_us = point.predicted.delay_us.expect("a prediction");
        assert_eq!(wait_us > 90_000.0, polls, "{}: {wait_us}", point.variant);
    }
    // 0.2 s apart a poll's head is far above a frame's: asking is dearer.
    assert!(stdout.contains("> 200 ms"), "{stdout}");
    for name in [
        "crossover.md",
        "crossover.csv",
        "plots/crossover-cheapest.svg",
        "plots/crossover-polling-websocket.png",
        "grid/report.html",
        "calibration/result.json",
    ] {
        assert!(folder.join(name).is_file(), "{name}");
    }
}
