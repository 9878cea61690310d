//! `loadgen ab`: two servers in pairs of trials, a result of each, and the comparison of the two.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use measurement::result::{RunResult, Status};
use miette::IntoDiagnostic as _;
use reports::compare::Settings;
use tokio_util::sync::CancellationToken;

use super::{
    compare, printed,
    run::{NOT_TRUSTED, command_line, raise_file_limit, stop_on_ctrl_c},
};
use crate::{
    cli::{AbArgs, compare::Timed},
    folder, machine,
    pairs::{self, Pairs},
    plan::Plan,
    progress, runner,
    scenario::{self, Needs},
    sides::{self, NAMES},
};

/// Pairs where the user does not say.
const PAIRS: u32 = 10;

/// Runs the pairs and renders both results. Errors are bad usage; what goes wrong in trials is in the exit code.
pub fn run(arguments: &AbArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let (mut plan, warm_up_given) = scenario::load_for_pairs(&arguments.scenario, &arguments.overrides())?;
    plan.trials = pairs(arguments, plan.variants.len())?;
    if !warm_up_given {
        pairs::warm(&mut plan);
    }
    let notes: Vec<String> = pairs::warm_up_note(&plan).into_iter().collect();
    let limits = machine::limits();
    Needs::of(&plan, &limits).check(&limits)?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let (results, folder) = runtime.block_on(measure(plan, arguments, notes.clone()))?;
    for (result, name) in results.iter().zip(NAMES) {
        reports::render(result, &folder.join(name)).into_diagnostic()?;
    }
    printed(tell(&results, &folder, &notes, out))?;
    verdict(&results, &folder, arguments, out)
}

/// How many pairs: as asked, or 10, or as many as the tests of all variants together need. Times that so few pairs could not
/// judge are not measured in vain.
fn pairs(arguments: &AbArgs, variants: usize) -> miette::Result<u32> {
    let fewest = u32::try_from(reports::compare::fewest_pairs(variants, Settings::default().alpha))
        .unwrap_or(u32::MAX);
    let pairs =
        arguments.pairs.unwrap_or_else(|| if arguments.counted_only { PAIRS } else { fewest.max(PAIRS) });
    if arguments.counted_only || pairs >= fewest {
        return Ok(pairs);
    }
    Err(miette::miette!(
        help = "with --counted-only counts and bytes are compared alone; with --only there are fewer tests",
        "--pairs is {pairs}, expected at least {fewest}: with {pairs} the exact test of {variants} variants together cannot \
         reach p < 0.01, whatever is measured"
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

fn tell(results: &[RunResult; 2], folder: &Path, notes: &[String], out: &mut dyn Write) -> io::Result<()> {
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

/// Compares the two results; a side that is partial cannot be trusted, whatever it shows.
fn verdict(
    results: &[RunResult; 2],
    folder: &Path,
    arguments: &AbArgs,
    out: &mut dyn Write,
) -> miette::Result<ExitCode> {
    if results.iter().any(|result| result.status != Status::Complete) {
        let path = |side: usize| folder.join(NAMES[side]).display().to_string();
        let again = format!("Compare what there is: loadgen compare {} {}", path(0), path(1));
        printed(writeln!(out, "{again}"))?;
        return Ok(ExitCode::from(NOT_TRUSTED));
    }
    let timed = if arguments.counted_only { Timed::Advise } else { Timed::Gate };
    printed(writeln!(out))?;
    compare::judge(&results[0], &results[1], (&arguments.judging, timed), folder, out)
}
