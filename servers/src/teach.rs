//! `loadgen teach`: the teaching page, and one reference server for each of its lanes, all with the same feed.
//!
//! Each lane has a port of its own: a browser opens six connections to one HTTP/1.1 origin and no more, and lanes that
//! share them would hold each other up.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use clap::Args;
use serde::Serialize;
use ticker::{Anchor, FeedSettings, Transport};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    asked::Question,
    cli::FeedArgs,
    control::Start,
    listen, page,
    serve::{ServeError, serve_and_tell},
    settings::{Settings, SettingsError},
    stats::Stats,
    transports,
};

const DEFAULT_PORT: u16 = 8600;

/// `loadgen teach`
#[derive(Args, Clone, Debug)]
pub struct TeachArgs {
    /// Where the page is [default: 127.0.0.1:8600]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    feed: FeedArgs,
}

/// What keeps the page from being served, or ends it.
#[derive(Debug, thiserror::Error)]
enum TeachError {
    #[error("{0} can be reached from other machines; the page is for this one, expected 127.0.0.1 or ::1")]
    Remote(SocketAddr),
    #[error("{0}")]
    Settings(#[from] SettingsError),
    #[error("failed to listen on {address}: {cause}; choose another address with --listen")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error("failed to start: {0}")]
    Start(#[source] io::Error),
    #[error("failed to serve the page: {0}")]
    Page(#[source] io::Error),
    #[error("failed to serve a lane: {0}")]
    Lane(#[from] ServeError),
}

/// Serves the page until Ctrl-C. Exit codes: 0 stopped in order, 2 bad usage (an address in use among it), 3 could not
/// serve.
pub fn run(args: &TeachArgs) -> ExitCode {
    let Err(error) = try_run(args) else { return ExitCode::SUCCESS };
    // There is nobody left to tell if stderr is gone.
    let _ = writeln!(io::stderr(), "error: {error}");
    match error {
        TeachError::Remote(_) | TeachError::Settings(_) | TeachError::Listen { .. } => ExitCode::from(2),
        TeachError::Start(_) | TeachError::Page(_) | TeachError::Lane(_) => ExitCode::from(3),
    }
}

fn try_run(args: &TeachArgs) -> Result<(), TeachError> {
    let address = args.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into());
    if !address.ip().is_loopback() {
        return Err(TeachError::Remote(address));
    }
    let settings = Settings { feed: args.feed.settings(), ..Settings::default() };
    settings.check()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(TeachError::Start)?;
    runtime.block_on(teach(address, settings))
}

async fn teach(address: SocketAddr, settings: Settings) -> Result<(), TeachError> {
    let bind = |address| listen(address).map_err(|cause| TeachError::Listen { address, cause });
    let listener = bind(address)?;
    let address = listener.local_addr().map_err(TeachError::Start)?;
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    let room = open_lanes(address, &settings, &stop, &mut servers)?;
    let origins: Vec<String> = room.lanes.iter().map(|lane| lane.origin.clone()).collect();
    let routes = Router::new()
        .route("/page/lanes", get(lanes))
        .route("/page/stats", get(stats))
        .route("/page/clock", get(clock))
        .merge(page::routes(&origins))
        .with_state(Arc::new(room));
    listener.set_nonblocking(true).map_err(TeachError::Start)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(TeachError::Start)?;
    // Stdout may be closed: the page is served all the same.
    let _ = writeln!(io::stdout(), "the page is at http://{address}/ (Ctrl-C stops)");
    let stopping = stop.clone();
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned());
    tokio::select! {
        served = served => served.map_err(TeachError::Page)?,
        _ = tokio::signal::ctrl_c() => {}
        Some(ended) = servers.join_next() => ended.map_err(io::Error::other).map_err(TeachError::Start)??,
    }
    stop.cancel();
    while let Some(ended) = servers.join_next().await {
        ended.map_err(io::Error::other).map_err(TeachError::Start)??;
    }
    Ok(())
}

/// One lane of the page and the server behind it.
struct Lane {
    kind: Transport,
    origin: String,
    ask: mpsc::UnboundedSender<Question>,
}

/// What the page is told.
struct Room {
    lanes: Vec<Lane>,
    feed: FeedSettings,
    start: Start,
    own: SocketAddr,
}

fn open_lanes(
    page: SocketAddr,
    settings: &Settings,
    stop: &CancellationToken,
    servers: &mut JoinSet<Result<(), ServeError>>,
) -> Result<Room, TeachError> {
    let start = Start::now();
    let ip = page.ip();
    let mut lanes = Vec::new();
    for kind in shown() {
        let any = SocketAddr::new(ip, 0);
        let listener = listen(any).map_err(|cause| TeachError::Listen { address: any, cause })?;
        let address = listener.local_addr().map_err(TeachError::Start)?;
        let settings = Settings { allowed_origins: own_origins(page), ..settings.clone() };
        let (ask, questions) = mpsc::unbounded_channel();
        let stop = stop.clone();
        servers.spawn(async move {
            let shutdown = stop.cancelled_owned();
            serve_and_tell(listener, settings, async move { start }, questions, shutdown).await.map(drop)
        });
        lanes.push(Lane { kind, origin: format!("http://{address}"), ask });
    }
    Ok(Room { lanes, feed: settings.feed.clone(), start, own: page })
}

/// What a browser calls the page: by its address, or by the name that means the same.
fn own_origins(page: SocketAddr) -> Vec<String> {
    let mut origins = vec![format!("http://{page}")];
    if page.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        origins.push(format!("http://localhost:{}", page.port()));
    }
    origins
}

#[derive(Serialize)]
struct Told<'a> {
    symbols: u32,
    updates_per_second: f64,
    arrivals: &'static str,
    quote_bytes: u32,
    lanes: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    kind: &'static str,
    origin: &'a str,
}

impl<'a> Told<'a> {
    fn of(feed: &FeedSettings, lanes: impl Iterator<Item = Place<'a>>) -> Self {
        let FeedSettings { symbols, updates_per_second, arrivals, quote_bytes, .. } = *feed;
        Self { symbols, updates_per_second, arrivals: arrivals.name(), quote_bytes, lanes: lanes.collect() }
    }
}

/// Nobody else's page may ask (RFC 6454): what it is told is no secret, but nobody else's load either.
fn refused(room: &Room, headers: &HeaderMap) -> Option<Response> {
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("null");
    (!own_origins(room.own).iter().any(|own| own == origin)).then(|| {
        transports::refuse(StatusCode::FORBIDDEN, format!("origin is {origin}, expected the page's own"))
    })
}

async fn lanes(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refused(&room, &headers) {
        return refusal;
    }
    let lanes = room.lanes.iter().map(|lane| Place { kind: lane.kind.name(), origin: &lane.origin });
    Json(Told::of(&room.feed, lanes)).into_response()
}

/// The page of one server alone: every lane is a connection to it, as far as a browser opens so many.
pub(crate) fn routes_of_server() -> Router<Arc<App>> {
    Router::new()
        .route("/page/lanes", get(lanes_of_server))
        .route("/page/stats", get(stats_of_server))
        .route("/page/clock", get(clock_of_server))
        .merge(page::routes(&[]))
}

async fn lanes_of_server(State(app): State<Arc<App>>) -> Response {
    let lanes = shown().map(|kind| Place { kind: kind.name(), origin: "" });
    Json(Told::of(&app.settings.feed, lanes)).into_response()
}

async fn stats_of_server(State(app): State<Arc<App>>) -> Json<Vec<Counted>> {
    let stats = app.stats();
    Json(shown().map(|kind| Counted::of(kind, &stats)).collect())
}

async fn clock_of_server(State(app): State<Arc<App>>) -> Json<Now> {
    let anchor = app.progress.anchor().unwrap_or_else(Anchor::now);
    Json(Now { unix_us: anchor.unix_us(ticker::clock::now_ns()) })
}

/// The transports that have a lane.
fn shown() -> impl Iterator<Item = Transport> {
    Transport::ALL.into_iter().filter(|kind| transports::has_lane(*kind))
}

/// What the server of one lane has counted.
#[derive(Serialize)]
struct Counted {
    kind: &'static str,
    requests: u64,
    quotes: u64,
    /// Null where lanes share a server, whose connections carry the page as well.
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
}

impl Counted {
    fn of(kind: Transport, stats: &Stats) -> Self {
        let own = stats.transports.get(kind.name());
        Self {
            kind: kind.name(),
            requests: own.map_or(0, |own| own.requests),
            quotes: own.map_or(0, |own| own.quotes),
            read_bytes: None,
            written_bytes: None,
        }
    }
}

async fn stats(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refused(&room, &headers) {
        return refusal;
    }
    let mut counted = Vec::new();
    for Lane { kind, ask, .. } in &room.lanes {
        let Some(stats) = ask_one(ask).await else {
            return transports::refuse(StatusCode::SERVICE_UNAVAILABLE, "the lanes are stopping");
        };
        let (read, written) = (stats.bytes.read, stats.bytes.written);
        let bytes =
            Counted { read_bytes: Some(read), written_bytes: Some(written), ..Counted::of(*kind, &stats) };
        counted.push(bytes);
    }
    Json(counted).into_response()
}

async fn ask_one(ask: &mpsc::UnboundedSender<Question>) -> Option<Stats> {
    let (question, answer) = oneshot::channel();
    ask.send(question).ok()?;
    answer.await.ok()
}

/// The instant on the scale of the quotes' `due`.
#[derive(Serialize)]
struct Now {
    unix_us: u64,
}

async fn clock(State(room): State<Arc<Room>>) -> Json<Now> {
    Json(Now { unix_us: room.start.anchor.unix_us(ticker::clock::now_ns()) })
}
