//! Both engines pass the same tests: this program is run again with the other one.

use std::process::Command;

use crate::support::{ENGINE, engine};
use ticker::Engine;

#[test]
fn all_tests_pass_with_the_library_engine() {
    if engine() == Engine::Library {
        return;
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads=2", "--skip", "engines::"])
        .env(ENGINE, Engine::Library.name())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success(), "{said}");
    assert!(said.contains("test result: ok"), "{said}");
}
