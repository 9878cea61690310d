//! What clients do besides listening, and the networks they do it over: each against what arithmetic says of it.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use measurement::result::{Severity, Status, Trial, Verdict};
use relay::packets;
use ticker::{FeedSettings, Schedule};

use crate::trials;

async fn run(text: &str, set: &[&str]) -> Trial {
    let (plan, trial) = trials::run(trials::cores(), text, set).await;
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{}", plan.name);
    let classes = trial.validity.classes;
    let sound = (classes.counts, classes.bytes) == (Verdict::Ok, Verdict::Ok);
    assert!(sound, "{}: {:#?}", plan.name, trial.validity);
    let updates = trial.updates;
    assert_eq!(
        (updates.lost, updates.pending_at_end),
        (Some(0), Some(0)),
        "{}: {updates:?}\n{:#?}",
        plan.name,
        trial.validity.findings
    );
    assert_eq!(updates.expected, Some(updates.delivered_once + updates.coalesced.unwrap()), "{updates:?}");
    trial
}

/// Everybody goes and comes back, and nobody misses anything.
#[tokio::test]
async fn a_storm_is_weathered_without_a_loss() {
    for (kind, jitter) in [("polling", "0s"), ("long-polling", "0s"), ("sse", "0s"), ("websocket", "300ms")] {
        let text = format!(
            "[workload]\nkind = \"storm\"\nat = \"300ms\"\njitter = \"{jitter}\"\n[[transport]]\nkind = \"{kind}\"\n"
        );
        let trial = run(&text, &[]).await;
        let clients = trial.clients;
        assert_eq!((clients.connected, clients.disconnected, clients.reconnected), (12, 0, 12), "{kind}");
        assert!(trial.updates.expected > Some(12 * 80), "{kind}: {:?}", trial.updates);
        assert_eq!(trial.reconnect.unwrap().count, 12, "{kind}");
        let fresh = trial.reconnect_to_fresh.unwrap();
        assert_eq!(fresh.count, 12, "{kind}");
        if jitter != "0s" {
            // Drawn over the jitter, the last of twelve comes back late.
            assert!(fresh.max_us > Some(150_000.0), "{fresh:?}");
        }
        // What the connections held is given back; what is left are quotes, and tables that have grown.
        let memory = trial.server_memory.unwrap();
        assert!(memory.heap_end < memory.heap_start + 150_000, "{kind}: {memory:?}");
    }
}

/// One reads slowly: the others have everything, and of what it was to get, all is told.
#[tokio::test]
async fn a_slow_reader_costs_nobody_else() {
    for kind in ["sse", "websocket"] {
        let text = format!(
            "[workload]\nkind = \"slow-reader\"\nread = \"20 kB/s\"\n[feed]\nquote_bytes = 4000\n[[transport]]\n\
             kind = \"{kind}\"\n"
        );
        let set = ["feed.updates_per_second=1500", "load.clients=4", "load.measure=3s"];
        let trial = run(&text, &set).await;
        let slow = trial.slow_readers.unwrap();
        assert_eq!((slow.clients, slow.disconnected), (1, 0), "{kind}: {slow:?}");
        assert_eq!(slow.expected, slow.received + slow.skipped + slow.pending, "{kind}: {slow:?}");
        assert!(slow.expected > 4_500 && slow.received > 0, "{kind}: {slow:?}");
        assert!(trial.updates.delivered_once > 3 * 4_000, "{kind}: {:?}", trial.updates);
    }
}

/// What clients say is taken: each report once, acknowledged in order.
#[tokio::test]
async fn reports_are_taken_one_by_one() {
    let cases = [
        ("kind = \"polling\"", 120),
        ("kind = \"polling\"\nhttp = \"2\"", 120),
        ("kind = \"websocket\"", 120),
        ("kind = \"websocket\"\nencoding = \"binary\"", 36),
        ("kind = \"websocket\"\ntls = true", 120),
    ];
    for (transport, quote) in cases {
        let text = format!("[workload]\nkind = \"uplink\"\n[[transport]]\n{transport}\n");
        let trial = run(&text, &["feed.updates_per_second=20"]).await;
        let (updates, sent, received) = (trial.updates, trial.bytes.sent, trial.bytes.received);
        assert!(
            updates.delivered_once > 12 * 15 && updates.duplicated == Some(0),
            "{transport}: {updates:?}"
        );
        assert_eq!(sent.payload % quote, 0, "{transport}: {sent:?}");
        let messages = sent.payload / quote;
        assert!(messages.abs_diff(updates.delivered_once) <= 24, "{transport}: {messages} {updates:?}");
        assert_eq!(received.payload, 0, "{transport}: an acknowledgement is no update");
        if transport == "kind = \"websocket\"" {
            // RFC 6455 section 5.2: 2 bytes, below 126 of payload, and a mask of 4.
            assert_eq!(sent.transport_framing, 6 * messages, "{sent:?}");
        }
    }
}

/// The library's clients publish as the direct engine's do.
#[tokio::test]
async fn what_is_said_comes_back_over_the_library_too() {
    for transport in [
        "engine = \"library\"",
        "engine = \"library\"\nencoding = \"binary\"",
        "deflate = \"takeover\"",
        "http = \"2\"\ntls = true",
    ] {
        let text = format!("[workload]\nkind = \"echo\"\n[[transport]]\nkind = \"websocket\"\n{transport}\n");
        let trial = run(&text, &["feed.updates_per_second=20", "load.measure=800ms"]).await;
        assert!(trial.updates.delivered_once > 12 * 10, "{transport}: {:?}", trial.updates);
        assert!(trial.bytes.sent.payload > 0 && trial.bytes.received.payload > 0, "{transport}");
    }
}

/// Nothing is said, and everything else is told.
#[tokio::test]
async fn silence_costs_memory_only() {
    for kind in ["polling", "sse", "websocket"] {
        let text = format!("[workload]\nkind = \"idle\"\n[[transport]]\nkind = \"{kind}\"\n");
        let (_, trial) =
            trials::run(trials::cores(), &text, &["load.clients=50", "load.measure=500ms"]).await;
        assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{kind}");
        assert_eq!((trial.clients.connected, trial.updates.expected), (50, Some(0)), "{kind}");
        assert!(trial.server.cpu_seconds.is_some() && trial.server.rss_per_client_bytes.is_some(), "{kind}");
        let worst = trial.validity.findings.iter().map(|finding| finding.severity).max();
        assert!(
            trial.validity.classes.counts == Verdict::Ok && worst <= Some(Severity::Invalid),
            "{kind}: {:#?}",
            trial.validity
        );
    }
}

/// The burst of the plan is the burst on the wire: as many quotes as the schedule has, in the seconds that it has them.
#[tokio::test]
async fn a_burst_is_as_planned() {
    let text = "[workload]\nkind = \"burst\"\nat = \"300ms\"\nlasts = \"500ms\"\nfactor = 20\n[[transport]]\nkind = \"sse\"\n";
    let (plan, trial) = trials::run(trials::cores(), text, &["feed.arrivals=constant"]).await;
    let window = plan.window_ns();
    let steady = FeedSettings { stages: Vec::new(), ..plan.feed.clone() };
    let due = |feed: &FeedSettings| {
        let offsets = Schedule::new(feed).unwrap().map(|due| due.offset_ns);
        offsets.take_while(|at| *at < window.end).filter(|at| window.contains(at)).count() as u64
    };
    // 0.7 s of 100 a second and 0.5 s of 2,000.
    assert!(due(&plan.feed).abs_diff(1_070) <= 2 && due(&steady).abs_diff(120) <= 1);
    assert_eq!(trial.updates.generated, Some(due(&plan.feed)));
    assert_eq!(trial.updates.delivered_once, 12 * due(&plan.feed), "{:?}", trial.updates);
}

/// A busy machine may make even the quickest of a trial too long.
const ATTEMPTS: usize = 4;

/// Where the quickest of each kind is not what a round trip of 80 ms makes it; never less, more by what a machine adds.
fn disagreements(trial: &Trial, way_us: f64) -> String {
    let least = |histogram: &Option<measurement::result::Histogram>| {
        histogram.as_ref().and_then(|histogram| histogram.min_us).unwrap()
    };
    let answer = if way_us > 0.0 {
        ("delay", least(&trial.delivery_delay), way_us)
    } else {
        ("response", least(&trial.response_time), 80_000.0)
    };
    let told = [("connect", least(&trial.connect), 160_000.0), answer];
    let mut wrong = String::new();
    for (what, found, expected) in told {
        assert!(found > expected * 0.999, "{what} is {found} us, sooner than light: {expected}");
        if found > expected + 12_000.0 {
            wrong += &format!("{what} is {found} us, expected {expected}; ");
        }
    }
    wrong
}

/// The oracle: an 80 ms round trip reads as 80 ms, one way is half of it, and a connection takes one to open.
#[tokio::test]
async fn a_round_trip_of_80_ms_reads_as_80_ms() {
    for level in ["connections", "packets"] {
        if level == "packets" && packets::available().is_err() {
            let text = "[link]\nlevel = \"packets\"\n[[transport]]\nkind = \"sse\"\n";
            let (_, trial) = trials::run(trials::cores(), text, &[]).await;
            let error = trial.error.expect("what is not to be had is refused");
            assert!(error.contains("emulated network") && error.contains("CAP_NET_ADMIN"), "{error}");
            continue;
        }
        for (kind, way_us) in [("polling", 0.0), ("sse", 40_000.0), ("websocket", 40_000.0)] {
            let text =
                format!("[link]\nrtt = \"80ms\"\nlevel = \"{level}\"\n[[transport]]\nkind = \"{kind}\"\n");
            let set = ["load.clients=4", "load.warmup=500ms", "feed.updates_per_second=50"];
            let mut wrong = String::new();
            for _ in 0..ATTEMPTS {
                let trial = run(&text, &set).await;
                wrong = disagreements(&trial, way_us);
                if wrong.is_empty() {
                    break;
                }
            }
            assert!(wrong.is_empty(), "{kind}, {level}: {wrong}");
        }
    }
}

/// A link that fails on a timetable: what a partition holds back comes late, who is reset comes back.
#[tokio::test]
async fn failures_of_the_link_lose_nothing() {
    for (kind, what) in [("sse", "partition"), ("websocket", "reset"), ("long-polling", "reset")] {
        let text = format!(
            "[link]\nrtt = \"4ms\"\nlevel = \"connections\"\n[[link.event]]\nat = \"300ms\"\nwhat = \"{what}\"\n\
             lasts = \"300ms\"\n[[transport]]\nkind = \"{kind}\"\n"
        );
        let (_, trial) = trials::run(trials::cores(), &text, &["load.clients=4", "load.measure=2s"]).await;
        let updates = trial.updates;
        assert_eq!((updates.lost, updates.pending_at_end), (Some(0), Some(0)), "{kind}: {updates:?}");
        let most = trial.delivery_delay.as_ref().and_then(|delay| delay.max_us).unwrap();
        assert!(most > 250_000.0, "{kind}: {most}");
        let back = if what == "reset" { 4 } else { 0 };
        assert_eq!((trial.clients.reconnected, trial.clients.disconnected), (back, 0), "{kind}");
    }
}

/// Who says `SYN` twice because the answer was lost has found no full queue.
#[tokio::test]
async fn handshakes_that_are_lost_on_the_way_are_no_full_queue() {
    if packets::available().is_err() {
        // Relays of connections lose nothing.
        return;
    }
    let text = "[link]\nrtt = \"4ms\"\nloss = \"5%\"\n[[transport]]\nkind = \"websocket\"\n";
    let (_, trial) = trials::run(trials::cores(), text, &["load.clients=100", "load.measure=500ms"]).await;
    assert_eq!(trial.clients.connected, 100, "{:?}", trial.error);
    // A SYN is said again after a second (RFC 6298 section 2.1).
    assert!(trial.connect.unwrap().max_us > Some(1_000_000.0), "of a hundred handshakes none was lost");
    let full: Vec<_> =
        trial.validity.findings.iter().filter(|finding| finding.code == "server.listen_drops").collect();
    assert!(full.is_empty(), "{full:?}");
}
