//! What a machine's noise is, by comparisons of a program with itself: the ledger, its floor, and what can be seen above it.
//!
//! Pure: whoever keeps the ledger reads and writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticker::random;

use crate::paired::hodges_lehmann;

/// Value of [`NoiseLedger::format`] that this version writes.
pub const FORMAT: &str = "tickertape-noise/1";
/// Fewer known ratios tell no floor.
pub const FEWEST_KNOWN: usize = 7;
/// The floor is exceeded by one A/A comparison in twenty.
const FLOOR_QUANTILE: f64 = 0.95;
const FLOOR_DRAWS: u64 = 2_000;
const POWER: f64 = 0.8;
const POWER_DRAWS: u64 = 500;
/// Ratios that are tried: from 1.01 to 20, each 21 % further from 1 in its logarithm.
const SMALLEST_RATIO: f64 = 1.01;
const STEP: f64 = 1.21;
const LARGEST_RATIO: f64 = 20.0;

/// A/A comparisons of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseLedger {
    /// [`FORMAT`].
    pub format: String,
    /// What the machine is: a result's facts of these names must be equal.
    pub machine: BTreeMap<String, Value>,
    /// One for each variant, metric and A/A run.
    pub entries: Vec<NoiseEntry>,
}

/// One metric of one variant in one A/A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseEntry {
    /// The variant's name.
    pub variant: String,
    /// The metric's dotted name.
    pub metric: String,
    /// ln(candidate / base) of each pair; both are the same program.
    pub log_ratios: Vec<f64>,
    /// When it was measured, RFC 3339.
    pub recorded_at: String,
    /// With which scenario.
    pub scenario: String,
}

impl NoiseLedger {
    /// An empty one of a machine.
    pub fn of(machine: BTreeMap<String, Value>) -> Self {
        Self { format: FORMAT.to_owned(), machine, entries: Vec::new() }
    }

    /// Whether it is of the machine with these facts; facts that the ledger does not name do not matter.
    pub fn fits(&self, facts: &BTreeMap<String, Value>) -> bool {
        self.machine.iter().all(|(name, value)| facts.get(name) == Some(value))
    }

    /// Logarithms of A/A ratios of a variant's metric; of all variants' where this one is not known.
    pub fn log_ratios(&self, variant: &str, metric: &str) -> Vec<f64> {
        let of = |wanted: &dyn Fn(&NoiseEntry) -> bool| -> Vec<f64> {
            let entries = self.entries.iter().filter(|entry| entry.metric == metric && wanted(entry));
            entries
                .flat_map(|entry| entry.log_ratios.iter().copied())
                .filter(|ratio| ratio.is_finite())
                .collect()
        };
        let own = of(&|entry| entry.variant == variant);
        if own.is_empty() { of(&|_| true) } else { own }
    }
}

/// The share of change that one comparison in twenty of a program with itself shows: the 95th percentile of
/// |exp(Hodges–Lehmann) − 1| over draws of `pairs` of the known differences. Nothing is known of nothing: 0.
pub fn floor(log_ratios: &[f64], pairs: usize, seed: u64) -> f64 {
    if log_ratios.is_empty() || pairs == 0 {
        return 0.0;
    }
    let mut shares: Vec<f64> = (0..FLOOR_DRAWS)
        .filter_map(|draw| hodges_lehmann(&drawn(log_ratios, pairs, seed, draw)))
        .map(|estimate| estimate.abs().exp_m1())
        .collect();
    shares.sort_by(f64::total_cmp);
    let place = (FLOOR_QUANTILE * (shares.len() - 1) as f64).round() as usize;
    shares[place]
}

/// The smallest ratio that `test` finds in at least 80 % of draws of `pairs` known differences moved by it; `None` where even
/// the largest that is tried (20) is not found.
pub fn smallest_visible(
    log_ratios: &[f64],
    pairs: usize,
    test: impl Fn(&[f64]) -> bool,
    seed: u64,
) -> Option<f64> {
    let steps = std::iter::successors(Some(SMALLEST_RATIO), |ratio| Some(ratio.powf(STEP)));
    let found = |ratio: &f64| {
        let moved = |draw| -> Vec<f64> {
            drawn(log_ratios, pairs, seed, draw).iter().map(|difference| difference + ratio.ln()).collect()
        };
        let hits = (0..POWER_DRAWS).filter(|&draw| test(&moved(draw))).count();
        hits as f64 >= POWER * POWER_DRAWS as f64
    };
    steps.take_while(|ratio| *ratio <= LARGEST_RATIO).find(found)
}

/// Differences drawn with replacement. Sides of an A/A pair could be changed for each other: so may signs be.
fn drawn(log_ratios: &[f64], pairs: usize, seed: u64, draw: u64) -> Vec<f64> {
    let count = log_ratios.len() as u64;
    let one = |n: u64| {
        let picked = log_ratios[random::below(seed, 2 * draw, n, count) as usize];
        if random::below(seed, 2 * draw + 1, n, 2) == 0 { picked } else { -picked }
    };
    (0..pairs as u64).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::signed_rank_above;

    fn noise(width: f64) -> Vec<f64> {
        (0..40).map(|n| width * (random::unit(3, 0, n) - 0.5)).collect()
    }

    #[test]
    fn the_floor_grows_with_the_noise_and_falls_with_the_pairs() {
        let (quiet, loud) = (floor(&noise(0.02), 10, 1), floor(&noise(0.4), 10, 1));
        assert!(quiet > 0.0 && quiet < 0.01 && loud > 10.0 * quiet, "{quiet} {loud}");
        assert!(floor(&noise(0.4), 40, 1) < loud);
        assert_eq!((floor(&[], 10, 1), floor(&[0.1], 0, 1), floor(&[0.0; 9], 10, 1)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn what_can_be_seen_lies_beyond_the_noise() {
        let test = |differences: &[f64]| signed_rank_above(differences) < 0.01;
        let visible = |width| smallest_visible(&noise(width), 10, test, 1).unwrap();
        assert!(visible(0.02) < 1.02 && visible(0.4) > 1.05, "{} {}", visible(0.02), visible(0.4));
        assert_eq!(smallest_visible(&noise(0.4), 10, |_| false, 1), None);
    }

    #[test]
    fn a_ledger_is_of_one_machine_and_knows_its_variants() {
        let facts = BTreeMap::from([("kernel".to_owned(), Value::from("6"))]);
        let mut ledger = NoiseLedger::of(facts.clone());
        let entry = |variant: &str, log_ratios: &[f64]| NoiseEntry {
            variant: variant.to_owned(),
            metric: "m".to_owned(),
            log_ratios: log_ratios.to_vec(),
            recorded_at: String::new(),
            scenario: String::new(),
        };
        ledger.entries = vec![entry("a", &[0.1, f64::NAN]), entry("b", &[0.2])];
        assert_eq!(ledger.log_ratios("a", "m"), [0.1]);
        assert_eq!(ledger.log_ratios("new", "m"), [0.1, 0.2]);
        assert!(ledger.log_ratios("a", "other").is_empty());
        let more =
            facts.iter().map(|(k, v)| (k.clone(), v.clone())).chain([("rustc".to_owned(), "1".into())]);
        assert!(ledger.fits(&more.collect()) && !ledger.fits(&BTreeMap::new()));
    }
}
