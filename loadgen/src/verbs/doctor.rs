//! `loadgen doctor`: what limits this machine, how well it keeps time, and what cannot be measured on it.

use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::ExitCode,
    time::Duration,
};

use ticker::clock;

mod missing;
mod noise;
mod timekeeping;

use super::{printed, table, write_table};
use crate::{
    cli::DoctorArgs,
    conditions::CONGESTION_CONTROL,
    machine::{Fact, Machine, Snapshot},
    scenario::estimate::thousands,
};

const NOISE_TIME: Duration = Duration::from_secs(2);
/// A gap between two readings of the clock that is not our own doing.
const GAP: Duration = Duration::from_micros(50);

/// Examines the machine and prints what it finds.
pub fn run(arguments: &DoctorArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    printed(examine(arguments, out))?;
    if arguments.noise { noise::run(arguments, out) } else { Ok(ExitCode::SUCCESS) }
}

fn examine(arguments: &DoctorArgs, out: &mut dyn Write) -> io::Result<()> {
    let machine = Machine::read();
    writeln!(out, "This machine\n")?;
    let mut rows = table(&["", "", "what it means here"]);
    for row in machine_rows(&machine) {
        rows.add_row(row);
    }
    write_table(out, &rows)?;

    writeln!(out, "How late a planned action is ({} times 1 ms)\n", timekeeping::ROUNDS)?;
    let mut rows = table(&["", "median", "99 %", ""]);
    for row in timekeeping::rows() {
        rows.add_row(row);
    }
    write_table(out, &rows)?;

    writeln!(
        out,
        "The smallest delay that a run resolves here: three times these (raw loopback connections)\n"
    )?;
    let mut rows = table(&["connections", "median", "99 %", ""]);
    for row in timekeeping::floor_rows() {
        rows.add_row(row);
    }
    write_table(out, &rows)?;

    writeln!(out, "What it is doing now\n")?;
    let mut rows = table(&["", "", ""]);
    for row in state_rows(&Snapshot::now(), machine.cores.as_ref().ok().copied()) {
        rows.add_row(row);
    }
    write_table(out, &rows)?;

    writeln!(out, "What cannot be measured here\n")?;
    for line in missing::lines(&machine) {
        writeln!(out, "  - {line}")?;
    }
    if arguments.noise {
        writeln!(out, "\nNoise: the clock read without a pause for {} s\n", NOISE_TIME.as_secs())?;
        for line in Noise::probe().lines() {
            writeln!(out, "  - {line}")?;
        }
    } else {
        writeln!(
            out,
            "\n`loadgen doctor --noise` measures in about four minutes how much two equal programs differ here."
        )?;
    }
    Ok(())
}

type Row = [String; 3];

fn row(name: &str, fact: &Fact<impl ToString>, meaning: &str) -> Row {
    match fact {
        Ok(value) => [name.to_owned(), value.to_string(), meaning.to_owned()],
        Err(reason) => [name.to_owned(), "not told".to_owned(), reason.clone()],
    }
}

fn machine_rows(machine: &Machine) -> Vec<Row> {
    let gib = |bytes: &u64| format!("{:.1} GiB", *bytes as f64 / f64::from(1 << 30));
    let cores = match &machine.cores {
        Ok(1) => "server and generator share it: times and cost tell little",
        Ok(2 | 3) => {
            "one for the server, one for the generator, none for the rest: expect noise in the tails"
        }
        Ok(_) | Err(_) => "enough to keep server, generator and the rest apart",
    };
    let files = machine.open_files.as_ref().map(|(_, hard)| thousands(*hard)).map_err(Clone::clone);
    let clients = machine.limits().files.map_or(0, |hard| hard.saturating_sub(64));
    let ports = machine.limits().ports;
    let port_range =
        machine.ports.as_ref().map(|(first, last)| format!("{first} to {last}")).map_err(Clone::clone);
    let sysctl =
        |path: &str| machine.sysctls.get(path).cloned().unwrap_or_else(|| Err("not read".to_owned()));
    vec![
        row("processor", &machine.cpu_model, ""),
        row("cores", &machine.cores, cores),
        row("memory", &machine.memory_bytes.as_ref().map(gib).map_err(Clone::clone), ""),
        row("kernel", &machine.kernel, ""),
        row("hypervisor", &machine.hypervisor, "on a virtual machine neighbours are part of every tail"),
        row("clock source", &machine.clocksource, clock_words(&machine.clocksource)),
        row(
            "frequency governor",
            &machine.governor,
            "anything but `performance` moves figures with the load",
        ),
        row("open files (hard limit)", &files, &format!("at most {} clients", thousands(clients))),
        row(
            "local ports",
            &port_range,
            &ports.map_or_else(String::new, |ports| format!("at most {} clients", thousands(ports))),
        ),
        row("accept queue (somaxconn)", &sysctl("net/core/somaxconn"), "connections that may wait at once"),
        row("congestion control", &sysctl("net/ipv4/tcp_congestion_control"), &cubic_words(machine)),
        row("TCP_INFO", &tcp_info(), "the kernel's own byte counts, checked against ours"),
    ]
}

fn clock_words(clocksource: &Fact<String>) -> &'static str {
    match clocksource.as_deref() {
        Ok("tsc" | "kvm-clock" | "arch_sys_counter") => "read without a system call",
        Ok(_) => "may need a system call for each reading: small delays are blurred",
        Err(_) => "",
    }
}

fn cubic_words(machine: &Machine) -> String {
    let available = machine.sysctls.get("net/ipv4/tcp_available_congestion_control");
    match available {
        Some(Ok(list)) if list.split_ascii_whitespace().any(|name| name == CONGESTION_CONTROL) => {
            "cubic is available: every socket of a run uses it".to_owned()
        }
        Some(Ok(list)) => format!("cubic is not available (there are {list}): runs use the system's"),
        Some(Err(_)) | None => String::new(),
    }
}

/// Asks the kernel about a connection of our own.
fn tcp_info() -> Fact<&'static str> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    wire::kernel::tcp_info(stream.as_fd()).map(|_| "available").map_err(|error| error.to_string())
}

fn micros(nanoseconds: u64) -> String {
    let us = nanoseconds as f64 / 1e3;
    if us < 10.0 { format!("{us:.1} µs") } else { format!("{us:.0} µs") }
}

fn state_rows(snapshot: &Snapshot, cores: Option<u64>) -> Vec<Row> {
    let load = snapshot.load.map(|[one, five, fifteen]| format!("{one:.2} {five:.2} {fifteen:.2}"));
    let busy = match (snapshot.load, cores) {
        (Some([one, ..]), Some(cores)) if f64::from(one) > 0.25 * cores as f64 => {
            "others are at work: wait, or expect noisy times"
        }
        _ => "quiet",
    };
    let seconds = |us: Option<u64>| us.map(|us| format!("{:.1} s", us as f64 / 1e6));
    let told = |value: Option<String>, reason: &str| value.ok_or_else(|| reason.to_owned());
    let pressure = "/proc/pressure is not there (PSI is off)";
    vec![
        row("load over 1, 5, 15 min", &told(load, "/proc/loadavg is not there"), busy),
        row(
            "waited for a processor",
            &told(seconds(snapshot.cpu_pressure_us), pressure),
            "since the machine started",
        ),
        row(
            "waited for memory",
            &told(seconds(snapshot.memory_pressure_us), pressure),
            "should not grow in a run",
        ),
        row(
            "taken by the host (steal)",
            &told(snapshot.steal_s.map(|s| format!("{s:.1} s")), "/proc/stat does not tell"),
            "since the machine started, over all cores",
        ),
    ]
}

/// What a thread sees that only reads the clock.
#[derive(Debug, PartialEq)]
struct Noise {
    gaps_ns: Vec<u64>,
    total_ns: u64,
    steal_s: Option<f64>,
}

impl Noise {
    fn probe() -> Self {
        let before = Snapshot::now();
        let start_ns = clock::now_ns();
        let end_ns = start_ns + NOISE_TIME.as_nanos() as u64;
        let mut gaps_ns = Vec::new();
        let mut last_ns = start_ns;
        while last_ns < end_ns {
            let now_ns = clock::now_ns();
            if now_ns - last_ns > GAP.as_nanos() as u64 {
                gaps_ns.push(now_ns - last_ns);
            }
            last_ns = now_ns;
        }
        gaps_ns.sort_unstable();
        let steal_s = Snapshot::now().steal_s.zip(before.steal_s).map(|(after, before)| after - before);
        Self { gaps_ns, total_ns: last_ns - start_ns, steal_s }
    }

    fn lines(&self) -> Vec<String> {
        let lost_ns: u64 = self.gaps_ns.iter().sum();
        let share = lost_ns as f64 / self.total_ns as f64;
        let largest: Vec<String> = self.gaps_ns.iter().rev().take(5).map(|gap| micros(*gap)).collect();
        let steal = match self.steal_s {
            Some(seconds) => format!("the host took {seconds:.2} s away from all cores meanwhile"),
            None => "the host does not tell what it took away".to_owned(),
        };
        let verdict = if share > 0.02 {
            "too noisy for times: trust counts and bytes, run times elsewhere or later"
        } else if largest.is_empty() {
            "as quiet as it gets"
        } else {
            "quiet enough; single tails may still be the machine's"
        };
        vec![
            format!(
                "{} gaps above {}, together {:.2} % of the time",
                self.gaps_ns.len(),
                micros(GAP.as_nanos() as u64),
                share * 100.0
            ),
            format!(
                "the largest: {}",
                if largest.is_empty() { "none".to_owned() } else { largest.join(", ") }
            ),
            steal,
            verdict.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_names_every_limit() {
        let mut out = Vec::new();
        run(&DoctorArgs::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for word in [
            "cores",
            "open files",
            "local ports",
            "TCP_INFO",
            "absolute sleep",
            "timerfd in the event loop",
            "tokio sleep",
            "waking another thread",
            "smallest delay",
            "load over",
            "heap allocations",
            "system calls",
            "hardware counters",
            "real network",
            "cannot be measured",
        ] {
            assert!(text.contains(word), "{word} is missing in:\n{text}");
        }
    }

    #[test]
    fn noise_is_judged_by_the_share_of_lost_time() {
        let check = |gaps_ns: Vec<u64>, verdict: &str| {
            let noise = Noise { gaps_ns, total_ns: 2_000_000_000, steal_s: None };
            assert!(noise.lines().join("\n").contains(verdict), "{noise:?}");
        };
        check(vec![], "as quiet as it gets");
        check(vec![100_000, 5_000_000], "the largest: 5000 µs, 100 µs");
        check(vec![100_000], "quiet enough");
        check(vec![100_000_000], "too noisy");
    }
}
