//! HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3): polls, streams, WebSockets (RFC 8441), the end.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, Version, body::Incoming, client::conn::http2, client::conn::http2::SendRequest,
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use servers::Settings;
use ticker::clock;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::support::{SYMBOLS, Server, in_time, seq, shape, steady, still};

const LIMIT: Duration = Duration::from_millis(300);

/// Speaks HTTP/2 over a connection.
pub(crate) async fn speak<S>(io: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        in_time(http2::handshake(TokioExecutor::new(), TokioIo::new(io))).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn connect(server: &Server) -> SendRequest<Full<Bytes>> {
    speak(TcpStream::connect(server.address).await.unwrap()).await
}

fn get(server: &Server, path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://{}{path}", server.address)).body(Full::default()).unwrap()
}

/// The whole answer to `GET path`, which must be 200.
async fn poll(sender: &mut SendRequest<Full<Bytes>>, server: &Server, path: &str) -> String {
    let response = in_time(sender.send_request(get(server, path))).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    let body = in_time(response.into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// The body of an answer that does not end.
struct Endless {
    body: Incoming,
    pending: String,
}

impl Endless {
    fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), pending: String::new() }
    }

    /// Everything before the next `end`.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some((before, rest)) = self.pending.split_once(end) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.pending = rest;
                return before;
            }
            let frame = in_time(self.body.frame()).await.expect("it goes on").unwrap();
            self.pending.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn one_connection_carries_polls_and_many_streams_at_a_time() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let before = server.stats().await.connections.accepted;
    let mut sender = connect(&server).await;
    let mut lines = Vec::new();
    for _ in 0..20 {
        let response = in_time(sender.send_request(get(&server, "/ndjson"))).await.unwrap();
        lines.push(Endless::of(response));
    }
    let mut events = Endless::of(in_time(sender.send_request(get(&server, "/sse"))).await.unwrap());
    for stream in &mut lines {
        let (last, gap, marked, _) = shape(&stream.until("\n").await);
        assert_eq!((gap, marked), (0, true));
        for expected in last + 1..=last + 50 {
            assert_eq!(seq(&stream.until("\n").await), expected);
        }
    }
    assert_eq!(events.until("\n\n").await, "retry: 2000");
    let first = events.until("\n\n").await;
    let (_, envelope) = first.split_once("\ndata: ").unwrap();
    let last = shape(envelope).0;
    for expected in last + 1..=last + 50 {
        let block = events.until("\n\n").await;
        let (id, quote) = block.strip_prefix("id: ").unwrap().split_once("\ndata: ").unwrap();
        assert_eq!((id.parse(), seq(quote)), (Ok(expected), expected));
    }
    let (newest, ..) = shape(&poll(&mut sender, &server, "/quotes").await);
    assert!(newest >= last + 50);
    let held = shape(&poll(&mut sender, &server, &format!("/quotes/wait?after={newest}")).await);
    assert_eq!((held.1, held.2, held.3[0]), (0, false, newest + 1));
    // The one of the streams and those that ask for the figures.
    let stats = server.stats().await;
    assert_eq!(stats.connections.accepted - before, 2);
    drop((sender, lines, events));
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    assert_eq!((stats.identity.checked, stats.identity.mismatched), (1, 0), "{:?}", stats.identity);
}

/// Asks for a WebSocket in a stream of its own.
async fn ask(sender: &mut SendRequest<Full<Bytes>>, path: &str, field: (&str, &str)) -> Response<Incoming> {
    let request = Request::connect(path).version(Version::HTTP_2);
    let request = request.extension(Protocol::from_static("websocket"));
    let request = request.header("sec-websocket-version", "13").header(field.0, field.1);
    in_time(sender.send_request(request.body(Full::default()).unwrap())).await.unwrap()
}

#[tokio::test]
async fn websockets_travel_in_streams_of_one_connection() {
    let server = Server::after_bursts(1, still()).await;
    let mut sender = connect(&server).await;
    // Its answer comes after the settings that allow an extended CONNECT.
    assert_eq!(poll(&mut sender, &server, "/healthz").await, "ok");
    let url = |query: &str| format!("http://{}/ws{query}", server.address);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let offer = ("sec-websocket-protocol", "ticker.json.v1");
        let response = ask(&mut sender, &url("?after=0"), offer).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "ticker.json.v1");
        assert!(!response.headers().contains_key("sec-websocket-accept"), "{:?}", response.headers());
        let upgraded = TokioIo::new(in_time(hyper::upgrade::on(response)).await.unwrap());
        sockets.push(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await);
    }
    for socket in &mut sockets {
        for expected in 1..=SYMBOLS {
            let Message::Text(text) = in_time(socket.next()).await.unwrap().unwrap() else {
                panic!("no text");
            };
            assert_eq!(seq(&text), expected);
        }
    }
    // What is refused here is refused as over HTTP/1.1, and takes no other stream with it.
    for (query, field, status) in [
        ("?after=5", ("x-nothing", ""), 400),
        ("?symbols=NOPE", ("x-nothing", ""), 400),
        ("", ("sec-websocket-protocol", "graphql-ws"), 400),
        ("", ("origin", "http://evil.test"), 403),
    ] {
        assert_eq!(ask(&mut sender, &url(query), field).await.status(), status, "{query} {field:?}");
    }
    sockets[0].close(None).await.unwrap();
    assert_eq!(in_time(sockets[0].next()).await.unwrap().unwrap(), Message::Close(None));
    let (stats, closed) = tokio::join!(server.stop(), in_time(sockets[1].next()));
    let Message::Close(Some(frame)) = closed.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(frame.code), 1001);
    assert_eq!(stats.0.transports["websocket"].quotes, 3 * SYMBOLS);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn an_idle_connection_outlives_the_head_limit_but_not_without_a_request() {
    let server = Server::after_bursts(1, Settings { header_timeout: LIMIT, ..still() }).await;
    let mut sender = connect(&server).await;
    let mut silent = server.connect().await;
    for _ in 0..3 {
        assert_eq!(shape(&poll(&mut sender, &server, "/quotes").await).0, 4);
        sleep(LIMIT * 3 / 2).await;
    }
    assert!(!sender.is_closed());
    drop(silent.rest().await);

    // The server's clock begins when it takes the connection, which may be before we hear of it.
    let began_ns = clock::now_ns();
    let mut silent = server.connect().await;
    silent.send([PREFACE, SETTINGS].concat()).await;
    silent.rest().await;
    let took = Duration::from_nanos(clock::now_ns() - began_ns);
    assert!((LIMIT..LIMIT * 5).contains(&took), "{took:?}");
}

/// `GET path` in stream 1: fields without indexing (RFC 7541 section 6.2.2), names from the static table.
fn request(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x09127.0.0.1");
    let mut frame = vec![0, 0, block.len() as u8, 1, 0x5, 0, 0, 0, 1];
    frame.extend_from_slice(&block);
    frame
}

/// A frame: (type, flags, payload); `None` at the end of the connection.
async fn frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    in_time(stream.read_exact(&mut head)).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    in_time(stream.read_exact(&mut payload)).await.unwrap();
    Some((head[3], head[4], payload))
}

#[tokio::test]
async fn stopping_ends_the_streams_and_says_goaway() {
    let server = Server::after_bursts(1, still()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[PREFACE, SETTINGS, &request("/ndjson?after=0")].concat()).await.unwrap();
    let mut body = Vec::new();
    while body.iter().filter(|&&byte| byte == b'\n').count() < SYMBOLS as usize {
        let (kind, _, payload) = frame(&mut stream).await.expect("the stream goes on");
        if kind == 0 {
            body.extend_from_slice(&payload);
        }
    }
    let read = async {
        let (mut ended, mut goaways) = (false, Vec::new());
        while let Some((kind, flags, payload)) = frame(&mut stream).await {
            match kind {
                0 => ended |= flags & 1 != 0,
                // A PING, which wants its answer.
                6 if flags & 1 == 0 => {
                    let pong = [&[0, 0, 8, 6, 1, 0, 0, 0, 0], &payload[..]].concat();
                    stream.write_all(&pong).await.unwrap();
                }
                7 => goaways.push(payload),
                _ => {}
            }
        }
        (ended, goaways)
    };
    let ((ended, goaways), (stats, took)) = tokio::join!(read, server.stop());
    assert!(ended, "the stream has an end");
    let last = goaways.last().expect("a GOAWAY frame");
    assert_eq!(last[..8], [0, 0, 0, 1, 0, 0, 0, 0], "stream 1 was the last, NO_ERROR");
    assert!(took < Settings::default().grace, "{took:?}");
    assert_eq!((stats.connections.open, stats.identity.mismatched), (0, 0), "{stats:?}");
}
