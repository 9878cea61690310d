//! What the runner knows of a trial beside its own figures: the input of the rules.

use serde::{Deserialize, Serialize};

use super::PeerEvidence;

/// What the runner knows beside the trial's own figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Quotes that the schedule has in the window.
    pub scheduled: u64,
    /// Phases, directions in which layers and socket differ, in words.
    pub unbalanced: Vec<String>,
    /// Client connections compared with the kernel, and those that differ.
    pub client_identity: (u64, u64),
    /// Server connections compared with the kernel, and those that differ.
    pub server_identity: (u64, u64),
    /// Messages whose bytes no decoded message claimed, or the other way round.
    pub unclaimed_messages: u64,
    /// Bytes that the server wrote and that clients received, and the other way round, where both know.
    pub ends: Option<Ends>,
    /// Whether what the network loses stays lost, by the transport's design.
    pub loses: bool,
    /// Samples that no histogram could hold.
    pub clipped: u64,
    /// Quotes received that are not in the schedule.
    pub unknown_quotes: u64,
    /// Cores the generator may use.
    pub loadgen_cores: u64,
    /// Connections that the server's listener refused or failed to accept.
    pub refused: u64,
    /// What the server was told to do wrong on purpose.
    pub fault: Option<String>,
    /// Connections that the kernel dropped because the server's listener did not accept them in time.
    pub listen_drops: u64,
    /// Whether the network is emulated by packets: it delays and loses them, and their being sent again is what is measured.
    pub emulated: bool,
    /// Segments that the server's end sent again.
    pub server_retransmitted: u64,
    /// What the first client that failed said.
    pub first_error: Option<String>,
    /// What clients could not get from the system.
    pub exhausted: Exhausted,
    /// The whole machine in the window; `None` where the system does not tell.
    pub machine: Option<Machine>,
    /// What was learned of somebody else's feed.
    pub peer: Option<PeerEvidence>,
    /// Median delivery delay of the window's tenths, in microseconds.
    pub slices_us: Vec<f64>,
    /// Resident bytes of the server at the start and the end of the window.
    pub server_rss: Option<(u64, u64)>,
}

/// The two ends' totals over the connections' lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Server's written and clients' read bytes.
    pub down: (u64, u64),
    /// Clients' written and server's read bytes.
    pub up: (u64, u64),
}

/// Clients that met an exhausted resource, by resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// File descriptors, of the process or the machine (EMFILE, ENFILE).
    pub files: u64,
    /// Local ports (EADDRNOTAVAIL).
    pub ports: u64,
    /// Memory for sockets (ENOMEM, ENOBUFS).
    pub memory: u64,
}

impl Exhausted {
    /// Adds another worker's.
    pub fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.ports += other.ports;
        self.memory += other.memory;
    }
}

/// The whole machine in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Processor time that the host took away, as a share of the window and all cores.
    pub steal_share: Option<f64>,
    /// Share of the window in which something waited for a processor.
    pub cpu_pressure_share: Option<f64>,
    /// The same for memory.
    pub memory_pressure_share: Option<f64>,
    /// Connections that any listener of the network namespace dropped.
    pub listen_overflows: u64,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// UDP datagrams that the kernel dropped because a socket's receive buffer was full.
    pub udp_drops: u64,
}
