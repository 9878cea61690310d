//! Two engines, one protocol: the same bytes, and the same tests for both. And what only the direct engine does.

use std::{process::Command, time::Duration};

use servers::Settings;
use ticker::Engine;

use crate::support::{Client, ENGINE, SYMBOLS, Server, engine, steady, still};

#[test]
fn all_tests_pass_with_the_library_engine() {
    if engine() == Engine::Library {
        return;
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads=2", "--skip", "engines::"])
        .env(ENGINE, Engine::Library.name())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success(), "{said}");
    assert!(said.contains("test result: ok"), "{said}");
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Requests and how many bytes of the answer there are to see.
const REQUESTS: [(&str, &str); 14] = [
    ("/quotes", ""),
    ("/quotes?after=2", ""),
    ("/quotes?after=2&mode=latest&symbols=ACME,BOLT", ""),
    ("/quotes?after=4", "If-None-Match: \"4\"\r\n"),
    ("/quotes?after=1", "Connection: close\r\n"),
    ("/quotes?after=1000", ""),
    ("/quotes?symbols=NONE", ""),
    ("/quotes?after=1&after=2", ""),
    ("/quotes/wait?after=1", ""),
    ("/quotes/wait", ""),
    ("/sse", ""),
    ("/sse?symbols=ACME", "Last-Event-ID: 1\r\n"),
    ("/ndjson?after=2", ""),
    ("/ws?after=0", UPGRADE),
];

/// What is the same in every answer: not the date, and not the times that quotes carry.
fn steady_bytes(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let mut kept = String::new();
    for piece in text.split_inclusive([',', '\n']) {
        let starts = ["date: ", "\"due\":", "\"sent\":"];
        let varies = starts.iter().any(|start| piece.starts_with(start)) || piece.ends_with(" GMT\r\n");
        kept.push_str(if varies { "…\n" } else { piece });
    }
    kept
}

/// All bytes that come within a moment.
async fn bytes(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(byte) = tokio::time::timeout(Duration::from_millis(150), client.exactly(1)).await {
        all.extend(byte);
    }
    all
}

#[tokio::test]
async fn both_engines_answer_in_the_same_bytes() {
    let server = async |engine| Server::after_bursts(1, Settings { engine, ..still() }).await;
    let (library, direct) = (server(Engine::Library).await, server(Engine::Direct).await);
    for (path, fields) in REQUESTS {
        let mut answers = Vec::new();
        for server in [&library, &direct] {
            let mut client = server.connect().await;
            client.get(path, fields).await;
            let closes = fields.contains("close");
            let answer = if closes { client.rest().await } else { bytes(&mut client).await };
            answers.push((answer.len(), steady_bytes(&answer)));
        }
        assert!(answers[0].0 > 100, "{path}: {answers:?}");
        assert_eq!(answers[0], answers[1], "{path}");
    }
}

#[tokio::test]
async fn questions_that_come_together_are_answered_in_order_and_one_for_the_routes_ends_them() {
    let server = Server::after_bursts(1, Settings { engine: Engine::Direct, ..still() }).await;
    let mut client = server.connect().await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let all = [ask("/quotes?after=3"), ask("/quotes/wait?after=2"), ask("/healthz"), ask("/quotes?after=4")]
        .concat();
    // Cut within the second head.
    client.send(&all[..60]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    client.send(&all[60..]).await;
    assert_eq!(crate::support::shape(&client.response().await.1).3, [4]);
    assert_eq!(crate::support::shape(&client.response().await.1).3, [3, 4]);
    assert_eq!(client.response().await.1, "ok");
    assert!(client.response().await.1.contains("\"quotes\":[]"));
    drop(client);
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    // The connection asked for a control endpoint, too: it is in no total.
    assert_eq!((stats.identity.checked, stats.identity.mismatched, stats.bytes.read), (0, 0, 0));
}

#[tokio::test]
async fn quotes_that_are_gathered_leave_in_one_write() {
    let writes = async |rate, coalesce| {
        let engine = Engine::Direct;
        let server = Server::started(Settings { engine, coalesce, ..steady(rate) });
        let mut client = server.connect().await;
        client.get("/ndjson", "").await;
        client.head().await;
        for _ in 0..200 {
            client.chunk().await;
        }
        server.stop().await.0.bytes.write_calls
    };
    let mut found = Vec::new();
    // A machine that stalls merges quotes that are a millisecond apart, and fewer of those with more between them.
    for slower in [1, 1, 2, 5, 10] {
        let rate = 1_000.0 / f64::from(slower);
        let apart = writes(rate, Duration::ZERO).await;
        let gathered = writes(rate, Duration::from_millis(50) * slower).await;
        // 200 quotes in 200 ms are four rounds of 50 ms, and the answer with the snapshot.
        if gathered <= 12 && apart > 4 * gathered {
            return;
        }
        found.push((slower, apart, gathered));
    }
    panic!("times slower, writes apart, writes gathered: {found:?}");
}

#[tokio::test]
async fn clients_of_some_symbols_get_theirs_in_order_beside_those_of_all() {
    let server = Server::started(Settings { engine: Engine::Direct, ..steady(400.0) });
    let mut some = server.connect().await;
    some.get("/ndjson?after=0&symbols=BOLT", "").await;
    some.head().await;
    let mut all = server.connect().await;
    all.get("/ndjson?after=0", "").await;
    all.head().await;
    let seqs = async |client: &mut Client, count: usize| {
        let mut seqs = Vec::new();
        for _ in 0..count {
            seqs.push(crate::support::seq(client.chunk().await.trim_end()));
        }
        seqs
    };
    let everything = seqs(&mut all, 4 * 50).await;
    assert_eq!(everything, (1..=4 * 50).collect::<Vec<u64>>());
    let theirs = seqs(&mut some, 40).await;
    assert!(theirs.is_sorted() && theirs.windows(2).all(|pair| pair[0] < pair[1]), "{theirs:?}");
    let mut every_bolt = server.connect().await;
    every_bolt.get("/quotes?after=0&symbols=BOLT", "").await;
    let kept = crate::support::shape(&every_bolt.response().await.1).3;
    assert_eq!(theirs, kept[..40]);
    assert!(kept.len() as u64 >= SYMBOLS);
}
