//! What the kernel holds for connections, which no process's resident set shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Growth of the kernel's memory from before the first connection to when all clients stand: sockets, files, inodes and
/// entries of event loops. Of both ends, where both are on this machine; bytes that wait in a socket are in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelMemory {
    /// For each client that stood, in bytes.
    pub bytes_per_client: f64,
    /// `slabinfo`: the caches of sockets by name. `meminfo`: all caches of the machine, whoever caused them to grow.
    pub source: String,
}

/// What the server holds through a trial, in bytes. The heap is what it asked for and did not give back, to the byte; the
/// resident set is what the system counts, which allocators seldom give back. The replay window of the feed, which fills up
/// after t0, is in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerMemory {
    /// Heap before the first connection.
    pub heap_start: u64,
    /// Heap at the start of the window.
    pub heap_from: u64,
    /// Heap at its end.
    pub heap_to: u64,
    /// Heap when all clients had gone.
    pub heap_end: u64,
    /// Resident set before the first connection.
    pub rss_start: u64,
    /// Resident set when all clients had gone.
    pub rss_end: u64,
}
