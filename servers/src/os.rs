//! What the operating system is asked for: cores, open files, timer slack, socket options.
//!
//! Elsewhere than on Linux, what it cannot give is left as it is; the statistics tell what is in force.

use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::{conditions::CONGESTION_CONTROL, stats::SocketStats};

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Bytes of a UDP socket's buffers, each way.
const UDP_BUFFER: usize = 4 << 20;
/// Idle time after which the kernel asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Pins the process to `cpus`. Threads made later inherit it, so call this first.
pub(crate) fn pin_to(cpus: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Raises the number of files this process may open to what the system allows, and returns it.
pub(crate) fn raise_file_limit() -> nix::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Lets timed sleeps of this thread end to the nanosecond; the default groups them within 50 µs.
pub(crate) fn finest_timer_slack() {
    #[cfg(target_os = "linux")]
    // Refused only where the call is filtered; sleeps are then coarser, which the publisher's lag shows.
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// Binds and listens.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    bound(Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?, address)
}

/// The same on a port that other processes of this user may share: the kernel deals connections out by a hash of
/// their addresses (socket(7), SO_REUSEPORT).
pub(crate) fn listen_shared(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    bound(socket, address)
}

fn bound(socket: Socket, address: SocketAddr) -> io::Result<std::net::TcpListener> {
    // A restart must not wait for the last run's connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Before anyone can connect.
    prepare(&socket);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds for UDP, with room for what comes while the server is busy: all its sessions share one socket.
pub(crate) fn bind_udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // A wish: the kernel caps it at `net.core.rmem_max`; the statistics tell what it gave.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Sets what every accepted socket gets and tells what is in force.
pub(crate) fn configure(stream: &impl AsFd, stall_timeout: Duration) -> SocketStats {
    prepare(stream);
    give_up_after(stream, stall_timeout);
    in_force(stream)
}

/// Covers both a peer that vanished and one that is there and reads nothing (tcp(7), TCP_USER_TIMEOUT).
pub(crate) fn give_up_after(socket: &impl AsFd, stall_timeout: Duration) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(stall_timeout));
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, stall_timeout);
}

/// Sets what every connection gets. On Linux accepted sockets inherit it from their listener.
fn prepare(socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    // Each is a wish: a refusal shows in the returned figures and does not cost the client its connection.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_congestion(CONGESTION_CONTROL.as_bytes());
}

/// Whether small writes leave at once.
pub(crate) fn has_nodelay(stream: &impl AsFd) -> bool {
    SockRef::from(stream).tcp_nodelay().unwrap_or(false)
}

/// The options in force.
fn in_force(stream: &impl AsFd) -> SocketStats {
    SocketStats {
        nodelay: has_nodelay(stream),
        congestion_control: wire::kernel::congestion_control(stream.as_fd()).ok(),
    }
}

/// Answers without an async task, as far as the socket's buffer takes it, and hangs up.
pub(crate) fn answer_and_close(socket: &impl AsFd, answer: &[u8]) {
    let socket = SockRef::from(socket);
    let _ = socket.send(answer);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    // Closing with unread bytes sends a reset, which could overtake the answer.
    let mut unread = [std::mem::MaybeUninit::uninit(); 2048];
    let _ = socket.recv(&mut unread);
}
