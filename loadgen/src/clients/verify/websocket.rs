//! The rules of `GET /ws`.

use std::{io, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, handshake::client::generate_key},
};

use super::Findings;
use crate::{control::Control, endpoint::Endpoint, plan::Http, stream::Stream};

const SECTION: &str = "GET /ws: WebSocket";
const PATH: &str = "/ws";
const SUBPROTOCOL: &str = "ticker.json.v1";
const PATIENCE: Duration = Duration::from_secs(10);
const QUOTES: u64 = 3;

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    refusals(endpoint, findings, &path).await?;
    let Some(mut stream) = open(endpoint, findings, &path).await? else { return Ok(()) };
    let first = text(&mut stream).await.unwrap_or_default();
    let Some(last) = findings.snapshot(&first) else { return Ok(()) };
    let mut newest = last;
    while newest < last + QUOTES {
        let Some(message) = text(&mut stream).await else { break };
        newest = findings.follow(newest, &[&message]).max(newest + 1);
    }
    findings.hold("websocket.news", SECTION, newest > last, "no quotes in 10 s", "a feed with updates");
    pong(&mut stream, findings).await;
    close(stream, findings).await;

    // Back with the first quote's number: everything after it, and no snapshot.
    let back = format!("{path}?after={}", last + 1);
    if let Some(mut stream) = open(endpoint, findings, &back).await? {
        let message = text(&mut stream).await.unwrap_or_default();
        let seq = serde_json::from_str::<ticker::QuoteView<'_>>(&message).ok().map(|quote| quote.seq);
        let expected = format!("quote {} first", last + 2);
        findings.hold("websocket.resume", SECTION, seq == Some(last + 2), message, expected);
    }
    Ok(())
}

/// The status of handshakes that must not succeed.
async fn refusals(endpoint: &Endpoint, findings: &mut Findings, path: &str) -> io::Result<()> {
    let key = generate_key();
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key.as_str()),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&handshake[..], more].concat();
    let origin = with(&[("origin", "https://elsewhere.example")]);
    let protocol = with(&[("sec-websocket-protocol", "nonsense.v9")]);
    let junk = format!("{path}?after=junk");
    for (rule, path, headers, expected) in [
        ("websocket.foreign-origin", path, origin, 403),
        ("websocket.unknown-subprotocol", path, protocol, 400),
        ("websocket.no-handshake", path, Vec::new(), 426),
        ("websocket.junk-cursor", junk.as_str(), handshake.to_vec(), 400),
    ] {
        // A head is enough: a stream that stands by mistake has no end.
        let response = Control::open(endpoint).await?.begin(path, &headers).await?;
        findings.hold(rule, SECTION, response.status() == expected, response.status(), expected);
    }
    Ok(())
}

async fn open(
    endpoint: &Endpoint,
    findings: &mut Findings,
    path: &str,
) -> io::Result<Option<WebSocketStream<Stream>>> {
    let scheme = if endpoint.is_secure() { "wss" } else { "ws" };
    let request = http::Request::get(format!("{scheme}://{}{path}", endpoint.authority))
        .header("host", &endpoint.authority)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key())
        .header("sec-websocket-protocol", SUBPROTOCOL)
        .header("origin", endpoint.origin())
        .body(())
        .map_err(io::Error::other)?;
    match client_async(request, endpoint.connect(Http::H1).await?).await {
        Ok((stream, _)) => {
            findings.hold("websocket.handshake", SECTION, true, "", "");
            Ok(Some(stream))
        }
        Err(Error::Http(response)) => {
            findings.hold(
                "websocket.handshake",
                SECTION,
                false,
                response.status(),
                "101 Switching Protocols",
            );
            Ok(None)
        }
        // The accept key and the subprotocol are checked by the library.
        Err(error) => {
            let expected = "101 with the accept key of RFC 6455 section 4.2.2 and ticker.json.v1";
            findings.hold("websocket.handshake", SECTION, false, error, expected);
            Ok(None)
        }
    }
}

/// The next text message; `None` at the end, for another kind of message, or after silence.
async fn text(stream: &mut WebSocketStream<Stream>) -> Option<String> {
    loop {
        match timeout(PATIENCE, stream.next()).await.ok()??.ok()? {
            Message::Text(text) => return Some(text.to_string()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Binary(_) | Message::Close(_) => return None,
        }
    }
}

async fn pong(stream: &mut WebSocketStream<Stream>, findings: &mut Findings) {
    const PAYLOAD: &[u8] = b"tickertape";
    let answered = async {
        stream.send(Message::Ping(bytes::Bytes::from_static(PAYLOAD))).await.ok()?;
        loop {
            if let Message::Pong(payload) = stream.next().await?.ok()? {
                return Some(payload);
            }
        }
    };
    let payload = timeout(PATIENCE, answered).await.ok().flatten();
    let told = payload.as_ref().map_or_else(|| "none in 10 s".to_owned(), |payload| format!("{payload:?}"));
    let kept = payload.is_some_and(|payload| payload == PAYLOAD);
    findings.hold("websocket.pong", SECTION, kept, told, "a pong with the ping's payload");
}

async fn close(mut stream: WebSocketStream<Stream>, findings: &mut Findings) {
    let answered = async {
        stream.send(Message::Close(None)).await.ok()?;
        loop {
            if let Message::Close(_) = stream.next().await?.ok()? {
                return Some(());
            }
        }
    };
    let kept = timeout(PATIENCE, answered).await.ok().flatten().is_some();
    findings.hold("websocket.close", SECTION, kept, "none in 10 s", "a close frame in answer to ours");
}
