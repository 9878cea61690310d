//! The clients: one file per transport, the same functions in the same order. This file only dispatches.

use std::time::Duration;

use measurement::result::Model;
use ticker::Transport;

use crate::plan::TransportOptions;

mod polling;
mod sse;
mod websocket;

/// Scenario keys that this transport takes besides the ones that all take.
pub fn keys(kind: Transport) -> &'static [&'static str] {
    match kind {
        Transport::Polling => polling::KEYS,
        Transport::Sse => sse::KEYS,
        Transport::WebSocket => websocket::KEYS,
    }
}

/// The name of a variant that has none: the kind and what differs from the defaults.
pub fn label(kind: Transport, options: &TransportOptions) -> String {
    match kind {
        Transport::Polling => polling::label(options),
        Transport::Sse => sse::label(options),
        Transport::WebSocket => websocket::label(options),
    }
}

/// Which closed form describes the variant.
pub fn model(kind: Transport, options: &TransportOptions) -> Model {
    match kind {
        Transport::Polling => polling::model(options),
        Transport::Sse => sse::model(options),
        Transport::WebSocket => websocket::model(options),
    }
}

/// How long after the window the last quote may still be on its way.
pub fn drain(kind: Transport, options: &TransportOptions) -> Duration {
    match kind {
        Transport::Polling => polling::drain(options),
        Transport::Sse => sse::drain(options),
        Transport::WebSocket => websocket::drain(options),
    }
}
