//! A variant's figures over its trials: the unit of replication is the trial, never the request.

use std::collections::BTreeMap;

use crate::{
    metrics::{self, Metric},
    result::{Class, Status, Summary, Trial, Variant, Verdict},
};

/// Below this many trials an interval of the median says nothing, and `low`/`high` are the range.
pub const FEWEST_FOR_INTERVAL: usize = 6;

/// Every metric that at least one usable trial can tell.
pub fn summarise(trials: &[Trial]) -> BTreeMap<String, Summary> {
    // Totals of a shorter window would pass for a difference: partial trials count only where nothing else is.
    let whole = trials.iter().any(|trial| trial.status == Status::Complete);
    let status = if whole { Status::Complete } else { Status::Partial };
    let trials: Vec<&Trial> = trials.iter().filter(|trial| trial.status == status).collect();
    let figures = metrics::ALL.iter().filter_map(|metric| {
        let values: Vec<f64> = trials.iter().filter_map(|trial| metric.of(trial)).collect();
        Some((metric.name.to_owned(), over(values)?))
    });
    figures.collect()
}

/// A metric's values that a verdict may rest on: of complete trials, where its class of figures is valid; or why there are none.
pub fn trusted(variant: &Variant, metric: &Metric) -> Result<Vec<f64>, String> {
    let trials = &variant.trials;
    let complete: Vec<&Trial> = trials.iter().filter(|trial| trial.status == Status::Complete).collect();
    if complete.len() < trials.len() || complete.is_empty() {
        return Err(format!("{} of {} trials are complete", complete.len(), trials.len()));
    }
    let is_sound = |trial: &&&Trial| trial.validity.classes.of(metric.class) != Verdict::Invalid;
    let sound: Vec<&&Trial> = complete.iter().filter(is_sound).collect();
    // Noise voids times of single trials; a count that cannot be trusted once cannot be trusted.
    let noisy = matches!(metric.class, Class::Timing | Class::Cost);
    if sound.is_empty() || !noisy && sound.len() < complete.len() {
        return Err(format!("{} of {} trials are valid for it", sound.len(), complete.len()));
    }
    let values: Vec<f64> = sound.iter().filter_map(|trial| metric.of(trial)).collect();
    if values.is_empty() {
        return Err("no trial can tell it (too few events, or not for this transport)".to_owned());
    }
    Ok(values)
}

/// Median, and the range or the 95 % interval of the median by order statistics; `None` without values.
///
/// With n values the k-th smallest and k-th largest bound the median with the confidence
/// 1 − 2·P(Binomial(n, ½) < k) (Conover, "Practical Nonparametric Statistics", section 3.2).
pub fn over(mut values: Vec<f64>) -> Option<Summary> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let upper = *values.get(n / 2)?;
    let median = if n % 2 == 1 { upper } else { f64::midpoint(values[n / 2 - 1], upper) };
    let k = if n < FEWEST_FOR_INTERVAL { 0 } else { rank_of_95_percent(n) };
    Some(Summary { median, low: values[k], high: values[n - 1 - k], trials: n as u64 })
}

/// The largest 0-based rank whose interval still holds the median with 95 % confidence.
fn rank_of_95_percent(n: usize) -> usize {
    let mut below = 0.0;
    let mut term = 0.5_f64.powi(n as i32);
    let mut rank = 0;
    for k in 0..n / 2 {
        below += term;
        if 2.0 * below > 0.05 {
            break;
        }
        rank = k;
        term *= (n - k) as f64 / (k + 1) as f64;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    #[test]
    fn medians_and_ranges() {
        let check = |values: &[f64], expected: (f64, f64, f64)| {
            let summary = over(values.to_vec()).unwrap();
            assert_eq!((summary.median, summary.low, summary.high), expected, "{values:?}");
        };
        check(&[3.0], (3.0, 3.0, 3.0));
        check(&[4.0, 2.0], (3.0, 2.0, 4.0));
        check(&[9.0, 1.0, 5.0], (5.0, 1.0, 9.0));
        // Six values: the extremes bound the median with 96.9 %; ten: the second ones with 97.9 %.
        check(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (3.5, 1.0, 6.0));
        check(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], (5.5, 2.0, 9.0));
        assert_eq!(over(Vec::new()), None);
    }

    #[test]
    fn failed_trials_have_no_figures_and_partial_ones_only_if_nothing_else_has() {
        let with = |status, lost| {
            let mut trial = Trial { status, ..Trial::default() };
            trial.updates.lost = Some(lost);
            trial
        };
        let lost =
            |trials: &[Trial]| summarise(trials).get("updates.lost").map(|lost| (lost.median, lost.trials));
        let trials = [with(Status::Failed, 1), with(Status::Partial, 2), with(Status::Complete, 4)];
        assert_eq!(lost(&trials), Some((4.0, 1)));
        assert_eq!(lost(&trials[..2]), Some((2.0, 1)));
        assert_eq!(lost(&trials[..1]), None);
    }

    #[test]
    fn a_class_that_is_invalid_gives_no_figures() {
        let mut trial = Trial::default();
        trial.updates.lost = Some(3);
        assert_eq!(summarise(&[trial.clone()])["updates.lost"].median, 3.0);
        trial.validity.classes.counts = Verdict::Invalid;
        assert!(!summarise(&[trial]).contains_key("updates.lost"));
    }
}
