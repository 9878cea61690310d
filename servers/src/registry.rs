//! The books of connections: one record each while it is open, sums of those that ended.
//!
//! A record is written by its connection alone, without a lock; the sums are taken when someone asks.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
};

use crate::stats::{ByteStats, ConnectionStats, IdentityStats, Layers, Mismatch, SocketStats, Stats};

/// Mismatches whose figures are kept.
const MOST_EXAMPLES: usize = 5;
/// The value of [`Record::heads`] once no more requests are expected.
const UPGRADED: u64 = u64::MAX;

/// What a connection is for, by what it asked. The higher wins and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Nothing yet.
    Unknown,
    /// Quotes, or anything that is no control endpoint.
    Data,
    /// A control endpoint: left out of the totals, or measuring would measure itself.
    Control,
}

/// One connection's counters.
pub(crate) struct Record {
    id: u64,
    class: AtomicU8,
    heads: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    read_calls: AtomicU64,
    write_calls: AtomicU64,
    write_stalls: AtomicU64,
    retransmitted: AtomicU64,
    // Rarely there, and large.
    scanner: Option<Box<Mutex<Scanner>>>,
}

struct Scanner {
    http: wire::Http1,
    layers: Layers,
}

impl Record {
    fn new(id: u64, scan: bool) -> Self {
        let scanner =
            || Box::new(Mutex::new(Scanner { http: wire::Http1::new(), layers: Layers::default() }));
        Self {
            id,
            class: AtomicU8::new(Class::Unknown as u8),
            heads: AtomicU64::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            read_calls: AtomicU64::new(0),
            write_calls: AtomicU64::new(0),
            write_stalls: AtomicU64::new(0),
            retransmitted: AtomicU64::new(0),
            scanner: scan.then(scanner),
        }
    }

    /// A request head was understood.
    pub(crate) fn request(&self, class: Class) {
        self.class.fetch_max(class as u8, Relaxed);
        self.heads.fetch_add(1, Relaxed);
    }

    /// The connection speaks another protocol from here on.
    pub(crate) fn upgraded(&self) {
        self.heads.store(UPGRADED, Relaxed);
    }

    /// Request heads understood so far; `None` once there will be no more.
    pub(crate) fn heads(&self) -> Option<u64> {
        Some(self.heads.load(Relaxed)).filter(|&heads| heads != UPGRADED)
    }

    /// `bytes` came from the client in one call.
    pub(crate) fn read(&self, bytes: &[u8]) {
        add(&self.read, bytes.len() as u64);
        add(&self.read_calls, 1);
        self.scan(|scanner| scanner.http.up(bytes, &mut scanner.layers.up).is_ok());
    }

    /// The first `moved` bytes of `buffers` went to the client in one call.
    pub(crate) fn written(&self, buffers: &[std::io::IoSlice<'_>], moved: usize) {
        add(&self.written, moved as u64);
        add(&self.write_calls, 1);
        self.scan(|scanner| {
            let mut left = moved;
            buffers.iter().all(|buffer| {
                let (taken, _) = buffer.split_at(left.min(buffer.len()));
                left -= taken.len();
                scanner.http.down(taken, &mut scanner.layers.down).is_ok()
            })
        });
    }

    /// A write found the socket's buffer full.
    pub(crate) fn stalled(&self) {
        add(&self.write_stalls, 1);
    }

    fn scan(&self, step: impl FnOnce(&mut Scanner) -> bool) {
        let Some(scanner) = &self.scanner else { return };
        let mut scanner = lock(scanner);
        if scanner.layers.unreadable == 0 && !step(&mut scanner) {
            scanner.layers.unreadable = 1;
        }
    }

    /// Nothing more will come: what the scanner held back finds its layer.
    fn settle(&self) {
        self.scan(|scanner| {
            scanner.http.settle(&mut scanner.layers.up, &mut scanner.layers.down);
            true
        });
    }

    /// The kernel sent that many segments again.
    pub(crate) fn retransmitted(&self, segments: u32) {
        self.retransmitted.store(u64::from(segments), Relaxed);
    }

    /// Bytes written and bytes read.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.written.load(Relaxed), self.read.load(Relaxed))
    }

    fn class(&self) -> Class {
        match self.class.load(Relaxed) {
            0 => Class::Unknown,
            1 => Class::Data,
            _ => Class::Control,
        }
    }
}

/// How a connection's counters compare with the kernel's.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    Equal,
    Different(Mismatch),
    Unknown,
}

/// All connections of a server.
pub(crate) struct Registry {
    books: Mutex<Books>,
    max_connections: usize,
    scan: bool,
}

#[derive(Default)]
struct Books {
    open: HashMap<u64, Arc<Record>>,
    connections: ConnectionStats,
    dropped_by_listener: u64,
    ended: Sums,
    identity: IdentityStats,
    socket: Option<SocketStats>,
}

#[derive(Default)]
struct Sums {
    bytes: ByteStats,
    layers: Layers,
}

impl Sums {
    fn add(&mut self, record: &Record) {
        self.bytes.read += record.read.load(Relaxed);
        self.bytes.written += record.written.load(Relaxed);
        self.bytes.read_calls += record.read_calls.load(Relaxed);
        self.bytes.write_calls += record.write_calls.load(Relaxed);
        self.bytes.write_stalls += record.write_stalls.load(Relaxed);
        if let Some(scanner) = &record.scanner {
            self.layers.add(&lock(scanner).layers);
        }
    }
}

impl Registry {
    /// Empty books.
    pub(crate) fn new(max_connections: usize, scan: bool) -> Self {
        Self { books: Mutex::default(), max_connections, scan }
    }

    /// A record for a connection that was just accepted; `None`, and counted, when there are too many.
    pub(crate) fn admit(&self) -> Option<Arc<Record>> {
        let mut books = lock(&self.books);
        if books.open.len() >= self.max_connections {
            books.connections.refused += 1;
            return None;
        }
        books.connections.accepted += 1;
        let record = Arc::new(Record::new(books.connections.accepted, self.scan));
        books.open.insert(record.id, Arc::clone(&record));
        books.connections.peak = books.connections.peak.max(books.open.len() as u64);
        Some(record)
    }

    /// The socket options that a new connection got.
    pub(crate) fn configured(&self, socket: SocketStats) {
        let mut books = lock(&self.books);
        let always = books.socket.as_ref().is_none_or(|before| before.nodelay);
        books.socket = Some(SocketStats { nodelay: always && socket.nodelay, ..socket });
    }

    /// The listener's count of what it dropped, of which no more found its queue full than the namespace has counted: a network
    /// that loses packets makes clients say `SYN` again, and a listener drops that too.
    pub(crate) fn dropped(&self, by_listener: u64) {
        let mut books = lock(&self.books);
        // After each accept this is called, and hardly ever is there anything new to ask the system about.
        if books.dropped_by_listener != by_listener {
            books.dropped_by_listener = by_listener;
            books.connections.dropped = by_listener.min(wire::kernel::listen_drops().unwrap_or(u64::MAX));
        }
    }

    /// Accept failed.
    pub(crate) fn accept_failed(&self) {
        lock(&self.books).connections.accept_errors += 1;
    }

    /// Moves an ended connection's figures to the sums.
    pub(crate) fn close(&self, record: &Record, verdict: Verdict) {
        let mut books = lock(&self.books);
        books.open.remove(&record.id);
        record.settle();
        if record.class() == Class::Control {
            return;
        }
        books.ended.add(record);
        books.identity.note(verdict);
        books.identity.retransmitted += record.retransmitted.load(Relaxed);
    }

    /// Adds the books' part to `stats`.
    pub(crate) fn fill(&self, stats: &mut Stats) {
        let books = lock(&self.books);
        let mut sums = Sums { bytes: books.ended.bytes, layers: books.ended.layers };
        // A connection that has not asked yet may turn out to be a control connection.
        for record in books.open.values().filter(|record| record.class() == Class::Data) {
            sums.add(record);
        }
        stats.connections = ConnectionStats { open: books.open.len() as u64, ..books.connections };
        stats.bytes = sums.bytes;
        stats.layers = self.scan.then_some(sums.layers);
        stats.identity = books.identity.clone();
        stats.socket = books.socket.clone().unwrap_or_default();
    }
}

impl IdentityStats {
    fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Equal => self.checked += 1,
            Verdict::Different(mismatch) => {
                self.checked += 1;
                self.mismatched += 1;
                if self.examples.len() < MOST_EXAMPLES {
                    self.examples.push(mismatch);
                }
            }
            Verdict::Unknown => self.unknown += 1,
        }
    }
}

/// Only the connection itself writes its counters, so no locked instruction is needed; others may read them meanwhile.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed) + amount, Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds the books")
}
