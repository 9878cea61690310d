//! The load generator's program: parses the command line, calls the verb, turns errors into exit codes.

use std::{io, process::ExitCode};

use loadgen::{
    cli::{self, Verb},
    verbs,
};

fn main() -> ExitCode {
    let out: &mut dyn io::Write = &mut io::stdout();
    let done = match cli::parse().verb {
        Verb::Run(arguments) => verbs::run::run(&arguments, out),
        Verb::Check(arguments) => verbs::check::run(&arguments, out).map(|()| ExitCode::SUCCESS),
        Verb::Report(arguments) => verbs::report::run(&arguments, out).map(|()| ExitCode::SUCCESS),
        Verb::List(arguments) => verbs::list::run(&arguments, out).map(|()| ExitCode::SUCCESS),
        Verb::Probe(arguments) => verbs::probe::run(&arguments, out),
        Verb::Verify(arguments) => verbs::verify::run(&arguments, out),
        Verb::Compare(arguments) => verbs::compare::run(&arguments, out),
        Verb::Ab(arguments) => verbs::ab::run(&arguments, out),
        Verb::Capacity(arguments) => verbs::capacity::run(&arguments, out),
        Verb::Crossover(arguments) => verbs::crossover::run(&arguments, out),
        Verb::History(arguments) => verbs::history::run(&arguments, out).map(|()| ExitCode::SUCCESS),
        Verb::Serve(arguments) => return servers::cli::run(&arguments),
        Verb::Teach(arguments) => return teach::run(&arguments),
        Verb::Doctor(arguments) => verbs::doctor::run(&arguments, out),
        Verb::Worker => return verbs::worker::run(),
    };
    done.unwrap_or_else(|report| {
        verbs::complain(&report);
        ExitCode::from(2)
    })
}
