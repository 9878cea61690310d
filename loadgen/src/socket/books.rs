//! What closed connections add up to: bytes by layer, the kernel's word on them, and how their sockets were set.

use std::{collections::BTreeSet, io, net::Shutdown, os::fd::BorrowedFd};

use measurement::{
    ledger::{Direction, KernelCheck, Phase},
    result::{Kernel, Quic, Steady},
};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use super::flow::Sums;

/// The state of a socket that was reset, or closed by both sides (`linux/tcp_states.h`).
const TCP_CLOSE: u8 = 7;

/// What a closed connection adds to the trial's books.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Books {
    /// Server to client.
    pub received: Direction,
    /// Client to server.
    pub sent: Direction,
    /// The kernel's counts.
    pub kernel: Kernel,
    /// Connections held against the kernel.
    pub check: KernelCheck,
    /// Heads and framing without the digits that grow.
    pub steady: Steady,
    /// Messages that were scanned but not decoded, or the other way round.
    pub unclaimed: u64,
    /// Reads and writes of the measure phase that moved bytes.
    pub calls: u64,
    /// Segments of the measure phase, both ways, by the kernel.
    pub window_segments: u64,
    /// Sockets on which TCP_NODELAY was not in force at the end.
    pub without_nodelay: u64,
    /// Names of the congestion controls in force at the end.
    pub congestion_controls: BTreeSet<String>,
    /// Versions and cipher suites of TLS that were agreed on.
    pub tls_suites: BTreeSet<String>,
    /// Counts of QUIC connections, which have no TCP below.
    pub quic: Option<Quic>,
}

impl Books {
    /// The bytes of both directions.
    pub(crate) fn of(down: &Sums, up: &Sums) -> Self {
        let mut steady = down.steady;
        // What clients say is no push.
        steady.merge(&Steady { messages: Default::default(), ..up.steady });
        Self { received: down.bytes, sent: up.bytes, steady, calls: down.calls + up.calls, ..Self::default() }
    }

    /// Adds another connection's or worker's books.
    pub fn merge(&mut self, other: &Self) {
        self.received.merge(&other.received);
        self.sent.merge(&other.sent);
        self.kernel.received += other.kernel.received;
        self.kernel.sent += other.kernel.sent;
        self.kernel.segments_in += other.kernel.segments_in;
        self.kernel.segments_out += other.kernel.segments_out;
        self.kernel.retransmitted += other.kernel.retransmitted;
        self.check.merge(other.check);
        self.steady.merge(&other.steady);
        self.unclaimed += other.unclaimed;
        self.calls += other.calls;
        self.window_segments += other.window_segments;
        self.without_nodelay += other.without_nodelay;
        self.congestion_controls.extend(other.congestion_controls.iter().cloned());
        self.tls_suites.extend(other.tls_suites.iter().cloned());
        if let Some(other) = &other.quic {
            self.quic.get_or_insert_default().merge(other);
        }
    }
}

/// What the kernel is asked about a connection on its way, to hold the count against at its end.
#[derive(Debug)]
pub(crate) struct Witness {
    /// Bytes that we wrote, by the kernel, just before our FIN.
    written: Option<u64>,
    shut: bool,
    /// Segments in and out when the window and what follows it began for this connection.
    window: [Option<(u32, u32)>; 2],
}

impl Witness {
    /// Of a connection that is opened in that phase: the segments of its handshake belong there.
    pub(crate) fn new(began: Phase) -> Self {
        let mut witness = Self { written: None, shut: false, window: [None; 2] };
        if let Some(noted) = witness.noted(began) {
            *noted = Some((0, 0));
        }
        witness
    }

    fn noted(&mut self, phase: Phase) -> Option<&mut Option<(u32, u32)>> {
        match phase {
            Phase::Connect | Phase::WarmUp => None,
            Phase::Measure => Some(&mut self.window[0]),
            Phase::Drain => Some(&mut self.window[1]),
        }
    }

    /// Notes the kernel's segment counts the first time that a phase moves bytes.
    #[inline]
    pub(crate) fn enter(&mut self, phase: Phase, fd: BorrowedFd<'_>) {
        if let Some(noted @ None) = self.noted(phase)
            && let Ok(info) = wire::kernel::tcp_info(fd)
        {
            *noted = Some((info.segs_in, info.segs_out));
        }
    }

    /// Sends our FIN, once, after noting what the kernel holds without it.
    pub(crate) fn shut_down(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.shut, true) {
            return Ok(());
        }
        self.written = wire::kernel::tcp_info(fd).ok().map(|info| info.written());
        SockRef::from(&fd).shutdown(Shutdown::Write)
    }

    /// Compares the connection's count with the kernel's, and adds both and the socket's settings to the books.
    pub(crate) fn settle(&self, fd: BorrowedFd<'_>, (received, sent): (u64, u64), books: &mut Books) {
        books.congestion_controls.extend(wire::kernel::congestion_control(fd));
        // A socket that was reset no longer tells; it is not held against it.
        books.without_nodelay += u64::from(SockRef::from(&fd).tcp_nodelay().is_ok_and(|nodelay| !nodelay));
        let (Some((info, unread)), Some(written)) = (wire::kernel::at_one_instant(fd), self.written) else {
            return;
        };
        let ours = received + unread;
        // After a reset the state no longer tells whether a FIN came first.
        let reset = info.state == TCP_CLOSE && info.bytes_received == ours;
        let received = if reset { ours } else { info.received() };
        books.check.add(received == ours && written == sent);
        books.kernel.received += received;
        books.kernel.sent += info.bytes_sent - info.bytes_retrans;
        books.kernel.segments_in += u64::from(info.segs_in);
        books.kernel.segments_out += u64::from(info.segs_out);
        books.kernel.retransmitted += u64::from(info.total_retrans);
        books.window_segments += self.window_segments((info.segs_in, info.segs_out));
    }

    /// Segments of the measure phase, both ways, up to the first bytes of what follows or `at_end`.
    fn window_segments(&self, at_end: (u32, u32)) -> u64 {
        let [Some(from), to] = self.window else { return 0 };
        let to = to.unwrap_or(at_end);
        u64::from(to.0.wrapping_sub(from.0)) + u64::from(to.1.wrapping_sub(from.1))
    }
}
