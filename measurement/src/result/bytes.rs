//! Bytes in the result file: by layer, direction and phase, and the kernel's own counts.

use serde::{Deserialize, Serialize};

/// Bytes of a trial, over all clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Whether layers, sockets and kernel agree to the byte in every phase and direction.
    pub balanced: bool,
    /// (app framing + transport framing + headers, both directions) / receptions in the window, in bytes.
    pub header_overhead_per_update: Option<f64>,
}

/// Bytes of the connect phase, or of all phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// Server to client.
    pub received: Layers,
    /// Client to server.
    pub sent: Layers,
}

/// Bytes by layer. The first five add up to the sixth, which is counted separately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
