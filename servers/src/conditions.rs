//! What is the same for every transport of this server, so that a difference between two is theirs: one place for all.
//!
//! `loadgen::conditions` is the other end; `loadgen/tests/same_conditions.rs` compares the two. It sets nothing.

use std::time::Duration;

/// After so much silence every transport says something.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// TCP's congestion control on every socket, whatever the machine's default is.
pub const CONGESTION_CONTROL: &str = "cubic";

/// Bytes that HTTP reads ahead and queues to write for one connection, in either version.
pub const HTTP_BUFFER: usize = 16 * 1024;

/// Read buffer of a connection that carries frames, whichever library reads them: their own are made for few busy
/// connections (128 KiB and 8 KiB).
pub const FRAMES_READ_BUFFER: usize = 4096;

/// What is gathered of frames before it is written without being flushed.
pub const FRAMES_WRITE_BUFFER: usize = HTTP_BUFFER;

/// Most bytes of quotes that a client is given at once, and that wait for it in a library that queues: what a stalled
/// one holds besides its cursor.
pub const MOST_WAITING: usize = 64 * 1024;

/// Longest message of a client.
pub const LONGEST_MESSAGE: usize = 64 * 1024;
