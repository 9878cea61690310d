//! The page's tables: every count of the result, trial by trial, with a word on how to read each.
//!
//! It knows their order and their shape; what stands in them, the files below do.

use measurement::result::{RunResult, Trial, Variant};

use super::knowledge;
use crate::{links, plots::Table};

mod counts;
mod delays;
mod wire;

/// A table with its heading and a word on how to read it.
pub(crate) struct Section {
    pub title: &'static str,
    pub caption: &'static str,
    pub table: Table,
}

/// All tables in the order of the page, without those that have no rows.
pub(super) fn all(result: &RunResult) -> Vec<Section> {
    let mut sections = vec![
        links::section(result),
        delays::staleness(result),
        delays::delays(result),
        wire::bytes(result),
        wire::handshakes(result),
        wire::kernel(result),
        wire::quic(result),
        counts::updates(result),
        counts::requests(result),
        counts::cost(result),
        knowledge::arrivals(result),
        knowledge::connections(result),
        counts::trials(result),
        knowledge::reasons(result),
    ];
    sections.retain(|section| !section.table.rows.is_empty());
    sections
}

pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { head: head.iter().map(|&title| title.to_owned()).collect(), rows }
}

/// Rows of every trial: the variant's name, the trial's number, then what `cells` says.
pub(super) fn per_trial(
    result: &RunResult,
    cells: impl Fn(&Variant, &Trial) -> Option<Vec<String>>,
) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for variant in &result.variants {
        for trial in &variant.trials {
            let Some(cells) = cells(variant, trial) else { continue };
            rows.push(
                [variant.name.clone(), (trial.index + 1).to_string()].into_iter().chain(cells).collect(),
            );
        }
    }
    rows
}
