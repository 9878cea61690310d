//! `GET /quotes`: bodies, cursors, tags, refusals.

use std::io::Read as _;

use flate2::read::GzDecoder;
use servers::Settings;

use crate::support::{Server, Shape, seqs_of, shape, still};

async fn poll(server: &Server, path: &str) -> Shape {
    let (head, body) = server.get(path, "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}{body}");
    let parsed = shape(&body);
    assert!(head.contains(&format!("\r\netag: \"{}\"\r\n", parsed.0)), "{head}");
    assert!(head.contains("\r\ncache-control: no-cache\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    parsed
}

#[tokio::test]
async fn every_cursor_gets_what_it_is_owed() {
    // Twelve quotes over four symbols, of which the window keeps six.
    let server = Server::after_bursts(3, Settings { replay_window: 6, ..still() }).await;
    let newest = vec![9, 10, 11, 12];
    let cases: [(&str, Shape); 9] = [
        ("/quotes", (12, 0, true, newest.clone())),
        ("/quotes?mode=latest", (12, 0, true, newest.clone())),
        ("/quotes?after=12", (12, 0, false, vec![])),
        ("/quotes?after=11", (12, 0, false, vec![12])),
        ("/quotes?after=6", (12, 0, false, vec![7, 8, 9, 10, 11, 12])),
        // 6 to 12 are owed, the snapshot has 9 to 12.
        ("/quotes?after=5", (12, 3, true, newest.clone())),
        ("/quotes?mode=since&after=0", (12, 8, true, newest.clone())),
        ("/quotes?after=0&mode=latest", (12, 0, false, newest)),
        ("/quotes?after=10&mode=latest", (12, 0, false, vec![11, 12])),
    ];
    for (path, expected) in cases {
        assert_eq!(poll(&server, path).await, expected, "{path}");
    }
    let (stats, _) = server.stop().await;
    assert_eq!((stats.gaps.served, stats.gaps.quotes), (2, 11));
    assert_eq!((stats.transports["polling"].requests, stats.transports["polling"].quotes), (9, 13));
}

#[tokio::test]
async fn before_the_first_quote_all_is_empty() {
    let server = Server::new(still());
    assert_eq!(poll(&server, "/quotes").await, (0, 0, true, vec![]));
    assert_eq!(poll(&server, "/quotes?after=0").await, (0, 0, false, vec![]));
}

#[tokio::test]
async fn a_known_tag_gets_304_without_a_body() {
    let server = Server::after_bursts(1, still()).await;
    for tag in ["\"4\"", "W/\"4\"", "\"3\", \"4\""] {
        let (head, body) = server.get("/quotes?after=4", &format!("If-None-Match: {tag}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
        assert!(head.contains("\r\netag: \"4\"\r\n") && body.is_empty(), "{head}");
    }
    let (head, body) = server.get("/quotes?after=3", "If-None-Match: \"3\"\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(shape(&body), (4, 0, false, vec![4]));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let server = Server::after_bursts(1, still()).await;
    let cases = [
        ("after=5", "after is 5, expected at most 4"),
        ("after=", "after"),
        ("after=-1", "after"),
        ("after=1.5", "after"),
        ("after=99999999999999999999999", "after"),
        ("after=two", "after"),
        ("after=1&after=2", "duplicate field `after`"),
        ("after=1&mode=all", "unknown variant `all`"),
        ("symbols=NOPE", "symbol \"NOPE\" is not in the feed"),
        ("colour=red", "unknown field `colour`"),
    ];
    for (query, reason) in cases {
        let (head, body) = server.get(&format!("/quotes?{query}"), "").await;
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{query}: {head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"].as_str().unwrap().contains(reason), "{query}: {body}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_polls() {
    let server = Server::after_bursts(1, still()).await;
    let mut client = server.connect().await;
    for after in [0, 2, 4] {
        client.get(&format!("/quotes?after={after}"), "").await;
        let (_, body) = client.response().await;
        assert_eq!(shape(&body).3.len() as u64, 4 - after);
    }
    assert_eq!(server.stats().await.connections.peak, 2);
}

#[tokio::test]
async fn symbols_are_a_filter_and_the_tag_is_of_the_selection() {
    let server = Server::after_bursts(2, still()).await;
    let bolt = seqs_of(&server, "BOLT").await;
    let newest = bolt[1];
    let of_bolt = async |query: &str, headers: String| {
        server.get(&format!("/quotes?symbols=BOLT{query}"), &headers).await
    };
    for (query, expected) in [
        ("", (8, 0, true, vec![newest])),
        ("&after=0", (8, 0, false, bolt.clone())),
        ("&after=0&mode=latest", (8, 0, false, vec![newest])),
        ("&after=8", (8, 0, false, vec![])),
    ] {
        let (head, body) = of_bolt(query, String::new()).await;
        assert_eq!(shape(&body), expected, "{query}");
        assert!(head.contains(&format!("\r\netag: \"{newest}\"\r\n")), "{query}: {head}");
        let (head, body) = of_bolt(query, format!("If-None-Match: \"{newest}\"\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{query}: {head}");
    }
    let (head, _) = of_bolt("", format!("If-None-Match: \"{}\"\r\n", bolt[0])).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (_, body) = server.get("/quotes?symbols=", "").await;
    assert_eq!(shape(&body), (8, 0, true, vec![]));
    let (_, body) = server.get("/quotes?after=0&symbols=BOLT,ACME,BOLT", "").await;
    assert_eq!(shape(&body).3.len(), 4);
}

#[tokio::test]
async fn answers_are_compressed_where_both_sides_want_it() {
    let server = Server::after_bursts(1, Settings { compress: true, ..still() }).await;
    let mut client = server.connect().await;
    for (accept, coded) in
        [("", false), ("Accept-Encoding: br\r\n", false), ("Accept-Encoding: gzip\r\n", true)]
    {
        client.get("/quotes?after=0", accept).await;
        let (head, body) = client.response_bytes().await;
        assert_eq!(head.contains("\r\ncontent-encoding: gzip\r\n"), coded, "{accept}: {head}");
        assert!(head.contains("\r\netag: W/\"4\"\r\n"), "{head}");
        assert!(head.contains("\r\nvary: accept-encoding\r\n"), "{head}");
        let mut text = String::new();
        if coded {
            GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
            assert!(body.len() < text.len() / 2, "{} of {} bytes", body.len(), text.len());
        } else {
            text = String::from_utf8(body).unwrap();
        }
        assert_eq!(shape(&text), (4, 0, false, vec![1, 2, 3, 4]));
    }
    client.get("/quotes?after=4", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"4\"\r\n").await;
    let (head, body) = client.response_bytes().await;
    assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
    assert!(head.contains("\r\netag: W/\"4\"\r\n") && head.contains("\r\nvary: "), "{head}");
}

#[tokio::test]
async fn nothing_is_compressed_without_the_setting() {
    let server = Server::after_bursts(1, still()).await;
    let (head, body) = server.get("/quotes?after=0", "Accept-Encoding: gzip\r\n").await;
    assert!(!head.contains("content-encoding") && !head.contains("vary"), "{head}");
    assert!(head.contains("\r\netag: \"4\"\r\n"), "{head}");
    assert_eq!(shape(&body).3.len(), 4);
}
