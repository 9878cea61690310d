//! The accept loop: from a bound listener to joined tasks. It knows HTTP/1.1 but no route.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::UdpSocket,
    os::fd::AsFd as _,
    sync::{Arc, mpsc},
    time::Duration,
};

use http::{Request, StatusCode};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

#[cfg(feature = "quic")]
use crate::transports;
use crate::{
    app::App,
    connection::Connection,
    control::Start,
    listeners::Listeners,
    os, publisher,
    registry::Record,
    routes,
    settings::{Settings, SettingsError},
    stats::Stats,
};

/// Bound of what hyper reads ahead and of what it queues to write, for each connection.
const MOST_BUFFERED_BYTES: usize = 16 * 1024;
/// Most header fields of a request.
const MOST_HEADERS: usize = 64;
/// Rest after a failed accept: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TOO_MANY: &[u8] =
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
    settings.check()?;
    let Listeners { tcp, udp, identity } = listeners.into();
    tcp.set_nonblocking(true).map_err(ServeError::Listener)?;
    let listener = TcpListener::from_std(tcp).map_err(ServeError::Listener)?;
    let quic_address = udp.as_ref().map(UdpSocket::local_addr).transpose().map_err(ServeError::Listener)?;
    let app = Arc::new(App::new(settings, identity, quic_address));
    let sessions = Sessions::open(udp, &app).map_err(ServeError::Listener)?;

    let (sender, receiver) = mpsc::channel();
    let publisher = publisher::spawn(&app.settings, &app.log, &app.progress, receiver);
    let publisher = publisher.map_err(ServeError::Publisher)?;
    let starting = async {
        // It fails only when the publisher is gone, which is found out below.
        let _ = sender.send(start.await);
        pending().await
    };

    tokio::select! {
        () = shutdown => {}
        never = accept(&listener, &app) => match never {},
        never = sessions.accept(&app) => match never {},
        never = starting => match never {},
    }

    drop(listener);
    app.log.close();
    app.tasks.finish(app.settings.grace).await;
    sessions.close(app.settings.grace).await;
    // A publisher that was never started waits for this.
    drop(sender);
    let joined = tokio::task::spawn_blocking(|| publisher.join()).await;
    if joined.is_ok_and(|ended| ended.is_ok()) { Ok(app.stats()) } else { Err(ServeError::Panicked) }
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
async fn accept(listener: &TcpListener, app: &Arc<App>) -> Infallible {
    let routes = TowerToHyperService::new(routes::routes(app));
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                if let Ok(dropped) = wire::kernel::drops(listener.as_fd()) {
                    app.registry.dropped(dropped);
                }
                admit(socket, app, &routes);
            }
            Err(_) => {
                app.registry.accept_failed();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(socket: TcpStream, app: &Arc<App>, routes: &Routes) {
    let Some(record) = app.registry.admit() else {
        os::answer_and_close(&socket, TOO_MANY);
        return;
    };
    app.registry.configured(os::configure(&socket, app.settings.stall_timeout));
    let registry = Arc::clone(&app.registry);
    let connection = Connection::new(socket, Arc::clone(&record), registry, app.settings.header_timeout);
    app.tasks.spawn(converse(connection, record, Arc::clone(app), routes.clone()));
}

/// Serves one connection until it ends, is upgraded, or the server stops.
async fn converse(connection: Connection, record: Arc<Record>, app: Arc<App>, routes: Routes) {
    let service = service_fn(|request: Request<Incoming>| {
        record.request(routes::class(request.uri().path()));
        let response = routes.call(request);
        let record = &record;
        async move {
            let response = response.await;
            if response.as_ref().is_ok_and(|response| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
                record.upgraded();
            }
            response
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MOST_BUFFERED_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
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
