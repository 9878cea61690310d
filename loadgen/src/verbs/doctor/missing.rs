//! What cannot be measured on this machine, or by this version, each with its reason.

use std::path::Path;

use crate::machine::{Machine, Snapshot, text};

/// One line for each gap.
pub(super) fn lines(machine: &Machine) -> Vec<String> {
    let mut lines = vec![
        "a real network: all traffic stays on the loopback, whose MTU is 65,536 and whose loss is nil; no frames, no offloads"
            .to_owned(),
        "delays between two hosts: this version measures on one host, with one clock".to_owned(),
        "heap allocations of server and generator: the build has no counting allocator".to_owned(),
        "system calls: only socket reads and writes that moved bytes are counted, by the wrapper around each socket"
            .to_owned(),
    ];
    lines.push(hardware_counters());
    lines.push(if Path::new("/sys/module/sch_netem").exists() {
        "an emulated link: netem is there, but this version does not use it".to_owned()
    } else {
        "an emulated link by netem: the kernel module is not loaded".to_owned()
    });
    if !Path::new("/dev/ptp0").exists() {
        lines.push("a hardware (PTP) clock: there is no /dev/ptp0".to_owned());
    }
    let now = Snapshot::now();
    if now.cpu_pressure_us.is_none() {
        lines.push(
            "pressure (PSI): /proc/pressure is not there; a machine that is waited for goes unnoticed"
                .to_owned(),
        );
    }
    match now.steal_s {
        None => lines.push("time taken by the host: /proc/stat does not tell it".to_owned()),
        Some(steal) if steal == 0.0 && machine.hypervisor.as_deref().is_ok_and(|name| name != "none") => {
            lines.push(
                "time taken by the host: it tells none so far, which may mean that it never does".to_owned(),
            );
        }
        Some(_) => {}
    }
    let told = [("frequency governor", &machine.governor), ("microcode revision", &machine.microcode)];
    lines
        .extend(told.iter().filter_map(|(what, fact)| Some(format!("the {what}: {}", fact.as_ref().err()?))));
    lines.extend(
        machine
            .turbo
            .as_ref()
            .err()
            .map(|reason| format!("whether the processor exceeds its nominal frequency: {reason}")),
    );
    if machine.cores.as_ref().is_ok_and(|&cores| cores < 4) {
        lines.push(
            "times free of the kernel's own work: with fewer than four cores none is left to it".to_owned(),
        );
    }
    lines
}

fn hardware_counters() -> String {
    let what = "hardware counters (cycles, cache misses, branches)";
    if !Path::new("/sys/bus/event_source/devices/cpu").exists() {
        return format!("{what}: the kernel sees none here");
    }
    match text("/proc/sys/kernel/perf_event_paranoid") {
        Ok(level) if level.parse::<i32>().is_ok_and(|level| level > 1) => {
            format!("{what}: perf_event_paranoid is {level}")
        }
        _ => format!("{what}: this version does not read them"),
    }
}
