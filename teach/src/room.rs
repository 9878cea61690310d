//! The lanes: which there are, the servers behind them, the links between. It answers no request.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use relay::{Link, Relay};
use servers::{
    Start, Stats,
    identity::Identity,
    listen,
    page::{self, Counted, Crossed, Lane, Place, Role, Told},
    stats::IdentityStats,
};
use tempfile::NamedTempFile;
use ticker::{FeedSettings, Transport, clock};
use tokio::{sync::RwLock, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    process::Server,
    tap::Tap,
    wishes::{Break, Fault, FeedWish, LinkWish},
};

/// A lane of a server that somebody else started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnLane {
    pub(crate) kind: Transport,
    pub(crate) address: SocketAddr,
}

/// Where the page connects, for as long as it is served: what stands behind may change.
struct Door {
    name: String,
    kind: String,
    role: Role,
    relay: Relay,
    tap: Arc<Tap>,
    /// For sessions, which are QUIC.
    datagrams: Option<Relay>,
    behind: Behind,
}

/// What is behind a door.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// A reference server of its own, the n-th.
    Server(usize),
    /// Somebody else's.
    Own,
}

/// Everything that the page is about.
pub(crate) struct Room {
    own: SocketAddr,
    allowed: Vec<String>,
    start: Start,
    identity: Identity,
    /// The same for the servers to read; it goes with this value.
    identity_file: NamedTempFile,
    doors: Vec<Door>,
    running: RwLock<Running>,
    /// Until when the links are down, monotonic nanoseconds.
    down_until_ns: AtomicU64,
    /// Until when they are slow.
    slow_until_ns: AtomicU64,
    /// Until when the servers are frozen.
    frozen_until_ns: AtomicU64,
    /// How often something was changed.
    edition: AtomicU64,
    ending: CancellationToken,
}

/// What a wish changes.
struct Running {
    servers: Vec<Server>,
    feed: FeedSettings,
    http: u8,
    link: Link,
}

impl Room {
    /// Starts all servers for a page at `own`, which others may call by the names in `allowed`.
    pub(crate) async fn open(
        own: SocketAddr,
        allowed: &[String],
        feed: FeedSettings,
        others: &[OwnLane],
    ) -> io::Result<Self> {
        let start = Start::now();
        let identity = Identity::self_signed().map_err(io::Error::other)?;
        // Readable by this user alone, as temporary files are made.
        let mut identity_file = NamedTempFile::new()?;
        identity_file.write_all(identity.pem_with_key().as_bytes())?;
        let running = RwLock::new(Running { servers: Vec::new(), feed, http: 1, link: Link::default() });
        let mut allowed_origins = own_origins(own);
        allowed_origins.extend_from_slice(allowed);
        let mut room = Self {
            own,
            allowed: allowed_origins,
            start,
            identity,
            identity_file,
            doors: Vec::new(),
            running,
            down_until_ns: AtomicU64::new(0),
            slow_until_ns: AtomicU64::new(0),
            frozen_until_ns: AtomicU64::new(0),
            edition: AtomicU64::new(0),
            ending: CancellationToken::new(),
        };
        let servers = room.spawn(&*room.running.read().await).await?;
        for (index, (lane, kind)) in page::lanes().enumerate() {
            let role = if lane == Lane::First { Role::First } else { Role::More };
            room.add_door(kind.name(), kind.name(), role, (servers[index].address(), Behind::Server(index)))?;
            if let (Some(quic), Some(door)) = (servers[index].quic(), room.doors.last_mut()) {
                let socket = UdpSocket::bind(SocketAddr::new(own.ip(), 0))?;
                door.datagrams = Some(Relay::start_datagrams(socket, quic)?);
            }
        }
        let extra = page::lanes().count();
        for (name, kind, role) in page::extras() {
            let index = if role == Role::Stranger { extra + 1 } else { extra };
            room.add_door(name, kind.name(), role, (servers[index].address(), Behind::Server(index)))?;
        }
        for (number, other) in others.iter().enumerate() {
            let name = format!("own-{}", number + 1);
            room.add_door(&name, other.kind.name(), Role::Own, (other.address, Behind::Own))?;
        }
        room.running.write().await.servers = servers;
        Ok(room)
    }

    fn add_door(
        &mut self,
        name: &str,
        kind: &str,
        role: Role,
        (target, behind): (SocketAddr, Behind),
    ) -> io::Result<()> {
        let tap = Arc::new(Tap::new(self.start));
        let listener = listen(SocketAddr::new(self.own.ip(), 0))?;
        let relay = Relay::start(listener, target, Arc::clone(&tap) as Arc<dyn relay::Listener>)?;
        let (name, kind) = (name.to_owned(), kind.to_owned());
        self.doors.push(Door { name, kind, role, relay, tap, datagrams: None, behind });
        Ok(())
    }

    /// A server for each lane, one for all else, and one that does not know the page; they publish from now on.
    async fn spawn(&self, wanted: &Running) -> io::Result<Vec<Server>> {
        let mut servers = Vec::new();
        for (lane, _) in page::lanes() {
            let mut options = self.options(wanted, true);
            if lane == Lane::Sessions {
                options.push("--quic".to_owned());
            } else if wanted.http == 2 {
                options.push("--tls".to_owned());
            }
            if lane == Lane::Sessions || wanted.http == 2 {
                options.extend(["--identity".to_owned(), self.identity_file.path().display().to_string()]);
            }
            servers.push(Server::spawn(&options).await?);
        }
        let mut options = self.options(wanted, true);
        options.extend(["--echo", "--chat"].map(str::to_owned));
        if wanted.http == 2 {
            let file = self.identity_file.path().display().to_string();
            options.extend(["--tls".to_owned(), "--identity".to_owned(), file]);
        }
        servers.push(Server::spawn(&options).await?);
        servers.push(Server::spawn(&self.options(wanted, false)).await?);
        // A feed that begins now, on the one scale of time: an instant in the past would make its first quotes late.
        let start = Start { t0_ns: clock::now_ns(), ..self.start };
        for server in &servers {
            server.start(start).await?;
        }
        Ok(servers)
    }

    fn options(&self, Running { feed, .. }: &Running, knows_page: bool) -> Vec<String> {
        let FeedSettings { symbols, updates_per_second, arrivals, quote_bytes, seed, stages: _ } = feed;
        let mut options: Vec<String> = [
            ("--listen", SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0).to_string()),
            ("--symbols", symbols.to_string()),
            ("--updates-per-second", updates_per_second.to_string()),
            ("--arrivals", arrivals.name().to_owned()),
            ("--quote-bytes", quote_bytes.to_string()),
            ("--seed", seed.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        options.push("--scan".to_owned());
        if knows_page {
            options
                .extend(self.allowed.iter().flat_map(|origin| ["--allow-origin".to_owned(), origin.clone()]));
        }
        options
    }

    /// What this machine's browser calls the page.
    pub(crate) fn own_origin(&self) -> &str {
        &self.allowed[0]
    }

    /// Whether the page is known by this origin.
    pub(crate) fn is_known(&self, origin: &str) -> bool {
        let origin = normal(origin);
        self.allowed.iter().any(|known| normal(known) == origin)
    }

    /// Whether somebody at this address sits at this machine.
    pub(crate) fn is_here(&self, from: IpAddr) -> bool {
        sits_here(self.own.ip(), from)
    }

    /// The instant now, on the scale of the quotes' `due`.
    pub(crate) fn now_us(&self) -> u64 {
        self.start.anchor.unix_us(clock::now_ns())
    }

    /// Everywhere that a page which was asked for at `host` may connect to.
    pub(crate) fn origins(&self, host: &str) -> Vec<String> {
        let name = without_port(host);
        let relays =
            self.doors.iter().flat_map(|door| [Some(&door.relay), door.datagrams.as_ref()]).flatten();
        relays
            .flat_map(|relay| {
                ["http", "https"].map(|scheme| format!("{scheme}://{name}:{}", relay.address().port()))
            })
            .collect()
    }

    /// What a page that was asked for at `host` is told.
    pub(crate) async fn told(&self, host: &str, is_teacher: bool) -> Told {
        let running = self.running.read().await;
        let name = without_port(host);
        let place = |door: &Door| {
            let encrypted = running.http == 2 && door.behind != Behind::Own && door.role != Role::Stranger;
            let (scheme, port) = match &door.datagrams {
                Some(relay) => ("https", relay.address().port()),
                None => (if encrypted { "https" } else { "http" }, door.relay.address().port()),
            };
            Place {
                name: door.name.clone(),
                kind: door.kind.clone(),
                role: door.role,
                origin: format!("{scheme}://{name}:{port}"),
                certificate: door.datagrams.is_some().then(|| self.identity.fingerprint_base64()),
            }
        };
        Told {
            http: running.http,
            edition: self.edition.load(Relaxed),
            round_trip_ms: 2 * running.link.delay.as_micros() as u64 / 1_000,
            strips_upgrades: running.link.strips_upgrades,
            has_controls: true,
            may_control: is_teacher,
            is_class: !self.own.ip().is_loopback(),
            ..Told::of(&running.feed, self.doors.iter().map(place).collect())
        }
    }

    /// What each server has counted.
    pub(crate) async fn counted(&self) -> io::Result<Vec<Counted>> {
        let running = self.running.read().await;
        let mut all = Vec::new();
        let mut told = Vec::new();
        for door in &self.doors {
            let (connections, up_bytes, down_bytes) = door.tap.totals();
            let link = Some(Crossed { connections, up_bytes, down_bytes });
            let counted = match door.behind {
                Behind::Own => Counted { name: door.name.clone(), ..Counted::default() },
                Behind::Server(index) => {
                    let server = &running.servers[index];
                    let stats: Stats = server.stats().await?;
                    let counted = Counted::of(&door.name, &door.kind, &stats);
                    let is_lane = matches!(door.role, Role::First | Role::More);
                    let counted = match is_lane {
                        true if door.datagrams.is_some() => counted.with_datagrams(&stats),
                        true => counted.with_bytes(&stats),
                        false => counted,
                    };
                    // A server with several doors is compared with the kernel once.
                    let identity =
                        if told.contains(&index) { IdentityStats::default() } else { counted.identity };
                    told.push(index);
                    Counted { cpu_ms: cpu_ms(server.pid()), identity, ..counted }
                }
            };
            all.push(Counted {
                edition: self.edition.load(Relaxed),
                link: door.datagrams.is_none().then_some(link).flatten(),
                ..counted
            });
        }
        Ok(all)
    }

    /// The messages of a lane after that number.
    pub(crate) fn tapped(&self, name: &str, after: u64) -> Option<Vec<crate::anatomy::Specimen>> {
        self.doors.iter().find(|door| door.name == name).map(|door| door.tap.after(after))
    }

    /// Other servers with another feed take the place of those that run. The links stay, and lose their connections.
    pub(crate) async fn set_feed(&self, wish: &FeedWish) -> io::Result<()> {
        let mut running = self.running.write().await;
        let wanted = Running {
            servers: Vec::new(),
            feed: wish.feed(&running.feed),
            http: wish.http.unwrap_or(running.http),
            link: running.link,
        };
        let servers = self.spawn(&wanted).await?;
        for door in &self.doors {
            let Behind::Server(index) = door.behind else { continue };
            door.relay.move_to(servers[index].address());
            if let (Some(relay), Some(quic)) = (&door.datagrams, servers[index].quic()) {
                relay.move_to(quic);
            }
        }
        self.edition.fetch_add(1, Relaxed);
        let before = std::mem::replace(&mut *running, Running { servers, ..wanted });
        // Nobody is left on them; they end by themselves.
        tokio::spawn(async move {
            for server in before.servers {
                server.stop().await;
            }
        });
        Ok(())
    }

    /// Changes what the links do.
    pub(crate) async fn set_link(&self, wish: &LinkWish) {
        let mut running = self.running.write().await;
        running.link = wish.link(running.link);
        self.edition.fetch_add(1, Relaxed);
        self.links(running.link);
    }

    fn links(&self, link: Link) {
        let is_slow = clock::now_ns() < self.slow_until_ns.load(Relaxed);
        let link = Link { down_bytes_per_second: is_slow.then_some(SLOW_BYTES_PER_SECOND), ..link };
        for relay in self.doors.iter().flat_map(|door| [Some(&door.relay), door.datagrams.as_ref()]).flatten()
        {
            relay.set(link);
        }
    }

    /// Breaks something, and mends it after its time.
    pub(crate) async fn break_it(self: &Arc<Self>, wish: Break) {
        let (room, lasts) = (Arc::clone(self), Duration::from_millis(wish.ms));
        match wish.what {
            Fault::Freeze => {
                let until_ns = clock::now_ns() + lasts.as_nanos() as u64;
                self.frozen_until_ns.fetch_max(until_ns, Relaxed);
                // Held, so that no other wish replaces a server that is to be woken.
                tokio::spawn(async move {
                    let running = room.running.read().await;
                    running.servers.iter().for_each(Server::freeze);
                    tokio::select! {
                        () = sleep(lasts) => {}
                        () = room.ending.cancelled() => {}
                    }
                    if room.frozen_until_ns.load(Relaxed) <= until_ns || room.ending.is_cancelled() {
                        running.servers.iter().for_each(Server::thaw);
                    }
                });
            }
            Fault::Cut => {
                let until_ns = clock::now_ns() + lasts.as_nanos() as u64;
                self.down_until_ns.fetch_max(until_ns, Relaxed);
                self.all_relays(Relay::cut);
                tokio::spawn(async move {
                    sleep(lasts).await;
                    if room.down_until_ns.load(Relaxed) <= until_ns {
                        room.all_relays(Relay::mend);
                    }
                });
            }
            Fault::Slow => {
                let until_ns = clock::now_ns() + lasts.as_nanos() as u64;
                self.slow_until_ns.fetch_max(until_ns, Relaxed);
                self.links(self.running.read().await.link);
                tokio::spawn(async move {
                    sleep(lasts).await;
                    let link = room.running.read().await.link;
                    room.links(link);
                });
            }
        }
    }

    fn all_relays(&self, act: impl Fn(&Relay)) {
        let relays = self.doors.iter().flat_map(|door| [Some(&door.relay), door.datagrams.as_ref()]);
        relays.flatten().for_each(act);
    }

    /// Stops all servers in order.
    pub(crate) async fn close(&self) {
        // Who holds the lock while servers are frozen wakes them, and lets go.
        self.ending.cancel();
        let servers = std::mem::take(&mut self.running.write().await.servers);
        let mut stopping = tokio::task::JoinSet::new();
        for server in servers {
            stopping.spawn(server.stop());
        }
        while stopping.join_next().await.is_some() {}
    }
}

/// What a slow reader takes. The default feed is 1,200 bytes a second without any head.
const SLOW_BYTES_PER_SECOND: u32 = 600;

/// What a browser calls the page: by its address, or by the name that means the same.
fn own_origins(page: SocketAddr) -> Vec<String> {
    let local = match page.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), page.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), page.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => page,
    };
    let (by_address, by_name) = (format!("http://{local}"), format!("http://localhost:{}", local.port()));
    match local.ip() {
        // A policy cannot name an IPv6 address (Content Security Policy Level 3, section 2.3.1): by name it can.
        IpAddr::V6(ip) if ip.is_loopback() => vec![by_name, by_address],
        IpAddr::V4(Ipv4Addr::LOCALHOST) => vec![by_address, by_name],
        IpAddr::V4(_) | IpAddr::V6(_) => vec![by_address],
    }
}

/// Whether `from` is this machine, on which the page is at `own`.
fn sits_here(own: IpAddr, from: IpAddr) -> bool {
    let from = from.to_canonical();
    from.is_loopback() || (!own.is_unspecified() && from == own.to_canonical())
}

/// The name in a `Host`; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).
fn without_port(host: &str) -> &str {
    if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) }
}

/// As browsers write origins (RFC 6454 section 6.2): without a default port, in small letters.
fn normal(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    origin.strip_suffix(":80").map(str::to_owned).unwrap_or(origin)
}

/// User and system time of a process so far (`/proc/PID/stat`, fields 14 and 15), where the system tells.
fn cpu_ms(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let ticks: u64 = fields.nth(11)?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // USER_HZ is 100 on every architecture that runs this.
    Some(ticks * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_teacher_sits_at_this_machine() {
        let check = |own: &str, from: &str| sits_here(own.parse().unwrap(), from.parse().unwrap());
        assert!(check("127.0.0.1", "127.0.0.1") && check("0.0.0.0", "::ffff:127.0.0.1"));
        assert!(check("192.0.2.1", "192.0.2.1") && check("::", "::1"));
        assert!(!check("0.0.0.0", "192.0.2.7") && !check("192.0.2.1", "192.0.2.7") && !check("::", "::"));
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        assert_eq!(normal("http://Class.test:80"), "http://class.test");
        assert_eq!(["a:1", "a", "[::1]:8", "[::1]"].map(without_port), ["a", "a", "[::1]", "[::1]"]);
        assert_eq!(normal("http://class.test:8080"), "http://class.test:8080");
        let of = |address: &str| own_origins(address.parse().unwrap());
        assert_eq!(of("127.0.0.1:1"), ["http://127.0.0.1:1", "http://localhost:1"]);
        assert_eq!(of("0.0.0.0:1"), ["http://127.0.0.1:1", "http://localhost:1"]);
        assert_eq!(of("[::1]:1"), ["http://localhost:1", "http://[::1]:1"]);
        assert_eq!(of("192.0.2.1:1"), ["http://192.0.2.1:1"]);
    }
}
