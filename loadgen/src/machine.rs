//! Facts about this machine, for the manifest, `doctor` and `check`. What it cannot tell is a reason, never a guess.

use std::{collections::BTreeMap, fs};

use measurement::result::{FORMAT, Manifest};
use procfs::{Current as _, CurrentSI as _};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    browser,
    plan::{Driver, Plan},
    scenario::estimate::Limits,
};

/// A fact, or why there is none.
pub type Fact<T> = Result<T, String>;

/// What stays the same while a run lasts.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Model name of the first processor.
    pub cpu_model: Fact<String>,
    /// Its microcode revision.
    pub microcode: Fact<String>,
    /// Logical processors.
    pub cores: Fact<u64>,
    /// Whether two logical processors share a core.
    pub smt: Fact<bool>,
    /// Frequency governor of the first processor.
    pub governor: Fact<String>,
    /// Whether the processor may exceed its nominal frequency.
    pub turbo: Fact<bool>,
    /// Bytes of memory.
    pub memory_bytes: Fact<u64>,
    /// Kernel release.
    pub kernel: Fact<String>,
    /// What the kernel reads time from.
    pub clocksource: Fact<String>,
    /// What the machine runs on; `none` on bare metal.
    pub hypervisor: Fact<String>,
    /// Processor limit of the control group.
    pub cgroup_cpu: Fact<String>,
    /// Memory limit of the control group.
    pub cgroup_memory: Fact<String>,
    /// Soft and hard limit of open files.
    pub open_files: Fact<(u64, u64)>,
    /// Soft limits of this process by their names in /proc/self/limits, `unlimited` or a number with its unit.
    pub ulimits: Fact<BTreeMap<String, String>>,
    /// First and last ephemeral port.
    pub ports: Fact<(u64, u64)>,
    /// MTU of the loopback interface, in bytes.
    pub loopback_mtu: Fact<String>,
    /// [`SYSCTLS`].
    pub sysctls: BTreeMap<&'static str, Fact<String>>,
}

/// Kernel settings that change network figures, as paths below /proc/sys.
pub const SYSCTLS: &[&str] = &[
    "net/core/rmem_max",
    "net/core/somaxconn",
    "net/core/wmem_max",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_autocorking",
    "net/ipv4/tcp_available_congestion_control",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_notsent_lowat",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_wmem",
];

impl Machine {
    /// Reads all facts.
    pub fn read() -> Self {
        let cpu = procfs::CpuInfo::current().map_err(|error| format!("/proc/cpuinfo: {error}"));
        let of_cpu = |key: &str| -> Fact<String> {
            let cpu = cpu.as_ref().map_err(Clone::clone)?;
            let found = cpu.get_info(0).and_then(|info| info.get(key).map(|value| (*value).to_owned()));
            found.ok_or_else(|| format!("/proc/cpuinfo has no \"{key}\""))
        };
        let device = "/sys/devices/system/cpu";
        Self {
            cpu_model: of_cpu("model name"),
            microcode: of_cpu("microcode"),
            cores: cpu.as_ref().map(|cpu| cpu.num_cores() as u64).map_err(Clone::clone),
            smt: text(&format!("{device}/smt/active")).map(|active| active == "1"),
            governor: text(&format!("{device}/cpu0/cpufreq/scaling_governor")),
            turbo: text(&format!("{device}/cpufreq/boost")).map(|boost| boost == "1"),
            memory_bytes: procfs::Meminfo::current()
                .map(|m| m.mem_total)
                .map_err(|e| format!("/proc/meminfo: {e}")),
            kernel: text("/proc/sys/kernel/osrelease"),
            clocksource: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            hypervisor: hypervisor(of_cpu("flags")),
            cgroup_cpu: text("/sys/fs/cgroup/cpu.max"),
            cgroup_memory: text("/sys/fs/cgroup/memory.max"),
            open_files: nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
                .map_err(|error| format!("getrlimit: {error}")),
            ulimits: text("/proc/self/limits").map(|text| ulimits(&text)),
            ports: ports(),
            loopback_mtu: text("/sys/class/net/lo/mtu"),
            sysctls: SYSCTLS.iter().map(|path| (*path, text(&format!("/proc/sys/{path}")))).collect(),
        }
    }

    /// What it gives to a plan.
    pub fn limits(&self) -> Limits {
        Limits {
            files: self.open_files.as_ref().ok().map(|(_, hard)| *hard),
            ports: self.ports.as_ref().ok().map(|(first, last)| last + 1 - first),
            no_browser: no_browser(),
        }
    }
}

/// What this machine gives to a trial, read afresh.
pub fn limits() -> Limits {
    let hard =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).map(|(_, hard)| hard);
    let ports = ports().ok().map(|(first, last)| last + 1 - first);
    Limits { files: hard.ok(), ports, no_browser: no_browser() }
}

fn no_browser() -> Option<String> {
    browser::program().err().map(|error| error.to_string())
}

/// A file's text without the line end.
pub(crate) fn text(path: &str) -> Fact<String> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|error| format!("{path}: {error}"))
}

/// The type that the system tells, or what the processor's flags let one see.
fn hypervisor(flags: Fact<String>) -> Fact<String> {
    if let Ok(vendor) = text("/sys/class/dmi/id/sys_vendor").or_else(|_| text("/sys/hypervisor/type")) {
        return Ok(vendor);
    }
    let virtual_machine = flags?.split_ascii_whitespace().any(|flag| flag == "hypervisor");
    Ok(if virtual_machine { "present, unnamed" } else { "none" }.to_owned())
}

/// Name (26 columns), soft limit, hard limit and unit of each line after the first (proc(5)).
fn ulimits(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (name, rest) = line.split_at_checked(26)?;
        let mut columns = rest.split_ascii_whitespace();
        let (soft, unit) = (columns.next()?, columns.nth(1).unwrap_or_default());
        Some((name.trim().to_owned(), format!("{soft} {unit}").trim().to_owned()))
    };
    text.lines().skip(1).filter_map(line).collect()
}

fn ports() -> Fact<(u64, u64)> {
    let range = text("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut numbers = range.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok((first, last)),
        _ => Err(format!("ip_local_port_range is {range:?}")),
    }
}

/// What changes while a run lasts: taken before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Load average over one, five and fifteen minutes.
    pub load: Option<[f32; 3]>,
    /// Microseconds in which something waited for a processor, since the machine started.
    pub cpu_pressure_us: Option<u64>,
    /// The same for memory.
    pub memory_pressure_us: Option<u64>,
    /// The same for input and output.
    pub io_pressure_us: Option<u64>,
    /// Processor time that the host took away, over all processors, in seconds since the machine started.
    pub steal_s: Option<f64>,
}

impl Snapshot {
    /// The state now.
    pub fn now() -> Self {
        let load = procfs::LoadAverage::current().ok();
        let ticks = procfs::ticks_per_second() as f64;
        Self {
            load: load.map(|load| [load.one, load.five, load.fifteen]),
            cpu_pressure_us: procfs::CpuPressure::current().ok().map(|pressure| pressure.some.total),
            memory_pressure_us: procfs::MemoryPressure::current().ok().map(|pressure| pressure.some.total),
            io_pressure_us: procfs::IoPressure::current().ok().map(|pressure| pressure.some.total),
            steal_s: procfs::KernelStats::current()
                .ok()
                .and_then(|stat| stat.total.steal)
                .map(|steal| steal as f64 / ticks),
        }
    }
}

/// The conditions of a run that starts now: the lead-in of the result's manifest. The runner adds what it
/// alone knows (pinning, floor, the state after).
pub fn manifest(plan: &Plan) -> Manifest {
    let machine = Machine::read();
    let mut collected = Collected::default();
    let timed_must_match = machine.timed(&mut collected);
    let mut recorded = machine.recorded(&mut collected);
    recorded.extend(program(&mut collected));
    let remote = plan.variants.iter().any(crate::plan::VariantPlan::is_remote);
    let network = if remote { "a network to another machine" } else { "loopback, IPv4" };
    recorded.insert("network".to_owned(), json!(network));
    recorded.insert("before".to_owned(), json!(Snapshot::now()));
    recorded.insert("trials".to_owned(), json!(plan.trials));
    recorded.insert("quick".to_owned(), json!(plan.quick));
    recorded.insert("unavailable".to_owned(), json!(collected.unavailable));
    let mut must_match = must_match(plan);
    if plan.variants.iter().any(|variant| variant.driver == Driver::Chromium) {
        // What it sends, and how long it takes, is another matter in each version.
        let version = browser::version().unwrap_or_else(|error| error.to_string());
        must_match.insert("browser".to_owned(), json!(version));
    }
    Manifest { must_match, timed_must_match, recorded }
}

/// Differences here make any comparison meaningless: what is sent, to how many, in which bytes.
fn must_match(plan: &Plan) -> BTreeMap<String, Value> {
    let distinct = |values: Vec<Value>| {
        let mut distinct: Vec<Value> = Vec::new();
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        json!(distinct)
    };
    let of = |read: &dyn Fn(&crate::plan::VariantPlan) -> Value| {
        plan.variants.iter().map(read).collect::<Vec<_>>()
    };
    BTreeMap::from([
        ("format".to_owned(), json!(FORMAT)),
        ("plan".to_owned(), json!(hash(json!(plan.variants).to_string().as_bytes()))),
        ("seed".to_owned(), json!(plan.seed)),
        ("variants".to_owned(), json!(of(&|variant| json!(variant.name)))),
        ("header_profiles".to_owned(), distinct(of(&|variant| json!(variant.header_profile)))),
        ("quote_bytes".to_owned(), distinct(of(&|variant| json!(variant.feed.quote_bytes)))),
    ])
}

/// SHA-256 in hexadecimal.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Facts on their way into the manifest: absent ones become null, their reasons are kept apart.
#[derive(Default)]
struct Collected {
    unavailable: BTreeMap<String, String>,
}

impl Collected {
    fn entry<T: Serialize>(&mut self, name: &str, fact: &Fact<T>) -> (String, Value) {
        let value = match fact {
            Ok(value) => json!(value),
            Err(reason) => {
                self.unavailable.insert(name.to_owned(), reason.clone());
                Value::Null
            }
        };
        (name.to_owned(), value)
    }
}

impl Machine {
    fn timed(&self, collected: &mut Collected) -> BTreeMap<String, Value> {
        BTreeMap::from([
            collected.entry("cpu_model", &self.cpu_model),
            collected.entry("cores", &self.cores),
            collected.entry("memory_bytes", &self.memory_bytes),
            collected.entry("kernel", &self.kernel),
            collected.entry("clocksource", &self.clocksource),
            collected.entry("hypervisor", &self.hypervisor),
            collected.entry("rustc", &built("rustc", option_env!("TICKERTAPE_RUSTC"), "TICKERTAPE_RUSTC")),
            ("profile".to_owned(), json!(if cfg!(debug_assertions) { "debug" } else { "release" })),
        ])
    }

    fn recorded(&self, collected: &mut Collected) -> BTreeMap<String, Value> {
        let sysctls: BTreeMap<String, Value> = self
            .sysctls
            .iter()
            .map(|(path, value)| collected.entry(&path.replace('/', "."), value))
            .collect();
        BTreeMap::from([
            collected.entry("microcode", &self.microcode),
            collected.entry("smt", &self.smt),
            collected.entry("governor", &self.governor),
            collected.entry("turbo", &self.turbo),
            collected.entry("cgroup_cpu", &self.cgroup_cpu),
            collected.entry("cgroup_memory", &self.cgroup_memory),
            collected.entry("open_files_soft_hard", &self.open_files),
            collected.entry("ulimits", &self.ulimits),
            collected.entry("offloads", &not_told(OFFLOADS)),
            collected.entry("loopback_mtu", &self.loopback_mtu),
            ("sysctls".to_owned(), json!(sysctls)),
        ])
    }
}

const OFFLOADS: &str =
    "the kernel tells them by ethtool only; a loopback segments at its MTU and sends no frames";

fn not_told(reason: &str) -> Fact<String> {
    Err(reason.to_owned())
}

/// What this program was built from.
fn program(collected: &mut Collected) -> BTreeMap<String, Value> {
    let revision = built("revision", option_env!("TICKERTAPE_GIT_REVISION"), "TICKERTAPE_GIT_REVISION");
    BTreeMap::from([
        ("tool".to_owned(), json!(concat!("loadgen ", env!("CARGO_PKG_VERSION")))),
        collected.entry("git_revision", &revision),
        ("server".to_owned(), json!("this program (loadgen serve), a process of its own")),
        ("build_features".to_owned(), json!("default; no link-time optimisation")),
        ("lockfile".to_owned(), json!(hash(include_bytes!("../../Cargo.lock")))),
    ])
}

fn built(what: &str, value: Option<&str>, variable: &str) -> Fact<String> {
    value
        .map(str::to_owned)
        .ok_or_else(|| format!("the {what} is known only when {variable} is set at build time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load};

    fn of(set: &str) -> Manifest {
        manifest(&load("ticker", &Overrides { set: vec![set.to_owned()], ..Overrides::default() }).unwrap())
    }

    #[test]
    fn the_plan_decides_what_must_match_and_the_number_of_trials_does_not() {
        assert_eq!(of("load.trials=3").must_match, of("load.trials=5").must_match);
        assert_ne!(of("load.clients=10").must_match["plan"], of("load.clients=11").must_match["plan"]);
        assert_eq!(of("load.clients=10").must_match["header_profiles"], json!(["browser"]));
    }

    #[test]
    fn soft_limits_are_read_by_name() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 524288               files     \n\
                    Max nice priority         0                    0                    \n";
        let limits = ulimits(text);
        assert_eq!(limits["Max open files"], "1024 files");
        assert_eq!((limits["Max nice priority"].as_str(), limits.len()), ("0", 3));
    }

    #[test]
    fn every_null_has_its_reason() {
        let manifest = of("load.trials=3");
        let unavailable = manifest.recorded["unavailable"].as_object().unwrap();
        for (name, value) in manifest.timed_must_match.iter().chain(&manifest.recorded) {
            assert_eq!(value.is_null(), unavailable.contains_key(name), "{name}");
        }
        assert_eq!(manifest.timed_must_match["profile"], json!("release"));
    }
}
