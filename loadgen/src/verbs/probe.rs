//! `loadgen probe`: three messages of a server as they are, and a scenario that fits them. All but TOML is a comment.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{complain, printed};
use crate::{
    cli::ProbeArgs,
    probe::{self, ProbeError, Probed, Question},
};

/// How much of a message is shown.
const SHOWN: usize = 400;

/// Nothing could be heard.
const NOT_COMPLETED: u8 = 3;

/// Listens and prints.
pub fn run(arguments: &ProbeArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let question = Question {
        kind: arguments.kind,
        url: arguments.url.clone(),
        allow_remote: arguments.allow_remote,
        ca: arguments.ca.clone(),
        headers: arguments.header.clone(),
        subprotocols: arguments.subprotocol.clone(),
        send: arguments.send.clone(),
        patience: *arguments.wait,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| miette::miette!("failed to start: {error}"))?;
    match runtime.block_on(probe::probe(&question)) {
        Ok(probed) => printed(print(&probed, out)).map(|()| ExitCode::SUCCESS),
        Err(ProbeError::Scenario(error)) => Err(error.into()),
        Err(error) => {
            complain(&miette::miette!("{error}"));
            Ok(ExitCode::from(NOT_COMPLETED))
        }
    }
}

fn print(probed: &Probed, out: &mut dyn Write) -> io::Result<()> {
    let count = probed.samples.len();
    writeln!(out, "# The server's first {count} message{}:", if count == 1 { "" } else { "s" })?;
    for sample in &probed.samples {
        let event = sample.event.as_ref().map(|event| format!("[{event}] ")).unwrap_or_default();
        let shown: String = sample.text.chars().take(SHOWN).collect();
        let rest = if sample.text.chars().count() > SHOWN { " …" } else { "" };
        for line in format!("{event}{shown}{rest}").lines() {
            writeln!(out, "#   {line}")?;
        }
    }
    writeln!(
        out,
        "#\n# A scenario for it. Save it, look at the guesses, and run it: loadgen run mine.toml\n"
    )?;
    write!(out, "{}", probed.scenario)
}
