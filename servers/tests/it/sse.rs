//! `GET /sse`: the bytes of a stream, resuming, gaps, heartbeats, the end.

use std::time::Duration;

use servers::Settings;

use crate::support::{Client, SYMBOLS, Server, Shape, seq, seqs_of, shape, steady, still};

const RETRY: &str = "retry: 2000\n\n";

async fn open(server: &Server, headers: &str) -> Client {
    open_at(server, "/sse", headers).await
}

async fn open_at(server: &Server, path: &str, headers: &str) -> Client {
    let mut client = server.connect().await;
    client.get(path, headers).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\ncache-control: no-store\r\n"), "{head}");
    assert!(head.contains("\r\nx-accel-buffering: no\r\n"), "{head}");
    assert_eq!(client.chunk().await, RETRY);
    client
}

/// The envelope of a snapshot block, and its id.
fn snapshot(block: &str) -> Shape {
    let rest = block.strip_prefix("event: snapshot\nid: ").unwrap_or_else(|| panic!("no snapshot: {block}"));
    let (id, data) = rest.split_once("\ndata: ").unwrap();
    let envelope = shape(data.strip_suffix("\n\n").unwrap());
    assert_eq!(id.parse(), Ok(envelope.0));
    envelope
}

/// The sequence number of a quote's block, which must be its id too.
fn quote(block: &str) -> u64 {
    let (id, data) = block.strip_prefix("id: ").unwrap().split_once("\ndata: ").unwrap();
    let seq = seq(data.strip_suffix("\n\n").unwrap());
    assert_eq!(id.parse(), Ok(seq));
    seq
}

#[tokio::test]
async fn a_new_client_gets_a_snapshot_then_every_quote() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let mut client = open(&server, "").await;
    let (last, gap, marked, seqs) = snapshot(&client.chunk().await);
    assert_eq!((gap, marked, seqs), (0, true, (last - 3..=last).collect()));
    for expected in last + 1..last + 100 {
        assert_eq!(quote(&client.chunk().await), expected);
    }
}

#[tokio::test]
async fn a_client_comes_back_where_it_was_or_to_a_snapshot() {
    let server = Server::after_bursts(3, Settings { replay_window: 6, ..still() }).await;
    let mut client = open(&server, "Last-Event-ID: 6\r\n").await;
    for expected in 7..=12 {
        assert_eq!(quote(&client.chunk().await), expected);
    }
    let cases =
        [("5", 3), ("0", 8), ("13", 0), ("-1", 0), ("junk", 0), ("", 0), ("99999999999999999999999", 0)];
    for (id, gap) in cases {
        let mut client = open(&server, &format!("Last-Event-ID: {id}\r\n")).await;
        assert_eq!(snapshot(&client.chunk().await), (12, gap, true, vec![9, 10, 11, 12]), "{id}");
    }
    let stats = server.stats_when(|stats| stats.transports["sse"].quotes >= 6).await;
    assert_eq!(stats.transports["sse"].quotes, 6);
}

#[tokio::test]
async fn silence_is_filled_with_comments_and_the_end_is_in_order() {
    let settings = Settings { heartbeat: Duration::from_millis(100), ..still() };
    let server = Server::after_bursts(1, settings).await;
    let mut client = open(&server, "Last-Event-ID: 4\r\n").await;
    for _ in 0..3 {
        assert_eq!(client.chunk().await, ": hb\n\n");
    }
    let (_, took) = server.stop().await;
    let mut last = client.chunk().await;
    while last == ": hb\n\n" {
        last = client.chunk().await;
    }
    assert_eq!(last, RETRY);
    assert_eq!(client.chunk().await, "");
    assert_eq!(client.rest().await, b"");
    assert!(took < Settings::default().grace, "{took:?}");
}

#[tokio::test]
async fn quotes_put_the_heartbeat_off() {
    let settings = Settings { heartbeat: Duration::from_secs(1), ..steady(20.0) };
    let server = Server::started(settings);
    let mut client = open(&server, "").await;
    snapshot(&client.chunk().await);
    for _ in 0..40 {
        quote(&client.chunk().await);
    }
}

#[tokio::test]
async fn symbols_are_a_filter() {
    let server = Server::after_bursts(2, still()).await;
    let bolt = seqs_of(&server, "BOLT").await;
    let mut client = open_at(&server, "/sse?symbols=BOLT", "").await;
    assert_eq!(snapshot(&client.chunk().await), (8, 0, true, vec![bolt[1]]));
    let mut client = open_at(&server, "/sse?symbols=BOLT", "Last-Event-ID: 0\r\n").await;
    for expected in &bolt {
        assert_eq!(quote(&client.chunk().await), *expected);
    }
    let (head, body) = server.get("/sse?symbols=NOPE", "").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("NOPE"), "{head}{body}");
}
