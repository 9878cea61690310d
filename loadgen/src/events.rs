//! What happens during a run, as values. The runner sends them; one place prints them.

use std::sync::Arc;

use measurement::{ledger::Phase, result::Trial};

use crate::{plan::VariantPlan, worker::Live};

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins.
    Started {
        /// Trials of the whole run.
        trials: u32,
        /// Its planned length in seconds.
        seconds: f64,
        /// Where results go.
        folder: &'a std::path::Path,
    },
    /// A trial begins.
    Trial {
        /// Position in the run, from 0; of the first, where several variants share it.
        order: u32,
        /// Its variants, which run at the same time; most trials have one.
        variants: &'a [Arc<VariantPlan>],
        /// Its place among pairs, where two sides are run.
        pair: Option<InPair>,
    },
    /// A trial goes on.
    Progress {
        /// Its phase.
        phase: Phase,
        /// Seconds since its start.
        seconds: f64,
        /// Clients connected.
        connected: u64,
        /// Quotes of the window received.
        delivered: u64,
        /// What the workers show of themselves; delays and bytes only to those who watch.
        workers: &'a [Arc<Live>],
    },
    /// A trial ended, for one of its variants.
    Ended {
        /// Its variant.
        variant: &'a VariantPlan,
        /// What was found.
        trial: &'a Trial,
    },
    /// The user asked to stop.
    Stopping,
}

/// What a trial of these variants is called.
pub fn name(variants: &[Arc<VariantPlan>]) -> String {
    variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>().join(" + ")
}

/// Where a trial stands among the pairs of two sides.
#[derive(Clone, Copy, Debug)]
pub struct InPair {
    /// The pair, from 0.
    pub pair: u32,
    /// How many there are.
    pub pairs: u32,
    /// The side.
    pub side: &'static str,
}

/// Takes events as they happen.
pub trait Listener {
    /// Takes one.
    fn event(&mut self, event: &Event<'_>);

    /// Whether it wants to see delays and bytes while a trial runs.
    fn watches(&self) -> bool {
        false
    }
}
