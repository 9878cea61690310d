//! The rules of `/webtransport`. A server says at `GET /identity` where it listens for QUIC; one that does not has none.

use std::{io, net::SocketAddr, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use tokio::time::timeout;
use wtransport::{Connection, RecvStream, VarInt, endpoint::ConnectOptions, error::ConnectingError};

use super::{Check, Findings, Outcome};
use crate::{
    clients::webtransport::{
        frames::Frames,
        session::{self, say_go},
    },
    control::Control,
    endpoint::{Endpoint, Quic, Trust},
};

const SECTION: &str = "/webtransport: WebTransport";
const PATH: &str = "/webtransport";
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for what a server sends without being asked.
const SILENCE: Duration = Duration::from_millis(300);
const QUOTES: u64 = 3;

/// What `GET /identity` answers.
#[derive(Deserialize)]
struct Identity {
    sha256: String,
    webtransport: Option<String>,
}

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    // A url that names the endpoint itself is asked for nothing else.
    let named = endpoint.quic.as_ref().filter(|_| endpoint.path.is_some()).cloned();
    let quic = match named {
        Some(quic) => quic,
        None => match identity(endpoint, findings).await? {
            Some(quic) => quic,
            None => return Ok(()),
        },
    };
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    refusals(&quic, findings, &path).await?;
    let Some(last) = stream(&quic, findings, &path).await? else { return Ok(()) };
    resume(&quic, findings, &path, last).await?;
    datagrams(&quic, findings, &path).await
}

/// Where the server says that it listens, and how it is recognised.
async fn identity(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<Option<Quic>> {
    const RULE: &str = "webtransport.identity";
    let answer = Control::open(endpoint).await?.ask("/identity", &[]).await?;
    let told: Option<Identity> = serde_json::from_slice(&answer.body).ok();
    let Some(Identity { sha256, webtransport: Some(url) }) = told.filter(|_| answer.status.is_success())
    else {
        findings.checks.push(Check { rule: RULE, section: SECTION, outcome: Outcome::Absent });
        return Ok(None);
    };
    let authority = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).map(str::to_owned);
    let address = authority.as_deref().and_then(|authority| authority.parse::<SocketAddr>().ok());
    let fingerprint = BASE64_STANDARD.decode(&sha256).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let quic = authority.zip(address).zip(fingerprint).map(|((authority, address), fingerprint)| Quic {
        address,
        authority,
        trust: Trust::Fingerprint(fingerprint),
    });
    let near = quic.as_ref().is_some_and(|quic| quic.address.ip() == endpoint.address.ip());
    findings.hold(
        RULE,
        SECTION,
        near,
        answer.text(),
        "SHA-256 in base64, and an https url of the same address",
    );
    Ok(quic.filter(|_| near))
}

/// A session; what keeps it from being one is the server's answer.
async fn open(
    quic: &Quic,
    path: &str,
    origin: Option<&str>,
) -> io::Result<Result<Connection, ConnectingError>> {
    let sockets = session::endpoint(quic)?;
    let mut options = ConnectOptions::builder(format!("https://{}{path}", quic.authority));
    if let Some(origin) = origin {
        options = options.add_header("origin", origin);
    }
    timeout(PATIENCE, sockets.connect(options.build())).await.map_err(|_| io::ErrorKind::TimedOut.into())
}

async fn refusals(quic: &Quic, findings: &mut Findings, path: &str) -> io::Result<()> {
    let cases = [
        ("webtransport.junk-cursor", format!("{path}?after=junk"), None),
        ("webtransport.unknown-key", format!("{path}?pigeons=2"), None),
        ("webtransport.unknown-path", "/elsewhere".to_owned(), None),
        ("webtransport.foreign-origin", path.to_owned(), Some("https://elsewhere.example")),
    ];
    for (rule, path, origin) in cases {
        let opened = open(quic, &path, origin).await?;
        let refused = matches!(opened, Err(ConnectingError::SessionRejected));
        let found = opened.map_or_else(|error| error.to_string(), |_| "a session".to_owned());
        findings.hold(rule, SECTION, refused, found, "an answer that refuses the session");
    }
    Ok(())
}

/// Opens a session that must be granted and says go.
async fn granted(quic: &Quic, findings: &mut Findings, path: &str) -> io::Result<Option<Connection>> {
    match open(quic, path, None).await? {
        Ok(connection) => {
            let silent = timeout(SILENCE, connection.accept_uni()).await.is_err();
            findings.hold("webtransport.go", SECTION, silent, "a stream before go", "nothing before go");
            say_go(&connection).await.map_err(io::Error::other)?;
            Ok(Some(connection))
        }
        Err(error) => {
            findings.hold("webtransport.session", SECTION, false, error, "a session");
            Ok(None)
        }
    }
}

/// A stream's messages.
struct Messages {
    stream: RecvStream,
    frames: Frames,
}

impl Messages {
    /// The next stream that the server opens.
    async fn accept(connection: &Connection) -> Option<Self> {
        let stream = timeout(PATIENCE, connection.accept_uni()).await.ok()?.ok()?;
        Some(Self { stream, frames: Frames::default() })
    }

    /// The next message; `None` at the end, or when none comes.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(text) = self.frames.next().ok()? {
                return Some(String::from_utf8_lossy(text).into_owned());
            }
            let mut bytes = [0; 4096];
            let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await.ok()?.ok()??;
            self.frames.push(&bytes[..read]);
        }
    }
}

/// The snapshot, then quotes, on one stream; the snapshot's `last`.
async fn stream(quic: &Quic, findings: &mut Findings, path: &str) -> io::Result<Option<u64>> {
    let Some(connection) = granted(quic, findings, path).await? else { return Ok(None) };
    let mut messages = Messages::accept(&connection).await;
    let first = next(&mut messages).await.unwrap_or_default();
    let Some(last) = findings.snapshot(&first) else { return Ok(None) };
    let mut newest = last;
    while newest < last + QUOTES {
        let Some(message) = next(&mut messages).await else { break };
        newest = findings.follow(newest, &[&message]).max(newest + 1);
    }
    findings.hold("webtransport.news", SECTION, newest > last, "no quotes in 10 s", "a feed with updates");
    connection.close(VarInt::from_u32(0), b"");
    Ok(Some(last))
}

async fn next(messages: &mut Option<Messages>) -> Option<String> {
    messages.as_mut()?.next().await
}

/// Back with the first quote's number: everything after it, and no snapshot.
async fn resume(quic: &Quic, findings: &mut Findings, path: &str, last: u64) -> io::Result<()> {
    let back = format!("{path}?after={}", last + 1);
    let Some(connection) = granted(quic, findings, &back).await? else { return Ok(()) };
    let message = next(&mut Messages::accept(&connection).await).await.unwrap_or_default();
    let seq = serde_json::from_str::<ticker::QuoteView<'_>>(&message).ok().map(|quote| quote.seq);
    let expected = format!("quote {} first", last + 2);
    findings.hold("webtransport.resume", SECTION, seq == Some(last + 2), message, expected);
    connection.close(VarInt::from_u32(0), b"");
    Ok(())
}

/// The snapshot on a stream that ends, then quotes that are datagrams.
async fn datagrams(quic: &Quic, findings: &mut Findings, path: &str) -> io::Result<()> {
    let Some(connection) = granted(quic, findings, &format!("{path}?delivery=datagrams")).await? else {
        return Ok(());
    };
    let mut messages = Messages::accept(&connection).await;
    let first = next(&mut messages).await.unwrap_or_default();
    findings.snapshot(&first);
    let more = next(&mut messages).await;
    findings.hold("webtransport.snapshot-ends", SECTION, more.is_none(), more.unwrap_or_default(), "the end");
    let datagram = timeout(PATIENCE, connection.receive_datagram()).await;
    let text = datagram.ok().and_then(Result::ok).map(|datagram| datagram.payload()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let quote = findings.quote(&text).is_some();
    findings.hold("webtransport.datagram", SECTION, quote, text, "a quote");
    connection.close(VarInt::from_u32(0), b"");
    Ok(())
}
