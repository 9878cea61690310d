//! Names of the format that this version cannot honour: refused by name and position, never ignored.

use super::{
    decode::Sources,
    error::ScenarioError,
    scalar::One,
    values::{self, Words},
    wire::File,
};

/// Refuses what a later version will do. Values equal to what this version does anyway pass.
pub(super) fn refuse(file: &File, sources: &Sources) -> Result<(), ScenarioError> {
    only(sources, "driver", file.load.driver.as_ref(), "native", &["chromium"])?;
    Ok(())
}

fn only(
    sources: &Sources,
    key: &str,
    given: Option<&One<String>>,
    supported: &str,
    planned: &[&str],
) -> Result<(), ScenarioError> {
    match given {
        Some(given) => values::word(sources, key, given, &Words { supported: &[(supported, ())], planned }),
        None => Ok(()),
    }
}
