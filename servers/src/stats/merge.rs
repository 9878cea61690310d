//! The figures of servers that share one port, as those of one server. Pure.

use super::{ConnectionStats, Gaps, IdentityStats, QuicStats, SocketStats, Stats};

/// As many examples of mismatches as one server keeps.
const MOST_EXAMPLES: usize = 5;

impl Stats {
    /// All servers together; `None` for none. Sums, but for what each of them does for itself: all publish the same feed, so
    /// of publications the smallest count stands, and of lags the largest.
    pub fn together(servers: impl IntoIterator<Item = Self>) -> Option<Self> {
        servers.into_iter().reduce(Self::and)
    }

    fn and(self, other: Self) -> Self {
        let mut transports = self.transports;
        for (name, more) in other.transports {
            let sum = transports.entry(name).or_default();
            sum.requests += more.requests;
            sum.quotes += more.quotes;
        }
        let layers = match (self.layers, other.layers) {
            (Some(mut sum), Some(more)) => {
                sum.add(&more);
                Some(sum)
            }
            (Some(_) | None, _) => None,
        };
        let mut bytes = self.bytes;
        bytes.read += other.bytes.read;
        bytes.written += other.bytes.written;
        bytes.read_calls += other.bytes.read_calls;
        bytes.write_calls += other.bytes.write_calls;
        bytes.write_stalls += other.bytes.write_stalls;
        let mut heap = self.heap;
        heap.count += other.heap.count;
        heap.bytes += other.heap.bytes;
        heap.freed += other.heap.freed;
        let mut publisher = self.publisher;
        publisher.max_lag_ns = publisher.max_lag_ns.max(other.publisher.max_lag_ns);
        Self {
            published: self.published.min(other.published),
            published_in_window: self.published_in_window.min(other.published_in_window),
            newest_seq: self.newest_seq.min(other.newest_seq),
            connections: connections(self.connections, other.connections),
            bytes,
            layers,
            identity: identity(self.identity, other.identity),
            gaps: Gaps {
                served: self.gaps.served + other.gaps.served,
                quotes: self.gaps.quotes + other.gaps.quotes,
            },
            publisher,
            socket: socket(self.socket, other.socket),
            heap,
            transports,
            quic: quic(self.quic, other.quic),
            fault: self.fault.or(other.fault),
        }
    }
}

fn connections(one: ConnectionStats, other: ConnectionStats) -> ConnectionStats {
    ConnectionStats {
        accepted: one.accepted + other.accepted,
        open: one.open + other.open,
        refused: one.refused + other.refused,
        accept_errors: one.accept_errors + other.accept_errors,
        dropped: one.dropped + other.dropped,
        // Not at the same instant, maybe: the sum is a bound.
        peak: one.peak + other.peak,
    }
}

fn identity(mut one: IdentityStats, other: IdentityStats) -> IdentityStats {
    one.checked += other.checked;
    one.mismatched += other.mismatched;
    one.unknown += other.unknown;
    one.retransmitted += other.retransmitted;
    one.examples.extend(other.examples);
    one.examples.truncate(MOST_EXAMPLES);
    one
}

/// One that accepted nothing has no socket to tell of.
fn socket(one: SocketStats, other: SocketStats) -> SocketStats {
    match (one.congestion_control.is_some(), other.congestion_control.is_some()) {
        (true, true) if one.congestion_control == other.congestion_control => {
            SocketStats { nodelay: one.nodelay && other.nodelay, ..one }
        }
        (true, true) => SocketStats { nodelay: one.nodelay && other.nodelay, congestion_control: None },
        (true, false) => one,
        (false, _) => other,
    }
}

/// Servers that share a port do not listen for QUIC.
fn quic(one: Option<QuicStats>, other: Option<QuicStats>) -> Option<QuicStats> {
    one.or(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{ByteStats, Mismatch, TransportStats};

    #[test]
    fn servers_of_one_port_add_up_and_publish_as_the_slowest() {
        let mismatch =
            Mismatch { written: 1, kernel_written: 2, read_and_unread: 0, kernel_read: 0, state: 1 };
        let one = |n: u64| Stats {
            published: 100 - n,
            published_in_window: 50 - n,
            newest_seq: 100 - n,
            connections: ConnectionStats { accepted: 10 * n, open: n, peak: n, ..ConnectionStats::default() },
            bytes: ByteStats { read: 3, written: 4 * n, ..ByteStats::default() },
            identity: IdentityStats {
                checked: 2,
                mismatched: n,
                examples: vec![mismatch; 4],
                ..IdentityStats::default()
            },
            socket: SocketStats { nodelay: n > 0, congestion_control: (n > 0).then(|| "cubic".to_owned()) },
            transports: [("a".to_owned(), TransportStats { requests: n, quotes: 2 })].into(),
            ..Stats::default()
        };
        let all = Stats::together([one(1), one(2), one(0)]).unwrap();
        assert_eq!((all.published, all.published_in_window, all.newest_seq), (98, 48, 98));
        assert_eq!((all.connections.accepted, all.connections.open), (30, 3));
        assert_eq!((all.bytes.read, all.bytes.written), (9, 12));
        assert_eq!((all.identity.checked, all.identity.mismatched, all.identity.examples.len()), (6, 3, 5));
        assert!(all.socket.nodelay && all.socket.congestion_control.as_deref() == Some("cubic"));
        assert_eq!(all.transports["a"], TransportStats { requests: 3, quotes: 6 });
        assert_eq!(Stats::together([]), None);
        assert_eq!(Stats::together([one(1)]), Some(one(1)));
    }
}
