//! Variants that ran at the same time against one server: what its cost is divided by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Trial;

/// Variants that ran at the same time against one server. Cost of both sides is then that of all of them, and each has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharedServer {
    /// How many variants, this one with them.
    pub variants: u64,
    /// Clients of all of them.
    pub clients: u64,
    /// Updates that all of them received in the window.
    pub received_in_window: u64,
}

impl Trial {
    /// Clients that the server's cost is of.
    pub fn clients_of_server(&self) -> u64 {
        self.shared_server.map_or(self.clients.connected, |shared| shared.clients)
    }
}
