//! A client's TCP socket: every byte is counted as it moves, assigned to a layer and held against the kernel at the end.
//!
//! It knows no transport. Protocol libraries get a [`Wire`], a handle that reads and writes the shared
//! [`Socket`]; the client keeps the socket itself, so that it can close it in order when the library is done.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    os::fd::{AsFd as _, BorrowedFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use measurement::ledger::Phase;
use ticker::clock;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use wire::{Bodies, Connection};

use crate::{endpoint::Endpoint, plan::Http, stream::Stream, timeline::Timeline};

mod books;
pub(crate) mod flow;
mod side;
mod slow;

pub use books::Books;
pub(crate) use books::Witness;
pub use flow::Unit;
use side::Side;
use slow::{PIECE, SLOW_BUFFER, Slowness};

/// How long a closing connection may wait for the other end's last bytes.
const CLOSING_TIME: Duration = Duration::from_secs(3);

/// What is known of a connection's bytes.
#[derive(Debug)]
struct Tap {
    scanner: Connection,
    /// The scanner could not follow; from then on bytes are in no layer and the ledger cannot balance.
    lost: bool,
    down: Side,
    up: Side,
    witness: Witness,
}

/// A connected socket with its count.
#[derive(Debug)]
pub struct Socket {
    stream: RefCell<Stream>,
    tap: RefCell<Tap>,
    /// Where it reads slowly on purpose.
    slow: Option<RefCell<Slowness>>,
    timeline: Rc<Timeline>,
}

impl Socket {
    /// Connects and shakes hands, to speak that version of HTTP; what its bodies are, heads of HTTP/2 do not tell.
    pub async fn connect(
        endpoint: &Endpoint,
        timeline: Rc<Timeline>,
        (http, slow): (Http, Option<u32>),
        bodies: Bodies,
    ) -> io::Result<Rc<Self>> {
        let began = timeline.phase(clock::now_ns());
        let stream = endpoint.connect(http).await?;
        if slow.is_some() {
            // The kernel must not read for it.
            socket2::SockRef::from(stream.tcp()).set_recv_buffer_size(SLOW_BUFFER)?;
        }
        let tap = Tap {
            scanner: match http {
                Http::H1 => Connection::http1(),
                Http::H2 | Http::H3 => Connection::http2(bodies),
            },
            lost: false,
            down: Side::new(),
            up: Side::new(),
            witness: Witness::new(began),
        };
        let socket = Rc::new(Self {
            stream: RefCell::new(stream),
            tap: RefCell::new(tap),
            slow: slow.map(|rate| RefCell::new(Slowness::new(rate))),
            timeline,
        });
        socket.account_below(0, 0);
        Ok(socket)
    }

    /// Under TLS: counts what moved below while `up` bytes were written and `down` bytes read above.
    fn account_below(&self, up: usize, down: usize) {
        let Some((read, written)) = self.stream.borrow_mut().take_below() else { return };
        let at_ns = clock::now_ns();
        let phase = self.timeline.phase(at_ns);
        let tap = &mut *self.tap.borrow_mut();
        self.with_fd(|fd| tap.witness.enter(phase, fd));
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
        let layers = tap.down.sums.bytes.phase_mut(unit.phase);
        let payload_bytes = payload_bytes.min(layers.app_framing);
        layers.app_framing -= payload_bytes;
        layers.payload += payload_bytes;
    }

    /// The oldest sent message that was not claimed yet is framing: nothing that clients say is an update.
    pub fn claim_sent(&self) -> Option<Unit> {
        self.tap.borrow_mut().up.claim(0)
    }

    /// The oldest sent message that was not claimed yet is an update of `payload_bytes` among the `message_bytes` that it says:
    /// where it is compressed, of what it is on the wire the same share.
    pub fn claim_published(&self, payload_bytes: u64, message_bytes: u64) -> Option<Unit> {
        let up = &mut self.tap.borrow_mut().up;
        let body_bytes = up.units.front()?.body_bytes;
        let share = payload_bytes as f64 / message_bytes.max(1) as f64;
        up.claim((body_bytes as f64 * share).round() as u64)
    }

    /// The oldest sent message that was not claimed yet has so much payload; compressed it may be shorter than what it says.
    pub fn claim_sent_payload(&self, payload_bytes: u64) -> Option<Unit> {
        let up = &mut self.tap.borrow_mut().up;
        let body_bytes = up.units.front()?.body_bytes;
        up.claim(payload_bytes.min(body_bytes))
    }

    /// The instant of the last read.
    pub fn last_read_ns(&self) -> u64 {
        self.tap.borrow().down.flow.stamp_ns
    }

    /// The instant of the last write.
    pub fn last_write_ns(&self) -> u64 {
        self.tap.borrow().up.flow.stamp_ns
    }

    /// Whether messages were received that were not claimed yet.
    pub(crate) fn has_unclaimed(&self) -> bool {
        !self.tap.borrow().down.units.is_empty()
    }

    /// Half-closes, reads to the other end's FIN, and compares with the kernel over the connection's life.
    pub async fn finish(self: Rc<Self>) -> Books {
        self.end().await;
        self.settle()
    }

    /// Half-closes and reads to the other end's FIN.
    pub(crate) async fn end(self: &Rc<Self>) {
        let mut wire = self.wire();
        let _ = tokio::time::timeout(CLOSING_TIME, wire.shutdown()).await;
        let mut rest = [0; 4096];
        let drained = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
        // A peer that keeps the connection open does not keep us; the kernel's check then judges by state.
        let _ = tokio::time::timeout(CLOSING_TIME, drained).await;
    }

    /// The connection's count, compared with the kernel's over its life. Messages that are claimed later are nobody's.
    pub(crate) fn settle(&self) -> Books {
        self.account_below(0, 0);
        let tap = &mut *self.tap.borrow_mut();
        tap.scanner.settle(&mut tap.up, &mut tap.down);
        let mut unclaimed = 0;
        for side in [&mut tap.down, &mut tap.up] {
            side.flow.cut_off(&mut side.sums);
            while let Some(unit) = side.claim(0) {
                // A stream that is given up leaves messages of the drain unread; earlier ones must all be decoded.
                unclaimed += u64::from(unit.phase < Phase::Drain);
            }
        }
        tap.down.unseal();
        tap.up.unseal();
        let mut books = Books {
            unclaimed,
            tls_suites: self.stream.borrow().suite().into_iter().collect(),
            ..Books::of(&tap.down.sums, &tap.up.sums)
        };
        // The kernel sees what is below TLS.
        let below = (books.received.socket_total(), books.sent.socket_total());
        self.with_fd(|fd| tap.witness.settle(fd, below, &mut books));
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
        self.0.with_fd(|fd| tap.witness.enter(phase, fd));
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
        self.0.with_fd(|fd| tap.witness.enter(phase, fd));
        tap.up.moved(bytes, at_ns, phase);
        for piece in pieces {
            let taken = piece.len().min(bytes);
            tap.lost = tap.lost || tap.scanner.up(&piece[..taken], &mut tap.up).is_err();
            bytes -= taken;
        }
    }

    /// Sends our FIN, once, after noting what the kernel holds without it.
    fn shut_down(&mut self) -> io::Result<()> {
        let witness = &mut self.0.tap.borrow_mut().witness;
        self.0.with_fd(|fd| witness.shut_down(fd))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(slow) = &self.0.slow {
            let may_hurry = || self.0.timeline.phase(clock::now_ns()) == Phase::Drain;
            ready!(slow.borrow_mut().poll_turn(cx, &self.0.stream.borrow(), may_hurry));
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece[..PIECE.min(buf.remaining())]);
            ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, &mut piece))?;
            let read = piece.filled();
            slow.borrow_mut().read(read.len());
            buf.put_slice(read);
            if read.is_empty() {
                self.ended();
            } else {
                self.received(read);
            }
            self.0.account_below(0, read.len());
            return Poll::Ready(Ok(()));
        }
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
