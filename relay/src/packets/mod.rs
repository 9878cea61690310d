//! A link of IP packets: client and server in network namespaces of their own, and between them a thread that carries
//! each packet late, or not at all.
//!
//! What is below a socket is the kernel's own TCP on both sides, so handshakes take round trips and losses are sent
//! again. It needs no `netem` in the kernel and no tools, but Linux, privileges and `/dev/net/tun`.

#[cfg(target_os = "linux")]
mod carrier;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod link;
mod model;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod tun;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Namespace, PacketLink, available};
#[cfg(target_os = "linux")]
pub use link::{PacketLink, available};
pub use model::{Count, Counts, Crossing, Model, Path, Verdict};
#[cfg(target_os = "linux")]
pub use namespace::Namespace;

/// Why packets cannot be relayed here.
#[derive(Debug, thiserror::Error)]
#[error("packets cannot be relayed here: failed to {step}: {cause}; {help}")]
pub struct Unavailable {
    /// What was tried, as in "failed to …".
    pub step: &'static str,
    /// What came of it.
    pub cause: std::io::Error,
    /// What would help.
    pub help: &'static str,
}
