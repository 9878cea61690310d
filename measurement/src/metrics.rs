//! The list of metrics: dotted names without unit, as gates, summaries and `loadgen list` use them.
//!
//! Each entry of [`ALL`] says its unit, what it means in plain words, and how to read it off a [`Trial`].

use crate::result::{Class, Trial, Verdict};

/// One metric.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Dotted name, the result file's path without the unit.
    pub name: &'static str,
    /// Unit of the value: `us`, `bytes`, `share`, `count`, `1/s`, `s`, or empty.
    pub unit: &'static str,
    /// Which class of findings voids it.
    pub class: Class,
    /// How two results are compared by it.
    pub comparison: Comparison,
    /// Which way is better.
    pub better: Better,
    /// What it means, in plain words.
    pub meaning: &'static str,
    /// Reads the value off a trial; `None` where the trial cannot tell.
    pub read: fn(&Trial) -> Option<f64>,
}

impl Metric {
    /// Its value in a trial; `None` where the trial cannot tell, or where the class is void.
    pub fn of(&self, trial: &Trial) -> Option<f64> {
        (trial.validity.classes.of(self.class) < Verdict::Invalid).then(|| (self.read)(trial)).flatten()
    }
}

/// How two results are compared by a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Counted and the same in every run of the same code: any difference is one.
    Constant,
    /// Counted, and spread a little by where the window falls and how the system schedules.
    Total,
    /// Timed: says something only in pairs that ran beside each other.
    Timed,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Lower.
    Less,
    /// Higher.
    More,
}

mod list;

pub use list::ALL;

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| metric.name == name)
}
