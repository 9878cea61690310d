//! WebSocket: one upgraded connection; tokio-tungstenite on the counting stream.

use std::time::Duration;

use measurement::result::{Model, ModelKind};

use crate::plan::TransportOptions;

pub(super) const KEYS: &[&str] = &[];

pub(super) fn label(_options: &TransportOptions) -> String {
    "websocket".to_owned()
}

pub(super) fn model(_options: &TransportOptions) -> Model {
    Model { kind: ModelKind::Push, period_us: None, expected_delay_us: Some(0.0) }
}

pub(super) fn drain(_options: &TransportOptions) -> Duration {
    Duration::from_secs(1)
}
