//! Polling: each client asks on its own fixed timetable, late when it must, never skipping.

use std::time::Duration;

use measurement::result::{Model, ModelKind};

use crate::plan::{HttpClient, PollMode, TransportOptions};

pub(super) const KEYS: &[&str] = &["interval", "mode", "conditional", "client"];

pub(super) fn label(options: &TransportOptions) -> String {
    let mut label = format!("polling {}", humantime::format_duration(options.interval));
    if options.mode == PollMode::Latest {
        label.push_str(" latest");
    }
    if options.conditional {
        label.push_str(" 304");
    }
    if options.client == HttpClient::Pooled {
        label.push_str(" pooled");
    }
    label
}

pub(super) fn model(options: &TransportOptions) -> Model {
    let period_us = options.interval.as_secs_f64() * 1e6;
    Model { kind: ModelKind::Pull, period_us: Some(period_us), expected_delay_us: Some(period_us / 2.0) }
}

pub(super) fn drain(options: &TransportOptions) -> Duration {
    options.interval + Duration::from_secs(1)
}
