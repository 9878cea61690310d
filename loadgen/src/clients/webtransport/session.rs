//! A session of wtransport's: its own UDP socket, its streams and datagrams, its counters read with each message.

use std::{
    cell::RefCell,
    error::Error,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use ticker::clock;
use tokio::time::timeout;
use wtransport::{
    ClientConfig, Connection, Endpoint, RecvStream, VarInt,
    endpoint::{ConnectOptions, endpoint_side},
    quinn::TransportConfig,
    tls::Sha256Digest,
};

use super::{
    super::{
        Ran,
        message::{self, Incoming},
        request,
    },
    frames::{Frames, HEAD},
    loses,
};
use crate::{
    endpoint::{Quic, Trust},
    quic::{Counts, Meter, OPENING_DATAGRAM},
    worker::{Client, ClientError},
};

const PATH: &str = "/webtransport";
/// What the server waits for: whatever it sent before the client reads datagrams would be gone.
const GO: &[u8] = b"go";
/// As much of a stream as one read takes.
const READ_BUFFER: usize = 16 * 1024;
/// The server's, and a little more: it is the server that notices silence.
const IDLE: Duration = Duration::from_secs(35);
/// How long the end may take: three probe timeouts, a tenth of a second on a loopback (RFC 9000 section 10.2).
const CLOSING_TIME: Duration = Duration::from_secs(3);

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let quic = client.endpoint().quic.as_ref().ok_or(ClientError::NoQuic)?;
    let sockets = endpoint(quic).map_err(ClientError::Connect)?;
    let connection = timeout(IDLE, sockets.connect(request(client, quic)?)).await;
    let connection = connection.map_err(|_| ClientError::Connect(io::ErrorKind::TimedOut.into()))?;
    let connection = connection.map_err(failed)?;
    let meter = RefCell::new(Meter::new(client.worker.timeline.clone()));
    let session = Session { client, connection, meter };
    let ran = session.converse(stands, from_ns).await;
    session.finish(&sockets, quic.address.is_ipv6()).await;
    ran
}

/// A UDP socket of the client's own, as a browser has one for each connection: clients that shared one would share
/// its buffer, and lose together what no user would lose.
pub(in crate::clients) fn endpoint(quic: &Quic) -> io::Result<Endpoint<endpoint_side::Client>> {
    let any: SocketAddr = match quic.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut transport = TransportConfig::default();
    transport.initial_mtu(OPENING_DATAGRAM).max_idle_timeout(IDLE.try_into().ok());
    let config = ClientConfig::builder().with_bind_socket(UdpSocket::bind(any)?);
    let mut config = match &quic.trust {
        Trust::Certificate(certificate) => {
            config.with_server_certificate_hashes([Sha256Digest::new(fingerprint(certificate))])
        }
        Trust::Fingerprint(fingerprint) => {
            config.with_server_certificate_hashes([Sha256Digest::new(*fingerprint)])
        }
        Trust::Roots(tls) => {
            let mut tls = tls.as_ref().clone();
            tls.alpn_protocols = vec![wtransport::proto::WEBTRANSPORT_ALPN.to_vec()];
            config.with_custom_tls(tls)
        }
    }
    .build();
    config.quic_config_mut().transport_config(Arc::new(transport));
    Endpoint::client(config)
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// The session's request with the profile's header fields, as far as HTTP/3 knows them (RFC 9114 section 4.2).
fn request(client: &Client, quic: &Quic) -> Result<ConnectOptions, ClientError> {
    let path = client.endpoint().path.as_deref().unwrap_or(PATH);
    let delivery = if loses(&client.plan().options) && client.endpoint().path.is_none() {
        "?delivery=datagrams"
    } else {
        ""
    };
    let path = request::with_symbols(client, format!("{path}{delivery}"));
    let mut options = ConnectOptions::builder(format!("https://{}{path}", quic.authority));
    for (name, text) in &client.plan().headers {
        let name = name.to_ascii_lowercase();
        if !["connection", "host", "keep-alive", "transfer-encoding", "upgrade", "te"]
            .contains(&name.as_str())
        {
            options = options.add_header(name, text);
        }
    }
    Ok(options.build())
}

/// A session of one client.
struct Session<'a> {
    client: &'a Client,
    connection: Connection,
    meter: RefCell<Meter>,
}

impl Session<'_> {
    async fn converse(&self, stands: &mut bool, from_ns: u64) -> Ran {
        say_go(&self.connection).await?;
        // The first stream begins with the snapshot: with it the session stands.
        let mut stream = Stream::new(self.connection.accept_uni().await.map_err(failed)?);
        let mut at_ns = None;
        while at_ns.is_none() {
            at_ns = self.read(&mut stream).await?.ok_or(ClientError::Closed)?;
        }
        *stands = true;
        self.client.connected(from_ns, at_ns.unwrap_or(from_ns));
        if loses(&self.client.plan().options) {
            self.follow_datagrams(stream).await
        } else {
            self.follow(stream).await
        }
    }

    async fn follow(&self, mut stream: Stream) -> Ran {
        let mut closing = pin!(self.client.closing());
        loop {
            tokio::select! {
                biased;
                read = self.read(&mut stream) => drop(read?.ok_or(ClientError::Closed)?),
                () = &mut closing => return Ok(()),
            }
        }
    }

    async fn follow_datagrams(&self, mut snapshot: Stream) -> Ran {
        let mut closing = pin!(self.client.closing());
        while self.read(&mut snapshot).await?.is_some() {}
        loop {
            tokio::select! {
                biased;
                datagram = self.connection.receive_datagram() => {
                    let datagram = datagram.map_err(failed)?;
                    let at_ns = self.stamp();
                    self.take(&datagram, 0, at_ns)?;
                }
                // A client that fell behind gets another snapshot.
                stream = self.connection.accept_uni() => {
                    let mut stream = Stream::new(stream.map_err(failed)?);
                    while self.read(&mut stream).await?.is_some() {}
                }
                () = &mut closing => return Ok(()),
            }
        }
    }

    /// Reads once and takes the messages that are whole by then. `None` at the stream's end; else when they came,
    /// if there were any.
    async fn read(&self, stream: &mut Stream) -> Result<Option<Option<u64>>, ClientError> {
        let Some(length) = stream.receive.read(&mut stream.buffer).await.map_err(failed)? else {
            return if stream.frames.open() { Err(ClientError::Closed) } else { Ok(None) };
        };
        let at_ns = self.stamp();
        stream.frames.push(&stream.buffer[..length]);
        let mut whole = None;
        while let Some(text) = stream.frames.next().map_err(ClientError::TooLong)? {
            whole = Some(at_ns);
            self.take(text, HEAD as u64, at_ns)?;
        }
        Ok(Some(whole))
    }

    /// The receipt of what was just read.
    fn stamp(&self) -> u64 {
        let at_ns = clock::now_ns();
        self.meter.borrow_mut().moved(at_ns, &counts(&self.connection));
        at_ns
    }

    fn take(&self, text: &[u8], head: u64, at_ns: u64) -> Ran {
        message::take(self.client, &Incoming::of(text), |payload| {
            self.meter.borrow_mut().message(payload, text.len() as u64 - payload + head);
            Some(at_ns)
        })?;
        Ok(())
    }

    /// Says goodbye and waits until nothing can come any more, so that both ends have counted all of it.
    async fn finish(self, sockets: &Endpoint<endpoint_side::Client>, ipv6: bool) {
        self.connection.close(VarInt::from_u32(0), b"");
        let _ = timeout(CLOSING_TIME, sockets.wait_idle()).await;
        let end = counts(&self.connection);
        self.client.account(&self.meter.into_inner().finish(clock::now_ns(), &end, ipv6));
    }
}

/// A stream of messages that comes in.
struct Stream {
    receive: RecvStream,
    buffer: Box<[u8]>,
    frames: Frames,
}

impl Stream {
    fn new(receive: RecvStream) -> Self {
        Self { receive, buffer: vec![0; READ_BUFFER].into(), frames: Frames::default() }
    }
}

pub(in crate::clients) async fn say_go(connection: &Connection) -> Ran {
    let opening = connection.open_uni().await.map_err(failed)?;
    let mut stream = opening.await.map_err(failed)?;
    stream.write_all(GO).await.map_err(failed)?;
    // The stream's end; its acknowledgement comes by itself.
    stream.quic_stream_mut().finish().map_err(failed)
}

fn failed(error: impl Error + Send + Sync + 'static) -> ClientError {
    ClientError::Quic(Box::new(error))
}

fn counts(connection: &Connection) -> Counts {
    let stats = connection.quic_connection().stats();
    Counts {
        received_bytes: stats.udp_rx.bytes,
        sent_bytes: stats.udp_tx.bytes,
        received_datagrams: stats.udp_rx.datagrams,
        sent_datagrams: stats.udp_tx.datagrams,
        lost_packets: stats.path.lost_packets,
        lost_bytes: stats.path.lost_bytes,
        lost_probes: stats.path.lost_plpmtud_probes,
    }
}
