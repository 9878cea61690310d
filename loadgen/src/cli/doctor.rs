//! The arguments of `loadgen doctor`.

use std::path::PathBuf;

use clap::Args;

/// `loadgen doctor`
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    /// Watch how often the processor is taken away, then compare this program with itself (about four minutes) and keep
    /// in the noise ledger how much two equal programs differ here
    #[arg(long)]
    pub noise: bool,
    /// Pairs of trials for that [default: 10]
    #[arg(long, value_name = "N", requires = "noise", value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub pairs: Option<u32>,
    /// The scenario for that, all of it [default: three variants of `smoke` with a window of 2 s]
    #[arg(long, value_name = "SCENARIO", requires = "noise")]
    pub scenario: Option<String>,
    /// The noise ledger to add to [default: one for each machine below $XDG_STATE_HOME/tickertape]
    #[arg(long, value_name = "FILE", requires = "noise")]
    pub ledger: Option<PathBuf>,
}
