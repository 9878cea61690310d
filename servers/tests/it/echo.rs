//! `GET /ws/echo`: what is said comes back as it was said; the faults of a client end as on `/ws`.

use futures_util::{SinkExt as _, StreamExt as _};
use servers::Settings;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::HeaderValue,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::support::{Client, Server, in_time, still};

fn talkative() -> Settings {
    Settings { echo: true, ..still() }
}

fn url(server: &Server) -> String {
    format!("ws://{}/ws/echo", server.address)
}

#[tokio::test]
async fn there_is_no_echo_unless_it_is_asked_for() {
    let server = Server::new(still());
    let Err(Error::Http(response)) = in_time(connect_async(url(&server))).await else { panic!("an echo") };
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn what_is_said_comes_back_in_order_and_in_kind() {
    let server = Server::new(talkative());
    let (mut socket, response) = in_time(connect_async(url(&server))).await.unwrap();
    assert_eq!(response.status(), 101);
    let long = "x".repeat(3 << 20);
    let said = [
        Message::text("one"),
        Message::binary(vec![0, 255]),
        Message::text(""),
        Message::binary(Vec::new()),
        Message::text(long),
    ];
    // All at once, then many: nothing that waits is lost.
    for message in &said {
        in_time(socket.feed(message.clone())).await.unwrap();
    }
    in_time(socket.flush()).await.unwrap();
    for message in said {
        assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), message);
    }
    for number in 0..2_000 {
        in_time(socket.feed(Message::text(format!("{number}")))).await.unwrap();
    }
    in_time(socket.flush()).await.unwrap();
    for number in 0..2_000 {
        assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::text(format!("{number}")));
    }
    assert_eq!(server.stats().await.transports["websocket"].quotes, 0, "what is said is no quote");
}

#[tokio::test]
async fn compression_and_foreign_pages_are_refused_as_on_the_feed() {
    let server = Server::new(talkative());
    for path in ["/ws", "/ws/echo"] {
        let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
        let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
        request.headers_mut().insert("sec-websocket-extensions", offer);
        let (mut socket, response) = in_time(connect_async(request.clone())).await.unwrap();
        assert_eq!(response.headers().get("sec-websocket-extensions"), None);
        in_time(socket.close(None)).await.unwrap();
        request.headers_mut().insert("origin", HeaderValue::from_static("http://evil.test"));
        let Err(Error::Http(response)) = in_time(connect_async(request)).await else { panic!("welcome") };
        assert_eq!(response.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn what_was_said_before_a_fault_is_answered_before_the_code_of_the_fault() {
    let server = Server::new(talkative());
    let cases: [(&str, &[u8], u16); 4] = [
        ("16 MiB and 64 KiB and one byte", &[0x81, 0xff, 0, 0, 0, 0, 1, 1, 0, 1, 1, 2, 3, 4], 1009),
        ("no mask", &[0x81, 0x01, b'a'], 1002),
        ("a reserved opcode", &[0x83, 0x81, 0, 0, 0, 0, b'a'], 1002),
        ("text that is not UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
    ];
    for (fault, frame, code) in cases {
        let mut client = open_raw(&server).await;
        client.send([&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i'], frame].concat()).await;
        assert_eq!(client.exactly(4).await, *b"\x82\x02hi", "{fault}");
        let head = client.exactly(4).await;
        assert_eq!((head[0], u16::from_be_bytes([head[2], head[3]])), (0x88, code), "{fault}");
    }
}

async fn open_raw(server: &Server) -> Client {
    let mut client = server.connect().await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.get("/ws/echo", handshake).await;
    client.head().await;
    client
}

#[tokio::test]
async fn stopping_closes_the_echo_with_1001() {
    let server = Server::new(talkative());
    let (mut socket, _) = in_time(connect_async(url(&server))).await.unwrap();
    let (closing, (stats, took)) = tokio::join!(
        async {
            let closing = in_time(socket.next()).await.unwrap().unwrap();
            assert!(in_time(socket.next()).await.is_none());
            closing
        },
        server.stop()
    );
    let Message::Close(Some(CloseFrame { code: CloseCode::Away, .. })) = closing else { panic!("{closing}") };
    assert_eq!(stats.connections.open, 0);
    assert!(took < Settings::default().grace, "{took:?}");
}
