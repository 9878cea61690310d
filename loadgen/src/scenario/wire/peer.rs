//! The tables of a server of the user's own: how it is started, opened, spoken to and understood.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::headers::Headers;
use crate::scenario::{
    scalar::{Literal, One, Time},
    schema,
};

/// `[transport.server]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(in crate::scenario) struct Server {
    /// Started fresh for each trial; {port} is filled in, words are split as a shell does.
    pub(in crate::scenario) command: Option<One<String>>,
    /// Path that answers with success once the server is ready, such as "/healthz".
    pub(in crate::scenario) ready: Option<One<String>>,
    /// A process that runs already: it is watched, not touched.
    pub(in crate::scenario) pid: Option<One<i128>>,
}

/// `[transport.open]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(in crate::scenario) struct Open {
    /// Header fields besides those of the profile, or in their place.
    pub(in crate::scenario) headers: Option<Headers>,
    /// WebSocket: subprotocols to offer.
    pub(in crate::scenario) subprotocols: Option<Vec<One<String>>>,
    /// Messages to send once the connection stands; Socket.IO: events to emit.
    pub(in crate::scenario) send: Option<Vec<One<String>>>,
    /// WebSocket: what to send into silence.
    #[schemars(with = "Keepalive")]
    pub(in crate::scenario) keepalive: Option<Spanned<Keepalive>>,
}

/// `[transport.send]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(in crate::scenario) struct Send {
    /// Socket.IO: the event that carries what is said.
    pub(in crate::scenario) event: Option<One<String>>,
    /// What is around it, "{message}" if left out; {room} and {member} say where and by whom.
    pub(in crate::scenario) message: Option<One<String>>,
}

/// `keepalive` of `[transport.open]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(in crate::scenario) struct Keepalive {
    /// How often, "100ms" to "1h".
    pub(in crate::scenario) every: Option<One<Time>>,
    /// "ping", or a text message.
    pub(in crate::scenario) send: Option<One<String>>,
}

/// `[transport.message]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(in crate::scenario) struct Message {
    /// How messages are written, "json" if left out.
    #[schemars(schema_with = "schema::format")]
    pub(in crate::scenario) format: Option<One<String>>,
    /// Text: a regular expression with groups named sequence, symbol, symbol_sequence and sent_at.
    pub(in crate::scenario) pattern: Option<One<String>>,
    /// SSE and Socket.IO: take only events of this type.
    pub(in crate::scenario) event: Option<One<String>>,
    /// Take only messages that have these values at these JSON pointers.
    #[schemars(with = "BTreeMap<String, One<Literal>>")]
    pub(in crate::scenario) when: Option<BTreeMap<Spanned<String>, One<Literal>>>,
    /// JSON pointer to the array of updates; without it a message is one.
    pub(in crate::scenario) items: Option<One<String>>,
    /// JSON pointer to the counter over the whole feed.
    pub(in crate::scenario) sequence: Option<One<String>>,
    /// JSON pointer to the symbol.
    pub(in crate::scenario) symbol: Option<One<String>>,
    /// JSON pointer to a counter by symbol.
    pub(in crate::scenario) symbol_sequence: Option<One<String>>,
    /// JSON pointer to the time at which the update was made.
    pub(in crate::scenario) sent_at: Option<One<String>>,
    /// Unit of `sent_at`.
    #[schemars(schema_with = "schema::time_unit")]
    pub(in crate::scenario) sent_at_unit: Option<One<String>>,
    /// Polling: JSON pointer to what fills {after}; without it the last sequence number does.
    pub(in crate::scenario) cursor: Option<One<String>>,
    /// Chat: JSON pointer to what a member said; without it the message is it.
    pub(in crate::scenario) said: Option<One<String>>,
    /// Polling: each answer is the whole state.
    pub(in crate::scenario) snapshot: Option<One<bool>>,
    /// How the two clocks are brought together.
    #[schemars(schema_with = "schema::clock")]
    pub(in crate::scenario) clock: Option<One<String>>,
}
