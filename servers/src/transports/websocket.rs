//! WebSocket (RFC 6455): the client asks `GET /ws` once, then both sides speak frames over the bare connection.
//!
//! Each quote is one text message: two or four bytes of frame head, then the canonical JSON and nothing else.
//! hyper does the HTTP part of the handshake; tungstenite frames what comes after.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use ticker::Transport;
use tokio::time::{interval, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{ahead, refuse};
use crate::{
    app::App,
    log::{Subscription, Update},
};

/// The subprotocol: JSON quotes, a snapshot envelope first.
const SUBPROTOCOL: &str = "ticker.json.v1";
/// Clients have little to say: a longer message ends the connection with code 1009.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// Pings without an answer after which the client counts as gone.
const MOST_UNANSWERED: u32 = 2;
/// Messages of a client within one heartbeat period after which the connection ends with code 1008.
const MOST_MESSAGES: u32 = 1_000;
/// Longest wait for the client's answer to our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// `GET /ws`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/ws", get(upgrade))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The newest sequence number that the client has; without it, it gets a snapshot.
    after: Option<u64>,
}

async fn upgrade(State(app): State<Arc<App>>, mut request: Request) -> Response {
    app.counters(Transport::WebSocket).request();
    match handshake(&app, &request) {
        Ok((response, subscription)) => {
            let upgrade = request.extensions_mut().remove::<OnUpgrade>();
            let upgrade = upgrade.expect("hyper adds it to every request of a connection with upgrades");
            app.tasks.spawn(converse(upgrade, subscription, Arc::clone(&app)));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// The answer 101 and the place to read from, or the refusal.
fn handshake(app: &App, request: &Request) -> Result<(Response, Subscription), Box<Response>> {
    // A browser sends cookies with every WebSocket handshake, from whatever page it comes, and asks nobody
    // first: the server has to look at the origin itself (RFC 6455 section 10.2).
    if !origin_is_welcome(request.headers(), &app.settings.allowed_origins) {
        return Err(Box::new(refuse(StatusCode::FORBIDDEN, "this origin may not open a WebSocket here")));
    }
    let cursor = match Query::try_from_uri(request.uri()) {
        Ok(Query(Question { after })) => after,
        Err(rejection) => return Err(Box::new(refuse(StatusCode::BAD_REQUEST, rejection.body_text()))),
    };
    let last = app.log.last();
    if let Some(after) = cursor.filter(|&after| after > last) {
        return Err(Box::new(ahead(after, last)));
    }
    let mut response = create_response_with_body(request, Body::empty).map_err(|error| {
        let mut response = refuse(StatusCode::UPGRADE_REQUIRED, error.to_string());
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        Box::new(response)
    })?;
    match choose(request.headers()) {
        Choice::NoneOffered => {}
        Choice::Ours => {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        Choice::NoneKnown => {
            let text = format!("none of the offered subprotocols is known here, expected {SUBPROTOCOL}");
            return Err(Box::new(refuse(StatusCode::BAD_REQUEST, text)));
        }
    }
    Ok((response, Subscription::new(&app.log, cursor)))
}

/// Whether the request comes from no page, from one of this server, or from an allowed one.
fn origin_is_welcome(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    super::origin_is_welcome(Some(origin), host, allowed)
}

#[derive(Debug, PartialEq)]
enum Choice {
    NoneOffered,
    Ours,
    NoneKnown,
}

/// What the client's `Sec-WebSocket-Protocol` comes to (RFC 6455 section 4.2.2).
fn choose(headers: &HeaderMap) -> Choice {
    let mut lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter().peekable();
    if lists.peek().is_none() {
        return Choice::NoneOffered;
    }
    let mut names =
        lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim);
    if names.any(|name| name == SUBPROTOCOL) { Choice::Ours } else { Choice::NoneKnown }
}

/// One client's connection from the upgrade to its end.
async fn converse(upgrade: OnUpgrade, subscription: Subscription, app: Arc<App>) {
    // It fails when the client hung up in the middle of the handshake.
    let Ok(upgraded) = upgrade.await else { return };
    let config = config(&app);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let mut client = Client { socket, subscription, unanswered: 0, messages: 0, app };
    let end = client.push().await;
    client.close(end).await;
}

/// tungstenite's defaults are made for few busy connections: 128 KiB to read, no limit to what waits to be
/// written. Ours are for many quiet ones.
fn config(app: &App) -> WebSocketConfig {
    let feed = &app.settings.feed;
    let snapshot = feed.symbols as usize * (feed.quote_bytes as usize + 1);
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(2 * snapshot + 256 * 1024)
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE))
}

struct Client {
    app: Arc<App>,
    socket: Socket,
    subscription: Subscription,
    unanswered: u32,
    messages: u32,
}

/// Why a conversation is over.
enum End {
    /// With a close frame of ours.
    Closing(CloseCode, &'static str),
    /// With the client's close frame, which is still to be answered.
    Answering,
    /// The connection broke: there is no one left to talk to.
    Gone,
}

impl Client {
    /// Pushes quotes until something ends it.
    async fn push(&mut self) -> End {
        let mut heartbeat = interval(self.app.settings.heartbeat);
        heartbeat.reset();
        loop {
            let end = tokio::select! {
                update = self.subscription.next(|quote| quote.text.clone()) => match update {
                    Some(update) => self.send(update).await,
                    None => Some(End::Closing(CloseCode::Away, "the server stops")),
                },
                message = self.socket.next() => self.receive(message),
                _ = heartbeat.tick() => self.ping().await,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Writes all quotes of an update, then flushes once: one system call for all of them.
    ///
    /// A client that does not read holds up its own task only. Its cursor stays, and the kernel drops the
    /// connection when it has taken nothing for `stall_timeout`.
    async fn send(&mut self, update: Update<Utf8Bytes>) -> Option<End> {
        let sent = match update {
            Update::Quotes(quotes) => {
                self.app.counters(Transport::WebSocket).quotes(quotes.len());
                self.feed_all(quotes).await
            }
            Update::Snapshot(envelope) => {
                let text = String::from_utf8(envelope.json()).expect("an envelope is ASCII");
                self.socket.send(Message::text(text)).await
            }
        };
        sent.err().map(|_| End::Gone)
    }

    async fn feed_all(&mut self, quotes: Vec<Utf8Bytes>) -> Result<(), Error> {
        for quote in quotes {
            self.socket.feed(Message::Text(quote)).await?;
        }
        self.socket.flush().await
    }

    /// tungstenite answers pings and close frames while we read. Nothing else that a client says matters here.
    fn receive(&mut self, message: Option<Result<Message, Error>>) -> Option<End> {
        match message {
            Some(Ok(Message::Pong(_))) => self.unanswered = 0,
            Some(Ok(Message::Ping(_) | Message::Text(_) | Message::Binary(_) | Message::Frame(_))) => {}
            // tungstenite writes its answer with the next read. A quote must not come before it.
            Some(Ok(Message::Close(_))) => return Some(End::Answering),
            Some(Err(error)) => return Some(failure(&error)),
            None => return Some(End::Gone),
        }
        self.messages += 1;
        (self.messages > MOST_MESSAGES).then_some(End::Closing(CloseCode::Policy, "too many messages"))
    }

    async fn ping(&mut self) -> Option<End> {
        if self.unanswered == MOST_UNANSWERED {
            return Some(End::Closing(CloseCode::Policy, "no pong"));
        }
        self.unanswered += 1;
        self.messages = 0;
        let sent = self.socket.send(Message::Ping(bytes::Bytes::new())).await;
        sent.err().map(|_| End::Gone)
    }

    /// Sends the close frame or the answer to one and reads to the end, so that the client sees the code and no
    /// reset.
    async fn close(mut self, end: End) {
        let frame = match end {
            End::Closing(code, reason) => Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }),
            End::Answering => None,
            End::Gone => return,
        };
        let _ = timeout(CLOSE_TIMEOUT, async {
            if frame.is_some() {
                self.socket.close(frame).await?;
            }
            while self.socket.next().await.is_some() {}
            Ok::<(), Error>(())
        })
        .await;
    }
}

/// The close code for what a client did wrong (RFC 6455 section 7.4.1).
fn failure(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::Closing(CloseCode::Size, "message too long"),
        Error::Utf8(_) => End::Closing(CloseCode::Invalid, "text is not UTF-8"),
        Error::Protocol(_) => End::Closing(CloseCode::Protocol, "broken frame"),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => End::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_allowed_or_foreign() {
        let check = |origin: Option<&'static str>, expected| {
            let mut headers =
                HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("ticker.test:8080"))]);
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            assert_eq!(
                origin_is_welcome(&headers, &["https://friend.test".to_owned()]),
                expected,
                "{origin:?}"
            );
        };
        check(None, true);
        check(Some("http://ticker.test:8080"), true);
        check(Some("http://TICKER.test:8080"), true);
        check(Some("https://friend.test"), true);
        check(Some("http://ticker.test"), false);
        check(Some("http://ticker.test:8080.evil.test"), false);
        check(Some("http://evil.test"), false);
        check(Some("null"), false);
        check(Some(""), false);
    }

    #[test]
    fn a_subprotocol_is_chosen_from_the_offered_ones() {
        let check = |offers: &[&'static str], expected| {
            let offer = |&offer| (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
            let headers: Vec<_> = offers.iter().map(offer).collect();
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            assert_eq!(choose(&map), expected, "{offers:?}");
        };
        check(&[], Choice::NoneOffered);
        check(&["ticker.json.v1"], Choice::Ours);
        check(&["graphql-ws, ticker.json.v1"], Choice::Ours);
        check(&["graphql-ws", "ticker.json.v1"], Choice::Ours);
        check(&["graphql-ws"], Choice::NoneKnown);
        check(&["ticker.json.v10"], Choice::NoneKnown);
        check(&[""], Choice::NoneKnown);
    }
}
