//! A run: every variant's trials in seeded random order within blocks, each recorded as it ends.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use measurement::result::{FORMAT, Manifest, RunResult, ScenarioInfo, Status, Trial, Variant};
use sha2::{Digest as _, Sha256};
use ticker::{Anchor, clock, random};
use tokio_util::sync::CancellationToken;

use crate::{
    assemble, clients,
    closing::{self, Closing},
    events::{Event, Listener},
    floor::Floors,
    folder::{Ending, Folder, FolderError},
    plan::{Plan, VariantPlan},
    process::{self, Cores},
    scenario::Estimate,
    trial::{self, Setting},
};

const STREAM_ORDER: u64 = 31;

/// What the run is told beside its plan.
pub struct Orders<'a> {
    /// The binary that serves: this one.
    pub program: &'a Path,
    /// The folder under which run folders are made.
    pub base: &'a Path,
    /// The command line, for the result file.
    pub command: String,
    /// The conditions of the run.
    pub manifest: Manifest,
    /// Cancelled when the user asks to stop.
    pub stop: CancellationToken,
}

/// Runs a plan in a folder of its own. Trials that fail are in the result with their error.
pub async fn run(
    plan: &Plan,
    orders: Orders<'_>,
    folder: &mut Folder,
    listener: &mut dyn Listener,
) -> Result<RunResult, FolderError> {
    let cores = Cores::split(&process::allowed_cores());
    let order = order(plan);
    let head = head(plan, &orders, &cores, &order);
    folder.begin(&head)?;
    let trials = plan.trials * plan.variants.len() as u32;
    let seconds = Estimate::of(plan).total.as_secs_f64();
    listener.event(&Event::Started { trials, seconds, folder: folder.path() });

    // The trial's main thread stays off the server's core too; workers pin themselves to one each.
    let _ = process::pin_thread(&cores.loadgen);
    let variants: Vec<Arc<VariantPlan>> = plan.variants.iter().cloned().map(Arc::new).collect();
    let mut counts = vec![0; variants.len()];
    let mut incomplete = Vec::new();
    let path = folder.path().to_owned();
    let (mut floors, mut closing) = (Floors::default(), Closing::default());
    for (order, index) in order.into_iter().enumerate() {
        if orders.stop.is_cancelled() {
            break;
        }
        let variant = &variants[index];
        let clients = variant.load.clients;
        floors = prepared(floors, clients, &cores).await;
        listener.event(&Event::Trial { order: order as u32, variant });
        let mut setting = Setting {
            program: orders.program,
            seed: plan.seed,
            cores: cores.clone(),
            anchor: Anchor::now(),
            stop: orders.stop.clone(),
            folder: Some(&path),
            listener: &mut *listener,
        };
        let found = trial::run(variant, &mut setting).await;
        let mut found = Trial { index: counts[index], order: order as u64, ..found };
        floors.judge(clients, &mut found);
        closing.trial(&found);
        counts[index] += 1;
        folder.trial(&variant.name, &found)?;
        listener.event(&Event::Ended { variant, trial: &found });
        if let Some(error) = &found.error {
            incomplete.push(format!("{}, trial {}: {error}", variant.name, found.index + 1));
        }
    }
    let ending = Ending {
        recorded: closing.recorded(&head.manifest, &floors),
        ..ending(plan, &counts, incomplete, orders.stop.is_cancelled())
    };
    folder.finish(orders.base, &ending)
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

/// Indices of variants in the order of trials: each block holds every variant once, shuffled.
fn order(plan: &Plan) -> Vec<usize> {
    let blocks = (0..u64::from(plan.trials)).flat_map(|block| {
        let mut indices: Vec<usize> = (0..plan.variants.len()).collect();
        random::shuffle(&mut indices, plan.seed, STREAM_ORDER + block);
        indices
    });
    blocks.collect()
}

fn head(plan: &Plan, orders: &Orders<'_>, cores: &Cores, order: &[usize]) -> RunResult {
    let started_at = assemble::date(clock::unix_ns());
    let mut resolved = serde_json::to_value(plan).unwrap_or_default();
    for (variant, planned) in
        plan.variants.iter().zip(resolved["variants"].as_array_mut().into_iter().flatten())
    {
        if variant.peer.is_some() {
            planned["feed"] = serde_json::Value::Null;
        }
    }
    let mut hash = Sha256::new();
    hash.update(&started_at);
    hash.update(&plan.text);
    hash.update(serde_json::to_vec(&orders.manifest).unwrap_or_default());
    let mut manifest = orders.manifest.clone();
    closing::announce(&mut manifest);
    let names: Vec<&str> = order.iter().map(|&index| plan.variants[index].name.as_str()).collect();
    manifest.recorded.insert("order".to_owned(), names.into());
    let pinning = serde_json::json!({ "server": cores.server, "loadgen": cores.loadgen });
    manifest.timed_must_match.insert("pinning".to_owned(), pinning);
    let variant = |variant: &VariantPlan| Variant {
        name: variant.name.clone(),
        kind: variant.kind.name().to_owned(),
        engine: variant.engine.clone(),
        options: variant.set.clone(),
        point: variant.point.clone(),
        model: clients::model(variant.kind, &variant.options),
        clients: u64::from(variant.load.clients),
        ..Variant::default()
    };
    RunResult {
        format: FORMAT.to_owned(),
        id: hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        command: orders.command.clone(),
        started_at: started_at.clone(),
        finished_at: started_at,
        status: Status::Partial,
        partial_reason: Some("the run did not end".to_owned()),
        scenario: ScenarioInfo {
            path: plan.path.display().to_string(),
            title: plan.title.clone(),
            why: plan.why.clone(),
            notice: plan.notice.clone(),
            text: plan.text.clone(),
            plan: resolved,
        },
        manifest,
        variants: plan.variants.iter().map(variant).collect(),
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
            engine: "library".to_owned(),
            options: crate::plan::TransportOptions::default(),
            set: Default::default(),
            point: Default::default(),
            feed: ticker::FeedSettings::default(),
            peer: None,
            load: crate::plan::Load {
                clients: 1,
                symbols_per_client: u32::MAX,
                connect_over: Duration::ZERO,
                warmup: Duration::ZERO,
                measure: Duration::from_secs(1),
                session: Duration::from_secs(1),
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
        }
    }

    #[test]
    fn each_block_holds_every_variant_once_in_an_order_of_its_own() {
        let order = order(&plan(5, 4));
        let mut blocks: Vec<Vec<usize>> = order.chunks(5).map(<[usize]>::to_vec).collect();
        assert!(blocks.windows(2).any(|pair| pair[0] != pair[1]));
        blocks.iter_mut().for_each(|block| block.sort_unstable());
        assert!(blocks.iter().all(|block| *block == [0, 1, 2, 3, 4]));
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
