//! A program of ours that serves: which binary it is, and what it is told before the trial's own arguments.

use std::path::PathBuf;

/// A server of ours that takes `--control stdio`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The binary, or its name to be looked up in PATH.
    pub path: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<String>,
}

impl Program {
    /// A `loadgen` binary, whose verb `serve` serves.
    pub fn loadgen(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), arguments: vec!["serve".to_owned()] }
    }
}
