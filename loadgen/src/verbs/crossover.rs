//! `loadgen crossover`: a calibration run, a run of the whole grid, and where asking beats pushing.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use measurement::{
    crossover::{Crossover, FORMAT, Transport},
    result::{ModelKind, RunResult, Status},
};
use miette::IntoDiagnostic as _;
use ticker::clock;
use tokio_util::sync::CancellationToken;

use super::{
    printed,
    run::{NOT_TRUSTED, command_line, raise_file_limit, stop_on_ctrl_c},
};
use crate::{
    assemble,
    cli::CrossoverArgs,
    clients,
    crossover::{self, Grid, Place},
    folder::{self, Folder},
    machine,
    plan::Plan,
    progress,
    runner::{self, Orders},
    scenario::{Needs, Overrides},
    target::Program,
};

/// Nobody waits for more.
const MOST_POINTS: usize = 1_000;

/// Runs the grid. Errors are bad usage; what goes wrong in trials is in the record and the exit code.
pub fn run(arguments: &CrossoverArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let overrides =
        Overrides { set: arguments.set.clone(), only: arguments.only.clone(), quick: arguments.quick };
    let grid = Grid { intervals: arguments.intervals(), rtts: arguments.rtts(), rates: arguments.rates() };
    let calibration = crossover::calibration(&arguments.scenario, &overrides)?;
    check(&calibration)?;
    let (plan, places) = crossover::plan(&arguments.scenario, &overrides, &grid)?;
    if plan.variants.len() > MOST_POINTS {
        let points = plan.variants.len();
        return Err(miette::miette!("the grid has {points} points, expected at most {MOST_POINTS}"));
    }
    raise_file_limit();
    let started_at = assemble::date(clock::unix_ns());
    let path = folder::dated(&arguments.out, "crossover", &runner::folder_stamp()).into_diagnostic()?;
    let bench = Bench {
        arguments,
        program: Program::loadgen(std::env::current_exe().into_diagnostic()?),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?,
        stop: CancellationToken::new(),
        path,
    };
    let interrupts = bench.runtime.spawn(stop_on_ctrl_c(bench.stop.clone()));
    let calibrated = bench.measure(&calibration, "calibration")?;
    let result = bench.measure(&plan, "grid")?;
    interrupts.abort();
    let record = Crossover {
        started_at,
        transports: transports(&calibration, &calibrated),
        ..record(arguments, &grid, &plan, &result)
    };
    let record = Crossover { points: points(&record, &plan, &places, &result), ..record };
    let files = reports::crossover::render(&record, &bench.path).into_diagnostic()?;
    // A system without symbolic links has no `latest`; the path is printed anyway.
    let _ = folder::point_latest(&arguments.out, &bench.path);
    printed(write!(out, "{}", reports::crossover::terminal(&record)))?;
    printed(writeln!(out, "Crossover: {}", files.first().unwrap_or(&bench.path).display()))?;
    Ok(if is_trusted(&record) { ExitCode::SUCCESS } else { ExitCode::from(NOT_TRUSTED) })
}

/// Whether there is something to compare, and the machine carries it.
fn check(plan: &Plan) -> miette::Result<()> {
    let pulls = plan.variants.iter().filter(|one| crossover::kind(one) == ModelKind::Pull).count();
    if pulls == 0 || pulls == plan.variants.len() {
        return Err(miette::miette!(
            help = "leave --only out, or name one that asks on a timetable and one that does not",
            "a crossover needs a transport that asks on a timetable and one that does not, found {pulls} of {} that ask",
            plan.variants.len()
        ));
    }
    if let Some(peer) = plan.variants.iter().find(|variant| variant.peer.is_some()) {
        return Err(miette::miette!(
            "the rate of {} cannot be set: its server is somebody else's",
            peer.name
        ));
    }
    let limits = machine::limits();
    Needs::of(plan, &limits).check(&limits)?;
    Ok(())
}

struct Bench<'a> {
    arguments: &'a CrossoverArgs,
    program: Program,
    runtime: tokio::runtime::Runtime,
    stop: CancellationToken,
    path: PathBuf,
}

impl Bench<'_> {
    fn measure(&self, plan: &Plan, name: &str) -> miette::Result<RunResult> {
        let mut folder = Folder::within(&self.path, name).into_diagnostic()?;
        let orders = Orders {
            program: &self.program,
            base: Path::new(&self.arguments.out),
            command: command_line(),
            manifest: machine::manifest(plan),
            stop: self.stop.clone(),
        };
        let mut listener = progress::for_person(self.arguments.quiet);
        let run = runner::run(plan, orders, &mut folder, listener.as_mut());
        let result = self.runtime.block_on(run).into_diagnostic()?;
        drop(listener);
        reports::render(&result, folder.path()).into_diagnostic()?;
        Ok(result)
    }
}

/// The record without what trials tell of transports and points.
fn record(arguments: &CrossoverArgs, grid: &Grid, plan: &Plan, result: &RunResult) -> Crossover {
    let us = |times: &[std::time::Duration]| times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    Crossover {
        format: FORMAT.to_owned(),
        command: command_line(),
        started_at: String::new(),
        finished_at: assemble::date(clock::unix_ns()),
        status: result.status,
        partial_reason: result.partial_reason.clone(),
        title: plan.title.clone(),
        within_us: arguments.within.as_secs_f64() * 1e6,
        intervals_us: us(&grid.intervals),
        rtts_us: us(&grid.rtts),
        rates: grid.rates.clone(),
        transports: Vec::new(),
        points: Vec::new(),
    }
}

fn transports(plan: &Plan, result: &RunResult) -> Vec<Transport> {
    let transport = |variant: &crate::plan::VariantPlan| Transport {
        name: variant.name.clone(),
        model: clients::model(variant.kind, &variant.options),
        calibration: crossover::calibrated(result, variant),
    };
    plan.variants.iter().map(transport).collect()
}

fn points(
    record: &Crossover,
    plan: &Plan,
    places: &[Place],
    result: &RunResult,
) -> Vec<measurement::crossover::Point> {
    let point = |(variant, place): (&crate::plan::VariantPlan, &Place)| {
        let calibration = record.transports.get(place.transport).and_then(|one| one.calibration.as_ref());
        crossover::point(result, variant, place, calibration)
    };
    plan.variants.iter().zip(places).map(point).collect()
}

/// Whether every point was run, has bytes that stand, and something to be held against them. Noise that voids times only
/// leaves its points without them, unless none has any.
fn is_trusted(record: &Crossover) -> bool {
    let calibrated = record.transports.iter().all(|transport| transport.calibration.is_some());
    let counted = record.points.iter().all(|point| point.measured.bytes_per_hour.is_some());
    let timed = record.points.iter().any(|point| point.measured.delay_us.is_some());
    record.status == Status::Complete && calibrated && counted && timed
}
