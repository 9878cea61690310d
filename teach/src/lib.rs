//! `loadgen teach`: the teaching page, a reference server for each of its lanes as a process of its own, all with the same
//! feed, and between browser and server a link that the page can change and break.
//!
//! Each lane has a port of its own: a browser opens six connections to one HTTP/1.1 origin and no more, and lanes that
//! share them would hold each other up.

mod anatomy;
mod process;
mod questions;
mod room;
mod tap;
mod wishes;

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use servers::{cli::FeedArgs, listen};
use ticker::{Transport, schedule::FeedError};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use room::{OwnLane, Room};

const DEFAULT_PORT: u16 = 8600;

/// `loadgen teach`
#[derive(Args, Clone, Debug)]
pub struct TeachArgs {
    /// Where the page is [default: 127.0.0.1:8600]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Show somebody else's server as a lane too, by transport and address on this machine, as in
    /// sse=127.0.0.1:9000; it speaks docs/PROTOCOL.md and allows the page to read
    #[arg(long, value_name = "KIND=ADDRESS", value_parser = own_lane)]
    lane: Vec<OwnLane>,
    /// A class shares the page: what laptops call it, as in http://192.168.1.10:8600. Only then may it listen where
    /// other machines reach it
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<String>,
    #[command(flatten)]
    feed: FeedArgs,
}

fn own_lane(text: &str) -> Result<OwnLane, String> {
    let expected = "expected a transport and an address of this machine, as in sse=127.0.0.1:9000";
    let (kind, address) = text.split_once('=').ok_or(expected)?;
    let kind: Transport = kind.parse().map_err(|error| format!("{error}; {expected}"))?;
    if !servers::page::lanes().any(|(lane, shown)| shown == kind && lane != servers::page::Lane::Sessions) {
        return Err(format!("a page has no lane for {kind}"));
    }
    let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let address: SocketAddr = address.parse().map_err(|error| format!("{address:?}: {error}; {expected}"))?;
    // The page sends traffic there as fast as a control says: to nobody else's machine.
    if !address.ip().is_loopback() {
        return Err(format!("{address} is another machine; {expected}"));
    }
    Ok(OwnLane { kind, address })
}

fn origin(text: &str) -> Result<String, String> {
    let is_one = text
        .strip_prefix("http://")
        .is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ']));
    let wrong = || format!("{text:?} is no origin, expected http://HOST:PORT without a path");
    is_one.then(|| text.to_owned()).ok_or_else(wrong)
}

/// What keeps the page from being served, or ends it.
#[derive(Debug, thiserror::Error)]
enum TeachError {
    #[error(
        "{0} can be reached from other machines: say with --allow-origin what a class calls the page, as in \
         http://192.168.1.10:8600, or listen on 127.0.0.1"
    )]
    Remote(SocketAddr),
    #[error("{0}")]
    Feed(#[from] FeedError),
    #[error("failed to listen on {address}: {cause}; choose another address with --listen")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error("failed to start: {0}")]
    Start(#[source] io::Error),
    #[error("failed to serve the page: {0}")]
    Page(#[source] io::Error),
}

/// Serves the page until Ctrl-C. Exit codes: 0 stopped in order, 2 bad usage (an address in use among it), 3 could not
/// serve.
pub fn run(args: &TeachArgs) -> ExitCode {
    let Err(error) = try_run(args) else { return ExitCode::SUCCESS };
    // There is nobody left to tell if stderr is gone.
    let _ = writeln!(io::stderr(), "error: {error}");
    match error {
        TeachError::Remote(_) | TeachError::Feed(_) | TeachError::Listen { .. } => ExitCode::from(2),
        TeachError::Start(_) | TeachError::Page(_) => ExitCode::from(3),
    }
}

fn try_run(args: &TeachArgs) -> Result<(), TeachError> {
    let address = args.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into());
    if !address.ip().is_loopback() && args.allow_origin.is_empty() {
        return Err(TeachError::Remote(address));
    }
    args.feed.settings().check()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(TeachError::Start)?;
    runtime.block_on(teach(address, args))
}

async fn teach(address: SocketAddr, args: &TeachArgs) -> Result<(), TeachError> {
    let listener = listen(address).map_err(|cause| TeachError::Listen { address, cause })?;
    let address = listener.local_addr().map_err(TeachError::Start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TeachError::Start)?;
    let room = Room::open(address, &args.allow_origin, args.feed.settings(), &args.lane).await;
    let room = Arc::new(room.map_err(TeachError::Start)?);
    listener.set_nonblocking(true).map_err(TeachError::Start)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(TeachError::Start)?;
    let stop = CancellationToken::new();
    let routes = questions::routes(Arc::clone(&room)).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    // Stdout may be closed: the page is served all the same.
    let _ = writeln!(io::stdout(), "the page is at {}/ (Ctrl-C stops)", room.own_origin());
    for origin in &args.allow_origin {
        let _ = writeln!(io::stdout(), "for the class: {origin}/");
    }
    let done = tokio::select! {
        served = served => served.map_err(TeachError::Page),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    stop.cancel();
    room.close().await;
    done
}
