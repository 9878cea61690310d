//! A relay between clients and a server: a link that delays, slows down, breaks, and can be listened to.
//!
//! [`Relay`] works on the level of TCP connections and of UDP datagrams, so it needs no privileges; what happens below
//! (loss, reordering, retransmission) it does not model. It knows no protocol above, but for one kind of proxy that it
//! can play: one that has never heard of upgrades.
//!
//! [`packets`] works on the level of IP packets, below TCP: what it loses, the kernel's TCP has to send again. It needs
//! privileges, and client and server in network namespaces of their own.

mod datagrams;
pub mod packets;
mod proxy;
mod pump;
mod timer;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use pump::pump;

/// Rest after a failed accept: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long an end of the link waits for the other's goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// What the link does to the bytes that cross it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// From one end to the other; a round trip takes it twice.
    pub delay: Duration,
    /// Up to so much more, drawn evenly for each piece of bytes; pieces do not overtake each other.
    pub jitter: Duration,
    /// What the opening of a connection takes before its first byte goes up: TCP's handshake is one round trip (RFC 9293
    /// section 3.5), which a relay's listener answers at once.
    pub opening: Duration,
    /// Most bytes a second from client to server; `None` for as many as come.
    pub up_bytes_per_second: Option<u32>,
    /// Most bytes a second from server to client; `None` for as many as come.
    pub down_bytes_per_second: Option<u32>,
    /// Whether requests lose their `Upgrade` on the way, as they do in a proxy that does not know what it asks for: the
    /// field is for one hop only (RFC 9110 section 7.8).
    pub strips_upgrades: bool,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

/// Somebody who listens to a relay.
pub trait Listener: Send + Sync + 'static {
    /// A client has connected; what is said on that connection is told to the answer.
    fn opened(&self) -> Box<dyn Ears>;
}

/// Somebody who listens to one connection. Told of bytes when they come to the relay, in order for each way.
pub trait Ears: Send + 'static {
    /// These bytes came.
    fn heard(&mut self, way: Way, bytes: &[u8]);
}

/// Nobody.
impl Listener for () {
    fn opened(&self) -> Box<dyn Ears> {
        Box::new(())
    }
}

impl Ears for () {
    fn heard(&mut self, _way: Way, _bytes: &[u8]) {}
}

/// A running relay; it ends with this value, and its connections with it.
pub struct Relay {
    address: SocketAddr,
    state: watch::Sender<State>,
    stop: CancellationToken,
}

/// What may change while it runs.
#[derive(Clone, Copy, Debug)]
struct State {
    target: SocketAddr,
    link: Link,
    /// Connections of an earlier number are reset.
    generation: u64,
    /// Whether new ones are.
    is_down: bool,
    /// Whether what is under way stays there.
    is_frozen: bool,
}

impl Relay {
    /// Takes connections from `listener` and connects each to `target`. To be called within a runtime.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(
        listener: std::net::TcpListener,
        target: SocketAddr,
        ears: Arc<dyn Listener>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (this, watched) = Self::new(listener.local_addr()?, target);
        this.spawn(async move { accept(&listener, &watched, &*ears).await });
        Ok(this)
    }

    /// The same for datagrams: each client's go to `target` from a port of its own.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn start_datagrams(socket: std::net::UdpSocket, target: SocketAddr) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let (this, watched) = Self::new(socket.local_addr()?, target);
        this.spawn(datagrams::relay(Arc::new(socket), watched));
        Ok(this)
    }

    fn new(address: SocketAddr, target: SocketAddr) -> (Self, watch::Receiver<State>) {
        let state = State { target, link: Link::default(), generation: 0, is_down: false, is_frozen: false };
        let (state, watched) = watch::channel(state);
        (Self { address, state, stop: CancellationToken::new() }, watched)
    }

    /// Works until this value goes.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the link does, to bytes that come from now on.
    pub fn set(&self, link: Link) {
        self.state.send_modify(|state| state.link = link);
    }

    /// Resets all connections; new ones go to `target`.
    pub fn move_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| {
            state.target = target;
            state.generation += 1;
        });
    }

    /// Breaks the link: all connections are reset, and new ones too until [`Self::mend`]. Datagrams vanish.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.is_down = true;
            state.generation += 1;
        });
    }

    /// Nothing comes out at either end until [`Self::thaw`], and nothing is lost but datagrams: what TCP makes of a partition
    /// that ends before its patience does.
    pub fn freeze(&self) {
        self.state.send_modify(|state| state.is_frozen = true);
    }

    /// The end of a freeze.
    pub fn thaw(&self) {
        self.state.send_modify(|state| state.is_frozen = false);
    }

    /// The end of a cut.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_down = false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
        self.state.send_modify(|state| state.generation += 1);
    }
}

async fn accept(listener: &TcpListener, watched: &watch::Receiver<State>, ears: &dyn Listener) {
    let tasks = TaskTracker::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) if watched.borrow().is_down => reset(&client),
            Ok((client, _)) => {
                tasks.spawn(connect(client, watched.clone(), ears.opened()));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection, from its beginning to its end.
async fn connect(client: TcpStream, mut watched: watch::Receiver<State>, ears: Box<dyn Ears>) {
    let State { target, generation, .. } = *watched.borrow_and_update();
    let Ok(server) = TcpStream::connect(target).await else {
        reset(&client);
        return;
    };
    // Nagle's algorithm would be one more delay.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ears = Mutex::new(ears);
    let hear = |way, bytes: &[u8]| ears.lock().unwrap_or_else(PoisonError::into_inner).heard(way, bytes);
    let mut ended = watched.clone();
    let is_over = ended.wait_for(|state| state.generation != generation);
    let done = {
        let up = pump(&client, &server, Way::Up, &hear, watched.clone());
        let down = pump(&server, &client, Way::Down, &hear, watched.clone());
        tokio::select! {
            done = ends(up, down) => done,
            _ = is_over => Err(io::ErrorKind::ConnectionReset.into()),
        }
    };
    if done.is_err() {
        reset(&client);
        reset(&server);
    }
}

/// Both ways, until both have ended. One that has ended leaves the other little time: HTTP is never half-closed for long.
async fn ends(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    tokio::select! {
        done = &mut up => {
            done?;
            tokio::time::timeout(GRACE, down).await.unwrap_or(Ok(()))
        }
        done = &mut down => {
            done?;
            tokio::time::timeout(GRACE, up).await.unwrap_or(Ok(()))
        }
    }
}

/// Makes the end of a socket a reset instead of a goodbye.
fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
