//! What all transports must have in common before their figures may be compared: socket options, the bytes of a quote,
//! when it is written, how often a quiet stream speaks, how much is buffered.
//!
//! Bounds are wide where the machine's noise could break them, and exact where it could not.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{future::pending, net::SocketAddr, time::Duration};

use loadgen::{clients, conditions, endpoint::Endpoint, plan};
use measurement::result::{SocketOptions, Status, Trial};
use servers::{ServeError, Settings, Stats};
use ticker::Transport;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::trials;

const LIMIT: Duration = Duration::from_secs(20);
const QUOTE: u64 = 120;
/// Quotes of a burst.
const BURST: u64 = 8;

/// Every way to carry the feed over TCP, by what its `[[transport]]` says beside the kind.
const WAYS: [(Transport, &[&str]); 8] = {
    const HTTP: &[&str] = &["", "http = \"2\"", "tls = true", "http = \"2\"\ntls = true"];
    const CARRIERS: &[&str] = &[
        "carrier = \"upgrade\"",
        "carrier = \"websocket\"",
        "carrier = \"polling\"",
        "carrier = \"websocket\"\ntls = true",
    ];
    const SOCKET: &[&str] = &[
        "",
        "http = \"2\"",
        "tls = true",
        "http = \"2\"\ntls = true",
        "encoding = \"binary\"",
        "deflate = \"takeover\"",
    ];
    [
        (Transport::Polling, HTTP),
        (Transport::LongPolling, HTTP),
        (Transport::Sse, HTTP),
        (Transport::Ndjson, HTTP),
        (Transport::WebSocket, SOCKET),
        (Transport::SocketIo, CARRIERS),
        (Transport::Grpc, &["", "tls = true"]),
        (Transport::WebTransport, &["carrier = \"stream\""]),
    ]
};

fn ways() -> impl Iterator<Item = (Transport, &'static str)> {
    let built = WAYS.into_iter().filter(|(kind, _)| clients::left_out(*kind).is_none());
    built.flat_map(|(kind, ways)| ways.iter().map(move |&keys| (kind, keys)))
}

#[test]
fn every_transport_is_looked_at() {
    assert!(WAYS.iter().map(|(kind, _)| *kind).eq(Transport::ALL));
}

/// How many times slower the feed is at each attempt. A machine whose cores are taken away for tens of milliseconds merges quotes that are
/// 25 ms apart, and none that are far enough from each other; what is expected of a quote stays the same.
const SLOWER: [u32; 10] = [1, 1, 1, 2, 2, 4, 4, 8, 8, 8];

/// One client's trial: twenty intervals of 25 ms, as often as `slower` says; the window's edges lie between two quotes.
async fn one_client(kind: Transport, keys: &str, feed: Feed, slower: u32) -> Trial {
    let set = [
        "load.clients=1".to_owned(),
        "load.connect_over=0s".to_owned(),
        format!("load.warmup={}ms", 210 * slower),
        format!("load.measure={}ms", 500 * slower),
        format!("defaults.interval={}ms", 100 * slower),
        format!("feed.arrivals={}", feed.arrivals),
        format!("feed.updates_per_second={}", feed.rate / slower),
        "feed.symbols=8".to_owned(),
    ];
    let set = set.each_ref().map(String::as_str);
    let text = format!("[[transport]]\nkind = \"{kind}\"\n{keys}\n");
    let (_, trial) = trials::run(trials::cores(), &text, &set).await;
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{kind} {keys}");
    trial
}

/// What a trial's feed publishes, and how often where it is not slowed.
#[derive(Clone, Copy)]
struct Feed {
    arrivals: &'static str,
    rate: u32,
}

/// Reads and writes of the server in the window, as often as `each` quotes of it were received. `None` for UDP.
fn calls_for(trial: &Trial, each: u64) -> Option<f64> {
    trial.server.socket_calls_per_update.map(|calls| calls * each as f64)
}

/// Whether the server read and wrote as often as expected; UDP is not counted.
fn called(kind: Transport, trial: &Trial, each: u64, expected: f64) -> bool {
    let calls = match (kind, trial.requests) {
        // How many quotes an answer has, and which poll is at the window's edge, is the timetable's.
        (Transport::Polling, Some(requests)) => {
            let all = calls_for(trial, trial.updates.received_in_window);
            all.map(|calls| (calls - 2.0 * requests.sent as f64).abs() < 2.5)
        }
        _ => calls_for(trial, each).map(|calls| (calls - expected).abs() < 1e-6),
    };
    calls.unwrap_or(true)
}

/// Runs trials until one is as expected, each no faster than the one before: a stall of the machine merges some writes, never all of them.
async fn until_sound(kind: Transport, keys: &str, feed: Feed, sound: impl Fn(&Trial) -> bool) -> Trial {
    let mut found = Vec::new();
    for slower in SLOWER {
        let trial = one_client(kind, keys, feed, slower).await;
        if sound(&trial) {
            return trial;
        }
        let quotes = trial.updates.received_in_window;
        found.push((slower, quotes, calls_for(&trial, quotes), datagrams(&trial)));
    }
    panic!("{kind} {keys}: none as expected; times slower, quotes, calls, datagrams: {found:?}");
}

/// UDP datagrams of the window, both ways; `None` for TCP. IP and UDP heads are 28 bytes each.
fn datagrams(trial: &Trial) -> Option<u64> {
    trial.bytes.quic.map(|quic| quic.udp_ip_estimate / 28)
}

/// Asking takes a read besides the write.
fn asks(kind: Transport, keys: &str) -> bool {
    matches!(kind, Transport::Polling | Transport::LongPolling) || keys.contains("polling")
}

#[tokio::test]
async fn a_quote_leaves_at_once_in_one_write_of_its_own_bytes_on_like_sockets() {
    let feed = Feed { arrivals: "constant", rate: 40 };
    let options = Some(SocketOptions {
        nodelay: true,
        congestion_control: Some(conditions::CONGESTION_CONTROL.to_owned()),
    });
    for (kind, keys) in ways() {
        // A poll brings the four quotes of its interval.
        let each = if kind == Transport::Polling { 4 } else { 1 };
        let calls = if asks(kind, keys) { 2.0 } else { 1.0 };
        let trial = until_sound(kind, keys, feed, |trial| called(kind, trial, each, calls)).await;
        let (payload, quotes) = (trial.bytes.received.payload, trial.updates.received_in_window);
        assert!(quotes > 0, "{kind} {keys}");
        match exception(kind, keys) {
            None => assert_eq!(payload, quotes * QUOTE, "{kind} {keys}"),
            Some(bytes) => {
                assert!(bytes.contains(&(payload as f64 / quotes as f64)), "{kind} {keys}: {payload}");
            }
        }
        assert_eq!(trial.sockets.server, options, "{kind} {keys}");
        // UDP has neither; calls are not counted there, but a datagram is one write of the library's.
        match datagrams(&trial) {
            None => assert_eq!(trial.sockets.clients, options, "{kind} {keys}"),
            Some(datagrams) => assert!(datagrams >= quotes, "{kind} {keys}: {datagrams}"),
        }
    }
}

/// Bytes of a quote where it is not the canonical JSON, as the documents say.
fn exception(kind: Transport, keys: &str) -> Option<std::ops::RangeInclusive<f64>> {
    match kind {
        // The fixed layout of 36 bytes; protocol buffers without padding.
        Transport::WebSocket if keys.contains("binary") => Some(36.0..=36.0),
        Transport::Grpc => Some(30.0..=40.0),
        // What the messages before it leave to be said.
        Transport::WebSocket if keys.contains("deflate") => Some(10.0..=60.0),
        Transport::Polling
        | Transport::LongPolling
        | Transport::Sse
        | Transport::Ndjson
        | Transport::WebSocket
        | Transport::SocketIo
        | Transport::WebTransport => None,
    }
}

#[tokio::test]
async fn a_burst_leaves_in_one_write() {
    let feed = Feed { arrivals: "burst", rate: 160 };
    for (kind, keys) in ways() {
        let (each, calls) = match kind {
            // The two bursts of an interval.
            Transport::Polling => (2 * BURST, 2.0),
            // The exception: the first quote ends the poll, the other seven wait for the next (BIAS.md).
            Transport::SocketIo if keys.contains("polling") => (BURST, 4.0),
            Transport::LongPolling => (BURST, 2.0),
            Transport::Sse
            | Transport::Ndjson
            | Transport::WebSocket
            | Transport::SocketIo
            | Transport::Grpc
            | Transport::WebTransport => (BURST, 1.0),
        };
        until_sound(kind, keys, feed, |trial| {
            let received = trial.updates.received_in_window;
            // One and its acknowledgement for a burst.
            let merged = datagrams(trial).is_none_or(|datagrams| datagrams <= 4 * received / BURST);
            called(kind, trial, each, calls) && received >= 9 * BURST && merged
        })
        .await;
    }
}

/// Periods of the heartbeat, one for each attempt: on a machine that stalls, a beat of a short one is late by a part of it.
const PERIODS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1_500),
];

/// Silence of the test, and what is heard in it: ten beats, one more or less at the edges.
const BEATS: u64 = 10;

fn silence(period: Duration) -> Duration {
    period * 21 / 2
}

/// A server in this process that publishes nothing.
struct Server {
    address: SocketAddr,
    heartbeat: Duration,
    #[cfg(feature = "quic")]
    fingerprint: [u8; 32],
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Stats, ServeError>>,
}

impl Server {
    fn silent(heartbeat: Duration) -> Self {
        let listeners = servers::listen_both("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listeners.tcp.local_addr().unwrap();
        #[cfg(feature = "quic")]
        let fingerprint = listeners.identity.as_ref().unwrap().fingerprint();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        };
        let settings = Settings { heartbeat, ..Settings::default() };
        let task = tokio::spawn(servers::serve(listeners, settings, pending(), shutdown));
        Self {
            address,
            heartbeat,
            #[cfg(feature = "quic")]
            fingerprint,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(LIMIT, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// Says `hello` and counts how often `beat` comes, answering each with `answer`.
async fn beats(server: &Server, hello: &[u8], beat: &[u8], answer: &[u8]) -> u64 {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let (mut bytes, mut part, mut count) = (Vec::new(), [0; 4096], 0);
    let listening = async {
        loop {
            let read = stream.read(&mut part).await.unwrap();
            assert!(read > 0, "the server hung up after {count} beats");
            bytes.extend_from_slice(&part[..read]);
            while let Some(at) = bytes.windows(beat.len()).position(|window| window == beat) {
                bytes.drain(..at + beat.len());
                count += 1;
                stream.write_all(answer).await.unwrap();
            }
        }
    };
    let _: Result<(), _> = timeout(silence(server.heartbeat), listening).await;
    count
}

/// A GET, or with a body a POST, as gRPC wants it.
fn over_http2(address: SocketAddr, path: &str, body: &'static [u8]) -> http::Request<&'static [u8]> {
    let method = if body.is_empty() { http::Method::GET } else { http::Method::POST };
    let request = http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(body).unwrap()
}

/// An empty message; `None` in a build without gRPC.
#[cfg(feature = "grpc")]
async fn beats_over_grpc(server: &Server) -> Option<u64> {
    let call = over_http2(server.address, ticker::protobuf::SUBSCRIBE, &[0; 5]);
    Some(beats_of_frames(server, call, &[0; 5]).await)
}

#[cfg(not(feature = "grpc"))]
async fn beats_over_grpc(_: &Server) -> Option<u64> {
    None
}

/// The same of a stream of HTTP/2, where a beat is a DATA frame of its own.
async fn beats_of_frames(server: &Server, request: http::Request<&'static [u8]>, beat: &[u8]) -> u64 {
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut body = requests.send_request(request.map(Full::new)).await.unwrap().into_body();
    let mut count = 0;
    let listening = async {
        while let Some(frame) = body.frame().await {
            count += u64::from(frame.unwrap().data_ref().is_some_and(|data| data == beat));
        }
    };
    timeout(silence(server.heartbeat), listening).await.unwrap_err();
    connection.abort();
    count
}

/// PING frames of a QUIC connection that are heard.
#[cfg(feature = "quic")]
async fn beats_over_quic(server: &Server) -> Option<u64> {
    let trust = [wtransport::tls::Sha256Digest::new(server.fingerprint)];
    let config = wtransport::ClientConfig::builder().with_bind_default();
    let sockets = wtransport::Endpoint::client(config.with_server_certificate_hashes(trust).build()).unwrap();
    let session = sockets.connect(format!("https://{}/webtransport", server.address)).await.unwrap();
    let mut go = session.open_uni().await.unwrap().await.unwrap();
    go.write_all(b"go").await.unwrap();
    go.finish().await.unwrap();
    // The search for the path's MTU pings, too (RFC 8899).
    tokio::time::sleep(server.heartbeat / 2).await;
    let heard = || session.quic_connection().stats().frame_rx.ping;
    let before = heard();
    tokio::time::sleep(silence(server.heartbeat)).await;
    Some(heard() - before)
}

#[cfg(not(feature = "quic"))]
async fn beats_over_quic(_: &Server) -> Option<u64> {
    None
}

/// How often each kind of stream is heard in [`silence`]; `None` where a build has none.
async fn heard_from(server: &Server) -> [(&'static str, Option<u64>); 9] {
    let address = server.address;
    let ask =
        |path: &str, head: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{head}\r\n").into_bytes();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // `40` joins the namespace, `3` answers a ping; frames of clients are masked, here with zeros.
    let session =
        [&ask("/socket.io/?EIO=4&transport=websocket", upgrade)[..], b"\x81\x82\0\0\0\x0040"].concat();
    let held = ask("/quotes/wait?after=0", "");
    let (sse, ndjson, websocket) = (ask("/sse", ""), ask("/ndjson", ""), ask("/ws", upgrade));
    let (sse2, ndjson2) = (over_http2(address, "/sse", b""), over_http2(address, "/ndjson", b""));
    let (a, b, c, d, e, f, g) = tokio::join!(
        beats(server, &sse, b"\r\n: hb\n\n\r\n", b""),
        beats(server, &ndjson, b"\r\n\n\r\n", b""),
        beats(server, &websocket, b"\x89\0", b"\x8a\x80\0\0\0\0"),
        beats(server, &session, b"\x81\x012", b"\x81\x81\0\0\0\x003"),
        beats(server, &held, b"HTTP/1.1 200", &held),
        beats_of_frames(server, sse2, b": hb\n\n"),
        beats_of_frames(server, ndjson2, b"\n"),
    );
    let (grpc, webtransport) = (beats_over_grpc(server).await, beats_over_quic(server).await);
    [
        ("sse", Some(a)),
        ("ndjson", Some(b)),
        ("websocket", Some(c)),
        ("socketio", Some(d)),
        ("long-polling", Some(e)),
        ("sse h2", Some(f)),
        ("ndjson h2", Some(g)),
        ("grpc", grpc),
        ("webtransport", webtransport),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_of_any_transport_speaks_once_in_a_period() {
    let mut found = Vec::new();
    for period in PERIODS {
        let server = Server::silent(period);
        let heard = heard_from(&server).await;
        server.stop().await;
        let alike = |beats: Option<u64>| beats.is_none_or(|beats| beats.abs_diff(BEATS) <= 1);
        if heard.iter().all(|(_, beats)| alike(*beats)) {
            return;
        }
        found.push((period, heard));
    }
    panic!("{BEATS} expected of each: {found:?}");
}

#[test]
fn the_two_sides_agree_on_what_must_be_equal() {
    assert_eq!(conditions::HEARTBEAT, servers::conditions::HEARTBEAT);
    assert_eq!(Settings::default().heartbeat, servers::conditions::HEARTBEAT);
    assert_eq!(conditions::CONGESTION_CONTROL, servers::conditions::CONGESTION_CONTROL);
    assert_eq!(conditions::FRAMES_READ_BUFFER, servers::conditions::FRAMES_READ_BUFFER);
    // Frames and HTTP gather as much before they write, and no client's window is smaller than what waits for it.
    assert_eq!(servers::conditions::FRAMES_WRITE_BUFFER, servers::conditions::HTTP_BUFFER);
    assert!(conditions::HTTP2_WINDOW as usize > servers::conditions::MOST_WAITING);
}

#[tokio::test]
async fn buffers_of_tcp_are_the_kernel_s_own_at_both_ends() {
    let buffers = |socket: socket2::SockRef<'_>| {
        (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap())
    };
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = servers::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    // What a listener has, its connections begin with (tcp(7)).
    assert_eq!(buffers((&listener).into()), buffers((&plain).into()));
    let address = plain.local_addr().unwrap();
    let untouched = tokio::net::TcpSocket::new_v4().unwrap();
    // The kernel's own size depends on the congestion control.
    socket2::SockRef::from(&untouched).set_tcp_congestion(conditions::CONGESTION_CONTROL.as_bytes()).unwrap();
    let untouched = untouched.connect(address).await.unwrap();
    let ours = Endpoint::reference(address, None).unwrap().connect(plan::Http::H1).await.unwrap();
    assert_eq!(buffers(ours.tcp().into()), buffers((&untouched).into()));
    assert!(ours.tcp().nodelay().unwrap());
}
