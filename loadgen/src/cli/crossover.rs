//! The arguments of `loadgen crossover`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

/// Examples for the help.
pub(super) const HELP: &str = "\
Asking on a timetable never shows a price sooner than a push does: its mean delay is half the interval and the way. What it
can win is bytes and processor time, where it asks rarely enough. So two questions are drawn for each point of the grid:
what is cheapest among those whose mean delay is within the bound, and at which interval asking costs as much as each other.

Examples:
  loadgen crossover
  loadgen crossover --quick
  loadgen crossover --within 3s --intervals 1s,5s,15s --rates 0.1,1
  loadgen crossover --rtts 0ms
  loadgen crossover my-scenario.toml --only polling --only sse

Exit codes: 0 measured, 2 bad usage, 3 not completed, or points whose bytes cannot be trusted";

/// `loadgen crossover`
#[derive(Args, Clone, Debug)]
pub struct CrossoverArgs {
    /// Path of a scenario file, or the bare name of a shipped one: its transports are compared
    #[arg(value_name = "SCENARIO", default_value = "crossover")]
    pub scenario: String,
    /// Intervals between polls [default: 100ms,500ms,1s,5s; with --quick 500ms,5s]
    #[arg(long, value_name = "TIME,…", value_delimiter = ',')]
    pub intervals: Option<Vec<humantime::Duration>>,
    /// Round trips of the link; 0ms is this machine's loopback [default: 0ms,50ms,200ms; with --quick 0ms,200ms]
    #[arg(long, value_name = "TIME,…", value_delimiter = ',')]
    pub rtts: Option<Vec<humantime::Duration>>,
    /// Updates a second [default: 0.2,1,10; with --quick 1,10]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = rate)]
    pub rates: Option<Vec<f64>>,
    /// Mean delay that is good enough
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub within: humantime::Duration,
    /// Change a key of the scenario, for example feed.quote_bytes=500; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep only this variant, transport name or kind; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// A smaller grid and shorter windows
    #[arg(long)]
    pub quick: bool,
    /// Folder for results; each crossover makes a new dated folder in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Print only the result
    #[arg(long)]
    pub quiet: bool,
}

impl CrossoverArgs {
    /// Intervals between polls, rising.
    pub fn intervals(&self) -> Vec<Duration> {
        times(self.intervals.as_deref(), if self.quick { &[500, 5_000] } else { &[100, 500, 1_000, 5_000] })
    }

    /// Round trips, rising.
    pub fn rtts(&self) -> Vec<Duration> {
        times(self.rtts.as_deref(), if self.quick { &[0, 200] } else { &[0, 50, 200] })
    }

    /// Updates a second, rising.
    pub fn rates(&self) -> Vec<f64> {
        let default: &[f64] = if self.quick { &[1.0, 10.0] } else { &[0.2, 1.0, 10.0] };
        let mut rates = self.rates.clone().unwrap_or_else(|| default.to_vec());
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        rates
    }
}

fn times(given: Option<&[humantime::Duration]>, default_ms: &[u64]) -> Vec<Duration> {
    let default = || default_ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
    let mut times: Vec<Duration> =
        given.map_or_else(default, |given| given.iter().map(|time| **time).collect());
    times.sort();
    times.dedup();
    times
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected updates a second, above 0".to_owned())
}
