//! `loadgen capacity`: the largest value of a key with which conditions hold, for each variant of a scenario.
//!
//! Where to look next is decided in `search`; here values become plans, plans become runs, and runs become outcomes.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use measurement::{
    capacity::{Capacity, FORMAT, Found, LimitedBy, Outcome, Step},
    gate::Gate,
    result::{Class, RunResult, Severity, Status, Verdict},
};
use miette::IntoDiagnostic as _;
use reports::gates::Judgement;
use ticker::clock;
use tokio_util::sync::CancellationToken;

use super::{
    printed,
    run::{NOT_TRUSTED, command_line, raise_file_limit, stop_on_ctrl_c},
};
use crate::{
    assemble,
    cli::{CapacityArgs, capacity::Vary},
    folder::{self, Folder},
    machine,
    plan::Plan,
    progress,
    runner::{self, Orders},
    scenario::{self, Needs, Overrides},
    search::{Bounds, Effort, Search, Try},
    target::Program,
};

/// The most that a scenario file takes, of clients and of updates alike.
const MOST: f64 = 1e6;
/// Rates are halved down to this share of the first.
const LEAST_SHARE: f64 = 1e-3;
/// Trials that confirm what one trial found.
const CONFIRM: u32 = 3;

/// Findings that mean the load generator, the feed's publisher or the machine, by the beginning of their codes.
const OF_THE_HARNESS: [&str; 7] =
    ["loadgen.", "machine.", "publisher.", "schedule.", "clients.out_of_", "clock.", "histogram."];
/// Those that mean the server.
const OF_THE_SERVER: [&str; 4] =
    ["server.refused", "server.listen_drops", "clients.disconnected", "clients.missing"];

/// Searches every variant. Errors are bad usage; what goes wrong in trials is in the record and the exit code.
pub fn run(arguments: &CapacityArgs, out: &mut dyn Write) -> miette::Result<ExitCode> {
    let conditions: Vec<_> =
        arguments.until.iter().map(|text| scenario::condition(text)).collect::<Result<_, _>>()?;
    let plan = scenario::load(&arguments.scenario.scenario, &arguments.scenario.overrides())?;
    let bounds = bounds(arguments, &plan)?;
    // The first value has to be one that the scenario takes.
    let first = planned(arguments, bounds.from)?;
    raise_file_limit();
    let path = folder::dated(&arguments.out, &format!("{}-capacity", plan.name), &runner::folder_stamp())
        .into_diagnostic()?;
    fs::create_dir(path.join("steps")).into_diagnostic()?;
    let mut record = Capacity {
        format: FORMAT.to_owned(),
        command: command_line(),
        started_at: assemble::date(clock::unix_ns()),
        finished_at: String::new(),
        status: Status::Partial,
        partial_reason: Some("the search did not end".to_owned()),
        title: plan.title.clone(),
        scenario: plan.path.display().to_string(),
        varied: arguments.vary.key().to_owned(),
        most: bounds.most,
        quick: plan.quick,
        conditions,
        variants: Vec::new(),
    };
    let mut bench = Bench {
        arguments,
        program: Program::loadgen(std::env::current_exe().into_diagnostic()?),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?,
        stop: CancellationToken::new(),
        path: path.clone(),
        number: 0,
    };
    let interrupts = bench.runtime.spawn(stop_on_ctrl_c(bench.stop.clone()));
    for variant in &first.variants {
        let found = bench.search(&variant.name, bounds, &record)?;
        record.variants.push(found);
        // What is known is kept, whatever becomes of the rest.
        reports::capacity::render(&record, &path).into_diagnostic()?;
        if bench.stop.is_cancelled() {
            break;
        }
    }
    interrupts.abort();
    record.finished_at = assemble::date(clock::unix_ns());
    (record.status, record.partial_reason) = match bench.stop.is_cancelled() {
        true => (Status::Partial, Some("interrupted by the user".to_owned())),
        false => (Status::Complete, None),
    };
    let files = reports::capacity::render(&record, &path).into_diagnostic()?;
    // A system without symbolic links has no `latest`; the path is printed anyway.
    let _ = folder::point_latest(&arguments.out, &path);
    printed(write!(out, "{}", reports::capacity::terminal(&record)))?;
    printed(writeln!(out, "Capacity: {}", files.first().unwrap_or(&path).display()))?;
    Ok(if is_found(&record) { ExitCode::SUCCESS } else { ExitCode::from(NOT_TRUSTED) })
}

/// Whether every search ended at the condition, at the server, or at the most that was allowed.
fn is_found(record: &Capacity) -> bool {
    record.status == Status::Complete
        && record.variants.iter().all(|found| match found.limited_by {
            LimitedBy::Condition | LimitedBy::Server | LimitedBy::Most => true,
            LimitedBy::Harness | LimitedBy::Untold | LimitedBy::Stopped => false,
        })
}

/// From the scenario's own smallest value, or the one that is asked for.
fn bounds(arguments: &CapacityArgs, plan: &Plan) -> miette::Result<Bounds> {
    let whole = arguments.vary == Vary::Clients;
    if let Some(peer) = plan.variants.iter().find(|variant| variant.peer.is_some()).filter(|_| !whole) {
        return Err(miette::miette!(
            help = "vary load.clients, or leave the variant out with --only",
            "`{}` does not say what {} is sent: its server is somebody else's",
            arguments.vary.key(),
            peer.name
        ));
    }
    let own = plan.variants.iter().map(|variant| match arguments.vary {
        Vary::Clients => f64::from(variant.load.clients),
        Vary::UpdatesPerSecond => variant.feed.updates_per_second,
    });
    let own = own.fold(f64::INFINITY, f64::min);
    let asked = [("--from", arguments.from), ("--most", arguments.most)];
    for (option, value) in asked {
        if let Some(value) = value.filter(|value| whole && value.fract() != 0.0 || *value > MOST) {
            return Err(miette::miette!(
                "{option} is {value}, expected a whole number of clients up to {MOST}"
            ));
        }
    }
    let from = arguments.from.unwrap_or(own);
    let most = arguments.most.unwrap_or(MOST);
    let least = if whole { 1.0 } else { (from * LEAST_SHARE).min(most) };
    Ok(Bounds { from: from.min(most), least, most, whole })
}

/// The scenario's plan at one value.
fn planned(arguments: &CapacityArgs, value: f64) -> Result<Plan, scenario::ScenarioError> {
    let Overrides { mut set, only, quick } = arguments.scenario.overrides();
    set.push(format!("{}={value}", arguments.vary.key()));
    scenario::load(&arguments.scenario.scenario, &Overrides { set, only, quick })
}

/// What all steps share.
struct Bench<'a> {
    arguments: &'a CapacityArgs,
    program: Program,
    runtime: tokio::runtime::Runtime,
    stop: CancellationToken,
    path: PathBuf,
    number: usize,
}

impl Bench<'_> {
    fn search(&mut self, name: &str, bounds: Bounds, record: &Capacity) -> miette::Result<Found> {
        let trials = self.arguments.trials;
        let confirm = if record.quick { 0 } else { CONFIRM };
        let mut search = Search::new(bounds, Effort { trials, confirm });
        let mut steps: Vec<Step> = Vec::new();
        while let Some(next) = search.next() {
            let step = self.step(name, next, record)?;
            let line = reports::capacity::step(&record.conditions, name, &record.varied, &step);
            progress::tell(self.arguments.quiet, &line);
            let held = step.outcome == Outcome::Held;
            steps.push(step);
            if self.stop.is_cancelled() {
                break;
            }
            search.take(next, held);
        }
        let bad = search.failed().and_then(|failed| {
            steps.iter().rfind(|step| step.value == failed && step.outcome != Outcome::Held)
        });
        let (limited_by, reason) = match bad {
            _ if self.stop.is_cancelled() => (LimitedBy::Stopped, "interrupted by the user".to_owned()),
            Some(step) => (step.outcome.limits(), step.reasons.join("; ")),
            None => (LimitedBy::Most, String::new()),
        };
        Ok(Found {
            name: name.to_owned(),
            held: search.held(),
            failed: search.failed(),
            limited_by,
            reason,
            contradicted: search.contradicted().to_vec(),
            steps,
        })
    }

    /// Runs one value of one variant in a folder of its own.
    fn step(&mut self, name: &str, next: Try, record: &Capacity) -> miette::Result<Step> {
        let Try { value, trials, confirms } = next;
        let not_run = |outcome, reason: String| Step {
            value,
            trials: 0,
            confirms,
            outcome,
            figures: Vec::new(),
            reasons: vec![reason],
            folder: None,
        };
        let mut plan = match planned(self.arguments, value) {
            Ok(plan) => plan,
            Err(error) => return Ok(not_run(Outcome::Untold, error.to_string())),
        };
        plan.variants.retain(|variant| variant.name == name);
        plan.trials = trials;
        let gate = |condition: &measurement::capacity::Condition| Gate {
            variant: name.to_owned(),
            metric: condition.metric.clone(),
            limit: condition.limit,
        };
        plan.gates = record.conditions.iter().map(gate).collect();
        let limits = machine::limits();
        if let Err(error) = Needs::of(&plan, &limits).check(&limits) {
            return Ok(not_run(Outcome::Harness, error.to_string()));
        }
        self.number += 1;
        let folder = format!("steps/{:02}-{}-{value}", self.number, reports::format::slug(name));
        let result = self.measure(&plan, &folder, record)?;
        reports::render(&result, &self.path.join(&folder)).into_diagnostic()?;
        let (outcome, reasons) = judge(&result);
        let figure = |condition: &measurement::capacity::Condition| {
            let variant = result.variants.first()?;
            variant.summary.get(&condition.metric).map(|summary| summary.median)
        };
        let figures = record.conditions.iter().map(figure).collect();
        Ok(Step { value, trials, confirms, outcome, figures, reasons, folder: Some(folder) })
    }

    fn measure(&self, plan: &Plan, folder: &str, record: &Capacity) -> miette::Result<RunResult> {
        let mut folder = Folder::within(&self.path, folder).into_diagnostic()?;
        let orders = Orders {
            program: &self.program,
            base: Path::new(&self.arguments.out),
            command: record.command.clone(),
            manifest: machine::manifest(plan),
            stop: self.stop.clone(),
        };
        let mut listener = progress::for_steps(self.arguments.quiet);
        let run = runner::run(plan, orders, &mut folder, listener.as_mut());
        self.runtime.block_on(run).into_diagnostic()
    }
}

/// What became of a value, and why it does not hold. Clients that are missing void every metric: the others had less to bear.
fn judge(result: &RunResult) -> (Outcome, Vec<String>) {
    let trials = || result.variants.iter().flat_map(|variant| &variant.trials);
    let judged = reports::gates::judge(result, None);
    let broken: Vec<String> = judged
        .iter()
        .filter(|gate| gate.judgement == Judgement::Failed)
        .map(|gate| format!("{}: {}", gate.gate.metric, gate.told))
        .collect();
    let counts_stand = trials().all(|trial| {
        trial.validity.classes.of(Class::Counts) < Verdict::Invalid && trial.status == Status::Complete
    });
    if counts_stand && !broken.is_empty() {
        return (Outcome::Broken, broken);
    }
    if counts_stand && judged.iter().all(|gate| gate.judgement == Judgement::Passed) {
        return (Outcome::Held, Vec::new());
    }
    let grave = trials()
        .flat_map(|trial| &trial.validity.findings)
        .filter(|finding| finding.severity == Severity::Invalid);
    let (mut codes, mut reasons) = (Vec::new(), Vec::new());
    for finding in grave {
        if !codes.contains(&finding.code.as_str()) {
            codes.push(&finding.code);
            reasons.push(format!("{}: {} {}", finding.code, finding.message, finding.figure));
        }
    }
    let any = |known: &[&str]| codes.iter().any(|code| known.iter().any(|stem| code.starts_with(stem)));
    let outcome = if any(&OF_THE_HARNESS) {
        Outcome::Harness
    } else if any(&OF_THE_SERVER) {
        Outcome::Server
    } else {
        Outcome::Untold
    };
    reasons.extend(trials().filter_map(|trial| trial.error.clone()));
    let untold = judged.iter().filter(|gate| gate.judgement == Judgement::Untold);
    if reasons.is_empty() {
        reasons.extend(untold.map(|gate| format!("{}: {}", gate.gate.metric, gate.told)));
    }
    (outcome, reasons)
}

#[cfg(test)]
mod tests {
    use measurement::{
        gate::Limit,
        result::{Finding, Manifest, ScenarioInfo, Trial, Variant},
        summary,
    };
    use serde_json::json;

    use super::*;

    fn outcome(limit: Limit, findings: &[&str]) -> Outcome {
        let gate = Gate { variant: "v".to_owned(), metric: "updates.delivered_once".to_owned(), limit };
        let mut trial = Trial::default();
        trial.updates.delivered_once = 100;
        for code in findings {
            trial.validity.classes.counts = Verdict::Invalid;
            trial.validity.findings.push(Finding {
                code: (*code).to_owned(),
                class: Class::Counts,
                also: Vec::new(),
                severity: Severity::Invalid,
                message: "found".to_owned(),
                figure: "1".to_owned(),
                limit: "0".to_owned(),
                advice: String::new(),
            });
        }
        let trials = vec![trial];
        let summary = summary::summarise(&trials);
        let variant = Variant { name: "v".to_owned(), trials, summary, ..Variant::default() };
        let scenario = ScenarioInfo { plan: json!({ "gates": [gate] }), ..ScenarioInfo::default() };
        let result = RunResult {
            format: measurement::result::FORMAT.to_owned(),
            id: String::new(),
            command: String::new(),
            started_at: String::new(),
            finished_at: String::new(),
            status: Status::Complete,
            partial_reason: None,
            scenario,
            manifest: Manifest::default(),
            variants: vec![variant],
            claims: Vec::new(),
        };
        let (outcome, reasons) = judge(&result);
        assert_eq!(reasons.is_empty(), outcome == Outcome::Held, "{reasons:?}");
        outcome
    }

    #[test]
    fn a_trial_that_is_void_does_not_hold_and_whose_end_it_was_is_told_apart() {
        let (kept, broken) = (Limit::Below(101.0), Limit::Below(100.0));
        assert_eq!(outcome(kept, &[]), Outcome::Held);
        assert_eq!(outcome(broken, &[]), Outcome::Broken);
        assert_eq!(outcome(kept, &["loadgen.cpu"]), Outcome::Harness);
        assert_eq!(outcome(broken, &["clients.out_of_files", "clients.missing"]), Outcome::Harness);
        assert_eq!(outcome(kept, &["clients.missing"]), Outcome::Server);
        assert_eq!(outcome(kept, &["updates.identity"]), Outcome::Untold);
    }
}
