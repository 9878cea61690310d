//! Stands for the link where there is no Linux: it says so.

use std::{convert::Infallible, io, net::Ipv4Addr, path::PathBuf};

use super::{Counts, Path, Unavailable};

/// Whether packets can be relayed here; they cannot.
///
/// # Errors
/// Always: namespaces are Linux's.
pub fn available() -> Result<(), Unavailable> {
    Err(Unavailable {
        step: "make a network namespace",
        cause: io::ErrorKind::Unsupported.into(),
        help: "it takes Linux",
    })
}

/// A link; there is none here.
pub struct PacketLink(Infallible);

impl PacketLink {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn start(_seed: u64, _up: Path, _down: Path) -> io::Result<Self> {
        available().map_err(io::Error::other)?;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The address of the client's end.
    pub fn client_ip(&self) -> Ipv4Addr {
        match self.0 {}
    }

    /// The address of the server's end.
    pub fn server_ip(&self) -> Ipv4Addr {
        match self.0 {}
    }

    /// Where clients live.
    pub fn client(&self) -> Namespace {
        match self.0 {}
    }

    /// Where the server lives.
    pub fn server(&self) -> Namespace {
        match self.0 {}
    }

    /// Changes what the link does.
    pub fn set(&self, _up: Path, _down: Path) {
        match self.0 {}
    }

    /// Lets all packets vanish.
    pub fn partition(&self) {
        match self.0 {}
    }

    /// The end of a partition.
    pub fn heal(&self) {
        match self.0 {}
    }

    /// What became of the packets so far.
    pub fn counts(&self) -> [Counts; 2] {
        match self.0 {}
    }
}

/// One end of a link; there is none here.
#[derive(Clone, Debug)]
pub struct Namespace(Infallible);

impl Namespace {
    /// Lets the calling thread live in it.
    ///
    /// # Errors
    /// Never: there is none.
    pub fn enter(&self) -> io::Result<()> {
        match self.0 {}
    }

    /// A path under which another process can open it.
    pub fn path(&self) -> PathBuf {
        match self.0 {}
    }
}
