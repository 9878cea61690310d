//! How connections with a close handshake ended: by code, and how long the other side took to answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Histogram;

/// Ends of connections that have a close handshake (RFC 6455 section 7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Closing {
    /// Close codes that the server sent or answered with; 1005 stands for none, 1006 for no close frame at all.
    pub codes: BTreeMap<String, u64>,
    /// From the client's close frame to the server's.
    pub handshake: Option<Histogram>,
}
