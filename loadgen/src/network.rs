//! The emulated network of a trial: relays between clients and server, on a thread of their own.
//!
//! This level knows connections and datagrams: it delays, slows, stops and resets them. It cannot lose a packet of a
//! connection, and the result says so.

use std::{fs, io, net::SocketAddr, thread::JoinHandle, time::Duration};

use measurement::result::LinkModel;
use relay::Relay;
use ticker::clock;
use tokio::sync::mpsc;

use crate::{
    crew::message::Where,
    endpoint::Endpoint,
    plan::{
        Link,
        link::{Failure, Level, LinkEvent},
        options::Word as _,
    },
    process,
};

/// A running network. It ends with this value.
pub struct Network {
    /// Where clients connect instead of the server's address.
    address: SocketAddr,
    /// The same for QUIC.
    quic: Option<SocketAddr>,
    /// When the window begins, for the timetable.
    window: mpsc::UnboundedSender<u64>,
    /// What the operating system calls its thread.
    thread: Option<u32>,
    handle: Option<JoinHandle<()>>,
}

/// What the thread says once it stands.
struct Standing {
    address: SocketAddr,
    quic: Option<SocketAddr>,
    thread: Option<u32>,
}

impl Network {
    /// Puts relays in front of a server.
    ///
    /// # Errors
    /// When there are no ports, or no thread.
    pub fn start(link: &Link, endpoint: &Endpoint, cores: &[u32]) -> io::Result<Self> {
        let (link, cores) = (link.clone(), cores.to_vec());
        let (target, quic) = (endpoint.address, endpoint.quic.as_ref().map(|quic| quic.address));
        let (window, windows) = mpsc::unbounded_channel();
        let (said, stands) = std::sync::mpsc::channel();
        let handle = std::thread::Builder::new().name("network".to_owned()).spawn(move || {
            // Without pinning the run goes on, as for workers.
            let _ = process::pin_thread(&cores);
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(said.send(Err(error))),
            };
            runtime.block_on(async {
                match relays(&link, target, quic) {
                    Ok((relays, standing)) => {
                        let _ = said.send(Ok(standing));
                        fail_on_time(&relays, &link.events, windows).await;
                    }
                    Err(error) => drop(said.send(Err(error))),
                }
            });
        })?;
        let ended = || io::Error::other("the network's thread has ended");
        let Standing { address, quic, thread } = stands.recv().map_err(|_| ended())??;
        Ok(Self { address, quic, window, thread, handle: Some(handle) })
    }

    /// Tells when the window begins (CLOCK_MONOTONIC nanoseconds), which failures are planned from.
    pub fn begin(&self, window_ns: u64) {
        let _ = self.window.send(window_ns);
    }

    /// The endpoint of a server as it is seen from the clients' end.
    pub fn in_front_of(&self, endpoint: Endpoint) -> Endpoint {
        let mut endpoint = endpoint;
        endpoint.go_through(self.address, self.quic);
        endpoint
    }

    /// The same for a place.
    pub fn place(&self, place: Where) -> Where {
        place.through(self.address, self.quic)
    }

    /// Processor time of the relays so far: it is neither the server's nor the clients'.
    pub fn cpu_ns(&self) -> u64 {
        let read = |thread: u32| {
            let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse().ok()
        };
        self.thread.and_then(read).unwrap_or(0)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The end of this channel is the end of the thread.
        let (gone, _) = mpsc::unbounded_channel();
        self.window = gone;
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

fn relays(
    link: &Link,
    target: SocketAddr,
    quic: Option<SocketAddr>,
) -> io::Result<(Vec<Relay>, Standing)> {
    let any = SocketAddr::new(target.ip(), 0);
    let here = if any.ip().is_loopback() { any } else { SocketAddr::from(([127, 0, 0, 1], 0)) };
    let streams = Relay::start(std::net::TcpListener::bind(here)?, target, std::sync::Arc::new(()))?;
    let datagrams = quic
        .map(|target| Relay::start_datagrams(std::net::UdpSocket::bind(here)?, target))
        .transpose()?;
    let standing = Standing {
        address: streams.address(),
        quic: datagrams.as_ref().map(Relay::address),
        thread: thread_id(),
    };
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
    Ok((relays, standing))
}

/// What procfs calls the calling thread.
fn thread_id() -> Option<u32> {
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// Fails as planned once the window's beginning is known, and goes on until nobody holds the other end.
async fn fail_on_time(
    relays: &[Relay],
    events: &[LinkEvent],
    mut windows: mpsc::UnboundedReceiver<u64>,
) {
    let Some(window_ns) = windows.recv().await else { return };
    let planned = async {
        for event in events {
            wait_until(window_ns + event.at.as_nanos() as u64).await;
            for relay in relays {
                match event.what {
                    Failure::Partition => relay.freeze(),
                    Failure::Reset => relay.cut(),
                }
            }
            wait_until(window_ns + (event.at + event.lasts).as_nanos() as u64).await;
            for relay in relays {
                match event.what {
                    Failure::Partition => relay.thaw(),
                    Failure::Reset => relay.mend(),
                }
            }
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

/// What is emulated for a link, and why it is that.
pub fn level(link: &Link) -> (Level, Option<String>) {
    let reason = match link.level {
        Level::Packets | Level::Auto => "this version relays connections",
        Level::Connections => return (Level::Connections, Some("the scenario says so".to_owned())),
    };
    (Level::Connections, Some(reason.to_owned()))
}

/// The link as the result file has it.
pub fn model(link: &Link) -> LinkModel {
    let (level, level_reason) = level(link);
    LinkModel { level: level.word().to_owned(), level_reason, ..link.model() }
}
