//! One end of the link: a network namespace of its own with a TUN device, whose packets come to us instead of a wire.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::Ipv4Addr,
    os::{
        fd::{AsRawFd as _, OwnedFd, RawFd},
        unix::fs::OpenOptionsExt as _,
    },
    thread,
};

use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};

use super::namespace::Namespace;

const CONTROL: &str = "/dev/net/tun";
const NAMESPACE: &str = "/proc/thread-self/ns/net";
/// The kernel's default keeps what one connection has learned about the path for the next one, which would make the
/// next depend on it.
const METRICS: &str = "/proc/sys/net/ipv4/tcp_no_metrics_save";
const DEVICE: &str = "link0";
const LOOPBACK: &str = "lo";
/// Of Ethernet, and so of most paths.
const MTU: i32 = 1_500;
/// The two ends and nobody else.
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 252);
/// Packets that the device holds for us: more than a burst, so that it is the model that drops.
const DEVICE_QUEUE: i32 = 10_000;

/// A namespace and the descriptor of its device.
pub(super) struct End {
    pub(super) namespace: Namespace,
    pub(super) tun: OwnedFd,
}

/// A step that failed, and why.
#[derive(Debug)]
pub(super) struct Failure {
    /// What was tried, as in "failed to …".
    pub(super) step: &'static str,
    pub(super) cause: io::Error,
}

impl From<Failure> for io::Error {
    fn from(Failure { step, cause }: Failure) -> Self {
        Self::new(cause.kind(), format!("failed to {step}: {cause}"))
    }
}

/// Names the step that an error comes from.
trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, cause: error.into() })
    }
}

impl End {
    /// Makes a namespace whose device has this address. A thread of its own does it, since a thread lives in one
    /// namespace; the descriptors that it opens there stay there.
    pub(super) fn open(address: Ipv4Addr) -> Result<Self, Failure> {
        const STEP: &str = "start a thread";
        let thread = thread::Builder::new().name("link-end".to_owned()).spawn(move || make(address));
        thread.step(STEP)?.join().map_err(|_| io::Error::other("it panicked")).step(STEP)?
    }
}

fn make(address: Ipv4Addr) -> Result<End, Failure> {
    unshare(CloneFlags::CLONE_NEWNET).step("make a network namespace (unshare)")?;
    let namespace = File::open(NAMESPACE).step("open /proc/thread-self/ns/net")?;
    // A wish: /proc/sys may be read-only in a container.
    let _ = fs::write(METRICS, "1");
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).step("open a socket in the namespace")?;
    let interface = Interface { socket: &socket, name: LOOPBACK };
    interface.up().step("bring the namespace's loopback up")?;

    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let tun = options.open(CONTROL).step("open /dev/net/tun")?;
    // Without offloads, the kernel hands out packets as they would be on a wire: segmented, with their checksums.
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    control(tun.as_raw_fd(), libc::TUNSETIFF, &mut Request::new(DEVICE, &flags.to_ne_bytes()))
        .step("make a TUN device (TUNSETIFF)")?;
    let interface = Interface { socket: &socket, name: DEVICE };
    interface.address(address).step("give the TUN device its address")?;
    Ok(End { namespace: Namespace::new(namespace.into()), tun: tun.into() })
}

/// A network interface of the calling thread's namespace.
struct Interface<'a> {
    /// Any socket of that namespace: the requests of netdevice(7) go through one.
    socket: &'a Socket,
    name: &'static str,
}

impl Interface<'_> {
    fn address(&self, address: Ipv4Addr) -> io::Result<()> {
        self.request(libc::SIOCSIFADDR, &socket_address(address))?;
        self.request(libc::SIOCSIFNETMASK, &socket_address(NETMASK))?;
        self.request(libc::SIOCSIFMTU, &MTU.to_ne_bytes())?;
        // A wish: in a user namespace the kernel refuses it, and the device holds 500.
        let _ = self.request(libc::SIOCSIFTXQLEN, &DEVICE_QUEUE.to_ne_bytes());
        self.up()
    }

    fn up(&self) -> io::Result<()> {
        let flags = self.request(libc::SIOCGIFFLAGS, &[])?.value;
        let flags = i16::from_ne_bytes([flags[0], flags[1]]) | libc::IFF_UP as i16;
        self.request(libc::SIOCSIFFLAGS, &flags.to_ne_bytes())?;
        Ok(())
    }

    fn request(&self, request: libc::c_ulong, value: &[u8]) -> io::Result<Request> {
        let mut argument = Request::new(self.name, value);
        control(self.socket.as_raw_fd(), request as libc::Ioctl, &mut argument)?;
        Ok(argument)
    }
}

/// `struct sockaddr_in` (ip(7)): family, port, address.
fn socket_address(address: Ipv4Addr) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    bytes[4..].copy_from_slice(&address.octets());
    bytes
}

/// `struct ifreq` (netdevice(7)) as plain bytes: the name of an interface, and a union.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

// The kernel reads and writes a whole one.
const _: () = assert!(size_of::<Request>() >= size_of::<libc::ifreq>());

impl Request {
    fn new(name: &str, value: &[u8]) -> Self {
        let mut request = Self { name: [0; _], value: [0; _] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        request.value[..value.len()].copy_from_slice(value);
        request
    }
}

fn control(fd: RawFd, request: libc::Ioctl, argument: &mut Request) -> io::Result<()> {
    #[expect(unsafe_code, reason = "nix has no wrappers of TUNSETIFF and of the requests of netdevice(7)")]
    // SAFETY: all requests here take a `struct ifreq`, for which `argument` has room; it outlives the call.
    let result = unsafe { libc::ioctl(fd, request, std::ptr::from_mut(argument)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
