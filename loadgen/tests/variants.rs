//! Every variant of every transport against the contract that the defaults keep: all quotes once, every byte in its
//! layer, and to the byte what a protocol's own arithmetic says.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use loadgen::{clients, plan::VariantPlan};
use measurement::result::{Status, Trial, Verdict};
use ticker::{FeedSettings, Schedule, Subscriptions, Transport};

use crate::trials;

/// Bytes of a quote, as JSON and in the binary layout.
const QUOTE: u64 = 120;
const RECORD: u64 = 36;
/// Head of a frame of HTTP/2 (RFC 9113 section 4.1).
const FRAME: u64 = 9;
/// Head, type and tag of a TLS 1.3 record (RFC 8446 section 5.2, with a tag of 16 bytes).
const SEAL: u64 = 22;

/// A variant: the keys of its `[[transport]]` beside the kind, and what its bytes must be.
struct Case(&'static str, fn(&Trial));

async fn hold(kind: Transport, cases: &[Case]) {
    if clients::left_out(kind).is_some() {
        return;
    }
    for Case(keys, facts) in cases {
        let (plan, trial) = run(kind, keys, &[]).await;
        conform(&plan, &trial);
        facts(&trial);
    }
}

async fn run(kind: Transport, keys: &str, set: &[&str]) -> (std::sync::Arc<VariantPlan>, Trial) {
    let base = ["load.clients=8", "load.warmup=200ms", "load.measure=900ms"];
    let text = format!("[[transport]]\nkind = \"{kind}\"\n{keys}\n");
    trials::run(trials::cores(), &text, &[&base, set].concat()).await
}

/// What holds of every variant.
fn conform(plan: &VariantPlan, trial: &Trial) {
    let (name, updates, bytes) = (&plan.name, trial.updates, &trial.bytes);
    assert_eq!((trial.status, &trial.error), (Status::Complete, &None), "{name}");
    let clients = &trial.clients;
    assert_eq!((clients.connected, clients.disconnected), (8, 0), "{name}: {clients:?}");
    assert!(updates.expected > Some(8 * 20), "{name}: {updates:?}");
    let count = |part: Option<u64>| part.unwrap();
    let shown = updates.delivered_once + count(updates.coalesced);
    let missing = count(updates.lost) + count(updates.pending_at_end);
    assert_eq!(Some(shown + missing), updates.expected, "{name}: {updates:?}");
    // Datagrams may be lost even here.
    let most_missing = if clients::loses(plan.kind, &plan.options) { shown / 100 } else { 0 };
    assert!(missing <= most_missing, "{name}: {updates:?}");
    if !clients::coalesces(plan.kind, &plan.options) {
        assert_eq!(updates.coalesced, Some(0), "{name}: {updates:?}");
    }
    assert_eq!([updates.duplicated, updates.reordered], [Some(0); 2], "{name}: {updates:?}");
    assert!(bytes.balanced && bytes.received.balanced() && bytes.sent.balanced(), "{name}: {bytes:?}");
    let life = (bytes.whole_life.received.sum(), bytes.whole_life.sent.sum());
    match &bytes.quic {
        None => {
            assert_eq!(life, (bytes.kernel.received, bytes.kernel.sent), "{name}");
            assert_eq!(bytes.received.tls > 0, plan.options.tls, "{name}: {:?}", bytes.received);
        }
        Some(quic) => assert_eq!(life, (quic.client.received_bytes, quic.client.sent_bytes), "{name}"),
    }
    let classes = trial.validity.classes;
    assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{name}: {:?}", trial.validity);
}

/// Quotes of the window by their payload, which is whole ones.
fn quotes(trial: &Trial, each: u64) -> u64 {
    let payload = trial.bytes.received.payload;
    assert!(payload > 0 && payload.is_multiple_of(each), "{:?}", trial.bytes.received);
    payload / each
}

/// Records of the window: one at least for each of so many messages, and nothing but whole ones.
fn sealed(trial: &Trial) {
    let received = trial.bytes.received;
    assert!(received.tls > 0 && received.tls.is_multiple_of(SEAL), "{received:?}");
}

/// The layers of a pushed quote are these multiples, and nothing is said to the server.
fn pushed(trial: &Trial, payload: u64, app_framing: u64, transport_framing: u64) {
    let (received, quotes) = (trial.bytes.received, quotes(trial, payload));
    let found = (received.app_framing, received.transport_framing, received.headers);
    assert_eq!(found, (quotes * app_framing, quotes * transport_framing, 0), "{received:?}");
    assert_eq!(trial.bytes.sent.socket_total, 0, "{:?}", trial.bytes.sent);
}

/// Heads of the window go both ways, and quotes are carried as they are.
fn asked(trial: &Trial) {
    quotes(trial, QUOTE);
    assert!(trial.bytes.received.headers > 0 && trial.bytes.sent.headers > 0, "{:?}", trial.bytes);
    assert_eq!(trial.bytes.sent.payload, 0, "{:?}", trial.bytes);
}

/// A compressed body is less than what it says.
fn deflated(trial: &Trial) {
    let (payload, canonical) = (trial.bytes.received.payload, trial.bytes.canonical_payload);
    assert!(payload > 0 && payload < canonical, "{payload} of {canonical}");
}

const NO_KEEP_ALIVE: Case = Case("keep_alive = false", |trial| {
    asked(trial);
    let requests = trial.requests.unwrap();
    // One connection for each request, and each ends in order: SYN, its answer, our FIN and theirs.
    assert!(trial.bytes.kernel.segments_out > 4 * requests.sent, "{:?}", trial.bytes.kernel);
});

#[tokio::test]
async fn polling() {
    let tls: fn(&Trial) = |trial| {
        asked(trial);
        assert!(trial.bytes.received.tls > 0 && trial.bytes.sent.tls > 0, "{:?}", trial.bytes);
    };
    let cases = [
        NO_KEEP_ALIVE,
        Case("conditional = true\ninterval = \"10ms\"", |trial| {
            asked(trial);
            // Shown by a shorter interval: most answers say "not modified", which is a head alone.
            let (requests, received) = (trial.requests.unwrap(), trial.bytes.received);
            assert!(requests.empty > 0 && requests.useful > 0, "{requests:?}");
            // An envelope around each answer with news, none around the others.
            assert!(
                received.app_framing < 60 * requests.sent - 40 * requests.empty,
                "{received:?} {requests:?}"
            );
        }),
        Case("compression = \"gzip\"", deflated),
        Case("http = \"2\"", |trial| {
            asked(trial);
            // HPACK: the browser's 490 bytes become a few.
            let (sent, requests) = (trial.bytes.sent, trial.requests.unwrap().sent);
            assert!(sent.headers < 100 * requests, "{sent:?} of {requests}");
        }),
        Case("http = \"2\"\ntls = true\nconditional = true", tls),
        Case("tls = true", tls),
        Case("tls = true\nkeep_alive = false", |trial| {
            asked(trial);
            // A certificate for each request.
            let (received, requests) = (trial.bytes.received, trial.requests.unwrap().sent);
            assert!(received.tls > 500 * requests, "{received:?} of {requests}");
        }),
        Case("mode = \"latest\"", asked),
        Case("pace = \"after-answer\"", asked),
    ];
    hold(Transport::Polling, &cases).await;
}

#[tokio::test]
async fn long_polling() {
    let cases = [
        Case("http = \"2\"", asked),
        Case("tls = true", asked),
        Case("http = \"2\"\ntls = true", asked),
        Case("compression = \"gzip\"", deflated),
    ];
    hold(Transport::LongPolling, &cases).await;
}

/// Digits of the numbers of all quotes of the window, as `id: ` says them, are between these.
fn events(trial: &Trial, transport_framing: u64) {
    let (received, quotes) = (trial.bytes.received, quotes(trial, QUOTE));
    let around = received.app_framing - quotes * "id: \ndata: \n\n".len() as u64;
    // The feed is younger than 999 quotes.
    assert!((quotes..=3 * quotes).contains(&around), "{received:?}");
    assert_eq!(received.transport_framing, quotes * transport_framing, "{received:?}");
}

#[tokio::test]
async fn server_sent_events() {
    let cases = [
        Case("http = \"2\"", |trial| events(trial, FRAME)),
        Case("tls = true", |trial| {
            // `86`, CRLF, CRLF.
            events(trial, 6);
            sealed(trial);
        }),
        Case("http = \"2\"\ntls = true", |trial| {
            events(trial, FRAME);
            sealed(trial);
        }),
    ];
    hold(Transport::Sse, &cases).await;
}

#[tokio::test]
async fn lines_of_json() {
    let cases = [
        // A line feed for each quote; `79`, CRLF, CRLF around a chunk.
        Case("", |trial| pushed(trial, QUOTE, 1, 6)),
        Case("http = \"2\"", |trial| pushed(trial, QUOTE, 1, FRAME)),
        Case("tls = true", |trial| {
            pushed(trial, QUOTE, 1, 6);
            sealed(trial);
        }),
        Case("http = \"2\"\ntls = true", |trial| {
            pushed(trial, QUOTE, 1, FRAME);
            sealed(trial);
        }),
    ];
    hold(Transport::Ndjson, &cases).await;
}

/// Frames of WebSocket in frames of HTTP/2, several in one if they were written together.
fn within(trial: &Trial) {
    let (received, quotes) = (trial.bytes.received, quotes(trial, QUOTE));
    let around = received.transport_framing - quotes * 2;
    let frames = around / FRAME;
    assert!(around == frames * FRAME && (1..=quotes).contains(&frames), "{received:?}");
    assert_eq!((received.app_framing, received.headers), (0, 0), "{received:?}");
}

#[tokio::test]
async fn websocket() {
    let cases = [
        Case("tls = true", |trial| {
            pushed(trial, QUOTE, 0, 2);
            sealed(trial);
        }),
        Case("http = \"2\"", within),
        Case("http = \"2\"\ntls = true", |trial| {
            within(trial);
            sealed(trial);
        }),
        // The number of the message's kind is framing.
        Case("encoding = \"binary\"", |trial| pushed(trial, RECORD, 1, 2)),
        Case("deflate = \"takeover\"", deflated),
        Case("deflate = \"no-takeover\"", deflated),
        Case("encoding = \"binary\"\ndeflate = \"takeover\"", deflated),
    ];
    hold(Transport::WebSocket, &cases).await;
}

#[tokio::test]
async fn socketio() {
    /// `42["quote",` and `]` around a quote, in a frame with a head of four bytes.
    const EVENT: u64 = 12;
    let frames: fn(&Trial) = |trial| pushed(trial, QUOTE, EVENT, 4);
    let cases = [
        Case("carrier = \"upgrade\"", frames),
        Case("carrier = \"websocket\"", frames),
        Case("carrier = \"polling\"", asked),
        Case("carrier = \"upgrade\"\ntls = true", frames),
        Case("carrier = \"websocket\"\ntls = true", |trial| {
            pushed(trial, QUOTE, EVENT, 4);
            sealed(trial);
        }),
        Case("carrier = \"polling\"\ntls = true", asked),
    ];
    hold(Transport::SocketIo, &cases).await;
}

#[tokio::test]
async fn grpc() {
    /// The prefix of a message, and key and length of the field that the quote is in.
    const AROUND: u64 = 5 + 2;
    let facts: fn(&Trial) = |trial| {
        let received = trial.bytes.received;
        let quotes = received.app_framing / AROUND;
        assert_eq!(received.app_framing, quotes * AROUND, "{received:?}");
        assert_eq!((received.transport_framing % FRAME, received.headers), (0, 0), "{received:?}");
        // A frame holds a message, or several that were ready together.
        let frames = received.transport_framing / FRAME;
        assert!(frames > 0 && frames <= quotes, "{received:?}");
        assert!(received.payload < quotes * QUOTE / 2, "{received:?}");
    };
    hold(Transport::Grpc, &[Case("", facts), Case("tls = true", facts)]).await;
}

#[tokio::test]
async fn webtransport() {
    /// The length of a message.
    const HEAD: u64 = 4;
    let facts: fn(&Trial) = |trial| {
        let (received, quotes) = (trial.bytes.received, quotes(trial, QUOTE));
        assert_eq!((received.app_framing, received.headers), (quotes * HEAD, 0), "{received:?}");
    };
    hold(Transport::WebTransport, &[Case("carrier = \"stream\"", facts)]).await;
}

/// Quotes of the window that the clients want, counted one by one.
fn wanted(feed: &FeedSettings, clients: u32, (first, last): (u64, u64), subscriptions: Subscriptions) -> u64 {
    let dues: Vec<_> = Schedule::new(feed).unwrap().take(last as usize).skip(first as usize - 1).collect();
    let of = |client: u32| dues.iter().filter(|due| subscriptions.wants(client, due.symbol)).count() as u64;
    (0..clients).map(of).sum()
}

#[tokio::test]
async fn clients_that_want_some_symbols_get_these_alone() {
    let carriers = |kind| match kind {
        Transport::SocketIo => {
            vec!["carrier = \"upgrade\"", "carrier = \"websocket\"", "carrier = \"polling\""]
        }
        Transport::WebTransport => vec!["carrier = \"stream\"", "carrier = \"datagrams\""],
        Transport::Polling => vec!["", "mode = \"latest\"", "http = \"2\""],
        Transport::WebSocket => vec!["", "encoding = \"binary\"", "http = \"2\""],
        Transport::LongPolling | Transport::Sse | Transport::Ndjson | Transport::Grpc => vec![""],
    };
    let built = Transport::ALL.into_iter().filter(|kind| clients::left_out(*kind).is_none());
    for (kind, keys) in built.flat_map(|kind| carriers(kind).into_iter().map(move |keys| (kind, keys))) {
        let set = ["feed.symbols=8", "load.symbols_per_client=3", "feed.updates_per_second=160"];
        let (plan, trial) = run(kind, keys, &set).await;
        let (name, updates) = (&plan.name, trial.updates);
        conform(&plan, &trial);
        let window = updates.window_sequences.unwrap();
        let expected = wanted(&plan.feed, 8, window, Subscriptions::new(8, 3));
        assert_eq!(updates.expected, Some(expected), "{name}: {updates:?}");
        let all = 8 * updates.generated.unwrap();
        assert!(expected * 8 > all * 2 && expected * 8 < all * 4, "{name}: {expected} of {all}");
        assert!(trial.per_symbol.is_some() && trial.whole_screen.is_some(), "{name}");
    }
}
