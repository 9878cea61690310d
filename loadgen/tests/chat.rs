//! Rooms over every transport that has them: what each member says all of its room hear once, and every byte has its layer.

use loadgen::{
    plan::Workload,
    scenario::{self, Overrides},
};
use measurement::result::{Status, Trial, Verdict};
use ticker::Engine;

use crate::trials;

/// Three rooms of so many.
const MEMBERS: u64 = 4;
const CLIENTS: u64 = 12;
const RATE: u64 = 40;
const QUOTE: u64 = 120;

/// A sound trial with a window of so many seconds, in which about as much is said as planned: where a stall of the machine holds
/// back what belongs on one side of an edge of the window, another trial tells.
async fn hold(keys: &str, seconds: u64) -> Trial {
    let planned = seconds * RATE * CLIENTS / MEMBERS;
    let mut found = Vec::new();
    for _ in 0..8 {
        let trial = hold_once(keys, seconds, planned).await;
        let said = trial.bytes.sent.payload / QUOTE;
        if said.abs_diff(planned) <= CLIENTS {
            return trial;
        }
        found.push(said);
    }
    panic!("{keys}: planned {planned}, said {found:?}");
}

async fn hold_once(keys: &str, seconds: u64, planned: u64) -> Trial {
    let text = format!("[workload]\nkind = \"chat\"\n[[transport]]\n{keys}\n");
    let measure = format!("load.measure={seconds}s");
    let set = [
        measure.as_str(),
        "feed.symbols=4",
        "feed.updates_per_second=40",
        "feed.arrivals=constant",
        "feed.quote_bytes=120",
    ];
    let (plan, trial) = trials::run(trials::cores(), &text, &set).await;
    assert_eq!((plan.workload, plan.engine), (Workload::Chat, Engine::Library));
    let (updates, bytes) = (trial.updates, &trial.bytes);
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{keys}");
    assert_eq!((trial.clients.connected, trial.clients.disconnected), (CLIENTS, 0), "{keys}");
    let expected = seconds * RATE;
    assert_eq!(updates.generated, Some(expected), "{keys}");
    assert_eq!(
        (updates.expected, updates.delivered_once),
        (Some(expected * CLIENTS), expected * CLIENTS),
        "{keys}"
    );
    let others = [updates.lost, updates.duplicated, updates.pending_at_end, updates.coalesced];
    assert_eq!(others, [Some(0); 4], "{keys}: {updates:?}");
    assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{keys}: {bytes:?}");
    // What is said in the window, and what is heard in it of what was: whole messages.
    assert_eq!(bytes.received.payload, updates.received_in_window * QUOTE, "{keys}");
    assert!(bytes.sent.payload.is_multiple_of(QUOTE), "{keys}: {:?}", bytes.sent);
    let life = (bytes.whole_life.received.sum(), bytes.whole_life.sent.sum());
    assert_eq!(life, (bytes.kernel.received, bytes.kernel.sent), "{keys}");
    // A room keeps what was said, and nothing of the buffers that it came in.
    let memory = trial.server_memory.unwrap();
    assert!(memory.heap_to < memory.heap_from + planned * 1_000 + 300_000, "{keys}: {memory:?}");
    let classes = trial.validity.classes;
    assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{keys}: {:?}", trial.validity);
    trial
}

#[tokio::test]
async fn frames() {
    let trial = hold("kind = \"websocket\"", 3).await;
    assert_eq!(trial.requests.map(|requests| requests.sent), None);
    assert_eq!(trial.closing.unwrap().codes.values().sum::<u64>(), CLIENTS);
}

#[tokio::test]
async fn events_and_posts() {
    let trial = hold("kind = \"sse\"", 3).await;
    let requests = trial.requests.unwrap();
    assert_eq!((requests.sent, requests.empty), (3 * RATE * CLIENTS / MEMBERS, 0));
}

#[tokio::test]
async fn polls_and_posts() {
    let trial = hold("kind = \"polling\"\ninterval = \"500ms\"", 3).await;
    let requests = trial.requests.unwrap();
    // Every member says a quarter of what is said, and asks twice a second.
    assert_eq!(requests.sent, 3 * RATE * CLIENTS / MEMBERS + 6 * CLIENTS);
}

#[tokio::test]
async fn sessions() {
    hold("kind = \"socketio\"", 3).await;
}

#[tokio::test]
async fn sessions_over_polls() {
    hold("kind = \"socketio\"\ncarrier = \"polling\"", 1).await;
}

#[tokio::test]
async fn streams_of_one_connection() {
    hold("kind = \"websocket\"\nhttp = \"2\"", 1).await;
}

#[test]
fn a_room_that_is_not_full_is_refused_and_so_is_what_members_do_not_do() {
    let check = |keys: &str, clients: u32, expected: &str| {
        let text = format!(
            "[workload]\nkind = \"chat\"\n[feed]\nsymbols = 8\n[load]\nclients = {clients}\n[[transport]]\n{keys}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.toml");
        std::fs::write(&path, text).unwrap();
        let loaded = scenario::load(path.to_str().unwrap(), &Overrides::default());
        let found = loaded.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
        assert!(found.contains(expected), "{found}");
    };
    check("kind = \"websocket\"", 16, "");
    check("kind = \"websocket\"", 20, "`load.clients` is 20, expected 16 or 24, a multiple of feed.symbols");
    check("kind = \"websocket\"", 5, "`load.clients` is 5, expected 8, a multiple");
    check("kind = \"ndjson\"", 16, "`workload.kind = \"chat\"`");
    check("kind = \"websocket\"\nengine = \"direct\"", 16, "`engine = \"direct\"`");
    check("kind = \"websocket\"\nencoding = \"binary\"", 16, "`encoding`");
    check("kind = \"polling\"\nmode = \"latest\"", 16, "`mode`");
}
