//! Arguments of `loadgen history`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub(super) const HELP: &str = "\
Examples:
  loadgen history add runs/latest
  loadgen history add runs/latest --commit $(git -C ../my-server rev-parse HEAD)
  loadgen history show
  loadgen history show --metric delivery_delay.p99 --variant 'polling 1s'
  loadgen history show --format csv > history.csv
  loadgen history add history.csv --db elsewhere.sqlite
  loadgen history plot --out trends.html";

/// `loadgen history`
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// The history, a SQLite file; `add` makes it where there is none
    #[arg(long, value_name = "PATH", default_value = "runs/history.sqlite", global = true)]
    pub db: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub action: HistoryAction,
}

/// What can be done with a history.
#[derive(Clone, Debug, Subcommand)]
pub enum HistoryAction {
    /// Add results; one that is there already is left out
    Add {
        /// A result.json, the folder that holds it, or a CSV that `show --format csv` wrote
        #[arg(value_name = "RESULT", required = true)]
        results: Vec<PathBuf>,
        /// What was measured, instead of this program's own revision
        #[arg(long, value_name = "NAME")]
        commit: Option<String>,
    },
    /// Print change points; with a metric or a variant, its figures by commit
    Show {
        /// Which series.
        #[command(flatten)]
        filter: FilterArgs,
        /// How to print
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        format: Format,
    },
    /// Draw trends into one self-contained page
    Plot {
        /// Which series.
        #[command(flatten)]
        filter: FilterArgs,
        /// Where the page goes
        #[arg(long, value_name = "FILE", default_value = "runs/history.html")]
        out: PathBuf,
    },
}

/// Which series of a history.
#[derive(Args, Clone, Debug)]
pub struct FilterArgs {
    /// Only this metric, as `loadgen list metrics` names it
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// Only this variant
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
}

/// How a history is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// Comma-separated values, every figure.
    Csv,
}
