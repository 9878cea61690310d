//! What scenarios that are in order become: plans, names of sweeps, and those that the repository ships.

use loadgen::scenario::{self, Overrides};

use super::scenarios::{PUSH, plan};

#[test]
fn clients_that_seldom_speak_have_begun_before_the_window() {
    let warmup = |rate: &str| {
        let set = format!("feed.updates_per_second={rate}");
        let text =
            "[workload]\nkind = \"uplink\"\n[load]\nwarmup = \"1s\"\n[[transport]]\nkind = \"websocket\"\n";
        plan(text, &["--set", &set]).variants[0].load.warmup.as_millis()
    };
    assert_eq!((warmup("20"), warmup("2"), warmup("0.1")), (1_000, 1_000, 20_000));
}

#[test]
fn every_scenario_of_the_documentation_can_be_run() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, "").unwrap();
    let mut found = 0;
    for name in ["README.md", "docs/servers-of-others.md", "docs/starters/README.md"] {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap().replace("\"ca.pem\"", &format!("{authority:?}"));
            assert!(!plan(&block, &[]).variants.is_empty(), "{name}: {block}");
            found += 1;
        }
    }
    assert!(found >= 7, "{found} examples");
}

#[test]
fn another_machine_is_asked_for_little() {
    let text =
        "allow_remote = true\n[[transport]]\nkind = \"websocket\"\nurl = \"wss://stream.example.com/feed\"\n";
    let spare = plan(text, &[]);
    assert_eq!((spare.trials, spare.variants[0].load.clients), (1, 1));
    assert_eq!(spare.variants[0].load.connect_over, std::time::Duration::from_secs(10));
    assert_eq!(spare.variants[0].name, "websocket at stream.example.com");
    assert!(spare.variants[0].is_remote());
    let more = plan(text, &["--set", "load.clients=5", "--set", "load.trials=2"]);
    assert_eq!((more.trials, more.variants[0].load.clients), (2, 5));
    let here = plan(&text.replace("stream.example.com", "127.0.0.1"), &[]);
    assert_eq!((here.trials, here.variants[0].load.clients, here.variants[0].is_remote()), (3, 200, false));
}

#[test]
fn the_command_line_changes_a_servers_tables() {
    let text = format!(
        "{PUSH}url = \"ws://127.0.0.1:9/\"\n[transport.message]\nsequence = \"/a\"\nsent_at = \"/t\"\n"
    );
    let changed = plan(&text, &["--set", "transport.websocket.message.sequence=/b"]);
    let message = &changed.variants[0].peer.as_ref().unwrap().message;
    assert_eq!((message.sequence.as_deref(), message.sent_at.as_deref()), (Some("/b"), Some("/t")));
    // Compression is not offered to servers of others: these clients do not inflate.
    assert!(
        changed.variants[0].headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding"))
    );
}

#[test]
fn names_and_points_of_sweeps() {
    let check = |text: &str, expected: &[&str]| {
        let names: Vec<String> = plan(text, &[]).variants.into_iter().map(|variant| variant.name).collect();
        assert_eq!(names, expected);
    };
    check(
        "[[transport]]\nkind = \"polling\"\ninterval = [\"1s\", \"250ms\"]",
        &["polling 1s", "polling 250ms"],
    );
    check(
        "[[transport]]\nkind = \"polling\"\nname = \"mine\"\ninterval = [\"1s\", \"250ms\"]",
        &["mine · interval 1s", "mine · interval 250ms"],
    );
    check(
        "[load]\nclients = [10, 100]\n[[transport]]\nkind = \"sse\"",
        &["sse · clients 10", "sse · clients 100"],
    );
    check(
        "[defaults]\ninterval = [\"1s\", \"2s\"]\nconditional = true\n[[transport]]\nkind = \"polling\"\n[[transport]]\nkind = \"sse\"",
        &["polling 1s 304", "polling 2s 304", "sse"],
    );
    check(
        "feed.updates_per_second = [1, 2.5]\nload.measure = [\"1s\"]\n[[transport]]\nkind = \"sse\"",
        &["sse · updates per second 1.0 · measure 1s", "sse · updates per second 2.5 · measure 1s"],
    );
    let swept =
        plan("[load]\nclients = [10, 100]\n[[transport]]\nkind = \"polling\"\ninterval = [\"2s\"]", &[]);
    let point = serde_json::to_value(&swept.variants[1].point).unwrap();
    assert_eq!(point, serde_json::json!({"load.clients": 100, "transport.interval": "2s"}));
    assert_eq!(serde_json::to_value(&swept.variants[1].set).unwrap(), serde_json::json!({"interval": "2s"}));
}

#[test]
fn the_command_line_changes_the_plan() {
    let text = "[[transport]]\nkind = \"polling\"\n[[transport]]\nkind = \"sse\"\nname = \"events\"\n";
    let arguments =
        ["--set", "load.clients=50", "--set", "load.measure=4s", "--set", "transport.polling.interval=2s"];
    let changed = plan(text, &arguments);
    assert_eq!(changed.variants[0].load.clients, 50);
    assert_eq!(changed.variants[0].name, "polling 2s");
    assert!(changed.text.ends_with("# --set transport.polling.interval = \"2s\"\n"), "{}", changed.text);
    let later_wins = plan(text, &["--set", "load.clients=50", "--set", "load.clients=60"]);
    assert_eq!(later_wins.variants[1].load.clients, 60);
    let only = |name| plan(text, &["--only", name]).variants.into_iter().map(|v| v.name).collect::<Vec<_>>();
    assert_eq!(only("events"), ["events"]);
    assert_eq!(only("sse"), ["events"]);
    assert_eq!(only("polling 1s"), ["polling 1s"]);
    let quick = plan(text, &["--quick"]);
    assert_eq!((quick.trials, quick.quick), (1, true));
    assert_eq!(quick.variants[0].load.measure, std::time::Duration::from_secs(5));
}

#[test]
fn secrets_reach_the_headers_and_nothing_else() {
    let text = format!("[load.headers]\nauthorization = \"Bearer ${{TOKEN}}\"\nx-b = \"1\"\n{PUSH}");
    let plan = plan(&text, &[]);
    let expected = [("authorization", "Bearer very-secret"), ("x-b", "1")];
    assert_eq!(plan.variants[0].headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(plan.variants[0].header_profile, "own");
    assert!(plan.text.contains("Bearer ${TOKEN}"));
    assert!(!plan.text.contains("very-secret"));
    assert!(!serde_json::to_string(&plan).unwrap().contains("very-secret"));
}

#[test]
fn the_supported_value_of_every_reserved_key_passes() {
    let text = "allow_remote = false\n[workload]\nkind = \"ticker\"\n[load]\nsymbols_per_client = 8\nprocesses = \"auto\"\n\
                driver = \"native\"\nheaders = \"minimal\"\n[defaults]\ntls = false\nhttp = \"1.1\"\nengine = \"library\"\n\
                [[transport]]\nkind = \"sse\"\ntls = false\nhttp = \"1.1\"\n";
    let plan = plan(text, &["--set", "load.processes=1"]);
    assert!(plan.variants[0].headers.is_empty());
    assert_eq!(plan.variants[0].engine, ticker::Engine::Library);
    assert_eq!((plan.title.as_str(), plan.trials, plan.seed), ("mine", 3, 1));
}

/// Scenarios that start scripts of the repository: an installed binary alone could not run them.
const OF_THE_CHECKOUT: [&str; 3] = ["proxies", "echo-others", "chat-others"];

#[test]
fn every_scenario_of_the_repository_loads_and_is_shipped() {
    let mut names = Vec::new();
    for folder in [""].into_iter().chain(scenario::FOLDERS) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "toml") {
                continue;
            }
            let by_path = scenario::load(path.to_str().unwrap(), &Overrides::default()).unwrap();
            assert!(
                by_path.why.is_some() && by_path.notice.is_some(),
                "{} says neither why nor what to notice",
                by_path.name
            );
            names.push(by_path.name.clone());
            if OF_THE_CHECKOUT.contains(&by_path.name.as_str()) {
                continue;
            }
            let shipped = scenario::load(&by_path.name, &Overrides::default()).unwrap();
            assert_eq!(by_path.text, shipped.text, "{} is shipped as another text", by_path.name);
        }
    }
    let shipped = scenario::SHIPPED.len() + scenario::SHIPPED_BELOW.len();
    assert_eq!(names.len(), shipped + OF_THE_CHECKOUT.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), shipped + OF_THE_CHECKOUT.len(), "bare names are unique");
}

#[test]
fn shipped_scenarios_take_as_long_as_they_promise() {
    let check = |name, most_seconds| {
        let plan = scenario::load(name, &Overrides::default()).unwrap();
        let total = scenario::Estimate::of(&plan).total.as_secs();
        assert!(total < most_seconds, "{name} takes {total} s");
    };
    check("ticker", 180);
    check("smoke", 45);
    check("family", 300);
    check("headers", 300);
    check("encodings", 300);
    check("browsers", 300);
    check("poll-interval", 300);
}

#[test]
fn engines_are_named_where_they_are_not_the_default() {
    let names = |text: &str| -> Vec<String> {
        let plan = plan(text, &[]);
        plan.variants
            .into_iter()
            .map(|variant| format!("{} ({})", variant.name, variant.engine.name()))
            .collect()
    };
    let sweep = "[defaults]\nengine = [\"library\", \"direct\"]\n[[transport]]\nkind = \"sse\"\n[[transport]]\nkind = \"socketio\"\n";
    assert_eq!(names(sweep), ["sse library (library)", "sse (direct)", "socketio (library)"]);
    let held = "[defaults]\nengine = \"direct\"\ncoalesce = \"2ms\"\n[[transport]]\nkind = \"websocket\"\n[[transport]]\nkind = \"sse\"\ntls = true\n";
    assert_eq!(names(held), ["websocket coalesced 2ms (direct)", "sse tls (library)"]);
}
