//! `loadgen verify`: every rule of docs/PROTOCOL.md that a server breaks, by name.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use ticker::Transport;

use super::{complain, printed};
use crate::{
    cli::VerifyArgs,
    clients::{
        schemes,
        verify::{self, Findings, Outcome},
    },
    endpoint::{Endpoint, EndpointError},
    plan::peer::{MessageRules, Open, Peer, Text},
};

const BROKEN: u8 = 1;
const NOT_COMPLETED: u8 = 3;

/// Asks, prints, and says by the exit code whether the server conforms.
pub fn run(arguments: &VerifyArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| miette::miette!("failed to start: {error}"))?;
    let mut findings = Findings::default();
    match runtime.block_on(ask(arguments, &mut findings)) {
        Ok(()) => {}
        Err(Refused::Usage(error)) => return Err(miette::miette!("{error}")),
        Err(Refused::Connection(error)) => {
            // What was found before stands.
            printed(print(&findings, arguments.quiet, out))?;
            complain(&miette::miette!("failed to reach the server at {}: {error}", arguments.url));
            return Ok(ExitCode::from(NOT_COMPLETED));
        }
    }
    printed(print(&findings, arguments.quiet, out))?;
    Ok(if broken(&findings) == 0 { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

enum Refused {
    Usage(EndpointError),
    Connection(io::Error),
}

async fn ask(arguments: &VerifyArgs, findings: &mut Findings) -> Result<(), Refused> {
    let peer = Peer {
        url: Text::plain(&arguments.url),
        ca: arguments.ca.as_ref().map(Into::into),
        remote: arguments.allow_remote,
        server: None,
        open: Open::default(),
        say: None,
        message: MessageRules::default(),
        secrets: Vec::new(),
    };
    let endpoint = Endpoint::of_peer(&peer, None).await.map_err(Refused::Usage)?;
    let kinds = if arguments.kind.is_empty() { Transport::ALL.to_vec() } else { arguments.kind.clone() };
    for kind in &kinds {
        // A path says which endpoint only where one transport is meant and the url is of its kind.
        let named = endpoint.path.as_deref().is_some_and(|path| path != "/");
        let own = named
            && kinds.len() == 1
            && schemes(*kind).iter().any(|scheme| arguments.url.starts_with(scheme));
        let endpoint = if own { endpoint.clone() } else { endpoint.without_path() };
        verify::verify(*kind, &endpoint, findings).await.map_err(Refused::Connection)?;
    }
    verify::verify_control(&endpoint, findings).await.map_err(Refused::Connection)
}

fn broken(findings: &Findings) -> usize {
    findings.checks.iter().filter(|check| matches!(check.outcome, Outcome::Broken { .. })).count()
}

fn print(findings: &Findings, quiet: bool, out: &mut dyn Write) -> io::Result<()> {
    for check in &findings.checks {
        match &check.outcome {
            Outcome::Kept if quiet => {}
            Outcome::Kept => writeln!(out, "ok        {}", check.rule)?,
            Outcome::Absent if quiet => {}
            Outcome::Absent => writeln!(out, "absent    {} (optional)", check.rule)?,
            Outcome::Broken { found, expected } => {
                writeln!(out, "deviates  {}", check.rule)?;
                writeln!(out, "          found     {found}")?;
                writeln!(out, "          expected  {expected}")?;
                writeln!(out, "          see       docs/PROTOCOL.md, \"{}\"", check.section)?;
            }
        }
    }
    let (count, broken) = (findings.checks.len(), broken(findings));
    let verdict = if broken == 0 { "The server conforms" } else { "The server deviates" };
    writeln!(out, "{verdict}: {count} rules looked at, {broken} broken.")
}
