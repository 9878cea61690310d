//! `GET /quotes/wait`: what is held, for how long, and what ends it.

use std::time::Duration;

use servers::Settings;

use crate::support::{SYMBOLS, Server, Shape, seqs_of, shape, steady, still};

async fn wait(server: &Server, query: &str) -> Shape {
    let (head, body) = server.get(&format!("/quotes/wait{query}"), "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}{body}");
    assert!(head.contains("\r\ncache-control: no-store\r\n"), "{head}");
    shape(&body)
}

#[tokio::test]
async fn what_is_there_is_not_held_and_silence_ends_with_nothing() {
    let settings = Settings { heartbeat: Duration::from_millis(100), replay_window: 6, ..still() };
    let server = Server::after_bursts(3, settings).await;
    assert_eq!(wait(&server, "").await, (12, 0, true, vec![9, 10, 11, 12]));
    assert_eq!(wait(&server, "?after=10").await, (12, 0, false, vec![11, 12]));
    assert_eq!(wait(&server, "?after=0").await, (12, 8, true, vec![9, 10, 11, 12]));
    assert_eq!(wait(&server, "?after=12").await, (12, 0, false, vec![]));
}

#[tokio::test]
async fn a_held_question_is_answered_by_the_next_quote() {
    let server = Server::started(steady(20.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let mut after = wait(&server, "").await.0;
    for _ in 0..10 {
        let (last, gap, marked, seqs) = wait(&server, &format!("?after={after}")).await;
        assert_eq!((gap, marked, seqs), (0, false, (after + 1..=last).collect()));
        after = last;
    }
}

#[tokio::test]
async fn symbols_are_a_filter() {
    let settings = Settings { heartbeat: Duration::from_millis(100), ..still() };
    let server = Server::after_bursts(2, settings).await;
    let bolt = seqs_of(&server, "BOLT").await;
    assert_eq!(wait(&server, "?symbols=BOLT").await, (8, 0, true, vec![bolt[1]]));
    assert_eq!(wait(&server, "?after=0&symbols=BOLT").await.3, bolt);
    // What others hear of is no news.
    let (_, gap, marked, seqs) = wait(&server, &format!("?after={}&symbols=BOLT", bolt[1])).await;
    assert_eq!((gap, marked, seqs), (0, false, vec![]));
    let (head, body) = server.get("/quotes/wait?symbols=NOPE", "").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("NOPE"), "{head}{body}");
}
