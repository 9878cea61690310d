//! How wrong and how old what a client shows is, in the result file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Histogram;

/// A time-weighted distribution of lags: a lag grows as a ramp from `start` to `end`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeWeighted {
    /// Ramps.
    pub count: u64,
    /// Distinct events that ended a ramp.
    pub distinct: u64,
    /// Observed time over all clients and symbols, in seconds.
    pub total_s: f64,
    /// Average over time, zero lag included.
    pub mean_us: Option<f64>,
    /// The lag that is exceeded half of the time.
    pub p50_us: Option<f64>,
    /// The lag that is exceeded a tenth of the time.
    pub p90_us: Option<f64>,
    /// The lag that is exceeded a hundredth of the time; null without enough ramps.
    pub p99_us: Option<f64>,
    /// Largest lag.
    pub max_us: Option<f64>,
    /// Percentiles that noise makes unreliable.
    pub unresolved: Vec<String>,
    /// Lags at the starts of the ramps, as in [`Histogram::hdr`].
    pub hdr_start: String,
    /// Lags at the ends of the ramps, as in [`Histogram::hdr`].
    pub hdr_end: String,
}

/// A mean in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mean {
    /// Time average.
    pub mean_us: f64,
}

/// Age of information: mean over time and the distribution of its peaks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Age {
    /// Time average.
    pub mean_us: f64,
    /// Age just before each fresh reception.
    pub peak: Histogram,
}

/// Versions behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionLag {
    /// Time average.
    pub mean: f64,
    /// Largest.
    pub max: u64,
}

/// Staleness of one symbol, averaged over symbols and clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PerSymbol {
    /// Share of time in which the shown price is not the newest.
    pub out_of_sync_share: f64,
    /// How long the shown price has been wrong.
    pub sync_lag: TimeWeighted,
    /// Age above what a client without delay would show.
    pub excess_age: Mean,
    /// Age of the shown price.
    pub age: Age,
    /// Prices behind.
    pub version_lag: VersionLag,
}

/// Staleness of a screen with all symbols.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WholeScreen {
    /// Share of time in which any shown price is not the newest.
    pub out_of_sync_share: f64,
    /// How long any shown price has been wrong.
    pub sync_lag: TimeWeighted,
}
