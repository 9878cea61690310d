//! Stands where a transport is that this build leaves out; scenarios are refused before anything of it is asked.

use std::time::Duration;

use measurement::result::{Model, ModelKind};

use super::{Conflict, Ran, page::Page};
use crate::{
    plan::{Carrier, Http, TransportOptions, Workload},
    scenario::headers::Initiator,
    worker::{Client, ClientError},
};

pub(super) use super::library::{direct, library_only};

pub(super) const INITIATOR: Initiator = Initiator::Program;
pub(super) const KEYS: &[&str] = &[];
pub(super) const HTTP: &[Http] = &[Http::H2];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = Some("grpc");
pub(super) const CARRIERS: &[Carrier] = &[];
pub(super) const WORKLOADS: &[Workload] = Workload::OF_LISTENERS;
pub(super) const SCHEMES: &[&str] = &["https"];
pub(super) const PEER_KEYS: &[&str] = &[];
/// No page of ours speaks it.
pub(super) const PAGE: Option<Page> = None;
pub(super) const HEARTBEAT_BYTES: u64 = 0;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(_options: &TransportOptions) -> String {
    "left out".to_owned()
}

pub(super) fn model(_options: &TransportOptions) -> Model {
    Model { kind: ModelKind::Push, period_us: None, expected_delay_us: None }
}

pub(super) fn drain(_options: &TransportOptions) -> Duration {
    Duration::from_secs(1)
}

pub(super) fn coalesces(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn loses(_options: &TransportOptions) -> bool {
    false
}

pub(super) fn connections(_options: &TransportOptions) -> u32 {
    1
}

pub(super) async fn run(_client: &Client, _stands: &mut bool) -> Ran {
    Err(ClientError::LeftOut("grpc"))
}
