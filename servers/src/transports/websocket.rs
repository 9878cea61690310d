//! WebSocket (RFC 6455): the client asks `GET /ws` once, then both sides speak frames over the bare connection.
//!
//! Each quote is one message: two or four bytes of frame head, then the canonical JSON or `ticker.binary.v1` and
//! nothing else. Over HTTP/2 the request is an extended CONNECT (RFC 8441), and the frames travel in one stream.

mod chat;
mod conversation;
mod direct;
mod echo;
mod frames;
mod negotiation;
mod room;
mod socket;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
    routing::get,
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use serde::Deserialize;
use ticker::Transport;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

pub(super) use self::direct::{direct, direct_echo};
use self::{
    conversation::{Heard, Topic, converse},
    echo::LONGEST_MESSAGE as LONGEST_ECHO,
    negotiation::{Choice, Encoding, Extension},
    socket::{Limits, Payload},
};
use super::{ahead, refuse, select};
use crate::{
    app::App,
    conditions::LONGEST_MESSAGE,
    encoded::{Encoded, Envelope},
    log::Subscription,
    selection::Selection,
};

/// `/ws`, its echo, the chat and the rooms.
pub(super) fn routes() -> Router<Arc<App>> {
    // Over HTTP/2 the method is CONNECT.
    Router::new()
        .route("/ws", get(upgrade).connect(upgrade))
        .route("/ws/chat", get(chat::upgrade).connect(chat::upgrade))
        .route("/ws/echo", get(echo::upgrade).connect(echo::upgrade))
        .route("/ws/uplink", get(echo::uplink).connect(echo::uplink))
        .route("/ws/room", get(room::upgrade).connect(room::upgrade))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The newest sequence number that the client has; without it, it gets a snapshot.
    after: Option<u64>,
    /// Names between commas; without it, all symbols. A `subscribe` message changes them.
    symbols: Option<String>,
}

async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Response {
    app.counters(Transport::WebSocket).request();
    match handshake(&app, &request) {
        Ok((switch, cursor, selection)) => {
            let Switch { response, encoding, extension } = switch;
            let subscription = Subscription::new(&app.log, cursor, selection);
            let topic = Quotes { app: Arc::clone(&app), encoding };
            let limits = limits(&app);
            let conversation =
                converse(upgrade_of(request), (limits, extension), topic, subscription, Arc::clone(&app));
            app.tasks.spawn(conversation);
            response
        }
        Err(refusal) => *refusal,
    }
}

/// The connection that the request came on, for the time when the answer is out.
fn upgrade_of(mut request: Request) -> OnUpgrade {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    upgrade.expect("hyper adds it to every request of a connection with upgrades")
}

/// The answer, the cursor to read from and what is wanted, or the refusal.
fn handshake<B>(
    app: &App,
    request: &http::Request<B>,
) -> Result<(Switch, Option<u64>, Selection), Box<Response>> {
    check_origin(app, request)?;
    let Question { after, symbols } = match Query::try_from_uri(request.uri()) {
        Ok(Query(question)) => question,
        Err(rejection) => return Err(Box::new(refuse(StatusCode::BAD_REQUEST, rejection.body_text()))),
    };
    let selection = select(app, symbols.as_deref())?;
    let last = app.log.last();
    if let Some(after) = after.filter(|&after| after > last) {
        return Err(Box::new(ahead(after, last)));
    }
    Ok((switch(app, request)?, after, selection))
}

/// A browser sends cookies with every WebSocket handshake, from whatever page it comes, and asks nobody first: the
/// server has to look at the origin itself (RFC 6455 section 10.2).
fn check_origin<B>(app: &App, request: &http::Request<B>) -> Result<(), Box<Response>> {
    if is_welcome(app, request) {
        Ok(())
    } else {
        Err(Box::new(refuse(StatusCode::FORBIDDEN, "this origin may not open a WebSocket here")))
    }
}

/// Whether the page that the request comes from, if any, may talk to this server.
pub(super) fn is_welcome<B>(app: &App, request: &http::Request<B>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    origin_is_welcome(request.headers(), host, &app.settings.allowed_origins)
}

/// What was agreed on.
struct Switch {
    response: Response,
    encoding: Encoding,
    extension: Option<Extension>,
}

/// The answer that begins the conversation, or the refusal of a handshake that is none or offers unknown
/// subprotocols only.
fn switch<B>(app: &App, request: &http::Request<B>) -> Result<Switch, Box<Response>> {
    let mut response = if is_extended_connect(request) {
        // There is nothing to prove: HTTP/2 was agreed on before (RFC 8441 section 5).
        Response::new(Body::empty())
    } else {
        create_response_with_body(request, Body::empty).map_err(|error| {
            let mut response = refuse(StatusCode::UPGRADE_REQUIRED, error.to_string());
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            Box::new(response)
        })?
    };
    let encoding = match negotiation::choose(request.headers()) {
        Choice::NoneOffered => Encoding::Text,
        Choice::Ours(encoding) => {
            let name = HeaderValue::from_static(encoding.subprotocol());
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
            encoding
        }
        Choice::NoneKnown => {
            let known = Encoding::ALL.map(Encoding::subprotocol).join(" or ");
            let text = format!("none of the offered subprotocols is known here, expected {known}");
            return Err(Box::new(refuse(StatusCode::BAD_REQUEST, text)));
        }
    };
    let extension = Extension::agree(request.headers(), app.settings.deflate);
    if let Some(extension) = &extension {
        let answer = HeaderValue::from_str(&extension.to_string()).expect("it is ASCII");
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
    }
    Ok(Switch { response, encoding, extension })
}

fn is_extended_connect<B>(request: &http::Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Whether the request comes from no page, from one of this server, or from an allowed one.
fn origin_is_welcome(headers: &HeaderMap, host: Option<&str>, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    super::origin_is_welcome(Some(origin), host, allowed)
}

/// What one connection of the feed may hold.
fn limits(app: &App) -> Limits {
    let feed = &app.settings.feed;
    let snapshot = feed.symbols as usize * (feed.quote_bytes as usize + 1);
    // Clients have little to say: a longer message ends the connection with code 1009.
    Limits { longest_message: LONGEST_MESSAGE, most_waiting: 2 * snapshot + 256 * 1024 }
}

/// The feed.
struct Quotes {
    app: Arc<App>,
    encoding: Encoding,
}

/// What a client says: `{"subscribe":["ACME"]}`.
#[derive(Deserialize)]
struct Wish {
    subscribe: Vec<String>,
}

impl Quotes {
    /// What a message asks for, if it does.
    fn wish(message: &[u8]) -> Option<Wish> {
        serde_json::from_slice(message).ok()
    }
}

impl Topic for Quotes {
    type Entry = Encoded;

    fn message(&self, quote: &Arc<Encoded>) -> Payload {
        match self.encoding {
            Encoding::Text => Payload::Text(quote.text.clone()),
            Encoding::Binary => Payload::Binary(quote.binary.clone()),
        }
    }

    fn snapshot(&self, envelope: &Envelope) -> Payload {
        match self.encoding {
            Encoding::Text => {
                let text = String::from_utf8(envelope.json()).expect("an envelope is ASCII");
                Payload::Text(text.into())
            }
            Encoding::Binary => Payload::Binary(envelope.binary().into()),
        }
    }

    fn hear(&self, said: Payload) -> Heard {
        let Some(Wish { subscribe }) = Self::wish(said.as_bytes()) else { return Heard::Nothing };
        let names = subscribe.iter().map(String::as_str);
        match Selection::of_names(names, self.app.settings.feed.symbols) {
            Ok(selection) => Heard::Wish(selection),
            Err(_) => Heard::Nonsense("unknown symbol"),
        }
    }

    fn listens(&self, _behind: u64) -> bool {
        true
    }

    fn pushed(&self, count: usize) {
        self.app.counters(Transport::WebSocket).quotes(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_allowed_or_foreign() {
        let check = |origin: Option<&'static str>, expected| {
            let headers =
                HeaderMap::from_iter(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            let allowed = ["https://friend.test".to_owned()];
            assert_eq!(
                origin_is_welcome(&headers, Some("ticker.test:8080"), &allowed),
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
}
