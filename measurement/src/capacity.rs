//! The record of a search for capacity, `tickertape-capacity/1`: which values were tried and what became of each.
//!
//! Types and nothing else. Every step names the folder of its own result, which has all figures.

use serde::{Deserialize, Serialize};

use crate::{gate::Limit, result::Status};

/// Value of [`Capacity::format`] that this version writes.
pub const FORMAT: &str = "tickertape-capacity/1";

/// A search, of every variant of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Name and version of this format.
    pub format: String,
    /// The command line.
    pub command: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub finished_at: String,
    /// Whether every variant's search came to its end.
    pub status: Status,
    /// Why not.
    pub partial_reason: Option<String>,
    /// Title of the scenario.
    pub title: String,
    /// Its path as given.
    pub scenario: String,
    /// The key whose largest value is looked for.
    pub varied: String,
    /// No value above this is tried.
    pub most: f64,
    /// Whether `--quick` halved the window and left out the confirmation.
    pub quick: bool,
    /// What has to hold, all of it.
    pub conditions: Vec<Condition>,
    /// In the scenario's order.
    pub variants: Vec<Found>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The metric's dotted name.
    pub metric: String,
    /// Its limit, in the metric's unit.
    pub limit: Limit,
}

/// What was found of one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// The largest value that held.
    pub held: Option<f64>,
    /// The smallest that did not.
    pub failed: Option<f64>,
    /// What ended the search.
    pub limited_by: LimitedBy,
    /// Why, in words; empty where the condition's own figure says it.
    pub reason: String,
    /// Values whose confirmation said something else than the search did.
    pub contradicted: Vec<f64>,
    /// In the order in which they were run.
    pub steps: Vec<Step>,
}

/// What ends the values that hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitedBy {
    /// A larger value breaks the condition.
    Condition,
    /// At a larger value the load generator, the feed's publisher or the machine is at its end: the server's limit is not known.
    Harness,
    /// At a larger value the server refuses or drops connections.
    Server,
    /// At a larger value the figure cannot be told.
    Untold,
    /// Everything that was allowed to be tried holds.
    Most,
    /// The search was stopped before it ended.
    Stopped,
}

/// One value that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The value.
    pub value: f64,
    /// Trials run.
    pub trials: u32,
    /// Whether it repeats a value that the search had tried.
    pub confirms: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// The conditions' metrics, median over the trials; null where none can tell.
    pub figures: Vec<Option<f64>>,
    /// Why it did not hold, or could not be judged.
    pub reasons: Vec<String>,
    /// The folder of its result, from the search's; null where nothing could be run.
    pub folder: Option<String>,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All conditions hold.
    Held,
    /// One is broken.
    Broken,
    /// The load generator, the feed's publisher or the machine was at its end.
    Harness,
    /// The server refused or dropped connections.
    Server,
    /// The figure cannot be told.
    Untold,
}

impl Outcome {
    /// What ends a search whose smallest value that did not hold came to this.
    pub fn limits(self) -> LimitedBy {
        match self {
            Self::Held => LimitedBy::Most,
            Self::Broken => LimitedBy::Condition,
            Self::Harness => LimitedBy::Harness,
            Self::Server => LimitedBy::Server,
            Self::Untold => LimitedBy::Untold,
        }
    }
}
