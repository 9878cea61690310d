//! `/webtransport`: sessions and their refusals, streams, datagrams, coming back, the end; and what is counted.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use servers::{Settings, stats::QuicStats};
use tokio::{net::UdpSocket, time::timeout};
use wtransport::{
    ClientConfig, Connection, Endpoint, RecvStream, VarInt,
    endpoint::{ConnectOptions, endpoint_side},
    error::{ConnectingError, ConnectionError},
    tls::Sha256Digest,
};

use crate::support::{SYMBOLS, Server, in_time, seq, shape, steady, still};

fn sockets(server: &Server) -> Endpoint<endpoint_side::Client> {
    let trust = [Sha256Digest::new(server.fingerprint.unwrap())];
    let config = ClientConfig::builder().with_bind_default().with_server_certificate_hashes(trust);
    Endpoint::client(config.build()).unwrap()
}

/// A network between one client and the server that loses every `nth` of the server's datagrams once the handshake
/// is over; how many it lost, and their bytes.
async fn lossy(server: &Server, nth: u64) -> (SocketAddr, Arc<Mutex<(u64, u64)>>) {
    const HANDSHAKE: u64 = 20;
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, target) = (relay.local_addr().unwrap(), server.address);
    let lost = Arc::new(Mutex::new((0, 0)));
    let books = Arc::clone(&lost);
    tokio::spawn(async move {
        let (mut client, mut count, mut bytes) = (None, 0, [0; 2048]);
        loop {
            let (length, from) = relay.recv_from(&mut bytes).await.unwrap();
            if from != target {
                client = Some(from);
                relay.send_to(&bytes[..length], target).await.unwrap();
                continue;
            }
            count += 1;
            if count > HANDSHAKE && count % nth == 0 {
                let mut lost = books.lock().unwrap();
                *lost = (lost.0 + 1, lost.1 + length as u64);
            } else if let Some(client) = client {
                relay.send_to(&bytes[..length], client).await.unwrap();
            }
        }
    });
    (address, lost)
}

#[tokio::test]
async fn what_the_network_loses_is_sent_again_on_a_stream_and_missing_as_datagrams() {
    let server = Server::secure(steady(300.0));
    for (delivery, whole) in [("stream", true), ("datagrams", false)] {
        let before = quic(&server.stats().await);
        let (relay, lost) = lossy(&server, 9).await;
        let sockets = sockets(&server);
        let url = format!("https://{relay}/webtransport?delivery={delivery}");
        let session = in_time(sockets.connect(url)).await.unwrap();
        say(&session, b"go").await;
        let mut stream = accept(&session).await;
        let last = shape(&message(&mut stream).await).0;
        let (mut seqs, mut newest) = (Vec::new(), last);
        while newest < last + 300 {
            newest = seq(&if whole { message(&mut stream).await } else { datagram(&session).await });
            seqs.push(newest);
        }
        let missing = 300 - seqs.len();
        assert!(if whole { missing == 0 } else { missing > 5 }, "{delivery}: {missing} missing");
        session.close(VarInt::from_u32(0), b"");
        in_time(sockets.wait_idle()).await;
        let after = quic(&server.stats_when(|stats| quic(stats).open == 0).await);
        let client = session.quic_connection().stats();
        let (datagrams, bytes) = *lost.lock().unwrap();
        assert_eq!(after.sent_bytes - before.sent_bytes - client.udp_rx.bytes, bytes, "{delivery}");
        assert_eq!(after.sent_datagrams - before.sent_datagrams - client.udp_rx.datagrams, datagrams);
        // The sender finds nearly all of them: not the last ones, and no acknowledgements.
        let found = after.lost_packets + after.lost_probes - before.lost_packets - before.lost_probes;
        assert!(found > 0 && found.abs_diff(datagrams) <= 5, "{delivery}: {found} of {datagrams}");
    }
}

async fn try_open(server: &Server, path: &str, origin: Option<&str>) -> Result<Connection, ConnectingError> {
    let mut options = ConnectOptions::builder(format!("https://{}{path}", server.address));
    if let Some(origin) = origin {
        options = options.add_header("origin", origin);
    }
    in_time(sockets(server).connect(options.build())).await
}

async fn say(session: &Connection, word: &[u8]) {
    let mut stream = in_time(session.open_uni()).await.unwrap().await.unwrap();
    stream.write_all(word).await.unwrap();
    let _ = in_time(stream.finish()).await;
}

async fn open(server: &Server, path: &str) -> Connection {
    let session = try_open(server, path, None).await.unwrap();
    say(&session, b"go").await;
    session
}

async fn accept(session: &Connection) -> RecvStream {
    in_time(session.accept_uni()).await.unwrap()
}

/// The next message of a stream.
async fn message(stream: &mut RecvStream) -> String {
    let mut head = [0; 4];
    in_time(stream.read_exact(&mut head)).await.unwrap();
    let mut text = vec![0; u32::from_be_bytes(head) as usize];
    in_time(stream.read_exact(&mut text)).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn datagram(session: &Connection) -> String {
    let datagram = in_time(session.receive_datagram()).await.unwrap();
    String::from_utf8(datagram.payload().to_vec()).unwrap()
}

/// Code and reason of the server's close.
async fn closed(session: &Connection) -> (u64, String) {
    match in_time(session.closed()).await {
        ConnectionError::ApplicationClosed(close) => {
            (close.code().into_inner(), String::from_utf8_lossy(close.reason()).into_owned())
        }
        other => panic!("expected a close with a code, found {other}"),
    }
}

fn quic(server: &servers::Stats) -> QuicStats {
    server.quic.unwrap()
}

#[tokio::test]
async fn a_stream_brings_the_snapshot_and_then_every_quote() {
    let server = Server::secure(steady(100.0));
    let session = open(&server, "/webtransport").await;
    let mut stream = accept(&session).await;
    let (last, gap, snapshot, _) = shape(&message(&mut stream).await);
    assert!(snapshot && gap == 0);
    for expected in last + 1..=last + 20 {
        assert_eq!(seq(&message(&mut stream).await), expected);
    }
    // Nothing but that stream.
    timeout(Duration::from_millis(100), session.accept_uni()).await.unwrap_err();
}

#[tokio::test]
async fn datagrams_follow_a_snapshot_on_a_stream_that_ends() {
    let server = Server::secure(steady(100.0));
    let session = open(&server, "/webtransport?delivery=datagrams").await;
    let mut stream = accept(&session).await;
    let (last, _, snapshot, _) = shape(&message(&mut stream).await);
    assert!(snapshot);
    assert_eq!(in_time(stream.read(&mut [0; 1])).await.unwrap(), None);
    for expected in last + 1..=last + 20 {
        assert_eq!(seq(&datagram(&session).await), expected);
    }
}

#[tokio::test]
async fn nothing_comes_before_go_and_another_word_ends_the_session() {
    let server = Server::secure(Settings { header_timeout: Duration::from_millis(600), ..steady(100.0) });
    let session = try_open(&server, "/webtransport?delivery=datagrams", None).await.unwrap();
    timeout(Duration::from_millis(300), session.accept_uni()).await.unwrap_err();
    timeout(Duration::from_millis(1), session.receive_datagram()).await.unwrap_err();
    say(&session, b"go").await;
    assert!(shape(&message(&mut accept(&session).await).await).2);

    for word in [b"gone".as_slice(), b"g", b""] {
        let session = try_open(&server, "/webtransport", None).await.unwrap();
        say(&session, word).await;
        assert_eq!(closed(&session).await, (1, "expected a stream that says go".to_owned()));
    }
    let silent = try_open(&server, "/webtransport", None).await.unwrap();
    assert_eq!(closed(&silent).await.0, 1);
}

#[tokio::test]
async fn a_cursor_brings_what_follows_and_one_out_of_the_window_a_gap() {
    let server = Server::secure_after_bursts(3, Settings { replay_window: 6, ..still() }).await;
    let newest = 3 * SYMBOLS;
    for delivery in ["stream", "datagrams"] {
        let path = |after: u64| format!("/webtransport?after={after}&delivery={delivery}");
        let session = open(&server, &path(newest - 2)).await;
        if delivery == "stream" {
            let mut stream = accept(&session).await;
            for expected in newest - 1..=newest {
                assert_eq!(seq(&message(&mut stream).await), expected);
            }
        } else {
            for expected in newest - 1..=newest {
                assert_eq!(seq(&datagram(&session).await), expected);
            }
        }
        let session = open(&server, &path(1)).await;
        let (last, gap, snapshot, _) = shape(&message(&mut accept(&session).await).await);
        assert_eq!((last, gap, snapshot), (newest, newest - 1 - SYMBOLS, true), "{delivery}");
    }
    assert_eq!(server.stats().await.gaps.served, 2);
}

#[tokio::test]
async fn requests_that_mean_nothing_and_foreign_pages_are_refused() {
    let settings = Settings { allowed_origins: vec!["https://friend.test".to_owned()], ..still() };
    let server = Server::secure(settings);
    let own = format!("http://{}", server.address);
    let cases = [
        ("/webtransport?after=junk", None, false),
        ("/webtransport?after=99", None, false),
        ("/webtransport?delivery=pigeons", None, false),
        ("/webtransport?symbols=NOPE", None, false),
        ("/webtransport?more=1", None, false),
        ("/elsewhere", None, false),
        ("/webtransport", Some("https://elsewhere.test"), false),
        ("/webtransport", Some("https://friend.test"), true),
        ("/webtransport", Some(own.as_str()), true),
        ("/webtransport?after=0&delivery=stream", None, true),
        ("/webtransport?symbols=ACME", None, true),
    ];
    for (path, origin, welcome) in cases {
        match try_open(&server, path, origin).await {
            Ok(_) => assert!(welcome, "{path} from {origin:?}"),
            Err(ConnectingError::SessionRejected) => assert!(!welcome, "{path} from {origin:?}"),
            Err(other) => panic!("{path} from {origin:?}: {other}"),
        }
    }
    let stats = server.stats_when(|stats| quic(stats).open == 0).await;
    assert_eq!((stats.transports["webtransport"].requests, quic(&stats).accepted), (11, 4));
}

#[tokio::test]
async fn a_server_that_stops_ends_the_stream_and_the_session() {
    for delivery in ["stream", "datagrams"] {
        let server = Server::secure(steady(50.0));
        let session = open(&server, &format!("/webtransport?delivery={delivery}")).await;
        let mut stream = accept(&session).await;
        message(&mut stream).await;
        let silent = try_open(&server, "/webtransport", None).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut bytes = [0; 1024];
            // Every byte and the stream's end come before the close.
            while in_time(stream.read(&mut bytes)).await.unwrap().is_some() {}
        });
        let (stats, took) = server.stop().await;
        reading.await.unwrap();
        for session in [&session, &silent] {
            assert_eq!(closed(session).await, (0, "the server stops".to_owned()), "{delivery}");
        }
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!((quic(&stats).open, stats.connections.open), (0, 0));
    }
}

#[tokio::test]
async fn one_session_too_many_is_refused_and_the_others_stay() {
    let server = Server::secure(Settings { max_connections: 2, ..steady(100.0) });
    let mut streams = Vec::new();
    for _ in 0..2 {
        let session = open(&server, "/webtransport").await;
        streams.push((accept(&session).await, session));
    }
    let refused = try_open(&server, "/webtransport", None).await.unwrap_err();
    assert!(matches!(refused, ConnectingError::ConnectionError(_)), "{refused}");
    message(&mut streams[0].0).await;
    let stats = quic(&server.stats().await);
    assert_eq!((stats.accepted, stats.open, stats.refused), (2, 2, 1));
    streams.pop().unwrap().1.close(VarInt::from_u32(0), b"");
    server.stats_when(|stats| quic(stats).open == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_a_cursor_and_is_dropped_in_the_end() {
    // A second and more of quotes: as far behind may the one who reads be, too.
    let (feed, replay_window) = (ticker::FeedSettings { quote_bytes: 20_000, ..steady(200.0).feed }, 256);
    let stall_timeout = Duration::from_secs(1);
    let server = Server::secure(Settings { feed, replay_window, stall_timeout, ..steady(200.0) });
    let slow = open(&server, "/webtransport").await;
    let _unread = accept(&slow).await;
    let quick = open(&server, "/webtransport").await;
    let mut stream = accept(&quick).await;
    let mut newest = shape(&message(&mut stream).await).0;
    while quic(&server.stats().await).open == 2 {
        newest += 1;
        assert_eq!(seq(&message(&mut stream).await), newest);
    }
    assert_eq!(closed(&slow).await, (3, "nothing was taken for too long".to_owned()));
    assert!(newest > replay_window as u64, "{newest}");
}

#[tokio::test]
async fn datagrams_that_cannot_be_sent_are_dropped_and_counted() {
    // 64 KiB wait at most, and a burst is more.
    let mut settings = still();
    (settings.feed.quote_bytes, settings.feed.symbols) = (1_100, 200);
    settings.feed.updates_per_second = 10.0;
    let server = Server::secure_after_bursts(1, settings).await;
    let session = open(&server, "/webtransport?after=0&delivery=datagrams").await;
    datagram(&session).await;
    let stats = server.stats_when(|stats| quic(stats).datagrams_dropped > 0).await;
    let sent = stats.transports["webtransport"].quotes;
    assert_eq!(sent + quic(&stats).datagrams_dropped, 200, "{:?}", quic(&stats));
}

#[tokio::test]
async fn a_quote_that_fits_no_datagram_ends_the_session_with_the_reason() {
    let feed = ticker::FeedSettings { quote_bytes: 1_151, ..still().feed };
    let server = Server::secure(Settings { feed, ..still() });
    let session = open(&server, "/webtransport?delivery=datagrams").await;
    let (code, reason) = closed(&session).await;
    assert_eq!(code, 2, "{reason}");
    assert!(reason.contains("longer than a datagram"), "{reason}");
    accept(&open(&server, "/webtransport").await).await;
}

#[tokio::test]
async fn both_ends_count_the_same_bytes_but_for_the_first_datagram() {
    let server = Server::secure(steady(200.0));
    let sockets = sockets(&server);
    let url = format!("https://{}/webtransport", server.address);
    let session = in_time(sockets.connect(url)).await.unwrap();
    say(&session, b"go").await;
    let mut stream = accept(&session).await;
    for _ in 0..20 {
        message(&mut stream).await;
    }
    session.close(VarInt::from_u32(0), b"");
    in_time(sockets.wait_idle()).await;
    let client = session.quic_connection().stats();
    let stats = server.stats_when(|stats| quic(stats).open == 0).await;
    let counted = quic(&stats);
    assert_eq!(client.path.lost_packets + counted.lost_packets, 0);
    assert_eq!(counted.sent_bytes, client.udp_rx.bytes);
    assert_eq!(counted.received_bytes + 1_200, client.udp_tx.bytes);
    assert_eq!(counted.received_datagrams + 1, client.udp_tx.datagrams);
    // TCP's figures hold nothing of it.
    assert_eq!(stats.bytes, servers::stats::ByteStats::default());
}

#[tokio::test]
async fn a_page_is_told_the_certificate_and_the_address() {
    let server = Server::secure(still());
    let (head, body) = server.get("/identity", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["webtransport"], format!("https://{}/webtransport", server.address));
    assert_eq!(told["sha256"].as_str().unwrap().len(), 44);
    let plain = Server::new(still());
    assert!(plain.get("/identity", "").await.0.starts_with("HTTP/1.1 404"));
    assert_eq!(plain.stats().await.quic, None);
}
