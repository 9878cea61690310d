//! The rules of the gRPC method.

use std::{io, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use ticker::protobuf::{Event, Kind, SUBSCRIBE, SubscribeRequest};
use tokio::time::timeout;

use super::Findings;
use crate::{endpoint::Endpoint, plan::Http};

const SECTION: &str = "POST /ticker.v1.Ticker/Subscribe: gRPC";
const PATIENCE: Duration = Duration::from_secs(10);
const QUOTES: usize = 3;
/// `INVALID_ARGUMENT` of gRPC's status codes.
const INVALID_ARGUMENT: &str = "3";

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let (head, body) = call(endpoint, SubscribeRequest::default()).await?;
    let kind = text(&head, header::CONTENT_TYPE.as_str());
    findings.hold(
        "grpc.content-type",
        SECTION,
        kind.starts_with("application/grpc"),
        kind,
        "application/grpc",
    );
    let events = events(body, 1 + QUOTES).await;
    let Some(Kind::Snapshot(snapshot)) = events.first().and_then(|event| event.kind.clone()) else {
        let found = format!("{:?}", events.first());
        findings.hold("grpc.snapshot", SECTION, false, found, "a snapshot first");
        return Ok(());
    };
    let ascending = snapshot.quotes.windows(2).all(|pair| pair[0].seq < pair[1].seq);
    findings.hold(
        "grpc.snapshot",
        SECTION,
        ascending,
        "another order",
        "quotes ascending by sequence number",
    );
    let mut newest = snapshot.last;
    for event in &events[1..] {
        let Some(Kind::Quote(quote)) = &event.kind else { continue };
        findings.hold("grpc.sequence", SECTION, quote.seq == newest + 1, quote.seq, newest + 1);
        newest = quote.seq;
    }
    findings.hold("grpc.news", SECTION, newest > snapshot.last, "no quotes in 10 s", "a feed with updates");

    // Back with the first quote's number: everything after it, and no snapshot.
    let after = Some(snapshot.last + 1);
    let (_, body) = call(endpoint, SubscribeRequest { after, symbols: Vec::new() }).await?;
    let back = self::events(body, 1).await.first().and_then(|event| event.kind.clone());
    let kept = matches!(&back, Some(Kind::Quote(quote)) if quote.seq == snapshot.last + 2);
    findings.hold("grpc.resume", SECTION, kept, format!("{back:?}"), format!("quote {}", snapshot.last + 2));

    for (rule, request) in [
        ("grpc.ahead", SubscribeRequest { after: Some(u64::MAX), symbols: Vec::new() }),
        ("grpc.unknown-symbol", SubscribeRequest { after: None, symbols: vec!["NOPE".to_owned()] }),
    ] {
        let (head, _) = call(endpoint, request).await?;
        let status = text(&head, "grpc-status");
        findings.hold(rule, SECTION, status == INVALID_ARGUMENT, status, "grpc-status 3");
    }
    Ok(())
}

fn text(head: &HeaderMap, name: &str) -> String {
    head.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// One call on a connection of its own.
async fn call(endpoint: &Endpoint, request: SubscribeRequest) -> io::Result<(HeaderMap, Incoming)> {
    let stream = endpoint.connect(Http::H2).await?;
    let (mut requests, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(request.encoded_len() as u32);
    body.put_slice(&request.encode_to_vec());
    let path = endpoint.path.clone().unwrap_or_else(|| SUBSCRIBE.to_owned());
    let request = Request::post(format!("{}{path}", endpoint.origin()))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::<Bytes>::new(body.freeze()))
        .map_err(io::Error::other)?;
    let response = timeout(PATIENCE, requests.send_request(request)).await;
    let response =
        response.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(io::Error::other)?;
    let (head, body) = response.into_parts();
    Ok((head.headers, body))
}

/// The first events of a stream, or those that came before patience ended.
async fn events(mut body: Incoming, count: usize) -> Vec<Event> {
    let (mut bytes, mut events) = (BytesMut::new(), Vec::new());
    let reading = async {
        while events.len() < count
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some([_, length @ ..]) = bytes.first_chunk::<5>().copied() {
                let length = u32::from_be_bytes(length) as usize;
                if bytes.len() < 5 + length {
                    break;
                }
                bytes.advance(5);
                events.extend(Event::decode(bytes.split_to(length)));
            }
        }
    };
    // Silence is told by the events that are missing.
    let _ = timeout(PATIENCE, reading).await;
    events
}
