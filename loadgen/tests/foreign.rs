//! Servers of somebody else's, measured by scenario alone: planted faults exactly, bytes as the server counted them.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use measurement::result::{RunResult, Severity, Trial, Variant, Verdict};
use serde_json::Value;

const CLIENTS: u64 = 3;
const FEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/feed.py");
const SECRET: &str = "a-token-that-must-not-be-shown";

struct Run {
    output: Output,
    folder: PathBuf,
    result: RunResult,
}

/// Runs a scenario as a user would. `{FEED}` and `{HERE}` are filled in.
fn run(here: &Path, load: &str, transports: &str) -> Run {
    let text = format!(
        "title = \"Somebody else's\"\n[load]\ntrials = 1\nheaders = \"minimal\"\n{load}\n{transports}"
    )
    .replace("{FEED}", FEED)
    .replace("{HERE}", here.to_str().unwrap());
    let scenario = here.join("foreign.toml");
    fs::write(&scenario, text).unwrap();
    let output = assert_cmd::Command::cargo_bin("loadgen")
        .unwrap()
        .args(["run", scenario.to_str().unwrap(), "--out", here.join("runs").to_str().unwrap()])
        .env("TOKEN", SECRET)
        .timeout(std::time::Duration::from_secs(120))
        .output()
        .unwrap();
    let shown = || String::from_utf8_lossy(&output.stderr).into_owned();
    let folder = fs::read_dir(here.join("runs/foreign")).unwrap_or_else(|_| panic!("{}", shown()));
    let folder = folder.map(|entry| entry.unwrap().path()).max().unwrap();
    let result = fs::read_to_string(folder.join("result.json")).unwrap();
    Run { result: serde_json::from_str(&result).unwrap(), output, folder }
}

impl Run {
    fn variant(&self, name: &str) -> &Variant {
        self.result.variants.iter().find(|variant| variant.name == name).unwrap()
    }

    fn trial(&self, name: &str) -> &Trial {
        let trial = &self.variant(name).trials[0];
        assert_eq!(trial.error, None, "{name}");
        trial
    }
}

fn codes(trial: &Trial) -> Vec<&str> {
    trial.validity.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn is_lost(number: u64) -> bool {
    number.is_multiple_of(50)
}

fn is_doubled(number: u64) -> bool {
    number.is_multiple_of(70) && !is_lost(number)
}

/// What the server counted on its own sockets, over all connections with that path.
fn counted(log: &Path, path: &str) -> (u64, u64) {
    let lines = fs::read_to_string(log).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.filter(|line| line["path"] == path).collect();
    assert_eq!(lines.len() as u64, CLIENTS, "connections to {path}");
    let sum = |key: &str| lines.iter().map(|line| line[key].as_u64().unwrap()).sum();
    (sum("written"), sum("read"))
}

const FAULTS: &str = r#"
[[transport]]
kind = "websocket"
name = "socket"
url = "ws://127.0.0.1:{port}/feed"
[transport.server]
command = "python3 {FEED} --port {port} --log {HERE}/socket.log"
ready = "/healthz"
[transport.open]
send = ['{"method":"SUBSCRIBE"}']
keepalive = { every = "500ms", send = "ping" }
[transport.message]
when = { "/e" = "trade" }
symbol = "/s"
symbol_sequence = "/t"
sent_at = "/E"

[[transport]]
kind = "sse"
name = "events"
url = "http://127.0.0.1:{port}/events"
[transport.server]
command = "python3 {FEED} --port {port} --log {HERE}/events.log"
[transport.message]
event = "tick"
sequence = "/seq"
sent_at = "/data/ts"
sent_at_unit = "rfc3339"

[[transport]]
kind = "polling"
name = "polls"
interval = "2ms"
url = "http://127.0.0.1:{port}/poll?since={after}"
[transport.server]
command = "python3 {FEED} --port {port} --log {HERE}/polls.log"
[transport.message]
items = "/items"
sequence = "/id"
sent_at = "/at"
sent_at_unit = "us"
cursor = "/next"

[[transport]]
kind = "long-polling"
name = "held"
url = "http://127.0.0.1:{port}/wait?since={after}"
[transport.server]
command = "python3 {FEED} --port {port} --log {HERE}/held.log"
[transport.message]
items = "/items"
sequence = "/id"
sent_at = "/at"
sent_at_unit = "us"
cursor = "/next"
"#;

#[test]
fn known_faults_of_a_strangers_server_are_measured_exactly() {
    let here = tempfile::tempdir().unwrap();
    let load = "clients = 3\nconnect_over = \"100ms\"\nwarmup = \"1s\"\nmeasure = \"6s\"";
    let run = run(here.path(), load, FAULTS);
    for (name, path) in [("socket", "/feed"), ("events", "/events"), ("polls", "/poll"), ("held", "/wait")] {
        let trial = run.trial(name);
        let updates = &trial.updates;
        let (first, last) = updates.window_sequences.unwrap();
        let of =
            |planted: fn(u64) -> bool| Some(CLIENTS * (first..=last).filter(|&n| planted(n)).count() as u64);
        assert!(last - first + 1 >= 110, "{name}: {updates:?}");
        assert_eq!(updates.expected, Some(CLIENTS * (last - first + 1)), "{name}: {updates:?}");
        assert_eq!(updates.lost, of(is_lost), "{name}: {updates:?}");
        assert_eq!(updates.duplicated, of(is_doubled), "{name}: {updates:?}");
        assert_eq!((updates.reordered, updates.pending_at_end), (Some(0), Some(0)), "{name}: {updates:?}");
        assert!(updates.add_up() && updates.lost > Some(0), "{name}: {updates:?}");

        let (bytes, classes) = (&trial.bytes, trial.validity.classes);
        let ours = (bytes.whole_life.received.socket_total, bytes.whole_life.sent.socket_total);
        assert_eq!(ours, counted(&here.path().join(format!("{name}.log")), path), "{name}: {bytes:?}");
        assert!(bytes.balanced, "{name}: {bytes:?}");
        assert_eq!(
            (classes.counts, classes.bytes),
            (Verdict::Ok, Verdict::Ok),
            "{name}: {:?}",
            trial.validity
        );
        assert!(trial.server.cpu_seconds > Some(0.0) && trial.server.rss_bytes > Some(0), "{name}");

        let delay = trial.delivery_delay.as_ref().unwrap().p50_us;
        if classes.timing == Verdict::Ok {
            let off = delay.unwrap() - 40_000.0;
            assert!(off.abs() < 2_000.0, "{name}: {off} µs beside the 40 ms of the hold");
        }
    }
    let socket = run.trial("socket");
    assert!(codes(socket).contains(&"messages.skipped"), "{:?}", codes(socket));
    assert!(socket.per_symbol.is_some() && socket.unavailable.contains_key("transit"));
    // An empty ping each half second and its pong: 6 and 2 bytes.
    let pings = socket.bytes.sent.transport_framing / 6;
    assert!((30..=40).contains(&pings), "{:?}", socket.bytes.sent);
    let text = String::from_utf8_lossy(&run.output.stdout).into_owned();
    assert!(!text.contains("over 8 symbols"), "{text}");
}

const WORDS: &str = r#"
[[transport]]
kind = "sse"
name = "text"
url = "http://127.0.0.1:{port}/text"
[transport.server]
command = "python3 {FEED} --port {port}"
[transport.message]
format = "text"
pattern = '(?<symbol>[A-Z]+) (?<sequence>\d+) at (?<sent_at>[\d.]+)'
sent_at_unit = "s"

[[transport]]
kind = "polling"
name = "state"
interval = "100ms"
url = "http://127.0.0.1:{port}/state"
[transport.server]
command = "python3 {FEED} --port {port}"
[transport.message]
sequence = "/id"
sent_at = "/at_us"
sent_at_unit = "us"
snapshot = true

[[transport]]
kind = "polling"
name = "impatient"
interval = "300ms"
url = "http://127.0.0.1:{port}/poll?since={after}"
[transport.server]
command = "python3 {FEED} --port {port} --idle 0.3"
[transport.message]
items = "/items"
sequence = "/id"
sent_at = "/at"
sent_at_unit = "us"
cursor = "/next"

[[transport]]
kind = "sse"
name = "another clock"
url = "http://127.0.0.1:{port}/events"
[transport.server]
command = "python3 {FEED} --port {port} --clock-ahead 5"
[transport.message]
event = "tick"
sequence = "/seq"
sent_at = "/data/ts"
sent_at_unit = "rfc3339"
clock = "endpoint"

[[transport]]
kind = "websocket"
name = "secure"
url = "wss://localhost:{port}/feed"
ca = "{HERE}/ca.pem"
[transport.server]
command = "python3 {FEED} --port {port} --certificate {HERE}/server.pem {HERE}/server.key --token ${TOKEN}"
[transport.open]
headers = { Authorization = "Bearer ${TOKEN}" }
send = ['{"method":"SUBSCRIBE","token":"${TOKEN}"}']
[transport.message]
symbol = "/s"
"#;

/// A certificate of our own authority for localhost.
fn write_certificates(here: &Path) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    fs::write(here.join("ca.pem"), certificate.pem()).unwrap();
    fs::write(here.join("server.pem"), server.pem()).unwrap();
    fs::write(here.join("server.key"), key.serialize_pem()).unwrap();
}

#[test]
fn text_states_other_clocks_and_tls_are_understood_and_secrets_are_not_shown() {
    let here = tempfile::tempdir().unwrap();
    write_certificates(here.path());
    let load = "clients = 3\nconnect_over = \"100ms\"\nwarmup = \"500ms\"\nmeasure = \"3s\"";
    let run = run(here.path(), load, WORDS);
    for variant in &run.result.variants {
        let trial = run.trial(&variant.name);
        assert!(trial.bytes.balanced && trial.updates.received_in_window > 0, "{}: {trial:?}", variant.name);
        let broken = trial.validity.findings.iter().find(|finding| {
            finding.severity == Severity::Invalid && !format!("{:?}", finding.class).contains("Timing")
        });
        assert_eq!(broken, None, "{}", variant.name);
    }
    let text = run.trial("text");
    assert!(text.delivery_delay.is_some() && text.updates.expected > Some(0), "{:?}", text.updates);

    let state = run.trial("state");
    let (updates, requests) = (&state.updates, state.requests.unwrap());
    assert!(updates.coalesced > Some(0) && updates.lost == Some(0), "{updates:?}");
    assert_eq!(updates.duplicated, Some(0), "an answer that repeats the state is no duplicate: {updates:?}");
    assert!(requests.useful > 0, "{requests:?}");

    // The server closes connections just when the next poll is due: some requests cross its close.
    let impatient = run.trial("impatient");
    let clients = &impatient.clients;
    assert!(clients.reconnected > 5 && clients.disconnected == 0, "{clients:?}");
    assert_eq!(impatient.updates.pending_at_end, Some(0), "{:?}", impatient.updates);

    let other = run.trial("another clock");
    let clock = other.clock.clone().unwrap();
    assert!((clock.offset_us - 5e6).abs() < 10_000.0 && clock.samples == 120, "{clock:?}");
    assert!(clock.error_us < 20_000.0 && clock.drift_ppm.is_some(), "{clock:?}");
    let delay = other.delivery_delay.as_ref().unwrap().mean_us.unwrap();
    assert!((delay - 40_000.0).abs() < 10_000.0 + clock.error_us, "{delay} µs by {clock:?}");

    let secure = run.trial("secure");
    assert!(secure.bytes.received.tls > 0 && secure.bytes.handshake.received.tls > 500, "{:?}", secure.bytes);
    assert!(secure.delivery_delay.is_none() && secure.updates.lost.is_none());
    assert!(secure.inter_arrival.is_some() && secure.connect.is_some() && secure.first_update.is_some());
    for code in ["feed.unnumbered", "feed.timeless"] {
        assert!(codes(secure).contains(&code), "{:?}", codes(secure));
    }
    assert!(secure.unavailable["delivery_delay"].contains("do not say when"), "{:?}", secure.unavailable);
    no_secret(&run);
}

/// Neither on the terminal nor in any file.
fn no_secret(run: &Run) {
    for text in [&run.output.stdout, &run.output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(SECRET));
    }
    let mut folders = vec![run.folder.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "{}", path.display());
        }
    }
    assert!(files > 5);
    let log = fs::read_to_string(run.folder.join("server-secure.log")).unwrap();
    assert!(log.contains("${TOKEN}"), "what the server printed is shown without the secret: {log}");
    let plan = run.result.scenario.plan.to_string();
    assert!(plan.contains("Bearer ${TOKEN}"), "{plan}");
}

/// The server as a process of ours, ended with the test.
struct Stranger {
    child: std::process::Child,
    port: u16,
}

impl Stranger {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child =
            std::process::Command::new("python3").args([FEED, "--port", &port.to_string()]).spawn().unwrap();
        let stranger = Self { child, port };
        let until_ns = ticker::clock::now_ns() + 20_000_000_000;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(ticker::clock::now_ns() < until_ns, "the server did not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loadgen(arguments: &[&str]) -> Output {
    let mut command = assert_cmd::Command::cargo_bin("loadgen").unwrap();
    command.args(arguments).timeout(std::time::Duration::from_secs(60)).output().unwrap()
}

/// Findings of a machine that is busy with something else; they void times and cost.
const STARVED: [&str; 3] = ["machine.steal", "loadgen.run_delay", "loadgen.lag."];

#[test]
fn what_probe_prints_runs_and_a_running_process_is_watched() {
    let stranger = Stranger::start();
    let here = tempfile::tempdir().unwrap();
    let at = |scheme: &str, path: &str| format!("{scheme}://127.0.0.1:{}{path}", stranger.port);
    let pid = format!("transport.{{}}.server.pid={}", stranger.child.id());
    let cases: [(&str, String, &[&str], &[&str]); 5] = [
        (
            "websocket",
            at("ws", "/feed"),
            &["--send", r#"{"method":"SUBSCRIBE"}"#],
            &[r#"when = { "/e" = "trade" }"#, r#"sequence = "/t""#, r#"sent_at_unit = "ms""#],
        ),
        ("sse", at("http", "/events"), &[], &[r#"event = "tick""#, r#"sent_at = "/data/ts""#, "rfc3339"]),
        ("sse", at("http", "/text"), &[], &["(?<sequence>", "(?<sent_at>"]),
        (
            "polling",
            at("http", "/poll?since={after}"),
            &[],
            &[r#"items = "/items""#, r#"sequence = "/id""#, r#"cursor = "/next""#],
        ),
        (
            "long-polling",
            at("http", "/wait?since={after}"),
            &[],
            &[r#"items = "/items""#, r#"sequence = "/id""#],
        ),
    ];
    for (kind, url, more, expected) in cases {
        let arguments = [&["probe", &url, "--kind", kind], more].concat();
        let output = loadgen(&arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(text.matches("#   ").count(), 3, "three messages are shown: {text}");
        for line in expected {
            assert!(text.contains(line), "{url}: no {line} in {text}");
        }
        let scenario = here.path().join("probed.toml");
        fs::write(&scenario, &text).unwrap();
        let out = here.path().join("runs");
        let pid = pid.replace("{}", kind);
        let arguments = [
            "run",
            scenario.to_str().unwrap(),
            "--quiet",
            "--out",
            out.to_str().unwrap(),
            "--set",
            "load.trials=1",
            "--set",
            "load.clients=2",
            "--set",
            "load.warmup=300ms",
            "--set",
            "load.measure=1500ms",
            "--set",
            "defaults.interval=100ms",
            "--set",
            &pid,
        ];
        let output = loadgen(&arguments);
        // A machine that takes the processor away voids times: that alone is no fault of the scenario.
        let table = String::from_utf8_lossy(&output.stdout);
        let mut void = table.lines().filter_map(|line| line.split_once(" INVALID, ")).peekable();
        let of_the_machine = void.peek().is_some()
            && void.all(|(_, code)| STARVED.iter().any(|known| code.starts_with(known)));
        assert!(
            output.status.success() || output.status.code() == Some(3) && of_the_machine,
            "{url}: {table}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let folder =
            fs::read_dir(out.join("probed")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
        let result: RunResult =
            serde_json::from_str(&fs::read_to_string(folder.join("result.json")).unwrap()).unwrap();
        let trial = &result.variants[0].trials[0];
        assert!(
            trial.updates.delivered_once > 40 && trial.delivery_delay.is_some(),
            "{url}: {:?}",
            trial.updates
        );
        assert!(trial.server.cpu_seconds.is_some() && trial.bytes.balanced, "{url}: {:?}", trial.server);
    }
    let output = loadgen(&["probe", &at("http", "/nothing"), "--kind", "sse"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("404"), "{output:?}");
}

#[test]
fn a_command_that_fails_says_so_with_its_last_words() {
    let here = tempfile::tempdir().unwrap();
    let transports = r#"
[[transport]]
kind = "sse"
url = "http://127.0.0.1:{port}/events"
[transport.server]
command = "python3 {FEED} --port {port} --no-such-option"
"#;
    let run = run(here.path(), "clients = 1\nmeasure = \"1s\"", transports);
    let error = run.result.variants[0].trials[0].error.clone().unwrap();
    assert!(error.contains("ended by itself") && error.contains("--no-such-option"), "{error}");
    assert_eq!(run.output.status.code(), Some(3));
}
