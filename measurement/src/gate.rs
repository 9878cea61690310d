//! A gate: a limit that a metric of a variant must keep, as a scenario asks for it and a result remembers it.

use serde::{Deserialize, Serialize};

/// One limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The variant's name.
    pub variant: String,
    /// The metric's dotted name.
    pub metric: String,
    /// The limit, in the metric's own unit.
    pub limit: Limit,
}

/// What the median over the trials must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Less than this.
    Below(f64),
    /// More than this.
    Above(f64),
    /// This, in every trial.
    Equals(f64),
    /// At most so much worse than the baseline, as a share.
    MaxIncrease(f64),
}
