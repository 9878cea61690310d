//! `loadgen ab` as a user runs it: both results whole, in pairs, in an order by coin; planted faults as large as they are.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use measurement::{
    noise::NoiseLedger,
    result::{RunResult, Status, Trial},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Small and short; later `--set` of the same key win.
const SMALL: [&str; 4] =
    ["load.clients=4", "load.connect_over=10ms", "load.warmup=200ms", "load.measure=800ms"];

fn loadgen(place: &Path, verb: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place).env("NO_COLOR", "1").env("HOME", place).env_remove("XDG_STATE_HOME");
    command.arg(verb).args(arguments);
    command
}

fn ab(place: &Path, arguments: &[&str]) -> Command {
    let mut command = loadgen(place, "ab", &["smoke", "--quiet", "--counted-only"]);
    for set in SMALL {
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

fn workplace() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The one comparison's folder.
fn folder(place: &Path) -> PathBuf {
    let mut found = fs::read_dir(place.join("runs/smoke-ab")).expect("a comparison");
    found.next().expect("its folder").expect("an entry").path()
}

fn both(place: &Path) -> [RunResult; 2] {
    let folder = folder(place);
    ["base", "candidate"].map(|side| {
        assert!(folder.join(side).join("report.html").is_file(), "no report of {side}");
        reports::load(&folder.join(side)).expect("a result that can be read")
    })
}

fn finding(trial: &Trial, code: &str) -> bool {
    trial.validity.findings.iter().any(|finding| finding.code == code)
}

#[test]
fn an_extra_header_is_forty_bytes_in_every_response_and_the_sides_are_pairs() {
    let place = workplace();
    let only = ["--only", "polling 200ms", "--only", "websocket", "--pairs", "2", "--seed", "5"];
    let servers = ["--base", "self", "--candidate", "self --fault extra-header"];
    let (code, stdout, stderr) = output(ab(place.path(), &[&only[..], &servers].concat()));
    assert!(code <= 1, "{code}: {stdout}{stderr}");
    let [base, candidate] = both(place.path());
    assert_paired(&base, &candidate, 2);
    assert_eq!(base.manifest.must_match, candidate.manifest.must_match);
    assert_eq!(base.manifest.timed_must_match, candidate.manifest.timed_must_match);
    let target = |result: &RunResult| result.manifest.recorded["target"].clone();
    assert_eq!(target(&candidate)["command"], "self --fault extra-header");
    assert_eq!(target(&base)["sha256"], target(&candidate)["sha256"]);
    assert!(stdout.contains("self --fault extra-header"), "{stdout}");

    for (plain, faulty) in base.variants.iter().zip(&candidate.variants) {
        assert_eq!((plain.trials.len(), faulty.trials.len()), (2, 2));
        for (plain, faulty) in plain.trials.iter().zip(&faulty.trials) {
            assert_eq!((plain.status, faulty.status), (Status::Complete, Status::Complete));
            assert!(finding(faulty, "server.fault") && !finding(plain, "server.fault"));
            let opened = |trial: &Trial| trial.bytes.handshake.received.headers;
            assert_eq!(opened(faulty) - opened(plain), 40 * plain.clients.connected);
            let response =
                |trial: &Trial| Some(trial.bytes.received.headers as f64 / trial.requests?.sent as f64);
            if let Some((plain, faulty)) = response(plain).zip(response(faulty)) {
                assert!((faulty - plain - 40.0).abs() < 2.0, "{plain} and {faulty} bytes");
            } else {
                assert_eq!(plain.bytes.received.headers, faulty.bytes.received.headers);
            }
        }
    }
}

/// Both say that they belong together, and trials came in the order that they say.
fn assert_paired(base: &RunResult, candidate: &RunResult, pairs: usize) {
    let [of_base, of_candidate] = [base, candidate].map(|result| &result.manifest.recorded["pairing"]);
    for key in ["id", "pairs", "order", "seed"] {
        assert_eq!(of_base[key], of_candidate[key], "{key}");
    }
    assert_eq!((of_base["side"].as_str(), of_candidate["side"].as_str()), (Some("base"), Some("candidate")));
    assert_eq!(of_base["order"].as_array().map(Vec::len), Some(pairs));
    for (first, second) in base.variants.iter().zip(&candidate.variants) {
        for (pair, (first, second)) in first.trials.iter().zip(&second.trials).enumerate() {
            assert_eq!((first.index, second.index), (pair as u64, pair as u64));
            assert_eq!(first.order.abs_diff(second.order), 1);
            let base_first = of_base["order"][pair][0] == "base";
            assert_eq!(first.order < second.order, base_first, "pair {pair}: {of_base}");
        }
    }
}

#[test]
fn a_dropped_quote_is_lost_by_every_client() {
    let place = workplace();
    // Number 1,007 is due at 0.9 s, in the window from 0.2 to 1.2 s.
    let set = ["--set", "feed.updates_per_second=1100", "--set", "feed.arrivals=constant"];
    let window = ["--set", "load.measure=1s", "--only", "sse", "--pairs", "1"];
    let servers = ["--base", "self", "--candidate", "self serve --fault drop"];
    let (code, stdout, stderr) = output(ab(place.path(), &[&set[..], &window, &servers].concat()));
    assert!(code <= 1, "{code}: {stdout}{stderr}");
    let [base, candidate] = both(place.path());
    let (plain, faulty) = (&base.variants[0].trials[0], &candidate.variants[0].trials[0]);
    assert_eq!((plain.updates.lost, faulty.updates.lost), (Some(0), Some(4)));
    assert_eq!(plain.updates.expected, faulty.updates.expected);
    assert!(finding(faulty, "server.fault") && finding(faulty, "updates.lost"));
}

#[test]
fn servers_that_run_already_are_compared_by_their_urls() {
    struct Served(Child);
    impl Drop for Served {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let place = workplace();
    let serve = || {
        let options = ["--listen", "127.0.0.1:0", "--updates-per-second", "200"];
        let mut child = loadgen(place.path(), "serve", &options).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().nth(1).expect("serving URL").trim_end_matches('/').to_owned();
        (Served(child), url)
    };
    let ((_first, base), (_second, candidate)) = (serve(), serve());
    let servers = ["--only", "sse", "--pairs", "1", "--base", &base, "--candidate", &candidate];
    let (code, stdout, stderr) = output(ab(place.path(), &servers));
    assert!(code <= 4, "{code}: {stdout}{stderr}");
    let results = both(place.path());
    assert_eq!(results[0].manifest.must_match, results[1].manifest.must_match);
    for (result, url) in results.iter().zip([base, candidate]) {
        assert_eq!(result.manifest.recorded["target"]["command"], url);
        let trial = &result.variants[0].trials[0];
        assert_eq!(trial.status, Status::Complete, "{:?}", trial.error);
        assert!(trial.updates.delivered_once > 100 && trial.updates.lost == Some(0), "{:?}", trial.updates);
    }
}

#[test]
fn what_cannot_be_compared_is_refused_before_a_folder_is_made() {
    let place = workplace();
    let check = |command: Command, expected: &str| {
        let (code, stdout, stderr) = output(command);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        let said = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(said.contains(expected), "{said}");
    };
    let sides = |base, candidate| ab(place.path(), &["--base", base, "--candidate", candidate]);
    check(
        loadgen(place.path(), "ab", &["smoke", "--base", "self", "--candidate", "self", "--pairs", "6"]),
        "--pairs is 6, expected at least 13",
    );
    check(sides("./missing", "self"), "--base: failed to start ./missing");
    check(sides("self", "cat"), "--candidate: cat is no server of ours");
    check(sides("self", "self --fault typo"), "--candidate: self --fault typo cannot be measured");
    assert!(!place.path().join("runs").exists());
}

#[test]
fn a_comparison_that_is_interrupted_leaves_two_partial_results() {
    let place = workplace();
    let arguments = ["--only", "sse", "--pairs", "50", "--base", "self", "--candidate", "self"];
    let mut command = ab(place.path(), &arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let lines = |side: &str| {
        let runs = fs::read_dir(place.path().join("runs/smoke-ab")).ok()?.next()?.ok()?.path();
        Some(fs::read_to_string(runs.join(side).join("trials.jsonl")).ok()?.lines().count())
    };
    for _ in 0..400 {
        if ["base", "candidate"].iter().all(|side| lines(side).is_some_and(|lines| lines >= 2)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it runs");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(3));
    for result in both(place.path()) {
        assert_eq!(result.status, Status::Partial);
        let reason = result.partial_reason.expect("a reason");
        assert!(reason.contains("interrupted by the user"), "{reason}");
        assert!(!result.variants[0].trials.is_empty());
    }
}

#[test]
fn noise_is_measured_and_kept_and_a_broken_ledger_is_refused_first() {
    let place = workplace();
    let scenario = "[feed]\nupdates_per_second = 100.0\n[load]\nclients = 4\nconnect_over = \"10ms\"\n\
                    warmup = \"200ms\"\nmeasure = \"500ms\"\n[[transport]]\nkind = \"sse\"\n";
    fs::write(place.path().join("short.toml"), scenario).unwrap();
    let noise = |more: &[&str]| {
        let arguments = ["--noise", "--pairs", "2", "--scenario", "short.toml"];
        output(loadgen(place.path(), "doctor", &[&arguments[..], more].concat()))
    };
    let (code, stdout, stderr) = noise(&[]);
    // A busy machine voids times, and only times.
    assert!(code == 0 || stdout.contains("Of sse no times were kept"), "{code}: {stdout}{stderr}");
    assert!(stdout.contains("smallest change to be seen") && stdout.contains("too few pairs"), "{stdout}");
    let state = place.path().join(".local/state/tickertape");
    let kept: Vec<PathBuf> = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let ledger: NoiseLedger = serde_json::from_slice(&fs::read(&kept[0]).unwrap()).unwrap();
    assert_eq!(ledger.log_ratios("sse", "updates.lost"), [0.0, 0.0]);
    assert!(ledger.machine.contains_key("kernel") && !ledger.machine.contains_key("rustc"));

    fs::write(place.path().join("broken.json"), "{").unwrap();
    let (code, stdout, stderr) = noise(&["--ledger", "broken.json"]);
    assert!(code == 2 && stderr.contains("broken.json"), "{stderr}");
    assert!(!stdout.contains("smallest change"), "{stdout}");
    assert_eq!(fs::read_to_string(place.path().join("broken.json")).unwrap(), "{");
}
