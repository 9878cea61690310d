//! Socket.IO against the official client and the official server, on every carrier.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{fs, future::pending, net::Ipv4Addr, process::Command, time::Duration};

use measurement::result::{RunResult, Verdict};
use serde_json::Value;
use servers::{Settings, Start};
use ticker::FeedSettings;
use tokio::sync::oneshot;

use crate::peers;

const LIMIT: Duration = Duration::from_secs(30);
const QUOTES: u64 = 60;

/// What the official client hears of our server.
async fn heard(carriers: &str, symbols: &str) -> Value {
    let feed = FeedSettings { updates_per_second: 200.0, ..FeedSettings::default() };
    let listener = servers::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings { feed, heartbeat: Duration::from_millis(200), ..Settings::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    };
    let server = tokio::spawn(servers::serve(listener, settings, async { Start::now() }, shutdown));
    let folder = peers::folder();
    let output = tokio::process::Command::new("node")
        .args(["socketio_client.mjs", &url, carriers, &QUOTES.to_string(), symbols])
        .current_dir(folder)
        .output();
    let output = tokio::time::timeout(LIMIT, output).await.unwrap().expect("node is there");
    stop.send(()).unwrap();
    let stats = tokio::time::timeout(LIMIT, server).await.unwrap().unwrap().unwrap();
    assert_eq!((stats.connections.open, stats.identity.mismatched), (0, 0), "{carriers}: {stats:?}");
    let shown = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{carriers}: {error}: {shown}"))
}

fn seqs(quotes: &Value) -> Vec<u64> {
    quotes.as_array().unwrap().iter().map(|quote| quote["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_official_client_gets_a_snapshot_and_every_quote_after_it_on_every_carrier() {
    for (carriers, on, upgraded) in [
        ("websocket", "websocket", false),
        ("polling", "polling", false),
        ("polling,websocket", "websocket", true),
    ] {
        let heard = heard(carriers, "").await;
        assert_eq!(heard["reason"], Value::Null, "{carriers}: {heard}");
        assert_eq!((&heard["carrier"], &heard["upgraded"]), (&on.into(), &upgraded.into()), "{carriers}");
        assert_eq!(heard["snapshots"].as_array().unwrap().len(), 1, "{carriers}");
        let last = heard["snapshots"][0]["last"].as_u64().unwrap();
        assert_eq!(seqs(&heard["quotes"]), (last + 1..=last + QUOTES).collect::<Vec<_>>(), "{carriers}");
    }
}

#[tokio::test]
async fn the_official_client_gets_the_rooms_it_asks_for() {
    let heard = heard("websocket", "ACME,BOLT").await;
    assert_eq!(heard["reason"], Value::Null, "{heard}");
    let shown = heard["snapshots"][0]["quotes"].as_array().unwrap();
    for quote in shown.iter().chain(heard["quotes"].as_array().unwrap()) {
        assert!(quote["sym"] == "ACME" || quote["sym"] == "BOLT", "{quote}");
    }
    assert!(seqs(&heard["quotes"]).is_sorted());
}

/// A session of each carrier with somebody else's server, which wants to be told what to send.
fn transports() -> String {
    let transport = |carrier| {
        format!(
            r#"
[[transport]]
kind = "socketio"
carrier = "{carrier}"
url = "http://127.0.0.1:{{port}}/socket.io/"
[transport.server]
command = "node {}/socketio_server.mjs {{port}}"
[transport.open]
send = ['["subscribe",["ACME"],7]']
[transport.message]
event = "quote"
sequence = "/seq"
sent_at = "/ts"
"#,
            peers::folder().display()
        )
    };
    ["upgrade", "websocket", "polling"].map(transport).concat()
}

#[test]
fn our_client_gets_every_event_of_the_official_server_on_every_carrier() {
    let here = tempfile::tempdir().unwrap();
    let load = "clients = 4\nconnect_over = \"200ms\"\nwarmup = \"500ms\"\nmeasure = \"4s\"\ntrials = 1";
    let scenario = here.path().join("theirs.toml");
    fs::write(&scenario, format!("title = \"Theirs\"\n[load]\n{load}\n{}", transports())).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", scenario.to_str().unwrap(), "--out", here.path().join("runs").to_str().unwrap()])
        .output()
        .unwrap();
    let shown = || String::from_utf8_lossy(&output.stderr).into_owned();
    let folder = fs::read_dir(here.path().join("runs/theirs")).unwrap_or_else(|_| panic!("{}", shown()));
    let folder = folder.map(|entry| entry.unwrap().path()).max().unwrap();
    let result = fs::read_to_string(folder.join("result.json")).unwrap();
    let result: RunResult = serde_json::from_str(&result).unwrap();
    let names: Vec<&str> = result.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert!(
        names[0].starts_with("socketio at ") && names[2].starts_with("socketio polling at "),
        "{names:?}"
    );
    for variant in &result.variants {
        let (name, trial) = (&variant.name, &variant.trials[0]);
        assert_eq!(trial.error, None, "{name}");
        assert_eq!((trial.clients.connected, trial.clients.disconnected), (4, 0), "{name}");
        let (updates, bytes) = (&trial.updates, &trial.bytes);
        assert!(updates.expected > Some(4 * 150), "{name}: {updates:?}");
        assert_eq!(Some(updates.delivered_once), updates.expected, "{name}: {updates:?}");
        assert_eq!(
            [updates.lost, updates.duplicated, updates.reordered],
            [Some(0); 3],
            "{name}: {updates:?}"
        );
        assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{name}: {bytes:?}");
        let classes = trial.validity.classes;
        assert_eq!(
            (classes.counts, classes.bytes),
            (Verdict::Ok, Verdict::Ok),
            "{name}: {:?}",
            trial.validity
        );
        // The one that is idle between two pongs is opened again.
        assert_eq!(trial.clients.reconnected > 0, name.contains("polling"), "{name}: {:?}", trial.clients);
        assert!(trial.delivery_delay.is_some() && bytes.received.payload > 0, "{name}");
    }
}
