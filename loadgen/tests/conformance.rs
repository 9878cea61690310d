//! Every transport against one contract: the scheduled quotes, each once, to the byte, and an end in order.
//!
//! The loops run over `Transport::ALL`: a transport that is added is tested by being in that list.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use loadgen::{clients, process::Cores};
use measurement::result::{Bytes, Kernel, Layers, QuicWays, Status, Trial, Verdict};
use servers::{Settings, Start};
use ticker::{Anchor, FeedSettings, Quote, Schedule, Transport, clock, symbol_name};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use crate::trials;

const LIMIT: Duration = Duration::from_secs(20);
const QUOTES: usize = 60;

/// The transports that this build has: all, unless a cargo feature is off.
fn built() -> impl Iterator<Item = Transport> {
    Transport::ALL.into_iter().filter(|kind| clients::left_out(*kind).is_none())
}

/// Runs one short trial of a transport with its defaults.
async fn trial_of(kind: Transport, set: &[&str]) -> Trial {
    trial_on(trials::cores(), kind, set).await
}

async fn trial_on(cores: Cores, kind: Transport, set: &[&str]) -> Trial {
    trials::run(cores, &format!("[[transport]]\nkind = \"{kind}\"\n"), set).await.1
}

#[tokio::test]
async fn every_transport_delivers_all_quotes_once_and_balances_to_the_byte() {
    for kind in built() {
        let trial = trial_of(kind, &[]).await;
        let (updates, bytes) = (trial.updates, &trial.bytes);
        assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{kind}");
        assert_eq!((trial.clients.connected, trial.clients.disconnected), (12, 0), "{kind}");
        assert!(updates.expected > Some(12 * 50), "{kind}: {updates:?}");
        assert_eq!(Some(updates.delivered_once), updates.expected, "{kind}: {updates:?}");
        assert_eq!([updates.lost, updates.duplicated, updates.reordered], [Some(0); 3], "{kind}");
        assert_eq!(Some(updates.distinct), updates.generated, "{kind}");
        assert!(bytes.balanced, "{kind}: {bytes:?}");
        assert!(bytes.received.balanced() && bytes.sent.balanced(), "{kind}: {bytes:?}");
        assert_whole_life(kind, bytes);
        assert!(bytes.received.payload > 0, "{kind}: {bytes:?}");
        let classes = trial.validity.classes;
        assert_eq!(
            (classes.counts, classes.bytes),
            (Verdict::Ok, Verdict::Ok),
            "{kind}: {:?}",
            trial.validity
        );
        assert!(!trial.validity.findings.iter().any(|finding| finding.code == "kernel.unchecked"), "{kind}");
    }
}

/// The ledger of a connection's whole life against a second witness: the kernel, or for UDP the other end.
fn assert_whole_life(kind: Transport, bytes: &Bytes) {
    let life = (bytes.whole_life.received.sum(), bytes.whole_life.sent.sum());
    let Some(quic) = &bytes.quic else {
        assert_eq!(life, (bytes.kernel.received, bytes.kernel.sent), "{kind}");
        assert!(bytes.handshake.received.headers > 0, "{kind}: {bytes:?}");
        return;
    };
    assert_eq!(life, (quic.client.received_bytes, quic.client.sent_bytes), "{kind}");
    assert_eq!((quic.connections, bytes.kernel), (12, Kernel::default()), "{kind}");
    // Sealed by TLS inside QUIC: the remainder is one layer.
    let Layers { headers, tls, transport_framing, .. } = bytes.handshake.received;
    assert!(headers == 0 && tls == 0 && transport_framing > 12 * 1_200, "{kind}: {bytes:?}");
    let server = quic.server.expect("the reference server tells");
    if quic.client.lost_packets + server.lost_packets + quic.client.lost_probes + server.lost_probes == 0 {
        let QuicWays { down, up } = quic.ends(0).expect("both ends are known");
        assert_eq!((down.missing_bytes, up.missing_bytes), (0, 0), "{kind}: {quic:?}");
        assert_eq!(quic.client.received_datagrams, server.sent_datagrams, "{kind}: {quic:?}");
        assert_eq!(quic.client.sent_datagrams, server.received_datagrams + 12, "{kind}: {quic:?}");
    }
}

#[tokio::test]
#[cfg(feature = "quic")]
async fn datagrams_deliver_on_a_loopback_and_what_is_lost_is_told() {
    let trial = trial_of(Transport::WebTransport, &["defaults.carrier=datagrams"]).await;
    let updates = trial.updates;
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None));
    assert_eq!((trial.clients.connected, trial.clients.disconnected), (12, 0));
    assert!(trial.bytes.balanced, "{:?}", trial.bytes);
    assert_whole_life(Transport::WebTransport, &trial.bytes);
    assert_eq!((updates.duplicated, trial.validity.classes.counts), (Some(0), Verdict::Ok), "{updates:?}");
    let (expected, lost) =
        (updates.expected.unwrap(), updates.lost.unwrap() + updates.pending_at_end.unwrap());
    assert!(expected > 12 * 50 && updates.delivered_once + lost == expected, "{updates:?}");
    assert!(lost * 100 < expected, "{updates:?}");
    let received = trial.bytes.received;
    assert_eq!((received.app_framing, received.payload % 120), (0, 0), "{received:?}");
}

#[tokio::test]
#[cfg(feature = "quic")]
async fn a_quote_longer_than_a_datagram_is_refused_with_the_reason() {
    let set = ["defaults.carrier=datagrams", "feed.quote_bytes=1400", "load.clients=1"];
    let trial = trial_of(Transport::WebTransport, &set).await;
    assert_eq!((trial.status, trial.clients.connected), (Status::Failed, 0));
    assert!(trial.error.as_ref().unwrap().contains("longer than a datagram"), "{:?}", trial.error);
}

#[tokio::test]
async fn several_workers_find_what_one_finds() {
    // Three workers for twelve clients; on a small machine they share a core.
    let mut cores = trials::cores();
    cores.loadgen = vec![cores.loadgen[0]; 3];
    for kind in built() {
        let trial = trial_on(cores.clone(), kind, &[]).await;
        let updates = trial.updates;
        assert_eq!(
            (trial.status, trial.clients.connected),
            (Status::Complete, 12),
            "{kind}: {:?}",
            trial.error
        );
        assert_eq!(Some(updates.delivered_once), updates.generated.map(|n| n * 12), "{kind}: {updates:?}");
        assert_eq!(
            (updates.lost, Some(updates.distinct)),
            (Some(0), updates.generated),
            "{kind}: {updates:?}"
        );
        assert!(trial.bytes.balanced && trial.trace.is_some(), "{kind}: {:?}", trial.bytes);
    }
}

#[tokio::test]
async fn websocket_framing_is_two_bytes_up_to_125_and_four_above() {
    for (quote_bytes, head) in [(120, 2), (125, 2), (126, 4), (200, 4)] {
        let trial = trial_of(Transport::WebSocket, &[&format!("feed.quote_bytes={quote_bytes}")]).await;
        let received = trial.bytes.received;
        let messages = received.payload / quote_bytes;
        assert!(messages > 0 && received.payload == messages * quote_bytes, "{received:?}");
        assert_eq!(received.transport_framing, messages * head, "{quote_bytes} bytes: {received:?}");
        assert_eq!((received.app_framing, received.headers), (0, 0), "{received:?}");
        assert_eq!(trial.bytes.sent.socket_total, 0, "{:?}", trial.bytes.sent);
    }
}

/// `42["quote",` and `]` around a quote.
const EVENT: u64 = 12;

#[tokio::test]
async fn every_carrier_of_socketio_delivers_all_quotes_once_and_balances_to_the_byte() {
    for carrier in ["upgrade", "websocket", "polling"] {
        let trial = trial_of(Transport::SocketIo, &[&format!("defaults.carrier=\"{carrier}\"")]).await;
        let (updates, bytes) = (trial.updates, &trial.bytes);
        assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{carrier}");
        assert_eq!((trial.clients.connected, trial.clients.disconnected), (12, 0), "{carrier}");
        assert_eq!(Some(updates.delivered_once), updates.expected, "{carrier}: {updates:?}");
        assert_eq!([updates.lost, updates.duplicated, updates.reordered], [Some(0); 3], "{carrier}");
        assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{carrier}: {bytes:?}");
        let (life, kernel) = (&bytes.whole_life, &bytes.kernel);
        assert_eq!((life.received.sum(), life.sent.sum()), (kernel.received, kernel.sent), "{carrier}");
        let received = bytes.received;
        let quotes = received.payload / 120;
        let around = received.app_framing as f64 / quotes as f64;
        if carrier == "polling" {
            assert!(received.headers > 0 && bytes.sent.headers > received.headers, "{bytes:?}");
            // A separator between two quotes of one answer.
            assert!((EVENT as f64..=EVENT as f64 + 1.0).contains(&around), "{received:?}");
        } else {
            assert_eq!((received.app_framing, received.transport_framing), (quotes * EVENT, quotes * 4));
            assert_eq!((received.headers, bytes.sent.socket_total), (0, 0), "{carrier}: {bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_client_of_socketio_may_hold_more_than_one_connection() {
    let set = ["defaults.carrier=\"polling\"", "load.clients=80", "load.connect_over=500ms"];
    let trial = trial_of(Transport::SocketIo, &set).await;
    assert_eq!((trial.status, trial.clients.connected), (Status::Complete, 80), "{:?}", trial.error);
}

#[tokio::test]
async fn the_mean_delay_of_polling_is_half_its_interval_and_the_way() {
    let mut found = Vec::new();
    // What a busy machine adds to a delay is milliseconds: a small part of a long interval, if a large one of a short one.
    for interval in [200, 1_000, 3_000] {
        let interval_ms = format!("defaults.interval={interval}ms");
        let measure = format!("load.measure={}ms", (3 * interval).max(2_000));
        let set = [interval_ms.as_str(), measure.as_str(), "load.clients=40"];
        let mut ratios = Vec::new();
        for _ in 0..3 {
            let trial = trial_of(Transport::Polling, &set).await;
            let delay = trial.delivery_delay.and_then(|delay| delay.mean_us).expect("quotes were delivered");
            // The way from the server: measured apart, on the same machine, by the answers' own times.
            let way = trial.response_time.and_then(|time| time.min_us).expect("polls were answered") / 2.0;
            ratios.push(delay / (500.0 * f64::from(interval) + way));
        }
        ratios.sort_by(f64::total_cmp);
        if (ratios[1] - 1.0).abs() < 0.05 {
            return;
        }
        found.push((interval, ratios));
    }
    panic!("measured / expected in three trials of each interval: {found:?}");
}

/// Quotes of a transport as they are on the wire, `sent` cut out: all transports carry the JSON as it is.
async fn quotes_on_the_wire(
    kind: Transport,
    address: SocketAddr,
    fingerprint: [u8; 32],
    feed: &FeedSettings,
) -> Vec<String> {
    if kind == Transport::WebTransport {
        return quotes_over_quic(address, fingerprint, feed).await;
    }
    #[cfg(feature = "grpc")]
    if kind == Transport::Grpc {
        return quotes_over_grpc(address, feed).await;
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut bytes = Vec::new();
    let ask = |after: usize| match kind {
        Transport::Polling => format!("GET /quotes?after={after} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        Transport::LongPolling => {
            format!("GET /quotes/wait?after={after} HTTP/1.1\r\nHost: {address}\r\n\r\n")
        }
        Transport::Sse => format!("GET /sse HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        Transport::WebSocket => format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        // A session on a WebSocket; the packet that joins the namespace comes after it.
        Transport::SocketIo => format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        Transport::Ndjson => format!("GET /ndjson HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        Transport::Grpc | Transport::WebTransport => unreachable!("it carries no JSON over plain TCP"),
    };
    stream.write_all(ask(0).as_bytes()).await.unwrap();
    if kind == Transport::SocketIo {
        // `40` in a frame that is masked with zeros.
        stream.write_all(b"\x81\x82\0\0\0\x0040").await.unwrap();
    }
    while seen.len() < QUOTES {
        let mut part = [0; 16_384];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{kind}: the server closed after {} quotes", seen.len());
        bytes.extend_from_slice(&part[..read]);
        while let Some(quote) = take_quote(&mut bytes, feed.quote_bytes as usize) {
            seen.push(without_sent(&quote));
        }
        if matches!(kind, Transport::Polling | Transport::LongPolling) {
            // Late enough for the rest of the answer to be here; an answer that is held is then one more.
            tokio::time::sleep(Duration::from_millis(20)).await;
            while let Ok(read) = stream.try_read(&mut part) {
                assert!(read > 0, "{kind}: the server closed");
                bytes.extend_from_slice(&part[..read]);
            }
            while let Some(quote) = take_quote(&mut bytes, feed.quote_bytes as usize) {
                seen.push(without_sent(&quote));
            }
            stream.write_all(ask(seen.len()).as_bytes()).await.unwrap();
        }
    }
    seen.truncate(QUOTES);
    seen
}

#[cfg(feature = "quic")]
async fn quotes_over_quic(address: SocketAddr, fingerprint: [u8; 32], feed: &FeedSettings) -> Vec<String> {
    let trust = [wtransport::tls::Sha256Digest::new(fingerprint)];
    let config = wtransport::ClientConfig::builder().with_bind_default();
    let sockets = wtransport::Endpoint::client(config.with_server_certificate_hashes(trust).build()).unwrap();
    let session = sockets.connect(format!("https://{address}/webtransport?after=0")).await.unwrap();
    let mut go = session.open_uni().await.unwrap().await.unwrap();
    go.write_all(b"go").await.unwrap();
    go.finish().await.unwrap();
    let mut stream = session.accept_uni().await.unwrap();
    let (mut seen, mut bytes, mut part) = (Vec::new(), Vec::new(), [0; 16_384]);
    while seen.len() < QUOTES {
        let read = stream.read(&mut part).await.unwrap().expect("the stream goes on");
        bytes.extend_from_slice(&part[..read]);
        while let Some(quote) = take_quote(&mut bytes, feed.quote_bytes as usize) {
            seen.push(without_sent(&quote));
        }
    }
    seen.truncate(QUOTES);
    seen
}

#[cfg(not(feature = "quic"))]
async fn quotes_over_quic(_: SocketAddr, _: [u8; 32], _: &FeedSettings) -> Vec<String> {
    unreachable!("this build has no QUIC")
}

/// The same from protocol buffers, written as JSON again.
#[cfg(feature = "grpc")]
async fn quotes_over_grpc(address: SocketAddr, feed: &FeedSettings) -> Vec<String> {
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use prost::Message as _;
    use ticker::protobuf::{Event, Kind, SUBSCRIBE};

    let stream = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}{SUBSCRIBE}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(bytes::Bytes::from_static(&[0; 5])))
        .unwrap();
    let mut body = requests.send_request(request).await.unwrap().into_body();
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    while seen.len() < QUOTES {
        bytes.extend_from_slice(body.frame().await.unwrap().unwrap().data_ref().unwrap());
        while let Some([_, length @ ..]) = bytes.first_chunk::<5>().copied() {
            let end = 5 + u32::from_be_bytes(length) as usize;
            if bytes.len() < end {
                break;
            }
            let event = Event::decode(&bytes[5..end]).unwrap();
            bytes.drain(..end);
            let Some(Kind::Quote(quote)) = event.kind else { continue };
            let (seq, cents, quantity) = (quote.seq, quote.cents, quote.qty);
            let due = ticker::Due { seq, symbol: 0, offset_ns: 0, cents, quantity };
            let quote = Quote { due, symbol: &quote.sym, due_us: quote.due, sent_us: quote.sent };
            let mut text = Vec::new();
            quote.encode(feed.quote_bytes, &mut text);
            seen.push(without_sent(&String::from_utf8(text).unwrap()));
        }
    }
    connection.abort();
    seen.truncate(QUOTES);
    seen
}

fn take_quote(bytes: &mut Vec<u8>, length: usize) -> Option<String> {
    let start = bytes.windows(7).position(|window| window == br#"{"seq":"#)?;
    let quote = bytes.get(start..start + length)?.to_vec();
    bytes.drain(..start + length);
    Some(String::from_utf8(quote).unwrap())
}

fn without_sent(quote: &str) -> String {
    let start = quote.find(r#""sent":"#).unwrap();
    let end = quote.find(r#","pad""#).unwrap();
    format!("{}{}", &quote[..start], &quote[end..])
}

fn scheduled(feed: &FeedSettings, start: &Start) -> Vec<String> {
    let quote = |due: ticker::Due| {
        let due_us = start.anchor.unix_us(start.t0_ns + due.offset_ns);
        let mut text = Vec::new();
        let quote = Quote { due, symbol: &symbol_name(due.symbol), due_us, sent_us: due_us };
        quote.encode(feed.quote_bytes, &mut text);
        without_sent(&String::from_utf8(text).unwrap())
    };
    Schedule::new(feed).unwrap().take(QUOTES).map(quote).collect()
}

#[tokio::test]
async fn every_transport_carries_the_scheduled_quotes_and_stops_in_order() {
    let feed = FeedSettings { updates_per_second: 200.0, quote_bytes: 140, ..FeedSettings::default() };
    for kind in built() {
        let listener = servers::listen_both((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.tcp.local_addr().unwrap();
        let fingerprint = listener.identity.as_ref().unwrap().fingerprint();
        let anchor = Anchor::now();
        let t0_ns = clock::now_ns() + 200_000_000;
        let start = Start { anchor, t0_ns, window_from_ns: 0, window_to_ns: u64::MAX };
        let settings = Settings { feed: feed.clone(), ..Settings::default() };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        };
        let server = tokio::spawn(servers::serve(listener, settings, async move { start }, shutdown));
        let seen =
            tokio::time::timeout(LIMIT, quotes_on_the_wire(kind, address, fingerprint, &feed)).await.unwrap();
        assert_eq!(seen, scheduled(&feed, &start), "{kind}");
        stop.send(()).unwrap();
        let stats = tokio::time::timeout(LIMIT, server).await.unwrap().unwrap().unwrap();
        assert_eq!((stats.connections.open, stats.identity.mismatched), (0, 0), "{kind}: {stats:?}");
    }
}
