//! A server of one's own and a client that sees every byte.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, ServerName};
use servers::{Listeners, ServeError, Settings, Start, Stats, identity::Identity, serve};
use ticker::{Anchor, Arrivals, Engine, FeedSettings, clock};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Nothing in these tests takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("took too long")
}

/// Symbols of the test feeds.
pub(crate) const SYMBOLS: u64 = 4;
/// Time between two bursts of [`still`] feeds.
const BURST_PERIOD: Duration = Duration::from_secs(20);

/// A feed that publishes bursts of [`SYMBOLS`] quotes, so rarely that no test sees one come.
pub(crate) fn still() -> Settings {
    let mut settings = steady(SYMBOLS as f64 / BURST_PERIOD.as_secs_f64());
    settings.feed.arrivals = Arrivals::Burst;
    settings
}

/// A feed with evenly spaced quotes.
pub(crate) fn steady(updates_per_second: f64) -> Settings {
    let symbols = SYMBOLS as u32;
    let arrivals = Arrivals::Constant;
    let feed = FeedSettings { symbols, updates_per_second, arrivals, ..FeedSettings::default() };
    Settings { feed, engine: engine(), ..Settings::default() }
}

/// The engine under test: the direct one, or what the environment says.
pub(crate) fn engine() -> Engine {
    std::env::var(ENGINE).map_or(Engine::Direct, |name| Engine::of_name(&name).expect("an engine's name"))
}

/// Names the engine under test.
pub(crate) const ENGINE: &str = "TICKERTAPE_TEST_ENGINE";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// SHA-256 of its certificate, if it has one.
    #[cfg(feature = "quic")]
    pub(crate) fingerprint: Option<[u8; 32]>,
    certificate: Option<CertificateDer<'static>>,
    start: Option<oneshot::Sender<Start>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Stats, ServeError>>,
}

impl Server {
    /// Listens; publishes nothing yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self::on(servers::listen("127.0.0.1:0".parse().unwrap()).unwrap(), settings)
    }

    /// The same on a listener that stands already.
    pub(crate) fn on(listeners: impl Into<Listeners>, settings: Settings) -> Self {
        let listeners = listeners.into();
        let address = listeners.tcp.local_addr().unwrap();
        #[cfg(feature = "quic")]
        let fingerprint = listeners.identity.as_ref().map(|identity| identity.fingerprint());
        let certificate = listeners.identity.as_ref().map(|identity| identity.certificate());
        let (start, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listeners, settings, async { started.await.unwrap() }, async {
            stopped.await.unwrap();
        }));
        Self {
            address,
            #[cfg(feature = "quic")]
            fingerprint,
            certificate,
            start: Some(start),
            stop,
            task,
        }
    }

    pub(crate) fn start(&mut self, start: Start) {
        self.start.take().unwrap().send(start).unwrap();
    }

    /// A server with a [`still`] feed of which `bursts` bursts have been published.
    pub(crate) async fn after_bursts(bursts: u32, settings: Settings) -> Self {
        Self::new(settings).with_bursts(bursts, SYMBOLS).await
    }

    async fn with_bursts(self, bursts: u32, symbols: u64) -> Self {
        let mut server = self;
        let anchor = Anchor::now();
        let age = BURST_PERIOD * bursts + BURST_PERIOD / 2;
        let t0_ns =
            anchor.mono_ns.checked_sub(age.as_nanos() as u64).expect("the machine is up for a minute");
        server.start(Start { t0_ns, ..Start::now() });
        server.stats_when(|stats| stats.published == symbols * u64::from(bursts)).await;
        server
    }

    /// A server that begins to publish now.
    pub(crate) fn started(settings: Settings) -> Self {
        let mut server = Self::new(settings);
        server.start(Start::now());
        server
    }

    /// With a certificate, for TLS on the same port, after bursts of a [`still`] feed.
    pub(crate) async fn encrypted(bursts: u32, settings: Settings) -> Self {
        let tcp = servers::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let identity = Some(Arc::new(Identity::self_signed().unwrap()));
        Self::on(Listeners { tcp, udp: None, identity }, settings).with_bursts(bursts, SYMBOLS).await
    }

    /// The same with a certificate and QUIC; publishes at once.
    #[cfg(feature = "quic")]
    pub(crate) fn secure(settings: Settings) -> Self {
        let mut server = Self::on(servers::listen_both("127.0.0.1:0".parse().unwrap()).unwrap(), settings);
        server.start(Start::now());
        server
    }

    /// The same after bursts of a [`still`] feed with as many quotes each as it has symbols.
    #[cfg(feature = "quic")]
    pub(crate) async fn secure_after_bursts(bursts: u32, settings: Settings) -> Self {
        let symbols = u64::from(settings.feed.symbols);
        let listeners = servers::listen_both("127.0.0.1:0".parse().unwrap()).unwrap();
        Self::on(listeners, settings).with_bursts(bursts, symbols).await
    }

    pub(crate) async fn stats(&self) -> Stats {
        let (_, body) = self.get("/stats", "").await;
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn stats_when(&self, condition: impl Fn(&Stats) -> bool) -> Stats {
        in_time(async {
            loop {
                let stats = self.stats().await;
                if condition(&stats) {
                    return stats;
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// One request on a connection of its own: (head, body).
    pub(crate) async fn get(&self, path: &str, headers: &str) -> (String, String) {
        let mut client = self.connect().await;
        client.get(path, headers).await;
        client.response().await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap(), self.address)
    }

    /// An encrypted connection on which `protocol` was agreed (RFC 7301).
    pub(crate) async fn connect_tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone().expect("the server has a certificate")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = in_time(connector.connect(name, socket)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    }

    /// A client whose kernel takes only a few kilobytes that it does not read.
    pub(crate) async fn connect_with_little_room(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Client::new(socket.connect(self.address).await.unwrap(), self.address)
    }

    /// Stops it; returns the final figures and how long that took.
    pub(crate) async fn stop(self) -> (Stats, Duration) {
        let began_ns = clock::now_ns();
        self.stop.send(()).unwrap();
        let stats = in_time(self.task).await.unwrap().unwrap();
        (stats, Duration::from_nanos(clock::now_ns() - began_ns))
    }
}

/// A bare connection that counts.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    host: SocketAddr,
    pending: Vec<u8>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Over a connection to the server at `host`.
    pub(crate) fn new(stream: S, host: SocketAddr) -> Self {
        Self { stream, host, pending: Vec::new(), sent: 0, received: 0 }
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        in_time(self.stream.shutdown()).await.unwrap();
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.sent += bytes.as_ref().len() as u64;
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &str) {
        let host = self.host;
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")).await;
    }

    /// False at the end of the stream.
    async fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 65_536];
        let read = in_time(self.stream.read(&mut buffer)).await.unwrap();
        self.received += read as u64;
        self.pending.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// Everything up to and with `end`.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.pending.windows(end.len()).position(|window| window == end) {
                return self.pending.drain(..at + end.len()).collect();
            }
            assert!(
                self.fill().await,
                "the server hung up after {:?}",
                String::from_utf8_lossy(&self.pending)
            );
        }
    }

    pub(crate) async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        while self.pending.len() < bytes {
            assert!(self.fill().await, "the server hung up");
        }
        self.pending.drain(..bytes).collect()
    }

    /// Everything until the server hangs up.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.pending)
    }

    pub(crate) async fn head(&mut self) -> String {
        String::from_utf8(self.until(b"\r\n\r\n").await).unwrap()
    }

    /// A response with a content length: (head, body).
    pub(crate) async fn response(&mut self) -> (String, String) {
        let (head, body) = self.response_bytes().await;
        (head, String::from_utf8(body).unwrap())
    }

    /// The same, whatever the body's coding.
    pub(crate) async fn response_bytes(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        (head, self.exactly(length).await)
    }

    /// The next chunk's data; empty for the last one.
    pub(crate) async fn chunk(&mut self) -> String {
        let head = String::from_utf8(self.until(b"\r\n").await).unwrap();
        let length = usize::from_str_radix(head.trim_end(), 16).unwrap();
        let data = self.exactly(length).await;
        assert_eq!(self.exactly(2).await, b"\r\n");
        String::from_utf8(data).unwrap()
    }
}

/// The shape of an envelope: (last, gap, snapshot, sequence numbers).
pub(crate) type Shape = (u64, u64, bool, Vec<u64>);

/// Reads an envelope and checks that it is compact and its quotes are whole.
pub(crate) fn shape(json: &str) -> Shape {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let quotes = value["quotes"].as_array().unwrap();
    let seqs: Vec<u64> = quotes.iter().map(|quote| quote["seq"].as_u64().unwrap()).collect();
    let (last, gap) = (value["last"].as_u64().unwrap(), value["gap"].as_u64().unwrap());
    let snapshot = value["snapshot"].as_bool().unwrap();
    let head = format!(r#"{{"last":{last},"gap":{gap},"snapshot":{snapshot},"quotes":["#);
    assert!(json.starts_with(&head) && json.ends_with("]}"), "{json}");
    (last, gap, snapshot, seqs)
}

/// The sequence number of one quote.
pub(crate) fn seq(json: &str) -> u64 {
    serde_json::from_str::<ticker::QuoteView<'_>>(json).unwrap().seq
}

/// The sequence numbers that `server`, after bursts, has of one symbol.
pub(crate) async fn seqs_of(server: &Server, symbol: &str) -> Vec<u64> {
    let (_, body) = server.get("/quotes?after=0", "").await;
    let envelope: serde_json::Value = serde_json::from_str(&body).unwrap();
    let quotes = envelope["quotes"].as_array().unwrap().iter();
    let seqs = quotes.filter(|quote| quote["sym"] == symbol).map(|quote| quote["seq"].as_u64().unwrap());
    seqs.collect()
}
