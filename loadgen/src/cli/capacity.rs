//! The arguments of `loadgen capacity`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ScenarioArgs;

/// Examples for the help.
pub(super) const HELP: &str = "\
A condition is METRIC < LIMIT or METRIC > LIMIT, with the names of `loadgen list metrics` and the units of gates. The value
is doubled until the condition breaks and then halved in to 5 % or one client; the last value that holds and the first that
does not are confirmed with three trials, and where they contradict the smaller stands.

Examples:
  loadgen capacity ticker --until 'delivery_delay.p95 < 500ms'
  loadgen capacity ticker --until 'delivery_delay.p99 < 50ms' --until 'updates.lost < 1' --only websocket
  loadgen capacity ticker --until 'server.rss_bytes < 500 MB' --from 1000 --most 50000
  loadgen capacity ticker --until 'delivery_delay.p99 < 20ms' --vary feed.updates_per_second

Exit codes: 0 found, 2 bad usage, 3 not completed, or limited by the load generator or this machine and not by the server";

/// `loadgen capacity`
#[derive(Args, Clone, Debug)]
pub struct CapacityArgs {
    /// The scenario.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// What has to hold; may be repeated, all must hold
    #[arg(long, value_name = "CONDITION", required = true)]
    pub until: Vec<String>,
    /// What is raised
    #[arg(long, value_name = "KEY", default_value = "load.clients")]
    pub vary: Vary,
    /// The first value [default: the scenario's own]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub from: Option<f64>,
    /// Try nothing above this [default: 1,000,000]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub most: Option<f64>,
    /// Trials of each value while searching
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub trials: u32,
    /// Folder for results; each search makes a new dated folder in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Print only the result
    #[arg(long)]
    pub quiet: bool,
}

/// Keys that can be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vary {
    /// Number of clients.
    #[value(name = "load.clients")]
    Clients,
    /// Updates a second of the feed.
    #[value(name = "feed.updates_per_second")]
    UpdatesPerSecond,
}

impl Vary {
    /// The scenario's key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Clients => "load.clients",
            Self::UpdatesPerSecond => "feed.updates_per_second",
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}
