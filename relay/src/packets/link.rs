//! Two namespaces, the link between them, and whether it can be had here.

use std::{
    io,
    net::Ipv4Addr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{Counts, Namespace, Path, Unavailable, carrier::Carrier, tun::End};

/// Both ends' addresses are of the range that is set aside for benchmarks (RFC 2544 appendix C.2.2, RFC 6890). Each
/// link's namespaces are its own, so all links have the same.
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

const HELP: &str = "it takes root, or CAP_SYS_ADMIN for the namespace and CAP_NET_ADMIN for its device (`unshare --user \
                    --map-root-user` gives both), and /dev/net/tun (of a container: `--device /dev/net/tun`)";

/// Whether packets can be relayed here; tries it.
///
/// # Errors
/// When they cannot: says what was tried, what failed and what would help.
pub fn available() -> Result<(), Unavailable> {
    match End::open(CLIENT) {
        Ok(_) => Ok(()),
        Err(failure) => Err(Unavailable { step: failure.step, cause: failure.cause, help: HELP }),
    }
}

/// Two namespaces joined by a link. It ends when dropped, and the namespaces when nobody else is in them.
///
/// There is nothing in them but a loopback and the link: no way to the machine's network, and no names. The kernel
/// keeps nothing of what one TCP connection learns about the path for the next (`tcp_no_metrics_save`). Where it may,
/// the thread between them runs at a real-time priority, so that a busy machine does not make the link longer.
pub struct PacketLink {
    carrier: Arc<Carrier>,
    thread: Option<JoinHandle<()>>,
    client: Namespace,
    server: Namespace,
}

impl PacketLink {
    /// Makes both namespaces and starts the thread between them.
    ///
    /// # Errors
    /// When the kernel refuses one of the steps; [`available`] says what would help.
    pub fn start(seed: u64, up: Path, down: Path) -> io::Result<Self> {
        let (client, server) = (End::open(CLIENT)?, End::open(SERVER)?);
        let carrier = Arc::new(Carrier::new(seed, up, down)?);
        let carries = Arc::clone(&carrier);
        let thread = thread::Builder::new().name("packet-link".to_owned()).spawn(move || {
            hurry();
            // A link whose device is gone moves nothing any more, which its ends notice as they do a cut.
            let _ = carries.run(&client.tun, &server.tun);
        })?;
        Ok(Self { carrier, thread: Some(thread), client: client.namespace, server: server.namespace })
    }

    /// The address of the client's end.
    pub fn client_ip(&self) -> Ipv4Addr {
        CLIENT
    }

    /// The address of the server's end.
    pub fn server_ip(&self) -> Ipv4Addr {
        SERVER
    }

    /// Where clients live.
    pub fn client(&self) -> Namespace {
        self.client.clone()
    }

    /// Where the server lives.
    pub fn server(&self) -> Namespace {
        self.server.clone()
    }

    /// Changes what the link does, to packets that come from now on; a new rate also to those that wait for it.
    pub fn set(&self, up: Path, down: Path) {
        self.carrier.set(up, down);
    }

    /// Lets all packets vanish, those under way too, until [`Self::heal`].
    pub fn partition(&self) {
        self.carrier.partition();
    }

    /// The end of a partition.
    pub fn heal(&self) {
        self.carrier.heal();
    }

    /// What became of the packets so far: up, down.
    pub fn counts(&self) -> [Counts; 2] {
        self.carrier.counts()
    }
}

impl Drop for PacketLink {
    fn drop(&mut self) {
        self.carrier.stop();
        if let Some(thread) = self.thread.take() {
            // Nothing to be done about a panic, which has been printed.
            let _ = thread.join();
        }
    }
}

/// Lets the calling thread run as soon as it is woken: a wire does not wait for a busy machine's processes. A wish, since
/// it takes CAP_SYS_NICE; without it packets are late by what others run.
fn hurry() {
    // The lowest of the real-time priorities comes before all that have none.
    let lowest = 1_i32;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    #[expect(unsafe_code, reason = "nix has no sched_setscheduler, and musl's does nothing")]
    // SAFETY: the call reads a `struct sched_param`, which is one int, and changes the calling thread only.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, std::ptr::from_ref(&lowest)) };
}
