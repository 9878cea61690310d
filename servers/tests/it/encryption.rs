//! TLS on the port of plain HTTP: what is agreed on, what is dropped, how it ends.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Version};
use servers::Settings;
use ticker::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    http2,
    support::{Client, Server, in_time, seq, shape, still},
};

const LIMIT: Duration = Duration::from_millis(300);

/// A poll over TLS with HTTP/1.1.
async fn poll(server: &Server) -> (String, String) {
    let mut client = Client::new(server.connect_tls(b"http/1.1").await, server.address);
    client.get("/quotes?after=0", "").await;
    client.response().await
}

#[tokio::test]
async fn both_versions_of_http_and_plain_text_share_a_port() {
    let server = Server::encrypted(1, still()).await;
    let (head, body) = poll(&server).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(shape(&body).3, [1, 2, 3, 4]);

    let mut sender = http2::speak(server.connect_tls(b"h2").await).await;
    let url = format!("https://localhost:{}/quotes?after=0", server.address.port());
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    let response = in_time(sender.send_request(request)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    let body = in_time(response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(shape(std::str::from_utf8(&body).unwrap()).3, [1, 2, 3, 4]);

    let (head, body) = server.get("/quotes?after=0", "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(shape(&body).3, [1, 2, 3, 4]);
    drop(sender);
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    assert_eq!((stats.identity.checked, stats.identity.mismatched), (3, 0), "{:?}", stats.identity);
}

#[tokio::test]
async fn connections_that_do_not_get_on_are_dropped_in_time() {
    let server = Server::encrypted(1, Settings { header_timeout: LIMIT, ..still() }).await;
    // Nothing, the beginning of a record, and of one that could be a ClientHello.
    for begin in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
        // The server's clock begins when it takes the connection, which may be before we hear of it.
        let began_ns = clock::now_ns();
        let mut client = server.connect().await;
        client.send(begin).await;
        client.rest().await;
        let took = Duration::from_nanos(clock::now_ns() - began_ns);
        assert!((LIMIT..LIMIT * 5).contains(&took), "{begin:?} took {took:?}");
    }
    // A handshake and then no request.
    let mut stream = server.connect_tls(b"http/1.1").await;
    let began_ns = clock::now_ns();
    let ended = in_time(stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_err(), "it was cut off, not ended");
    let took = Duration::from_nanos(clock::now_ns() - began_ns);
    assert!((LIMIT / 2..LIMIT * 5).contains(&took), "{took:?}");
    server.stats_when(|stats| stats.connections.open == 1).await;
}

#[tokio::test]
async fn junk_instead_of_a_handshake_ends_that_connection_only() {
    let server = Server::encrypted(1, still()).await;
    let mut other = Client::new(server.connect_tls(b"http/1.1").await, server.address);
    other.get("/sse", "Last-Event-ID: 0\r\n").await;
    other.head().await;
    for junk in
        [&b"\x16junkjunkjunk"[..], b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff", b"\x16\x03\x03\xff\xff\x01"]
    {
        let mut client = server.connect().await;
        client.send(junk).await;
        client.finish().await;
        // At most an alert (RFC 8446 section 6).
        let rest = client.rest().await;
        assert!(rest.is_empty() || rest[0] == 21, "{junk:?}: {rest:?}");
    }
    assert_eq!(other.chunk().await, "retry: 2000\n\n");
    assert!(other.chunk().await.starts_with("id: 1\n"));
    assert!(poll(&server).await.0.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn both_ends_say_goodbye_and_the_books_balance() {
    let server = Server::encrypted(1, still()).await;
    // The client's close_notify is answered with the server's: without it rustls calls the end unexpected.
    let mut stream = server.connect_tls(b"http/1.1").await;
    let request = format!("GET /quotes HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = in_time(stream.read(&mut answer)).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK\r\n"));
    in_time(stream.shutdown()).await.unwrap();
    in_time(stream.read_to_end(&mut answer)).await.unwrap();

    // The server's own end.
    let mut reader = Client::new(server.connect_tls(b"http/1.1").await, server.address);
    reader.get("/ndjson?after=0", "").await;
    reader.head().await;
    for expected in 1..=4 {
        assert_eq!(seq(reader.chunk().await.trim_end()), expected);
    }
    let mut last = String::from("not yet");
    let read = async {
        while !last.is_empty() {
            last = reader.chunk().await;
        }
        reader.rest().await
    };
    let (rest, (stats, took)) = tokio::join!(read, server.stop());
    assert!(rest.is_empty() && took < Settings::default().grace, "{took:?}");
    assert_eq!((stats.identity.checked, stats.identity.mismatched), (2, 0), "{:?}", stats.identity);
}

#[tokio::test]
async fn what_a_client_still_says_after_the_end_is_read_and_counted() {
    let server = Server::encrypted(1, still()).await;
    for _ in 0..20 {
        let mut stream = server.connect_tls(b"http/1.1").await;
        let request =
            format!("GET /quotes HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&[b'x'; 4096]).await.unwrap();
        // No reset overtakes the answer.
        let mut answer = Vec::new();
        in_time(stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        let _ = in_time(stream.shutdown()).await;
    }
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    assert_eq!((stats.identity.checked, stats.identity.mismatched), (20, 0), "{:?}", stats.identity);
}
