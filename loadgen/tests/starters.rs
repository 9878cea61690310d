//! The starter servers speak the protocol and can be measured; copies of them with a planted deviation are found out.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use measurement::result::{RunResult, Verdict};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A server of a test, ended with it.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(program: &str, file: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program).arg(file).args(["--port", &port.to_string()]).spawn().unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let until_ns = ticker::clock::now_ns() + 20_000_000_000;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(ticker::clock::now_ns() < until_ns, "{} did not start", file.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn verify(&self, kinds: &[&str]) -> Output {
        let mut command = assert_cmd::Command::cargo_bin("loadgen").unwrap();
        command.args(["verify", &self.url]).timeout(Duration::from_secs(90));
        kinds.iter().for_each(|kind| {
            command.args(["--kind", kind]);
        });
        command.output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const KINDS: [(&str, &[&str]); 3] =
    [("polling", &["polling", "long-polling"]), ("sse", &["sse"]), ("websocket", &["websocket"])];

#[test]
fn every_starter_speaks_the_protocol() {
    for (program, folder, end) in [("node", "node", "mjs"), ("python3", "python", "py")] {
        for (name, kinds) in KINDS {
            let file = root().join("docs/starters").join(folder).join(format!("{name}.{end}"));
            let output = Server::start(program, &file).verify(kinds);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(0), "{}: {text}", file.display());
            assert!(text.contains("The server conforms") && text.matches("\nok ").count() > 15, "{text}");
        }
    }
}

#[test]
fn the_reference_server_speaks_the_protocol_on_every_transport() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let program = assert_cmd::cargo::cargo_bin("loadgen");
    let quic = cfg!(feature = "quic").then_some("--quic");
    let child = Command::new(program).args(["serve", "--listen", &address]).args(quic).spawn().unwrap();
    let server = Server { child, url: format!("http://{address}") };
    let until_ns = ticker::clock::now_ns() + 20_000_000_000;
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(ticker::clock::now_ns() < until_ns, "the server did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = server.verify(&[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("deviates") && !text.contains("absent"), "{text}");
}

/// File of the Python starter, what is replaced by what, and the rule that then is broken.
const MUTANTS: &[(&str, &str, &str, &str)] = &[
    ("feed.py", r#""seq":{seq}"#, r#""seq": {seq}"#, "quote.canonical"),
    ("feed.py", "seq = last() + 1", "seq = last() + 1 + last() % 2", "quote.sequence"),
    ("feed.py", "{100 + seq % 9 * 100}", "{150}", "quote.quantity"),
    ("feed.py", r#""sent":{now()}"#, r#""sent":{due - 1}"#, "quote.times"),
    ("feed.py", "BYTES - len(head) - 2", "BYTES - len(head) - 2 + seq % 2", "quote.length"),
    (
        "feed.py",
        "envelope(newest(quotes), 0, True)",
        "envelope(newest(quotes), 0, False)",
        "envelope.snapshot",
    ),
    ("polling.py", "body, etag=tag", "body, etag=tag[1:]", "polling.etag"),
    ("polling.py", "== tag:", "== 0:", "polling.not-modified"),
    ("polling.py", r#"("after" in query and seen is None) or "#, "", "polling.junk-cursor"),
    ("polling.py", "if seen == last():", "if False:", "long-polling.held"),
    ("polling.py", r#"mode == "latest""#, r#"mode == "x""#, "polling.latest"),
    ("sse.py", "retry: 2000", "retry: 1", "sse.retry"),
    ("sse.py", "id: {seq}", "id: {seq + 1}", "sse.id"),
    ("sse.py", r#"fields.get("last-event-id", "")"#, r#""""#, "sse.resume"),
    ("websocket.py", "258EAFA5", "358EAFA5", "websocket.handshake"),
    ("websocket.py", "if origin and", "if False and", "websocket.foreign-origin"),
    ("websocket.py", "CLOSE, data))", "CLOSE, data[::-1]))", "websocket.pong"),
    (
        "websocket.py",
        r#"or (offered and PROTOCOL not in offered.split(", "))"#,
        "",
        "websocket.unknown-subprotocol",
    ),
];

#[test]
fn a_planted_deviation_is_named() {
    for (file, from, to, rule) in MUTANTS {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(root().join("docs/starters/python")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                // More quotes a second than a learner needs: the test is over sooner.
                let text = fs::read_to_string(&path).unwrap().replacen(
                    "WINDOW, SYMBOLS = 10,",
                    "WINDOW, SYMBOLS = 40,",
                    1,
                );
                fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
            }
        }
        let mutant = folder.path().join(file);
        let text = fs::read_to_string(&mutant).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(&mutant, text.replace(from, to)).unwrap();
        let program = if *file == "feed.py" { "polling.py" } else { file };
        let kinds = KINDS.iter().find(|(name, _)| program.starts_with(name)).unwrap().1;
        let output = Server::start("python3", &folder.path().join(program)).verify(kinds);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{rule}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(text.contains(&format!("deviates  {rule}\n")), "{rule}: {text}");
    }
}

#[test]
fn nothing_to_verify_is_told_by_the_exit_code() {
    let verify = |url: &str| {
        let mut command = assert_cmd::Command::cargo_bin("loadgen").unwrap();
        command.args(["verify", url]).output().unwrap().status.code()
    };
    assert_eq!(verify("http://127.0.0.1:1"), Some(3));
    assert_eq!(verify("http://192.0.2.1"), Some(2));
    assert_eq!(verify("nonsense"), Some(2));
}

#[test]
fn the_starters_are_measured_by_scenario_alone() {
    let runs = tempfile::tempdir().unwrap();
    let set = [
        "load.clients=5",
        "load.connect_over=50ms",
        "load.warmup=300ms",
        "load.measure=1500ms",
        "load.trials=1",
        "transport.polling.interval=200ms",
    ];
    let mut command = assert_cmd::Command::cargo_bin("loadgen").unwrap();
    command
        .current_dir(root())
        .args(["run", "docs/starters/starters.toml", "--quiet", "--out"])
        .arg(runs.path());
    set.iter().for_each(|set| {
        command.args(["--set", set]);
    });
    let output = command.timeout(Duration::from_secs(120)).output().unwrap();
    let folder = fs::read_dir(runs.path().join("starters")).unwrap().next().unwrap().unwrap().path();
    let result = fs::read_to_string(folder.join("result.json")).unwrap();
    let result: RunResult = serde_json::from_str(&result).unwrap();
    assert_eq!(result.variants.len(), 8, "{}", String::from_utf8_lossy(&output.stderr));
    for variant in &result.variants {
        let trial = &variant.trials[0];
        let name = &variant.name;
        assert_eq!((trial.error.as_deref(), trial.clients.connected), (None, 5), "{name}");
        assert!(trial.updates.expected > Some(40), "{name}: {:?}", trial.updates);
        assert_eq!(Some(trial.updates.delivered_once), trial.updates.expected, "{name}: {:?}", trial.updates);
        assert_eq!(trial.updates.duplicated, Some(0), "{name}");
        assert!(trial.bytes.balanced, "{name}: {:?}", trial.bytes);
        let classes = trial.validity.classes;
        assert_eq!(
            (classes.counts, classes.bytes),
            (Verdict::Ok, Verdict::Ok),
            "{name}: {:?}",
            trial.validity
        );
        // Their numbers, symbols and times make staleness known, as the reference servers' schedule does.
        assert!(
            trial.per_symbol.is_some() && trial.publisher_lag.is_some(),
            "{name}: {:?}",
            trial.unavailable
        );
        assert!(trial.server.cpu_seconds.is_some(), "{name}");
    }
}
