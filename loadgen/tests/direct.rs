//! The direct engine against the library engine: the same scenario finds the same, to the byte, and ends as it does.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    future::{Future, pending},
    net::Ipv4Addr,
    time::Duration,
};

use loadgen::{clients, plan::TransportOptions, worker::Found};
use measurement::result::{Bytes, Status, Trial, Verdict};
use servers::{Settings, Start};
use ticker::{Anchor, Engine, Transport, clock};
use tokio::sync::oneshot;

use crate::{trials, workers};

/// The transports that the direct engine speaks.
fn spoken() -> impl Iterator<Item = Transport> {
    let speaks =
        |kind: &Transport| clients::engines(*kind, &TransportOptions::default()).contains(&Engine::Direct);
    Transport::ALL.into_iter().filter(|kind| clients::left_out(*kind).is_none()).filter(speaks)
}

/// Runs the same short trial on each engine.
async fn both(kind: Transport, lines: &str, set: &[&str]) -> [Trial; 2] {
    let mut trials = Vec::new();
    for engine in Engine::ALL {
        let text = format!("[[transport]]\nkind = \"{kind}\"\nengine = \"{}\"\n{lines}\n", engine.name());
        let (variant, trial) = trials::run(trials::cores(), &text, set).await;
        assert_eq!(variant.engine, engine);
        assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{text}");
        assert_eq!((trial.clients.connected, trial.clients.disconnected), (12, 0), "{text}");
        trials.push(trial);
    }
    trials.try_into().unwrap()
}

/// What must be equal of two trials that differ in the engine only.
fn hold(title: &str, [library, direct]: &[Trial; 2]) {
    let (ours, theirs) = (&direct.updates, &library.updates);
    assert_eq!((ours.expected, ours.generated), (theirs.expected, theirs.generated), "{title}");
    assert_eq!([ours.lost, ours.duplicated, ours.reordered], [Some(0); 3], "{title}: {ours:?}");
    assert!(ours.expected > Some(0), "{title}: {ours:?}");
    for trial in [library, direct] {
        balanced(title, &trial.bytes);
        assert_eq!(trial.validity.classes.bytes, Verdict::Ok, "{title}: {:?}", trial.validity);
    }
    let [ours, theirs] = [direct, library].map(|trial| trial.bytes.steady.unwrap());
    assert_eq!(ours.opening_requests, theirs.opening_requests, "{title}");
    assert_eq!(ours.opening_responses, theirs.opening_responses, "{title}");
    assert_eq!(ours.requests.each(), theirs.requests.each(), "{title}");
    assert_eq!(ours.responses.each(), theirs.responses.each(), "{title}");
    assert_eq!(ours.messages.each(), theirs.messages.each(), "{title}");
    let sent = |trial: &Trial| trial.bytes.handshake.sent;
    assert_eq!(sent(direct), sent(library), "{title}");
}

fn balanced(title: &str, bytes: &Bytes) {
    assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{title}: {bytes:?}");
    let life = (bytes.whole_life.received.sum(), bytes.whole_life.sent.sum());
    assert_eq!(life, (bytes.kernel.received, bytes.kernel.sent), "{title}");
    assert!(bytes.received.payload > 0, "{title}: {bytes:?}");
}

#[tokio::test]
async fn both_engines_find_the_same() {
    let mut seen = 0;
    for kind in spoken() {
        seen += 1;
        let trials = both(kind, "", &[]).await;
        hold(kind.name(), &trials);
        let [library, direct] = &trials;
        // An answer of a poll may hold what another run had in two.
        assert_eq!(direct.updates.delivered_once, library.updates.delivered_once, "{kind}");
        // Quotes of the window's edges may come outside of it.
        let (quotes, bytes) = (direct.updates.delivered_once, direct.bytes.received.payload);
        assert!(bytes % 120 == 0 && bytes / 120 > quotes / 2, "{kind}: {bytes} of {quotes}");
        assert!(direct.trace.is_some(), "{kind}");
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn options_are_the_same_on_both() {
    let cases = [
        (Transport::WebSocket, "encoding = \"binary\""),
        (Transport::Polling, "mode = \"latest\""),
        (Transport::Polling, "conditional = true\ninterval = \"20ms\""),
        (Transport::Polling, "pace = \"after-answer\""),
    ];
    for (kind, lines) in cases {
        hold(&format!("{kind} {lines}"), &both(kind, lines, &[]).await);
    }
    let answers = both(Transport::Polling, "conditional = true\ninterval = \"10ms\"", &[]).await;
    for trial in answers {
        // Most answers say "not modified", which is a head alone.
        let requests = trial.requests.unwrap();
        assert!(
            requests.empty > 0
                && requests.useful > 0
                && trial.bytes.steady.unwrap().empty_responses.count > 0
        );
    }
}

#[tokio::test]
async fn clients_that_want_some_symbols_get_those() {
    for kind in spoken() {
        let trials = both(kind, "", &["load.symbols_per_client=3", "load.headers=minimal"]).await;
        hold(kind.name(), &trials);
        assert_eq!(trials[1].updates.delivered_once, trials[0].updates.delivered_once, "{kind}");
    }
}

#[tokio::test]
async fn several_workers_find_what_one_finds() {
    let mut cores = trials::cores();
    cores.loadgen = vec![cores.loadgen[0]; 3];
    for kind in spoken() {
        let text = format!("[[transport]]\nkind = \"{kind}\"\nengine = \"direct\"\n");
        let trial = trials::run(cores.clone(), &text, &[]).await.1;
        let updates = trial.updates;
        assert_eq!(
            (trial.status, trial.clients.connected),
            (Status::Complete, 12),
            "{kind}: {:?}",
            trial.error
        );
        assert_eq!(Some(updates.delivered_once), updates.generated.map(|n| n * 12), "{kind}: {updates:?}");
        assert!(trial.bytes.balanced, "{kind}: {:?}", trial.bytes);
    }
}

/// Runs a variant's clients against a server in this process for its window; then `last` happens, and they close.
async fn found<F: Future>(
    text: &str,
    settings: Settings,
    last: impl FnOnce(oneshot::Sender<()>) -> F,
) -> Found {
    let variant = workers::variant(text);
    let listener = servers::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let anchor = Anchor::now();
    let (stop, stopped) = oneshot::channel::<()>();
    let (start, started) = oneshot::channel::<Start>();
    let settings = Settings { feed: variant.feed.clone(), ..settings };
    let shutdown = async move {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    };
    let started = async move {
        match started.await {
            Ok(start) => start,
            Err(_) => pending().await,
        }
    };
    let server = tokio::spawn(servers::serve(listener, settings, started, shutdown));
    let crew = workers::Crew::start(variant, address, anchor);
    crew.connected().await;
    let t0_ns = clock::now_ns() + 50_000_000;
    let window = crew.frame.window.clone();
    let told = Start { anchor, t0_ns, window_from_ns: window.start, window_to_ns: window.end };
    start.send(told).expect("the server waits for it");
    crew.run(t0_ns);
    let left = Duration::from_nanos(t0_ns + window.end - clock::now_ns()) + Duration::from_millis(200);
    tokio::time::sleep(left).await;
    last(stop).await;
    let found = crew.close().await;
    server.abort();
    found
}

const SOCKETS: &str = "[feed]\nupdates_per_second = 100\n[load]\nclients = 6\nconnect_over = \"0s\"\nwarmup = \"100ms\"\n\
    measure = \"800ms\"\n[[transport]]\nkind = \"websocket\"\n";

fn sockets(engine: Engine) -> String {
    format!("{SOCKETS}engine = \"{}\"\n", engine.name())
}

#[tokio::test]
async fn pings_are_answered_and_streams_close_in_order() {
    let mut closes = Vec::new();
    for engine in Engine::ALL {
        let settings = Settings { heartbeat: Duration::from_millis(100), ..Settings::default() };
        let found = found(&sockets(engine), settings, |stop| async move { stop }).await;
        assert_eq!((found.connected, found.disconnected, &found.errors), (6, 0, &Vec::new()), "{engine:?}");
        // Six pongs of six bytes each at least, and a close frame.
        let framing = found.books.sent.whole_life().transport_framing;
        assert!((6 * 6 * 6..6 * 6 * 40).contains(&framing), "{engine:?}: {framing}");
        assert_eq!((found.books.unclaimed, found.books.check.mismatched), (0, 0), "{engine:?}");
        closes.push(found.closes);
    }
    assert_eq!(closes[0], closes[1]);
    assert_eq!(closes[1].values().sum::<u64>(), 6, "{closes:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_by_its_code() {
    let mut closes = Vec::new();
    for engine in Engine::ALL {
        let text = sockets(engine);
        let stopped = |stop: oneshot::Sender<()>| async move {
            stop.send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        let found = found(&text, Settings::default(), stopped).await;
        assert_eq!((found.connected, found.disconnected), (6, 6), "{engine:?}");
        assert!(found.errors[0].contains("the server closed the connection"), "{:?}", found.errors);
        assert_eq!(found.books.check.mismatched, 0, "{engine:?}");
        closes.push(found.closes);
    }
    assert_eq!(closes[0], closes[1]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    for kind in spoken() {
        let mut errors = Vec::new();
        for engine in Engine::ALL {
            let text = format!(
                "[load]\nclients = 2\nconnect_over = \"0s\"\n[[transport]]\nkind = \"{kind}\"\nengine = \"{}\"\n",
                engine.name()
            );
            // Nobody listens at the port that was just given back.
            let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let crew = workers::Crew::start(workers::variant(&text), address, Anchor::now());
            crew.connected().await;
            let found = crew.close().await;
            assert_eq!((found.connected, found.errors.len()), (0, 2), "{kind}: {:?}", found.errors);
            errors.push(found.errors);
        }
        errors.iter_mut().for_each(|errors| errors.sort());
        assert_eq!(errors[0], errors[1], "{kind}");
    }
}

#[tokio::test]
async fn an_echo_is_a_round_trip_for_each_message_with_every_byte_of_it() {
    // Heads of RFC 6455 section 5.2: 2 bytes up to 125, 4 up to 65,535; the client's have 4 more for the mask.
    // A binary message has a byte before the record.
    for (lines, set, overhead, payload) in [
        ("", "feed.quote_bytes=120", 2 + 6, 120),
        ("", "feed.quote_bytes=2000", 4 + 8, 2000),
        ("encoding = \"binary\"", "feed.quote_bytes=120", 3 + 7, 120),
    ] {
        let text = format!("[workload]\nkind = \"echo\"\n[[transport]]\nkind = \"websocket\"\n{lines}\n");
        let (_, trial) = trials::run(trials::cores(), &text, &[set, "feed.arrivals=constant"]).await;
        assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{text}");
        // 12 clients, 100 a second each, 1.2 s.
        let updates = &trial.updates;
        let counts = (updates.expected, updates.lost, updates.duplicated, updates.reordered);
        assert_eq!(counts, (Some(1440), Some(0), Some(0), Some(0)), "{updates:?}");
        assert_eq!(updates.delivered_once + updates.pending_at_end.unwrap(), 1440, "{updates:?}");
        balanced(&text, &trial.bytes);
        assert_eq!(trial.validity.classes.bytes, Verdict::Ok, "{:?}", trial.validity);
        let bytes = &trial.bytes;
        assert_eq!((bytes.received.payload % payload, bytes.sent.payload % payload), (0, 0), "{bytes:?}");
        let near = |found: u64| found.abs_diff(1440 * payload) < 1440 * payload / 20;
        assert!(near(bytes.received.payload) && near(bytes.sent.payload), "{bytes:?}");
        assert_eq!(bytes.whole_life.received.payload, bytes.whole_life.sent.payload, "{bytes:?}");
        // At the edges of the window a message is sent on one side of it and comes back on the other.
        let each = bytes.header_overhead_per_update.unwrap();
        assert!((each - f64::from(overhead)).abs() < 0.5, "{each}");
        let (round_trip, transit) = (trial.delivery_delay.unwrap(), trial.transit.unwrap());
        assert!(round_trip.mean_us >= transit.mean_us && transit.count == updates.delivered_once);
        assert!(trial.per_symbol.is_none() && trial.unavailable.contains_key("per_symbol"));
        assert!(trial.action_lag.is_some());
    }
}

#[tokio::test]
async fn an_echo_of_a_slow_client_is_waited_for() {
    // The last of 12 clients begins 2.3 s after the first: what is due in its window comes long after the trial's.
    let text = "[workload]\nkind = \"echo\"\n[[transport]]\nkind = \"websocket\"\n";
    let set = ["feed.arrivals=constant", "feed.updates_per_second=0.4", "load.warmup=6s", "load.measure=3s"];
    let (_, trial) = trials::run(trials::cores(), text, &set).await;
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None));
    let updates = &trial.updates;
    assert_eq!((updates.expected, updates.delivered_once, updates.pending_at_end), (Some(12), 12, Some(0)));
    assert_eq!(updates.generated, None);
}
