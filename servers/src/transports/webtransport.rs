//! WebTransport over HTTP/3 (draft-ietf-webtrans-http3): the client asks for a session at `/webtransport` with an
//! extended CONNECT over QUIC, and says `go` on a stream of its own once it is ready to read.
//!
//! Quotes then come on one stream, each after its length, or as datagrams (RFC 9297), each quote in one. A
//! datagram that is lost stays lost; what the connection cannot take at all is dropped here, and counted.
//! wtransport does HTTP/3 and the session; quinn does QUIC.

use std::{convert::Infallible, net::UdpSocket, sync::Arc};

use axum::{extract::Query, http::Uri};
use bytes::Bytes;
use serde::Deserialize;
use ticker::Transport;
use tokio::time::timeout;
use wtransport::{
    Connection, Endpoint, SendStream, ServerConfig, VarInt,
    endpoint::{IncomingSession, SessionRequest, endpoint_side},
    error::SendDatagramError,
    quinn::TransportConfig,
    tls::{Certificate, CertificateChain, PrivateKey},
};

use super::{SESSIONS, origin_is_welcome};
use crate::{
    app::App,
    conditions::MOST_WAITING,
    identity::Identity,
    log::{Subscription, Update},
    quic::Place,
    selection::Selection,
};

/// What the client says when it is ready: a datagram that comes before a page reads is gone.
const GO: &[u8] = b"go";
/// Clients have little to say: bytes that one may send before it waits.
const RECEIVE_WINDOW: u32 = 16 * 1024;
/// Streams that one may open: HTTP/3 has three of its own (RFC 9114 section 6.2), QPACK's among them.
const MOST_STREAMS: u32 = 16;

/// A message's length on a stream.
const HEAD: usize = 4;
/// The session's number before each datagram (RFC 9297 section 2.1), at its longest.
const LONGEST_SESSION_ID: usize = 8;

/// A quote that fits the 1,200 bytes that every path of QUIC carries (RFC 9000 section 14), whatever this one
/// was found to carry meanwhile.
const LONGEST_DATAGRAM: usize = 1_150;

/// Codes of our CONNECTION_CLOSE.
const STOPPING: u32 = 0;
const NO_GO: u32 = 1;
const TOO_LONG: u32 = 2;
const STALLED: u32 = 3;

/// The endpoint of server sessions.
type Sessions = Endpoint<endpoint_side::Server>;

/// Listens on a bound socket.
pub(crate) fn open(socket: UdpSocket, identity: &Identity, app: &App) -> std::io::Result<Sessions> {
    if let Ok(bytes) = socket2::SockRef::from(&socket).recv_buffer_size() {
        app.quic.receive_buffer(bytes);
    }
    let certificate =
        Certificate::from_der(identity.certificate().to_vec()).map_err(std::io::Error::other)?;
    let key = PrivateKey::from_der_pkcs8(identity.key().secret_der().to_vec());
    let identity = wtransport::Identity::new(CertificateChain::single(certificate), key);
    let config = ServerConfig::builder().with_bind_socket(socket);
    Endpoint::server(config.with_custom_transport(identity, transport(app)).build())
}

/// quinn's defaults are made for a few fast connections: 10 MB on their way for each. Ours are for many quiet ones.
fn transport(app: &App) -> TransportConfig {
    let settings = &app.settings;
    let idle = settings.stall_timeout.max(2 * settings.heartbeat);
    let mut transport = TransportConfig::default();
    transport
        // Quotes that wait for the client's acknowledgement, and datagrams that wait to be sent.
        .send_window(MOST_WAITING as u64)
        .datagram_send_buffer_size(MOST_WAITING)
        .datagram_receive_buffer_size(Some(usize::from(u16::MAX)))
        .receive_window(RECEIVE_WINDOW.into())
        .stream_receive_window(RECEIVE_WINDOW.into())
        .max_concurrent_uni_streams(MOST_STREAMS.into())
        .max_concurrent_bidi_streams(MOST_STREAMS.into())
        .keep_alive_interval(Some(settings.heartbeat))
        .max_idle_timeout(idle.try_into().ok());
    transport
}

/// Takes sessions for ever.
pub(crate) async fn accept(sessions: &Sessions, app: &Arc<App>) -> Infallible {
    loop {
        let incoming = sessions.accept().await;
        match app.quic.admit() {
            Some(place) => app.tasks.spawn(converse(incoming, place, Arc::clone(app))),
            None => incoming.refuse(),
        }
    }
}

/// One client from its first datagram to its end.
async fn converse(incoming: IncomingSession, place: Place, app: Arc<App>) {
    let limit = app.settings.header_timeout;
    let Ok(Some((connection, question))) = timeout(limit, handshake(incoming, &place, &app)).await else {
        return;
    };
    let ready = tokio::select! {
        said = timeout(limit, go(&connection)) => match said {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(End::Closing(NO_GO, "expected a stream that says go")),
        },
        () = app.tasks.stopping() => Err(End::Closing(STOPPING, "the server stops")),
    };
    let end = match ready {
        Ok(()) => Session::new(connection.clone(), &question, &app).push().await,
        Err(end) => end,
    };
    if let End::Closing(code, reason) = end {
        connection.close(VarInt::from_u32(code), reason.as_bytes());
    }
}

/// QUIC's handshake, HTTP/3's request and its answer; `None` for one that was refused or broke.
async fn handshake(incoming: IncomingSession, place: &Place, app: &App) -> Option<(Connection, Question)> {
    let request = tokio::select! {
        request = incoming => request.ok()?,
        () = app.tasks.stopping() => return None,
    };
    app.counters(Transport::WebTransport).request();
    match question(&request, app) {
        Ok(question) => {
            let connection = request.accept().await.ok()?;
            place.opened(connection.quic_connection());
            Some((connection, question))
        }
        Err(Refusal::Origin) => {
            request.forbidden().await;
            None
        }
        Err(Refusal::Question) => {
            request.not_found().await;
            None
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The newest sequence number that the client has; without it, it gets a snapshot.
    after: Option<u64>,
    /// Which symbols it wants, with commas between them; all without it.
    symbols: Option<String>,
    #[serde(default)]
    delivery: Delivery,
}

/// How quotes travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Delivery {
    /// One after the other on one stream.
    #[default]
    Stream,
    /// Each in a datagram.
    Datagrams,
}

/// Why there is no session: wtransport answers with 403 or 404, and nothing beside the status.
#[derive(Debug, PartialEq)]
enum Refusal {
    /// 403.
    Origin,
    /// 404: another path, or a query that means nothing here.
    Question,
}

fn question(request: &SessionRequest, app: &App) -> Result<Question, Refusal> {
    if !origin_is_welcome(request.origin(), Some(request.authority()), &app.settings.allowed_origins) {
        return Err(Refusal::Origin);
    }
    let question = asked(request.path()).ok_or(Refusal::Question)?;
    let ahead = question.after.is_some_and(|after| after > app.log.last());
    let unknown = question.selection(app).is_none();
    if ahead || unknown { Err(Refusal::Question) } else { Ok(question) }
}

/// The query of a path that is ours.
fn asked(path: &str) -> Option<Question> {
    let uri: Uri = path.parse().ok()?;
    let Query(question) = Query::try_from_uri(&uri).ok().filter(|_| uri.path() == SESSIONS)?;
    Some(question)
}

impl Question {
    /// The symbols that are asked for; `None` if one of them is not in the feed.
    fn selection(&self, app: &App) -> Option<Selection> {
        Selection::of_list(self.symbols.as_deref(), app.settings.feed.symbols).ok()
    }
}

/// Waits for the client's word. Whatever else it says later is not read.
async fn go(connection: &Connection) -> bool {
    let Ok(mut stream) = connection.accept_uni().await else { return false };
    let (mut said, mut length) = ([0; GO.len() + 1], 0);
    while length < said.len() {
        match stream.read(&mut said[length..]).await {
            Ok(Some(read)) => length += read,
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    said[..length] == *GO
}

/// Why a session is over.
enum End {
    /// With a code and a reason of ours.
    Closing(u32, &'static str),
    /// The client has closed, or is gone.
    Gone,
}

/// A session that pushes.
struct Session {
    app: Arc<App>,
    connection: Connection,
    subscription: Subscription,
    delivery: Delivery,
}

impl Session {
    fn new(connection: Connection, question: &Question, app: &Arc<App>) -> Self {
        let selection = question.selection(app).unwrap_or_default();
        let subscription = Subscription::new(&app.log, question.after, selection);
        Self { app: Arc::clone(app), connection, subscription, delivery: question.delivery }
    }

    async fn push(mut self) -> End {
        let pushed = match self.delivery {
            Delivery::Stream => self.stream().await,
            Delivery::Datagrams => self.datagrams().await,
        };
        pushed.err().unwrap_or(End::Closing(STOPPING, "the server stops"))
    }

    /// One stream for all: the snapshot, then each quote.
    async fn stream(&mut self) -> Result<(), End> {
        let mut stream = self.open().await?;
        while let Some(update) = self.next().await? {
            let bytes = match update {
                Update::Quotes(quotes) => {
                    self.app.counters(Transport::WebTransport).quotes(quotes.len());
                    framed(&quotes)
                }
                Update::Snapshot(envelope) => framed(&[envelope.json().into()]),
            };
            self.write(&mut stream, &bytes).await?;
        }
        // The end of the stream, and the wait until the client has all of it: closing would cut it off.
        let _ = stream.finish().await;
        Ok(())
    }

    /// Each quote by itself. Snapshots may be longer than a datagram: each comes on a stream of its own.
    async fn datagrams(&mut self) -> Result<(), End> {
        let longest = self.connection.max_datagram_size().unwrap_or(0).min(LONGEST_DATAGRAM);
        if longest < self.app.settings.feed.quote_bytes as usize {
            return Err(End::Closing(TOO_LONG, "a quote is longer than a datagram of this connection"));
        }
        while let Some(update) = self.next().await? {
            match update {
                Update::Quotes(quotes) => quotes.iter().try_for_each(|quote| self.datagram(quote))?,
                Update::Snapshot(envelope) => {
                    let mut stream = self.open().await?;
                    self.write(&mut stream, &framed(&[envelope.json().into()])).await?;
                    // Without waiting for its acknowledgement: quotes go on meanwhile.
                    let _ = stream.quic_stream_mut().finish();
                }
            }
        }
        Ok(())
    }

    /// The next update; `None` when the server stops.
    async fn next(&mut self) -> Result<Option<Update<Bytes>>, End> {
        tokio::select! {
            update = self.subscription.next(|quote| quote.json.clone()) => Ok(update),
            _ = self.connection.closed() => Err(End::Gone),
        }
    }

    async fn open(&self) -> Result<SendStream, End> {
        let opening = self.connection.open_uni().await.map_err(|_| End::Gone)?;
        opening.await.map_err(|_| End::Gone)
    }

    /// A client that does not read holds up its own task only. Its cursor stays; one that takes nothing for
    /// `stall_timeout` is dropped.
    async fn write(&self, stream: &mut SendStream, bytes: &[u8]) -> Result<(), End> {
        match timeout(self.app.settings.stall_timeout, stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Closing(STALLED, "nothing was taken for too long")),
        }
    }

    /// Sends one quote, or drops it when too many wait: the network cannot keep up, and newer ones come.
    fn datagram(&self, quote: &Bytes) -> Result<(), End> {
        let room = self.connection.quic_connection().datagram_send_buffer_space();
        let sent = if room < quote.len() + LONGEST_SESSION_ID {
            Err(SendDatagramError::TooLarge)
        } else {
            self.connection.send_datagram(quote)
        };
        match sent {
            Ok(()) => self.app.counters(Transport::WebTransport).quotes(1),
            // Longer than a datagram may be too: the path's limit can fall (RFC 9000 section 14.3).
            Err(SendDatagramError::TooLarge) => self.app.quic.datagram_dropped(),
            Err(SendDatagramError::NotConnected | SendDatagramError::UnsupportedByPeer) => {
                return Err(End::Gone);
            }
        }
        Ok(())
    }
}

/// Each text after its length, four bytes, big-endian.
fn framed(texts: &[Bytes]) -> Vec<u8> {
    let length: usize = texts.iter().map(|text| HEAD + text.len()).sum();
    let mut bytes = Vec::with_capacity(length);
    for text in texts {
        let length = u32::try_from(text.len()).expect("a message is far below 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(text);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_ours_with_known_keys_only() {
        let check = |path, expected: Option<(Option<u64>, Delivery)>| {
            let found = asked(path).map(|question| (question.after, question.delivery));
            assert_eq!(found, expected, "{path}");
        };
        check("/webtransport", Some((None, Delivery::Stream)));
        check("/webtransport?after=7&delivery=datagrams", Some((Some(7), Delivery::Datagrams)));
        check("/webtransport?delivery=stream&symbols=A", Some((None, Delivery::Stream)));
        for path in ["/", "/ws", "/webtransport/", "/webtransport?after=x", "/webtransport?delivery=pigeon"] {
            check(path, None);
        }
        check("/webtransport?more=1", None);
        let symbols = asked("/webtransport?symbols=ACME,BETA").unwrap();
        assert_eq!(symbols.symbols.as_deref(), Some("ACME,BETA"));
    }

    #[test]
    fn a_message_follows_its_length() {
        let bytes = framed(&[Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        assert_eq!(bytes, b"\0\0\0\x02ab\0\0\0\x01c");
    }
}
