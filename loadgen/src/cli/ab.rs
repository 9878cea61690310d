//! The arguments of `loadgen ab`.

use std::path::PathBuf;

use clap::Args;

use super::compare::JudgingArgs;
use crate::scenario::Overrides;

/// Examples for the help.
pub(super) const HELP: &str = "\
A side is one of these:
  a server of ours      a `loadgen` or `servers` binary of any revision, with arguments; `self` is this program
  a command of yours    with {port}, for scenarios whose transports have a url
  a url                 of a server that runs already

Examples:
  loadgen ab ticker --base ../old/target/release/loadgen --candidate self
  loadgen ab ticker --base self --candidate 'self --fault slow'
  loadgen ab mine.toml --base 'node old.js {port}' --candidate 'node new.js {port}' --pairs 20
  loadgen ab mine.toml --base http://127.0.0.1:3000 --candidate http://127.0.0.1:3001

Times gate here, since both sides run now; `--timed advise` lets them only advise.
Exit codes: 0 equivalent or improved, 1 regression, 2 bad usage, 3 data that cannot be trusted, 4 inconclusive";

/// `loadgen ab`
#[derive(Args, Clone, Debug)]
pub struct AbArgs {
    /// Path of a scenario file, or the bare name of a shipped one (see `loadgen list scenarios`)
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// The server to compare with: a command or a url
    #[arg(long, value_name = "SERVER")]
    pub base: String,
    /// The server that is judged
    #[arg(long, value_name = "SERVER")]
    pub candidate: String,
    /// Pairs of trials of each variant, one of each side [default: 10, or more where many variants are tested together]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub pairs: Option<u32>,
    /// Compare counts and bytes only, for which few pairs are enough
    #[arg(long)]
    pub counted_only: bool,
    /// Change a key of the scenario, for example load.clients=50; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep only this variant, transport name or kind; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Seed of the order of trials and of which side is first in a pair [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for results; each comparison makes a new dated folder in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// How to judge.
    #[command(flatten)]
    pub judging: JudgingArgs,
    /// Print only the result
    #[arg(long)]
    pub quiet: bool,
}

impl AbArgs {
    /// The changes, as `scenario::load` takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides { set: self.set.clone(), only: self.only.clone(), quick: false }
    }
}
