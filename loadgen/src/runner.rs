//! A run: every variant's trials in seeded random order within blocks, each recorded as it ends. One side, or two in pairs.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use measurement::result::{Manifest, RunResult, Status, Trial};
use ticker::{Anchor, clock};
use tokio_util::sync::CancellationToken;

use crate::{
    assemble,
    closing::Closing,
    events::{Event, InPair, Listener},
    floor::Floors,
    folder::{Ending, Folder, FolderError},
    plan::{Plan, VariantPlan},
    process::{self, Cores},
    scenario::Estimate,
    target::Program,
    trial::{self, Setting},
};

mod head;
pub mod turns;

use turns::Turn;

/// What the run is told beside its plan.
pub struct Orders<'a> {
    /// What serves: a program of ours.
    pub program: &'a Program,
    /// The folder under which run folders are made.
    pub base: &'a Path,
    /// The command line, for the result file.
    pub command: String,
    /// The conditions of the run.
    pub manifest: Manifest,
    /// Cancelled when the user asks to stop.
    pub stop: CancellationToken,
}

/// One result that the run makes, of one server.
pub struct Side<'a> {
    /// What progress calls it; a run of one side needs no name.
    pub name: &'static str,
    /// What is run.
    pub plan: &'a Plan,
    /// What serves, where the server is ours.
    pub program: &'a Program,
    /// The conditions.
    pub manifest: Manifest,
    /// Where its trials and its result go.
    pub folder: &'a mut Folder,
}

/// What all sides of a run share.
pub struct Shared<'a> {
    /// The folder under which run folders are made.
    pub base: &'a Path,
    /// The folder that progress tells of.
    pub folder: &'a Path,
    /// The command line.
    pub command: &'a str,
    /// Cancelled when the user asks to stop.
    pub stop: &'a CancellationToken,
}

/// Runs a plan in a folder of its own. Trials that fail are in the result with their error.
pub async fn run(
    plan: &Plan,
    orders: Orders<'_>,
    folder: &mut Folder,
    listener: &mut dyn Listener,
) -> Result<RunResult, FolderError> {
    let Orders { program, base, command, manifest, stop } = orders;
    let path = folder.path().to_owned();
    let shared = Shared { base, folder: &path, command: &command, stop: &stop };
    let turns = turns::blocks(plan.together().len(), plan.trials, plan.seed);
    let [result] =
        run_sides([Side { name: "", plan, program, manifest, folder }], &turns, &shared, listener).await?;
    Ok(result)
}

/// Runs the trials of all sides in the order of `turns`; a result for each side, whatever became of its trials.
pub async fn run_sides<const N: usize>(
    sides: [Side<'_>; N],
    turns: &[Turn],
    shared: &Shared<'_>,
    listener: &mut dyn Listener,
) -> Result<[RunResult; N], FolderError> {
    let cores = Cores::split(&process::allowed_cores());
    let seconds: f64 = sides.iter().map(|side| Estimate::of(side.plan).total.as_secs_f64()).sum();
    let together = sides.each_ref().map(|side| side.plan.together());
    let of = |turn: &Turn| together[turn.side][turn.group].clone();
    let trials: usize = turns.iter().map(|turn| of(turn).len()).sum();
    listener.event(&Event::Started { trials: trials as u32, seconds, folder: shared.folder });
    // The trial's main thread stays off the server's core too; workers pin themselves to one each.
    let _ = process::pin_thread(&cores.loadgen);
    let pairs = turns.iter().map(|turn| turn.block + 1).max().unwrap_or(0);

    let mut places = 0..N;
    let mut began = sides.map(|side| {
        let place = places.next();
        let own = turns.iter().filter(|turn| Some(turn.side) == place).flat_map(of);
        Began::new(side, shared.command, &cores, own)
    });
    for side in &mut began {
        side.folder.begin(&side.head)?;
    }
    let mut floors = Floors::default();
    let mut order = 0;
    for turn in turns {
        if shared.stop.is_cancelled() {
            break;
        }
        let side = &mut began[turn.side];
        let range = of(turn);
        let variants = side.variants[range.clone()].to_vec();
        let clients = variants.iter().map(|variant| variant.load.clients).sum();
        floors = prepared(floors, clients, &cores).await;
        let pair = (N > 1).then_some(InPair { pair: turn.block, pairs, side: side.name });
        listener.event(&Event::Trial { order: order as u32, variants: &variants, pair });
        let mut setting = Setting {
            program: side.program,
            seed: side.plan.seed,
            cores: cores.clone(),
            anchor: Anchor::now(),
            stop: shared.stop.clone(),
            folder: Some(&side.path),
            listener: &mut *listener,
        };
        for (place, found) in range.zip(trial::run(&variants, &mut setting).await) {
            let mut found = Trial { order, ..found };
            order += 1;
            floors.judge(clients, &mut found);
            side.take(place, found, listener)?;
        }
    }
    let stopped = shared.stop.is_cancelled();
    let results: Vec<RunResult> =
        began.iter().map(|side| side.finish(shared.base, &floors, stopped)).collect::<Result<_, _>>()?;
    Ok(results.try_into().expect("one for each side"))
}

/// A side of which trials are being run.
struct Began<'a> {
    name: &'static str,
    plan: &'a Plan,
    program: &'a Program,
    folder: &'a mut Folder,
    path: std::path::PathBuf,
    head: RunResult,
    variants: Vec<Arc<VariantPlan>>,
    counts: Vec<u64>,
    incomplete: Vec<String>,
    closing: Closing,
}

impl<'a> Began<'a> {
    fn new(side: Side<'a>, command: &str, cores: &Cores, order: impl Iterator<Item = usize>) -> Self {
        let Side { name, plan, program, manifest, folder } = side;
        Self {
            name,
            plan,
            program,
            path: folder.path().to_owned(),
            folder,
            head: head::head(plan, &manifest, command, cores, order),
            variants: plan.variants.iter().cloned().map(Arc::new).collect(),
            counts: vec![0; plan.variants.len()],
            incomplete: Vec::new(),
            closing: Closing::default(),
        }
    }

    /// A trial has ended: it is numbered, kept and told.
    fn take(&mut self, index: usize, found: Trial, listener: &mut dyn Listener) -> Result<(), FolderError> {
        let variant = &self.variants[index];
        let found = Trial { index: self.counts[index], ..found };
        self.closing.trial(&found);
        self.counts[index] += 1;
        self.folder.trial(&variant.name, &found)?;
        listener.event(&Event::Ended { variant, trial: &found });
        if let Some(error) = &found.error {
            self.incomplete.push(format!("{}, trial {}: {error}", variant.name, found.index + 1));
        }
        Ok(())
    }

    fn finish(&self, base: &Path, floors: &Floors, stopped: bool) -> Result<RunResult, FolderError> {
        let ending = Ending {
            recorded: self.closing.recorded(&self.head.manifest, floors),
            ..ending(self.plan, &self.counts, self.incomplete.clone(), stopped)
        };
        self.folder.finish(base, &ending)
    }
}

/// The floor test blocks its thread; the runtime's goes on.
async fn prepared(mut floors: Floors, clients: u32, cores: &Cores) -> Floors {
    let cores = cores.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        floors.prepare(clients, &cores);
        floors
    });
    // Without floors trials say that theirs is missing.
    prepared.await.unwrap_or_default()
}

fn ending(plan: &Plan, counts: &[u64], incomplete: Vec<String>, stopped: bool) -> Ending {
    let done: u64 = counts.iter().sum();
    let planned = u64::from(plan.trials) * counts.len() as u64;
    let mut reasons = Vec::new();
    if stopped {
        reasons.push("interrupted by the user".to_owned());
    }
    if done < planned {
        reasons.push(format!("{done} of {planned} trials were run"));
    }
    reasons.extend(incomplete);
    let complete = reasons.is_empty();
    Ending {
        finished_at: assemble::date(clock::unix_ns()),
        status: if complete { Status::Complete } else { Status::Partial },
        partial_reason: (!complete).then(|| reasons.join("; ")),
        recorded: BTreeMap::new(),
    }
}

/// A stamp for the run's folder, in UTC to the second.
pub fn folder_stamp() -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_nanos(clock::unix_ns());
    humantime::format_rfc3339_seconds(time).to_string().replace(':', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(variants: usize, trials: u32) -> Plan {
        let variant = |number: usize| VariantPlan {
            name: format!("v{number}"),
            kind: ticker::Transport::ALL[0],
            workload: Default::default(),
            engine: ticker::Engine::Library,
            driver: Default::default(),
            options: crate::plan::TransportOptions::default(),
            set: Default::default(),
            point: Default::default(),
            feed: ticker::FeedSettings::default(),
            peer: None,
            link: None,
            storm: None,
            slow: None,
            mix: None,
            load: crate::plan::Load {
                clients: 1,
                symbols_per_client: u32::MAX,
                connect_over: Duration::ZERO,
                warmup: Duration::ZERO,
                measure: Duration::from_secs(1),
                session: Duration::from_secs(1),
                processes: crate::plan::Processes::Auto,
            },
            header_profile: "minimal".to_owned(),
            headers: Vec::new(),
        };
        Plan {
            name: "x".to_owned(),
            path: "x.toml".into(),
            title: "x".to_owned(),
            why: None,
            notice: None,
            text: String::new(),
            trials,
            seed: 1,
            quick: false,
            variants: (0..variants).map(variant).collect(),
            gates: Vec::new(),
            claims: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_complete_only_when_every_trial_is() {
        let plan = plan(2, 2);
        assert_eq!(ending(&plan, &[2, 2], Vec::new(), false).status, Status::Complete);
        let early = ending(&plan, &[2, 1], Vec::new(), true);
        assert_eq!(early.partial_reason.unwrap(), "interrupted by the user; 3 of 4 trials were run");
        assert_eq!(
            ending(&plan, &[2, 2], vec!["v0, trial 1: died".to_owned()], false).status,
            Status::Partial
        );
    }
}
