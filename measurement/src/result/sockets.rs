//! Socket options in force during a trial: both ends are held to the same ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sockets {
    /// The server's accepted sockets; null where the server does not tell.
    pub server: Option<SocketOptions>,
    /// The clients' sockets; null where a library keeps them to itself.
    pub clients: Option<SocketOptions>,
    /// Version and cipher suite of TLS on the clients' connections, several separated by commas; null without TLS,
    /// and for QUIC, whose library keeps its own to itself.
    #[serde(default)]
    pub tls: Option<String>,
}

/// Options of all sockets of one end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketOptions {
    /// Whether TCP_NODELAY was in force on every one.
    pub nodelay: bool,
    /// Names of the congestion controls in force, sorted, separated by commas; null where the system does not tell.
    pub congestion_control: Option<String>,
}
