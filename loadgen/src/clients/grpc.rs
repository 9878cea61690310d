//! gRPC server streaming: one call, a stream of protocol buffers, over an HTTP/2 connection of one's own.
//!
//! The framing is five bytes a message (gRPC over HTTP/2, "Length-Prefixed-Message"); hyper does the rest.

use std::{pin::pin, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use measurement::result::{Model, ModelKind};
use prost::Message as _;
use ticker::{
    clock,
    protobuf::{Event, Kind, SUBSCRIBE, SubscribeRequest, WireQuote},
};
use wire::Bodies;

use super::{
    Conflict, Ran,
    http::{Body, Http},
    page::Page,
    request,
};
use crate::{
    plan::{Carrier, Http as Version, TransportOptions, Workload},
    scenario::headers::Initiator,
    socket::Socket,
    worker::{Client, ClientError},
};

pub(super) use super::library::{direct, library_only};

pub(super) const INITIATOR: Initiator = Initiator::Program;
pub(super) const KEYS: &[&str] = &["tls"];
pub(super) const HTTP: &[Version] = &[Version::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = Some("grpc");
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] = Workload::OF_LISTENERS;
pub(super) const SCHEMES: &[&str] = &["http", "https"];
pub(super) const PEER_KEYS: &[&str] = &[];
/// No page of ours speaks it.
pub(super) const PAGE: Option<Page> = None;
/// Empty messages are sent only into silence, which a feed with updates has none of.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const CONTENT_TYPE: &str = "application/grpc";
/// A flag for compression and a length of four bytes.
const PREFIX: usize = 5;
/// As most clients have it.
const LONGEST_MESSAGE: usize = 4 << 20;

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    if options.tls { "grpc tls".to_owned() } else { "grpc".to_owned() }
}

pub(super) fn model(_options: &TransportOptions) -> Model {
    Model { kind: ModelKind::Push, period_us: None, expected_delay_us: Some(0.0) }
}

pub(super) fn drain(_options: &TransportOptions) -> Duration {
    Duration::from_secs(1)
}

pub(super) fn coalesces(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn loses(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn connections(_options: &TransportOptions) -> u32 {
    1
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut http = Http::open(client, Bodies::Delimited).await?;
    let ran = converse(client, stands, &mut http, from_ns).await;
    http.close(client).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, http: &mut Http, from_ns: u64) -> Ran {
    let own = [
        ("content-type", CONTENT_TYPE.to_owned()),
        // Without it a server may leave the trailers out, and the call would have no status.
        ("te", "trailers".to_owned()),
    ];
    let wish = SubscribeRequest { after: None, symbols: client.symbols().unwrap_or_default() };
    let path = client.endpoint().path.as_deref().unwrap_or(SUBSCRIBE);
    let request = request::build(client, Method::POST, path, &own, Body::new(framed(&wish)))?;
    let response = http.send(request).await?.ok_or(ClientError::Closed)?;
    http.socket().claim_sent().ok_or(ClientError::Unscanned)?;
    if response.status() != StatusCode::OK {
        return Err(ClientError::Status { found: response.status(), expected: "200" });
    }
    // A refusal has its status in the head.
    status(response.headers())?;
    follow(client, stands, http.socket(), response.into_body(), from_ns).await
}

fn framed(message: &SubscribeRequest) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.encoded_len() as u32);
    framed.put_slice(&message.encode_to_vec());
    framed.freeze()
}

/// What the call came to, where it says so already: `grpc-status` 0 is success.
fn status(headers: &HeaderMap) -> Ran {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status") {
        None => Ok(()),
        Some(status) if status == "0" => Err(ClientError::Closed),
        Some(status) => {
            let message = text("grpc-message").unwrap_or_default();
            Err(ClientError::Handshake(format!("ended the call with grpc-status {status} ({message})")))
        }
    }
}

async fn follow(
    client: &Client,
    stands: &mut bool,
    socket: &Socket,
    mut body: Incoming,
    from_ns: u64,
) -> Ran {
    let mut begun = BytesMut::new();
    let mut closing = pin!(client.closing());
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame.ok_or(ClientError::Closed)??,
            () = &mut closing => return Ok(()),
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(frame) => {
                frame.trailers_ref().map_or(Ok(()), status)?;
                continue;
            }
        };
        begun.extend_from_slice(&bytes);
        while let Some(message) = whole(&mut begun)? {
            take(client, socket, message)?;
            if !*stands {
                *stands = true;
                client.connected(from_ns, socket.last_read_ns());
            }
        }
    }
}

/// The next message without its prefix, if all of it is here.
fn whole(begun: &mut BytesMut) -> Result<Option<Bytes>, ClientError> {
    let Some(prefix) = begun.first_chunk::<PREFIX>() else { return Ok(None) };
    let [flag, a, b, c, d] = *prefix;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if flag != 0 || length > LONGEST_MESSAGE {
        let what =
            format!("sent a message with flag {flag} and {length} bytes, expected flag 0 and at most 4 MiB");
        return Err(ClientError::Handshake(what));
    }
    if begun.len() < PREFIX + length {
        return Ok(None);
    }
    begun.advance(PREFIX);
    Ok(Some(begun.split_to(length).freeze()))
}

/// Records one message: the quotes are payload, the fields that they are in and the prefix are framing.
fn take(client: &Client, socket: &Socket, message: Bytes) -> Ran {
    let event = Event::decode(message)?;
    let claim = |payload| socket.claim(payload).map(|unit| unit.stamp_ns).ok_or(ClientError::Unscanned);
    match &event.kind {
        Some(Kind::Quote(quote)) => {
            let stamp_ns = claim(quote.bytes())?;
            client.quotes(std::iter::once(quote.view()), stamp_ns);
        }
        Some(Kind::Snapshot(snapshot)) => {
            let stamp_ns = claim(snapshot.quotes.iter().map(WireQuote::bytes).sum())?;
            client.snapshot(snapshot.last, snapshot.quotes.iter().map(WireQuote::view), stamp_ns);
        }
        // A heartbeat.
        None => drop(claim(0)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_however_they_come() {
        let one = framed(&SubscribeRequest { after: Some(300), symbols: vec!["ACME".to_owned()] });
        let both = [one.clone(), one.clone()].concat();
        for size in 1..=both.len() {
            let (mut begun, mut seen) = (BytesMut::new(), Vec::new());
            for piece in both.chunks(size) {
                begun.extend_from_slice(piece);
                while let Some(message) = whole(&mut begun).unwrap() {
                    seen.push(SubscribeRequest::decode(message).unwrap().after);
                }
            }
            assert_eq!((seen, begun.len()), (vec![Some(300); 2], 0), "pieces of {size}");
        }
        assert!(whole(&mut BytesMut::from(&[1, 0, 0, 0, 0][..])).is_err());
    }

    #[test]
    fn a_status_ends_the_call() {
        let of = |status: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static(status),
            )])
        };
        assert!(status(&HeaderMap::new()).is_ok());
        assert!(matches!(status(&of("0")), Err(ClientError::Closed)));
        assert!(status(&of("3")).unwrap_err().to_string().contains("grpc-status 3"));
    }
}
