//! Many processes on both sides: the same counts as one of each, errors that say which process, nobody left behind.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use measurement::result::{RunResult, Status, Trial, Verdict};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

fn workplace() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn run(place: &Path, only: &[&str], set: &[&str]) -> Command {
    run_of("ticker", place, only, set)
}

fn run_of(scenario: &str, place: &Path, only: &[&str], set: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place).env("NO_COLOR", "1").args(["run", scenario, "--quiet"]);
    let always = ["load.connect_over=100ms", "load.warmup=500ms", "load.trials=1"];
    set.iter().chain(&always).for_each(|set| {
        command.args(["--set", set]);
    });
    only.iter().for_each(|only| {
        command.args(["--only", only]);
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn result(place: &Path) -> RunResult {
    reports::load(&place.join("runs/latest")).expect("a result that can be read")
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

/// Counts that noise does not change: of quotes by their due time, and bytes that are the same each time.
fn counts(trial: &Trial) -> impl PartialEq + std::fmt::Debug {
    let updates = trial.updates;
    let opening = trial.bytes.steady.map(|steady| (steady.opening_requests, steady.opening_responses));
    (
        (trial.clients.connected, updates.generated, updates.window_sequences, updates.expected),
        (updates.delivered_once, updates.lost, updates.duplicated, updates.distinct),
        trial.bytes.canonical_payload,
        opening.map(|(requests, responses)| (requests.count, responses.count)),
    )
}

#[test]
fn two_of_each_side_count_what_one_of_each_counts() {
    let set = ["load.clients=30", "load.measure=1s", "feed.updates_per_second=40"];
    let of = |processes: &str| {
        let place = workplace();
        let set: Vec<&str> = set.iter().copied().chain([processes]).collect();
        let output = run(place.path(), &["sse", "websocket"], &set).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
        result(place.path())
    };
    let (one, two) = (of("load.processes='auto'"), of("load.processes=2"));
    for (one, two) in one.variants.iter().zip(&two.variants) {
        let (alone, shared) = (&one.trials[0], &two.trials[0]);
        assert_eq!(counts(alone), counts(shared), "{}", one.name);
        assert_eq!((alone.server.processes, alone.loadgen.processes), (Some(1), Some(1)));
        assert_eq!((shared.server.processes, shared.loadgen.processes), (Some(2), Some(2)));
        for trial in [alone, shared] {
            let classes = trial.validity.classes;
            assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{:?}", trial.validity);
            assert!(trial.bytes.balanced && trial.updates.lost == Some(0), "{trial:?}");
            assert_eq!(trial.updates.delivered_once, trial.updates.expected.expect("a planned feed"));
        }
        let delays = |trial: &Trial| trial.delivery_delay.as_ref().map(|delay| delay.count);
        assert_eq!(delays(shared), Some(shared.updates.delivered_once));
        assert!(shared.server.cpu_seconds > Some(0.0) && shared.loadgen.rss_per_client_bytes.is_some());
        assert!(alone.unavailable.contains_key("loadgen.rss_per_client_bytes"));
    }
}

#[test]
fn check_tells_processes_and_addresses_of_many_clients() {
    let place = workplace();
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place.path()).args(["check", "ticker", "--set", "load.clients=200000"]);
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("processes of the load generator") && said.contains("source addresses"), "{said}");
}

struct Running {
    child: Child,
    place: TempDir,
}

impl Running {
    /// A run of one long trial with two processes of each side, in its window.
    fn in_its_window() -> Self {
        let place = workplace();
        let set = ["load.clients=6", "load.measure=60s", "feed.updates_per_second=50", "load.processes=2"];
        let mut command = run(place.path(), &["websocket"], &set);
        // A group of its own: a signal to it must not reach the tests.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let running = Self { child: command.spawn().expect("the program starts"), place };
        wait_for("four processes", || (running.children().len() == 4).then_some(()));
        std::thread::sleep(Duration::from_secs(2));
        running
    }

    /// Processes that the run started, with their first argument.
    fn children(&self) -> Vec<(i32, String)> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let verb = |pid: &str| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            Some((pid.parse().ok()?, line.split('\0').nth(1)?.to_owned()))
        };
        children.split_whitespace().filter_map(verb).collect()
    }

    fn workers(&self) -> Vec<i32> {
        self.children().into_iter().filter(|(_, verb)| verb == "worker").map(|(pid, _)| pid).collect()
    }

    fn ended(&mut self) -> Option<i32> {
        wait_for("the program's end", || self.child.try_wait().expect("our own child")).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gone(pids: &[(i32, String)]) {
    for (pid, verb) in pids {
        wait_for(&format!("the end of {verb}"), || kill(Pid::from_raw(*pid), None).is_err().then_some(()));
    }
}

#[test]
fn a_generator_process_that_dies_fails_the_trial_by_its_number() {
    let mut run = Running::in_its_window();
    let all = run.children();
    kill(Pid::from_raw(run.workers()[1]), Signal::SIGKILL).expect("it runs");
    assert_eq!(run.ended(), Some(3));
    let result = result(run.place.path());
    let trial = &result.variants[0].trials[0];
    assert_eq!((result.status, trial.status), (Status::Partial, Status::Failed));
    let error = trial.error.as_deref().unwrap_or_default();
    assert!(error.contains("generator process 2 (pid ") && error.contains("signal: 9"), "{error}");
    gone(&all);
}

#[test]
fn a_server_process_that_dies_fails_the_trial() {
    let mut run = Running::in_its_window();
    let all = run.children();
    let server = all.iter().rfind(|(_, verb)| verb == "serve").expect("a server").0;
    kill(Pid::from_raw(server), Signal::SIGKILL).expect("it runs");
    assert_eq!(run.ended(), Some(3));
    let trial = &result(run.place.path()).variants[0].trials[0];
    assert_eq!(trial.status, Status::Partial);
    assert!(trial.error.as_deref().is_some_and(|error| error.contains("signal: 9")), "{:?}", trial.error);
    gone(&all);
}

#[test]
fn ctrl_c_ends_all_processes_and_leaves_a_partial_result() {
    let mut run = Running::in_its_window();
    let all = run.children();
    kill(Pid::from_raw(run.child.id() as i32), Signal::SIGINT).expect("it runs");
    assert_eq!(run.ended(), Some(3));
    gone(&all);
    let trial = &result(run.place.path()).variants[0].trials[0];
    assert_eq!(trial.status, Status::Partial);
    assert!(trial.updates.delivered_once > 0 && trial.updates.add_up(), "{:?}", trial.updates);
    assert!(trial.bytes.balanced, "{:?}", trial.bytes);
}

#[test]
fn a_killed_run_leaves_no_process_behind() {
    let mut run = Running::in_its_window();
    let all = run.children();
    kill(Pid::from_raw(run.child.id() as i32), Signal::SIGKILL).expect("it runs");
    run.child.wait().expect("our own child");
    gone(&all);
}

#[test]
fn clients_of_several_processes_publish_in_turn_and_hear_all_of_it() {
    let place = workplace();
    let set = ["load.processes=2", "load.clients=12", "load.measure=1s", "feed.quote_bytes=120"];
    let done = run_of("echo", place.path(), &[], &set).output().expect("the program runs");
    let result = result(place.path());
    let trial = &result.variants[0].trials[0];
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{said}");
    // 20 a second of each of 12 clients.
    assert_eq!((trial.updates.expected, trial.updates.delivered_once), (Some(240), 240), "{said}");
    assert_eq!((trial.updates.lost, trial.loadgen.processes), (Some(0), Some(2)), "{said}");
    assert_eq!(trial.validity.classes.bytes, Verdict::Ok, "{:?}", trial.validity);
    assert!(trial.loadgen.rss_per_client_bytes.is_some_and(|bytes| bytes > 0.0), "{:?}", trial.loadgen);
}
