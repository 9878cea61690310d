//! A comparison's trials: two sides in pairs, a result for each side, and what says that the two belong together.
//!
//! It draws no conclusion: `reports` compares what this wrote.

use std::{path::Path, time::Duration};

use measurement::result::{Manifest, RunResult};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ticker::clock;
use tokio_util::sync::CancellationToken;

use crate::{
    events::Listener,
    folder::{Folder, FolderError},
    machine,
    plan::{Plan, VariantPlan},
    runner::{self, Shared, Side, turns},
    sides::{NAMES, Server},
};

/// Warm-up of a comparison, where the scenario says nothing (METHODOLOGY.md, phases): so long,
const WARM_UP: Duration = Duration::from_secs(5);
/// and until so many updates are received, over all clients,
const WARM_UPDATES: f64 = 1_000.0;
/// but no longer than this.
const LONGEST_WARM_UP: Duration = Duration::from_secs(60);

/// Two servers to be compared.
pub struct Pairs {
    /// The scenario's plan: `trials` is the number of pairs.
    pub plan: Plan,
    /// Base and candidate.
    pub servers: [Server; 2],
    /// Seed of the order of trials and of which side is first.
    pub seed: u64,
    /// Whether only what is counted will be compared.
    pub counted_only: bool,
    /// The command line.
    pub command: String,
    /// Worth knowing, for the manifest.
    pub notes: Vec<String>,
}

/// Gives every variant the warm-up of a comparison.
pub fn warm(plan: &mut Plan) {
    for variant in &mut plan.variants {
        variant.load.warmup = warm_up(variant);
    }
}

/// 5 s, or the time in which 1,000 updates are received if that is longer; of a stranger's feed nobody knows.
fn warm_up(variant: &VariantPlan) -> Duration {
    if variant.peer.is_some() {
        return WARM_UP;
    }
    let feed = &variant.feed;
    let share = f64::from(variant.load.symbols_per_client.min(feed.symbols)) / f64::from(feed.symbols.max(1));
    let rate = feed.updates_per_second * f64::from(variant.load.clients) * share;
    let until = Duration::try_from_secs_f64(WARM_UPDATES / rate).unwrap_or(LONGEST_WARM_UP);
    until.clamp(WARM_UP, LONGEST_WARM_UP)
}

/// What to say of a scenario whose own warm-up is shorter.
pub fn warm_up_note(plan: &Plan) -> Option<String> {
    let shortest = plan.variants.iter().map(|variant| variant.load.warmup).min()?;
    (shortest < WARM_UP).then(|| {
        format!(
            "the scenario warms up for {}, comparisons do for {} unless it says so",
            humantime::format_duration(shortest),
            humantime::format_duration(WARM_UP)
        )
    })
}

impl Pairs {
    /// Runs all pairs into `folder/base` and `folder/candidate`; trial i of a variant in the one and in the other are its
    /// pair i. A run that is stopped leaves two partial results.
    pub async fn run(
        &self,
        base: &Path,
        folder: &Path,
        stop: &CancellationToken,
        listener: &mut dyn Listener,
    ) -> Result<[RunResult; 2], FolderError> {
        let turns = turns::pairs(self.plan.together().len(), self.plan.trials, self.seed);
        let mut folders = [Folder::within(folder, NAMES[0])?, Folder::within(folder, NAMES[1])?];
        let id = self.id();
        let conditions = machine::manifest(&self.plan);
        let [first, second] = &mut folders;
        let side = |place: usize, folder| Side {
            name: NAMES[place],
            plan: &self.servers[place].plan,
            program: &self.servers[place].program,
            manifest: self.manifest(&conditions, place, &id),
            folder,
        };
        let sides = [side(0, first), side(1, second)];
        let shared = Shared { base, folder, command: &self.command, stop };
        runner::run_sides(sides, &turns, &shared, listener).await
    }

    /// Common to both results, and to no others.
    fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(clock::unix_ns().to_le_bytes());
        hash.update(std::process::id().to_le_bytes());
        hash.update(&self.plan.text);
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The scenario's conditions, which both sides share; what differs is in `recorded` and refuses nothing.
    fn manifest(&self, conditions: &Manifest, place: usize, id: &str) -> Manifest {
        let mut manifest = conditions.clone();
        let order: Vec<[&str; 2]> = turns::first_sides(self.plan.trials, self.seed)
            .into_iter()
            .map(|first| [NAMES[first], NAMES[1 - first]])
            .collect();
        let pairing = json!({
            "id": id,
            "side": NAMES[place],
            "pairs": self.plan.trials,
            "order": order,
            "seed": self.seed,
            "counted_only": self.counted_only,
        });
        let facts = &self.servers[place].facts;
        let recorded = &mut manifest.recorded;
        recorded.insert("pairing".to_owned(), pairing);
        recorded.insert("target".to_owned(), facts.clone());
        recorded.insert("server".to_owned(), facts["command"].clone());
        recorded.insert("notes".to_owned(), json!(self.notes));
        manifest
    }
}

/// The command of a side, as its result tells it.
pub fn target(result: &RunResult) -> &str {
    result.manifest.recorded.get("target").and_then(|target| target["command"].as_str()).unwrap_or_default()
}

/// What says that a result is one side of a comparison; `None` of a plain run.
pub fn pairing(result: &RunResult) -> Option<&Value> {
    result.manifest.recorded.get("pairing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load_for_pairs};

    fn warmed(set: &[&str]) -> (Duration, bool) {
        let set = set.iter().map(|&set| set.to_owned()).collect();
        let (mut plan, given) =
            load_for_pairs("poll-interval", &Overrides { set, ..Overrides::default() }).unwrap();
        warm(&mut plan);
        (plan.variants[0].load.warmup, given)
    }

    #[test]
    fn a_comparison_warms_up_for_five_seconds_and_a_thousand_updates() {
        let secs = Duration::from_secs;
        let set = |clients: &'static str, rate: &'static str| [clients, rate];
        assert_eq!(warmed(&set("load.clients=100", "feed.updates_per_second=10")).0, secs(5));
        assert_eq!(warmed(&set("load.clients=5", "feed.updates_per_second=10")).0, secs(20));
        assert_eq!(warmed(&set("load.clients=1", "feed.updates_per_second=1")).0, secs(60));
        assert!(warmed(&["load.warmup=1s"]).1);
    }
}
