//! WebTransport: one session over QUIC; quotes on one stream, or each in a datagram. The session itself is in `session`.

use std::time::Duration;

use measurement::result::{Model, ModelKind};

use super::{Conflict, Ran, page::Page};
use crate::{
    plan::{Carrier, Http, TransportOptions, Workload},
    scenario::headers::Initiator,
    worker::Client,
};

#[cfg(feature = "quic")]
pub(super) mod frames;
#[cfg(feature = "quic")]
pub(super) mod session;

pub(super) use super::library::{direct, library_only};

pub(super) const INITIATOR: Initiator = Initiator::Fetch;
pub(super) const KEYS: &[&str] = &["http", "carrier"];
pub(super) const HTTP: &[Http] = &[Http::H3];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = Some("quic");
pub(super) const CARRIERS: &[Carrier] = &[Carrier::Stream, Carrier::Datagrams];
pub(super) const WORKLOADS: &[Workload] = Workload::OF_LISTENERS;
pub(super) const SCHEMES: &[&str] = &["https"];
pub(super) const PEER_KEYS: &[&str] = &[];
/// No page of ours speaks it.
pub(super) const PAGE: Option<Page> = None;
/// QUIC's PING is sent only into silence, which a feed with updates has none of.
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    match options.carrier {
        Some(Carrier::Datagrams) => "webtransport datagrams".to_owned(),
        Some(Carrier::Stream | Carrier::Polling | Carrier::Socket | Carrier::Upgrade) | None => {
            "webtransport".to_owned()
        }
    }
}

pub(super) fn model(_options: &TransportOptions) -> Model {
    Model { kind: ModelKind::Push, period_us: None, expected_delay_us: Some(0.0) }
}

pub(super) fn drain(_options: &TransportOptions) -> Duration {
    Duration::from_secs(1)
}

pub(super) fn coalesces(_options: &TransportOptions) -> bool {
    false
}

/// Whether what the network loses stays lost.
pub(super) fn loses(options: &TransportOptions) -> bool {
    options.carrier == Some(Carrier::Datagrams)
}

pub(super) fn connections(_options: &TransportOptions) -> u32 {
    1
}

#[cfg(feature = "quic")]
pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    session::run(client, stands).await
}

#[cfg(not(feature = "quic"))]
pub(super) async fn run(_client: &Client, _stands: &mut bool) -> Ran {
    Err(crate::worker::ClientError::LeftOut("quic"))
}
