//! The emulated network between client and server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What lay between client and server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkModel {
    /// The preset that it began with.
    pub preset: Option<String>,
    /// From client to server and back, without jitter; half of it each way.
    pub rtt_us: f64,
    /// Up to so much more each way, drawn evenly.
    pub jitter_us: f64,
    /// Most bytes a second from server to client; null for as many as come.
    pub down_bytes_per_second: Option<u32>,
    /// The same from client to server.
    pub up_bytes_per_second: Option<u32>,
    /// Share of packets that were to be lost.
    pub loss: f64,
    /// Planned failures: what, when after the window began, for how long.
    pub events: Vec<String>,
    /// What was emulated: `packets` (loss and retransmissions are real) or `connections` (loss is not modelled).
    pub level: String,
    /// Why it was this level.
    pub level_reason: Option<String>,
}
