//! A run's head: everything that is known of it before its first trial.

use measurement::result::{FORMAT, Manifest, RunResult, ScenarioInfo, Status, Variant};
use sha2::{Digest as _, Sha256};
use ticker::clock;

use crate::{
    assemble, clients, closing, network,
    plan::{Plan, VariantPlan},
    process::Cores,
};

/// The head of the run of `plan` under the conditions of `manifest`; `order` are the variants of its trials.
pub(super) fn head(
    plan: &Plan,
    manifest: &Manifest,
    command: &str,
    cores: &Cores,
    order: impl Iterator<Item = usize>,
) -> RunResult {
    let started_at = assemble::date(clock::unix_ns());
    let mut hash = Sha256::new();
    hash.update(&started_at);
    hash.update(&plan.text);
    hash.update(serde_json::to_vec(manifest).unwrap_or_default());
    let mut manifest = manifest.clone();
    closing::announce(&mut manifest);
    let names: Vec<&str> = order.map(|index| plan.variants[index].name.as_str()).collect();
    manifest.recorded.insert("order".to_owned(), names.into());
    let pinning = serde_json::json!({ "server": cores.server, "loadgen": cores.loadgen });
    manifest.timed_must_match.insert("pinning".to_owned(), pinning);
    RunResult {
        format: FORMAT.to_owned(),
        id: hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        command: command.to_owned(),
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
            plan: resolved(plan),
        },
        manifest,
        variants: plan.variants.iter().map(variant).collect(),
        claims: Vec::new(),
    }
}

/// The plan as a value, without what says nothing.
fn resolved(plan: &Plan) -> serde_json::Value {
    let mut resolved = serde_json::to_value(plan).unwrap_or_default();
    for (variant, planned) in
        plan.variants.iter().zip(resolved["variants"].as_array_mut().into_iter().flatten())
    {
        if variant.peer.is_some() {
            planned["feed"] = serde_json::Value::Null;
        }
    }
    resolved
}

fn variant(variant: &VariantPlan) -> Variant {
    Variant {
        name: variant.name.clone(),
        kind: variant.kind.name().to_owned(),
        engine: variant.engine.name().to_owned(),
        options: variant.set.clone(),
        point: variant.point.clone(),
        model: clients::model(variant.kind, &variant.options),
        clients: u64::from(variant.load.clients),
        link: network::model(variant),
        ..Variant::default()
    }
}
