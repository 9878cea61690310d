//! One short trial from a scenario that the test writes: its plan and its figures. It judges nothing.

use std::{sync::Arc, time::Duration};

use loadgen::{
    events::{Event, Listener},
    plan::VariantPlan,
    process::{self, Cores},
    scenario::{self, Overrides},
    target::Program,
    trial::{self, Setting},
};
use measurement::result::Trial;
use ticker::Anchor;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(20);

/// What every trial of the tests has unless it says otherwise.
const BASE: [&str; 6] = [
    "load.clients=12",
    "load.connect_over=50ms",
    "load.warmup=300ms",
    "load.measure=1200ms",
    "feed.updates_per_second=100",
    "defaults.interval=100ms",
];

struct Silent;

impl Listener for Silent {
    fn event(&mut self, _event: &Event<'_>) {}
}

/// The cores that a run would take.
pub(crate) fn cores() -> Cores {
    Cores::split(&process::allowed_cores())
}

/// Plans the one variant of a scenario's text and runs it once.
pub(crate) async fn run(cores: Cores, text: &str, set: &[&str]) -> (Arc<VariantPlan>, Trial) {
    let overrides = Overrides {
        set: BASE.iter().chain(set).map(|&set| set.to_owned()).collect(),
        only: Vec::new(),
        quick: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.toml");
    std::fs::write(&path, text).unwrap();
    let plan = scenario::load(path.to_str().unwrap(), &overrides).expect("the scenario is valid");
    assert_eq!(plan.variants.len(), 1, "{text}");
    let variant = Arc::new(plan.variants[0].clone());
    let mut setting = Setting {
        program: &Program::loadgen(env!("CARGO_BIN_EXE_loadgen")),
        seed: 1,
        cores,
        anchor: Anchor::now(),
        stop: CancellationToken::new(),
        folder: None,
        listener: &mut Silent,
    };
    let trial = tokio::time::timeout(LIMIT, trial::run(std::slice::from_ref(&variant), &mut setting)).await;
    let mut trials = trial.expect("the trial is bounded");
    (variant, trials.pop().expect("a trial of the one variant"))
}
