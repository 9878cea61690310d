//! What is the same for the clients of every transport, so that a difference between two is theirs: one place for all.
//!
//! The reference servers have a file of that name for the other end; `loadgen/tests/same_conditions.rs` compares the two. It sets nothing.

use std::time::Duration;

/// The reference servers' heartbeat period: they are started with it.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// TCP's congestion control on every socket, whatever the machine's default is.
pub const CONGESTION_CONTROL: &str = "cubic";

/// Read buffer of a connection that speaks HTTP/1.1, handshakes of others included: an idle one holds little, and
/// hyper's own adaptive buffer grows with bursts.
pub const HTTP_READ_BUFFER: usize = 8192;

/// What a server may send over HTTP/2 without being asked to go on, for a stream and for a connection (RFC 9113
/// section 5.2): as much as a browser's stream takes by far, so that a stream of quotes is never held up by it.
pub const HTTP2_WINDOW: u32 = 1 << 20;

/// Read buffer of a connection that carries frames, whichever library reads them: tungstenite's own of 128 KiB costs
/// 137 kB and 3.4 times the processor time for each client.
pub const FRAMES_READ_BUFFER: usize = 4096;
