//! The one wrapper around every accepted socket: it counts what each call really moved.
//!
//! It sits below HTTP and all that comes after an upgrade, so no transport counts for itself. At its end it
//! asks the kernel for the same figures. It does not know what the bytes mean.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use wire::kernel;

use crate::{
    fault::Pauses,
    patience::Patience,
    registry::{Record, Registry, Verdict},
    stats::Mismatch,
    tasks::Tasks,
};

/// How long a peer may go on talking after our end.
pub(crate) const LONGEST_LINGER: Duration = Duration::from_secs(1);

/// States after the peer's FIN: TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING (`linux/tcp_states.h`).
const PEER_ENDED: [u8; 5] = [6, 7, 8, 9, 11];

/// The state of a socket that was reset, or closed by both sides (`linux/tcp_states.h`).
const TCP_CLOSE: u8 = 7;

/// An accepted socket with its counters.
pub(crate) struct Connection {
    /// Taken when the connection is dropped.
    account: Option<Account>,
    patience: Patience,
    tasks: Tasks,
    /// Where a planted fault makes some sends late.
    pauses: Option<Pauses>,
    /// What was read of it before, and counted.
    begun: Bytes,
}

/// A socket, its counters, and what the kernel says of them; it is closed when the account is.
struct Account {
    socket: TcpStream,
    record: Arc<Record>,
    registry: Arc<Registry>,
    verdict: Option<Verdict>,
}

impl Account {
    /// Compares our counters with the kernel's, once: before our FIN, which the kernel would count too.
    fn compare_once(&mut self) {
        if self.verdict.is_none() {
            self.verdict = Some(compare(&self.socket, &self.record));
        }
    }

    /// Says that nothing more will be sent, and reads what the peer still says: closing with bytes unread would
    /// reset the connection, and a reset can overtake our last bytes (RFC 9112 section 9.6).
    async fn linger(mut self) {
        self.compare_once();
        if self.socket.shutdown().await.is_err() {
            return;
        }
        let mut rest = [0; 512];
        let reading = async {
            while let Ok(read @ 1..) = self.socket.read(&mut rest).await {
                self.record.read(&rest[..read]);
            }
        };
        let _ = timeout(LONGEST_LINGER, reading).await;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.compare_once();
        self.registry.close(&self.record, self.verdict.take().unwrap_or(Verdict::Unknown));
    }
}

impl Connection {
    /// Counts into `record`, which `registry` handed out for this socket. What is left to do when it is dropped
    /// becomes one of `tasks`.
    pub(crate) fn new(
        socket: TcpStream,
        record: Arc<Record>,
        registry: Arc<Registry>,
        limit: Duration,
        tasks: Tasks,
    ) -> Self {
        let account = Some(Account { socket, record, registry, verdict: None });
        Self { account, patience: Patience::new(limit), tasks, pauses: None, begun: Bytes::new() }
    }

    /// The same after somebody else has read `begun` of it and counted that.
    pub(crate) fn with_begun(mut self, begun: Bytes) -> Self {
        self.begun = begun;
        self
    }

    /// The same with the sends of a planted fault.
    pub(crate) fn with_pauses(mut self, pauses: Option<Pauses>) -> Self {
        self.pauses = pauses;
        self
    }

    fn account(&mut self) -> &mut Account {
        self.account.as_mut().expect("it is taken by drop only")
    }

    /// What a read without bytes means: wait, or give up on a request head that takes too long.
    fn out_of_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(heads) = self.account().record.heads() else {
            self.patience.end();
            return Poll::Pending;
        };
        ready!(self.patience.poll_exhausted(heads, context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request head took too long")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.begun.is_empty() {
            let taken = this.begun.len().min(buffer.remaining());
            buffer.put_slice(&this.begun.split_to(taken));
            if let Some(heads) = this.account().record.heads() {
                this.patience.bytes_came(heads);
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let Poll::Ready(result) = Pin::new(&mut this.account().socket).poll_read(context, buffer) else {
            return this.out_of_patience(context);
        };
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            let record = &this.account().record;
            record.read(bytes);
            if let Some(heads) = record.heads() {
                this.patience.bytes_came(heads);
            }
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(pauses) = &mut this.pauses {
            ready!(pauses.poll_free(context));
        }
        let account = this.account();
        let Poll::Ready(moved) = Pin::new(&mut account.socket).poll_write_vectored(context, buffers) else {
            account.record.stalled();
            return Poll::Pending;
        };
        let moved = moved?;
        if moved > 0 {
            account.record.written(buffers, moved);
        }
        if let Some(pauses) = &mut this.pauses {
            pauses.sent();
        }
        Poll::Ready(Ok(moved))
    }

    // Without this hyper would copy all buffers into one before it writes: the wrapper would change what it
    // measures.
    fn is_write_vectored(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().account().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let account = self.get_mut().account();
        account.compare_once();
        Pin::new(&mut account.socket).poll_shutdown(context)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(account) = self.account.take() else { return };
        let ended = peer_has_ended(&account.socket);
        // A server that stops has its own limit to waiting.
        if !ended && !self.tasks.are_stopping() {
            self.tasks.spawn(account.linger());
        }
    }
}

/// Whether the peer has closed, too, and has nothing left to say.
pub(crate) fn peer_has_ended(socket: &impl AsFd) -> bool {
    kernel::tcp_info(socket.as_fd()).is_ok_and(|info| PEER_ENDED.contains(&info.state))
        && kernel::unread(socket.as_fd()).is_ok_and(|unread| unread == 0)
}

/// The identity over a connection's life so far: written = bytes_sent − bytes_retrans + notsent, and
/// read + unread = bytes_received less the peer's FIN.
pub(crate) fn compare(socket: &impl AsFd, record: &Record) -> Verdict {
    let Some((info, unread)) = kernel::at_one_instant(socket.as_fd()) else { return Verdict::Unknown };
    record.retransmitted(info.total_retrans);
    let (written, read) = record.totals();
    let read_and_unread = read + unread;
    // After a reset the state no longer tells whether a FIN came first.
    let perhaps_fin = info.state == TCP_CLOSE && read_and_unread == info.bytes_received;
    let kernel_read = if perhaps_fin { info.bytes_received } else { info.received() };
    let kernel_written = info.written();
    if (written, read_and_unread) == (kernel_written, kernel_read) {
        return Verdict::Equal;
    }
    Verdict::Different(Mismatch { written, kernel_written, read_and_unread, kernel_read, state: info.state })
}
