//! A network namespace that lives as long as somebody holds it.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use nix::sched::{CloneFlags, setns};

/// One end of a link, as a place to live in. Clones are the same place; it goes with the last of them, and with the
/// last thread, process and socket in it.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    /// The place behind a path that [`Self::path`] told.
    ///
    /// # Errors
    /// When it cannot be opened: it is gone, or another user's.
    pub fn open(path: &std::path::Path) -> io::Result<Self> {
        Ok(Self::new(std::fs::File::open(path)?.into()))
    }

    /// Lets the calling thread live in it from now on: sockets that it opens, threads and processes that it starts do,
    /// too. There is no way back, so this is for a thread of its own.
    ///
    /// # Errors
    /// When the kernel refuses, as it does without CAP_SYS_ADMIN.
    pub fn enter(&self) -> io::Result<()> {
        setns(&*self.0, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// A path under which another process can open it while this one holds it, for `setns` or `nsenter --net=`.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}
