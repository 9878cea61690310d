//! What both sides do for every single quote, each as one operation: timed by criterion, counted by callgrind.
//!
//! It knows neither of the two.

use std::{hint::black_box, sync::Arc};

use measurement::{
    histogram,
    recorder::{Frame, Recorder},
};
use ticker::{Anchor, Arrivals, Due, FeedSettings, Quote, QuoteView, Subscriptions, Timetable};
use wire::{Http1, Tally};

const QUOTE_BYTES: u32 = 150;
const SYMBOLS: u32 = 8;
const CLIENTS: usize = 64;
const SECONDS: u64 = 10;

/// An operation, ready to be done again and again.
pub type Operation = Box<dyn FnMut()>;

/// What makes an operation ready.
pub type Maker = fn() -> Operation;

/// Every operation: its name and what makes it ready.
pub const OPERATIONS: [(&str, Maker); 7] = [
    ("encode a quote", encode_a_quote),
    ("read a quote", read_a_quote),
    ("scan a WebSocket frame", scan_a_frame),
    ("scan an event in its chunk", scan_an_event),
    ("scan a poll and its answer", scan_a_poll),
    ("record a duration", record_a_duration),
    ("account for a quote", account_for_a_quote),
];

fn quote_text(seq: u64) -> Vec<u8> {
    let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_000 + seq % 1_000, quantity: 100 };
    let quote = Quote { due, symbol: "ACME", due_us: 1_795_230_683_531_537, sent_us: 1_795_230_683_531_551 };
    let mut text = Vec::with_capacity(QUOTE_BYTES as usize);
    quote.encode(QUOTE_BYTES, &mut text);
    text
}

fn encode_a_quote() -> Operation {
    let mut out = Vec::with_capacity(QUOTE_BYTES as usize);
    let mut seq = 0;
    Box::new(move || {
        seq += 1;
        let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_000 + seq % 1_000, quantity: 100 };
        let quote =
            Quote { due, symbol: "ACME", due_us: 1_795_230_683_531_537, sent_us: 1_795_230_683_531_551 };
        out.clear();
        quote.encode(QUOTE_BYTES, &mut out);
        black_box(&out);
    })
}

fn read_a_quote() -> Operation {
    let text = quote_text(1_234_567);
    Box::new(move || {
        let view: Result<QuoteView<'_>, _> = serde_json::from_slice(black_box(&text));
        assert!(view.is_ok_and(|view| black_box(view).seq == 1_234_567));
    })
}

/// A scanner that has seen `request` and `head`, and is then fed `message` again and again.
fn scan(request: &'static str, head: &'static str, message: Vec<u8>) -> Operation {
    let (mut scanner, mut up, mut down) = (Http1::new(), Tally::default(), Tally::default());
    scanner.up(request.as_bytes(), &mut up).expect("a request");
    scanner.down(head.as_bytes(), &mut down).expect("an answer's head");
    let mut messages = down.messages;
    Box::new(move || {
        scanner.down(black_box(&message), &mut down).expect("a message");
        messages += 1;
        assert_eq!(down.messages, messages);
    })
}

fn scan_a_frame() -> Operation {
    let mut frame = vec![0x81, 126, 0, QUOTE_BYTES as u8];
    frame.extend(quote_text(1_234_567));
    scan(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        frame,
    )
}

fn scan_an_event() -> Operation {
    let mut block = b"id: 1234567\ndata: ".to_vec();
    block.extend(quote_text(1_234_567));
    block.extend_from_slice(b"\n\n");
    let mut chunk = format!("{:x}\r\n", block.len()).into_bytes();
    chunk.append(&mut block);
    chunk.extend_from_slice(b"\r\n");
    scan(
        "GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunk,
    )
}

fn scan_a_poll() -> Operation {
    let request =
        b"GET /quotes?after=1234567 HTTP/1.1\r\nHost: localhost:8080\r\nAccept: application/json\r\n\r\n";
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: \"1234567\"\r\n\
        cache-control: no-cache\r\ncontent-length: 150\r\ndate: Sat, 21 Nov 2026 05:28:47 GMT\r\n\r\n"
        .to_vec();
    answer.extend(quote_text(1_234_567));
    let (mut scanner, mut up, mut down) = (Http1::new(), Tally::default(), Tally::default());
    let mut messages = 0;
    Box::new(move || {
        scanner.up(black_box(request), &mut up).expect("a request");
        scanner.down(black_box(&answer), &mut down).expect("an answer");
        messages += 1;
        assert_eq!(down.messages, messages);
    })
}

fn record_a_duration() -> Operation {
    let mut recorder = histogram::Recorder::default();
    let mut ns = 0;
    Box::new(move || {
        // Spread over three decades, as delays are.
        ns = (ns + 7_919) % 10_000_000;
        recorder.record(black_box(ns));
    })
}

/// Every quote of a feed at every client, in order: what a push client does with a message that it has read.
fn account_for_a_quote() -> Operation {
    let settings = FeedSettings {
        symbols: SYMBOLS,
        updates_per_second: 100.0,
        arrivals: Arrivals::Constant,
        quote_bytes: QUOTE_BYTES,
        seed: 1,
    };
    let horizon_ns = SECONDS * 1_000_000_000;
    let frame = Frame {
        table: Arc::new(Timetable::new(&settings, horizon_ns).expect("a feed")),
        t0_ns: 0,
        window: 0..horizon_ns,
        coalesces: false,
        asked: false,
        subscriptions: Subscriptions::new(SYMBOLS, SYMBOLS),
        phases: None,
    };
    let anchor = Anchor { unix_ns: 1_795_230_683_000_000_000, mono_ns: 0 };
    let last = frame.seqs().end - 1;
    let fresh = move || {
        let mut recorder = Recorder::new(frame.clone(), CLIENTS, false);
        (0..CLIENTS).for_each(|client| recorder.snapshot(client, 0, [].into_iter(), 1));
        recorder
    };
    let (mut recorder, mut seq, mut client) = (fresh(), 1, 0);
    Box::new(move || {
        let due_ns = recorder.frame().table.offset_ns(seq).expect("within the feed");
        let sent_ns = anchor.mono_ns_of(anchor.unix_us(due_ns + 10_000));
        recorder.quote(client, seq, sent_ns, due_ns + 50_000 + client as u64 * 2_500);
        recorder.batch_end(client, due_ns + 50_000 + client as u64 * 2_500);
        client += 1;
        if client == CLIENTS {
            (client, seq) = (0, seq + 1);
        }
        if seq > last {
            (recorder, seq) = (fresh(), 1);
        }
    })
}
