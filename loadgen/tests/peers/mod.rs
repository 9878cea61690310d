//! Packages of npm that the load generator and the servers are tried against, and the scripts that use them.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");
const PACKAGES: &str = "package.json";

/// The folder with the scripts, and beside them the packages in the versions that `package.json` names. They are
/// installed once, into the build's folder; without npm, or without a registry, the test fails.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
        fs::create_dir_all(&folder).unwrap();
        install(&folder);
        for entry in fs::read_dir(HERE).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "mjs") {
                fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
        folder
    })
}

fn install(folder: &Path) {
    let wanted = fs::read_to_string(Path::new(HERE).join(PACKAGES)).unwrap();
    let installed = folder.join("installed.json");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return;
    }
    fs::write(folder.join(PACKAGES), &wanted).unwrap();
    let output = Command::new("npm")
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .output()
        .expect("npm is there");
    assert!(output.status.success(), "npm install: {}", String::from_utf8_lossy(&output.stderr));
    fs::write(installed, wanted).unwrap();
}
