//! A mix: transports at the same time against one server, each with its share of the clients. Whatever was sent to one of them is
//! in its own row, and all rows together are what the server counted.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{collections::BTreeMap, time::Duration};

use loadgen::{
    events::{Event, Listener},
    folder::Folder,
    plan::Plan,
    runner::{self, Orders},
    scenario::{self, Estimate, Needs, Overrides, estimate::Limits},
    target::Program,
};
use measurement::result::{Manifest, RunResult, Status, Trial, Verdict};
use tokio_util::sync::CancellationToken;

use crate::trials;

const LIMIT: Duration = Duration::from_secs(20);
const MIXED: &str = "[workload]\nkind = \"mixed\"\n";
const LOAD: &str = "[load]\nclients = 12\nconnect_over = \"50ms\"\nwarmup = \"200ms\"\nmeasure = \"800ms\"\ntrials = 1\n\
                    [feed]\nupdates_per_second = 100.0\n";
const TRANSPORTS: [&str; 3] = [
    "[[transport]]\nkind = \"polling\"\ninterval = \"100ms\"\nshare = \"50%\"\n",
    "[[transport]]\nkind = \"sse\"\n",
    "[[transport]]\nkind = \"websocket\"\nshare = 0.25\n",
];

fn plan(text: &str) -> Result<Plan, String> {
    scenario::load_text("mine", text, &|_| None).map_err(|error| error.to_string())
}

/// What a person sees while it runs.
#[derive(Default)]
struct Seen {
    trials: u32,
    names: Vec<String>,
    most_connected: u64,
    ended: u32,
}

impl Listener for Seen {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { trials, .. } => self.trials = *trials,
            Event::Trial { variants, .. } => self.names.push(loadgen::events::name(variants)),
            Event::Progress { connected, .. } => self.most_connected = self.most_connected.max(*connected),
            Event::Ended { .. } => self.ended += 1,
            Event::Stopping => {}
        }
    }
}

async fn run(plan: &Plan) -> (RunResult, Seen) {
    let base = tempfile::tempdir().unwrap();
    let mut folder = Folder::create(base.path(), "mixed", "now").unwrap();
    let mut seen = Seen::default();
    let orders = Orders {
        program: &Program::loadgen(env!("CARGO_BIN_EXE_loadgen")),
        base: base.path(),
        command: "loadgen run mixed".to_owned(),
        manifest: Manifest::default(),
        stop: CancellationToken::new(),
    };
    let running = runner::run(plan, orders, &mut folder, &mut seen);
    let result = tokio::time::timeout(LIMIT, running).await.expect("the run is bounded").unwrap();
    (result, seen)
}

/// What a row tells that does not depend on the machine: clients, quotes that were expected and came.
fn facts(trial: &Trial) -> (u64, u64, Option<u64>, u64) {
    let (clients, updates) = (&trial.clients, &trial.updates);
    (clients.asked, clients.connected, updates.expected, updates.delivered_once)
}

fn conform(name: &str, trial: &Trial) {
    let updates = &trial.updates;
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{name}");
    assert_eq!(updates.expected, Some(updates.generated.unwrap() * trial.clients.asked), "{name}");
    assert_eq!(Some(updates.delivered_once), updates.expected, "{name}: {updates:?}");
    let none = [updates.lost, updates.duplicated, updates.reordered, updates.pending_at_end];
    assert_eq!(none, [Some(0); 4], "{name}");
    let life = &trial.bytes.whole_life;
    let kernel = trial.bytes.kernel;
    assert_eq!((life.received.sum(), life.sent.sum()), (kernel.received, kernel.sent), "{name}");
    assert!(trial.bytes.balanced, "{name}: {:?}", trial.bytes);
    // The server's bytes against those of all rows are among them.
    let classes = trial.validity.classes;
    assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{name}: {:?}", trial.validity);
    let is_shared = trial.validity.findings.iter().any(|finding| finding.code == "server.shared");
    assert!(is_shared, "{name}");
    let shared = trial.shared_server.unwrap();
    assert_eq!((shared.variants, shared.clients), (3, 12), "{name}");
    let cpu_us = trial.server.cpu_seconds.unwrap() * 1e6 / shared.received_in_window as f64;
    assert!((trial.server.cpu_us_per_update.unwrap() - cpu_us).abs() < 1e-6, "{name}");
}

#[tokio::test]
async fn all_transports_run_at_the_same_time_and_nothing_is_lost_between_them() {
    let mut found = Vec::new();
    for transports in [TRANSPORTS.concat(), TRANSPORTS.iter().rev().copied().collect()] {
        let plan = plan(&format!("{MIXED}{LOAD}{transports}")).unwrap();
        let (result, seen) = run(&plan).await;
        assert_eq!((result.status, &result.partial_reason), (Status::Complete, &None));
        assert_eq!((seen.trials, seen.ended, seen.most_connected), (3, 3, 12));
        let names: Vec<&str> = result.variants.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(seen.names, [names.join(" + ")]);
        assert_eq!(result.manifest.recorded["order"], serde_json::json!(names));
        let mut rows = BTreeMap::new();
        for (place, variant) in result.variants.iter().enumerate() {
            let [trial] = variant.trials.as_slice() else { panic!("{} trials", variant.trials.len()) };
            assert_eq!((trial.index, trial.order), (0, place as u64));
            conform(&variant.name, trial);
            rows.insert(variant.kind.clone(), facts(trial));
        }
        let trials: Vec<&Trial> = result.variants.iter().flat_map(|variant| &variant.trials).collect();
        // One server: the same cost in every row.
        assert!(
            trials.iter().all(|trial| trial.server == trials[0].server && trial.server.cpu_seconds.is_some())
        );
        let received: u64 = trials.iter().map(|trial| trial.updates.received_in_window).sum();
        assert!(trials.iter().all(|trial| trial.shared_server.unwrap().received_in_window == received));
        assert!(trials.iter().all(|trial| trial.started_at == trials[0].started_at));
        found.push(rows);
    }
    let clients: Vec<_> = found[0].iter().map(|(kind, facts)| (kind.as_str(), facts.0)).collect();
    assert_eq!(clients, [("polling", 6), ("sse", 3), ("websocket", 3)]);
    assert_eq!(found[0], found[1]);
}

#[tokio::test]
async fn a_mix_of_one_is_an_ordinary_trial() {
    let text = format!("{MIXED}[[transport]]\nkind = \"sse\"\n");
    let (plan, trial) = trials::run(trials::cores(), &text, &["load.measure=500ms"]).await;
    assert_eq!((plan.load.clients, plan.mix.unwrap().clients), (12, 12));
    assert_eq!((trial.status, trial.clients.connected, trial.shared_server), (Status::Complete, 12, None));
    assert_eq!(Some(trial.updates.delivered_once), trial.updates.expected);
}

#[test]
fn a_block_of_a_mix_counts_once_and_its_clients_add_up() {
    let mixed = plan(&format!("{MIXED}{LOAD}{}", TRANSPORTS.concat())).unwrap();
    let alone = plan(&format!("{LOAD}{}", TRANSPORTS.concat().replace("share", "# share"))).unwrap();
    assert_eq!((mixed.together().len(), alone.together().len()), (1, 3));
    let (mixed_takes, alone_takes) = (Estimate::of(&mixed), Estimate::of(&alone));
    assert!(mixed_takes.total * 2 < alone_takes.total, "{mixed_takes:?} {alone_takes:?}");
    // They end together: the polls' drain is everybody's.
    assert!(mixed_takes.trials.iter().all(|trial| *trial == alone_takes.trials[0]));
    let limits = Limits { files: Some(20_000), ports: Some(28_232), ..Limits::default() };
    let needs = Needs::of(&mixed, &limits);
    assert_eq!((needs.clients, needs.files, needs.ports), (12, 76, 12));
    let many = plan(&format!("{MIXED}[load]\nclients = 30000\n{}", TRANSPORTS.concat())).unwrap();
    assert!(Needs::of(&many, &limits).check(&limits).is_err());
}

#[test]
fn shipped_shares_are_clients() {
    let set =
        |clients: &str| Overrides { set: vec![format!("load.clients={clients}")], ..Overrides::default() };
    let clients = |overrides: &Overrides| -> Vec<u32> {
        let plan = scenario::load("mixed", overrides).unwrap();
        plan.variants.iter().map(|variant| variant.load.clients).collect()
    };
    assert_eq!(clients(&Overrides::default()), [120, 40, 40]);
    assert_eq!(clients(&set("7")), [4, 2, 1]);
    let alone = Overrides { only: vec!["sse".to_owned()], ..Overrides::default() };
    assert_eq!(clients(&alone), [40]);
}

#[test]
fn what_cannot_share_a_server_is_refused_with_both_names() {
    let sse = "[[transport]]\nkind = \"sse\"\n";
    let socket = "[[transport]]\nkind = \"websocket\"\n";
    let poll = "[[transport]]\nkind = \"polling\"\n";
    let check = |text: String, expected: &str| {
        let error = plan(&text).err().unwrap_or_else(|| panic!("no error: {text}"));
        assert!(error.contains(expected), "{text}: {error}");
    };
    let mixed = |text: String, expected: &str| check(format!("{MIXED}{text}"), expected);
    mixed(
        format!("{sse}share = 0.7\n{socket}share = \"40%\"\n"),
        "`transport.share` is 110% in all, expected at most 100% in all",
    );
    mixed(format!("{sse}share = 0.7\n{socket}share = 0.1\n"), "is 80% in all, expected 100% in all");
    mixed(format!("{sse}share = 1\n{socket}"), "is 100% in all, expected less than 100% in all");
    mixed(format!("{sse}share = 0\n{socket}"), "`transport.share` is 0, expected more than 0%");
    mixed(format!("{sse}share = \"half\"\n{socket}"), "expected a share such as");
    mixed(format!("[load]\nclients = 1\n{sse}{socket}"), "expected at least 2, one for each transport");
    check(format!("{sse}share = 0.5\n{socket}"), "workload ticker cannot be had with `transport.share`");
    mixed(
        format!("{sse}{socket}url = \"ws://127.0.0.1:9/\"\n"),
        "websocket cannot be had with `url` and `workload.kind = \"mixed\"`",
    );
    mixed(
        format!("[load]\nclients = [10, 20]\n{sse}{socket}"),
        "cannot be had with a list of `load.clients`",
    );
    mixed(format!("{poll}interval = [\"1s\", \"2s\"]\n{sse}"), "a list of `transport.interval`");
    mixed(format!("[load]\nprocesses = 2\n{sse}{socket}"), "`load.processes`");
    mixed(format!("{poll}client = \"pooled\"\nengine = \"library\"\n{sse}"), "`client = \"pooled\"`");
    mixed(
        format!("{sse}engine = \"library\"\n{socket}tls = true\n"),
        "a mix cannot be had with `tls = false` of sse library and `tls = true` of websocket tls",
    );
    mixed(
        format!("{sse}engine = \"library\"\n{socket}engine = \"direct\"\n"),
        "`engine = \"library\"` of sse library and",
    );
    mixed(
        format!(
            "{poll}compression = \"gzip\"\n[[transport]]\nkind = \"long-polling\"\nengine = \"library\"\n"
        ),
        "and `compression = \"none\"` of long-polling",
    );
}
