//! What can be trusted in a trial: verdicts by class of figures, and the findings that lead to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What can be trusted in a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// True when no class is invalid.
    pub valid: bool,
    /// Verdict for each class.
    pub classes: Classes,
    /// Everything that was noticed.
    pub findings: Vec<Finding>,
}

/// Verdict for each class of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Classes {
    /// Updates, requests, connections.
    pub counts: Verdict,
    /// The byte ledger.
    pub bytes: Verdict,
    /// Delays and staleness.
    pub timing: Verdict,
    /// CPU, memory, switches.
    pub cost: Verdict,
}

impl Classes {
    /// The verdict of one class.
    pub fn of(&self, class: Class) -> Verdict {
        match class {
            Class::Counts => self.counts,
            Class::Bytes => self.bytes,
            Class::Timing => self.timing,
            Class::Cost => self.cost,
        }
    }
}

/// One class's verdict, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing against it.
    #[default]
    Ok,
    /// Some percentile is below what could be resolved; the rest stands.
    Unresolved,
    /// The figures must not be used.
    Invalid,
}

/// A class of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Updates, requests, connections.
    Counts,
    /// The byte ledger.
    Bytes,
    /// Delays and staleness.
    Timing,
    /// CPU, memory, switches.
    Cost,
}

/// Something that was noticed about a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable, dotted.
    pub code: String,
    /// Which figures it is about.
    pub class: Class,
    /// Which further figures it voids; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Class>,
    /// How bad.
    pub severity: Severity,
    /// One plain sentence.
    pub message: String,
    /// The figure that was found, with its unit.
    pub figure: String,
    /// The limit it was held against, with its unit.
    pub limit: String,
    /// What to do about it.
    pub advice: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Changes nothing.
    Note,
    /// One percentile is not resolved.
    Unresolved,
    /// The class's figures must not be used.
    Invalid,
}

impl Finding {
    /// Whether it is about figures of this class.
    pub fn concerns(&self, class: Class) -> bool {
        self.class == class || self.also.contains(&class)
    }
}
