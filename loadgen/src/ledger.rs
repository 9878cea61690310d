//! The noise ledger's file: where it lies, how it is read, added to and written. What it means is `measurement::noise`'s.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use measurement::{
    metrics::{self, Metric},
    noise::{FORMAT, NoiseEntry, NoiseLedger},
    result::{RunResult, Status, Trial},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Facts of a result that say nothing about the machine's noise: an update of the compiler leaves it as it is, and cores
/// are noted with each run.
const NOT_THE_MACHINE: [&str; 2] = ["rustc", "pinning"];
/// A/A runs that are kept of one variant and metric: the newest.
const KEPT: usize = 12;

/// What can go wrong with a ledger.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LedgerError {
    /// Neither variable says where state is kept.
    #[error("failed to find a place for the noise ledger: neither XDG_STATE_HOME nor HOME is set")]
    #[diagnostic(help("say where with --ledger FILE"))]
    Nowhere,
    /// It cannot be read.
    #[error("failed to read the noise ledger {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is none.
    #[error("failed to read the noise ledger {}: {found}, expected {expected}", path.display())]
    #[diagnostic(help("move it away and measure again with `loadgen doctor --noise`"))]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// What should be.
        expected: String,
    },
    /// It is another machine's.
    #[error("the noise ledger {} is of another machine: its {fact} is {found}, here it is {expected}", path.display())]
    #[diagnostic(help("noise is a machine's own: measure this one's with `loadgen doctor --noise`"))]
    Foreign {
        /// Which.
        path: PathBuf,
        /// The first fact that differs.
        fact: String,
        /// The ledger's.
        found: String,
        /// This machine's.
        expected: String,
    },
    /// It cannot be written.
    #[error("failed to write the noise ledger {}: {cause}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// The machine behind a result's `timed_must_match`.
pub fn machine(facts: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let kept = facts.iter().filter(|(name, _)| !NOT_THE_MACHINE.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `given`, or `$XDG_STATE_HOME/tickertape/noise-<fingerprint>.json` (else below `~/.local/state`) of the machine with
/// these facts, a result's `timed_must_match`.
pub fn path(given: Option<&Path>, facts: &BTreeMap<String, Value>) -> Result<PathBuf, LedgerError> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A relative path there is to be ignored (XDG Base Directory Specification 0.8).
    let state = variable("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(variable("HOME")?.join(".local/state"))).ok_or(LedgerError::Nowhere)?;
    let digest = Sha256::digest(serde_json::to_vec(&machine(facts)).unwrap_or_default());
    let fingerprint: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(state.join("tickertape").join(format!("noise-{fingerprint}.json")))
}

/// The ledger in a file, of the machine with these facts; `None` if there is no such file.
pub fn load(path: &Path, facts: &BTreeMap<String, Value>) -> Result<Option<NoiseLedger>, LedgerError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(LedgerError::Read { path: path.to_owned(), cause }),
    };
    let corrupt =
        |found: String, expected: String| LedgerError::Corrupt { path: path.to_owned(), found, expected };
    let value: Value =
        serde_json::from_str(&text).map_err(|error| corrupt(error.to_string(), "JSON".to_owned()))?;
    if value["format"] != FORMAT {
        return Err(corrupt(format!("format is {}", value["format"]), format!("{FORMAT:?}")));
    }
    // From the text once more: errors then name line and column.
    let ledger: NoiseLedger =
        serde_json::from_str(&text).map_err(|error| corrupt(error.to_string(), "a ledger".to_owned()))?;
    let differs = ledger.machine.iter().find(|(name, value)| facts.get(*name) != Some(value));
    if let Some((fact, found)) = differs {
        let expected = facts.get(fact).cloned().unwrap_or_default().to_string();
        let (path, fact, found) = (path.to_owned(), fact.clone(), found.to_string());
        return Err(LedgerError::Foreign { path, fact, found, expected });
    }
    Ok(Some(ledger))
}

/// Writes it whole or not at all, with the folders above it.
pub fn store(path: &Path, ledger: &NoiseLedger) -> Result<(), LedgerError> {
    let write = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(Ok(()), fs::create_dir_all)?;
        let temporary = path.with_extension(format!("json.{}.tmp", std::process::id()));
        let mut file = File::create(&temporary)?;
        serde_json::to_writer_pretty(&mut file, ledger)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|cause| LedgerError::Write { path: path.to_owned(), cause })
}

/// Adds an A/A run's entries; of each variant and metric the newest few stay.
pub fn add(ledger: &mut NoiseLedger, entries: Vec<NoiseEntry>) {
    ledger.entries.extend(entries);
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut kept: Vec<NoiseEntry> = Vec::new();
    for entry in ledger.entries.drain(..).rev() {
        let count = counts.entry((entry.variant.clone(), entry.metric.clone())).or_default();
        *count += 1;
        if *count <= KEPT {
            kept.push(entry);
        }
    }
    kept.reverse();
    ledger.entries = kept;
}

/// Logarithms of candidate / base of each pair, by variant and metric. Both sides are the same program.
///
/// Where fewer than half of the pairs can be used, the few that a busy machine left would pass for its noise: nothing is kept.
pub fn entries(base: &RunResult, candidate: &RunResult) -> Vec<NoiseEntry> {
    let mut entries = Vec::new();
    for variant in &base.variants {
        let Some(twin) = candidate.variants.iter().find(|twin| twin.name == variant.name) else { continue };
        for metric in metrics::ALL {
            let ratios = variant.trials.iter().filter_map(|trial| {
                let beside = twin.trials.iter().find(|beside| beside.index == trial.index)?;
                log_ratio(figure(trial, metric)?, figure(beside, metric)?)
            });
            let log_ratios: Vec<f64> = ratios.collect();
            if !log_ratios.is_empty() && 2 * log_ratios.len() >= variant.trials.len() {
                entries.push(NoiseEntry {
                    variant: variant.name.clone(),
                    metric: metric.name.to_owned(),
                    log_ratios,
                    recorded_at: candidate.finished_at.clone(),
                    scenario: candidate.scenario.path.clone(),
                });
            }
        }
    }
    entries
}

/// Equal figures differ by nothing, zeros too; other figures without a logarithm tell nothing.
fn log_ratio(base: f64, candidate: f64) -> Option<f64> {
    if base == candidate {
        return Some(0.0);
    }
    Some((candidate / base).ln()).filter(|ratio| ratio.is_finite() && base > 0.0)
}

/// A whole trial's figure, unless its class is void.
fn figure(trial: &Trial, metric: &Metric) -> Option<f64> {
    (trial.status == Status::Complete).then(|| metric.of(trial)).flatten()
}

#[cfg(test)]
mod tests {
    use measurement::result::Verdict;
    use serde_json::json;

    use super::*;

    fn facts() -> BTreeMap<String, Value> {
        BTreeMap::from([("kernel".to_owned(), json!("6.1")), ("rustc".to_owned(), json!("1.95"))])
    }

    fn entry(variant: &str, ratio: f64) -> NoiseEntry {
        NoiseEntry {
            variant: variant.to_owned(),
            metric: "m".to_owned(),
            log_ratios: vec![ratio],
            recorded_at: String::new(),
            scenario: "s".to_owned(),
        }
    }

    #[test]
    fn what_was_stored_is_read_back_and_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/noise.json");
        assert_eq!(load(&path, &facts()).unwrap(), None);
        let mut ledger = NoiseLedger::of(machine(&facts()));
        add(&mut ledger, vec![entry("a", 0.1), entry("b", 0.2)]);
        store(&path, &ledger).unwrap();
        let mut read = load(&path, &facts()).unwrap().unwrap();
        assert_eq!(read, ledger);
        for number in 0..KEPT {
            add(&mut read, vec![entry("a", number as f64)]);
        }
        assert_eq!(read.log_ratios("a", "m"), (0..KEPT).map(|n| n as f64).collect::<Vec<_>>());
        assert_eq!(read.log_ratios("b", "m"), [0.2]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_no_ledger_or_of_another_machine_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.json");
        let check = |text: String, expected: &str| {
            fs::write(&path, text).unwrap();
            let error = load(&path, &facts()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("noise.json"), "{error}");
        };
        check("{\"format\":".to_owned(), "EOF while parsing");
        check("[]".to_owned(), "format is null, expected \"tickertape-noise/1\"");
        check(json!({ "format": FORMAT, "machine": {} }).to_string(), "missing field `entries`");
        let other = NoiseLedger::of(BTreeMap::from([("kernel".to_owned(), json!("5.4"))]));
        check(json!(other).to_string(), "its kernel is \"5.4\", here it is \"6.1\"");
    }

    #[test]
    fn the_compiler_is_no_part_of_the_machine() {
        let mut newer = facts();
        newer.insert("rustc".to_owned(), json!("1.96"));
        assert_eq!(machine(&facts()), machine(&newer));
        assert_eq!(path(None, &facts()).unwrap(), path(None, &newer).unwrap());
        newer.insert("kernel".to_owned(), json!("6.2"));
        assert_ne!(path(None, &facts()).unwrap(), path(None, &newer).unwrap());
        assert_eq!(path(Some(Path::new("x")), &facts()).unwrap(), Path::new("x"));
    }

    #[test]
    fn pairs_are_trials_of_one_number_and_void_classes_tell_nothing() {
        let check = |base: f64, candidate: f64, expected| assert_eq!(log_ratio(base, candidate), expected);
        check(0.0, 0.0, Some(0.0));
        check(0.0, 2.0, None);
        check(2.0, 0.0, None);
        check(-1.0, -2.0, None);
        check(2.0, 2.0 * std::f64::consts::E, Some(1.0));
        let lost = metrics::find("updates.lost").unwrap();
        let mut trial = Trial::default();
        trial.updates.lost = Some(3);
        assert_eq!(figure(&trial, lost), Some(3.0));
        trial.validity.classes.counts = Verdict::Invalid;
        assert_eq!(figure(&trial, lost), None);
    }
}
