//! The rules of `/socket.io/`.

use std::{io, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, handshake::client::generate_key},
};

use super::Findings;
use crate::{
    clients::socketio::packets::{self, Packet, SEPARATOR},
    control::Control,
    endpoint::Endpoint,
    plan::Http,
    stream::Stream,
};

const SECTION: &str = "GET /socket.io/: Socket.IO";
const PATH: &str = "/socket.io/";
const PATIENCE: Duration = Duration::from_secs(10);
const QUOTES: u64 = 3;

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    let polling = format!("{path}?EIO=4&transport=polling");
    let websocket = format!("{path}?EIO=4&transport=websocket");
    refusals(endpoint, findings, &path, &polling).await?;

    // A session over polls, that becomes one over a WebSocket.
    let mut control = Control::open(endpoint).await?;
    let Some(sid) = handshake(&mut control, findings, &polling).await? else { return Ok(()) };
    let session = format!("{polling}&sid={sid}");
    let posted = control.post(&session, "40").await?;
    let kept = posted.status == 200 && posted.body == "ok";
    findings.hold("socketio.post", SECTION, kept, posted.text(), "200 with `ok`");
    let mut feed = Feed::default();
    while feed.quotes < QUOTES {
        let Ok(answer) = control.ask(&session, &[]).await else { break };
        feed.packets(findings, &answer.text());
        if std::mem::take(&mut feed.pinged) {
            control.post(&session, "3").await?;
        }
    }
    feed.judge(findings, "socketio.news");
    let upgraded = format!("{websocket}&sid={sid}");
    if let Some(mut stream) = open(endpoint, findings, &upgraded).await? {
        upgrade(&mut stream, &mut control, &session, findings, &mut feed).await?;
    }

    // A session over a WebSocket from the beginning.
    let Some(mut stream) = open(endpoint, findings, &websocket).await? else { return Ok(()) };
    let first = text(&mut stream).await.unwrap_or_default();
    let opened = matches!(packets::read(&first), Ok(Packet::Open(_)));
    findings.hold("socketio.websocket-open", SECTION, opened, first, "0{\"sid\":…} first");
    say(&mut stream, "40").await?;
    let mut feed = Feed::default();
    follow(&mut stream, findings, &mut feed).await?;
    feed.judge(findings, "socketio.websocket-news");
    Ok(())
}

/// The status of requests that must not succeed.
async fn refusals(endpoint: &Endpoint, findings: &mut Findings, path: &str, polling: &str) -> io::Result<()> {
    let foreign: &[(&str, &str)] = &[("origin", "https://elsewhere.example")];
    for (rule, path, headers, expected) in [
        ("socketio.forged-session", format!("{polling}&sid=AAAAAAAAAAAAAAHs"), [].as_slice(), 400),
        ("socketio.unknown-carrier", format!("{path}?EIO=4&transport=pigeon"), &[], 400),
        ("socketio.old-protocol", format!("{path}?EIO=2&transport=polling"), &[], 400),
        ("socketio.foreign-origin", polling.to_owned(), foreign, 403),
    ] {
        let answer = Control::open(endpoint).await?.ask(&path, headers).await?;
        findings.hold(rule, SECTION, answer.status == expected, answer.status, expected);
    }
    Ok(())
}

/// The session's id.
async fn handshake(
    control: &mut Control,
    findings: &mut Findings,
    polling: &str,
) -> io::Result<Option<String>> {
    let answer = control.ask(polling, &[]).await?;
    let body = answer.text();
    let json = body.strip_prefix('0').and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
    let sid = json.as_ref().and_then(|json| json.get("sid")?.as_str());
    let number = |key: &str| json.as_ref().and_then(|json| json.get(key)?.as_u64()).is_some();
    let whole = ["pingInterval", "pingTimeout", "maxPayload"].into_iter().all(number);
    let upgrades = json.as_ref().is_some_and(|json| json["upgrades"] == serde_json::json!(["websocket"]));
    let kept = answer.status == 200 && sid.is_some() && whole && upgrades;
    let expected =
        "0{\"sid\":…,\"upgrades\":[\"websocket\"],\"pingInterval\":…,\"pingTimeout\":…,\"maxPayload\":…}";
    findings.hold("socketio.open", SECTION, kept, &body, expected);
    let kind = answer.header("content-type");
    findings.hold("socketio.type", SECTION, kind.starts_with("text/plain"), kind, "text/plain");
    Ok(sid.map(str::to_owned))
}

/// What a session has brought.
#[derive(Default)]
struct Feed {
    joined: bool,
    last: Option<u64>,
    quotes: u64,
    pinged: bool,
}

impl Feed {
    /// Takes the packets of a poll's answer, or the one of a message.
    fn packets(&mut self, findings: &mut Findings, body: &str) {
        for text in body.split(SEPARATOR) {
            match packets::read(text) {
                Ok(Packet::Ping) => self.pinged = true,
                Ok(Packet::Joined) => self.joined = true,
                Ok(Packet::Event(name, argument)) => self.event(findings, &name, argument),
                Ok(_) => {}
                Err(error) => {
                    findings.hold("socketio.packets", SECTION, false, format!("{error}: {text}"), "packets");
                }
            }
        }
    }

    fn event(&mut self, findings: &mut Findings, name: &str, argument: &str) {
        findings.hold("socketio.joined", SECTION, self.joined, "an event before it", "40{\"sid\":…} first");
        match (name, self.last) {
            ("snapshot", None) => self.last = findings.snapshot(argument),
            ("quote", Some(last)) => {
                self.last = Some(findings.follow(last, &[argument]).max(last + 1));
                self.quotes += 1;
            }
            _ => findings.hold("socketio.events", SECTION, false, name, "one `snapshot`, then `quote`s"),
        }
    }

    fn judge(&self, findings: &mut Findings, rule: &'static str) {
        let told = format!("{} quotes in 10 s", self.quotes);
        findings.hold(rule, SECTION, self.quotes >= QUOTES, told, "a feed with updates");
    }
}

/// The probe: `2probe`, `3probe`, an end to the polls, `5`; then quotes go on without a hole.
async fn upgrade(
    stream: &mut WebSocketStream<Stream>,
    control: &mut Control,
    session: &str,
    findings: &mut Findings,
    feed: &mut Feed,
) -> io::Result<()> {
    say(stream, "2probe").await?;
    let answer = text(stream).await.unwrap_or_default();
    findings.hold("socketio.probe", SECTION, answer == "3probe", answer, "3probe");
    let mut polled = control.ask(session, &[]).await?.text();
    while !polled.ends_with('6') {
        feed.packets(findings, &polled);
        polled = control.ask(session, &[]).await?.text();
    }
    feed.packets(findings, &polled);
    say(stream, "5").await?;
    feed.quotes = 0;
    follow(stream, findings, feed).await?;
    feed.judge(findings, "socketio.upgraded-news");
    Ok(())
}

/// Takes messages until there are quotes enough, or silence.
async fn follow(
    stream: &mut WebSocketStream<Stream>,
    findings: &mut Findings,
    feed: &mut Feed,
) -> io::Result<()> {
    while feed.quotes < QUOTES {
        let Some(packet) = text(stream).await else { break };
        feed.packets(findings, &packet);
        if std::mem::take(&mut feed.pinged) {
            say(stream, "3").await?;
        }
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
        .header("origin", endpoint.origin())
        .body(())
        .map_err(io::Error::other)?;
    let opened = client_async(request, endpoint.connect(Http::H1).await?).await;
    let told = opened.as_ref().err().map(ToString::to_string).unwrap_or_default();
    findings.hold("socketio.handshake", SECTION, opened.is_ok(), told, "101 Switching Protocols");
    Ok(opened.ok().map(|(stream, _)| stream))
}

async fn say(stream: &mut WebSocketStream<Stream>, packet: &str) -> io::Result<()> {
    stream.send(Message::text(packet)).await.map_err(io::Error::other)
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
