//! What two results are compared by: each metric's value in each trial, voided where its class was.

use std::collections::BTreeMap;

use measurement::{
    metrics,
    result::{Class, RunResult, Status, Trial, Variant, Verdict},
};
use serde::{Deserialize, Serialize};

use crate::overview::{CLASSES, verdict};

/// All variants of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// In the scenario's order.
    pub variants: Vec<VariantFigures>,
}

/// One variant, trial by trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VariantFigures {
    /// Its name.
    pub name: String,
    /// Trials that were asked for, failed ones too.
    pub trials: usize,
    /// Trials that failed or were cut.
    pub incomplete: usize,
    /// How many of the others are invalid in each class (by name), where any is.
    pub invalid: BTreeMap<String, usize>,
    /// Dotted name -> the value in each trial, null where it has none or its class is invalid. Metrics without any value are
    /// left out.
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
}

impl Figures {
    /// Reads them off a result.
    pub fn of(result: &RunResult) -> Self {
        Self { variants: result.variants.iter().map(VariantFigures::of).collect() }
    }

    /// The fewest trials that a variant has.
    pub fn trials(&self) -> usize {
        self.variants.iter().map(|variant| variant.trials).min().unwrap_or(0)
    }

    /// Runs of the same scenario as one, trial after trial in the order given. The first decides about variants.
    pub fn joined(runs: &[&Self]) -> Self {
        let mut all = runs.first().map(|first| (*first).clone()).unwrap_or_default();
        for run in runs.iter().skip(1) {
            for variant in &mut all.variants {
                if let Some(more) = run.variants.iter().find(|more| more.name == variant.name) {
                    variant.append(more);
                }
            }
        }
        all
    }
}

impl VariantFigures {
    fn of(variant: &Variant) -> Self {
        let mut trials: Vec<&Trial> = variant.trials.iter().collect();
        trials.sort_by_key(|trial| trial.index);
        let complete = |trial: &&&Trial| trial.status == Status::Complete;
        let invalid = |class: Class| {
            trials.iter().filter(complete).filter(|trial| verdict(trial, class) == Verdict::Invalid).count()
        };
        let counted = CLASSES.iter().map(|(class, name)| ((*name).to_owned(), invalid(*class)));
        let values = |metric: &metrics::Metric| -> Vec<Option<f64>> {
            let value = |trial: &&Trial| {
                complete(&trial).then(|| metric.of(trial)).flatten().filter(|value| value.is_finite())
            };
            trials.iter().map(value).collect()
        };
        let metrics = metrics::ALL.iter().map(|metric| (metric.name.to_owned(), values(metric)));
        Self {
            name: variant.name.clone(),
            trials: trials.len(),
            incomplete: trials.len() - trials.iter().filter(complete).count(),
            invalid: counted.filter(|(_, count)| *count > 0).collect(),
            metrics: metrics.filter(|(_, values)| values.iter().any(Option::is_some)).collect(),
        }
    }

    fn append(&mut self, more: &Self) {
        for (class, count) in &more.invalid {
            *self.invalid.entry(class.clone()).or_default() += count;
        }
        for (metric, values) in &mut self.metrics {
            let none = vec![None; more.trials];
            values.extend(more.metrics.get(metric).unwrap_or(&none));
        }
        for (metric, values) in &more.metrics {
            let new = || vec![None; self.trials].into_iter().chain(values.iter().copied()).collect();
            self.metrics.entry(metric.clone()).or_insert_with(new);
        }
        self.trials += more.trials;
        self.incomplete += more.incomplete;
    }
}
