//! The whole machine's counters: stolen time, pressure, dropped connections, out-of-memory kills. Differences matter.
//!
//! What the system does not tell counts as nothing happened, or is `None`.

use std::fs;

use measurement::validity::Machine;
use procfs::{Current as _, CurrentSI as _};
use ticker::clock;
use wire::kernel;

/// One reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    at_ns: u64,
    /// Stolen and all processor time, in ticks over all cores.
    steal: Option<(u64, u64)>,
    cpu_pressure_us: Option<u64>,
    memory_pressure_us: Option<u64>,
    listen_overflows: u64,
    oom_kills: u64,
    udp_drops: u64,
}

impl Counters {
    /// The state now. Reads six small files, some 200 µs.
    pub fn now() -> Self {
        let stat = procfs::KernelStats::current().ok().map(|stat| stat.total);
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            at_ns: clock::now_ns(),
            steal: stat.and_then(|cpu| {
                let steal = cpu.steal?;
                let used = cpu.user + cpu.nice + cpu.system + cpu.idle;
                let waited = cpu.iowait.unwrap_or(0) + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
                Some((steal, used + waited + steal))
            }),
            cpu_pressure_us: procfs::CpuPressure::current().ok().map(|pressure| pressure.some.total),
            memory_pressure_us: procfs::MemoryPressure::current().ok().map(|pressure| pressure.some.total),
            listen_overflows: kernel::counter(&read("/proc/net/netstat"), "ListenOverflows").unwrap_or(0),
            oom_kills: vmstat(&read("/proc/vmstat"), "oom_kill").unwrap_or(0),
            udp_drops: kernel::counter(&read("/proc/net/snmp"), "RcvbufErrors").unwrap_or(0),
        }
    }

    /// What happened from `earlier` on: shares of that time.
    pub fn since(&self, earlier: &Self) -> Machine {
        let wall_us = self.at_ns.saturating_sub(earlier.at_ns) as f64 / 1e3;
        let share = |to: Option<u64>, from: Option<u64>| {
            let waited = to?.saturating_sub(from?) as f64;
            (wall_us > 0.0).then(|| waited / wall_us)
        };
        let stolen = |((steal, all), (steal_before, all_before)): ((u64, u64), (u64, u64))| {
            let all = all.saturating_sub(all_before);
            (all > 0).then(|| steal.saturating_sub(steal_before) as f64 / all as f64)
        };
        Machine {
            steal_share: self.steal.zip(earlier.steal).and_then(stolen),
            cpu_pressure_share: share(self.cpu_pressure_us, earlier.cpu_pressure_us),
            memory_pressure_share: share(self.memory_pressure_us, earlier.memory_pressure_us),
            listen_overflows: self.listen_overflows.saturating_sub(earlier.listen_overflows),
            oom_kills: self.oom_kills.saturating_sub(earlier.oom_kills),
            udp_drops: self.udp_drops.saturating_sub(earlier.udp_drops),
        }
    }
}

/// A counter of `/proc/vmstat`: a name and a value on each line.
fn vmstat(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(known, _)| *known == name)?.1.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        assert_eq!(vmstat("pgfault 12\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(vmstat("", "oom_kill"), None);
    }

    #[test]
    fn differences_are_shares_of_the_time_between() {
        let earlier = Counters {
            at_ns: 1_000_000_000,
            steal: Some((5, 100)),
            cpu_pressure_us: Some(10),
            memory_pressure_us: None,
            listen_overflows: 3,
            oom_kills: 1,
            udp_drops: 2,
        };
        let later = Counters {
            at_ns: 2_000_000_000,
            steal: Some((10, 300)),
            cpu_pressure_us: Some(500_010),
            memory_pressure_us: Some(9),
            listen_overflows: 4,
            oom_kills: 1,
            udp_drops: 7,
        };
        let expected = Machine {
            steal_share: Some(0.025),
            cpu_pressure_share: Some(0.5),
            memory_pressure_share: None,
            listen_overflows: 1,
            oom_kills: 0,
            udp_drops: 5,
        };
        assert_eq!(later.since(&earlier), expected);
        assert_eq!(earlier.since(&earlier).steal_share, None);
    }
}
