//! The emulated network of a trial: relays between clients and server, or packets between two network namespaces.
//!
//! Packets are the real thing: handshakes take their round trips, losses are sent again by the kernel. Where this machine
//! does not allow them, relays delay, slow, stop and reset connections; they cannot lose a packet, and the result says so.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread::JoinHandle,
    time::Duration,
};

use measurement::result::LinkModel;
use relay::{
    Relay,
    packets::{self, Namespace, PacketLink, Path},
};
use ticker::clock;
use tokio::sync::mpsc;

use crate::{
    crew::message::Where,
    endpoint::Endpoint,
    plan::{
        Driver, Link, VariantPlan,
        link::{Failure, Level, LinkEvent},
        options::Word as _,
    },
    process,
};

/// Namespaces in which both ends live, before there is anything in them.
pub struct Wire {
    link: PacketLink,
}

impl Wire {
    /// Lays the wire of a variant; `None` where nothing or another level is emulated.
    ///
    /// # Errors
    /// When the scenario asks for packets and this machine does not allow them.
    pub fn lay(variant: &VariantPlan, seed: u64) -> io::Result<Option<Self>> {
        let Some(link) = &variant.link else { return Ok(None) };
        if level(variant, link).0 != Level::Packets {
            return Ok(None);
        }
        available().clone().map_err(io::Error::other)?;
        let path = |rate: Option<u32>| Path {
            delay: link.one_way(),
            jitter: link.jitter,
            bytes_per_second: rate.map(u64::from),
            loss: link.loss,
            ..Path::default()
        };
        let (up, down) = (path(link.up_bytes_per_second), path(link.down_bytes_per_second));
        Ok(Some(Self { link: PacketLink::start(seed, up, down)? }))
    }

    /// Where the server lives, and its address there.
    pub fn server(&self) -> Home {
        Home { namespace: self.link.server(), address: self.link.server_ip().into() }
    }
}

/// Where a process lives.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its network.
    pub namespace: Namespace,
    /// Its address in it.
    pub address: IpAddr,
}

impl Home {
    /// Starts a process in it. To be called within a runtime.
    ///
    /// # Errors
    /// When it cannot be entered, or the process not started.
    pub fn spawn(&self, mut command: tokio::process::Command) -> io::Result<tokio::process::Child> {
        let runtime = tokio::runtime::Handle::current();
        // A thread that has entered a namespace cannot come back.
        let started = std::thread::scope(|scope| {
            let spawning = scope.spawn(|| {
                self.namespace.enter()?;
                let _within = runtime.enter();
                command.spawn()
            });
            spawning.join()
        });
        started.map_err(|_| io::Error::other("the thread that starts it panicked"))?
    }
}

/// A running network. It ends with this value.
pub struct Network {
    /// Where clients connect instead of the server's address, and the same for QUIC.
    instead: Option<(SocketAddr, Option<SocketAddr>)>,
    /// Where clients live.
    home: Option<Namespace>,
    /// When the window begins, for the timetable.
    window: mpsc::UnboundedSender<u64>,
    /// Name of the thread that moves what crosses it.
    mover: &'static str,
    handle: Option<JoinHandle<()>>,
}

impl Network {
    /// Puts the network of a variant between its clients and a server that runs; `None` where nothing is emulated.
    ///
    /// # Errors
    /// When there are no ports, or no thread.
    pub fn start(
        variant: &VariantPlan,
        wire: Option<Wire>,
        endpoint: &Endpoint,
        cores: &[u32],
    ) -> io::Result<Option<Self>> {
        let Some(link) = &variant.link else { return Ok(None) };
        let (events, cores) = (link.events.clone(), cores.to_vec());
        let (window, windows) = mpsc::unbounded_channel();
        let home = wire.as_ref().map(|wire| wire.link.client());
        let mover = if wire.is_some() { "packet-link" } else { "network" };
        let ends = (endpoint.address, endpoint.quic.as_ref().map(|quic| quic.address));
        let (said, stands) = std::sync::mpsc::channel();
        let link = link.clone();
        let handle = std::thread::Builder::new().name("network".to_owned()).spawn(move || {
            // Without pinning the run goes on, as for workers.
            let _ = process::pin_thread(&cores);
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(said.send(Err(error))),
            };
            runtime.block_on(async {
                match Carrier::start(wire, &link, ends) {
                    Ok((carrier, instead)) => {
                        let _ = said.send(Ok(instead));
                        fail_on_time(&carrier, &events, windows).await;
                    }
                    Err(error) => drop(said.send(Err(error))),
                }
            });
        })?;
        let ended = || io::Error::other("the network's thread has ended");
        let instead = stands.recv().map_err(|_| ended())??;
        Ok(Some(Self { instead, home, window, mover, handle: Some(handle) }))
    }

    /// Tells when the window begins (CLOCK_MONOTONIC nanoseconds), which failures are planned from.
    pub fn begin(&self, window_ns: u64) {
        let _ = self.window.send(window_ns);
    }

    /// The endpoint of a server as it is seen from the clients' end.
    pub fn seen(&self, mut endpoint: Endpoint) -> Endpoint {
        if let Some((address, quic)) = self.instead {
            endpoint.go_through(address, quic);
        }
        endpoint
    }

    /// The same for a place.
    pub fn place(&self, place: Where) -> Where {
        match self.instead {
            Some((address, quic)) => place.through(address, quic),
            None => place,
        }
    }

    /// The namespace that clients live in, for every thread and process that opens their sockets.
    pub fn home(&self) -> Option<PathBuf> {
        self.home.as_ref().map(Namespace::path)
    }

    /// Processor time of the network so far: it is neither the server's nor the clients'.
    pub fn cpu_ns(&self) -> u64 {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let mine = tasks.filter(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == self.mover)
        });
        let used = mine.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse::<u64>().ok()
        });
        used.sum()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The end of this channel is the end of the thread.
        let (gone, _) = mpsc::unbounded_channel();
        self.window = gone;
        if let Some(handle) = self.handle.take() {
            // Nothing to be done about a panic, which has been printed.
            let _ = handle.join();
        }
    }
}

/// What moves bytes.
enum Carrier {
    Relays(Vec<Relay>),
    Packets(Wire),
}

/// Where clients connect instead of the server's address, and the same for QUIC.
type Instead = Option<(SocketAddr, Option<SocketAddr>)>;

impl Carrier {
    fn start(
        wire: Option<Wire>,
        link: &Link,
        (target, quic): (SocketAddr, Option<SocketAddr>),
    ) -> io::Result<(Self, Instead)> {
        if let Some(wire) = wire {
            return Ok((Self::Packets(wire), None));
        }
        let any = SocketAddr::new(target.ip(), 0);
        let here = if any.ip().is_loopback() { any } else { SocketAddr::from(([127, 0, 0, 1], 0)) };
        let streams = Relay::start(std::net::TcpListener::bind(here)?, target, Arc::new(()))?;
        let datagrams = quic
            .map(|target| Relay::start_datagrams(std::net::UdpSocket::bind(here)?, target))
            .transpose()?;
        let instead = (streams.address(), datagrams.as_ref().map(Relay::address));
        let relays: Vec<Relay> = std::iter::once(streams).chain(datagrams).collect();
        let does = relay::Link {
            delay: link.one_way(),
            jitter: link.jitter,
            opening: link.rtt,
            down_bytes_per_second: link.down_bytes_per_second,
            up_bytes_per_second: link.up_bytes_per_second,
            strips_upgrades: false,
        };
        relays.iter().for_each(|relay| relay.set(does));
        Ok((Self::Relays(relays), Some(instead)))
    }

    fn fail(&self, how: Failure) {
        match self {
            Self::Relays(relays) => relays.iter().for_each(|relay| match how {
                Failure::Partition => relay.freeze(),
                Failure::Reset => relay.cut(),
            }),
            Self::Packets(wire) => wire.link.partition(),
        }
    }

    fn mend(&self, how: Failure) {
        match self {
            Self::Relays(relays) => relays.iter().for_each(|relay| match how {
                Failure::Partition => relay.thaw(),
                Failure::Reset => relay.mend(),
            }),
            Self::Packets(wire) => wire.link.heal(),
        }
    }
}

/// Fails as planned once the window's beginning is known, and goes on until nobody holds the other end.
async fn fail_on_time(carrier: &Carrier, events: &[LinkEvent], mut windows: mpsc::UnboundedReceiver<u64>) {
    let Some(window_ns) = windows.recv().await else { return };
    let planned = async {
        for event in events {
            wait_until(window_ns + event.at.as_nanos() as u64).await;
            carrier.fail(event.what);
            wait_until(window_ns + (event.at + event.lasts).as_nanos() as u64).await;
            carrier.mend(event.what);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = planned => {}
        _ = windows.recv() => {}
    }
}

async fn wait_until(at_ns: u64) {
    tokio::time::sleep(Duration::from_nanos(at_ns.saturating_sub(clock::now_ns()))).await;
}

/// Whether packets can be moved here: tried once, so that all of a run have the same answer.
fn available() -> &'static Result<(), String> {
    static AVAILABLE: OnceLock<Result<(), String>> = OnceLock::new();
    AVAILABLE.get_or_init(|| packets::available().map_err(|why| why.to_string()))
}

/// Whether the variant's network is one of packets.
pub fn moves_packets(variant: &VariantPlan) -> bool {
    variant.link.as_ref().is_some_and(|link| level(variant, link).0 == Level::Packets)
}

/// What is emulated for a variant's link, and why it is that.
fn level(variant: &VariantPlan, link: &Link) -> (Level, String) {
    let connections = |why: String| (Level::Connections, why);
    match link.level {
        Level::Connections => connections("the scenario says so".to_owned()),
        Level::Packets => (Level::Packets, "the scenario says so".to_owned()),
        Level::Auto if variant.peer.is_some() => {
            connections("the server is somebody else's, and lives where it lives".to_owned())
        }
        Level::Auto if variant.driver == Driver::Chromium => {
            connections("the tabs of a browser live in this machine's network".to_owned())
        }
        Level::Auto if link.resets() => {
            connections("connections are reset, which is not a thing that packets do".to_owned())
        }
        Level::Auto => match available() {
            Ok(()) => (Level::Packets, "this machine allows it".to_owned()),
            Err(why) => connections(why.clone()),
        },
    }
}

/// The link of a variant as the result file has it.
pub fn model(variant: &VariantPlan) -> Option<LinkModel> {
    let link = variant.link.as_ref()?;
    let (level, reason) = level(variant, link);
    Some(LinkModel { level: level.word().to_owned(), level_reason: Some(reason), ..link.model() })
}
