//! A client's TCP socket: every byte is counted as it moves, assigned to a layer and held against the kernel at the end.
//!
//! It knows no transport. Protocol libraries get a [`Wire`], a handle that reads and writes the shared
//! [`Socket`]; the client keeps the socket itself, so that it can close it in order when the library is done.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io::{self, IoSlice},
    net::Shutdown,
    os::fd::{AsFd as _, BorrowedFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use measurement::{
    ledger::{Direction, KernelCheck, Phase},
    result::{Kernel, Quic, Steady},
};
use serde::{Deserialize, Serialize};
use ticker::clock;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use wire::{Bodies, Connection, kernel::TcpInfo};

use crate::{endpoint::Endpoint, plan::Http, stream::Stream, timeline::Timeline};

mod flow;

use flow::Flow;
pub use flow::Unit;

/// How long a closing connection may wait for the other end's last bytes.
const CLOSING_TIME: Duration = Duration::from_secs(3);

/// The state of a socket that was reset, or closed by both sides (`linux/tcp_states.h`).
const TCP_CLOSE: u8 = 7;

/// What is known of a connection's bytes.
#[derive(Debug)]
struct Tap {
    scanner: Connection,
    /// The scanner could not follow; from then on bytes are in no layer and the ledger cannot balance.
    lost: bool,
    down: Flow,
    up: Flow,
    /// The kernel's view just before our FIN.
    before_fin: Option<TcpInfo>,
    shut: bool,
    /// Segments in and out when each phase began for this connection.
    segments: [Option<(u64, u64)>; 4],
}

impl Tap {
    /// Notes the kernel's segment counts the first time that a phase moves bytes.
    fn enter(&mut self, phase: Phase, fd: BorrowedFd<'_>) {
        let noted = &mut self.segments[phase as usize];
        if noted.is_none()
            && let Ok(info) = wire::kernel::tcp_info(fd)
        {
            *noted = Some((u64::from(info.segs_in), u64::from(info.segs_out)));
        }
    }

    /// Segments of the measure phase, both ways, up to the first bytes of what follows or `at_end`.
    fn window_segments(&self, at_end: (u64, u64)) -> u64 {
        let Some(from) = self.segments[Phase::Measure as usize] else { return 0 };
        let to = self.segments[Phase::Drain as usize].unwrap_or(at_end);
        (to.0 - from.0) + (to.1 - from.1)
    }
}

/// A connected socket with its count.
#[derive(Debug)]
pub struct Socket {
    stream: RefCell<Stream>,
    tap: RefCell<Tap>,
    timeline: Rc<Timeline>,
}

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

impl Socket {
    /// Connects and shakes hands, to speak that version of HTTP; what its bodies are, heads of HTTP/2 do not tell.
    pub async fn connect(
        endpoint: &Endpoint,
        timeline: Rc<Timeline>,
        http: Http,
        bodies: Bodies,
    ) -> io::Result<Rc<Self>> {
        let began = timeline.phase(clock::now_ns());
        let stream = endpoint.connect(http).await?;
        let mut segments = [None; 4];
        // The segments of its handshake belong to the phase in which it was opened.
        segments[began as usize] = Some((0, 0));
        let tap = Tap {
            scanner: match http {
                Http::H1 => Connection::http1(),
                Http::H2 | Http::H3 => Connection::http2(bodies),
            },
            lost: false,
            down: Flow::new(),
            up: Flow::new(),
            before_fin: None,
            shut: false,
            segments,
        };
        let socket = Rc::new(Self { stream: RefCell::new(stream), tap: RefCell::new(tap), timeline });
        socket.account_below(0, 0);
        Ok(socket)
    }

    /// Under TLS: counts what moved below while `up` bytes were written and `down` bytes read above.
    fn account_below(&self, up: usize, down: usize) {
        let Some((read, written)) = self.stream.borrow_mut().take_below() else { return };
        let at_ns = clock::now_ns();
        let phase = self.timeline.phase(at_ns);
        let tap = &mut *self.tap.borrow_mut();
        self.with_fd(|fd| tap.enter(phase, fd));
        tap.up.sealed(written, up, at_ns, phase);
        tap.down.sealed(read, down, at_ns, phase);
    }

    /// A handle for a protocol library.
    pub fn wire(self: &Rc<Self>) -> Wire {
        Wire(Rc::clone(self))
    }

    /// The oldest received message that was not claimed yet; `payload_bytes` of it are payload.
    pub fn claim(&self, payload_bytes: u64) -> Option<Unit> {
        self.tap.borrow_mut().down.claim(payload_bytes)
    }

    /// The same for a compressed message: `payload_bytes` of the `decoded_bytes` that it says are payload, and of
    /// what it is on the wire the same share.
    pub fn claim_share(&self, payload_bytes: u64, decoded_bytes: u64) -> Option<Unit> {
        let down = &mut self.tap.borrow_mut().down;
        let body_bytes = down.units.front()?.body_bytes;
        let share = payload_bytes as f64 / decoded_bytes.max(1) as f64;
        down.claim((body_bytes as f64 * share).round() as u64)
    }

    /// `payload_bytes` of a message that was claimed as framing are payload: one of several updates in it.
    pub fn claim_part(&self, unit: &Unit, payload_bytes: u64) {
        let tap = &mut *self.tap.borrow_mut();
        let layers = tap.down.bytes.phase_mut(unit.phase);
        let payload_bytes = payload_bytes.min(layers.app_framing);
        layers.app_framing -= payload_bytes;
        layers.payload += payload_bytes;
    }

    /// The oldest sent message that was not claimed yet is framing: nothing that clients say is an update.
    pub fn claim_sent(&self) -> Option<Unit> {
        self.tap.borrow_mut().up.claim(0)
    }

    /// The instant of the last read.
    pub fn last_read_ns(&self) -> u64 {
        self.tap.borrow().down.stamp_ns
    }

    /// The instant of the last write.
    pub fn last_write_ns(&self) -> u64 {
        self.tap.borrow().up.stamp_ns
    }

    /// Half-closes, reads to the other end's FIN, and compares with the kernel over the connection's life.
    pub async fn finish(self: Rc<Self>) -> Books {
        let mut wire = self.wire();
        let _ = tokio::time::timeout(CLOSING_TIME, wire.shutdown()).await;
        let mut rest = [0; 4096];
        let drained = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
        // A peer that keeps the connection open does not keep us; the kernel's check then judges by state.
        let _ = tokio::time::timeout(CLOSING_TIME, drained).await;
        self.settle()
    }

    fn settle(&self) -> Books {
        self.account_below(0, 0);
        let tap = &mut *self.tap.borrow_mut();
        tap.scanner.settle(&mut tap.up, &mut tap.down);
        let mut unclaimed = 0;
        for flow in [&mut tap.down, &mut tap.up] {
            // A message that was cut off by the close is nobody's payload.
            flow.bytes.phase_mut(flow.phase).app_framing += flow.open_body;
            while let Some(unit) = flow.claim(0) {
                // A stream that is given up leaves messages of the drain unread; earlier ones must all be decoded.
                unclaimed += u64::from(unit.phase < Phase::Drain);
            }
        }
        tap.down.unseal();
        tap.up.unseal();
        let mut steady = tap.down.steady;
        // What clients say is no push.
        steady.merge(&Steady { messages: Default::default(), ..tap.up.steady });
        let mut books = Books {
            received: tap.down.bytes,
            sent: tap.up.bytes,
            steady,
            unclaimed,
            calls: tap.down.calls + tap.up.calls,
            congestion_controls: self.with_fd(wire::kernel::congestion_control).into_iter().collect(),
            tls_suites: self.stream.borrow().suite().into_iter().collect(),
            // A socket that was reset no longer tells; it is not held against it.
            without_nodelay: u64::from(self.stream.borrow().tcp().nodelay().is_ok_and(|nodelay| !nodelay)),
            ..Books::default()
        };
        let info = self.with_fd(wire::kernel::at_one_instant);
        if let (Some((info, unread)), Some(before_fin)) = (info, tap.before_fin) {
            let ours = tap.down.bytes.socket_total() + unread;
            // After a reset the state no longer tells whether a FIN came first.
            let reset = info.state == TCP_CLOSE && info.bytes_received == ours;
            let received = if reset { ours } else { info.received() };
            books.check.add(received == ours && before_fin.written() == tap.up.bytes.socket_total());
            books.kernel = Kernel {
                received,
                sent: info.bytes_sent - info.bytes_retrans,
                segments_in: u64::from(info.segs_in),
                segments_out: u64::from(info.segs_out),
                retransmitted: u64::from(info.total_retrans),
            };
            books.window_segments = tap.window_segments((u64::from(info.segs_in), u64::from(info.segs_out)));
        }
        books
    }

    fn with_fd<T>(&self, ask: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        ask(self.stream.borrow().as_fd())
    }
}

/// The handle that protocol libraries read from and write to.
#[derive(Debug)]
pub struct Wire(Rc<Socket>);

impl Wire {
    fn received(&self, bytes: &[u8]) {
        let at_ns = clock::now_ns();
        let phase = self.0.timeline.phase(at_ns);
        self.0.timeline.moved(at_ns, bytes.len() as u64, 0);
        let tap = &mut *self.0.tap.borrow_mut();
        self.0.with_fd(|fd| tap.enter(phase, fd));
        tap.down.moved(bytes.len(), at_ns, phase);
        tap.lost = tap.lost || tap.scanner.down(bytes, &mut tap.down).is_err();
    }

    /// The peer will send no more: a body that lasts until then is whole.
    fn ended(&self) {
        let tap = &mut *self.0.tap.borrow_mut();
        tap.scanner.settle(&mut tap.up, &mut tap.down);
    }

    fn sent(&self, mut bytes: usize, pieces: &[IoSlice<'_>]) {
        let at_ns = clock::now_ns();
        let phase = self.0.timeline.phase(at_ns);
        self.0.timeline.moved(at_ns, 0, bytes as u64);
        let tap = &mut *self.0.tap.borrow_mut();
        self.0.with_fd(|fd| tap.enter(phase, fd));
        tap.up.moved(bytes, at_ns, phase);
        for piece in pieces {
            let taken = piece.len().min(bytes);
            tap.lost = tap.lost || tap.scanner.up(&piece[..taken], &mut tap.up).is_err();
            bytes -= taken;
        }
    }

    /// Sends our FIN, once, after noting what the kernel holds without it.
    fn shut_down(&mut self) -> io::Result<()> {
        let mut tap = self.0.tap.borrow_mut();
        if tap.shut {
            return Ok(());
        }
        tap.shut = true;
        tap.before_fin = self.0.with_fd(|fd| wire::kernel::tcp_info(fd).ok());
        socket2::SockRef::from(&*self.0.stream.borrow()).shutdown(Shutdown::Write)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let result = Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.received(&buf.filled()[before..]);
        } else if room && matches!(result, Poll::Ready(Ok(()))) {
            self.ended();
        }
        self.0.account_below(0, read);
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = result {
            self.sent(written, &[IoSlice::new(bytes)]);
            self.0.account_below(written, 0);
        }
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.0.stream.borrow_mut()).poll_write_vectored(cx, pieces);
        if let Poll::Ready(Ok(written)) = result {
            self.sent(written, pieces);
            self.0.account_below(written, 0);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.0.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx);
        self.0.account_below(0, 0);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let notified = ready!(self.0.stream.borrow_mut().poll_notify(cx));
        self.0.account_below(0, 0);
        // A TLS that cannot say goodbye is still closed below.
        Poll::Ready(self.shut_down().and(notified))
    }
}

#[cfg(test)]
mod tests;
