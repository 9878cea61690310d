//! The books of QUIC connections: the library counts, here is the sum over those that are open and those that ended.
//!
//! It knows no protocol above QUIC.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use ticker::clock;
use wtransport::quinn::Connection;

use crate::stats::QuicStats;

/// How long an ended connection may still receive: three probe timeouts (RFC 9000 section 10.2), far less than
/// this on any network.
const LINGER: Duration = Duration::from_secs(1);
/// Ended connections that are kept for that; beyond it the oldest is taken as it is.
const MOST_LINGERING: usize = 1_024;

/// All QUIC connections of a server.
pub(crate) struct Books {
    books: Mutex<Inner>,
    dropped: AtomicU64,
    receive_buffer_bytes: AtomicU64,
    most: usize,
}

#[derive(Default)]
struct Inner {
    /// Those that shake hands are `None`.
    open: HashMap<u64, Option<Connection>>,
    lingering: VecDeque<(u64, Connection)>,
    sums: QuicStats,
    newest: u64,
}

impl Books {
    /// Empty books of at most that many open connections.
    pub(crate) fn new(most: usize) -> Self {
        let (dropped, receive_buffer_bytes) = Default::default();
        Self { books: Mutex::default(), dropped, receive_buffer_bytes, most }
    }

    /// A place for a connection that asks for one; `None`, and counted, when there are too many.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut books = self.lock();
        if books.open.len() >= self.most {
            books.sums.refused += 1;
            return None;
        }
        books.newest += 1;
        let id = books.newest;
        books.open.insert(id, None);
        Some(Place { id, books: Arc::clone(self) })
    }

    /// A quote was not sent: the connection could not take another datagram.
    pub(crate) fn datagram_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// What the kernel keeps for us at most.
    pub(crate) fn receive_buffer(&self, bytes: usize) {
        self.receive_buffer_bytes.store(bytes as u64, Relaxed);
    }

    /// All figures as of now.
    pub(crate) fn stats(&self) -> QuicStats {
        let mut books = self.lock();
        books.settle();
        let mut stats = books.sums;
        for connection in books.open.values().flatten().chain(books.lingering.iter().map(|(_, ended)| ended))
        {
            add(&mut stats, connection);
        }
        stats.open = books.open.len() as u64;
        stats.datagrams_dropped = self.dropped.load(Relaxed);
        stats.receive_buffer_bytes = self.receive_buffer_bytes.load(Relaxed);
        stats
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.books.lock().expect("nothing panics while it holds the books")
    }
}

impl Inner {
    /// Moves connections to the sums to which nothing can come any more.
    fn settle(&mut self) {
        let Self { lingering, sums, .. } = self;
        let until_ns = clock::now_ns().saturating_sub(LINGER.as_nanos() as u64);
        while let Some((ended_ns, _)) = lingering.front() {
            if *ended_ns >= until_ns && lingering.len() <= MOST_LINGERING {
                return;
            }
            if let Some((_, connection)) = lingering.pop_front() {
                add(sums, &connection);
            }
        }
    }
}

fn add(stats: &mut QuicStats, connection: &Connection) {
    let counted = connection.stats();
    stats.received_bytes += counted.udp_rx.bytes;
    stats.sent_bytes += counted.udp_tx.bytes;
    stats.received_datagrams += counted.udp_rx.datagrams;
    stats.sent_datagrams += counted.udp_tx.datagrams;
    stats.sends += counted.udp_tx.ios;
    stats.lost_packets += counted.path.lost_packets;
    stats.lost_bytes += counted.path.lost_bytes;
    stats.lost_probes += counted.path.lost_plpmtud_probes;
}

/// A connection's place in the books, from its first datagram to its end.
pub(crate) struct Place {
    id: u64,
    books: Arc<Books>,
}

impl Place {
    /// The session stands. The handle that is kept does not keep the connection open: its owner closes it.
    pub(crate) fn opened(&self, connection: &Connection) {
        let mut books = self.books.lock();
        books.sums.accepted += 1;
        books.open.insert(self.id, Some(connection.clone()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut books = self.books.lock();
        if let Some(Some(connection)) = books.open.remove(&self.id) {
            // Only what was closed drains; without this a session that was aborted would stay open.
            connection.close(0_u32.into(), b"");
            books.lingering.push_back((clock::now_ns(), connection));
        }
        books.settle();
    }
}
