//! `GET /ndjson`: lines, cursors, symbols, silence, the end.

use std::time::Duration;

use servers::Settings;

use crate::support::{Client, SYMBOLS, Server, seq, seqs_of, shape, steady, still};

async fn open(server: &Server, query: &str) -> Client {
    let mut client = server.connect().await;
    client.get(&format!("/ndjson{query}"), "").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for field in ["content-type: application/x-ndjson", "cache-control: no-store", "x-accel-buffering: no"] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{head}");
    }
    client
}

/// The next line, which is a chunk of its own.
async fn line(client: &mut Client) -> String {
    let chunk = client.chunk().await;
    chunk.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {chunk:?}")).to_owned()
}

#[tokio::test]
async fn a_new_client_gets_a_snapshot_then_every_quote() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let mut client = open(&server, "").await;
    let (last, gap, marked, seqs) = shape(&line(&mut client).await);
    assert_eq!((gap, marked, seqs), (0, true, (last - 3..=last).collect()));
    for expected in last + 1..last + 100 {
        assert_eq!(seq(&line(&mut client).await), expected);
    }
    // Counts follow the bytes by a moment; at the end they are the same.
    let (stats, _) = server.stop().await;
    let mut quotes = 99;
    loop {
        match client.chunk().await.as_str() {
            "" => break,
            "\n" => {}
            quote => {
                quotes += 1;
                assert_eq!(seq(quote), last + quotes);
            }
        }
    }
    assert_eq!(stats.transports["ndjson"].quotes, quotes);
}

#[tokio::test]
async fn a_client_comes_back_where_it_was_or_to_a_snapshot() {
    let server = Server::after_bursts(3, Settings { replay_window: 6, ..still() }).await;
    let mut client = open(&server, "?after=6").await;
    for expected in 7..=12 {
        assert_eq!(seq(&line(&mut client).await), expected);
    }
    for (after, gap) in [(5, 3), (0, 8)] {
        let mut client = open(&server, &format!("?after={after}")).await;
        assert_eq!(shape(&line(&mut client).await), (12, gap, true, vec![9, 10, 11, 12]), "{after}");
    }
}

#[tokio::test]
async fn symbols_are_a_filter() {
    let server = Server::after_bursts(2, still()).await;
    let bolt = seqs_of(&server, "BOLT").await;
    assert_eq!(bolt.len(), 2);
    let mut client = open(&server, "?after=0&symbols=BOLT").await;
    for expected in &bolt {
        assert_eq!(seq(&line(&mut client).await), *expected);
    }
    let mut client = open(&server, "?symbols=BOLT").await;
    assert_eq!(shape(&line(&mut client).await), (8, 0, true, vec![bolt[1]]));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let server = Server::after_bursts(1, still()).await;
    let cases = [
        ("after=5", "after is 5, expected at most 4"),
        ("after=junk", "after"),
        ("after=-1", "after"),
        ("symbols=NOPE", "symbol \"NOPE\" is not in the feed"),
        ("colour=red", "unknown field `colour`"),
    ];
    for (query, reason) in cases {
        let (head, body) = server.get(&format!("/ndjson?{query}"), "").await;
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{query}: {head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"].as_str().unwrap().contains(reason), "{query}: {body}");
    }
}

#[tokio::test]
async fn silence_is_filled_with_blank_lines_and_the_end_is_in_order() {
    let settings = Settings { heartbeat: Duration::from_millis(100), ..still() };
    let server = Server::after_bursts(1, settings).await;
    let mut client = open(&server, "?after=4").await;
    for _ in 0..3 {
        assert_eq!(client.chunk().await, "\n");
    }
    let (stats, took) = server.stop().await;
    let mut last = client.chunk().await;
    while last == "\n" {
        last = client.chunk().await;
    }
    assert_eq!(last, "", "the last chunk is empty");
    assert_eq!(client.rest().await, b"");
    assert!(took < Settings::default().grace, "{took:?}");
    assert_eq!(stats.identity.mismatched, 0, "{:?}", stats.identity);
}
