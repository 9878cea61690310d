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
