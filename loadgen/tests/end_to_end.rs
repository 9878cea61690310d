//! The program as a user runs it: results, exit codes, interruptions. Each test is bounded in time and load.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use measurement::result::{RunResult, Status, Verdict};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const SMALL: [&str; 10] = [
    "--set",
    "load.clients=5",
    "--set",
    "load.warmup=200ms",
    "--set",
    "load.measure=500ms",
    "--set",
    "load.connect_over=10ms",
    "--set",
    "load.trials=1",
];

fn loadgen(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(folder).env("NO_COLOR", "1");
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn result_in(folder: &Path) -> RunResult {
    reports::load(&folder.join("runs/latest")).expect("a result that can be read")
}

fn workplace() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Waits for something that the program does, for at most ten seconds.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come");
}

#[test]
fn a_run_writes_a_whole_folder_and_overwrites_nothing() {
    let place = workplace();
    let run = || output(loadgen(place.path()).args(["run", "smoke", "--quiet", "--quick"]));
    let (code, stdout, stderr) = run();
    assert_eq!(stderr, "");
    let report =
        stdout.lines().last().and_then(|line| line.strip_prefix("Report: ")).expect("the report's path");
    assert!(place.path().join(report).is_file(), "{report}");
    let result = result_in(place.path());
    assert_eq!((result.status, result.variants.len()), (Status::Complete, 12));
    // A machine that runs other tests at the same time may void times, and only times.
    let noisy =
        result.variants.iter().any(|variant| variant.trials[0].validity.classes.timing == Verdict::Invalid);
    assert_eq!(code, if noisy { 3 } else { 0 }, "{stdout}{stderr}");
    for variant in &result.variants {
        assert!(stdout.contains(&variant.name), "{stdout}");
        assert_eq!(variant.trials.len(), 1);
        let trial = &variant.trials[0];
        let classes = trial.validity.classes;
        assert_eq!(
            (classes.counts, classes.bytes),
            (Verdict::Ok, Verdict::Ok),
            "{}: {:?}",
            variant.name,
            trial.validity
        );
        assert!(trial.bytes.balanced && trial.updates.lost == Some(0), "{}: {trial:?}", variant.name);
        assert!(!variant.summary.is_empty() && !trial.unavailable.is_empty());
    }
    let folder = fs::canonicalize(place.path().join("runs/latest")).expect("a link to the newest run");
    for file in ["result.json", "trials.jsonl", "report.html", "summary.md", "plots", "hdr"] {
        assert!(folder.join(file).exists(), "{file}");
    }
    let before = fs::read(folder.join("result.json")).expect("the first result");
    assert!([0, 3].contains(&run().0));
    assert_eq!(fs::read(folder.join("result.json")).expect("the first result"), before);
    assert_eq!(fs::read_dir(place.path().join("runs/smoke")).expect("a folder").count(), 2);
    let (code, stdout, stderr) = output(loadgen(place.path()).args(["report", "runs/latest"]));
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_is_done() {
    let place = workplace();
    fs::write(place.path().join("file"), "").expect("a file");
    fs::write(place.path().join("typo.toml"), "title = \"x\"\n[load]\nclinets = 5\n").expect("a file");
    let check = |args: &[&str], expected: &[&str]| {
        let (code, stdout, stderr) = output(loadgen(place.path()).args(args));
        assert_eq!(code, 2, "{args:?}: {stdout}{stderr}");
        for part in expected {
            assert!(stderr.contains(part), "{args:?}: {part:?} is not in {stderr}");
        }
    };
    check(&["run", "typo.toml"], &["typo.toml:3", "clinets", "clients"]);
    check(&["run", "ticker", "--set", "load.clients='many'"], &["load.clients"]);
    check(&["run", "ticker", "--set", "load.clients=0"], &["0"]);
    check(&["run", "ticker", "--set", "load.clients=1000000000000"], &["1000000000000"]);
    check(&["run", "tickr"], &["ticker"]);
    check(&["run", "ticker", "--out", "file"], &["file/ticker"]);
    check(&["run", "ticker", "--only", "pigeon"], &["pigeon"]);
    check(&["run", "ticker", "--live"], &["--live needs a terminal", "leave --live out"]);
    check(&["run", "ticker", "--live", "--quiet"], &["--live", "cannot be used with"]);
    check(&["check", "missing.toml"], &["missing.toml"]);
    check(&["report", "nowhere"], &["nowhere"]);
    check(&["capacity", "ticker"], &["--until"]);
    check(&["capacity", "ticker", "--until", "delay < 5ms"], &["unknown metric", "delay"]);
    check(&["capacity", "ticker", "--until", "delivery_delay.p95 < 5"], &["--until", "a duration"]);
    check(&["crossover", "--only", "websocket"], &["asks on a timetable", "found 0 of 1"]);
    check(&["teach", "--listen", "192.0.2.1:0"], &["192.0.2.1:0", "--allow-origin"]);
    check(&["teach", "--symbols", "0"], &["symbols is 0"]);
    check(&["history", "show"], &["there is no history at"]);
    assert!(!place.path().join("runs").exists());
}

#[test]
fn more_clients_than_files_is_refused_with_the_limit_and_the_remedy() {
    let place = workplace();
    let script = format!(
        "ulimit -n 100 && exec '{}' run ticker --quiet --set load.clients=5000",
        env!("CARGO_BIN_EXE_loadgen")
    );
    let (code, stdout, stderr) = output(Command::new("sh").current_dir(place.path()).args(["-c", &script]));
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("the hard limit is 100") && stderr.contains("ulimit -Hn"), "{stderr}");
}

#[test]
fn a_port_in_use_is_named() {
    let place = workplace();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let (code, _, stderr) = output(loadgen(place.path()).args(["serve", "--listen", &address]));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
}

struct Running {
    child: Child,
    place: TempDir,
}

impl Running {
    /// A run of one long trial, in its window.
    fn in_its_window() -> Self {
        let place = workplace();
        let mut command = loadgen(place.path());
        command.args(["run", "ticker", "--only", "websocket"]).args(SMALL);
        command.args(["--set", "load.measure=60s", "--set", "feed.updates_per_second=50"]);
        // A group of its own: a signal to it must not reach the tests.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let running = Self { child, place };
        wait_for("the server", || running.server());
        std::thread::sleep(Duration::from_millis(1_500));
        running
    }

    /// The process that the run started.
    fn server(&self) -> Option<i32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the program runs");
    }

    fn ended(&mut self) -> (i32, String) {
        let status = wait_for("the program's end", || self.child.try_wait().expect("our own child"));
        let mut text = String::new();
        for stream in [
            self.child.stdout.take().map(|stream| Box::new(stream) as Box<dyn std::io::Read>),
            self.child.stderr.take().map(|stream| Box::new(stream) as Box<dyn std::io::Read>),
        ] {
            stream.expect("it was piped").read_to_string(&mut text).expect("output is UTF-8");
        }
        (status.code().unwrap_or(-1), text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ctrl_c_leaves_a_valid_partial_result() {
    let mut run = Running::in_its_window();
    run.signal(Signal::SIGINT);
    let (code, text) = run.ended();
    assert_eq!(code, 3, "{text}");
    let result = result_in(run.place.path());
    assert_eq!(result.status, Status::Partial);
    assert!(
        result.partial_reason.as_deref().is_some_and(|reason| reason.contains("interrupted by the user"))
    );
    let trial = &result.variants[0].trials[0];
    let updates = trial.updates;
    assert_eq!(trial.status, Status::Partial);
    assert!(trial.window_s > 0.2 && trial.window_s < 10.0, "{}", trial.window_s);
    assert!(updates.delivered_once > 0, "{updates:?}");
    assert!(updates.add_up(), "{updates:?}");
    assert!(trial.bytes.balanced, "{:?}", trial.bytes);
}

#[test]
fn a_server_that_dies_leaves_a_partial_result_with_its_cause() {
    let mut run = Running::in_its_window();
    let server = run.server().expect("the server runs");
    kill(Pid::from_raw(server), Signal::SIGKILL).expect("the server runs");
    let (code, text) = run.ended();
    assert_eq!(code, 3, "{text}");
    let result = result_in(run.place.path());
    let trial = &result.variants[0].trials[0];
    assert_eq!((result.status, trial.status), (Status::Partial, Status::Partial));
    assert!(trial.error.as_deref().is_some_and(|error| error.contains("signal: 9")), "{:?}", trial.error);
    assert!(trial.clients.disconnected == 5 && !trial.validity.valid, "{:?}", trial.clients);
    assert!(trial.updates.delivered_once > 0, "{:?}", trial.updates);
}

#[test]
fn a_killed_run_leaves_no_server_behind_and_can_still_be_reported() {
    let mut run = Running::in_its_window();
    let server = run.server().expect("the server runs");
    run.signal(Signal::SIGKILL);
    run.child.wait().expect("our own child");
    wait_for("the server's end", || kill(Pid::from_raw(server), None).is_err().then_some(()));
    let runs: Vec<PathBuf> = fs::read_dir(run.place.path().join("runs/ticker"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let folder = runs[0].to_str().expect("a plain path");
    let (code, stdout, stderr) = output(loadgen(run.place.path()).args(["report", folder]));
    assert_eq!(code, 0, "{stdout}{stderr}");
    let result = reports::load(&runs[0]).expect("a result was rebuilt");
    assert_eq!(result.status, Status::Partial);
}

#[test]
fn the_other_verbs_answer() {
    let place = workplace();
    let check = |args: &[&str], expected: &str| {
        let (code, stdout, stderr) = output(loadgen(place.path()).args(args));
        assert_eq!(code, 0, "{args:?}: {stdout}{stderr}");
        assert!(stdout.contains(expected), "{args:?}: {expected:?} is not in {stdout}");
    };
    check(&["list"], "websocket");
    check(&["list", "metrics"], "delivery_delay.p99");
    check(&["check", "ticker"], "polling 1s");
    check(&["doctor"], "TCP_INFO");
    check(&["--help"], "Exit codes");
    check(&["run", "--help"], "Examples");
}
