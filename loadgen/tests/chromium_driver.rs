//! `driver = "chromium"`: the clients of a trial are tabs of a real browser. What they hear is the whole feed, and their bytes
//! are in the ledger as those of native clients are. A machine without Chromium fails these tests.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{process::Stdio, sync::Arc, time::Duration};

use loadgen::{
    browser,
    events::{Event, Listener},
    plan::{Driver, Plan, VariantPlan},
    process::{self, Cores},
    scenario::{self, Overrides},
    target::Program,
    trial::{self, Setting},
};
use measurement::result::{Status, Trial, Verdict};
use ticker::Anchor;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);
/// Bytes of a quote, as JSON and in the binary layout.
const QUOTE: u64 = 120;
const RECORD: u64 = 36;

struct Silent;

impl Listener for Silent {
    fn event(&mut self, _event: &Event<'_>) {}
}

fn plan(clients: u32, keys: &str, set: &[&str]) -> Plan {
    let text = format!(
        "[feed]\nsymbols = 8\nupdates_per_second = 40\n[load]\nclients = {clients}\nconnect_over = \"100ms\"\n\
         warmup = \"300ms\"\nmeasure = \"1500ms\"\n{keys}"
    );
    if set.is_empty() {
        return scenario::load_text("tabs", &text, &|_| None).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tabs.toml");
    std::fs::write(&path, text).unwrap();
    let set = set.iter().map(|&set| set.to_owned()).collect();
    scenario::load(path.to_str().unwrap(), &Overrides { set, ..Overrides::default() }).unwrap()
}

/// Several browsers on two cores would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn run(variant: &VariantPlan) -> Trial {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut setting = Setting {
        program: &Program::loadgen(env!("CARGO_BIN_EXE_loadgen")),
        seed: 1,
        cores: Cores::split(&process::allowed_cores()),
        anchor: Anchor::now(),
        stop: CancellationToken::new(),
        folder: None,
        listener: &mut Silent,
    };
    let variant = Arc::new(variant.clone());
    tokio::time::timeout(LIMIT, trial::run(&[variant], &mut setting))
        .await
        .expect("the trial is bounded")
        .pop()
        .unwrap()
}

/// Runs every variant, and holds it against what is true of all clients.
async fn hold(plan: &Plan) -> Vec<Trial> {
    let mut trials = Vec::new();
    for variant in &plan.variants {
        let trial = run(variant).await;
        conform(variant, &trial);
        trials.push(trial);
    }
    trials
}

fn conform(variant: &VariantPlan, trial: &Trial) {
    let (name, updates, bytes) = (&variant.name, trial.updates, &trial.bytes);
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{name}");
    let clients = &trial.clients;
    assert_eq!((clients.connected, clients.disconnected), (clients.asked, 0), "{name}: {:?}", trial.validity);
    assert!(updates.expected > Some(20 * clients.asked), "{name}: {updates:?}");
    assert_eq!(Some(updates.delivered_once), updates.expected, "{name}: {updates:?}");
    assert_eq!([updates.lost, updates.duplicated, updates.reordered], [Some(0); 3], "{name}: {updates:?}");
    assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{name}: {bytes:?}");
    let life = (bytes.whole_life.received.sum(), bytes.whole_life.sent.sum());
    assert_eq!(life, (bytes.kernel.received, bytes.kernel.sent), "{name}");
    let classes = trial.validity.classes;
    assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{name}: {:?}", trial.validity);
    let delay = trial.delivery_delay.as_ref().unwrap();
    assert!(delay.min_us > Some(0.0), "{name}: {delay:?}");
    if variant.driver == Driver::Chromium {
        let clock = trial.clock.as_ref().unwrap();
        assert_eq!(clock.kind, "page");
        assert!(clock.error_us < 1_000.0 && clock.samples >= 40 * clients.asked, "{name}: {clock:?}");
        // A browser is more than a process of ours.
        assert!(trial.loadgen.cpu_seconds > Some(0.0), "{name}: {:?}", trial.loadgen);
        assert!(trial.loadgen.rss_bytes > Some(150_000_000), "{name}: {:?}", trial.loadgen);
        assert!(trial.unavailable.contains_key("loadgen.socket_calls_per_update"), "{name}");
    }
}

/// Quotes that came within the window by their payload, which is whole ones.
fn quotes(trial: &Trial, each: u64) -> u64 {
    let payload = trial.bytes.received.payload;
    assert!(payload > 0 && payload.is_multiple_of(each), "{:?}", trial.bytes.received);
    payload / each
}

/// The same transport by clients of ours and by tabs.
fn both(transport: &str) -> String {
    let own = format!("[[transport]]\n{transport}\n");
    format!("{own}{own}driver = \"chromium\"\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_poll_on_the_timetable_with_a_browsers_header() {
    let plan = plan(3, &both("kind = \"polling\"\ninterval = \"500ms\""), &["load.headers=minimal"]);
    let [ours, tabs] = hold(&plan).await.try_into().unwrap();
    let (ours_asked, tabs_asked) = (ours.requests.unwrap(), tabs.requests.unwrap());
    // The same phases of the same period.
    assert_eq!(ours_asked.sent, tabs_asked.sent);
    let each = |trial: &Trial, requests: u64| trial.bytes.sent.headers / requests;
    assert!(each(&tabs, tabs_asked.sent) > each(&ours, ours_asked.sent) + 300);
    // The same answers, but for the digits of their lengths.
    let heads = (ours.bytes.received.headers, tabs.bytes.received.headers);
    assert!(heads.0.abs_diff(heads.1) <= 2 * tabs_asked.sent, "{heads:?}");
    assert!(tabs.action_lag.unwrap().count >= tabs_asked.sent);
    assert!(tabs.response_time.unwrap().min_us > Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tabs_than_a_browser_has_connections_hear_events() {
    // Six connections are the most to one host that a profile has (HTTP/1.1).
    let plan = plan(9, &tabs_of("kind = \"sse\""), &[]);
    let [tabs] = hold(&plan).await.try_into().unwrap();
    // `86`, CRLF, CRLF around each.
    assert_eq!(tabs.bytes.received.transport_framing, quotes(&tabs, QUOTE) * 6);
    assert_eq!((tabs.bytes.received.headers, tabs.bytes.sent.socket_total), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_hear_frames_as_clients_of_ours_do() {
    let plan = plan(3, &both("kind = \"websocket\""), &[]);
    let names: Vec<&str> = plan.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names, ["websocket", "websocket in chromium"]);
    let [ours, tabs] = hold(&plan).await.try_into().unwrap();
    for trial in [&ours, &tabs] {
        let (received, quotes) = (trial.bytes.received, quotes(trial, QUOTE));
        assert_eq!((received.transport_framing, received.socket_total), (quotes * 2, quotes * (QUOTE + 2)));
        assert_eq!(trial.bytes.sent.socket_total, 0);
    }
    let closing = tabs.closing.unwrap();
    assert_eq!((closing.codes["1000"], closing.handshake.unwrap().count), (3, 3));
}

/// Some symbols only, so that tabs say what they want.
const SOME: [&str; 2] = ["load.symbols_per_client=5", "feed.updates_per_second=60"];

fn tabs_of(transport: &str) -> String {
    format!("[[transport]]\n{transport}\ndriver = \"chromium\"\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_hold_polls_and_ask_whether_anything_is_new() {
    let held = tabs_of("kind = \"long-polling\"");
    let polled =
        tabs_of("kind = \"polling\"\ninterval = \"20ms\"\nconditional = true\ncompression = \"gzip\"");
    let [held, polled] = hold(&plan(2, &(held + &polled), &SOME)).await.try_into().unwrap();
    assert!(held.requests.unwrap().empty == 0 && held.rearm_gap.unwrap().min_us > Some(0.0));
    let asked = polled.requests.unwrap();
    assert!(asked.empty > 0 && asked.useful > 0, "{asked:?}");
    // A poll without news is answered by a head alone.
    assert!(polled.bytes.received.app_framing < 80 * asked.useful, "{:?}", polled.bytes.received);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_hear_records_and_compressed_ones() {
    let binary = "kind = \"websocket\"\nencoding = \"binary\"";
    let keys = tabs_of(binary) + &tabs_of(&format!("{binary}\ndeflate = \"takeover\""));
    let [binary, deflated] = hold(&plan(2, &keys, &SOME)).await.try_into().unwrap();
    // The number of the message's kind is framing.
    assert_eq!(binary.bytes.received.app_framing, quotes(&binary, RECORD));
    let canonical = deflated.updates.delivered_once * RECORD;
    assert!(deflated.bytes.received.payload < canonical, "{:?} of {canonical}", deflated.bytes.received);
}

/// Processes whose command line names the profile of a browser that process `pid` started.
fn browsers_of(pid: u32) -> usize {
    let mark = format!("tickertape-chromium-{pid}-");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&mark)).count()
}

/// Waits for something that takes a few seconds at most.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come");
}

#[test]
fn a_browser_does_not_outlive_a_load_generator_that_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let text = "[load]\nclients = 1\n[[transport]]\nkind = \"sse\"\ndriver = \"chromium\"\n";
    std::fs::write(place.path().join("one.toml"), text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place.path()).args(["run", "one.toml", "--quiet"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("a browser with its helpers", || browsers_of(child.id()) > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("its end", || browsers_of(child.id()) == 0);
    let folders = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let mark = format!("tickertape-chromium-{}-", child.id());
    assert!(folders.into_iter().all(|folder| !folder.file_name().to_string_lossy().starts_with(&mark)));
}

#[test]
fn without_a_browser_nothing_is_begun() {
    let place = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(place.path()).env("CHROMIUM", "/no/chromium").args(["run", "browsers", "--quiet"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("$CHROMIUM is /no/"), "{said}");
    assert!(!place.path().join("runs").exists());
}

#[test]
fn what_tabs_cannot_do_is_refused_and_why() {
    let check = |keys: &str, expected: &[&str]| {
        let error = scenario::load_text("tabs", keys, &|_| None).expect_err(keys);
        let help = miette::Diagnostic::help(&error).map(|help| help.to_string()).unwrap_or_default();
        let said = format!("{error}: {help}");
        for part in expected {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    };
    let of = |keys: &str| format!("[load]\nclients = 4\n[[transport]]\ndriver = \"chromium\"\n{keys}\n");
    let able = ["polling, long-polling, sse, websocket"];
    check(
        &of("kind = \"ndjson\""),
        &[&["ndjson cannot be had with `driver = \"chromium\"`"], &able[..]].concat(),
    );
    check(&of("kind = \"sse\"\ntls = true"), &["sse", "`tls = true`", "plain HTTP/1.1"]);
    check(&of("kind = \"websocket\"\nhttp = \"2\""), &["websocket", "`http`", "plain HTTP/1.1"]);
    check(&of("kind = \"sse\"\nurl = \"http://127.0.0.1:9/\""), &["`url`"]);
    check(&of("kind = \"polling\"\nkeep_alive = false"), &["`keep_alive = false`"]);
    check(&of("kind = \"polling\"\nclient = \"pooled\""), &["`client = \"pooled\"`"]);
    let many = "[load]\nclients = 65\ndriver = \"chromium\"\n[[transport]]\nkind = \"sse\"\n";
    check(many, &["load.clients", "65", "1 to 64", "browsers are heavy"]);
    let processes =
        "[load]\nclients = 5\nprocesses = 2\ndriver = \"chromium\"\n[[transport]]\nkind = \"sse\"\n";
    check(processes, &["`load.processes`"]);
    check(
        "[load]\ndriver = \"firefox\"\n[[transport]]\nkind = \"sse\"\n",
        &["unknown driver", "native, chromium"],
    );
}

#[test]
fn the_file_has_one_word_and_each_transport_its_own() {
    let text = "[load]\nclients = 2\ndriver = \"chromium\"\n[[transport]]\nkind = \"websocket\"\ndriver = \"native\"\n\
                [[transport]]\nkind = \"websocket\"\n";
    let plan = scenario::load_text("tabs", text, &|_| None).unwrap();
    let found: Vec<_> = plan
        .variants
        .iter()
        .map(|variant| (variant.name.as_str(), variant.driver, variant.header_profile.as_str()))
        .collect();
    let expected =
        [("websocket", Driver::Native, "browser"), ("websocket in chromium", Driver::Chromium, "chromium")];
    assert_eq!(found, expected);
    assert!(browser::program().is_ok(), "Debian's package chromium is installed");
}
