//! Event streams after the rules of WHATWG HTML section 9.2.6 and the vectors of the web-platform-tests
//! (eventsource/format-*): our client's parser and the scanner of its bytes must see the same events, in any split.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "event_stream/server.rs"]
mod server;

use std::{convert::Infallible, fs};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use measurement::result::{RunResult, Verdict};
use sse_stream::{Sse, SseStream};
use wire::{Http1, Part, Sink};

/// Pieces up to this long; beyond it a vector is fed whole.
const LONGEST_PIECE: usize = 40;

/// An event as a page sees it: its type, its data, the last event id.
type Event = (String, String, String);

fn event(kind: &str, data: &str, id: &str) -> Event {
    (kind.to_owned(), data.to_owned(), id.to_owned())
}

/// What the client's parser makes of a stream: the blocks up to its end, and whether it ended in an error.
fn parse(pieces: &[&[u8]]) -> (Vec<Sse>, bool) {
    let pieces: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    let blocks = SseStream::from_bytes_stream(stream::iter(pieces)).collect::<Vec<_>>();
    let blocks = blocks.now_or_never().expect("all of it is there");
    let broken = blocks.last().is_some_and(Result::is_err);
    (blocks.into_iter().filter_map(Result::ok).collect(), broken)
}

/// What a page is told of these blocks. Our client takes type and data of a block and leaves ids alone.
fn dispatched(blocks: &[Sse]) -> Vec<Event> {
    let mut id = String::new();
    let mut events = Vec::new();
    for block in blocks {
        if let Some(new) = &block.id {
            id.clone_from(new);
        }
        if let Some(data) = &block.data {
            let kind = block.event.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("message");
            events.push(event(kind, data, &id));
        }
    }
    events
}

#[derive(Default)]
struct Counts {
    messages: Vec<u64>,
    body: u64,
    all: u64,
}

impl Sink for Counts {
    fn count(&mut self, part: Part, bytes: usize) {
        self.all += bytes as u64;
        if part == Part::Body {
            self.body += bytes as u64;
        }
    }

    fn message(&mut self, body_bytes: u64) {
        self.messages.push(body_bytes);
    }

    fn boundary(&mut self) {}
}

/// Body bytes of each event that the scanner sees. With `chunked` every piece is a chunk, else the body lasts until
/// the connection closes.
fn scan(pieces: &[&[u8]], chunked: bool) -> Vec<u64> {
    let (mut connection, mut up, mut down) = (Http1::new(), Counts::default(), Counts::default());
    connection.up(b"GET /sse HTTP/1.1\r\nhost: x\r\n\r\n", &mut up).unwrap();
    let coding = if chunked { "transfer-encoding: chunked\r\n" } else { "" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{coding}\r\n");
    let mut fed = 0;
    let mut feed = |bytes: &[u8]| {
        fed += bytes.len() as u64;
        connection.down(bytes, &mut down).unwrap();
    };
    feed(head.as_bytes());
    for piece in pieces {
        if chunked {
            feed(format!("{:x}\r\n", piece.len()).as_bytes());
            feed(piece);
            feed(b"\r\n");
        } else {
            feed(piece);
        }
    }
    if chunked {
        feed(b"0\r\n\r\n");
    }
    connection.settle(&mut up, &mut down);
    assert_eq!(down.all, fed, "every byte has its layer");
    assert_eq!(down.body, down.messages.iter().sum::<u64>(), "body bytes are those of events");
    down.messages
}

/// Both see the same events: as many, and each has room for its data, as when the client claims them in order.
fn agree(pieces: &[&[u8]]) -> Result<Vec<Event>, String> {
    let (blocks, broken) = parse(pieces);
    if broken {
        return Err("the parser gives up".to_owned());
    }
    let events = dispatched(&blocks);
    for chunked in [false, true] {
        let bodies = scan(pieces, chunked);
        let fits = |(event, body): (&Event, &u64)| event.1.len() as u64 <= *body;
        if bodies.len() != events.len() || !events.iter().zip(&bodies).all(fits) {
            return Err(format!("parsed {events:?}, scanned {bodies:?}"));
        }
    }
    Ok(events)
}

fn check(name: &str, stream: impl AsRef<[u8]>, expected: &[Event]) {
    let stream = stream.as_ref();
    let sizes = (1..=stream.len().min(LONGEST_PIECE)).chain([stream.len().max(1)]);
    for size in sizes {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        assert_eq!(agree(&pieces).as_deref(), Ok(expected), "{name} in pieces of {size}");
    }
}

fn messages(data: &[&str]) -> Vec<Event> {
    data.iter().map(|data| event("message", data, "")).collect()
}

#[test]
fn byte_order_marks_comments_and_the_end() {
    check("format-bom", "\u{feff}data:1\n\n\u{feff}data:2\n\ndata:3\n\n", &messages(&["1", "3"]));
    check("format-bom-2", "\u{feff}\u{feff}data:1\n\ndata:2\n\ndata:3\n\n", &messages(&["2", "3"]));
    check("a mark alone", "\u{feff}", &[]);
    check("a mark before a blank line", "\u{feff}\ndata:1\n\n", &messages(&["1"]));
    check("a mark before a comment", "\u{feff}:data:1\n\ndata:2\n\n", &messages(&["2"]));
    let long = "x".repeat(2048);
    let comments = format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
    check("format-comments", comments, &messages(&["1\n2\n3\n4"]));
    let unfinished = "retry:1000\ndata:test1\n\nid:test\ndata:test2";
    check("format-data-before-final-empty-line", unfinished, &messages(&["test1"]));
    check("a line end is no blank line", "data:test1\n\ndata:test2\n", &messages(&["test1"]));
    check("nothing", "", &[]);
    check("blank lines", "\n\r\r\n\n", &[]);
}

#[test]
fn fields_are_parsed_as_the_standard_says() {
    check("format-field-data", "data:\n\ndata\ndata\n\ndata:test\n\n", &messages(&["", "\n", "test"]));
    let parsing = "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n";
    check("format-field-parsing", parsing, &messages(&["\0\n 2\n1\n3\n\n4"]));
    let unknown = "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n";
    check("format-field-unknown", unknown, &messages(&["test\n\ntest"]));
    check("format-leading-space", "data:\ttest\rdata: \ndata:test\n\n", &messages(&["\ttest\n\ntest"]));
    check("format-null-character", "data:\0\n\n\n\n", &messages(&["\0"]));
    check("colons in data", "data::1\ndata: :2\n\n", &messages(&[":1\n:2"]));
}

#[test]
fn types_ids_and_retry() {
    let types = "event:test\ndata:x\n\ndata:x\n\n";
    check("format-field-event", types, &[event("test", "x", ""), event("message", "x", "")]);
    check("format-field-event-empty", "event: \ndata:data\n\n", &messages(&["data"]));
    check("a type without data", "event:test\n\ndata:data\n\n", &messages(&["data"]));
    check("the last type counts", "event:a\nevent:b\ndata:data\n\n", &[event("b", "data", "")]);
    let ids = "id: 1\ndata:1\n\ndata:2\n\nid\ndata:3\n\nid:4\n\ndata:5\n\n";
    let expected = [("1", "1"), ("2", "1"), ("3", ""), ("5", "4")];
    check("format-field-id", ids, &expected.map(|(data, id)| event("message", data, id)));
    for null in ["\0\0", "x\0", "\0x", "x\0x", " \0"] {
        check("format-field-id-null", format!("id:{null}\ndata:hello\n\n"), &messages(&["hello"]));
    }
    check(
        "an id with a NUL leaves the one before",
        "id:1\nid:2\0\ndata:x\n\n",
        &[event("message", "x", "1")],
    );
    for retry in
        ["retry:3000", "retry:1000x", "retry:-1", "retry:", "retry", "retry: 99999999999999999999999"]
    {
        check("format-field-retry", format!("{retry}\ndata:x\n\n{retry}\n\n"), &messages(&["x"]));
    }
    let (blocks, _) = parse(&[b"retry:3000\nretry:1000x\ndata:x\n\n"]);
    assert_eq!(blocks[0].retry, Some(3000), "format-field-retry-bogus");
}

#[test]
fn line_ends_and_text() {
    check("format-newlines", "data:test\r\ndata\ndata:test\r\n\r", &messages(&["test\n\ntest"]));
    for end in ["\n", "\r", "\r\n"] {
        for blank in ["\n", "\r", "\r\n"] {
            // CR and then LF are one line end.
            let two = if (end, blank) == ("\r", "\n") { "\r\n\n" } else { &format!("{end}{blank}") };
            check("line ends", format!("data:1{two}data:2{two}data:3{two}"), &messages(&["1", "2", "3"]));
        }
    }
    check("CR and LF are one line end", "data:1\r\ndata:2\r\n\r\n", &messages(&["1\n2"]));
    check("format-utf-8", "data:ok…\ndata:ÿ𝄞\u{feff}\n\n", &messages(&["ok…\nÿ𝄞\u{feff}"]));
}

/// The one known difference: a page reads bytes that are no UTF-8 as U+FFFD, our client gives such a stream up. The
/// scanner counts the event, nobody claims it, and the trial has its error.
#[test]
fn text_that_is_not_utf_8_ends_the_stream_with_an_error() {
    let stream = b"data:1\n\ndata:\xff\n\n";
    for size in 1..=stream.len() {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let (blocks, broken) = parse(&pieces);
        assert_eq!((dispatched(&blocks), broken), (messages(&["1"]), true));
        assert_eq!(scan(&pieces, false).len(), 2);
    }
    check("in a comment nobody minds", b":\xff\xc3\ndata:1\n\n", &messages(&["1"]));
}

/// Streams of random words, in random pieces.
#[test]
fn parser_and_scanner_agree_on_any_stream() {
    const WORDS: [&str; 20] = [
        "data", "data:", "data: x", "\u{feff}", ":", ": c", "id", "id:7", "event:e", "retry:1", "dat", " ",
        "\0", "é", "\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n",
    ];
    // Marsaglia's xorshift: the same streams each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut events = 0;
    for _ in 0..100_000 {
        let words = 1 + random(16);
        let stream: String = (0..words).map(|_| WORDS[random(WORDS.len())]).collect();
        let mut pieces = Vec::new();
        let mut rest = stream.as_bytes();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let split = agree(&pieces);
        assert!(split.is_ok(), "{stream:?} in {pieces:?}: {split:?}");
        assert_eq!(split, agree(&[stream.as_bytes()]), "{stream:?} in {pieces:?}");
        events += split.unwrap().len();
    }
    assert!(events > 20_000, "only {events} events");
}

const CLIENTS: u64 = 3;

/// Line ends of every kind, comments, data in two lines, writes that cut anywhere: measured as any feed is.
#[test]
fn a_feed_with_odd_line_ends_is_counted_to_the_byte() {
    let server = server::Odd::start();
    let here = tempfile::tempdir().unwrap();
    let scenario = here.path().join("odd.toml");
    let mut text = "title = \"Odd line ends\"\n[load]\ntrials = 1\nclients = 3\nconnect_over = \"100ms\"\n\
                    warmup = \"500ms\"\nmeasure = \"2s\"\n"
        .to_owned();
    for path in ["chunked", "until-close"] {
        text += &format!(
            "[[transport]]\nkind = \"sse\"\nname = \"{path}\"\nurl = \"http://{}/{path}\"\n[transport.message]\n\
             event = \"tick\"\nsequence = \"/n\"\nsent_at = \"/at\"\nsent_at_unit = \"ns\"\n",
            server.address
        );
    }
    fs::write(&scenario, text).unwrap();
    let output = assert_cmd::Command::cargo_bin("loadgen")
        .unwrap()
        .args(["run", scenario.to_str().unwrap(), "--out", here.path().to_str().unwrap()])
        .timeout(std::time::Duration::from_secs(60))
        .output()
        .unwrap();
    let shown = || String::from_utf8_lossy(&output.stderr).into_owned();
    let folder = fs::read_dir(here.path().join("odd")).unwrap_or_else(|_| panic!("{}", shown()));
    let folder = folder.map(|entry| entry.unwrap().path()).max().unwrap();
    let result = fs::read_to_string(folder.join("result.json")).unwrap();
    let result: RunResult = serde_json::from_str(&result).unwrap();
    for variant in &result.variants {
        let (name, trial) = (&variant.name, &variant.trials[0]);
        assert_eq!(trial.error, None, "{name}");
        let (updates, bytes, classes) = (&trial.updates, &trial.bytes, trial.validity.classes);
        assert!(updates.received_in_window > CLIENTS * 60, "{name}: {updates:?}");
        let faults = (updates.lost, updates.duplicated, updates.reordered, updates.pending_at_end);
        assert_eq!(faults, (Some(0), Some(0), Some(0), Some(0)), "{name}: {updates:?}");
        assert!(bytes.balanced && bytes.received.app_framing > 0, "{name}: {bytes:?}");
        let verdicts = (classes.counts, classes.bytes);
        assert_eq!(verdicts, (Verdict::Ok, Verdict::Ok), "{name}: {:?}", trial.validity);
        let (connections, written, read) = server.counted(name);
        let ours = (bytes.whole_life.received.socket_total, bytes.whole_life.sent.socket_total);
        assert_eq!((connections, written, read), (CLIENTS, ours.0, ours.1), "{name}: {bytes:?}");
    }
}
