//! `loadgen run`: plan, folder, trials, report. Checks what can be checked before the first trial.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use measurement::result::{Manifest, RunResult, Status, Trial, Variant, Verdict};
use miette::IntoDiagnostic as _;
use tokio_util::sync::CancellationToken;

use super::{gating, printed};
use crate::{
    cli::RunArgs,
    events::Listener,
    folder::Folder,
    live, machine,
    plan::Plan,
    progress,
    runner::{self, Orders},
    scenario::{self, Needs},
    target::Program,
};

/// Exit code of a run that could not be completed, or whose figures cannot be trusted.
pub(super) const NOT_TRUSTED: u8 = 3;

/// Runs a scenario and renders its report. Errors are bad usage; what goes wrong in trials is in the exit code.
pub fn run(arguments: &RunArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    if arguments.live {
        live::check()?;
    }
    let plan = scenario::load(&arguments.scenario.scenario, &arguments.scenario.overrides())?;
    let limits = machine::limits();
    Needs::of(&plan, &limits).check(&limits)?;
    let manifest = machine::manifest(&plan);
    let baseline = gating::baseline(arguments.baseline.as_deref(), &plan, &manifest)?;
    raise_file_limit();
    let mut folder = Folder::create(&arguments.out, &plan.name, &runner::folder_stamp()).into_diagnostic()?;
    let program = Program::loadgen(std::env::current_exe().into_diagnostic()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let stop = CancellationToken::new();
    let mut listener = listener(arguments, &plan, &stop)?;
    let measuring = measure(&plan, arguments, (&program, manifest), &mut folder, (stop, listener.as_mut()));
    let result = runtime.block_on(measuring).into_diagnostic()?;
    // Its screen is given back before anything is printed.
    drop(listener);
    let files = reports::render(&result, folder.path()).into_diagnostic()?;
    printed(tell(&result, folder.path(), files.first().map(AsRef::as_ref), out))?;
    let judged = gating::judge(&result, baseline.as_ref(), arguments.on_inconclusive, folder.path(), out)?;
    // Gates and baselines say themselves which figures are asked for; noise that voids others is no failure of theirs.
    Ok(match judged {
        Some(code) if is_sound(&result) => ExitCode::from(code),
        None if is_sound(&result) && has_times(&result) => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_TRUSTED),
    })
}

async fn measure(
    plan: &Plan,
    arguments: &RunArgs,
    (program, manifest): (&Program, Manifest),
    folder: &mut Folder,
    (stop, listener): (CancellationToken, &mut dyn Listener),
) -> Result<RunResult, crate::folder::FolderError> {
    let interrupts = tokio::spawn(stop_on_ctrl_c(stop.clone()));
    let orders = Orders { program, base: &arguments.out, command: command_line(), manifest, stop };
    let result = runner::run(plan, orders, folder, listener).await;
    interrupts.abort();
    result
}

/// Who shows the run while it goes on.
fn listener(arguments: &RunArgs, plan: &Plan, stop: &CancellationToken) -> miette::Result<Box<dyn Listener>> {
    if arguments.live {
        let stop = stop.clone();
        return Ok(Box::new(live::Screen::take(&plan.title, move || stop_or_give_up(&stop))?));
    }
    Ok(progress::for_person(arguments.quiet))
}

/// Asked once, the run ends in order; asked again, the program does.
fn stop_or_give_up(stop: &CancellationToken) {
    if stop.is_cancelled() {
        live::restore();
        std::process::exit(i32::from(NOT_TRUSTED));
    }
    stop.cancel();
}

/// The first Ctrl-C or SIGTERM ends the run in order, the second at once.
pub(super) async fn stop_on_ctrl_c(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop_or_give_up(&stop);
    }
}

/// The command line as a shell would take it.
pub(super) fn command_line() -> String {
    let quoted = std::env::args().enumerate().map(|(index, argument)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if index == 0 {
            "loadgen".to_owned()
        } else if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The soft limit of open files is often 1,024; the hard one was held against the plan's needs.
pub(super) fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What is not raised shows as clients that cannot connect, with the system's own words.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn tell(result: &RunResult, folder: &Path, report: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", reports::terminal_table(result))?;
    if let Some(reason) = &result.partial_reason {
        writeln!(out, "This result is PARTIAL: {reason}")?;
    }
    writeln!(out, "Report: {}", report.unwrap_or(folder).display())
}

/// Whether the run was completed, and its counts and bytes can be used.
fn is_sound(result: &RunResult) -> bool {
    let broken = |trial: &Trial| {
        let classes = &trial.validity.classes;
        classes.counts == Verdict::Invalid || classes.bytes == Verdict::Invalid
    };
    result.status == Status::Complete
        && !result.variants.iter().any(|variant| variant.trials.iter().any(broken))
}

/// Whether every variant has times that can be used.
fn has_times(result: &RunResult) -> bool {
    let lost = |variant: &Variant| {
        variant.trials.iter().all(|trial| trial.validity.classes.timing == Verdict::Invalid)
    };
    !result.variants.iter().any(lost)
}

#[cfg(test)]
mod tests {
    use measurement::result::ScenarioInfo;

    use super::*;

    fn trusted(change: impl FnOnce(&mut RunResult)) -> bool {
        let trials = vec![Trial::default(), Trial::default()];
        let mut result = RunResult {
            format: measurement::result::FORMAT.to_owned(),
            id: String::new(),
            command: String::new(),
            started_at: String::new(),
            finished_at: String::new(),
            status: Status::Complete,
            partial_reason: None,
            scenario: ScenarioInfo::default(),
            manifest: Manifest::default(),
            variants: vec![Variant { trials, ..Variant::default() }],
            claims: Vec::new(),
        };
        change(&mut result);
        is_sound(&result) && has_times(&result)
    }

    #[test]
    fn noise_in_one_trial_is_no_failure_but_a_broken_count_is() {
        assert!(trusted(|_| {}));
        let timing = |trial: &mut Trial| trial.validity.classes.timing = Verdict::Invalid;
        assert!(trusted(|r| timing(&mut r.variants[0].trials[0])));
        assert!(!trusted(|r| r.variants[0].trials.iter_mut().for_each(timing)));
        assert!(!trusted(|r| r.variants[0].trials[1].validity.classes.bytes = Verdict::Invalid));
        assert!(!trusted(|r| r.status = Status::Partial));
    }
}
