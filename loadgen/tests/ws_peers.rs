//! WebSocket against the package `ws` of Node, as client and as server, in text, binary and compressed.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{fs, future::pending, net::Ipv4Addr, process::Command, time::Duration};

use measurement::result::{RunResult, Trial, Verdict};
use serde_json::Value;
use servers::{Settings, Start, settings::Deflate};
use ticker::FeedSettings;
use tokio::sync::oneshot;

use crate::peers;

const LIMIT: Duration = Duration::from_secs(30);
const QUOTES: u64 = 60;

const TEXT: &str = "ticker.json.v1";
const BINARY: &str = "ticker.binary.v1";

/// What Node's client hears of our server.
async fn heard(subprotocol: &str, deflate: Deflate, offer: &str) -> Value {
    let feed = FeedSettings { updates_per_second: 200.0, ..FeedSettings::default() };
    let listener = servers::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let settings = Settings { feed, deflate, heartbeat: Duration::from_millis(200), ..Settings::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    };
    let server = tokio::spawn(servers::serve(listener, settings, async { Start::now() }, shutdown));
    let output = tokio::process::Command::new("node")
        .args(["ws_client.mjs", &url, subprotocol, &QUOTES.to_string(), offer])
        .current_dir(peers::folder())
        .output();
    let output = tokio::time::timeout(LIMIT, output).await.unwrap().expect("node is there");
    stop.send(()).unwrap();
    let stats = tokio::time::timeout(LIMIT, server).await.unwrap().unwrap().unwrap();
    let what = format!("{subprotocol} {deflate:?} {offer}");
    assert_eq!((stats.connections.open, stats.identity.mismatched), (0, 0), "{what}: {stats:?}");
    let shown = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{what}: {error}: {shown}"))
}

#[tokio::test]
async fn node_gets_a_snapshot_and_every_quote_in_text_and_binary_and_compressed() {
    let forgetting = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let mut bytes = Vec::new();
    for (subprotocol, deflate, offer, extensions) in [
        (TEXT, Deflate::Off, "off", ""),
        (BINARY, Deflate::Off, "off", ""),
        (TEXT, Deflate::Off, "takeover", ""),
        (TEXT, Deflate::Takeover, "off", ""),
        (TEXT, Deflate::Takeover, "takeover", "permessage-deflate"),
        (BINARY, Deflate::Takeover, "takeover", "permessage-deflate"),
        (TEXT, Deflate::NoTakeover, "takeover", forgetting),
        (TEXT, Deflate::Takeover, "no-takeover", forgetting),
    ] {
        let what = format!("{subprotocol} {deflate:?} {offer}");
        let heard = heard(subprotocol, deflate, offer).await;
        assert_eq!(heard["reason"], Value::Null, "{what}: {heard}");
        assert_eq!(heard["protocol"], subprotocol, "{what}");
        assert_eq!(extension(&heard["extensions"]), extension(&extensions.into()), "{what}");
        assert_eq!(heard["snapshots"].as_array().unwrap().len(), 1, "{what}");
        let last = heard["snapshots"][0]["last"].as_u64().unwrap();
        let quotes = heard["quotes"].as_array().unwrap();
        let seqs: Vec<u64> = quotes.iter().map(|quote| quote["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (last + 1..=last + QUOTES).collect::<Vec<_>>(), "{what}");
        for quote in quotes {
            let number = |key: &str| quote[key].as_f64().unwrap();
            let symbol = quote["sym"].as_str().unwrap();
            assert!(symbol.len() == 4 && symbol.bytes().all(|letter| letter.is_ascii_uppercase()), "{quote}");
            assert!(number("px") > 0.0 && number("qty") % 100.0 == 0.0, "{what}: {quote}");
            assert!(number("sent") >= number("due") && number("due") > 1.7e15, "{what}: {quote}");
        }
        bytes.push((what, heard["bytes"].as_u64().unwrap()));
    }
    // Text is the longest, and what remembers is shorter than what does not.
    let of = |index: usize| bytes[index].1;
    assert!(of(1) < of(0) / 2 && of(4) < of(6) && of(6) < of(0), "{bytes:?}");
}

/// The parameters of an extension, in an order.
fn extension(shown: &Value) -> Vec<String> {
    let mut words: Vec<String> =
        shown.as_str().unwrap().split(';').map(|word| word.trim().to_owned()).collect();
    words.sort_unstable();
    words
}

/// Sessions with Node's server, which wants to be told what to send.
fn transports() -> String {
    let transport = |name: &str, argument: &str, keys: &str| {
        format!(
            r#"
[[transport]]
kind = "websocket"
name = "{name}"
{keys}
url = "ws://127.0.0.1:{{port}}/"
[transport.server]
command = "node {}/ws_server.mjs {{port}} {argument}"
[transport.open]
send = ['{{"subscribe":"ticks"}}']
[transport.message]
when = {{ "/type" = "tick" }}
sequence = "/seq"
sent_at = "/ts"
"#,
            peers::folder().display()
        )
    };
    [
        transport("plain", "", ""),
        transport("takeover", "deflate", "deflate = \"takeover\""),
        transport("no takeover", "deflate", "deflate = \"no-takeover\""),
    ]
    .concat()
}

#[test]
fn our_client_gets_every_message_of_nodes_server_compressed_or_not() {
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
    assert_eq!(result.variants.len(), 3);
    for variant in &result.variants {
        check(&variant.name, &variant.trials[0]);
    }
    // Those that are compressed carry less, those that remember the least.
    let bytes = |index: usize| result.variants[index].trials[0].bytes.received.socket_total;
    assert!(bytes(1) < bytes(2) && bytes(2) < bytes(0), "{} {} {}", bytes(0), bytes(1), bytes(2));
}

fn check(name: &str, trial: &Trial) {
    assert_eq!(trial.error, None, "{name}");
    assert_eq!((trial.clients.connected, trial.clients.disconnected), (4, 0), "{name}");
    let (updates, bytes) = (&trial.updates, &trial.bytes);
    assert!(updates.expected > Some(4 * 150), "{name}: {updates:?}");
    assert_eq!(Some(updates.delivered_once), updates.expected, "{name}: {updates:?}");
    assert_eq!([updates.lost, updates.duplicated, updates.reordered], [Some(0); 3], "{name}: {updates:?}");
    assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{name}: {bytes:?}");
    let classes = trial.validity.classes;
    assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{name}: {:?}", trial.validity);
    assert!(trial.delivery_delay.is_some() && bytes.received.payload > 0, "{name}");
}
