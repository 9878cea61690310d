//! `loadgen ab`: two servers in pairs of trials, a result of each, and the comparison of the two.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use measurement::result::{RunResult, Status};
use miette::IntoDiagnostic as _;
use tokio_util::sync::CancellationToken;

use super::{
    printed,
    run::{NOT_TRUSTED, command_line, raise_file_limit, stop_on_ctrl_c},
};
use crate::{
    cli::AbArgs,
    folder,
    machine::Machine,
    pairs::{self, FEWEST_FOR_TIMES, Pairs},
    plan::Plan,
    progress, runner,
    scenario::{self, Needs},
    sides::{self, NAMES},
};

/// Runs the pairs and renders both results. Errors are bad usage; what goes wrong in trials is in the exit code.
pub fn run(arguments: &AbArgs, out: &mut impl Write) -> miette::Result<ExitCode> {
    let (mut plan, warm_up_given) = scenario::load_for_pairs(&arguments.scenario, &arguments.overrides())?;
    check_pairs(arguments)?;
    plan.trials = arguments.pairs;
    if !warm_up_given {
        pairs::warm(&mut plan);
    }
    let notes: Vec<String> = pairs::warm_up_note(&plan).into_iter().collect();
    Needs::of(&plan).check(&Machine::read().limits())?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let (results, folder) = runtime.block_on(measure(plan, arguments, notes.clone()))?;
    for (result, name) in results.iter().zip(NAMES) {
        reports::render(result, &folder.join(name)).into_diagnostic()?;
    }
    printed(tell(&results, &folder, &notes, out))?;
    verdict(&results, &folder, arguments, out)
}

/// Times that no number of pairs below could judge are not measured in vain.
fn check_pairs(arguments: &AbArgs) -> miette::Result<()> {
    if arguments.counted_only || arguments.pairs >= FEWEST_FOR_TIMES {
        return Ok(());
    }
    let pairs = arguments.pairs;
    Err(miette::miette!(
        help = "with --counted-only counts and bytes are compared alone",
        "--pairs is {pairs}, expected at least {FEWEST_FOR_TIMES}: with {pairs} the exact test cannot reach p < 0.01, \
         whatever is measured (2^-{pairs} = {})",
        0.5_f64.powi(pairs as i32)
    ))
}

async fn measure(
    plan: Plan,
    arguments: &AbArgs,
    notes: Vec<String>,
) -> miette::Result<([RunResult; 2], PathBuf)> {
    let stop = CancellationToken::new();
    let interrupts = tokio::spawn(stop_on_ctrl_c(stop.clone()));
    let servers = sides::prove(&plan, [&arguments.base, &arguments.candidate]).await?;
    let folder = folder::dated(&arguments.out, &format!("{}-ab", plan.name), &runner::folder_stamp());
    let folder = folder.into_diagnostic()?;
    let seed = arguments.seed.unwrap_or(plan.seed);
    let (counted_only, command) = (arguments.counted_only, command_line());
    let pairs = Pairs { plan, servers, seed, counted_only, command, notes };
    let mut listener = progress::for_person(arguments.quiet);
    let results = pairs.run(&arguments.out, &folder, &stop, listener.as_mut()).await.into_diagnostic()?;
    interrupts.abort();
    // A system without symbolic links has no `latest`; the path is printed anyway.
    let _ = folder::point_latest(&arguments.out, &folder);
    Ok((results, folder))
}

fn tell(results: &[RunResult; 2], folder: &Path, notes: &[String], out: &mut impl Write) -> io::Result<()> {
    for note in notes {
        writeln!(out, "Note: {note}")?;
    }
    for (result, name) in results.iter().zip(NAMES) {
        if let Some(reason) = &result.partial_reason {
            writeln!(out, "The {name}'s result is PARTIAL: {reason}")?;
        }
        let report = folder.join(name).join("report.html");
        writeln!(out, "{name:9}  {}  {}", pairs::target(result), report.display())?;
    }
    Ok(())
}

/// THE PLACE OF THE COMPARISON: `reports::compare::compare(&results[0], &results[1], …)` belongs here, with the ledger of
/// `ledger::path(arguments.ledger.as_deref(), &results[0].manifest.timed_must_match)` and `ledger::load`; what it
/// renders goes into `folder`, and its exit code is the one below unless a side is partial.
fn verdict(
    results: &[RunResult; 2],
    folder: &Path,
    _arguments: &AbArgs,
    out: &mut impl Write,
) -> miette::Result<ExitCode> {
    let compare =
        format!("loadgen compare {} {}", folder.join(NAMES[0]).display(), folder.join(NAMES[1]).display());
    printed(writeln!(out, "To compare them: {compare}"))?;
    let whole = results.iter().all(|result| result.status == Status::Complete);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(NOT_TRUSTED) })
}
