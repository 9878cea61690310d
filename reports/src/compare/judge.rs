//! Verdicts, metric by metric: constants exactly, totals by their spread, timed metrics by pairs.
//!
//! It sees figures only: neither histograms nor manifests.

use std::collections::BTreeMap;

use measurement::{
    metrics::{self, Better, Metric},
    noise::{self, NoiseLedger},
    paired,
    result::Class,
    summary,
};

use super::{
    CompareError, Method, Row, Settings, Spread, VariantRows, Verdict,
    figures::{Figures, VariantFigures},
    words,
};
use crate::overview::CLASSES;

/// Timed metrics that are tested. More would not be seen better: Holm's correction asks more of each.
pub const TESTED: [&str; 4] =
    ["delivery_delay.p50", "delivery_delay.p99", "per_symbol.out_of_sync_share", "server.cpu_us_per_update"];

/// A total changes when it changes by more than this, whatever its spread says.
const SMALLEST_CHANGE: f64 = 0.01;
/// Totals of the class cost (switches, calls, segments, heap) move with what the system does together, and with its other
/// work: 43 % were seen between two runs of one program on a machine whose processors others used up.
const SMALLEST_CHANGE_OF_COST: f64 = 0.25;
/// So much where the machine's ledger says what they do there.
const SMALLEST_CHANGE_OF_COST_KNOWN: f64 = 0.05;
/// Fewer trials of a side show no spread: a total must then change by more than [`CHANGE_UNSEEN`].
const FEWEST_FOR_SPREAD: usize = 3;
const CHANGE_UNSEEN: f64 = 0.20;
/// A share that was nothing before must be more than this.
const SMALLEST_SHARE: f64 = 0.01;
const SEED: u64 = 1;

/// The fewest pairs with which one of so many variants' tests can reach `alpha` after Holm's correction.
pub fn fewest_pairs(variants: usize, alpha: f64) -> usize {
    let tests = (variants * TESTED.len()).max(1) as f64;
    (1..64).find(|&pairs| paired::smallest_p(pairs) * tests < alpha).unwrap_or(64)
}

/// What is known of how the two sides were run.
#[derive(Clone, Copy, Default)]
pub struct Grounds<'a> {
    /// The number of pairs, where trials of the two sides ran beside each other.
    pub pairs: Option<usize>,
    /// Whether they ran on different machines or kernels: what the system counts of processors is then no gate.
    pub elsewhere: bool,
    /// The noise of the machine.
    pub ledger: Option<&'a NoiseLedger>,
}

/// Judges every metric of every variant.
///
/// # Errors
///
/// Too few pairs to find anything.
pub fn judge(
    base: &Figures,
    candidate: &Figures,
    settings: &Settings,
    grounds: &Grounds<'_>,
) -> Result<Vec<VariantRows>, CompareError> {
    let fewest = fewest_pairs(candidate.variants.len(), settings.alpha);
    let ledger = grounds.ledger;
    if let Some(pairs) = grounds.pairs.filter(|&pairs| pairs < fewest && settings.timed_gates) {
        let tests = candidate.variants.len() * TESTED.len();
        return Err(CompareError::TooFewPairs { pairs, alpha: settings.alpha, tests, fewest });
    }
    let pairs = grounds.pairs.filter(|&pairs| pairs >= fewest);
    let mut variants = Vec::new();
    for candidate in &candidate.variants {
        let Some(base) = base.variants.iter().find(|base| base.name == candidate.name) else { continue };
        let bench = Bench { base, candidate, settings, pairs, fewest, elsewhere: grounds.elsewhere, ledger };
        let rows = metrics::ALL.iter().filter_map(|metric| bench.row(metric)).collect();
        variants.push(VariantRows { name: candidate.name.clone(), rows });
    }
    correct(&mut variants, settings, ledger);
    Ok(variants)
}

/// One variant's two sides, and what is needed to judge them.
struct Bench<'a> {
    base: &'a VariantFigures,
    candidate: &'a VariantFigures,
    settings: &'a Settings,
    pairs: Option<usize>,
    /// Differences below this number cannot reach the level.
    fewest: usize,
    elsewhere: bool,
    ledger: Option<&'a NoiseLedger>,
}

impl Bench<'_> {
    fn row(&self, metric: &Metric) -> Option<Row> {
        let (base, candidate) = (values(self.base, metric), values(self.candidate, metric));
        let counted = metric.comparison != metrics::Comparison::Timed;
        if base.is_empty() && candidate.is_empty() && !(counted && self.voided(metric)) {
            return None;
        }
        let row = Row {
            metric: metric.name.to_owned(),
            unit: metric.unit.to_owned(),
            method: if counted { Method::Spread } else { Method::Pairs },
            gates: counted || self.settings.timed_gates && TESTED.contains(&metric.name),
            base: spread(&base),
            candidate: spread(&candidate),
            ratio: None,
            low: None,
            high: None,
            p_worse: None,
            p_better: None,
            delta: 0.0,
            floor: None,
            smallest_visible: None,
            verdict: None,
            note: String::new(),
        };
        Some(match metric.comparison {
            metrics::Comparison::Timed => self.timed(metric, row),
            metrics::Comparison::Constant => self.constant(metric, row, &base, &candidate),
            metrics::Comparison::Total => self.total(metric, row, &base, &candidate),
        })
    }

    /// Whether a trial of either side must not be used for this metric's class.
    fn voided(&self, metric: &Metric) -> bool {
        let class = CLASSES.iter().find(|(class, _)| *class == metric.class).map(|(_, name)| *name);
        class.is_some_and(|class| {
            [self.base, self.candidate].iter().any(|side| side.invalid.contains_key(class))
        })
    }

    /// What stands in the way of judging a counted metric at all.
    fn obstacle(&self, metric: &Metric, row: &Row) -> Option<(Option<Verdict>, String)> {
        let incomplete = self.base.incomplete + self.candidate.incomplete;
        let exact = matches!(metric.class, Class::Counts | Class::Bytes);
        if exact && (self.voided(metric) || incomplete > 0) {
            let what = if incomplete > 0 { "trials failed or were cut" } else { "trials are invalid" };
            return Some((Some(Verdict::Invalid), format!("{what}: see the findings of the two results")));
        }
        match (&row.base, &row.candidate) {
            (Some(_), Some(_)) => None,
            // Processor figures may be voided by noise in every trial; that says nothing of the others.
            (None, None) => Some((None, "no trial can be used: its class is invalid in all".to_owned())),
            (None, Some(_)) => Some((None, "the base has no such figure".to_owned())),
            (Some(_), None) => Some((None, "the candidate has no such figure".to_owned())),
        }
    }

    fn constant(&self, metric: &Metric, mut row: Row, base: &[f64], candidate: &[f64]) -> Row {
        if let Some((verdict, note)) = self.obstacle(metric, &row) {
            return Row { verdict, note, gates: row.gates && verdict.is_some(), ..row };
        }
        let Some(&expected) = base.first() else { return row };
        if base.iter().any(|value| *value != expected) {
            row.note = "it varies within the base: judged by its spread".to_owned();
            return self.total(metric, row, base, candidate);
        }
        row.method = Method::Exact;
        row.ratio = ratio(expected, row.candidate.map_or(expected, |spread| spread.median));
        let worse = candidate.iter().any(|value| is_worse(metric.better, expected, *value));
        let better = candidate.iter().all(|value| is_worse(metric.better, *value, expected));
        let equal = candidate.iter().all(|value| *value == expected);
        row.verdict = Some(match (equal, worse, better) {
            (true, ..) => Verdict::Equivalent,
            (_, true, _) => Verdict::Regression,
            (_, _, true) => Verdict::Improved,
            // Better in some trials and equal in others: no constant any more, and no worse.
            _ => Verdict::Inconclusive,
        });
        row
    }

    fn total(&self, metric: &Metric, mut row: Row, base: &[f64], candidate: &[f64]) -> Row {
        if let Some((verdict, note)) = self.obstacle(metric, &row) {
            return Row { verdict, note, gates: row.gates && verdict.is_some(), ..row };
        }
        let (Some(from), Some(to)) = (row.base, row.candidate) else { return row };
        if self.elsewhere && metric.class == Class::Cost {
            row.gates = false;
            row.note = words::join(&row.note, "the base is of another machine");
        }
        // Counted figures of A/A comparisons; with one pair, since two medians are compared.
        let known = self.ledger.map(|ledger| ledger.log_ratios(&self.base.name, metric.name));
        row.floor = known
            .filter(|known| known.len() >= noise::FEWEST_KNOWN)
            .map(|known| noise::floor(&known, 1, SEED));
        let few = base.len().min(candidate.len()) < FEWEST_FOR_SPREAD && row.floor.is_none();
        let smallest = match (metric.class, row.floor) {
            (Class::Cost, None) => SMALLEST_CHANGE_OF_COST,
            (Class::Cost, Some(_)) => SMALLEST_CHANGE_OF_COST_KNOWN,
            _ => SMALLEST_CHANGE,
        };
        row.delta = smallest.max(row.floor.unwrap_or(0.0)).max(own_spread(&from)).max(own_spread(&to));
        if few {
            row.delta = row.delta.max(CHANGE_UNSEEN);
            row.note = words::join(&row.note, "too few trials to tell its spread");
        }
        row.ratio = ratio(from.median, to.median);
        let moved = match row.ratio {
            Some(ratio) => ratio.max(1.0 / ratio) > 1.0 + row.delta,
            None => {
                (to.median - from.median).abs() > if metric.unit == "share" { SMALLEST_SHARE } else { 0.0 }
            }
        };
        let apart = to.low > from.high || to.high < from.low;
        row.verdict = Some(match (moved, apart, is_worse(metric.better, from.median, to.median)) {
            (false, ..) => Verdict::Equivalent,
            (true, false, _) => Verdict::Inconclusive,
            (true, true, true) => Verdict::Regression,
            (true, true, false) => Verdict::Improved,
        });
        row
    }

    fn timed(&self, metric: &Metric, mut row: Row) -> Row {
        row.ratio = row.base.zip(row.candidate).and_then(|(from, to)| ratio(from.median, to.median));
        if !TESTED.contains(&metric.name) {
            row.note = "shown, not tested".to_owned();
            return row;
        }
        let Some(pairs) = self.pairs else {
            row.note = "needs pairs, see `loadgen ab`".to_owned();
            row.gates = false;
            return row;
        };
        let differences = self.differences(metric);
        if differences.len() < self.fewest {
            row.note =
                format!("{} of {pairs} pairs have it on both sides, valid and above zero", differences.len());
            // A figure that both sides lack by nature (too few events for the percentile) is no failure.
            row.gates = row.gates && self.voided(metric);
            row.verdict = self.voided(metric).then_some(Verdict::Invalid);
            return row;
        }
        row.ratio = paired::hodges_lehmann(&differences).map(f64::exp);
        let interval = paired::interval(&differences, paired::CONFIDENCE);
        (row.low, row.high) = (interval.map(|(low, _)| low.exp()), interval.map(|(_, high)| high.exp()));
        let (above, below) =
            (paired::signed_rank_above(&differences), paired::signed_rank_below(&differences));
        let less = metric.better == Better::Less;
        (row.p_worse, row.p_better) =
            if less { (Some(above), Some(below)) } else { (Some(below), Some(above)) };
        if let Some(known) = self.ledger.map(|ledger| ledger.log_ratios(&self.base.name, metric.name))
            && known.len() >= noise::FEWEST_KNOWN
        {
            row.floor = Some(noise::floor(&known, differences.len(), SEED));
        }
        row.delta = self.settings.delta.max(row.floor.unwrap_or(0.0));
        row
    }

    /// Logarithms of candidate over base, for pairs that have both.
    fn differences(&self, metric: &Metric) -> Vec<f64> {
        let none = Vec::new();
        let of = |side: &'_ VariantFigures| side.metrics.get(metric.name).unwrap_or(&none).clone();
        let (base, candidate) = (of(self.base), of(self.candidate));
        let pair = |(base, candidate): (&Option<f64>, &Option<f64>)| {
            let (base, candidate) = ((*base)?, (*candidate)?);
            (base > 0.0 && candidate > 0.0).then(|| (candidate / base).ln())
        };
        base.iter().zip(&candidate).filter_map(pair).collect()
    }
}

/// Holm's correction over all tests of the comparison, then the verdicts.
fn correct(variants: &mut [VariantRows], settings: &Settings, ledger: Option<&NoiseLedger>) {
    let tested = |variants: &mut [VariantRows], read: fn(&mut Row) -> &mut Option<f64>| {
        let rows: Vec<&mut Option<f64>> = variants
            .iter_mut()
            .flat_map(|variant| variant.rows.iter_mut().map(read))
            .filter(|p| p.is_some())
            .collect();
        let ps: Vec<f64> = rows.iter().filter_map(|p| **p).collect();
        for (row, adjusted) in rows.into_iter().zip(paired::holm(&ps)) {
            *row = Some(adjusted);
        }
        ps.len()
    };
    let tests = tested(variants, |row| &mut row.p_worse);
    tested(variants, |row| &mut row.p_better);
    let mut visible = BTreeMap::new();
    for variant in variants {
        for row in variant.rows.iter_mut().filter(|row| row.p_worse.is_some()) {
            row.verdict = Some(of_pairs(row, settings));
            let Some(ledger) = ledger else { continue };
            let key = (variant.name.clone(), row.metric.clone());
            row.smallest_visible = *visible.entry(key).or_insert_with(|| {
                let known = ledger.log_ratios(&variant.name, &row.metric);
                smallest_visible(&known, row.base.map_or(0, |base| base.trials), tests, row.delta, settings)
            });
        }
    }
}

/// COMPARE's rule: a change needs both a small p and an interval beyond δ; equivalence an interval within δ.
fn of_pairs(row: &Row, settings: &Settings) -> Verdict {
    let (Some(low), Some(high)) = (row.low, row.high) else { return Verdict::Inconclusive };
    let less = metrics::find(&row.metric).is_none_or(|metric| metric.better == Better::Less);
    let (up, down) = (low > 1.0 + row.delta, high < 1.0 / (1.0 + row.delta));
    let (worse, better) = if less { (up, down) } else { (down, up) };
    let small = |p: Option<f64>| p.is_some_and(|p| p < settings.alpha);
    if worse && small(row.p_worse) {
        Verdict::Regression
    } else if better && small(row.p_better) {
        Verdict::Improved
    } else if low > 1.0 / (1.0 + row.delta) && high < 1.0 + row.delta {
        // Within a floor that is larger than what was asked, nothing smaller can be excluded.
        if row.delta > settings.delta { Verdict::Unresolved } else { Verdict::Equivalent }
    } else {
        Verdict::Inconclusive
    }
}

/// The smallest ratio that would have been called a regression in four of five repetitions on this machine.
fn smallest_visible(
    known: &[f64],
    pairs: usize,
    tests: usize,
    delta: f64,
    settings: &Settings,
) -> Option<f64> {
    let seen =
        |differences: &[f64]| paired::is_above(differences, delta, settings.alpha / tests.max(1) as f64);
    (known.len() >= noise::FEWEST_KNOWN && pairs > 0)
        .then(|| noise::smallest_visible(known, pairs, seen, SEED))
        .flatten()
}

fn values(side: &VariantFigures, metric: &Metric) -> Vec<f64> {
    side.metrics.get(metric.name).map(|values| values.iter().flatten().copied().collect()).unwrap_or_default()
}

fn spread(values: &[f64]) -> Option<Spread> {
    let median = summary::over(values.to_vec())?.median;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(Spread { median, low, high, trials: values.len() })
}

/// The range of a side's own trials as a share of its median.
fn own_spread(spread: &Spread) -> f64 {
    if spread.median > 0.0 { (spread.high - spread.low) / spread.median } else { 0.0 }
}

fn ratio(base: f64, candidate: f64) -> Option<f64> {
    if base == candidate { Some(1.0) } else { (base > 0.0 && candidate > 0.0).then(|| candidate / base) }
}

fn is_worse(better: Better, from: f64, to: f64) -> bool {
    match better {
        Better::Less => to > from,
        Better::More => to < from,
    }
}
