//! The reference servers as a program of their own.

use std::process::ExitCode;

use clap::Parser;
use servers::cli::{self, ServeArgs};

/// Publishes one stock-ticker feed by every transport.
#[derive(Parser)]
#[command(name = "servers", version)]
struct Arguments {
    #[command(flatten)]
    serve: ServeArgs,
}

fn main() -> ExitCode {
    cli::run(&Arguments::parse().serve)
}
