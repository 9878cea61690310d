//! Rooms: what is said over one transport is heard over all of them, and everybody is told how many there are.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use servers::Settings;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::support::{Client, Server, in_time, still};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn open() -> Server {
    Server::new(Settings { rooms: true, ..still() })
}

async fn enter(server: &Server, room: &str) -> Socket {
    in_time(connect_async(format!("ws://{}/ws/room?room={room}", server.address))).await.unwrap().0
}

async fn text(socket: &mut Socket) -> String {
    match in_time(socket.next()).await.unwrap().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("{other}"),
    }
}

/// The body of `POST /say`, and its status.
async fn say(server: &Server, room: &str, text: &str) -> (String, String) {
    let mut client = server.connect().await;
    let length = text.len();
    client
        .send(format!("POST /say?room={room} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{text}"))
        .await;
    let (head, body) = client.response().await;
    (head[9..12].to_owned(), body)
}

async fn listen(server: &Server, room: &str) -> Client {
    let mut client = server.connect().await;
    client.get(&format!("/sse/room?room={room}"), "").await;
    let head = client.head().await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert_eq!(client.chunk().await, "retry: 2000\n\n");
    client
}

async fn ask(server: &Server, query: &str) -> Value {
    let (head, body) = server.get(&format!("/room?{query}"), "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}{body}");
    serde_json::from_str(&body).unwrap()
}

/// A Socket.IO session over a WebSocket, in the namespace of rooms.
async fn session(server: &Server) -> Socket {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server.address);
    let mut socket = in_time(connect_async(url)).await.unwrap().0;
    assert!(text(&mut socket).await.starts_with("0{"));
    socket.send(Message::text("40/room,")).await.unwrap();
    while !text(&mut socket).await.starts_with("40/room,{") {}
    socket
}

async fn packet(socket: &mut Socket) -> String {
    loop {
        let packet = text(socket).await;
        if packet != "2" {
            return packet;
        }
    }
}

#[tokio::test]
async fn there_are_no_rooms_unless_they_are_asked_for() {
    let server = Server::new(still());
    let url = format!("ws://{}/ws/room?room=a", server.address);
    let Err(Error::Http(response)) = in_time(connect_async(url)).await else { panic!("a room") };
    assert_eq!(response.status(), 404);
    for path in ["/sse/room?room=a", "/room?room=a"] {
        assert!(server.get(path, "").await.0.starts_with("HTTP/1.1 404"), "{path}");
    }
    assert_eq!(say(&server, "a", "hi").await.0, "404");
}

#[tokio::test]
async fn what_is_said_over_one_transport_is_heard_over_all() {
    let server = open();
    let mut ann = enter(&server, "a").await;
    let mut bob = listen(&server, "a").await;
    assert_eq!(bob.chunk().await, "event: online\ndata: {\"online\":2}\n\n");
    let first = ask(&server, "room=a").await;
    assert_eq!((&first["online"], &first["messages"], &first["gap"]), (&json!(3), &json!([]), &json!(0)));
    let (last, member) = (first["last"].as_u64().unwrap(), first["member"].as_str().unwrap());
    let mut eve = session(&server).await;
    eve.send(Message::text(r#"42/room,["join","a"]"#)).await.unwrap();
    assert_eq!(packet(&mut eve).await, r#"42/room,["online",4]"#);
    let mut other = enter(&server, "b").await;
    assert_eq!(text(&mut other).await, r#"{"online":1}"#);
    for online in 1..=4 {
        assert_eq!(text(&mut ann).await, format!("{{\"online\":{online}}}"));
    }
    for online in 3..=4 {
        assert_eq!(bob.chunk().await, format!("event: online\ndata: {{\"online\":{online}}}\n\n"));
    }

    ann.send(Message::text("hi")).await.unwrap();
    assert_eq!(text(&mut ann).await, "hi");
    assert_eq!(say(&server, "a", r#"{"n": 1}"#).await, ("204".to_owned(), String::new()));
    assert_eq!(text(&mut ann).await, r#"{"n": 1}"#);
    for said in [r#"42/room,["say","two\nlines"]"#, r#"42/room,["say",[3]]"#] {
        eve.send(Message::text(said)).await.unwrap();
        let heard = if said.contains("[3]") { "[3]" } else { "two\nlines" };
        assert_eq!(text(&mut ann).await, heard);
    }
    let blocks = ["data: hi\n\n", "data: {\"n\": 1}\n\n", "data: two\ndata: lines\n\n", "data: [3]\n\n"];
    for block in blocks {
        assert_eq!(bob.chunk().await, block);
    }
    let packets = [r#""hi""#, r#"{"n": 1}"#, r#""two\nlines""#, "[3]"];
    for argument in packets {
        assert_eq!(packet(&mut eve).await, format!("42/room,[\"said\",{argument}]"));
    }
    let answer = ask(&server, &format!("room=a&after={last}&member={member}")).await;
    assert_eq!(answer["messages"], json!(["hi", { "n": 1 }, "two\nlines", [3]]));
    assert_eq!((&answer["online"], &answer["gap"]), (&json!(4), &json!(0)));
    let all = ["websocket", "sse", "polling", "socketio"];
    let stats = server.stats_when(|stats| all.iter().all(|name| stats.transports[*name].quotes >= 4)).await;
    for transport in all {
        assert_eq!(stats.transports[transport].quotes, 4, "{transport}");
    }
}

#[tokio::test]
async fn who_leaves_is_no_longer_counted_and_an_empty_room_is_gone() {
    let server = open();
    let mut ann = enter(&server, "a").await;
    let bob = listen(&server, "a").await;
    let member = ask(&server, "room=a").await["member"].as_str().unwrap().to_owned();
    let mut eve = session(&server).await;
    eve.send(Message::text(r#"42/room,["join","a"]"#)).await.unwrap();
    for online in 1..=4 {
        assert_eq!(text(&mut ann).await, format!("{{\"online\":{online}}}"));
    }
    drop(bob);
    assert_eq!(text(&mut ann).await, r#"{"online":3}"#);
    let mut client = server.connect().await;
    client.send(format!("DELETE /room?room=a&member={member} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(client.response().await.0.starts_with("HTTP/1.1 204"));
    assert_eq!(text(&mut ann).await, r#"{"online":2}"#);
    let (head, _) = server.get(&format!("/room?room=a&after=0&member={member}"), "").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    eve.send(Message::text(r#"42/room,["leave"]"#)).await.unwrap();
    assert_eq!(text(&mut ann).await, r#"{"online":1}"#);
    in_time(ann.close(None)).await.unwrap();
    in_time(async {
        while say(&server, "a", "anybody?").await.0 != "404" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_member_that_does_not_read_is_told_that_it_is_too_slow() {
    let server = open();
    let mut slow = server.connect_with_little_room().await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    slow.get("/ws/room?room=a", handshake).await;
    slow.head().await;
    let mut quick = enter(&server, "a").await;
    assert_eq!(text(&mut quick).await, r#"{"online":2}"#);
    // More than its kernel, ours and the room keep for it.
    let long = "x".repeat(60_000);
    for _ in 0..200 {
        quick.send(Message::text(long.clone())).await.unwrap();
        assert_eq!(text(&mut quick).await.len(), long.len());
    }
    let rest = slow.rest().await;
    let [.., 0x88, _, high, low] = rest[..rest.len() - "too slow".len()] else { panic!("no close frame") };
    assert_eq!((u16::from_be_bytes([high, low]), rest.ends_with(b"too slow")), (1008, true));
    assert_eq!(text(&mut quick).await, r#"{"online":1}"#);
}

#[tokio::test]
async fn what_is_no_message_and_no_room_is_refused() {
    let server = open();
    let mut ann = enter(&server, "a").await;
    assert_eq!(text(&mut ann).await, r#"{"online":1}"#);
    assert_eq!(say(&server, "b", "hi").await.0, "404");
    assert_eq!(say(&server, "a", &"x".repeat(64 * 1024 + 1)).await.0, "413");
    let long = format!("/ws/room?room={}", "x".repeat(65));
    let Err(Error::Http(response)) = in_time(connect_async(format!("ws://{}{long}", server.address))).await
    else {
        panic!("a long name")
    };
    assert_eq!(response.status(), 400);
    for query in ["", "room=", "room=a&symbols=ACME"] {
        assert!(server.get(&format!("/room?{query}"), "").await.0.starts_with("HTTP/1.1 400"), "{query}");
    }
    ann.send(Message::binary(vec![1])).await.unwrap();
    let Message::Close(Some(CloseFrame { code, .. })) = in_time(ann.next()).await.unwrap().unwrap() else {
        panic!("no close frame")
    };
    assert_eq!(code, CloseCode::Unsupported);
}
