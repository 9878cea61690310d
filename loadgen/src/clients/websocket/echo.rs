//! The WebSocket client under a conformance suite: echoes what a fuzzing server says, over the stack that measures.
//!
//! Same handshake, libraries, limits and counting socket as in a trial, and each connection has books of its own. It
//! speaks the suite's three requests and judges nothing.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::Message;
use wire::Bodies;
use yawc::{Frame, OpCode};

use super::{
    super::http::Body,
    frames::Frames,
    handshake::{asking, exchange},
};
use crate::{
    endpoint::Endpoint,
    plan::Http,
    socket::{Books, Socket},
    timeline::Timeline,
    worker::ClientError,
};

/// No connection of the suite lasts as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection, from connecting to its end.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub books: Books,
    /// Messages that the library decoded and the scanner saw otherwise, or not at all.
    pub disagreements: Vec<String>,
    /// Messages decoded.
    pub messages: u64,
    /// The last of them.
    pub last: Bytes,
    /// What ended it, unless a close handshake did.
    pub error: Option<ClientError>,
}

/// Who the suite talks to.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    /// Its name in the reports.
    pub name: &'a str,
    /// What it offers as `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a str>,
}

/// Number of cases that the suite on `endpoint` has.
///
/// # Errors
/// No connection, or an answer that is no number.
pub async fn case_count(endpoint: &Endpoint) -> Result<u32, ClientError> {
    let connection = run(endpoint, "/getCaseCount", None).await?;
    let count = String::from_utf8_lossy(&connection.last).into_owned();
    count.parse().map_err(|_| ClientError::Type { found: count, expected: "a number of cases" })
}

/// Runs one case, numbered from 1.
///
/// # Errors
/// No connection. Faults after that are the case's matter and lie in [`Connection::error`].
pub async fn run_case(
    endpoint: &Endpoint,
    number: u32,
    agent: &Agent<'_>,
) -> Result<Connection, ClientError> {
    run(endpoint, &format!("/runCase?case={number}&agent={}", agent.name), agent.extensions).await
}

/// Has the suite write its report.
///
/// # Errors
/// No connection.
pub async fn update_reports(endpoint: &Endpoint, agent: &Agent<'_>) -> Result<(), ClientError> {
    run(endpoint, &format!("/updateReports?agent={}", agent.name), None).await.map(drop)
}

async fn run(endpoint: &Endpoint, path: &str, extensions: Option<&str>) -> Result<Connection, ClientError> {
    // The handshake runs in a task of its own on this thread, as in a worker.
    LocalSet::new().run_until(converse(endpoint, path, extensions)).await
}

async fn converse(
    endpoint: &Endpoint,
    path: &str,
    extensions: Option<&str>,
) -> Result<Connection, ClientError> {
    let timeline = Rc::<Timeline>::default();
    let socket = Socket::connect(endpoint, timeline, (Http::H1, None), Bodies::Frames).await;
    let socket = socket.map_err(ClientError::Connect)?;
    let mut found = Connection {
        books: Books::default(),
        disagreements: Vec::new(),
        messages: 0,
        last: Bytes::new(),
        error: None,
    };
    let echoed = async {
        let frames = shake(endpoint, path, extensions, &socket).await?;
        echo(frames, &socket, &mut found).await
    };
    found.error = tokio::time::timeout(PATIENCE, echoed).await.unwrap_or(Err(ClientError::Closed)).err();
    found.books = socket.finish().await;
    Ok(found)
}

async fn shake(
    endpoint: &Endpoint,
    path: &str,
    extensions: Option<&str>,
    socket: &Rc<Socket>,
) -> Result<Frames, ClientError> {
    let mut own = vec![("sec-websocket-version", "13".to_owned())];
    own.extend(asking());
    own.extend(extensions.map(|offer| ("sec-websocket-extensions", offer.to_owned())));
    let mut request = Request::get(path).header("host", &endpoint.authority);
    for (name, text) in &own {
        request = request.header(*name, text);
    }
    exchange(socket, request.body(Body::default())?, &own).await
}

/// Sends back every data message until the close handshake is over.
async fn echo(mut frames: Frames, socket: &Socket, found: &mut Connection) -> Result<(), ClientError> {
    while let Some(said) = next(&mut frames).await? {
        let Some(Said { bytes, text }) = said else { continue };
        let length = bytes.len() as u64;
        let compressed = frames.are_compressed();
        let as_told =
            |body_bytes: Option<u64>| compressed && body_bytes.is_some() || body_bytes == Some(length);
        let scanned = if compressed { socket.claim_share(length, length) } else { socket.claim(length) };
        let scanned = scanned.map(|unit| unit.body_bytes);
        if !as_told(scanned) {
            found.disagreements.push(format!("received {length} bytes, scanned {scanned:?}"));
        }
        found.messages += 1;
        found.last = bytes.clone();
        send(&mut frames, bytes, text).await?;
        let scanned = socket.claim_sent().map(|unit| unit.body_bytes);
        if !as_told(scanned) {
            found.disagreements.push(format!("sent {length} bytes, scanned {scanned:?}"));
        }
    }
    Ok(())
}

struct Said {
    bytes: Bytes,
    /// As UTF-8 that the library has checked.
    text: bool,
}

/// The next message with its kind, which trials have no use for. `None` at the end, `Some(None)` for a control
/// frame, which the library answers.
async fn next(frames: &mut Frames) -> Result<Option<Option<Said>>, ClientError> {
    Ok(match frames {
        Frames::Plain(stream) => match stream.next().await.transpose()? {
            Some(Message::Text(text)) => Some(Some(Said { bytes: text.into(), text: true })),
            Some(Message::Binary(bytes)) => Some(Some(Said { bytes, text: false })),
            Some(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => Some(None),
            None => None,
        },
        Frames::Deflating(stream) => match stream.next_frame().await {
            Ok(frame) => match frame.opcode() {
                OpCode::Text => Some(Some(Said { bytes: frame.into_payload(), text: true })),
                OpCode::Binary | OpCode::Continuation => {
                    Some(Some(Said { bytes: frame.into_payload(), text: false }))
                }
                OpCode::Ping | OpCode::Pong | OpCode::Close => Some(None),
            },
            Err(yawc::WebSocketError::ConnectionClosed) => None,
            Err(error) => return Err(ClientError::Deflated(error)),
        },
    })
}

async fn send(frames: &mut Frames, bytes: Bytes, text: bool) -> Result<(), ClientError> {
    match frames {
        Frames::Plain(stream) if text => {
            let text = bytes.try_into().expect("it came as checked text");
            Ok(stream.send(Message::Text(text)).await?)
        }
        Frames::Plain(stream) => Ok(stream.send(Message::Binary(bytes)).await?),
        Frames::Deflating(stream) if text => Ok(stream.send(Frame::text(bytes)).await?),
        Frames::Deflating(stream) => Ok(stream.send(Frame::binary(bytes)).await?),
    }
}
