//! Scenario file -> [`Plan`], in passes: find, decode, lay `--set` over it, refuse what is not supported, resolve.
//!
//! Only this module knows TOML. Everything after it sees a plan with nothing left open.

use crate::plan::Plan;

mod axes;
mod browser;
mod claims;
mod decode;
mod error;
pub mod estimate;
mod gates;
pub mod headers;
mod mixed;
mod overrides;
mod peer;
mod resolve;
mod scalar;
pub mod schema;
mod source;
mod sweep;
mod values;
mod wire;
mod workload;

pub use error::{Problem, ScenarioError};
pub use estimate::{Estimate, Needs, NeedsError};
pub use gates::condition;
pub use overrides::Overrides;
pub(crate) use peer::{headers as stranger_headers, is_here, words};
pub use source::{FOLDERS, SHIPPED, SHIPPED_BELOW};

/// Reads the scenario that the command line names and resolves it.
///
/// `path_or_name` is a path, or the bare name of a shipped scenario (see [`SHIPPED`]). Header values are
/// filled from this process's environment.
pub fn load(path_or_name: &str, overrides: &Overrides) -> Result<Plan, ScenarioError> {
    load_with(path_or_name, overrides, &|name| std::env::var(name).ok())
}

/// [`load`] with an environment of the caller's.
pub fn load_with(
    path_or_name: &str,
    overrides: &Overrides,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Plan, ScenarioError> {
    resolve_source(&source::find(path_or_name)?, overrides, environment).map(|(plan, _)| plan)
}

/// [`load`], and whether the scenario says how long to warm up.
pub fn load_for_pairs(path_or_name: &str, overrides: &Overrides) -> Result<(Plan, bool), ScenarioError> {
    resolve_source(&source::find(path_or_name)?, overrides, &|name| std::env::var(name).ok())
}

/// A scenario that is no file: `name` stands where a path would.
pub fn load_text(
    name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Plan, ScenarioError> {
    let source = source::Source { name: name.to_owned(), path: name.into(), text: text.to_owned() };
    resolve_source(&source, &Overrides::default(), environment).map(|(plan, _)| plan)
}

/// The plan, and whether the file or `--set` says how long to warm up.
fn resolve_source(
    source: &source::Source,
    overrides: &Overrides,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Plan, bool), ScenarioError> {
    let mut sources = decode::Sources::default();
    let mut file = sources.file(&source.path.to_string_lossy(), &source.text)?;
    for given in &overrides.set {
        let set = sources.set(given)?;
        overrides::apply(&mut file, set, &sources)?;
    }
    let resolve::Resolved { mut plan, labels } = resolve::resolve(source, &file, &sources, environment)?;
    plan.gates = gates::resolve(&file, &sources, &plan, &labels)?;
    plan.claims = claims::resolve(&file, &sources, &plan, &labels)?;
    overrides::keep_only(&mut plan, &labels, &overrides.only)?;
    if overrides.quick {
        overrides::quicken(&mut plan);
    }
    Ok((plan, file.load.warmup.is_some()))
}
