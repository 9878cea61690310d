//! epoll, listening and periodic timers with nothing around them. It knows no protocol.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use socket2::{Domain, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
const MOST_EVENTS: usize = 1024;

/// A level-triggered epoll; tokens are the caller's.
pub(crate) struct Poll {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); MOST_EVENTS] })
    }

    pub(crate) fn add(&self, readable: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(readable, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// The tokens of all that is readable; none after `milliseconds`.
    pub(crate) fn wait(&mut self, milliseconds: Option<u16>) -> io::Result<impl Iterator<Item = u64> + '_> {
        let timeout = milliseconds.map_or(EpollTimeout::NONE, EpollTimeout::from);
        let found = match self.epoll.wait(&mut self.events, timeout) {
            Err(nix::Error::EINTR) => 0,
            other => other?,
        };
        Ok(self.events[..found].iter().map(EpollEvent::data))
    }
}

pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address(port).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connects, which loopback does at once, and makes the socket one that does not block.
///
/// Its close is a reset: ports that wait for a minute after each contestant would make the next one's connects slower.
pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect(&address(port).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A timer that is due first at `first_ns` (CLOCK_MONOTONIC), then every `period_ns`.
pub(crate) fn ticks(first_ns: u64, period_ns: u64) -> io::Result<TimerFd> {
    let spec = |ns: u64| TimeSpec::new((ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64);
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
    let times = Expiration::IntervalDelayed(spec(first_ns), spec(period_ns));
    timer.set(times, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
    Ok(timer)
}
