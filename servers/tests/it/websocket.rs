//! `GET /ws`: handshake, refusals, messages, pings, the close codes.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use servers::Settings;
use ticker::binary;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderName, HeaderValue, Response},
        protocol::frame::coding::CloseCode,
    },
};

use crate::support::{Client, SYMBOLS, Server, in_time, seq, seqs_of, shape, steady, still};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn try_open(
    server: &Server,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Response<Option<Vec<u8>>>), Error> {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    in_time(connect_async(request)).await
}

async fn open(server: &Server, path: &str) -> Socket {
    try_open(server, path, &[]).await.unwrap().0
}

async fn text(socket: &mut Socket) -> String {
    loop {
        match in_time(socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) => {}
            other => panic!("expected text, found {other:?}"),
        }
    }
}

/// The close code that the server sends next, pings aside.
async fn close_code(socket: &mut Socket) -> CloseCode {
    loop {
        match in_time(socket.next()).await.unwrap().unwrap() {
            Message::Close(frame) => return frame.unwrap().code,
            Message::Text(_) | Message::Ping(_) => {}
            other => panic!("expected a close frame, found {other:?}"),
        }
    }
}

const OFFER: &str = "sec-websocket-protocol";

#[tokio::test]
async fn the_handshake_answers_what_was_offered() {
    let server = Server::new(still());
    let offers = [
        (None, None),
        (Some("ticker.json.v1"), Some("ticker.json.v1")),
        (Some("x, ticker.json.v1"), Some("ticker.json.v1")),
        (Some("ticker.binary.v1"), Some("ticker.binary.v1")),
        (Some("x, ticker.binary.v1, ticker.json.v1"), Some("ticker.binary.v1")),
        (Some("ticker.json.v1, ticker.binary.v1"), Some("ticker.json.v1")),
    ];
    for (offer, answer) in offers {
        let headers: Vec<_> = offer.map(|offer| (OFFER, offer)).into_iter().collect();
        let (_socket, response) = try_open(&server, "/ws", &headers).await.unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers().get(OFFER).map(|value| value.to_str().unwrap()), answer);
    }
}

/// Path, request headers, expected status, part of the expected reason.
type Handshake<'a> = (&'a str, &'a [(&'static str, &'a str)], u16, &'a str);

#[tokio::test]
async fn handshakes_that_make_no_sense_are_refused() {
    let settings = Settings { allowed_origins: vec!["https://friend.test".to_owned()], ..still() };
    let server = Server::after_bursts(1, settings).await;
    let own = format!("http://{}", server.address);
    let cases: [Handshake<'_>; 9] = [
        ("/ws", &[(OFFER, "graphql-ws")], 400, "expected ticker.json.v1"),
        ("/ws", &[("origin", "http://evil.test")], 403, "origin"),
        ("/ws", &[("origin", "null")], 403, "origin"),
        ("/ws?after=5", &[], 400, "after is 5, expected at most 4"),
        ("/ws?after=x", &[], 400, "after"),
        ("/ws?symbols=NOPE", &[], 400, "symbol"),
        ("/ws", &[("origin", &own)], 101, ""),
        ("/ws", &[("origin", "https://friend.test")], 101, ""),
        ("/ws?after=4", &[], 101, ""),
    ];
    for (path, headers, status, reason) in cases {
        match try_open(&server, path, headers).await {
            Ok((_, response)) => assert_eq!(response.status(), status, "{path} {headers:?}"),
            Err(Error::Http(response)) => {
                let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
                assert_eq!(response.status(), status, "{path} {headers:?} {body}");
                assert!(body.contains(reason), "{body}");
            }
            Err(error) => panic!("{path} {headers:?}: {error}"),
        }
    }
    let (head, _) = server.get("/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
}

#[tokio::test]
async fn a_new_client_gets_a_snapshot_then_every_quote() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let mut socket = open(&server, "/ws").await;
    let (last, gap, marked, seqs) = shape(&text(&mut socket).await);
    assert_eq!((gap, marked, seqs), (0, true, (last - 3..=last).collect()));
    for expected in last + 1..last + 100 {
        assert_eq!(seq(&text(&mut socket).await), expected);
    }
}

#[tokio::test]
async fn a_client_comes_back_where_it_was_or_to_a_snapshot() {
    let server = Server::after_bursts(3, Settings { replay_window: 6, ..still() }).await;
    let mut socket = open(&server, "/ws?after=6").await;
    for expected in 7..=12 {
        assert_eq!(seq(&text(&mut socket).await), expected);
    }
    let mut socket = open(&server, "/ws?after=5").await;
    assert_eq!(shape(&text(&mut socket).await), (12, 3, true, vec![9, 10, 11, 12]));
}

#[tokio::test]
async fn stopping_closes_with_1001() {
    let server = Server::after_bursts(1, still()).await;
    let mut socket = open(&server, "/ws").await;
    shape(&text(&mut socket).await);
    let (code, (stats, took)) = tokio::join!(
        async {
            let code = close_code(&mut socket).await;
            // Reading on sends our close frame and sees the server hang up.
            assert!(in_time(socket.next()).await.is_none());
            code
        },
        server.stop()
    );
    assert_eq!(code, CloseCode::Away);
    assert_eq!(stats.connections.open, 0);
    assert!(took < Settings::default().grace, "{took:?}");
}

#[tokio::test]
async fn pings_are_answered_and_a_close_is_returned() {
    let server = Server::after_bursts(1, still()).await;
    let mut socket = open(&server, "/ws?after=4").await;
    socket.send(Message::Ping("abc".into())).await.unwrap();
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::Pong("abc".into()));
    socket.close(None).await.unwrap();
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::Close(None));
    assert!(in_time(socket.next()).await.is_none());
    server.stats_when(|stats| stats.connections.open == 1).await;
}

#[tokio::test]
async fn a_close_is_returned_in_the_middle_of_a_busy_feed() {
    let server = Server::started(steady(20_000.0));
    for round in 0..1_000 {
        let mut client = open_raw(&server).await;
        // A masked close frame with code 1000.
        client.send(b"\x88\x82\0\0\0\0\x03\xe8").await;
        let rest = client.rest().await;
        assert!(rest.ends_with(b"\x88\x02\x03\xe8"), "round {round}: no close frame at the end");
    }
    server.stop().await;
}

async fn open_raw(server: &Server) -> Client {
    let mut client = server.connect().await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.get("/ws?after=0", handshake).await;
    let head = client.head().await;
    // RFC 6455 section 1.3 has this key and this answer.
    assert!(head.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    client
}

#[tokio::test]
async fn broken_frames_end_with_the_code_of_the_fault() {
    let server = Server::new(still());
    let cases: [(&str, &[u8], u16); 6] = [
        ("64 KiB and one byte", &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4], 1009),
        ("2^63 - 1 bytes", &[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 1009),
        ("no mask", &[0x81, 0x01, b'a'], 1002),
        ("a reserved bit", &[0xc1, 0x81, 0, 0, 0, 0, b'a'], 1002),
        ("a reserved opcode", &[0x83, 0x81, 0, 0, 0, 0, b'a'], 1002),
        ("text that is not UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
    ];
    for (fault, frame, code) in cases {
        let mut client = open_raw(&server).await;
        client.send(frame).await;
        let head = client.exactly(4).await;
        assert_eq!(head[0], 0x88, "{fault}");
        assert_eq!(u16::from_be_bytes([head[2], head[3]]), code, "{fault}");
    }
}

#[tokio::test]
async fn a_quote_is_a_frame_head_and_the_json() {
    let server = Server::after_bursts(1, still()).await;
    let mut client = open_raw(&server).await;
    for _ in 0..SYMBOLS {
        // 120 bytes fit the short length: two bytes of head.
        assert_eq!(client.exactly(2).await, [0x81, 120]);
        seq(std::str::from_utf8(&client.exactly(120).await).unwrap());
    }
}

#[tokio::test]
async fn a_client_without_pongs_is_closed_and_one_with_pongs_stays() {
    let settings = Settings { heartbeat: Duration::from_millis(100), ..still() };
    let server = Server::new(settings);
    let mut answering = open(&server, "/ws?after=0").await;
    let answers = tokio::spawn(async move {
        // tungstenite answers pings while we wait for the message that never comes.
        tokio::time::timeout(Duration::from_millis(800), text(&mut answering)).await.unwrap_err();
    });
    let mut silent = open_raw(&server).await;
    let frames = silent.rest().await;
    assert_eq!(frames[..4], [0x89, 0, 0x89, 0]);
    assert_eq!(frames[4], 0x88);
    assert_eq!(u16::from_be_bytes([frames[6], frames[7]]), 1008);
    answers.await.unwrap();
}

#[tokio::test]
async fn a_flood_of_messages_is_closed_with_1008() {
    let server = Server::new(still());
    let mut client = open_raw(&server).await;
    client.send([0x89, 0x80, 0, 0, 0, 0].repeat(1_001)).await;
    let frames = client.rest().await;
    let close = frames.windows(2).position(|window| window == [0x88, 19]).expect("a close frame");
    assert_eq!(u16::from_be_bytes([frames[close + 2], frames[close + 3]]), 1008);
}

#[tokio::test]
async fn the_binary_subprotocol_carries_the_same_feed() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let (mut socket, _) = try_open(&server, "/ws", &[(OFFER, "ticker.binary.v1")]).await.unwrap();
    let mut expected = None;
    while expected.is_none_or(|(first, next)| next < first + 100) {
        let Message::Binary(bytes) = in_time(socket.next()).await.unwrap().unwrap() else {
            panic!("no bytes")
        };
        expected = match (binary::decode(&bytes).unwrap(), expected) {
            (binary::Message::Snapshot { last, gap, quotes }, None) => {
                assert_eq!((gap, quotes.len() as u64, quotes.last().unwrap().seq), (0, SYMBOLS, last));
                Some((last + 1, last + 1))
            }
            (binary::Message::Quote(quote), Some((first, next))) => {
                assert_eq!((bytes.len(), quote.seq), (1 + binary::RECORD_BYTES, next));
                Some((first, next + 1))
            }
            (message, _) => panic!("unexpected: {message:?}"),
        };
    }
    // The same numbers as in text.
    let (_, body) = server.get("/quotes?after=0", "").await;
    let envelope: serde_json::Value = serde_json::from_str(&body).unwrap();
    let (mut socket, _) = try_open(&server, "/ws?after=0", &[(OFFER, "ticker.binary.v1")]).await.unwrap();
    for text in envelope["quotes"].as_array().unwrap() {
        let Message::Binary(bytes) = in_time(socket.next()).await.unwrap().unwrap() else {
            panic!("no bytes")
        };
        let binary::Message::Quote(quote) = binary::decode(&bytes).unwrap() else { panic!("no quote") };
        let mut text = text.clone();
        text.as_object_mut().unwrap().remove("pad");
        let of_binary = serde_json::json!({
            "seq": quote.seq, "sym": quote.sym, "px": quote.px, "qty": quote.qty, "due": quote.due, "sent": quote.sent,
        });
        assert_eq!(of_binary, text);
    }
}

#[tokio::test]
async fn a_client_may_change_its_symbols() {
    let server = Server::after_bursts(2, still()).await;
    let (acme, bolt) = (seqs_of(&server, "ACME").await, seqs_of(&server, "BOLT").await);
    let mut socket = open(&server, "/ws?after=0&symbols=ACME").await;
    for expected in &acme {
        assert_eq!(seq(&text(&mut socket).await), *expected);
    }
    for (names, newest) in [(r#"["BOLT"]"#, vec![bolt[1]]), ("[]", vec![])] {
        socket.send(Message::text(format!(r#"{{"subscribe":{names}}}"#))).await.unwrap();
        assert_eq!(shape(&text(&mut socket).await), (8, 0, true, newest));
    }
    // What is no wish is ignored; a wish for what is not there is not.
    socket.send(Message::text(r#"{"unsubscribe":["ACME"]}"#)).await.unwrap();
    socket.send(Message::text(r#"{"subscribe":["ACME","NOPE"]}"#)).await.unwrap();
    assert_eq!(close_code(&mut socket).await, CloseCode::Policy);
    assert!(in_time(socket.next()).await.is_none());
}

#[tokio::test]
async fn quotes_of_other_symbols_stay_away() {
    let server = Server::started(steady(400.0));
    let mut socket = open(&server, "/ws?symbols=BOLT").await;
    socket.send(Message::text(r#"{"subscribe":["ACME"]}"#)).await.unwrap();
    let mut seqs = Vec::new();
    let mut changed = false;
    while seqs.len() < 30 {
        let message: serde_json::Value = serde_json::from_str(&text(&mut socket).await).unwrap();
        if message["snapshot"] == true {
            let quotes = message["quotes"].as_array().unwrap();
            changed |= quotes.iter().any(|quote| quote["sym"] == "ACME");
            continue;
        }
        let wanted = if changed { "ACME" } else { "BOLT" };
        // The feed may have had no quote of ACME yet when its snapshot was made.
        changed |= message["sym"] == "ACME";
        assert!(message["sym"] == wanted || message["sym"] == "ACME", "{message}");
        seqs.push(message["seq"].as_u64().unwrap());
    }
    assert!(changed && seqs.is_sorted_by(|one, next| one < next), "{seqs:?}");
}
