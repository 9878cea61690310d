//! What Linux tells of a process: processor time, memory, switches, waiting; and which cores a thread runs on.
//!
//! Elsewhere every reading is `None`, and figures made from it are null with that reason.

use std::{collections::HashMap, fs, path::Path};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Name of the server's publisher thread.
const PUBLISHER: &str = "publisher";

/// One reading; differences between two are what a phase cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time of all threads, in nanoseconds.
    pub cpu_ns: u64,
    /// Of it, the publisher thread's.
    pub publisher_cpu_ns: u64,
    /// Time that threads were runnable but not running, in nanoseconds.
    pub run_delay_ns: u64,
    /// Times that threads went to sleep by themselves.
    pub voluntary_switches: u64,
    /// Resident set in bytes.
    pub rss_bytes: u64,
    /// Largest resident set so far in bytes.
    pub rss_peak_bytes: u64,
}

/// Reads a process, `None` where the system does not tell or the process is gone.
pub fn usage(pid: u32) -> Option<Usage> {
    let folder = Path::new("/proc").join(pid.to_string());
    let status = fields(&folder.join("status"))?;
    let kilobytes = |key: &str| -> Option<u64> { status.get(key)?.split(' ').next()?.parse().ok() };
    let mut usage = Usage {
        rss_bytes: kilobytes("VmRSS")? * 1024,
        rss_peak_bytes: kilobytes("VmHWM")? * 1024,
        ..Usage::default()
    };
    for thread in fs::read_dir(folder.join("task")).ok()?.flatten() {
        // A thread may end while it is looked at; what it used is then missing from both readings.
        let _ = add_thread(&mut usage, &thread.path());
    }
    Some(usage)
}

/// Reads a process and all its descendants: a launcher's server, or a server's workers. Pages that they share
/// are in each one's resident set.
pub fn usage_of_tree(pid: u32) -> Option<Usage> {
    let mut total = usage(pid)?;
    // One that ended meanwhile is missing from both readings.
    descendants(pid).into_iter().filter_map(usage).for_each(|usage| total.add(&usage));
    Some(total)
}

/// Reads a process, and browsers with all their descendants. Threads and helpers of a browser come and go, so their
/// processor time is what the kernel keeps of whole processes and of the children that those have buried, in ticks of 10 ms.
/// Their waiting for a processor is left out: it is the sum over hundreds of threads, few of which a message passes, and what
/// those waited is within the delays.
pub fn usage_with(pid: u32, browsers: impl IntoIterator<Item = u32>) -> Option<Usage> {
    let mut total = usage(pid)?;
    for browser in browsers {
        let helpers = descendants(browser);
        for pid in std::iter::once(browser).chain(helpers) {
            // One that ended meanwhile is buried.
            let Some((usage, cpu_ns)) = usage(pid).zip(cpu_ns_of_process(pid)) else { continue };
            total.add(&Usage { cpu_ns, run_delay_ns: 0, ..usage });
        }
    }
    Some(total)
}

/// Processor time of all threads that a process ever had, and of its children that have ended.
fn cpu_ns_of_process(pid: u32) -> Option<u64> {
    let stat = procfs::process::Process::new(pid as i32).ok()?.stat().ok()?;
    let of_children = (stat.cutime + stat.cstime).max(0).unsigned_abs();
    let ticks = stat.utime + stat.stime + of_children;
    Some(ticks * (1_000_000_000 / procfs::ticks_per_second().max(1)))
}

/// Reads several processes that share a work; `None` if one of them is gone.
pub fn usage_of(pids: impl IntoIterator<Item = u32>) -> Option<Usage> {
    let mut total = Usage::default();
    for pid in pids {
        total.add(&usage(pid)?);
    }
    Some(total)
}

impl Usage {
    /// Without a thread's processor time that stands for something else.
    pub fn without(self, cpu_ns: u64) -> Self {
        Self { cpu_ns: self.cpu_ns.saturating_sub(cpu_ns), ..self }
    }

    /// Adds another process's; peaks of memory may have been at different instants.
    fn add(&mut self, other: &Self) {
        self.cpu_ns += other.cpu_ns;
        self.publisher_cpu_ns += other.publisher_cpu_ns;
        self.run_delay_ns += other.run_delay_ns;
        self.voluntary_switches += other.voluntary_switches;
        self.rss_bytes += other.rss_bytes;
        self.rss_peak_bytes += other.rss_peak_bytes;
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|process| {
            let status = fields(&Path::new("/proc").join(process.to_string()).join("status"))?;
            Some((process, status.get("PPid")?.parse().ok()?))
        })
        .collect();
    let mut found = vec![pid];
    let mut looked_at = 0;
    while looked_at < found.len() {
        let parent = found[looked_at];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        looked_at += 1;
    }
    found.split_off(1)
}

fn add_thread(usage: &mut Usage, folder: &Path) -> Option<()> {
    // Scheduler statistics are in nanoseconds; the stat file counts ticks of 4 ms.
    let schedstat = fs::read_to_string(folder.join("schedstat")).ok()?;
    let mut numbers = schedstat.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0));
    let (cpu_ns, run_delay_ns) = (numbers.next()?, numbers.next()?);
    let status = fields(&folder.join("status"))?;
    usage.cpu_ns += cpu_ns;
    usage.run_delay_ns += run_delay_ns;
    usage.voluntary_switches += status.get("voluntary_ctxt_switches")?.parse::<u64>().ok()?;
    if status.get("Name").is_some_and(|name| name == PUBLISHER) {
        usage.publisher_cpu_ns += cpu_ns;
    }
    Some(())
}

fn fields(path: &Path) -> Option<HashMap<String, String>> {
    let text = fs::read_to_string(path).ok()?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Some(pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
}

/// Cores that this process may run on, ascending.
pub fn allowed_cores() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![0] };
    (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).map(|core| core as u32).collect()
}

/// Keeps the calling thread, and the threads it will make, on these cores.
pub fn pin_thread(cores: &[u32]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core as usize)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Which cores each side runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The server's.
    pub server: Vec<u32>,
    /// The load generator's.
    pub loadgen: Vec<u32>,
}

impl Cores {
    /// Apart where there are two cores; from four on, one is left to the kernel.
    pub fn split(allowed: &[u32]) -> Self {
        let usable = if allowed.len() >= 4 { &allowed[..allowed.len() - 1] } else { allowed };
        if usable.len() < 2 {
            return Self { server: usable.to_vec(), loadgen: usable.to_vec() };
        }
        let (server, loadgen) = usable.split_at(usable.len() / 2);
        Self { server: server.to_vec(), loadgen: loadgen.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_run_apart() {
        let check = |allowed: &[u32], server: &[u32], loadgen: &[u32]| {
            let cores = Cores::split(allowed);
            assert_eq!((cores.server.as_slice(), cores.loadgen.as_slice()), (server, loadgen));
        };
        check(&[3], &[3], &[3]);
        check(&[0, 1], &[0], &[1]);
        check(&[0, 1, 2], &[0], &[1, 2]);
        check(&[0, 1, 2, 3], &[0], &[1, 2]);
        check(&[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2], &[3, 4, 5, 6]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_process_can_be_read() {
        let before = usage(std::process::id()).unwrap();
        assert!(before.rss_bytes > 0 && before.rss_peak_bytes >= before.rss_bytes);
        assert_eq!(usage(u32::MAX), None);
        let alone = usage_with(std::process::id(), []).unwrap();
        let with_itself = usage_with(std::process::id(), [std::process::id()]).unwrap();
        assert!(with_itself.rss_bytes > alone.rss_bytes && with_itself.cpu_ns >= alone.cpu_ns);
        assert!(usage_with(std::process::id(), [u32::MAX]).is_some());
        assert!(!allowed_cores().is_empty());
    }
}
