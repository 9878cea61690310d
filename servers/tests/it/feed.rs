//! The feed itself: the same for the same seed and start, complete, on time, and only after the start.

use std::time::Duration;

use servers::Start;
use ticker::{Anchor, Schedule};
use tokio::time::sleep;

use crate::support::{Server, steady};

async fn quotes(server: &Server) -> Vec<serde_json::Value> {
    let (_, body) = server.get("/quotes?after=0", "").await;
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["quotes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn two_servers_publish_the_identical_feed_but_for_sent() {
    let mut servers = [Server::new(steady(500.0)), Server::new(steady(500.0))];
    let start = Start { t0_ns: Start::now().t0_ns + 50_000_000, ..Start::now() };
    for server in &mut servers {
        server.start(start);
    }
    let mut feeds = Vec::new();
    for server in &servers {
        server.stats_when(|stats| stats.published >= 200).await;
        let mut feed = quotes(server).await;
        feed.truncate(200);
        for quote in &mut feed {
            let quote = quote.as_object_mut().unwrap();
            assert!(quote.remove("sent").unwrap().as_u64() >= quote["due"].as_u64());
        }
        feeds.push(feed);
    }
    assert_eq!(feeds[0], feeds[1]);
    let due: Vec<u64> = feeds[0].iter().map(|quote| quote["due"].as_u64().unwrap()).collect();
    let planned = Schedule::new(&steady(500.0).feed).unwrap();
    let expected: Vec<u64> =
        planned.take(200).map(|due| start.anchor.unix_us(start.t0_ns + due.offset_ns)).collect();
    assert_eq!(due, expected);
}

#[tokio::test]
async fn nothing_is_published_before_the_start_and_late_quotes_are_not_skipped() {
    let mut server = Server::new(steady(1_000.0));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(server.stats().await.published, 0);

    // Half a second late: 500 quotes at once, then the rest on time.
    let anchor = Anchor::now();
    server.start(Start {
        anchor,
        t0_ns: anchor.mono_ns - 500_000_000,
        window_from_ns: 100_000_000,
        window_to_ns: 200_000_000,
    });
    let stats = server.stats_when(|stats| stats.published >= 600).await;
    assert_eq!(stats.published_in_window, 100);
    assert!(stats.publisher.max_lag_ns >= 499_000_000, "{stats:?}");
    let seqs: Vec<u64> = quotes(&server).await.iter().map(|quote| quote["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_clock_is_the_one_of_the_quotes() {
    let mut server = Server::new(steady(1.0));
    // An anchor that is an hour off: its times are what quotes carry.
    let anchor = Anchor { unix_ns: Anchor::now().unix_ns - 3_600_000_000_000, ..Anchor::now() };
    server.start(Start { anchor, ..Start::now() });
    server.stats_when(|stats| stats.published > 0).await;
    let (_, body) = server.get("/clock", "").await;
    let clock: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(clock["unix_us"].as_u64().unwrap(), anchor.unix_us(clock["mono_ns"].as_u64().unwrap()));
}
