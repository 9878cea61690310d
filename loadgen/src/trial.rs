//! One trial, from a fresh server process to its figures: the only place that moves between phases.

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use measurement::{result::Trial, validity::Machine};
use ticker::{Anchor, clock};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    assemble::{self, Evidence},
    counters::Counters,
    crew::{CrewError, Sizes},
    events::Listener,
    judged, machine,
    network::{Network, Wire},
    peers::{self, Lesson},
    plan::VariantPlan,
    process::Cores,
    target::{Program, Target, TargetError, stats::Stats},
    worker::Found,
};

mod course;
mod marks;
mod totals;

use course::Course;
pub use marks::{Clocks, Mark, Marks};
pub use totals::Totals;

/// How often an end is looked for that can come at any time.
const TICK: Duration = Duration::from_millis(20);
/// How long the server may take to see that its clients have gone.
const SETTLE_TIME: Duration = Duration::from_secs(3);
const SETTLE_TIME_OF_EACH: Duration = Duration::from_micros(100);

/// What all trials of a run share.
pub struct Setting<'a> {
    /// What serves.
    pub program: &'a Program,
    /// Seed of the phases of polls.
    pub seed: u64,
    /// Which cores each side runs on.
    pub cores: Cores,
    /// The run's one pair of clock readings.
    pub anchor: Anchor,
    /// Cancelled when the user asks to stop.
    pub stop: CancellationToken,
    /// Where files of the trial go; without it there are none.
    pub folder: Option<&'a Path>,
    /// Who hears of progress.
    pub listener: &'a mut dyn Listener,
}

/// Why a trial did not go to its planned end.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("interrupted by the user")]
    User,
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Crew(#[from] CrewError),
    #[error("only {connected} of {asked} clients were connected after {seconds:.0} s")]
    Connect { connected: u64, asked: u64, seconds: f64 },
}

/// Runs a trial of variants that share it, and returns one for each: most trials are of one variant. A trial that cannot be run
/// is one with its error, never a hole.
pub async fn run(variants: &[Arc<VariantPlan>], setting: &mut Setting<'_>) -> Vec<Trial> {
    let started_at = assemble::date(clock::unix_ns());
    match measure(variants, &started_at, setting).await {
        Ok(trials) => trials,
        Err(error) => variants
            .iter()
            .map(|variant| assemble::failed(variant, started_at.clone(), variant.redact(&error)))
            .collect(),
    }
}

async fn measure(
    variants: &[Arc<VariantPlan>],
    started_at: &str,
    setting: &mut Setting<'_>,
) -> Result<Vec<Trial>, String> {
    let all: Vec<&VariantPlan> = variants.iter().map(Arc::as_ref).collect();
    // The network is the same for all.
    let first = *all.first().ok_or("no variants")?;
    let wire = Wire::lay(first, setting.seed).map_err(|error| no_network(&error))?;
    let home = wire.as_ref().map(Wire::server);
    let started = Target::start(setting.program, &all, (&setting.cores, home), setting.folder).await;
    let mut target = started.map_err(|error| error.to_string())?;
    let (before_clock, exchanges) = match target.exchange().await {
        Ok(exchange) => exchange,
        Err(error) => return Err(given_up(target, error.to_string()).await),
    };
    let (before, first_stats) = (target.usage(), target.stats().await);
    let ipv6 = target.endpoint().address.is_ipv6();
    let mut marks = Marks::counting(target.syscalls());
    let machine = Counters::now();
    let sizes = Sizes::together(&all, &machine::limits());
    let network = match Network::start(first, wire, &target.endpoint(), &setting.cores.loadgen) {
        Ok(network) => network,
        Err(error) => return Err(given_up(target, no_network(&error)).await),
    };
    let course = Course::start(variants, setting, (&target, network), &sizes).await;
    let mut course = course.map_err(|error| error.to_string())?;
    let ended = course.phases(&mut target, setting, &mut marks).await;
    if let Err(Interruption::Crew(error)) = ended {
        return Err(error.to_string());
    }
    let dead = matches!(ended, Err(Interruption::Target(_)));
    let t0_ns = course.t0_ns;
    let closed = course.close(ended.is_err(), &sizes).await;
    let (window_ns, mut found) = closed.map_err(|error| error.to_string())?;
    let machine = Counters::now().since(&machine);
    let clients = all.iter().map(|variant| variant.load.clients).sum();
    let last_stats = if dead { None } else { settled(&target, clients).await };
    let after = if dead { None } else { target.usage() };
    let after_clock = if dead { None } else { target.exchange().await.ok() };
    let stopped = if dead { Ok(()) } else { target.stop().await };
    let error =
        ended.err().map(|error| error.to_string()).or_else(|| stopped.err().map(|error| error.to_string()));
    let error = error.map(|error| first.redact(&error));
    let Some(window_ns) = window_ns else {
        let why = error.unwrap_or_else(|| "no window".to_owned());
        let parts = variants.iter().zip(&found);
        let trial =
            |(variant, found)| without_window((variant, found), started_at, &why, (&last_stats, machine));
        return Ok(parts.map(trial).collect());
    };
    let after_exchanges = after_clock.map_or(0, |(_, exchanges)| exchanges);
    let clocks = Clocks {
        before: before_clock,
        after: after_clock.and_then(|(exchange, _)| exchange),
        exchanges: exchanges + after_exchanges,
        anchor: setting.anchor,
    };
    let window = t0_ns.map(|t0_ns| t0_ns + window_ns.start..t0_ns + window_ns.end);
    let learned = window.and_then(|window| learn(variants, &mut found, &clocks, &window));
    let cores = setting.cores.clone();
    let totals = Totals::of(&found);
    let evidence = Evidence {
        marks,
        before,
        first_stats,
        after,
        machine,
        last_stats,
        window_ns,
        cores,
        error,
        ipv6,
        learned,
        sizes,
        totals,
    };
    let trial = |(variant, found): (&Arc<VariantPlan>, &Found)| {
        assemble::trial(variant, started_at.to_owned(), found, &evidence)
    };
    Ok(variants.iter().zip(&found).map(trial).collect())
}

/// The trial of a part that has no window, and why.
fn without_window(
    (variant, found): (&Arc<VariantPlan>, &Found),
    started_at: &str,
    why: &str,
    (last_stats, machine): (&Option<Stats>, Machine),
) -> Trial {
    let detail = found.errors.first().map(|error| format!(" ({})", variant.redact(error)));
    let detail = detail.unwrap_or_default();
    let failed = assemble::failed(variant, started_at.to_owned(), format!("{why}{detail}"));
    judged::unmeasured(failed, found, last_stats.as_ref(), machine)
}

/// What can be learned of somebody else's feed, which no other part shares.
fn learn(
    variants: &[Arc<VariantPlan>],
    found: &mut [Found],
    clocks: &Clocks,
    window: &Range<u64>,
) -> Option<Lesson> {
    let mut parts = variants.iter().zip(found);
    let (variant, peer, found) =
        parts.find_map(|(variant, found)| Some((variant, variant.heard()?, found)))?;
    Some(peers::learn(variant, peer, found, clocks, window.clone()))
}

/// Stops a server that nobody will connect to, and passes on why.
async fn given_up(target: Target, why: String) -> String {
    let _ = target.stop().await;
    why
}

fn no_network(error: &std::io::Error) -> String {
    format!("failed to start the emulated network: {error}")
}

/// The server's counters once it has seen all its clients go, and has given back what it held for them: a connection is closed
/// before the last of its memory is free.
async fn settled(target: &Target, clients: u32) -> Option<Stats> {
    let patience = SETTLE_TIME + SETTLE_TIME_OF_EACH * clients;
    let until_ns = clock::now_ns() + patience.as_nanos() as u64;
    let mut held_before = None;
    loop {
        let stats = target.stats().await?;
        let sessions = stats.quic.map_or(0, |quic| quic.open);
        let gone = stats.connections.open + sessions <= target.askers();
        let held = stats.heap.held();
        if gone && held_before.is_some_and(|before| held >= before) || clock::now_ns() > until_ns {
            return Some(stats);
        }
        held_before = gone.then_some(held);
        sleep(TICK).await;
    }
}
