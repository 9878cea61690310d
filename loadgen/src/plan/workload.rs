//! What clients and server do, beside listening to a ticker.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use ticker::Engine;

use crate::clients::Conflict;

super::options::words! {
    /// What clients and server do.
    Workload {
        /// The server publishes the feed to all clients.
        "ticker" => Ticker,
        /// Each client publishes the feed, beginning at a time of its own, and the server sends back what it says.
        "echo" => Echo,
        /// The same, but the server only says that it has it.
        "uplink" => Uplink,
        /// Rooms with a member for each symbol: a member says what its symbol's schedule says, and all members get it.
        "chat" => Chat,
        /// Nothing is said: what a silent connection costs.
        "idle" => Idle,
        /// As `ticker`, with a stage of many times its rate.
        "burst" => Burst,
        /// As `ticker`, and in the middle of it all clients connect again.
        "storm" => Storm,
        /// As `ticker`, and some clients do not keep up.
        "slow-reader" => SlowReader,
        /// As `ticker`, over all transports of the scenario at the same time.
        "mixed" => Mixed,
    }
}

#[expect(clippy::derivable_impls, reason = "the enum is written by a macro")]
impl Default for Workload {
    fn default() -> Self {
        Self::Ticker
    }
}

impl Workload {
    /// Every workload.
    pub const WORDS: &[(&str, Self)] = <Self as super::options::Word>::WORDS;
    /// Those of clients that listen and do nothing else: every transport can.
    pub const OF_LISTENERS: &[Self] = &[Self::Ticker, Self::Idle, Self::Burst, Self::Mixed];

    /// Whether clients publish, each on a schedule that begins at a time of its own.
    pub fn clients_publish(self) -> bool {
        matches!(self, Self::Echo | Self::Uplink)
    }

    /// Whether clients hear each other, in rooms of as many as the feed has symbols.
    pub fn has_rooms(self) -> bool {
        self == Self::Chat
    }

    /// Whether the server publishes the feed.
    pub fn server_publishes(self) -> bool {
        !matches!(self, Self::Echo | Self::Uplink | Self::Chat | Self::Idle)
    }

    pub(super) fn is_ticker(&self) -> bool {
        *self == Self::Ticker
    }

    /// Why it cannot be on this engine, or with a server of somebody else's.
    pub(crate) fn conflict(self, engine: Engine, of_others: bool) -> Option<Conflict> {
        let reference = "the reference server's part of it has no word in somebody else's: leave `url` out";
        let library = "the direct engine's clients do not: write engine = \"library\"";
        match (self, engine) {
            (Self::Uplink, Engine::Direct) => Some(Conflict {
                what: "`workload.kind = \"uplink\"` and `engine = \"direct\"`",
                why: library,
            }),
            (Self::Uplink, Engine::Library) if of_others => {
                Some(Conflict { what: "`workload.kind = \"uplink\"` and `url`", why: reference })
            }
            (Self::Chat, Engine::Direct) => {
                Some(Conflict { what: "`workload.kind = \"chat\"` and `engine = \"direct\"`", why: library })
            }
            (Self::Storm | Self::SlowReader, Engine::Library) if of_others => Some(Conflict {
                what: "`workload.kind = \"storm\"` or `\"slow-reader\"` and `url`",
                why: "what was missed is told by the reference server's numbers only: leave `url` out",
            }),
            (Self::Storm, Engine::Direct) => {
                Some(Conflict { what: "`workload.kind = \"storm\"` and `engine = \"direct\"`", why: library })
            }
            (Self::SlowReader, Engine::Direct) => Some(Conflict {
                what: "`workload.kind = \"slow-reader\"` and `engine = \"direct\"`",
                why: library,
            }),
            _ => None,
        }
    }
}

/// All clients close in the middle of the window and come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// When, after the window begins.
    #[serde(with = "super::micros")]
    pub at: Duration,
    /// They come back evenly drawn over this time: at once without it.
    #[serde(with = "super::micros")]
    pub jitter: Duration,
}

/// All transports of the scenario at the same time, of which a variant is one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// The variant's share of the clients.
    pub share: f64,
    /// Clients of all transports.
    pub clients: u32,
    /// The longest drain of all transports: they end together.
    #[serde(with = "super::micros")]
    pub drain: Duration,
}

/// Clients that do not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowReaders {
    /// How many: the last ones.
    pub clients: u32,
    /// What each of them reads a second.
    pub bytes_per_second: u32,
}
