//! The run's folder: made before the first trial, appended to and synced as each trial ends, never written over.
//!
//! `trials.jsonl` holds the run's head and then a line for each trial; `result.json` is built from it, so a run
//! that was killed loses nothing that had ended.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use measurement::{
    claim,
    result::{RunResult, Status, Trial},
    summary,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const TRIALS: &str = "trials.jsonl";
const RESULT: &str = "result.json";
const LATEST: &str = "latest";
const MOST_RUNS_A_SECOND: u32 = 1_000;

/// What can go wrong with files.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be made or written.
    #[error("failed to make the run's folder {}: {cause}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file in it cannot be written.
    #[error("failed to write {}: {cause}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file in it cannot be read.
    #[error("failed to read {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// A line of `trials.jsonl` after the first.
#[derive(Serialize, Deserialize)]
struct Line {
    variant: String,
    trial: Trial,
}

/// A run's folder, open for writing.
pub struct Folder {
    path: PathBuf,
    trials: File,
    /// Whether `latest` is to point to it.
    newest: bool,
}

impl Folder {
    /// Makes `base/name/stamp`, or `stamp-2` and so on if that exists, and proves that it can be written.
    pub fn create(base: &Path, name: &str, stamp: &str) -> Result<Self, FolderError> {
        Ok(Self { newest: true, ..Self::open(dated(base, name, stamp)?)? })
    }

    /// Makes the new folder `parent/name` for one of several results that belong together.
    pub fn within(parent: &Path, name: &str) -> Result<Self, FolderError> {
        let path = parent.join(name);
        match fs::create_dir(&path) {
            Ok(()) => Self::open(path),
            Err(cause) => Err(FolderError::Make { path, cause }),
        }
    }

    fn open(path: PathBuf) -> Result<Self, FolderError> {
        let file = path.join(TRIALS);
        let trials = File::create_new(&file).map_err(|cause| FolderError::Make { path: file, cause })?;
        Ok(Self { path, trials, newest: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the run's head: everything that is known before the first trial.
    pub fn begin(&mut self, head: &RunResult) -> Result<(), FolderError> {
        self.append(head)
    }

    /// Appends a trial and waits until it is on the disk.
    pub fn trial(&mut self, variant: &str, trial: &Trial) -> Result<(), FolderError> {
        self.append(&Line { variant: variant.to_owned(), trial: trial.clone() })
    }

    fn append(&mut self, value: &impl Serialize) -> Result<(), FolderError> {
        let path = self.path.join(TRIALS);
        let failed = |cause| FolderError::Write { path: path.clone(), cause };
        let mut line = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.trials.write_all(&line).and_then(|()| self.trials.sync_data()).map_err(failed)
    }

    /// Builds `result.json` from the trials and points `latest` to this folder.
    pub fn finish(&self, base: &Path, ending: &Ending) -> Result<RunResult, FolderError> {
        let mut result = rebuild(&self.path)?;
        result.finished_at.clone_from(&ending.finished_at);
        result.status = ending.status;
        result.partial_reason.clone_from(&ending.partial_reason);
        result.manifest.recorded.extend(ending.recorded.clone());
        write_result(&self.path, &result)?;
        // A system without symbolic links has no `latest`; the path is printed anyway.
        if self.newest {
            let _ = point_latest(base, &self.path);
        }
        Ok(result)
    }
}

/// Makes the folder `base/name/stamp`, or `stamp-2` and so on if that exists.
pub fn dated(base: &Path, name: &str, stamp: &str) -> Result<PathBuf, FolderError> {
    let parent = base.join(name);
    fs::create_dir_all(&parent).map_err(|cause| FolderError::Make { path: parent.clone(), cause })?;
    for number in 1..=MOST_RUNS_A_SECOND {
        let path = if number == 1 { parent.join(stamp) } else { parent.join(format!("{stamp}-{number}")) };
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(FolderError::Make { path, cause }),
        }
    }
    Err(FolderError::Make { path: parent, cause: io::ErrorKind::AlreadyExists.into() })
}

/// How a run ended.
#[derive(Default)]
pub struct Ending {
    /// RFC 3339.
    pub finished_at: String,
    /// Whether every trial was run to its end.
    pub status: Status,
    /// Why not.
    pub partial_reason: Option<String>,
    /// What the manifest could not know before: it replaces the head's entries of these names.
    pub recorded: BTreeMap<String, Value>,
}

/// The result as far as `trials.jsonl` tells, for a run that ended or one that was killed.
///
/// A last line that was cut off is left out.
pub fn rebuild(folder: &Path) -> Result<RunResult, FolderError> {
    let path = folder.join(TRIALS);
    let failed = |cause| FolderError::Read { path: path.clone(), cause };
    let mut lines = BufReader::new(File::open(&path).map_err(failed)?).lines();
    let head = lines.next().ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))?.map_err(failed)?;
    let mut result: RunResult = serde_json::from_str(&head).map_err(|error| failed(error.into()))?;
    for line in lines {
        let Ok(Line { variant, trial }) = serde_json::from_str(&line.map_err(failed)?) else { continue };
        if let Some(found) = result.variants.iter_mut().find(|known| known.name == variant) {
            found.trials.push(trial);
        }
    }
    for variant in &mut result.variants {
        variant.summary = summary::summarise(&variant.trials);
    }
    result.claims = claim::judge(&result);
    Ok(result)
}

/// Whether a folder holds trials but no result: its run was killed.
pub fn is_unfinished(folder: &Path) -> bool {
    folder.join(TRIALS).is_file() && !folder.join(RESULT).exists()
}

/// Writes `result.json` whole or not at all.
pub fn write_result(folder: &Path, result: &RunResult) -> Result<(), FolderError> {
    let path = folder.join(RESULT);
    let temporary = folder.join(format!("{RESULT}.tmp"));
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        serde_json::to_writer_pretty(&mut file, result)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().map_err(|cause| FolderError::Write { path: path.clone(), cause })
}

/// Points `base/latest` to a folder below `base`.
#[cfg(unix)]
pub fn point_latest(base: &Path, folder: &Path) -> io::Result<()> {
    let target = folder.strip_prefix(base).map_err(io::Error::other)?;
    let temporary = base.join(format!(".{LATEST}-{}", std::process::id()));
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, base.join(LATEST))
}

/// Points `base/latest` to a folder below `base`.
#[cfg(not(unix))]
pub fn point_latest(_base: &Path, _folder: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use measurement::result::{Manifest, ScenarioInfo, Variant};

    use super::*;

    fn head() -> RunResult {
        RunResult {
            format: measurement::result::FORMAT.to_owned(),
            id: "id".to_owned(),
            command: "loadgen run x".to_owned(),
            started_at: "then".to_owned(),
            finished_at: String::new(),
            status: Status::Partial,
            partial_reason: Some("it did not end".to_owned()),
            scenario: ScenarioInfo::default(),
            manifest: Manifest::default(),
            variants: vec![Variant { name: "a".to_owned(), ..Variant::default() }],
            claims: Vec::new(),
        }
    }

    #[test]
    fn a_killed_run_keeps_the_trials_that_ended() {
        let base = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(base.path(), "x", "now").unwrap();
        folder.begin(&head()).unwrap();
        folder.trial("a", &Trial { index: 7, ..Trial::default() }).unwrap();
        folder.trials.write_all(br#"{"variant":"a","tri"#).unwrap();
        assert!(is_unfinished(folder.path()));
        let result = rebuild(folder.path()).unwrap();
        assert_eq!((result.status, result.variants[0].trials.len()), (Status::Partial, 1));
        assert_eq!(result.variants[0].trials[0].index, 7);
    }

    #[test]
    fn nothing_is_overwritten_and_latest_points_to_the_newest() {
        let base = tempfile::tempdir().unwrap();
        let recorded = BTreeMap::from([("after".to_owned(), Value::from(7))]);
        let ending = Ending { finished_at: "now".to_owned(), recorded, ..Ending::default() };
        let mut paths = Vec::new();
        for _ in 0..3 {
            let mut folder = Folder::create(base.path(), "x", "now").unwrap();
            folder.begin(&head()).unwrap();
            let result = folder.finish(base.path(), &ending).unwrap();
            assert_eq!(
                (result.status, &result.manifest.recorded["after"]),
                (Status::Complete, &Value::from(7))
            );
            paths.push(folder.path().to_owned());
        }
        assert_eq!(paths[2], base.path().join("x/now-3"));
        assert_eq!(fs::canonicalize(base.path().join(LATEST)).unwrap(), fs::canonicalize(&paths[2]).unwrap());
        assert!(!is_unfinished(&paths[0]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let Err(error) = Folder::create(&base.path().join("file"), "x", "now") else { panic!("it was made") };
        assert!(error.to_string().contains("file/x"), "{error}");
    }
}
