//! The accept loop: from a bound listener to joined tasks. It knows TLS and both versions of HTTP, but no route.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::UdpSocket,
    os::fd::AsFd as _,
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::{
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, server::conn::auto, service::TowerToHyperService};
use ticker::Engine;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self as channel, UnboundedReceiver},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

#[cfg(feature = "quic")]
use crate::transports;
use crate::{
    app::App,
    asked,
    conditions::HTTP_BUFFER,
    connection::Connection,
    control::Start,
    direct::{Handover, Hubs},
    fault::{self, Fault, Pauses},
    identity::Identity,
    listeners::Listeners,
    os, publisher,
    registry::Record,
    routes,
    settings::{Settings, SettingsError},
    stats::Stats,
    tasks::Tasks,
};

/// Most requests of one HTTP/2 connection at a time (RFC 9113 section 5.1.2).
const MOST_STREAMS: u32 = 200;
/// Most header fields of a request.
const MOST_HEADERS: usize = 64;
/// Rest after a failed accept: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Settings out of range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The listener cannot be used.
    #[error("failed to use the listener: {0}")]
    Listener(#[source] io::Error),
    /// The certificate cannot be used.
    #[error("failed to use the certificate: {0}")]
    Identity(#[source] rustls::Error),
    /// The publisher's thread did not start.
    #[error("failed to start the publisher: {0}")]
    Publisher(#[source] io::Error),
    /// The publisher's thread panicked.
    #[error("the publisher panicked")]
    Panicked,
}

type Routes = TowerToHyperService<axum::Router>;

/// Serves the feed on `listeners` until `shutdown` ends, then closes all connections in order and returns the
/// final figures. Nothing is published before `start` ends.
///
/// # Errors
/// Only before the first connection, or when the publisher panicked: what goes wrong with one connection ends
/// that connection alone.
pub async fn serve(
    listeners: impl Into<Listeners>,
    settings: Settings,
    start: impl Future<Output = Start>,
    shutdown: impl Future<Output = ()>,
) -> Result<Stats, ServeError> {
    serve_and_tell(listeners, settings, start, asked::nobody(), shutdown).await
}

/// The same, for somebody who asks for the counters while it serves.
pub(crate) async fn serve_and_tell(
    listeners: impl Into<Listeners>,
    settings: Settings,
    start: impl Future<Output = Start>,
    questions: asked::Questions,
    shutdown: impl Future<Output = ()>,
) -> Result<Stats, ServeError> {
    settings.check()?;
    let Listeners { tcp, udp, identity } = listeners.into();
    tcp.set_nonblocking(true).map_err(ServeError::Listener)?;
    let acceptor = identity.as_deref().map(acceptor).transpose().map_err(ServeError::Identity)?;
    let quic_address = udp.as_ref().map(UdpSocket::local_addr).transpose().map_err(ServeError::Listener)?;
    let app = Arc::new(App::new(settings, identity, quic_address));
    let sessions = Sessions::open(udp, &app).map_err(ServeError::Listener)?;

    let (sender, receiver) = mpsc::channel();
    let publisher = publisher::spawn(&app.settings, &app.log, &app.progress, receiver);
    let publisher = publisher.map_err(ServeError::Publisher)?;
    let mut door = Door::open(tcp, &app).map_err(ServeError::Listener)?;
    let starting = async {
        // It fails only when the publisher is gone, which is found out below.
        let _ = sender.send(start.await);
        pending().await
    };

    tokio::select! {
        () = shutdown => {}
        never = door.admit(&app, acceptor.as_ref()) => match never {},
        never = sessions.accept(&app) => match never {},
        never = starting => match never {},
        never = asked::answer(questions, &app) => match never {},
    }

    app.log.close();
    let (fine, ()) = tokio::join!(door.close(), app.tasks.finish(app.settings.grace));
    sessions.close(app.settings.grace).await;
    // A publisher that was never started waits for this.
    drop(sender);
    let joined = tokio::task::spawn_blocking(|| publisher.join()).await;
    if fine && joined.is_ok_and(|ended| ended.is_ok()) { Ok(app.stats()) } else { Err(ServeError::Panicked) }
}

/// The listener for TCP, and whoever accepts from it.
enum Door {
    Library(TcpListener),
    Direct {
        hubs: Hubs,
        /// What the hubs do not serve.
        handed: UnboundedReceiver<Handover>,
    },
}

impl Door {
    fn open(tcp: std::net::TcpListener, app: &Arc<App>) -> io::Result<Self> {
        match app.settings.engine {
            Engine::Library => TcpListener::from_std(tcp).map(Self::Library),
            Engine::Direct => {
                let (desk, handed) = channel::unbounded_channel();
                Ok(Self::Direct { hubs: Hubs::start(tcp, app, &desk)?, handed })
            }
        }
    }

    /// Takes connections for ever.
    async fn admit(&mut self, app: &Arc<App>, acceptor: Option<&TlsAcceptor>) -> Infallible {
        match self {
            Self::Library(listener) => accept(listener, app, acceptor).await,
            Self::Direct { handed, .. } => {
                let routes = TowerToHyperService::new(routes::routes(app));
                while let Some(Handover { socket, record, begun }) = handed.recv().await {
                    let app = Arc::clone(app);
                    let spawner = app.tasks.clone();
                    spawner.spawn(welcome((socket, begun), record, app, acceptor.cloned(), routes.clone()));
                }
                // The hubs have ended, which is found out below.
                pending().await
            }
        }
    }

    /// Waits for those who served, once the log is closed; false if one panicked.
    async fn close(self) -> bool {
        match self {
            Self::Library(_) => true,
            Self::Direct { hubs, .. } => tokio::task::spawn_blocking(|| hubs.join()).await.unwrap_or(false),
        }
    }
}

/// The listener for QUIC; without one it waits for ever.
struct Sessions {
    #[cfg(feature = "quic")]
    endpoint: Option<wtransport::Endpoint<wtransport::endpoint::endpoint_side::Server>>,
}

#[cfg(feature = "quic")]
impl Sessions {
    fn open(udp: Option<UdpSocket>, app: &Arc<App>) -> io::Result<Self> {
        let Some((udp, identity)) = udp.zip(app.identity.as_ref()) else {
            return Ok(Self { endpoint: None });
        };
        Ok(Self { endpoint: Some(transports::listen_for_sessions(udp, identity, app)?) })
    }

    async fn accept(&self, app: &Arc<App>) -> Infallible {
        match &self.endpoint {
            Some(endpoint) => transports::accept_sessions(endpoint, app).await,
            None => pending().await,
        }
    }

    /// Says goodbye to what is left and waits until that is on its way.
    async fn close(self, grace: Duration) {
        let Some(endpoint) = self.endpoint else { return };
        endpoint.close(0_u32.into(), b"the server stops");
        let _ = tokio::time::timeout(grace, endpoint.wait_idle()).await;
    }
}

#[cfg(not(feature = "quic"))]
impl Sessions {
    fn open(_udp: Option<UdpSocket>, _app: &Arc<App>) -> io::Result<Self> {
        Ok(Self {})
    }

    async fn accept(&self, _app: &Arc<App>) -> Infallible {
        pending().await
    }

    async fn close(self, _grace: Duration) {}
}

/// Takes connections for ever. A failed accept costs a pause, never the server.
async fn accept(listener: &TcpListener, app: &Arc<App>, acceptor: Option<&TlsAcceptor>) -> Infallible {
    let routes = TowerToHyperService::new(routes::routes(app));
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                if let Ok(dropped) = wire::kernel::drops(listener.as_fd()) {
                    app.registry.dropped(dropped);
                }
                admit(socket, app, acceptor, &routes);
            }
            Err(_) => {
                app.registry.accept_failed();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(socket: TcpStream, app: &Arc<App>, acceptor: Option<&TlsAcceptor>, routes: &Routes) {
    let Some(record) = app.registry.admit() else {
        os::answer_and_close(&socket, TOO_MANY);
        return;
    };
    app.registry.configured(os::configure(&socket, app.settings.stall_timeout));
    app.tasks.spawn(welcome(
        (socket, Bytes::new()),
        record,
        Arc::clone(app),
        acceptor.cloned(),
        routes.clone(),
    ));
}

/// Finds out whether a connection is encrypted, and serves it.
async fn welcome(
    (socket, begun): (TcpStream, Bytes),
    record: Arc<Record>,
    app: Arc<App>,
    acceptor: Option<TlsAcceptor>,
    routes: Routes,
) {
    let secure = match &acceptor {
        Some(_) if !begun.is_empty() => Ok(begun[0] == HANDSHAKE),
        Some(_) => timeout(app.settings.header_timeout, begins_with_handshake(&socket)).await,
        None => Ok(false),
    };
    let registry = Arc::clone(&app.registry);
    let (limit, tasks) = (app.settings.header_timeout, app.tasks.clone());
    let pauses = app.sends.as_ref().map(|sends| Pauses::new(Arc::clone(sends)));
    let connection = Connection::new(socket, Arc::clone(&record), registry, limit, tasks);
    let connection = connection.with_pauses(pauses).with_begun(begun);
    match (secure, acceptor) {
        (Ok(true), Some(acceptor)) => {
            // Within this task, so that a slow handshake holds up nobody else.
            let handshake = timeout(app.settings.header_timeout, acceptor.accept(connection)).await;
            if let Ok(Ok(connection)) = handshake {
                converse(connection, record, app, routes).await;
            }
        }
        (Ok(_), _) => converse(connection, record, app, routes).await,
        // Nothing was said in time.
        (Err(_), _) => {}
    }
}

/// The first byte of a TLS handshake record (RFC 8446 section 5.1); no request begins with it.
const HANDSHAKE: u8 = 22;

async fn begins_with_handshake(socket: &TcpStream) -> bool {
    let mut first = [0];
    matches!(socket.peek(&mut first).await, Ok(1)) && first == [HANDSHAKE]
}

/// TLS with the server's own certificate; a client may choose either version of HTTP (RFC 7301).
fn acceptor(identity: &Identity) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate()], identity.key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Both versions of HTTP with the same bounds for each connection.
fn http(tasks: &Tasks) -> auto::Builder<Tasks> {
    let mut builder = auto::Builder::new(tasks.clone());
    builder.http1().max_buf_size(HTTP_BUFFER).max_headers(MOST_HEADERS);
    builder
        .http2()
        .max_concurrent_streams(MOST_STREAMS)
        .max_send_buf_size(HTTP_BUFFER)
        .max_header_list_size(HTTP_BUFFER as u32)
        .enable_connect_protocol();
    builder
}

/// Serves one connection until it ends, is upgraded, or the server stops.
async fn converse<S>(connection: S, record: Arc<Record>, app: Arc<App>, routes: Routes)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let extra = (app.settings.fault == Some(Fault::ExtraHeader)).then(fault::field);
    let service = service_fn(move |request: Request<Incoming>| {
        record.request(routes::class(request.uri().path()));
        if request.version() == http::Version::HTTP_2 {
            // Its frames come at any time: heads are no measure of patience any more.
            record.upgraded();
        }
        let response = routes.call(request);
        let (record, extra) = (Arc::clone(&record), extra.clone());
        async move {
            let mut response = response.await;
            if let (Ok(response), Some((name, value))) = (&mut response, extra) {
                response.headers_mut().insert(name, value);
            }
            if response.as_ref().is_ok_and(|response| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
                record.upgraded();
            }
            response
        }
    });
    let http = http(&app.tasks);
    let connection = http.serve_connection_with_upgrades(TokioIo::new(connection), service);
    let mut connection = std::pin::pin!(connection);
    // Errors are the client's (a reset, junk, a head that took too long): the connection is over either way.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = app.tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
