//! How many system calls a process makes, by the kernel's own tracepoint: no tracer stops anybody.
//!
//! It needs tracefs mounted and the right to use it (`perf_event_open(2)`), which most machines do not grant. Where
//! it cannot count it says why, and nothing else changes.

use std::{fs::File, io::Read as _, path::Path};

/// Where tracefs is mounted, if it is.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// Counts the entry into any system call.
const TRACEPOINT: &str = "events/raw_syscalls/sys_enter/id";

/// A running count over all threads of a process, from now on.
#[derive(Debug)]
pub struct Syscalls(Vec<File>);

/// Why system calls cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum Uncounted {
    /// The number of the tracepoint is not to be had.
    #[error("the kernel's tracepoint of system calls cannot be read: {0}")]
    Tracepoint(std::io::Error),
    /// The kernel does not count for us.
    #[error("the kernel refuses to count system calls: {0}")]
    Refused(std::io::Error),
    /// No process is known.
    #[error("the server's process is not known")]
    NoProcess,
}

impl Syscalls {
    /// Counts for a process, and for threads that it will start.
    pub fn of(pid: u32) -> Result<Self, Uncounted> {
        let mounted = TRACEFS.into_iter().find(|folder| Path::new(folder).join(TRACEPOINT).exists());
        Self::by(Path::new(mounted.unwrap_or(TRACEFS[0])), pid)
    }

    /// Counts for several processes.
    pub fn of_all(pids: &[u32]) -> Result<Self, Uncounted> {
        let mut files = Vec::new();
        for pid in pids {
            files.extend(Self::of(*pid)?.0);
        }
        Ok(Self(files))
    }

    fn by(tracefs: &Path, pid: u32) -> Result<Self, Uncounted> {
        let id = std::fs::read_to_string(tracefs.join(TRACEPOINT)).map_err(Uncounted::Tracepoint)?;
        let id = id.trim().parse().map_err(|error| Uncounted::Tracepoint(std::io::Error::other(error)))?;
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(Uncounted::Refused)?;
        let mut files = Vec::new();
        for thread in threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            files.push(system::open(id, thread).map_err(Uncounted::Refused)?);
        }
        Ok(Self(files))
    }

    /// Calls so far; `None` if the kernel does not tell.
    pub fn read(&self) -> Option<u64> {
        let mut sum = 0;
        for mut file in &self.0 {
            let mut count = [0; 8];
            file.read_exact(&mut count).ok()?;
            sum += u64::from_ne_bytes(count);
        }
        Some(sum)
    }
}

#[cfg(target_os = "linux")]
mod system {
    #![expect(unsafe_code, reason = "neither std nor nix has perf_event_open; the call reads plain data")]

    use std::{
        fs::File,
        io,
        os::fd::{FromRawFd as _, RawFd},
    };

    /// `struct perf_event_attr` as its first version has it (`linux/perf_event.h`, PERF_ATTR_SIZE_VER0).
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        kind: u32,
        size: u32,
        config: u64,
        sample_period: u64,
        sample_type: u64,
        read_format: u64,
        flags: u64,
        wakeup_events: u32,
        breakpoint_type: u32,
        config1: u64,
    }

    const TYPE_TRACEPOINT: u32 = 2;
    /// The second bit of the flags: threads started later are counted, too.
    const INHERIT: u64 = 1 << 1;
    const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

    pub(super) fn open(tracepoint: u64, thread: i32) -> io::Result<File> {
        let attributes = Attributes {
            kind: TYPE_TRACEPOINT,
            size: size_of::<Attributes>() as u32,
            config: tracepoint,
            flags: INHERIT,
            ..Attributes::default()
        };
        // SAFETY: the kernel reads `size` bytes of the struct and keeps no pointer; no group, any processor.
        let fd = unsafe {
            libc::syscall(libc::SYS_perf_event_open, &raw const attributes, thread, -1, -1, CLOSE_ON_EXEC)
        };
        match RawFd::try_from(fd) {
            // SAFETY: the descriptor is new and nobody else's.
            Ok(fd) if fd >= 0 => Ok(unsafe { File::from_raw_fd(fd) }),
            Ok(_) | Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{fs::File, io};

    pub(super) fn open(_tracepoint: u64, _thread: i32) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_kernel_does_not_count_the_reason_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let why = |found: Result<Syscalls, Uncounted>| found.unwrap_err().to_string();
        let missing = why(Syscalls::by(folder.path(), std::process::id()));
        assert!(missing.starts_with("the kernel's tracepoint of system calls cannot be read: "), "{missing}");
        let file = folder.path().join(TRACEPOINT);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "none\n").unwrap();
        let broken = why(Syscalls::by(folder.path(), std::process::id()));
        assert!(broken.starts_with("the kernel's tracepoint of system calls cannot be read: "), "{broken}");
        // No tracepoint has that number.
        std::fs::write(&file, format!("{}\n", u64::MAX)).unwrap();
        let refused = why(Syscalls::by(folder.path(), std::process::id()));
        assert!(refused.starts_with("the kernel refuses to count system calls: "), "{refused}");
    }

    #[test]
    fn where_the_kernel_counts_calls_add_up() {
        let Ok(syscalls) = Syscalls::of(std::process::id()) else { return };
        let before = syscalls.read().unwrap();
        for _ in 0..100 {
            assert!(Path::new("/proc/self").exists());
        }
        assert!(syscalls.read().unwrap() >= before + 100);
    }
}
