//! What a server tells of itself (`GET /stats`): counters since its start. It counts nothing; `registry` does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::Tally;

use crate::allocations::Allocations;

mod merge;

/// All figures of one server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Quotes published.
    pub published: u64,
    /// Quotes published whose due time lies in the window of the start message.
    pub published_in_window: u64,
    /// The newest sequence number; 0 before the first quote.
    pub newest_seq: u64,
    /// Connections, control connections included.
    pub connections: ConnectionStats,
    /// Bytes of data connections, open and closed. A connection that asked for a control endpoint
    /// (`/clock`, `/stats`, `/healthz`, `/metrics`) is left out, with all that it carried; an open one
    /// counts from its first request on.
    pub bytes: ByteStats,
    /// Bytes of data connections by layer; null unless the server scans.
    pub layers: Option<Layers>,
    /// The comparison of our byte counters with the kernel's, once for each data connection at its end.
    pub identity: IdentityStats,
    /// What readers lost that fell out of the replay window.
    pub gaps: Gaps,
    /// The publisher thread.
    pub publisher: PublisherStats,
    /// The options of the newest accepted socket; `nodelay` is false once any socket lacked it.
    pub socket: SocketStats,
    /// The heap, of the whole process, this answer included.
    #[serde(default)]
    pub heap: Allocations,
    /// By the transport's name.
    pub transports: BTreeMap<String, TransportStats>,
    /// QUIC, which is UDP and in none of the figures above; null unless the server listens for it.
    #[serde(default)]
    pub quic: Option<QuicStats>,
    /// What the server was told to do wrong on purpose; absent unless it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Counts of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStats {
    /// Taken on.
    pub accepted: u64,
    /// Open now, the asker's own included.
    pub open: u64,
    /// Answered with 503 because `max_connections` were open.
    pub refused: u64,
    /// Failed calls of accept, for want of file descriptors or because the peer had gone.
    pub accept_errors: u64,
    /// Dropped by the kernel because the accept queue was full, as of the newest accept; 0 where it does not tell.
    #[serde(default)]
    pub dropped: u64,
    /// Most that were open at once.
    pub peak: u64,
}

/// Bytes at the socket, by what each call really moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteStats {
    /// Client to server.
    pub read: u64,
    /// Server to client.
    pub written: u64,
    /// Reads that moved bytes.
    pub read_calls: u64,
    /// Writes that moved bytes.
    pub write_calls: u64,
    /// Writes that found the socket's buffer full: the client takes less than it is sent.
    #[serde(default)]
    pub write_stalls: u64,
}

/// Bytes of both directions by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Client to server.
    pub up: Tally,
    /// Server to client.
    pub down: Tally,
    /// Connections that the scanner could not follow to their end; their later bytes are in no layer.
    pub unreadable: u64,
}

impl Layers {
    /// Adds those of another connection.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, tally) in [(&mut self.up, &other.up), (&mut self.down, &other.down)] {
            sum.headers += tally.headers;
            sum.transport_framing += tally.transport_framing;
            sum.app_framing += tally.app_framing;
            sum.body += tally.body;
            sum.messages += tally.messages;
        }
        self.unreadable += other.unreadable;
    }
}

/// Whether our counters agree with the kernel's: written = bytes_sent − bytes_retrans + notsent, and
/// read + unread = bytes_received less the FIN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityStats {
    /// Connections compared.
    pub checked: u64,
    /// Those that differ.
    pub mismatched: u64,
    /// The kernel did not answer, or bytes kept coming in during the comparison.
    pub unknown: u64,
    /// Segments that the kernel sent again on connections that ended.
    #[serde(default)]
    pub retransmitted: u64,
    /// The figures of the first few that differ.
    pub examples: Vec<Mismatch>,
}

/// The two sides of a comparison that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// What we counted as written.
    pub written: u64,
    /// What the kernel took from us.
    pub kernel_written: u64,
    /// What we counted as read, and what waits unread in the kernel.
    pub read_and_unread: u64,
    /// What the kernel received, without a FIN.
    pub kernel_read: u64,
    /// The TCP state by number (`TCP_ESTABLISHED` is 1).
    pub state: u8,
}

/// What readers lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// Snapshots served with a gap.
    pub served: u64,
    /// Quotes in all those gaps.
    pub quotes: u64,
}

/// How the publisher keeps time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherStats {
    /// The longest time from a quote's due time to its `sent` stamp, in nanoseconds.
    pub max_lag_ns: u64,
}

/// Options in force on accepted sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketStats {
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// The congestion control's name; null where the system does not tell.
    pub congestion_control: Option<String>,
}

/// QUIC connections, open and ended, as the library counts them: UDP payload, acknowledgements and losses
/// included. The datagram that opens a connection is read before the connection is counted and is in no figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuicStats {
    /// Sessions taken on.
    pub accepted: u64,
    /// Open now, those included that still shake hands.
    pub open: u64,
    /// Refused because `max_connections` were open.
    pub refused: u64,
    /// Client to server, bytes.
    pub received_bytes: u64,
    /// Server to client, bytes.
    pub sent_bytes: u64,
    /// Client to server, UDP datagrams.
    pub received_datagrams: u64,
    /// Server to client, UDP datagrams.
    pub sent_datagrams: u64,
    /// System calls that sent datagrams, several of them at a time where the system can.
    pub sends: u64,
    /// Packets of ours that were found lost (RFC 9002 section 6.1), MTU probes left out.
    pub lost_packets: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// MTU probes of ours that were lost (RFC 8899).
    pub lost_probes: u64,
    /// Quotes that were not sent because the connection could not take another datagram.
    pub datagrams_dropped: u64,
    /// The UDP socket's receive buffer as the kernel counts it, bytes; all sessions share it.
    pub receive_buffer_bytes: u64,
}

/// What one transport did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportStats {
    /// Requests answered (polls, streams and upgrades), refused ones included.
    pub requests: u64,
    /// Quotes handed to clients, those in snapshots left out.
    pub quotes: u64,
}

impl Stats {
    /// The figures in Prometheus' text format, version 0.0.4.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in self.metrics() {
            text += &describe(name, kind, help);
            text += &format!("tickertape_{name} {value}\n");
        }
        for (name, help, figure) in TRANSPORT_METRICS {
            text += &describe(name, "counter", help);
            for (transport, stats) in &self.transports {
                text += &format!("tickertape_{name}{{transport=\"{transport}\"}} {}\n", figure(stats));
            }
        }
        for (name, kind, help, value) in self.quic.iter().flat_map(QuicStats::metrics) {
            text += &describe(name, kind, help);
            text += &format!("tickertape_{name} {value}\n");
        }
        text
    }

    fn metrics(&self) -> [(&'static str, &'static str, &'static str, f64); 23] {
        let Self { connections, bytes, identity, gaps, heap, .. } = self;
        let counter = |name, help, value| (name, "counter", help, value as f64);
        let gauge = |name, help, value| (name, "gauge", help, value as f64);
        [
            counter("published_total", "Quotes published.", self.published),
            counter(
                "published_in_window_total",
                "Quotes due in the measured window.",
                self.published_in_window,
            ),
            gauge("newest_seq", "Newest sequence number.", self.newest_seq),
            counter("connections_accepted_total", "Connections taken on.", connections.accepted),
            gauge("connections_open", "Connections open now.", connections.open),
            gauge("connections_peak", "Most connections open at once.", connections.peak),
            counter("connections_refused_total", "Connections answered with 503.", connections.refused),
            counter("accept_errors_total", "Failed calls of accept.", connections.accept_errors),
            counter(
                "connections_dropped_total",
                "Connections that found the accept queue full.",
                connections.dropped,
            ),
            counter("read_bytes_total", "Bytes read from data connections.", bytes.read),
            counter("written_bytes_total", "Bytes written to data connections.", bytes.written),
            counter("read_calls_total", "Reads that moved bytes.", bytes.read_calls),
            counter("write_calls_total", "Writes that moved bytes.", bytes.write_calls),
            counter("write_stalls_total", "Writes that found the socket's buffer full.", bytes.write_stalls),
            counter("identity_checked_total", "Connections compared with the kernel.", identity.checked),
            counter(
                "identity_mismatched_total",
                "Connections that differ from the kernel.",
                identity.mismatched,
            ),
            counter(
                "retransmitted_segments_total",
                "Segments sent again on ended connections.",
                identity.retransmitted,
            ),
            counter("gaps_served_total", "Snapshots served with a gap.", gaps.served),
            counter("gap_quotes_total", "Quotes lost in gaps.", gaps.quotes),
            counter("allocations_total", "Calls for memory.", heap.count),
            counter("allocated_bytes_total", "Bytes asked for in them.", heap.bytes),
            counter("freed_bytes_total", "Bytes given back.", heap.freed),
            (
                "publisher_max_lag_seconds",
                "gauge",
                "Longest publisher lag.",
                self.publisher.max_lag_ns as f64 / 1e9,
            ),
        ]
    }
}

impl QuicStats {
    fn metrics(&self) -> [(&'static str, &'static str, &'static str, u64); 8] {
        let counter = |name, help, value| (name, "counter", help, value);
        [
            counter("quic_accepted_total", "QUIC sessions taken on.", self.accepted),
            ("quic_open", "gauge", "QUIC sessions open now.", self.open),
            counter("quic_refused_total", "QUIC connections refused.", self.refused),
            counter("quic_received_bytes_total", "UDP payload received.", self.received_bytes),
            counter("quic_sent_bytes_total", "UDP payload sent.", self.sent_bytes),
            counter("quic_lost_packets_total", "QUIC packets found lost.", self.lost_packets),
            counter("quic_lost_bytes_total", "Bytes of QUIC packets found lost.", self.lost_bytes),
            counter("quic_datagrams_dropped_total", "Quotes not sent as datagrams.", self.datagrams_dropped),
        ]
    }
}

fn describe(name: &str, kind: &str, help: &str) -> String {
    format!("# HELP tickertape_{name} {help}\n# TYPE tickertape_{name} {kind}\n")
}

type TransportMetric = (&'static str, &'static str, fn(&TransportStats) -> u64);

const TRANSPORT_METRICS: [TransportMetric; 2] = [
    ("requests_total", "Requests answered.", |stats| stats.requests),
    ("quotes_total", "Quotes handed to clients.", |stats| stats.quotes),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_read_back_and_name_every_metric_once() {
        let transports = BTreeMap::from([("sse".to_owned(), TransportStats { requests: 2, quotes: 30 })]);
        let quic = Some(QuicStats { open: 3, ..QuicStats::default() });
        let stats = Stats { published: 7, transports, quic, ..Stats::default() };
        let json = serde_json::to_string(&stats).unwrap();
        assert_eq!(serde_json::from_str::<Stats>(&json).unwrap(), stats);

        let text = stats.prometheus();
        assert!(text.contains("# TYPE tickertape_published_total counter\ntickertape_published_total 7\n"));
        assert!(text.contains("tickertape_quotes_total{transport=\"sse\"} 30\n"));
        assert!(text.contains("# TYPE tickertape_quic_open gauge\ntickertape_quic_open 3\n"));
        let names: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
    }
}
