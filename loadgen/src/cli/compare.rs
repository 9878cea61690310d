//! `loadgen compare`, and the options that every comparing verb shares.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const HELP: &str = "\
Examples:
  loadgen compare reports/baselines/ci.json runs/latest
  loadgen compare runs/ticker-ab/2026-11-21T120000Z/base runs/ticker-ab/2026-11-21T120000Z/candidate --timed gate
  loadgen compare old/ new/ --on-inconclusive pass --out verdict

Counted metrics (bytes, requests, lost updates, switches) gate. Timed ones are compared only where the two results are
the sides of one `loadgen ab`, whose trials ran beside each other.

Exit codes: 0 equivalent or improved, 1 regression, 2 not comparable, 3 data that cannot be trusted, 4 inconclusive";

/// `loadgen compare`
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Result to compare with: a result.json, or the folder that holds it
    #[arg(value_name = "BASE")]
    pub base: PathBuf,
    /// Result to judge
    #[arg(value_name = "CANDIDATE")]
    pub candidate: PathBuf,
    /// How to judge.
    #[command(flatten)]
    pub judging: JudgingArgs,
    /// Folder for comparison.json, .md, .html and junit.xml [default: comparison-with-<base's id> in the candidate's folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// How two results are judged.
#[derive(Args, Clone, Debug)]
pub struct JudgingArgs {
    /// Whether timed metrics decide the verdict or only advise [default: gate in `ab`, advise in `compare`]
    #[arg(long, value_name = "HOW")]
    pub timed: Option<Timed>,
    /// What an undecided verdict means for the exit code: 1 or 0 instead of 4
    #[arg(long, value_name = "EXIT")]
    pub on_inconclusive: Option<OnInconclusive>,
    /// A timed change must be larger than this share; the machine's own noise may ask for more
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    pub delta: f64,
    /// The machine's noise ledger, see `loadgen doctor --noise` [default: where doctor keeps it]
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Show metrics without a difference too
    #[arg(long)]
    pub all: bool,
}

/// What timed metrics may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Timed {
    /// Decide the verdict.
    Gate,
    /// Stand beside it.
    Advise,
}

/// The exit code of an undecided verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnInconclusive {
    /// 1, as a regression.
    Fail,
    /// 0, as no difference.
    Pass,
}

/// `5%` or `0.05`, more than nothing and at most 1,000 %.
fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), 100.0),
        None => (text, 1.0),
    };
    let share =
        number.parse::<f64>().map_err(|_| format!("expected a share such as 5% or 0.05, found {text:?}"))?;
    let share = share / unit;
    if share > 0.0 && share <= 10.0 {
        Ok(share)
    } else {
        Err(format!("expected more than 0 and at most 1000%, found {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_per_cent_or_fractions() {
        assert_eq!((share("5%"), share("0.05"), share("150 %")), (Ok(0.05), Ok(0.05), Ok(1.5)));
        for wrong in ["", "x", "-1%", "0", "2000%", "NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
