//! What a server does not put up with, and what it does.

use std::time::Duration;

use servers::Settings;
use ticker::{FeedSettings, clock};
use tokio::time::sleep;

use crate::support::{Server, in_time, seq, shape, steady, still};

const LIMIT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn heads_that_take_too_long_end_the_connection() {
    let server = Server::new(Settings { header_timeout: LIMIT, ..still() });
    for begin in ["", "G", "GET /quotes HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        // The server's clock begins when it takes the connection, which may be before we hear of it.
        let began_ns = clock::now_ns();
        let mut client = server.connect().await;
        client.send(begin).await;
        client.rest().await;
        let took = Duration::from_nanos(clock::now_ns() - began_ns);
        assert!((LIMIT..LIMIT * 20).contains(&took), "{begin:?} took {took:?}");
    }
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_help() {
    let server = Server::new(Settings { header_timeout: LIMIT, ..still() });
    let mut client = server.connect().await;
    let began_ns = clock::now_ns();
    let mut sent = 0;
    while server.stats().await.connections.open > 1 {
        if sent < 20 {
            client.send("G").await;
            sent += 1;
        }
        sleep(LIMIT / 6).await;
        assert!(Duration::from_nanos(clock::now_ns() - began_ns) < LIMIT * 10);
    }
}

#[tokio::test]
async fn idle_connections_and_streams_outlive_the_head_limit() {
    let server = Server::new(Settings { header_timeout: LIMIT, heartbeat: LIMIT, ..still() });
    let mut poller = server.connect().await;
    let mut stream = server.connect().await;
    let mut socket = server.connect().await;
    stream.get("/sse", "").await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    socket.get("/ws?after=0", handshake).await;
    socket.head().await;
    for _ in 0..3 {
        poller.get("/quotes", "").await;
        assert!(poller.response().await.0.starts_with("HTTP/1.1 200"));
        assert_eq!(socket.exactly(2).await, [0x89, 0]);
        // A pong, and then the beginning of a frame that stays one.
        socket.send([0x8a, 0x80, 0, 0, 0, 0]).await;
        sleep(LIMIT * 3 / 2).await;
    }
    stream.until(b": hb\n\n").await;
    assert_eq!(server.stats().await.connections.open, 4);
}

#[tokio::test]
async fn heads_that_are_too_long_or_smuggle_are_refused() {
    let server = Server::new(still());
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count));
    let cases = [
        (fields(70), "431"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(40_000)), "431"),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), "400"),
        ("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n  folded\r\n\r\n".to_owned(), "400"),
    ];
    for (request, status) in cases {
        let mut client = server.connect().await;
        client.send(&request).await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head} for {request:.60}");
    }
}

#[tokio::test]
async fn one_connection_too_many_gets_503_and_the_others_stay() {
    let server = Server::new(Settings { max_connections: 3, ..still() });
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.get("/quotes", "").await;
        client.response().await;
        clients.push(client);
    }
    let mut third = server.connect().await;
    third.get("/stats", "").await;
    third.response().await;

    let mut refused = server.connect().await;
    let head = refused.head().await;
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n"), "{head}");
    refused.rest().await;
    clients[0].get("/quotes", "").await;
    assert!(clients[0].response().await.0.starts_with("HTTP/1.1 200"));

    third.get("/stats", "").await;
    let stats: servers::Stats = serde_json::from_str(&third.response().await.1).unwrap();
    assert_eq!((stats.connections.open, stats.connections.refused, stats.connections.peak), (3, 1, 3));
    drop(third);
    drop(clients.pop());
    // Until the server has seen them go, whoever asks may be one too many.
    in_time(async {
        loop {
            let (head, body) = server.get("/stats", "").await;
            if head.starts_with("HTTP/1.1 200") {
                let stats: servers::Stats = serde_json::from_str(&body).unwrap();
                if stats.connections.open == 2 {
                    return;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Quotes so long that a client that does not read fills its own and the server's socket within a second.
fn heavy() -> Settings {
    let feed = FeedSettings { quote_bytes: 50_000, ..steady(400.0).feed };
    Settings { feed, replay_window: 400, ..steady(400.0) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_a_gap_and_the_others_get_every_quote() {
    let server = Server::started(heavy());
    let mut slow = server.connect_with_little_room().await;
    slow.get("/sse", "").await;
    let mut quick = server.connect().await;
    quick.get("/sse", "").await;
    quick.head().await;
    quick.chunk().await;
    let first = quick.chunk().await;
    assert!(first.starts_with("event: snapshot\n"));
    let mut expected: u64 = first["event: snapshot\nid: ".len()..].lines().next().unwrap().parse().unwrap();
    while server.stats().await.published < 1_000 {
        for _ in 0..50 {
            let block = quick.chunk().await;
            expected += 1;
            assert!(block.starts_with(&format!("id: {expected}\n")), "{block:.40}, expected {expected}");
        }
    }
    assert_eq!(server.stats().await.gaps.served, 0);

    slow.head().await;
    slow.chunk().await;
    let mut newest = 0;
    loop {
        let block = slow.chunk().await;
        let data = block.split_once("\ndata: ").unwrap().1.trim_end();
        if block.starts_with("id: ") {
            newest = seq(data);
            continue;
        }
        let (last, gap, _, seqs) = shape(data);
        if gap > 0 {
            // What it was owed and did not get: all up to `last`, less the snapshot.
            let in_snapshot = seqs.iter().filter(|&&seq| seq > newest).count() as u64;
            assert_eq!(gap, last - newest - in_snapshot);
            break;
        }
        newest = last;
    }
    assert!(server.stats().await.gaps.served > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_dropped_by_the_kernel() {
    let server = Server::started(Settings { stall_timeout: Duration::from_secs(1), ..heavy() });
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut clients = Vec::new();
    for (path, headers) in [("/sse", ""), ("/ws", handshake)] {
        let mut client = server.connect_with_little_room().await;
        client.get(path, headers).await;
        client.head().await;
        clients.push(client);
    }
    server.stats_when(|stats| stats.connections.open == 3).await;
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    assert_eq!(stats.identity.mismatched, 0, "{:?}", stats.identity);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_is_bounded_by_the_grace_even_with_a_reader_that_takes_nothing() {
    let server = Server::started(Settings { grace: Duration::from_millis(500), ..heavy() });
    let mut client = server.connect_with_little_room().await;
    client.get("/sse", "").await;
    client.head().await;
    sleep(Duration::from_secs(1)).await;
    let (stats, took) = server.stop().await;
    assert_eq!(stats.connections.open, 0);
    assert!((Duration::from_millis(400)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn connections_that_find_the_accept_queue_full_are_counted() {
    let listener = std::net::TcpListener::from({
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        socket
    });
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..6).map(|_| tokio::spawn(tokio::net::TcpStream::connect(address))).collect();
    sleep(Duration::from_millis(100)).await;
    // Nobody has accepted so far. The dropped ones ask again a second later, as the kernel does by itself.
    let server = Server::on(listener, still());
    for client in clients {
        crate::support::in_time(client).await.unwrap().unwrap();
    }
    // A client is connected before the server's kernel has its last word, which it may have to say again.
    let connections = server.stats_when(|stats| stats.connections.accepted > 6).await.connections;
    assert!(connections.dropped > 0, "{connections:?}");
    assert_eq!((connections.refused, connections.accept_errors), (0, 0));
}
