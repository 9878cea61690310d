//! A result made small enough to be kept beside the code: figures and facts, without histograms, series and traces.

use std::path::Path;

use measurement::result::{Histogram, RunResult, TimeWeighted, Trial};

use crate::ReportError;

/// Writes the small form of a result, whole or not at all; folders on the way are made.
///
/// # Errors
///
/// The file or its folder cannot be written.
pub fn write(result: &RunResult, path: &Path) -> Result<(), ReportError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |cause| ReportError::Write { path: folder.to_owned(), cause };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut json =
        serde_json::to_string_pretty(&small(result)).expect("a result has no map whose keys are not text");
    json.push('\n');
    crate::write(path, json.as_bytes()).map(drop)
}

fn small(result: &RunResult) -> RunResult {
    let mut small = result.clone();
    for trial in small.variants.iter_mut().flat_map(|variant| &mut variant.trials) {
        strip(trial);
    }
    small
}

fn strip(trial: &mut Trial) {
    let closing = trial.closing.as_mut().map(|closing| &mut closing.handshake);
    let mut histograms: Vec<&mut Option<Histogram>> = vec![
        &mut trial.delivery_delay,
        &mut trial.publisher_lag,
        &mut trial.transit,
        &mut trial.reflection_delay,
        &mut trial.inter_arrival,
        &mut trial.response_time,
        &mut trial.action_lag,
        &mut trial.connect,
        &mut trial.first_update,
        &mut trial.rearm_gap,
        &mut trial.reconnect_to_fresh,
        &mut trial.floor,
    ];
    histograms.extend(closing);
    for histogram in histograms.into_iter().flatten() {
        histogram.hdr.clear();
    }
    let forget = |lag: &mut TimeWeighted| {
        lag.hdr_start.clear();
        lag.hdr_end.clear();
    };
    if let Some(symbol) = &mut trial.per_symbol {
        symbol.age.peak.hdr.clear();
        forget(&mut symbol.sync_lag);
    }
    if let Some(screen) = &mut trial.whole_screen {
        forget(&mut screen.sync_lag);
    }
    trial.series.clear();
    trial.trace = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare, testing};

    #[test]
    fn a_baseline_is_small_reads_back_and_compares_as_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baselines/x.json");
        let result = testing::result();
        write(&result, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let longest = text.lines().map(str::len).max().unwrap_or(0);
        assert!(text.len() < 120_000 && longest < 1_000, "{} bytes, a line of {longest}", text.len());
        let small = crate::load(&path).unwrap();
        assert_eq!(compare::Figures::of(&small), compare::Figures::of(&result));
    }
}
