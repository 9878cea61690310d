//! What a run was asked to do, as far as the result's plan tells.
//!
//! It knows no setting's default: a plan that does not name one has none.

use measurement::result::{RunResult, Variant};
use serde_json::Value;

/// What the plan says of a variant; null where it says nothing.
pub(crate) fn of<'a>(result: &'a RunResult, variant: &Variant) -> &'a Value {
    let named = |plan: &&Value| plan.get("name").and_then(Value::as_str) == Some(&variant.name);
    let plans = result.scenario.plan.get("variants").and_then(Value::as_array);
    plans.and_then(|plans| plans.iter().find(named)).unwrap_or(&Value::Null)
}

/// Updates of one symbol in a second; `None` for a feed that is not ours.
pub(crate) fn symbol_rate(result: &RunResult, variant: &Variant) -> Option<f64> {
    let feed = &of(result, variant)["feed"];
    let (rate, symbols) = (feed["updates_per_second"].as_f64()?, feed["symbols"].as_f64()?);
    (rate > 0.0 && symbols >= 1.0).then_some(rate / symbols)
}

/// Whether quotes come at random instants, as the closed forms of staleness take it.
pub(crate) fn is_poisson(result: &RunResult, variant: &Variant) -> bool {
    of(result, variant)["feed"]["arrivals"].as_str() == Some("poisson")
}
