//! A/A pairs for the noise ledger: this program against itself, and what that says of changes that can be seen here.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use measurement::{
    metrics::{self, Comparison},
    noise::{self, NoiseEntry, NoiseLedger},
    paired,
    result::RunResult,
};
use miette::IntoDiagnostic as _;
use tokio_util::sync::CancellationToken;

use super::super::{
    run::{NOT_TRUSTED, command_line, raise_file_limit, stop_on_ctrl_c},
    table, write_table,
};
use crate::{
    cli::DoctorArgs,
    ledger, machine,
    pairs::Pairs,
    plan::Plan,
    progress,
    scenario::{self, Estimate, Overrides},
    sides,
    verbs::printed,
};

/// Pairs that are run, and for which floors are told: those of `loadgen ab`.
const PAIRS: u32 = 10;
/// Seed of what is drawn from the ledger.
const SEED: u64 = 1;
/// What a comparison asks for (docs/ab.md).
const ALPHA: f64 = 0.01;
const SMALLEST_CHANGE: f64 = 0.05;

/// The three classic ways, with enough quotes in two seconds for a 99th percentile.
const SCENARIO: &str = "smoke";
const ONLY: [&str; 3] = ["polling 200ms", "sse", "websocket"];
const SET: [&str; 2] = ["load.measure=2s", "feed.updates_per_second=600"];

/// Measures, adds to the ledger and prints what can be seen on this machine.
pub(super) fn run(arguments: &DoctorArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let plan = plan(arguments)?;
    let facts = machine::manifest(&plan).timed_must_match;
    // What cannot be added to is found before minutes are spent.
    let path = ledger::path(arguments.ledger.as_deref(), &facts)?;
    let kept = ledger::load(&path, &facts)?;
    let mut known = kept.unwrap_or_else(|| NoiseLedger::of(ledger::machine(&facts)));
    printed(announce(&plan, out))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    raise_file_limit();
    let place = Place::new().into_diagnostic()?;
    let [base, candidate] = runtime.block_on(measure(plan, &place.0))?;
    let entries = ledger::entries(&base, &candidate);
    if entries.is_empty() {
        let why = candidate.partial_reason.unwrap_or_else(|| "no trial was valid".to_owned());
        printed(writeln!(out, "Nothing was learned, the ledger stays as it was: {why}"))?;
        return Ok(ExitCode::from(NOT_TRUSTED));
    }
    let untimed = untimed(&base, &entries);
    ledger::add(&mut known, entries);
    ledger::store(&path, &known)?;
    printed(print(&known, &path, out))?;
    for name in &untimed {
        printed(writeln!(
            out,
            "Of {name} no times were kept: fewer than half of its pairs were valid. Run it again when the machine is quieter."
        ))?;
    }
    let whole = [&base, &candidate].iter().all(|result| result.partial_reason.is_none());
    Ok(if whole && untimed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_TRUSTED) })
}

/// Variants of which the entries tell no times.
fn untimed<'a>(result: &'a RunResult, entries: &[NoiseEntry]) -> Vec<&'a str> {
    let is_time = |entry: &&NoiseEntry| {
        metrics::find(&entry.metric).is_some_and(|metric| metric.comparison == Comparison::Timed)
    };
    let timed: BTreeSet<&str> = entries.iter().filter(is_time).map(|entry| entry.variant.as_str()).collect();
    let names = result.variants.iter().map(|variant| variant.name.as_str());
    names.filter(|name| !timed.contains(name)).collect()
}

fn plan(arguments: &DoctorArgs) -> miette::Result<Plan> {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let mut plan = match &arguments.scenario {
        Some(name) => scenario::load(name, &Overrides::default())?,
        None => {
            let overrides = Overrides { set: owned(&SET), only: owned(&ONLY), quick: false };
            scenario::load(SCENARIO, &overrides)?
        }
    };
    plan.trials = arguments.pairs.unwrap_or(PAIRS);
    Ok(plan)
}

fn announce(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let seconds = 2 * Estimate::of(plan).total.as_secs();
    writeln!(
        out,
        "\nNoise: this program against itself, {} pairs of {} variants, at most {}\n",
        plan.trials,
        plan.variants.len(),
        humantime::format_duration(Duration::from_secs(seconds))
    )
}

async fn measure(plan: Plan, folder: &Path) -> miette::Result<[RunResult; 2]> {
    let stop = CancellationToken::new();
    let interrupts = tokio::spawn(stop_on_ctrl_c(stop.clone()));
    let servers = sides::prove(&plan, ["self", "self"]).await?;
    let seed = plan.seed;
    let pairs =
        Pairs { plan, servers, seed, counted_only: false, command: command_line(), notes: Vec::new() };
    let mut listener = progress::for_person(false);
    let results = pairs.run(folder, folder, &stop, listener.as_mut()).await.into_diagnostic();
    interrupts.abort();
    results
}

/// A folder that is there while the pairs run: what is kept of them is in the ledger.
struct Place(PathBuf);

impl Place {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tickertape-noise-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn print(ledger: &NoiseLedger, path: &Path, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "How much equal programs differ here ({PAIRS} pairs; all variants together)\n")?;
    let mut rows = table(&["", "pairs known", "one pair", "floor", "smallest change to be seen"]);
    let names = metrics::ALL.iter().filter(|metric| metric.comparison != Comparison::Constant);
    for name in names.map(|metric| metric.name) {
        if let Some(row) = row(name, &ledger.log_ratios("", name)) {
            rows.add_row(row);
        }
    }
    write_table(out, &rows)?;
    writeln!(
        out,
        "one pair: half of all pairs differ by more. floor: one comparison of {PAIRS} pairs in twenty differs by more.\n\
         smallest change: found in four comparisons of five.\n\nLedger: {}",
        path.display()
    )
}

/// A metric's row; `None` where nothing is known.
fn row(name: &str, log_ratios: &[f64]) -> Option<[String; 5]> {
    let mut shares: Vec<f64> = log_ratios.iter().map(|ratio| ratio.abs().exp_m1()).collect();
    shares.sort_by(f64::total_cmp);
    let half = *shares.get(shares.len() / 2)?;
    if shares.len() < noise::FEWEST_KNOWN {
        let few = "too few pairs".to_owned();
        return Some([name.to_owned(), shares.len().to_string(), percent(half), few, String::new()]);
    }
    let floor = noise::floor(log_ratios, PAIRS as usize, SEED);
    let test = |pairs: &[f64]| paired::is_above(pairs, floor.max(SMALLEST_CHANGE), ALPHA);
    let seen = noise::smallest_visible(log_ratios, PAIRS as usize, test, SEED);
    let seen = seen.map_or("none up to 20×".to_owned(), |ratio| format!("{ratio:.2}×"));
    Some([name.to_owned(), shares.len().to_string(), percent(half), percent(floor), seen])
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_pairs_take_less_than_five_minutes() {
        let plan = plan(&DoctorArgs::default()).unwrap();
        assert_eq!((plan.variants.len(), plan.trials), (3, PAIRS));
        assert!(2 * Estimate::of(&plan).total < Duration::from_secs(300), "{:?}", Estimate::of(&plan));
    }

    #[test]
    fn a_row_tells_floor_and_power() {
        assert_eq!(row("m", &[]), None);
        assert_eq!(row("m", &[0.1; 6]).unwrap()[3], "too few pairs");
        let still = row("m", &[0.0; 10]).unwrap();
        assert_eq!((still[2].as_str(), still[3].as_str()), ("0 %", "0 %"));
        let noisy: Vec<f64> = (0..20).map(|n| (f64::from(n) - 9.5) / 10.0).collect();
        let noisy = row("m", &noisy).unwrap();
        assert!(noisy[3].ends_with(" %") && noisy[4].ends_with('×'), "{noisy:?}");
    }
}
