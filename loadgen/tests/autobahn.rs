//! The Autobahn cases against our WebSocket server and client, driven by kosoku; reports are in `target/autobahn`.
//!
//! It installs nothing: `scripts/test` and `scripts/nightly` do.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![expect(clippy::wildcard_enum_match_arm, reason = "any other error is a failed test")]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use loadgen::{
    clients::echo::{self, Agent, Connection},
    endpoint::Endpoint,
    worker::ClientError,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};

/// What each suite may take; on two cores it takes 7 to 13 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// The cases of compression send a thousand messages each.
const LONG_PATIENCE: Duration = Duration::from_secs(1_200);
/// Compression and its parameters.
const DEFLATE: [&str; 2] = ["12.*", "13.*"];
/// Text that is broken in the middle of a frame: tungstenite finds it when the frame has ended, which is allowed.
const NON_STRICT: [&str; 2] = ["6.4.3", "6.4.4"];
const FEWEST_CASES: usize = 240;
const AGENT: Agent<'_> = Agent { name: "tickertape", extensions: None };

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The suite with the cases of [`DEFLATE`] only (`-i`) or all others (`-x`), reporting into a fresh folder.
fn kosoku(mode: &str, deflate: &str, reports: &Path, address: &str) -> Command {
    let program = root().join("target/tools/python/bin/kosoku");
    assert!(program.exists(), "{} is not there: ./scripts/test installs it", program.display());
    let _ = std::fs::remove_dir_all(reports);
    let mut command = Command::new(program);
    command.args(["-m", mode, "-p", "2", "-o"]).arg(reports).arg(address);
    for cases in DEFLATE {
        command.args([deflate, cases]);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn reports(name: &str) -> PathBuf {
    root().join("target/autobahn").join(name)
}

/// Reads a suite's report: how many cases there were, or what is wrong with it.
fn judge(index: &Value, fewest: usize, known: &[&str]) -> Result<usize, String> {
    let agents = index.as_object().ok_or("no report")?;
    let cases: Vec<_> = agents.values().filter_map(Value::as_object).flatten().collect();
    let good = |verdict: &Value| {
        verdict.as_str().is_some_and(|verdict| ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&verdict))
    };
    let bad = |case: &&(&String, &Value)| !good(&case.1["behavior"]) || !good(&case.1["behaviorClose"]);
    let bad: Vec<_> = cases.iter().filter(bad).collect();
    if !bad.is_empty() {
        return Err(format!("cases failed: {bad:#?}"));
    }
    let is_non_strict = |case: &&(&String, &Value)| {
        case.1["behavior"] == "NON-STRICT" || case.1["behaviorClose"] == "NON-STRICT"
    };
    let mut non_strict: Vec<&str> = cases.iter().filter(is_non_strict).map(|case| case.0.as_str()).collect();
    non_strict.sort_unstable();
    if non_strict != known {
        return Err(format!("non-strict are {non_strict:?}, expected {known:?}"));
    }
    match cases.len() {
        ran if ran >= fewest => Ok(ran),
        ran => Err(format!("{ran} cases ran, expected at least {fewest}")),
    }
}

fn index(reports: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(reports.join("index.json")).unwrap()).unwrap()
}

fn judged(reports: &Path) -> usize {
    judge(&index(reports), FEWEST_CASES, &NON_STRICT).unwrap()
}

#[test]
fn a_report_with_one_fault_is_refused() {
    let judge = |report: &Value| judge(report, FEWEST_CASES, &NON_STRICT);
    let verdict = |behavior: &str, close: &str| json!({"behavior": behavior, "behaviorClose": close});
    let report = |changes: &[(&str, Value)]| {
        let mut cases: serde_json::Map<String, Value> =
            (1..=FEWEST_CASES).map(|n| (format!("1.1.{n}"), verdict("OK", "OK"))).collect();
        cases.extend(NON_STRICT.map(|case| (case.to_owned(), verdict("NON-STRICT", "OK"))));
        cases.extend(changes.iter().map(|(case, verdict)| ((*case).to_owned(), verdict.clone())));
        json!({ "agent": cases })
    };
    assert_eq!(judge(&report(&[])), Ok(FEWEST_CASES + 2));
    assert_eq!(judge(&report(&[("7.1.6", verdict("INFORMATIONAL", "INFORMATIONAL"))])), Ok(FEWEST_CASES + 3));
    for fault in [
        ("6.1.1", verdict("FAILED", "OK")),
        ("6.1.1", verdict("OK", "UNCLEAN")),
        ("6.1.1", verdict("OK", "WRONG CODE")),
        ("6.1.1", verdict("UNIMPLEMENTED", "OK")),
        ("6.1.1", verdict("NON-STRICT", "OK")),
        ("6.4.3", verdict("OK", "OK")),
        ("6.1.1", json!({})),
    ] {
        assert!(judge(&report(std::slice::from_ref(&fault))).is_err(), "{fault:?}");
    }
    assert!(judge(&json!({})).is_err());
    assert!(judge(&json!({ "agent": { "1.1.1": verdict("OK", "OK") } })).is_err());
}

/// A server with its echo; it ends with its standard input. A ping in the middle of a case that counts messages would
/// end the case: the suite takes it for the last answer.
async fn serve(more: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>, String) {
    let mut server = Command::new(assert_cmd::cargo::cargo_bin!("loadgen"))
        .args(["serve", "--control", "stdio", "--echo", "--scan", "--heartbeat", "10m"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let hello: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let address = hello["address"].as_str().unwrap().to_owned();
    (server, lines, address)
}

/// The server's figures when nobody but the one who asks is connected.
async fn figures(address: &str) -> Value {
    for _ in 0..100 {
        let answer = reqwest::get(format!("http://{address}/stats")).await.unwrap().text().await.unwrap();
        let figures: Value = serde_json::from_str(&answer).unwrap();
        if figures["connections"]["open"] == 1 {
            return figures;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("connections stay open after the suite");
}

#[tokio::test]
async fn the_server_passes_every_case_through_the_fan_out() {
    let (mut server, _lines, address) = serve(&[]).await;
    let reports = reports("server");
    let mut suite = kosoku("fuzzingclient", "-x", &reports, &format!("ws://{address}/ws/echo"));
    let output = timeout(PATIENCE, suite.output()).await.expect("the suite takes too long").unwrap();
    assert!(output.status.success(), "{output:?}");
    let cases = judged(&reports) as u64;

    let figures = figures(&address).await;
    let identity = &figures["identity"];
    assert!(identity["checked"].as_u64() >= Some(cases), "{identity}");
    assert_eq!((&identity["mismatched"], &identity["unknown"]), (&json!(0), &json!(0)), "{identity}");
    // Connections with broken frames are said to be unreadable, not guessed at.
    assert!(figures["layers"]["unreadable"].as_u64() > Some(20), "{figures}");
    drop(server.stdin.take());
    let status = timeout(PATIENCE, server.wait()).await.expect("the server does not stop").unwrap();
    assert!(status.success(), "{status:?}");
}

#[tokio::test]
async fn compression_is_refused_and_the_connection_goes_on_without() {
    let (_server, _lines, address) = serve(&[]).await;
    let reports = reports("server-deflate");
    let mut suite = kosoku("fuzzingclient", "-i", &reports, &format!("ws://{address}/ws/echo"));
    timeout(PATIENCE, suite.output()).await.expect("the suite takes too long").unwrap();
    let index = index(&reports);
    let cases: Vec<&Value> = index
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_object)
        .flatten()
        .map(|case| case.1)
        .collect();
    assert!(cases.len() > 200, "{} cases ran", cases.len());
    for case in cases {
        assert_eq!(
            (&case["behavior"], &case["behaviorClose"]),
            (&json!("UNIMPLEMENTED"), &json!("OK")),
            "{case}"
        );
    }
}

/// Both kinds of compression, case by case as a browser might offer it.
#[tokio::test]
#[ignore = "ten minutes, see scripts/nightly"]
async fn the_server_passes_every_case_of_compression() {
    for how in ["takeover", "no-takeover"] {
        let (_server, _lines, address) = serve(&["--deflate", how]).await;
        let reports = reports(&format!("server-deflate-{how}"));
        let mut suite = kosoku("fuzzingclient", "-i", &reports, &format!("ws://{address}/ws/echo"));
        timeout(LONG_PATIENCE, suite.output()).await.expect("the suite takes too long").unwrap();
        judge(&index(&reports), 216, &[]).unwrap();
        let identity = &figures(&address).await["identity"];
        assert_eq!((&identity["mismatched"], &identity["unknown"]), (&json!(0), &json!(0)), "{identity}");
    }
}

#[tokio::test]
async fn the_client_passes_every_case_and_its_ledger_is_never_wrong() {
    timeout(PATIENCE, client()).await.expect("the suite takes too long");
}

async fn client() {
    let reports = reports("client");
    let mut suite = kosoku("fuzzingserver", "-x", &reports, "127.0.0.1:0");
    let mut suite = suite.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (address, mut errors) = listening(&mut suite).await;
    let endpoint = Endpoint::reference(address.parse().unwrap(), None).unwrap();
    let count = echo::case_count(&endpoint).await.unwrap();
    let mut unreadable = 0;
    for number in 1..=count {
        let connection = echo::run_case(&endpoint, number, &AGENT).await.unwrap();
        unreadable += u32::from(hold(number, &connection));
    }
    echo::update_reports(&endpoint, &AGENT).await.unwrap();
    let status = suite.wait().await.unwrap();
    let mut said = String::new();
    errors.read_to_string(&mut said).await.unwrap();
    assert!(status.success(), "{said}");
    assert_eq!(judged(&reports), count as usize);
    assert!(unreadable > 20, "only {unreadable} connections were unreadable to the scanner");
}

/// The address that the suite says that it listens on, and the rest of what it says.
async fn listening(suite: &mut Child) -> (String, BufReader<ChildStderr>) {
    let mut errors = BufReader::new(suite.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).await.unwrap();
    let address = line.trim().rsplit_once("ws://").unwrap_or_else(|| panic!("no address: {line}")).1;
    (address.to_owned(), errors)
}

/// Holds one connection's books against what became of it. Whether the scanner could not follow.
fn hold(number: u32, connection: &Connection) -> bool {
    let books = &connection.books;
    let balanced = books.received.balanced() && books.sent.balanced();
    let shown = || format!("case {number}: {connection:#?}");
    // Whatever came: the socket's own count is the kernel's.
    assert_eq!((books.check.checked, books.check.mismatched), (1, 0), "{}", shown());
    let Some(error) = &connection.error else {
        assert!(balanced && books.unclaimed == 0 && connection.disagreements.is_empty(), "{}", shown());
        return false;
    };
    let frames_are_whole = match error {
        // Text that is none, in frames that are.
        ClientError::WebSocket(Error::Utf8(_)) => true,
        // Whole frames where none may be, and a close frame of one byte.
        ClientError::WebSocket(Error::Protocol(
            ProtocolError::ReceivedAfterClosing | ProtocolError::InvalidCloseSequence,
        )) => true,
        // The first reserved bit means compression to the scanner, which does not know that none was agreed upon.
        // Nobody claims such a message.
        ClientError::WebSocket(Error::Protocol(ProtocolError::NonZeroReservedBits)) => books.unclaimed == 1,
        ClientError::WebSocket(Error::Protocol(_)) => false,
        _ => panic!("{}", shown()),
    };
    assert_eq!(balanced, frames_are_whole, "{}", shown());
    assert!(books.unclaimed <= 1, "{}", shown());
    !balanced
}
