//! Packages of PyPI that exports and change points are held against, and the scripts that use them.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

/// The interpreter with the packages of `scripts/python-tools.txt`. They are installed once, into the build's folder;
/// without Python, or without a registry, the test fails.
pub(crate) fn interpreter() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let output = Command::new(root.join("scripts/python-tools")).output().expect("bash is there");
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "scripts/python-tools could not install the Python packages: {shown}"
        );
        root.join("target/tools/python/bin/python")
    })
}

/// Runs one of the scripts beside this file; what it prints is JSON.
pub(crate) fn run<A: AsRef<OsStr>>(script: &str, arguments: &[A]) -> Value {
    let output = Command::new(interpreter())
        .arg(Path::new(SCRIPTS).join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {shown}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script}: {error}: {shown}"))
}
