//! Echo and chat by servers that others wrote: what is counted at the reference server is counted there too.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{fs, path::Path, process::Command};

use measurement::result::{RunResult, Trial, Verdict};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One trial of each variant of a scenario of the repository, by name.
fn run(scenario: &str) -> Vec<(String, Trial)> {
    // A package that is to be fetched first would make a server late.
    let installed = Command::new(Path::new(ROOT).join("scripts/others")).arg("--install").status().unwrap();
    assert!(installed.success());
    let here = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", &format!("scenarios/{scenario}.toml"), "--out", here.path().to_str().unwrap()])
        .args(["--set", "load.measure=2s", "--set", "load.warmup=500ms"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    let shown = || String::from_utf8_lossy(&output.stderr).into_owned();
    let folder = fs::read_dir(here.path().join(scenario)).unwrap_or_else(|_| panic!("{}", shown()));
    let folder = folder.map(|entry| entry.unwrap().path()).max().unwrap();
    let result: RunResult =
        serde_json::from_str(&fs::read_to_string(folder.join("result.json")).unwrap()).unwrap();
    result.variants.into_iter().map(|mut variant| (variant.name, variant.trials.remove(0))).collect()
}

/// Everything that is said comes back once, and every byte has its layer.
fn check(name: &str, trial: &Trial, clients: u64) {
    assert_eq!(trial.error, None, "{name}");
    assert_eq!((trial.clients.connected, trial.clients.disconnected), (clients, 0), "{name}");
    let (updates, bytes) = (&trial.updates, &trial.bytes);
    assert!(updates.expected > Some(0), "{name}: {updates:?}");
    assert_eq!(Some(updates.delivered_once), updates.expected, "{name}: {updates:?}");
    assert_eq!([updates.lost, updates.duplicated], [Some(0); 2], "{name}: {updates:?}");
    assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{name}: {bytes:?}");
    let classes = trial.validity.classes;
    assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{name}: {:?}", trial.validity);
}

#[test]
fn echo_by_node_and_python_has_the_bytes_of_the_reference_server() {
    let trials = run("echo-others");
    assert_eq!(trials.len(), 6);
    let each: Vec<_> = trials
        .iter()
        .map(|(name, trial)| {
            check(name, trial, 20);
            let (bytes, updates) = (&trial.bytes, &trial.updates);
            let received = bytes.received.payload / updates.received_in_window;
            // A frame of the server has a head of 2 bytes, one of the client 4 more for its mask (RFC 6455 section 5.2).
            assert_eq!(bytes.received.transport_framing, 2 * updates.received_in_window, "{name}: {bytes:?}");
            assert_eq!(bytes.sent.transport_framing * received, 6 * bytes.sent.payload, "{name}: {bytes:?}");
            received
        })
        .collect();
    assert_eq!(each, [120; 6]);
}

#[test]
fn a_chat_of_node_is_heard_as_that_of_the_reference_server() {
    let trials = run("chat-others");
    let said: Vec<u64> = trials
        .iter()
        .map(|(name, trial)| {
            check(name, trial, 50);
            trial.updates.expected.unwrap()
        })
        .collect();
    // Whoever carries it, the same is said.
    assert!(said.len() == 3 && said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
}
