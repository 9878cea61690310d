//! `loadgen run`: plan, folder, trials, report. Checks what can be checked before the first trial.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use measurement::result::{RunResult, Status, Trial, Verdict};
use miette::IntoDiagnostic as _;
use tokio_util::sync::CancellationToken;

use super::printed;
use crate::{
    cli::RunArgs,
    folder::Folder,
    machine::{self, Machine},
    plan::Plan,
    progress,
    runner::{self, Orders},
    scenario::{self, Needs},
    target::Program,
};

/// Exit code of a run that could not be completed, or whose figures cannot be trusted.
pub(super) const NOT_TRUSTED: u8 = 3;

/// Runs a scenario and renders its report. Errors are bad usage; what goes wrong in trials is in the exit code.
pub fn run(arguments: &RunArgs, out: &mut impl Write) -> miette::Result<ExitCode> {
    let plan = scenario::load(&arguments.scenario.scenario, &arguments.scenario.overrides())?;
    Needs::of(&plan).check(&Machine::read().limits())?;
    raise_file_limit();
    let mut folder = Folder::create(&arguments.out, &plan.name, &runner::folder_stamp()).into_diagnostic()?;
    let program = Program::loadgen(std::env::current_exe().into_diagnostic()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let result = runtime.block_on(measure(&plan, arguments, &program, &mut folder)).into_diagnostic()?;
    let files = reports::render(&result, folder.path()).into_diagnostic()?;
    printed(tell(&result, folder.path(), files.first().map(AsRef::as_ref), out))?;
    Ok(exit_code(&result))
}

async fn measure(
    plan: &Plan,
    arguments: &RunArgs,
    program: &Program,
    folder: &mut Folder,
) -> Result<RunResult, crate::folder::FolderError> {
    let stop = CancellationToken::new();
    let interrupts = tokio::spawn(stop_on_ctrl_c(stop.clone()));
    let orders = Orders {
        program,
        base: &arguments.out,
        command: command_line(),
        manifest: machine::manifest(plan),
        stop,
    };
    let mut listener = progress::for_person(arguments.quiet);
    let result = runner::run(plan, orders, folder, listener.as_mut()).await;
    interrupts.abort();
    result
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
        if stop.is_cancelled() {
            std::process::exit(i32::from(NOT_TRUSTED));
        }
        stop.cancel();
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

fn tell(result: &RunResult, folder: &Path, report: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", reports::terminal_table(result))?;
    if let Some(reason) = &result.partial_reason {
        writeln!(out, "This result is PARTIAL: {reason}")?;
    }
    writeln!(out, "Report: {}", report.unwrap_or(folder).display())
}

fn exit_code(result: &RunResult) -> ExitCode {
    let untrusted = |trial: &Trial| {
        let classes = &trial.validity.classes;
        classes.counts == Verdict::Invalid || classes.bytes == Verdict::Invalid
    };
    let timing_lost =
        |trials: &[Trial]| trials.iter().all(|trial| trial.validity.classes.timing == Verdict::Invalid);
    let bad = result.status != Status::Complete
        || result.variants.iter().any(|variant| variant.trials.iter().any(untrusted))
        || result.variants.iter().any(|variant| timing_lost(&variant.trials));
    if bad { ExitCode::from(NOT_TRUSTED) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use measurement::result::{Manifest, ScenarioInfo, Variant};

    use super::*;

    fn result(change: impl FnOnce(&mut RunResult)) -> ExitCode {
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
        };
        change(&mut result);
        exit_code(&result)
    }

    #[test]
    fn noise_in_one_trial_is_no_failure_but_a_broken_count_is() {
        assert_eq!(result(|_| {}), ExitCode::SUCCESS);
        assert_eq!(
            result(|r| r.variants[0].trials[0].validity.classes.timing = Verdict::Invalid),
            ExitCode::SUCCESS
        );
        assert_eq!(
            result(|r| r.variants[0]
                .trials
                .iter_mut()
                .for_each(|t| t.validity.classes.timing = Verdict::Invalid)),
            ExitCode::from(3)
        );
        assert_eq!(
            result(|r| r.variants[0].trials[1].validity.classes.bytes = Verdict::Invalid),
            ExitCode::from(3)
        );
        assert_eq!(result(|r| r.status = Status::Partial), ExitCode::from(3));
    }
}
