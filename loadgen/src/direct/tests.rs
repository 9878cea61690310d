//! However reads are split, a dialogue hears the same and the ledger is the same.

use std::sync::Arc;

use measurement::{ledger::Phase, recorder::Frame};
use proptest::prelude::*;
use ticker::{Anchor, Engine, Timetable, Transport};
use tokio::sync::watch;
use wire::{HeadKind, Http1};

use super::{
    Desk, Dialogue, Setup, Turn,
    hearing::{Carry, Hearing},
    line::Line,
};
use crate::{
    endpoint::Endpoint,
    plan::{Load, TransportOptions, VariantPlan},
    socket::flow::{Counting, Flow, Sums},
    worker::{ClientError, Job, Live, Stage},
};

/// A desk of one client and an empty feed.
fn desk() -> Desk {
    let load = Load {
        clients: 1,
        symbols_per_client: u32::MAX,
        connect_over: std::time::Duration::ZERO,
        warmup: std::time::Duration::ZERO,
        measure: std::time::Duration::from_secs(1),
        session: std::time::Duration::from_secs(1),
        processes: Default::default(),
    };
    let variant = VariantPlan {
        name: "x".to_owned(),
        kind: Transport::ALL[0],
        workload: Default::default(),
        engine: Engine::Direct,
        driver: Default::default(),
        options: TransportOptions::default(),
        set: Default::default(),
        point: Default::default(),
        feed: Default::default(),
        peer: None,
        link: None,
        storm: None,
        slow: None,
        mix: None,
        load,
        header_profile: "minimal".to_owned(),
        headers: Vec::new(),
    };
    let frame = Frame {
        table: Arc::new(Timetable::heard([], 0)),
        t0_ns: u64::MAX,
        window: 0..1_000_000_000,
        coalesces: false,
        asked: false,
        subscriptions: Default::default(),
        phases: None,
    };
    let job = Job {
        variant: Arc::new(variant),
        seed: 1,
        endpoint: Arc::new(Endpoint::reference(([127, 0, 0, 1], 9).into(), None).unwrap()),
        listening: None,
        home: None,
        clients: 0..1,
        frame,
        anchor: Anchor { unix_ns: 0, mono_ns: 0 },
        ramp_from_ns: 0,
        cores: Vec::new(),
        watched: false,
    };
    let (_, stage) = watch::channel(Stage::Connect);
    Desk::new(Setup { job, stage, live: Arc::new(Live::default()) }, 1)
}

/// Writes down what it hears; the first half of each message is payload.
#[derive(Default)]
struct Scribe;

impl Dialogue for Scribe {
    type Client = Vec<String>;
    const ON_TIME: bool = false;

    fn open(&mut self, _log: &mut Vec<String>, _turn: &mut Turn<'_>) {}

    fn status(&mut self, log: &mut Vec<String>, status: u16) {
        log.push(format!("status {status}"));
    }

    fn field(&mut self, log: &mut Vec<String>, name: &[u8], value: &[u8]) {
        log.push(format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
    }

    fn head(
        &mut self,
        log: &mut Vec<String>,
        kind: HeadKind,
        _turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        log.push(format!("{kind:?}"));
        Ok(())
    }

    fn message(
        &mut self,
        log: &mut Vec<String>,
        text: &[u8],
        _turn: &mut Turn<'_>,
    ) -> Result<u64, ClientError> {
        log.push(format!("message {}", text.escape_ascii()));
        Ok(text.len() as u64 / 2)
    }

    fn control(
        &mut self,
        log: &mut Vec<String>,
        (opcode, payload): (u8, &[u8]),
        _turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        log.push(format!("control {opcode} {}", payload.escape_ascii()));
        Ok(())
    }
}

/// What was heard and counted of a request's answers that come in pieces of these lengths, over and over.
fn heard(request: &str, answers: &[u8], lengths: &[usize]) -> (Vec<String>, Sums) {
    let (mut desk, mut out, mut log, mut carry) = (desk(), Vec::new(), Vec::new(), Carry::default());
    let (mut up, mut down, mut sums) = (Flow::new(), Flow::new(), Sums::default());
    let mut scanner = Http1::new();
    let (mut said, mut nobody) = (Sums::default(), super::desk::Ours::Asking);
    up.moved(&mut said, request.len(), 1, Phase::Measure);
    let mut counting = Counting { flow: &mut up, sums: &mut said, messages: &mut nobody };
    scanner.up(request.as_bytes(), &mut counting).unwrap();
    let (mut rest, mut lengths) = (answers, lengths.iter().cycle());
    while !rest.is_empty() {
        let (read, after) = rest.split_at((*lengths.next().unwrap()).clamp(1, rest.len()));
        rest = after;
        down.moved(&mut sums, read.len(), 2, Phase::Measure);
        let turn = Turn::new(0, 2, &mut desk, &mut out);
        let mut scribe = Scribe;
        let mut hearing = Hearing::new(&mut scribe, &mut log, turn, read, &mut carry, false);
        let mut counting = Counting { flow: &mut down, sums: &mut sums, messages: &mut hearing };
        scanner.down(read, &mut counting).unwrap();
        assert!(hearing.end().1.is_none());
    }
    sums.calls = 0;
    (log, sums)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn conversations() -> [(String, Vec<u8>, &'static str); 3] {
    let upgrade = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_owned();
    let mut frames = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
    frames.extend_from_slice(b"\x81\x05hello\x89\x03abc\x01\x02ab\x8a\x00\x80\x02cd\x82\x7e\x00\x80");
    frames.extend_from_slice(&[b'x'; 128]);
    frames.extend_from_slice(b"\x81\x00\x88\x02\x03\xe8");
    let mut events =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    events.extend_from_slice(b"d\r\nretry: 1000\n\n\r\n11\r\nid: 1\ndata: ab\n\n\r\n");
    events.extend_from_slice(
        b"8\r\ndata: on\r\n9\r\ne\n: hi\n\n\n\r\n1d\r\ndata: x\r\n\r\n: hb\n\ndata: yy\n\n\r\n",
    );
    let answers =
        b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 304 Not Modified\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n3\r\nfgh\r\n0\r\n\r\n";
    [
        (upgrade, frames, "message abcd"),
        (GET.to_owned(), events, "message data: one\\n: hi\\n\\n"),
        (GET.repeat(3), answers.to_vec(), "message defgh"),
    ]
}

proptest! {
    #[test]
    fn splits_do_not_matter(lengths in prop::collection::vec(1_usize..40, 1..9)) {
        for (request, answers, said) in conversations() {
            let whole = heard(&request, &answers, &[usize::MAX]);
            prop_assert!(whole.0.iter().any(|entry| entry == said), "{:?}", whole.0);
            prop_assert!(whole.1.bytes.balanced(), "{:?}", whole.1);
            for lengths in [&[1][..], &lengths] {
                let split = heard(&request, &answers, lengths);
                prop_assert_eq!(&split.0, &whole.0);
                prop_assert_eq!((split.1.bytes, split.1.steady), (whole.1.bytes, whole.1.steady));
            }
        }
    }
}

#[test]
fn a_message_that_makes_more_payload_than_it_has_ends_the_client() {
    struct Greedy;
    impl Dialogue for Greedy {
        type Client = ();
        const ON_TIME: bool = false;
        fn open(&mut self, _: &mut (), _: &mut Turn<'_>) {}
        fn head(&mut self, _: &mut (), _: HeadKind, _: &mut Turn<'_>) -> Result<(), ClientError> {
            Ok(())
        }
        fn message(&mut self, _: &mut (), text: &[u8], _: &mut Turn<'_>) -> Result<u64, ClientError> {
            Ok(text.len() as u64 + 1)
        }
    }
    let (mut desk, mut out, mut carry, mut sums) = (desk(), Vec::new(), Carry::default(), Sums::default());
    let (mut flow, mut scanner) = (Flow::new(), Http1::new());
    let read = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    flow.moved(&mut sums, read.len(), 1, Phase::Measure);
    let turn = Turn::new(0, 1, &mut desk, &mut out);
    let (mut greedy, mut client) = (Greedy, ());
    let mut hearing = Hearing::new(&mut greedy, &mut client, turn, read, &mut carry, false);
    let mut counting = Counting { flow: &mut flow, sums: &mut sums, messages: &mut hearing };
    scanner.down(read, &mut counting).unwrap();
    assert!(matches!(hearing.end().1, Some(ClientError::Unscanned)));
    assert_eq!((desk.unclaimed, sums.bytes.balanced()), (1, true));
}

#[test]
fn a_client_is_small() {
    // With the heap's share of the recorder's own a client stays below 1.5 kB.
    assert!(size_of::<Line>() <= 900, "{} bytes", size_of::<Line>());
    assert!(size_of::<Flow>() <= 56, "{} bytes", size_of::<Flow>());
}
