//! What is read beside the workers' findings: at the edges of the window, before and after.

use measurement::offset::Exchange;
use ticker::{Anchor, clock};

use super::course::Course;
use crate::{
    counters::Counters,
    kernel_memory::Reading,
    network::Network,
    process::Usage,
    syscalls::{Syscalls, Uncounted},
    target::{Target, stats::Stats},
};

/// Exchanges with the server's clock.
pub struct Clocks {
    /// The best one before the load.
    pub before: Option<Exchange>,
    /// The best one after it.
    pub after: Option<Exchange>,
    /// How many there were.
    pub exchanges: u64,
    /// Our own wall clock.
    pub anchor: Anchor,
}

/// Readings at the edges of the window.
#[derive(Debug, Default)]
pub struct Marks {
    /// The server's counters at the end of the connect phase.
    pub connected_stats: Option<Stats>,
    /// The running count of the server's system calls.
    pub syscalls: Option<Syscalls>,
    /// Why there is none.
    pub uncounted: Option<String>,
    /// The load generator before it knew its clients, if it is made of fresh processes.
    pub fresh_loadgen: Option<Usage>,
    /// The kernel's caches before the first connection and when all clients stood.
    pub kernel: [Option<Reading>; 2],
    /// At the start of the window.
    pub from: Option<Mark>,
    /// At its end.
    pub to: Option<Mark>,
}

impl Marks {
    /// No readings yet, but of the system calls, if they can be counted.
    pub(super) fn counting(syscalls: Result<Syscalls, Uncounted>) -> Self {
        match syscalls {
            Ok(syscalls) => Self { syscalls: Some(syscalls), ..Self::default() },
            Err(why) => Self { uncounted: Some(why.to_string()), ..Self::default() },
        }
    }
}

/// One set of readings.
#[derive(Debug)]
pub struct Mark {
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// The server process.
    pub server: Option<Usage>,
    /// The load generator.
    pub loadgen: Option<Usage>,
    /// The server's counters.
    pub stats: Option<Stats>,
    /// System calls of the server.
    pub syscalls: Option<u64>,
    /// The whole machine.
    pub machine: Counters,
}

impl Mark {
    pub(super) async fn read(target: &Target, course: &Course, syscalls: Option<&Syscalls>) -> Self {
        let network_ns = course.network.as_ref().map_or(0, Network::cpu_ns);
        Self {
            at_ns: clock::now_ns(),
            server: target.usage(),
            loadgen: course.usage().map(|usage| usage.without(network_ns)),
            stats: target.stats().await,
            syscalls: syscalls.and_then(Syscalls::read),
            machine: Counters::now(),
        }
    }
}
