//! The lines as they are written, and plans and findings that survive them.

use measurement::{recorder::Recorder, tape::Heard};
use ticker::clock;

use super::*;
use crate::{
    crew::frame,
    scenario::{Overrides, load, load_text},
};

fn carried<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn job(variant: VariantPlan) -> JobMessage {
    JobMessage {
        headers: variant.headers.clone(),
        secrets: secrets(&variant),
        variant,
        seed: 1,
        place: Where::Peer { port: Some(7), through: None },
        home: None,
        clients: 0..5,
        anchor: Anchor { unix_ns: 1, mono_ns: 2 },
        cores: vec![0],
        sources: 1,
        watched: false,
    }
}

#[test]
fn the_lines_are_the_documented_ones() {
    let check = |told: &Told, expected: &str| assert_eq!(serde_json::to_string(told).unwrap(), expected);
    check(&Told::Connect { from_ns: 3 }, r#"{"connect":{"from_ns":3}}"#);
    check(&Told::from(Stage::Run { t0_ns: 4 }), r#"{"run":{"t0_ns":4}}"#);
    check(&Told::from(Stage::Cut { at_ns: 5 }), r#"{"cut":{"at_ns":5}}"#);
    check(&Told::from(Stage::Close), r#"{"close":{}}"#);
    let check = |said: &Said, expected: &str| assert_eq!(serde_json::to_string(said).unwrap(), expected);
    check(&Said::Hello { protocol: PROTOCOL, pid: 9 }, r#"{"hello":{"protocol":1,"pid":9}}"#);
    check(&Said::Ack(Taken::Run), r#"{"ack":"run"}"#);
    check(&Said::Error("no".to_owned()), r#"{"error":"no"}"#);
    let progress = Progress { connected: 1, delivered: 2, ..Progress::default() };
    check(
        &Said::Progress(Box::new(progress)),
        r#"{"progress":{"connected":1,"failed":0,"delivered":2,"disconnected":0,"reconnected":0}}"#,
    );
    assert!(serde_json::from_str::<Told>(r#"{"pause":{}}"#).is_err());
}

#[test]
fn plans_of_every_shipped_variant_arrive_whole() {
    for name in ["smoke", "ticker", "family", "encodings", "headers"] {
        for variant in load(name, &Overrides::default()).unwrap().variants {
            let arrived = carried(&job(variant.clone())).variant();
            assert_eq!(format!("{arrived:?}"), format!("{variant:?}"));
        }
    }
}

#[test]
fn a_peer_arrives_with_its_secrets_and_without_them_in_its_texts() {
    let text = "[[transport]]\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:9/feed?key=${KEY}\"\n\
                [transport.open]\nsend = [\"hello ${KEY}\"]\nheaders = { x-key = \"${KEY}\" }\n\
                keepalive = { every = \"1s\", send = \"I am ${KEY}\" }\n";
    let plan = load_text("mine", text, &|name| (name == "KEY").then(|| "hush".to_owned())).unwrap();
    let message = job(plan.variants[0].clone());
    let line = serde_json::to_string(&message.variant).unwrap();
    assert!(!line.contains("hush"), "{line}");
    let (sent, arrived) = (plan.variants[0].peer.clone().unwrap(), carried(&message).variant().peer.unwrap());
    assert_eq!(arrived.url, sent.url);
    assert!(arrived.url.filled.contains("hush"));
    assert_eq!((arrived.open.send, &arrived.open.headers), (sent.open.send, &sent.open.headers));
    let (kept, told) = (arrived.open.keepalive.unwrap(), sent.open.keepalive.unwrap());
    assert_eq!((kept.every, kept.send), (told.every, told.send));
    assert_eq!(arrived.secrets, sent.secrets);
}

#[test]
fn findings_that_were_carried_merge_like_those_that_were_not() {
    let plan = load("smoke", &Overrides::default()).unwrap();
    let frame = frame(&plan.variants[0]).unwrap();
    let found = |first: u64| {
        let t0_ns = clock::now_ns();
        let mut recorder = Recorder::new(frame.clone(), 1, first == 0);
        recorder.start(t0_ns);
        recorder.connected(0, t0_ns - 20, t0_ns - 10);
        recorder.snapshot(0, 0, std::iter::empty(), t0_ns - 10);
        for seq in 1..=frame.table.last_seq() {
            let due_ns = t0_ns + frame.table.offset_ns(seq).unwrap();
            recorder.quote(0, seq, due_ns + 1_000, due_ns + 1_000 * (first + seq % 13));
            recorder.batch_end(0, due_ns + 1_000 * (first + seq % 13));
        }
        let mut books = Books { calls: first, ..Books::default() };
        books.received.phase_mut(measurement::ledger::Phase::Measure).payload = 7 + first;
        books.tls_suites.insert(format!("suite {first}"));
        let mut tape = Tape::new(1);
        tape.connected(0, 5, 6);
        let heard =
            Heard { sequence: Some(first), symbol: Some("ACME"), due_ns: Some(-4), ..Heard::default() };
        tape.update(0, &heard, 9);
        Found {
            recording: recorder.finish(),
            books,
            unsocketed_payload: [1, 2, 3, first],
            errors: vec![format!("client {first}: gone")],
            connected: 1,
            disconnected: first,
            reconnected: 2,
            tapes: vec![tape],
            exhausted: Exhausted { ports: 1, ..Exhausted::default() },
            closes: [(1_000, 1), (1_006, first)].into(),
            slow: Default::default(),
        }
    };
    // Two recordings are of one instant only if they are made of the same one.
    let arrive = |found: FoundMessage| carried(&found).in_frame(&frame);
    let (one, other) = (FoundMessage::from(found(0)), FoundMessage::from(found(3)));
    let (mut over, rest) = (arrive(carried(&one)), arrive(carried(&other)));
    over.merge(rest);
    let (mut here, rest) = (one.in_frame(&frame), other.in_frame(&frame));
    here.merge(rest);
    assert_eq!(over.recording.updates(0), here.recording.updates(0));
    assert!(over.recording.updates(0).delivered_once > 0);
    assert_eq!(FoundMessage::from(over), carried(&FoundMessage::from(here)));
}
