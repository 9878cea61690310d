//! Two results -> a verdict with its statistics, after the recipe of METHODOLOGY.md.
//!
//! A pure function of two results and of what is known of the machine's noise. Terminal, Markdown, JUnit, JSON and HTML show
//! this one derivation. It runs nothing, and knows no transport by name.

use std::collections::BTreeMap;

use measurement::{noise::NoiseLedger, result::RunResult};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod figures;
mod html;
mod judge;
mod junit;
mod markdown;
mod terminal;
mod words;

pub use figures::Figures;
pub use html::page;
pub use judge::{Grounds, TESTED, fewest_pairs, judge};
pub(crate) use junit::cases;
pub use junit::junit;
pub use markdown::markdown;
pub use terminal::terminal;
pub use words::told;

/// Value of [`Comparison::format`] that this version writes.
pub const FORMAT: &str = "tickertape-comparison/1";

/// Why two results are not compared at all.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// They measured something else.
    #[error("the two results cannot be compared: {}", .0.join("; "))]
    MustMatch(Vec<String>),
    /// So few pairs that no difference could ever be found.
    #[error(
        "{pairs} pairs cannot show a difference at the level {alpha}: with {tests} tests together at least {fewest} \
         are needed"
    )]
    TooFewPairs {
        /// Pairs of the results.
        pairs: usize,
        /// The level for all tests together.
        alpha: f64,
        /// Tests: variants times [`TESTED`].
        tests: usize,
        /// Pairs that would do.
        fewest: usize,
    },
}

/// What the caller decides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// A timed change must be larger than this share to matter; the machine's floor may be more.
    pub delta: f64,
    /// Probability of one false alarm or more among all timed tests of a comparison.
    pub alpha: f64,
    /// Whether timed metrics decide the verdict, or only advise.
    pub timed_gates: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { delta: 0.05, alpha: 0.01, timed_gates: false }
    }
}

/// What was found of one metric, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// No difference that matters.
    Equivalent,
    /// Better.
    Improved,
    /// No change above the machine's floor; smaller ones cannot be seen here.
    Unresolved,
    /// Neither a change nor its absence is shown.
    Inconclusive,
    /// Worse.
    Regression,
    /// The data cannot be trusted.
    Invalid,
}

impl Verdict {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equivalent => "EQUIVALENT",
            Self::Improved => "IMPROVED",
            Self::Unresolved => "UNRESOLVED",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Regression => "REGRESSION",
            Self::Invalid => "INVALID",
        }
    }

    /// DESIGN's exit code: 0 equivalent or improved, 1 regression, 3 invalid, 4 undecided.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Equivalent | Self::Improved => 0,
            Self::Regression => 1,
            Self::Invalid => 3,
            Self::Unresolved | Self::Inconclusive => 4,
        }
    }
}

/// How a metric was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A constant: compared exactly.
    Exact,
    /// A counted total: by its spread.
    Spread,
    /// A timed metric: by pairs of trials.
    Pairs,
}

/// One metric of one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Dotted name.
    pub metric: String,
    /// Unit, as in the list of metrics.
    pub unit: String,
    /// How it was judged.
    pub method: Method,
    /// Whether it decides the verdict.
    pub gates: bool,
    /// Median, lowest and highest of the trials of the base.
    pub base: Option<Spread>,
    /// The same of the candidate.
    pub candidate: Option<Spread>,
    /// Candidate over base: of the medians, or Hodges–Lehmann's estimate over the pairs.
    pub ratio: Option<f64>,
    /// Interval of the ratio at 95 % (pairs only).
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// Exact one-sided p of the worse direction, corrected by Holm over all tests (pairs only).
    pub p_worse: Option<f64>,
    /// The same of the better direction.
    pub p_better: Option<f64>,
    /// A change must be larger than this share to count.
    pub delta: f64,
    /// The part of [`Self::delta`] that is this machine's own: the 95th percentile of its A/A comparisons.
    pub floor: Option<f64>,
    /// The smallest ratio that this machine could have seen with 80 % power, by its ledger.
    pub smallest_visible: Option<f64>,
    /// What was found; null where the metric is not compared, see [`Self::note`].
    pub verdict: Option<Verdict>,
    /// Why it was not compared, or what to know of the verdict; may be empty.
    pub note: String,
}

/// Median and range over trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub low: f64,
    /// Largest.
    pub high: f64,
    /// Trials that have the figure.
    pub trials: usize,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantRows {
    /// Its name.
    pub name: String,
    /// One for each metric that either side has.
    pub rows: Vec<Row>,
}

/// One side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The result's id.
    pub id: String,
    /// The command that made it.
    pub command: String,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// Revision of the code, if the result knows.
    pub revision: Option<String>,
    /// What was measured, if it was told apart from the rest: a command or an address.
    pub target: Option<String>,
}

/// Two results compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: String,
    /// The scenario's title.
    pub title: String,
    /// The worst of the rows that gate.
    pub verdict: Verdict,
    /// What was asked.
    pub settings: Settings,
    /// The base.
    pub base: Side,
    /// The candidate.
    pub candidate: Side,
    /// Pairs of trials that ran beside each other; null where the two ran apart.
    pub pairs: Option<usize>,
    /// Why timed metrics were not compared; empty where they were.
    pub timed: String,
    /// What else to know.
    pub notes: Vec<String>,
    /// In the scenario's order.
    pub variants: Vec<VariantRows>,
}

impl Comparison {
    /// Rows with their variant's name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.variants.iter().flat_map(|variant| variant.rows.iter().map(|row| (variant.name.as_str(), row)))
    }
}

/// Compares two results.
pub fn compare(
    base: &RunResult,
    candidate: &RunResult,
    settings: &Settings,
    noise: Option<&NoiseLedger>,
) -> Result<Comparison, CompareError> {
    comparable(base, &candidate.manifest.must_match, &candidate.scenario.plan)?;
    let pairing = paired(base, candidate);
    let timed = match &pairing {
        None => "the two runs did not run beside each other: `loadgen ab` runs both sides now".to_owned(),
        Some(_) if is_counted_only(candidate) => "only what is counted was asked for".to_owned(),
        Some(_) => {
            differences_of_machines(&base.manifest.timed_must_match, &candidate.manifest.timed_must_match)
        }
    };
    let (of_base, of_candidate) = (Figures::of(base), Figures::of(candidate));
    let pairs = pairing.filter(|_| timed.is_empty()).map(|()| of_base.trials().min(of_candidate.trials()));
    let fits = |ledger: &&NoiseLedger| ledger.fits(&candidate.manifest.timed_must_match);
    let ledger = noise.filter(fits);
    let elsewhere = base.manifest.timed_must_match != candidate.manifest.timed_must_match;
    let grounds = Grounds { pairs, elsewhere, ledger };
    let variants = judge(&of_base, &of_candidate, settings, &grounds)?;
    let mut notes = words::notes(base, candidate);
    if noise.is_some() && ledger.is_none() {
        notes.push("The noise ledger is of another machine and was not used.".to_owned());
    } else if ledger.is_none() && pairs.is_some() {
        notes.push(
            "No noise ledger of this machine: how small a change it can see is not known. Make one with `loadgen \
             doctor --noise`."
                .to_owned(),
        );
    }
    let mut comparison = Comparison {
        format: FORMAT.to_owned(),
        title: candidate.scenario.title.clone(),
        verdict: Verdict::Equivalent,
        settings: *settings,
        base: side(base),
        candidate: side(candidate),
        pairs,
        timed,
        notes,
        variants,
    };
    comparison.verdict = overall(&comparison);
    Ok(comparison)
}

/// Whether a result with these facts and this plan can be held against the base.
///
/// # Errors
///
/// What differs, key by key; of plans the first difference.
pub fn comparable(
    base: &RunResult,
    must_match: &BTreeMap<String, Value>,
    plan: &Value,
) -> Result<(), CompareError> {
    let mut differences = differences(&base.manifest.must_match, must_match);
    if let Some(of_plan) = differences.iter_mut().find(|text| text.starts_with("`plan`")) {
        let read = |plan: &Value| plan.get("variants").cloned().unwrap_or_default();
        let (theirs, ours) = (read(&base.scenario.plan), read(plan));
        // A hash tells nobody what to change.
        if let Some(first) = words::first_difference("variants", &theirs, &ours) {
            *of_plan = format!("the plans differ: {first}");
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(CompareError::MustMatch(differences)) }
}

/// The worst of the gating rows. Invalid ones of the classes cost and timing void themselves only.
fn overall(comparison: &Comparison) -> Verdict {
    let gating = comparison.rows().filter(|(_, row)| row.gates).filter_map(|(_, row)| row.verdict);
    let worst = gating.max();
    let improved = comparison.rows().any(|(_, row)| row.verdict == Some(Verdict::Improved) && row.gates);
    match worst {
        // Nothing could be judged: that is no success.
        None => Verdict::Invalid,
        Some(Verdict::Equivalent) if improved => Verdict::Improved,
        Some(worst) => worst,
    }
}

fn side(result: &RunResult) -> Side {
    let recorded = |key: &str| result.manifest.recorded.get(key).and_then(Value::as_str).map(str::to_owned);
    Side {
        id: result.id.clone(),
        command: result.command.clone(),
        started_at: result.started_at.clone(),
        revision: recorded("git_revision"),
        target: result.manifest.recorded.get("target").and_then(told_target),
    }
}

/// A target is text, or an object with its command.
fn told_target(target: &Value) -> Option<String> {
    target.as_str().or_else(|| target.get("command")?.as_str()).map(str::to_owned)
}

/// Both name the same pairing.
fn paired(base: &RunResult, candidate: &RunResult) -> Option<()> {
    let id = |result: &RunResult| result.manifest.recorded.get("pairing")?.get("id").cloned();
    (id(base)? == id(candidate)?).then_some(())
}

fn is_counted_only(result: &RunResult) -> bool {
    let counted_only =
        result.manifest.recorded.get("pairing").and_then(|pairing| pairing.get("counted_only"));
    counted_only.and_then(Value::as_bool) == Some(true)
}

fn differences(base: &BTreeMap<String, Value>, candidate: &BTreeMap<String, Value>) -> Vec<String> {
    let mut keys: Vec<&String> = base.keys().chain(candidate.keys()).collect();
    keys.sort();
    keys.dedup();
    let differs = |key: &&&String| base.get(**key) != candidate.get(**key);
    let text = |key: &&String| {
        let value = |side: &BTreeMap<String, Value>| {
            side.get(*key).map_or_else(|| "nothing".to_owned(), |value| words::clip(&value.to_string()))
        };
        format!("`{key}` is {} in the base and {} in the candidate", value(base), value(candidate))
    };
    keys.iter().filter(differs).map(text).collect()
}

fn differences_of_machines(base: &BTreeMap<String, Value>, candidate: &BTreeMap<String, Value>) -> String {
    let found = differences(base, candidate);
    if found.is_empty() {
        String::new()
    } else {
        format!("the two ran on different machines or builds: {}", found.join("; "))
    }
}

#[cfg(test)]
mod tests;
