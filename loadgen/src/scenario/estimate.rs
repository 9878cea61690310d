//! How long a plan takes and what it needs of the machine: pure functions of the plan.

use std::{fmt, ops::Range, time::Duration};

use miette::Diagnostic;

use crate::{
    crew::Sizes,
    plan::{Driver, Plan, VariantPlan},
};

/// Starting a server process, agreeing on t0, and stopping it again.
const START: Duration = Duration::from_millis(500);
/// Starting a browser, opening a tab, and ending them.
const BROWSER_START: Duration = Duration::from_secs(2);
const TAB_START: Duration = Duration::from_millis(200);
/// What an interpreter needs more to be ready, and to end.
const PEER_START: Duration = Duration::from_millis(500);
/// The floor test, once for each number of clients.
const FLOOR: Duration = Duration::from_millis(600);

/// Open files of a process besides one for each client: listeners, runtimes, logs, /proc.
const OTHER_FILES: u64 = 64;

/// How long a plan takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// All trials of all variants.
    pub total: Duration,
    /// One trial of each variant, in the plan's order.
    pub trials: Vec<Duration>,
}

impl Estimate {
    /// Σ over variants of trials × (start 0.5 s + connect ramp + warm-up + window + drain), and the floor tests; variants that run
    /// at the same time count once. The drain is taken at its upper bound, one poll interval and a second, so that runs end
    /// early rather than late.
    pub fn of(plan: &Plan) -> Self {
        let trials: Vec<Duration> = plan.variants.iter().map(trial).collect();
        let together = plan.together();
        let mut counts: Vec<u32> =
            together.iter().map(|range| clients(&plan.variants[range.clone()])).collect();
        counts.sort_unstable();
        counts.dedup();
        let floors = FLOOR * counts.len() as u32;
        let longest = |range: &Range<usize>| trials[range.clone()].iter().max().copied().unwrap_or_default();
        let block: Duration = together.iter().map(longest).sum();
        Self { total: block * plan.trials + floors, trials }
    }
}

/// Clients of variants that run at the same time.
pub fn clients(variants: &[VariantPlan]) -> u32 {
    variants.iter().map(|variant| variant.load.clients).sum()
}

fn trial(variant: &VariantPlan) -> Duration {
    let load = &variant.load;
    let start = START + variant.peer.as_ref().map_or(Duration::ZERO, |_| PEER_START);
    let browser = match variant.driver {
        Driver::Native => Duration::ZERO,
        Driver::Chromium => BROWSER_START + TAB_START * load.clients,
    };
    start + browser + load.connect_over + load.warmup + load.measure + variant.drain()
}

/// What a plan needs of the machine, at its largest trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Most clients of a trial.
    pub clients: u64,
    /// Open files of the fullest process of either side: one for each of its connections, and 64.
    pub files: u64,
    /// Ephemeral ports of one source address: one for each connection from it.
    pub ports: u64,
    /// Addresses that connections come from.
    pub sources: u64,
    /// Processes that generate the load at one time.
    pub generators: u64,
    /// Processes that serve at one time.
    pub servers: u64,
    /// Whether clients are tabs of a browser.
    pub browser: bool,
}

/// What the machine gives. `None` where it cannot tell: then nothing is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Hard limit of open files of a process.
    pub files: Option<u64>,
    /// Ephemeral ports of one source address.
    pub ports: Option<u64>,
    /// Why there is no browser.
    pub no_browser: Option<String>,
}

impl Needs {
    /// The needs of a plan's largest trials on a machine with these limits, which decide how many processes share
    /// the work.
    pub fn of(plan: &Plan, limits: &Limits) -> Self {
        let nothing =
            Self { clients: 0, files: 0, ports: 0, sources: 1, generators: 1, servers: 1, browser: false };
        plan.together().into_iter().fold(nothing, |most, range| {
            let variants = &plan.variants[range];
            let sockets = variants.iter().map(|variant| u64::from(variant.connections())).sum();
            let sizes = Sizes::together(&variants.iter().collect::<Vec<_>>(), limits);
            let sources = u64::from(sizes.sources);
            Self {
                clients: most.clients.max(clients(variants).into()),
                files: most.files.max(sizes.most_of_one(sockets) + OTHER_FILES),
                ports: most.ports.max(sockets.div_ceil(sources)),
                sources: most.sources.max(sources),
                generators: most.generators.max(sizes.generators.into()),
                servers: most.servers.max(sizes.servers.into()),
                browser: most.browser || variants.iter().any(|variant| variant.driver == Driver::Chromium),
            }
        })
    }

    /// Whether the machine gives them.
    pub fn check(&self, limits: &Limits) -> Result<(), NeedsError> {
        if let Some(why) = limits.no_browser.as_ref().filter(|_| self.browser) {
            return Err(NeedsError::Browser(why.clone()));
        }
        match (limits.files, limits.ports) {
            (Some(limit), _) if self.files > limit => Err(NeedsError::Files { needed: self.files, limit }),
            (_, Some(limit)) if self.ports > limit => Err(NeedsError::Ports { needed: self.ports, limit }),
            _ => Ok(()),
        }
    }
}

/// The machine gives less than the plan needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Diagnostic)]
pub enum NeedsError {
    /// Open files.
    #[error("{} open files needed in one process, the hard limit is {}", thousands(*needed), thousands(*limit))]
    #[diagnostic(help(
        "lower load.clients, write load.processes = \"auto\" if it is a number, or raise `ulimit -Hn`"
    ))]
    Files {
        /// By the fullest process.
        needed: u64,
        /// RLIMIT_NOFILE, hard.
        limit: u64,
    },
    /// A browser.
    #[error("tabs of a browser are needed: {0}")]
    #[diagnostic(help("leave the variants with driver = \"chromium\" out: see --only"))]
    Browser(String),
    /// Ephemeral ports.
    #[error("{} local ports needed, the range has {}", thousands(*needed), thousands(*limit))]
    #[diagnostic(help("lower load.clients or widen the sysctl net.ipv4.ip_local_port_range"))]
    Ports {
        /// From one address.
        needed: u64,
        /// Size of the range.
        limit: u64,
    },
}

/// `20000` as `20,000`.
pub fn thousands(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load};

    fn ticker(set: &[&str]) -> Plan {
        let set = set.iter().map(|&set| set.to_owned()).collect();
        load("ticker", &Overrides { set, ..Overrides::default() }).unwrap()
    }

    #[test]
    fn the_estimate_adds_up_every_phase_of_every_trial() {
        let plan = ticker(&["load.connect_over=2s", "load.warmup=3s", "load.measure=10s", "load.trials=4"]);
        let estimate = Estimate::of(&plan);
        let push = Duration::from_millis(500 + 2_000 + 3_000 + 10_000 + 1_000);
        let poll = push + Duration::from_secs(1);
        assert_eq!(estimate.trials, [poll, poll, push, push]);
        assert_eq!(estimate.total, 2 * (push + poll) * 4 + FLOOR);
    }

    #[test]
    fn needs_name_the_limit_that_is_too_low() {
        let none = Limits::default();
        let of_machine = Limits { files: Some(20_000), ports: Some(28_232), no_browser: None };
        let one = ticker(&["load.clients=[10, 20000]", "load.processes=1"]);
        let needs = Needs::of(&one, &none);
        assert_eq!((needs.files, needs.ports, needs.generators), (20_064, 20_000, 1));
        let check = |files, ports, expected: Option<&str>| {
            let error =
                needs.check(&Limits { files, ports, no_browser: None }).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected);
        };
        check(Some(20_064), Some(20_000), None);
        check(None, None, None);
        check(
            Some(20_000),
            Some(1),
            Some("20,064 open files needed in one process, the hard limit is 20,000"),
        );
        check(None, Some(19_999), Some("20,000 local ports needed, the range has 19,999"));
        let auto = Needs::of(&ticker(&["load.clients=[10, 200000]"]), &of_machine);
        assert_eq!((auto.generators, auto.servers, auto.sources, auto.ports), (11, 11, 22, 9_091));
        assert_eq!(auto.check(&of_machine), Ok(()));
    }

    #[test]
    fn thousands_are_grouped() {
        let check = |number: u64, expected| assert_eq!(thousands(number), expected);
        check(7, "7");
        check(999, "999");
        check(1_000, "1,000");
        check(1_234_567, "1,234,567");
    }
}
