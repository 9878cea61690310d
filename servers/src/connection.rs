//! The one wrapper around every accepted socket: it counts what each call really moved.
//!
//! It sits below HTTP and all that comes after an upgrade, so no transport counts for itself. At its end it
//! asks the kernel for the same figures. It does not know what the bytes mean.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use wire::kernel;

use crate::{
    patience::Patience,
    registry::{Record, Registry, Verdict},
    stats::Mismatch,
};

/// Times that the kernel is asked again because bytes came in between two of its answers.
const MOST_ATTEMPTS: usize = 8;

/// The state of a socket that was reset, or closed by both sides (`linux/tcp_states.h`).
const TCP_CLOSE: u8 = 7;

/// An accepted socket with its counters.
pub(crate) struct Connection {
    socket: TcpStream,
    record: Arc<Record>,
    registry: Arc<Registry>,
    patience: Patience,
    verdict: Option<Verdict>,
}

impl Connection {
    /// Counts into `record`, which `registry` handed out for this socket.
    pub(crate) fn new(
        socket: TcpStream,
        record: Arc<Record>,
        registry: Arc<Registry>,
        limit: Duration,
    ) -> Self {
        Self { socket, record, registry, patience: Patience::new(limit), verdict: None }
    }

    /// Compares our counters with the kernel's, once: before our FIN, which the kernel would count too.
    fn compare_once(&mut self) {
        if self.verdict.is_none() {
            self.verdict = Some(compare(&self.socket, &self.record));
        }
    }

    /// What a read without bytes means: wait, or give up on a request head that takes too long.
    fn out_of_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(heads) = self.record.heads() else {
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
        let before = buffer.filled().len();
        let Poll::Ready(result) = Pin::new(&mut this.socket).poll_read(context, buffer) else {
            return this.out_of_patience(context);
        };
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            this.record.read(bytes);
            if let Some(heads) = this.record.heads() {
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
        let moved = ready!(Pin::new(&mut this.socket).poll_write_vectored(context, buffers))?;
        if moved > 0 {
            this.record.written(buffers, moved);
        }
        Poll::Ready(Ok(moved))
    }

    // Without this hyper would copy all buffers into one before it writes: the wrapper would change what it
    // measures.
    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.compare_once();
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.compare_once();
        self.registry.close(&self.record, self.verdict.take().unwrap_or(Verdict::Unknown));
    }
}

/// The identity over a connection's life so far: written = bytes_sent − bytes_retrans + notsent, and
/// read + unread = bytes_received less the peer's FIN.
fn compare(socket: &TcpStream, record: &Record) -> Verdict {
    let Some((info, unread)) = kernel_figures(socket) else { return Verdict::Unknown };
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

/// TCP_INFO and the number of unread bytes of one instant; `None` if the kernel does not tell.
fn kernel_figures(socket: &TcpStream) -> Option<(kernel::TcpInfo, u64)> {
    let socket = socket.as_fd();
    for _ in 0..MOST_ATTEMPTS {
        let before = kernel::tcp_info(socket).ok()?;
        let unread = kernel::unread(socket).ok()?;
        let after = kernel::tcp_info(socket).ok()?;
        if (before.bytes_received, before.state) == (after.bytes_received, after.state) {
            return Some((after, unread));
        }
    }
    None
}
