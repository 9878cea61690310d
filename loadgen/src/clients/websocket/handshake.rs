//! The opening handshake: over HTTP/1.1 an upgrade (RFC 6455 section 4), over HTTP/2 an extended CONNECT (RFC 8441).

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper::{client::conn::http1, ext::Protocol};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::{
    super::{
        http::{Body, Http},
        request,
    },
    frames::{Carried, Frames},
};
use crate::{
    conditions::HTTP_READ_BUFFER,
    endpoint::Endpoint,
    plan::{Deflate, Encoding, VariantPlan},
    socket::Socket,
    worker::{Client, ClientError},
};

const EXTENSION: &str = "permessage-deflate";

pub(super) type Fields = Vec<(&'static str, String)>;

/// Upgrades the connection.
pub(super) async fn upgrade(client: &Client, socket: &Rc<Socket>, path: &str) -> Result<Frames, ClientError> {
    let mut own = own_fields(client);
    own.extend(asking());
    let request = request::get(client, path, &own, Body::default())?;
    exchange(socket, request, &own).await
}

/// The fields that ask for the upgrade.
pub(super) fn asking() -> [(&'static str, String); 3] {
    [
        ("connection", "Upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-key", generate_key()),
    ]
}

/// Sends the request with the fields that are `own`, and takes the connection over after the right answer.
pub(super) async fn exchange(
    socket: &Rc<Socket>,
    request: Request<Body>,
    own: &Fields,
) -> Result<Frames, ClientError> {
    let key = own.iter().find(|(name, _)| *name == "sec-websocket-key").map_or("", |(_, key)| key.as_str());
    let (mut requests, connection) = http1::Builder::new()
        .max_buf_size(HTTP_READ_BUFFER)
        .handshake::<_, Body>(TokioIo::new(socket.wire()))
        .await?;
    let connection = tokio::task::spawn_local(connection.without_shutdown());
    let response = requests.send_request(request).await;
    let response = match response {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => response,
        refused => {
            connection.abort();
            let _ = connection.await;
            return Err(ClientError::Status { found: refused?.status(), expected: "101" });
        }
    };
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(ClientError::Handshake("has no Sec-WebSocket-Accept that fits the key".to_owned()));
    }
    let parts = connection.await.map_err(|_| ClientError::Closed)??;
    let rest: Bytes = parts.read_buf;
    let carried = Carried::Own { rest, wire: parts.io.into_inner() };
    agreed(carried, own, response.headers()).await
}

/// Opens a stream of an HTTP/2 connection.
pub(super) async fn connect(client: &Client, http: &mut Http, path: &str) -> Result<Frames, ClientError> {
    let own = own_fields(client);
    let mut request = request::build(client, Method::CONNECT, path, &own, Body::default())?;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let mut response = http.send(request).await?.ok_or(ClientError::Closed)?;
    if response.status() != StatusCode::OK {
        return Err(ClientError::Status { found: response.status(), expected: "200" });
    }
    let upgraded = hyper::upgrade::on(&mut response).await?;
    agreed(Carried::Stream(TokioIo::new(upgraded)), &own, response.headers()).await
}

/// Refuses an answer that takes what was not offered (RFC 6455 section 4.1); frames as they were agreed on.
async fn agreed(carried: Carried, own: &Fields, answer: &HeaderMap) -> Result<Frames, ClientError> {
    let text = |name| answer.get(name).and_then(|value| value.to_str().ok());
    let offered = |name: &str| own.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
    if let Some(chosen) = text(&header::SEC_WEBSOCKET_PROTOCOL) {
        let offers = offered("sec-websocket-protocol").unwrap_or_default();
        if !offers.split(',').any(|offer| offer.trim() == chosen) {
            return Err(ClientError::Handshake(format!(
                "chose the subprotocol {chosen:?}, offered {offers:?}"
            )));
        }
    }
    let extensions = text(&header::SEC_WEBSOCKET_EXTENSIONS);
    if let Some(chosen) = extensions
        && !(chosen.starts_with(EXTENSION) && offered("sec-websocket-extensions").is_some())
    {
        return Err(ClientError::Handshake(format!("takes the extension {chosen:?} that was not offered")));
    }
    Frames::over(carried, extensions).await
}

fn own_fields(client: &Client) -> Fields {
    fields(client.plan(), client.endpoint(), subprotocols(client))
}

/// What either handshake says beside the profile.
pub(super) fn fields(plan: &VariantPlan, endpoint: &Endpoint, offered: String) -> Fields {
    let mut own = vec![("sec-websocket-version", "13".to_owned())];
    if !offered.is_empty() {
        own.push(("sec-websocket-protocol", offered));
    }
    if !plan.sets_origin() {
        own.push(("origin", endpoint.origin()));
    }
    let profile = plan.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
    match (plan.options.deflate, profile) {
        // A server that takes up the browser's own offer is understood, too.
        (Deflate::Off, Some((_, offer))) => own.push(("sec-websocket-extensions", offer.clone())),
        (Deflate::Off, None) => {}
        (Deflate::Takeover, _) => {
            own.push(("sec-websocket-extensions", format!("{EXTENSION}; client_max_window_bits")));
        }
        (Deflate::NoTakeover, _) => {
            let forget = "server_no_context_takeover; client_no_context_takeover; client_max_window_bits";
            own.push(("sec-websocket-extensions", format!("{EXTENSION}; {forget}")));
        }
    }
    own
}

/// What is offered: the scenario's subprotocols, or the ticker's own to a server that speaks it.
fn subprotocols(client: &Client) -> String {
    let ours = ours(client.plan().options.encoding);
    match &client.plan().peer {
        Some(peer) if !peer.open.subprotocols.is_empty() => peer.open.subprotocols.join(", "),
        Some(_) if client.worker.mapping.is_some() || client.worker.listening.is_some() => String::new(),
        // Who only returns or passes on what is said need not know what it means.
        Some(peer) if peer.say.is_some() || echoes_for_others(client) => String::new(),
        Some(_) | None => ours.to_owned(),
    }
}

/// Whether a path that is not the protocol's own returns what the client says.
fn echoes_for_others(client: &Client) -> bool {
    client.plan().workload.clients_publish() && client.endpoint().path.is_some()
}

/// The ticker's own subprotocol.
pub(super) fn ours(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Text => "ticker.json.v1",
        Encoding::Binary => "ticker.binary.v1",
    }
}
