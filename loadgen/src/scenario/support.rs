//! Names of the format that this version cannot honour: refused by name and position, never ignored.

use super::{
    decode::Sources,
    error::{Problem, ScenarioError},
    wire::{File, Reserved},
};

/// Refuses what a later version will do. Values equal to what this version does anyway pass.
pub(super) fn refuse(file: &File, sources: &Sources) -> Result<(), ScenarioError> {
    reserved(sources, "`[link]`", "the network is this machine's loopback", &file.link)?;
    reserved(sources, "`[[phase]]`", "the phases are connect, warm-up, measure and drain", &file.phase)?;
    reserved(sources, "`[[claim]]`", "write the claim into `notice`", &file.claim)?;
    Ok(())
}

fn reserved(sources: &Sources, what: &str, advice: &str, given: &Reserved) -> Result<(), ScenarioError> {
    match given {
        Some(given) => Err(not_supported(sources, what.to_owned(), advice, given.span())),
        None => Ok(()),
    }
}

fn not_supported(sources: &Sources, what: String, advice: &str, span: super::scalar::Span) -> ScenarioError {
    sources.error(Problem::NotSupported { what, advice: advice.to_owned() }, span, "this")
}
