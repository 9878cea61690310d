//! Bytes in the result file: by layer, direction and phase, and the kernel's own counts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of a trial, over all clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bytes {
    /// Server to client, measure phase.
    pub received: Layers,
    /// Client to server, measure phase.
    pub sent: Layers,
    /// The connect phase.
    pub handshake: Handshake,
    /// All phases, from the first byte to the last: what [`Self::kernel`] and a capture are held against.
    #[serde(default)]
    pub whole_life: Handshake,
    /// Delivered updates of the measure phase × `quote_bytes`.
    pub canonical_payload: u64,
    /// Costs that recur more rarely than the window is long, both directions, a client and second.
    pub periodic: f64,
    /// The kernel's own counts over the connections' lives.
    pub kernel: Kernel,
    /// Estimate of IP and TCP headers, both directions, measure phase; null without TCP_INFO.
    pub tcp_ip_estimate: Option<u64>,
    /// QUIC's own counts over the connections' lives; null for transports over TCP.
    #[serde(default)]
    pub quic: Option<Quic>,
    /// Whether layers, sockets and kernel agree to the byte in every phase and direction.
    pub balanced: bool,
    /// (app framing + transport framing + headers, both directions) / receptions in the window, in bytes.
    pub header_overhead_per_update: Option<f64>,
    /// TCP segments of the measure phase, both directions, by the kernel's count; null without TCP_INFO.
    #[serde(default)]
    pub window_segments: Option<u64>,
    /// Lengths that are the same in every run of the same code; null where fields are compressed or sealed, or
    /// the server is somebody else's.
    #[serde(default)]
    pub steady: Option<Steady>,
}

/// Lengths of HTTP/1.1's heads and of the framing around pushed messages, without the digits that grow with what
/// they count: content lengths, chunk lengths, entity tags, cursors, ports. Of the measure phase, but for the two
/// `opening` ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Steady {
    /// Heads of GET requests.
    pub requests: Counted,
    /// Heads of answers to GET that have content.
    pub responses: Counted,
    /// Heads of answers to GET that have none, a 304 say.
    pub empty_responses: Counted,
    /// Messages from the server, and the chunk heads or frame heads around them.
    pub messages: Counted,
    /// The first head that a client sends on each connection opened in the connect phase.
    pub opening_requests: Counted,
    /// The first head of the server on each such connection.
    pub opening_responses: Counted,
}

/// How many there were, and their bytes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Counted {
    /// Adds `count` more that have `bytes` together.
    #[inline]
    pub fn add(&mut self, count: u64, bytes: u64) {
        self.count += count;
        self.bytes += bytes;
    }

    /// Bytes of each; `None` of nothing.
    pub fn each(&self) -> Option<f64> {
        (self.count > 0).then(|| self.bytes as f64 / self.count as f64)
    }
}

impl Steady {
    /// Adds those of another connection.
    pub fn merge(&mut self, other: &Self) {
        let Self { requests, responses, empty_responses, messages, opening_requests, opening_responses } =
            other;
        let mine = [
            (&mut self.requests, requests),
            (&mut self.responses, responses),
            (&mut self.empty_responses, empty_responses),
            (&mut self.messages, messages),
            (&mut self.opening_requests, opening_requests),
            (&mut self.opening_responses, opening_responses),
        ];
        for (mine, theirs) in mine {
            mine.add(theirs.count, theirs.bytes);
        }
    }
}

/// Bytes of the connect phase, or of all phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handshake {
    /// Server to client.
    pub received: Layers,
    /// Client to server.
    pub sent: Layers,
}

/// Bytes by layer. The first five add up to the sixth, which is counted separately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Layers {
    /// Encoded updates as they are on the wire.
    pub payload: u64,
    /// SSE fields, JSON envelopes, heartbeats.
    pub app_framing: u64,
    /// Chunk heads, WebSocket heads, masks and control frames.
    pub transport_framing: u64,
    /// Start lines, header fields, blank lines, trailers.
    pub headers: u64,
    /// Record overhead.
    pub tls: u64,
    /// What moved through the socket.
    pub socket_total: u64,
}

/// TCP_INFO summed over the client ends, from connect to close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// Payload bytes received.
    pub received: u64,
    /// Payload bytes sent, retransmissions left out.
    pub sent: u64,
    /// Segments received.
    pub segments_in: u64,
    /// Segments sent.
    pub segments_out: u64,
    /// Segments retransmitted.
    pub retransmitted: u64,
}

/// QUIC connections of a trial, from the first datagram to the last. Bytes are UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quic {
    /// Connections.
    pub connections: u64,
    /// Sums over the clients' ends.
    pub client: QuicEnd,
    /// Sums over the server's ends; null where the server does not tell.
    pub server: Option<QuicEnd>,
    /// Bytes of the datagrams that opened the connections: the server's library reads them before it counts.
    pub opening_bytes: u64,
    /// Estimate of IP and UDP headers, both directions, measure phase.
    pub udp_ip_estimate: u64,
}

/// One end of QUIC connections, as its library counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuicEnd {
    /// UDP payload received.
    pub received_bytes: u64,
    /// UDP payload sent, what was sent again included.
    pub sent_bytes: u64,
    /// UDP datagrams received.
    pub received_datagrams: u64,
    /// UDP datagrams sent.
    pub sent_datagrams: u64,
    /// Packets sent and found lost (RFC 9002 section 6.1).
    pub lost_packets: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// MTU probes lost (RFC 8899).
    pub lost_probes: u64,
}

/// One direction of QUIC connections: what was sent and did not arrive, and how much of that is known to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicWay {
    /// Sent at one end less received at the other; below zero if more arrived than was sent.
    pub missing_bytes: i64,
    /// At most so much was lost: packets and probes that the sender missed, datagrams that the kernel dropped.
    pub known_bytes: u64,
}

impl QuicWay {
    /// Whether all that is missing is known to be lost. Without a loss, that is equality to the byte.
    ///
    /// On an emulated network, which loses packets on purpose, more is missing than anyone knows: a packet of acknowledgements
    /// alone is not acknowledged itself (RFC 9000 section 13.2.1), so nobody finds that it is lost.
    pub fn agrees(&self, emulated: bool) -> bool {
        u64::try_from(self.missing_bytes).is_ok_and(|missing| emulated || missing <= self.known_bytes)
    }
}

/// Both directions of QUIC connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicWays {
    /// Server to client.
    pub down: QuicWay,
    /// Client to server.
    pub up: QuicWay,
}

impl QuicWays {
    /// Whether both directions agree.
    pub fn agree(&self, emulated: bool) -> bool {
        self.down.agrees(emulated) && self.up.agrees(emulated)
    }
}

/// A UDP datagram has no more than this on a path that carries 1,500 bytes.
const LONGEST_DATAGRAM: u64 = 1_472;

impl Quic {
    /// The two ends held against each other; the kernel dropped `dropped` datagrams. `None` where one end is unknown.
    pub fn ends(&self, dropped: u64) -> Option<QuicWays> {
        let (client, server) = (&self.client, self.server.as_ref()?);
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let way = |from: &QuicEnd, to: &QuicEnd, unseen: u64| QuicWay {
            missing_bytes: signed(from.sent_bytes) - signed(to.received_bytes + unseen),
            known_bytes: from.lost_bytes + (from.lost_probes + dropped) * LONGEST_DATAGRAM,
        };
        Some(QuicWays { down: way(server, client, 0), up: way(client, server, self.opening_bytes) })
    }

    /// Adds other connections.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.client.merge(&other.client);
        self.server = match (self.server, other.server) {
            (Some(mut mine), Some(theirs)) => {
                mine.merge(&theirs);
                Some(mine)
            }
            (mine, theirs) => mine.or(theirs),
        };
        self.opening_bytes += other.opening_bytes;
        self.udp_ip_estimate += other.udp_ip_estimate;
    }
}

impl QuicEnd {
    /// Adds other connections' ends.
    pub fn merge(&mut self, other: &Self) {
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.received_datagrams += other.received_datagrams;
        self.sent_datagrams += other.sent_datagrams;
        self.lost_packets += other.lost_packets;
        self.lost_bytes += other.lost_bytes;
        self.lost_probes += other.lost_probes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_quic_agree_up_to_known_loss() {
        let sent = |sent_bytes, lost_bytes| QuicEnd { sent_bytes, lost_bytes, ..QuicEnd::default() };
        let check = |sent: QuicEnd, received_bytes, dropped, expected| {
            let client = QuicEnd { received_bytes, ..QuicEnd::default() };
            let quic = Quic { client, server: Some(sent), ..Quic::default() };
            let ends = quic.ends(dropped).unwrap();
            assert_eq!(ends.agree(false), expected, "{quic:?}");
            // More than was sent can arrive nowhere.
            assert_eq!(ends.agree(true), received_bytes <= sent.sent_bytes, "{quic:?}");
        };
        check(sent(500, 0), 500, 0, true);
        check(sent(500, 0), 499, 0, false);
        check(sent(500, 0), 501, 0, false);
        check(sent(500, 50), 450, 0, true);
        check(sent(500, 50), 500, 0, true);
        check(sent(500, 0), 400, 1, true);
        let up = |opening_bytes| Quic {
            client: sent(1_300, 0),
            server: Some(QuicEnd { received_bytes: 100, ..QuicEnd::default() }),
            opening_bytes,
            ..Quic::default()
        };
        assert_eq!(
            (up(1_200).ends(0).unwrap().agree(false), up(0).ends(0).unwrap().agree(false)),
            (true, false)
        );
        assert_eq!(Quic::default().ends(0), None);
    }
}
