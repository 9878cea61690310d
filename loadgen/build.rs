//! Tells the program which compiler and revision it was built with, for the manifest of its results.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/index");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    tell("TICKERTAPE_RUSTC", Command::new(compiler).arg("--version"));
    tell(
        "TICKERTAPE_GIT_REVISION",
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]),
    );
}

/// What cannot be asked is left out: the manifest then says that it is not known.
fn tell(name: &str, command: &mut Command) {
    let Ok(output) = command.output() else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && !text.trim().is_empty() {
        println!("cargo::rustc-env={name}={}", text.trim());
    }
}
