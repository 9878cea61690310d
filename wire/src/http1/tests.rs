//! Tables for whole connections: what follows a head, who answers whom, the switch to WebSocket.

use super::*;
use crate::testing::Log;

/// A turn of a conversation: bytes from the client, or from the server.
enum Turn {
    Up(&'static str),
    Down(&'static str),
}
use Turn::{Down, Up};

const GET: Turn = Up("GET / HTTP/1.1\r\n\r\n");
const HEAD: Turn = Up("HEAD / HTTP/1.1\r\n\r\n");
const UPGRADE: Turn = Up("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
const SWITCH: Turn = Down("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");

/// Feeds the turns in order, in pieces of `size` bytes, then settles; returns both logs.
fn converse(turns: &[Turn], size: usize) -> Result<(String, String), ScanError> {
    let (mut connection, mut up, mut down) = (Http1::new(), Log::default(), Log::default());
    for turn in turns {
        let (text, is_up) = match turn {
            Up(text) => (text, true),
            Down(text) => (text, false),
        };
        for piece in text.as_bytes().chunks(size) {
            if is_up { connection.up(piece, &mut up)? } else { connection.down(piece, &mut down)? }
        }
    }
    connection.settle(&mut up, &mut down);
    assert_eq!(connection.pending(), 0);
    Ok((up.text(), down.text()))
}

fn check(turns: &[Turn], up: &str, down: &str) {
    for size in [usize::MAX, 1, 2, 3, 7] {
        assert_eq!(converse(turns, size), Ok((up.to_owned(), down.to_owned())), "in pieces of {size}");
    }
}

fn check_fails(turns: &[Turn], expected: &ScanError) {
    for size in [usize::MAX, 1, 2, 3, 7] {
        assert_eq!(converse(turns, size).as_ref(), Err(expected), "in pieces of {size}");
    }
}

#[test]
fn a_response_has_the_body_that_its_head_says() {
    let check_down = |text, down: &str| check(&[GET, Down(text)], "H18 |", down);
    check_down("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "H38 B5 m5 |");
    check_down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "H38 |");
    check_down(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "H47 T3 B1 T5 H2 m1 |",
    );
    check_down("HTTP/1.1 200 OK\r\n\r\nuntil close", "H19 B11 m11 |");
    check_down("HTTP/1.1 200 OK\r\n\r\n", "H19 |");
    check_down("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nxyz", "H63 B3 m3 |");
    check_down("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "H46 |");
    check_down("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "H48 |");
    check_down("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n", "H25 | H17 |");
}

#[test]
fn a_coding_overrides_a_length() {
    let both = "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n";
    check(&[GET, Down(both)], "H18 |", "H62 T2 B1 T3 H1 m1 |");
}

#[test]
fn a_request_may_have_a_body() {
    let say = "POST /say HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    check(&[Up(say), Up(say)], "H41 B2 m2 | H41 B2 m2 |", "");
    check(&[Up("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n")], "H44 T2 B1 T3 H1 m1 |", "");
    check(&[Up("POST / HTTP/1.1\nContent-Length: 0\n\n")], "H35 |", "");
    // Only what a server sends is read as an event stream.
    let events = "POST / HTTP/1.1\nContent-Type: text/event-stream\nContent-Length: 3\n\n:\n\n";
    check(&[Up(events)], "H67 B3 m3 |", "");
    check_fails(&[Up("POST / HTTP/1.1\nTransfer-Encoding: gzip\n\n")], &ScanError::RequestCoding);
}

#[test]
fn responses_answer_requests_in_their_order() {
    let length = Down("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let hello = Down("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    check(&[HEAD, GET, length, hello], "H19 | H18 |", "H38 | H28 | H38 B5 m5 |");
    check(&[HEAD, Down("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")], "H19 |", "H44 |");
    check(&[Down("HTTP/1.1 408 Request Timeout\nContent-Length: 1\n\nx")], "", "H48 B1 m1 |");
}

#[test]
fn an_event_stream_is_scanned_through_its_chunks_or_until_close() {
    let head = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n";
    let chunks = "Transfer-Encoding: chunked\n\n9\ndata: x\n\n\n5\n: hb\n\n";
    let turns = [GET, Down(head), Down(chunks)];
    check(&turns, "H18 |", "H76 | T2 B9 m9 T1 | T3 A5");
    let turns = [GET, Down(head), Down("\ndata: x\n\n: hb\n\ndata:")];
    check(&turns, "H18 |", "H49 | B9 m9 | A6 | A5 |");
}

#[test]
fn a_switch_turns_both_directions_into_frames() {
    let frames = "\u{1}\u{1}x\0\0";
    check(&[UPGRADE, SWITCH], "H40 |", "H56 |");
    check(
        &[UPGRADE, SWITCH, Up("\u{1}\u{5}hello"), Down(frames), Down("\u{2}")],
        "H40 | T2 B5",
        "H56 | T2 B1 T3",
    );
    // The server's first frame may come in one read with its head.
    let with_frame = Down("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n\n\u{1}\u{2}hi");
    check(&[UPGRADE, with_frame], "H40 |", "H53 | T2 B2");
    check_fails(&[UPGRADE, SWITCH, Up("\u{3}\0")], &ScanError::Opcode { found: 3 });
}

#[test]
fn other_switches_fail() {
    let to_h2c = Down("HTTP/1.1 101 Switching Protocols\nUpgrade: h2c\n\n");
    check_fails(&[GET, to_h2c], &ScanError::OtherProtocol);
    check_fails(&[UPGRADE, Up("GET"), SWITCH], &ScanError::SwitchedEarly);
    check_fails(&[Up("CONNECT a:1 HTTP/1.1\n\n"), Down("HTTP/1.1 200 OK\n\n")], &ScanError::Tunnel);
}

#[test]
fn a_failed_connection_stays_failed_and_counts_nothing_more() {
    let (mut connection, mut up, mut down) = (Http1::new(), Log::default(), Log::default());
    let error = connection.up(b"hello\n", &mut up).unwrap_err();
    assert_eq!(error.to_string(), r#"request line is "hello", expected `METHOD target HTTP/1.1`"#);
    let counted = up.text();
    assert_eq!(connection.up(b"GET / HTTP/1.1\n\n", &mut up), Err(error.clone()));
    assert_eq!(connection.down(b"HTTP/1.1 200 OK\n\n", &mut down), Err(error));
    connection.settle(&mut up, &mut down);
    assert_eq!((up.text(), down.text()), (counted, String::new()));
}

#[test]
fn a_settled_connection_takes_no_more_bytes() {
    let (mut connection, mut up, mut down) = (Http1::new(), Log::default(), Log::default());
    connection.down(b"HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\ndata", &mut down).unwrap();
    assert_eq!((connection.pending(), down.text().as_str()), (4, "H49 |"));
    connection.settle(&mut up, &mut down);
    connection.settle(&mut up, &mut down);
    assert_eq!((connection.pending(), down.text().as_str()), (0, "H49 | A4 |"));
    assert_eq!(connection.down(b": x", &mut down), Err(ScanError::AfterEnd { bytes: 3 }));
}

/// Only the heads that it is told of.
#[derive(Default)]
struct Heads(Vec<(crate::HeadKind, u64)>);

impl Sink for Heads {
    fn count(&mut self, _part: crate::Part, _bytes: usize) {}

    fn message(&mut self, _body_bytes: u64) {}

    fn boundary(&mut self) {}

    fn head(&mut self, kind: HeadKind, bytes: u64) {
        self.0.push((kind, bytes));
    }
}

#[test]
fn heads_have_kinds_and_lengths_without_digits_that_grow() {
    let (mut connection, mut up, mut down) = (Http1::new(), Heads::default(), Heads::default());
    let get = "GET /q?after=12 HTTP/1.1\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789";
    connection.up([get, get, get, post].concat().as_bytes(), &mut up).unwrap();
    let content = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let unchanged = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let answers = [content, unchanged, empty, content].concat();
    connection.down(answers.as_bytes(), &mut down).unwrap();
    assert_eq!(up.0, [vec![(HeadKind::Get, 26); 3], vec![(HeadKind::OtherRequest, 37)]].concat());
    let expected = [
        (HeadKind::Content, 37),
        (HeadKind::NoContent, 39),
        (HeadKind::NoContent, 37),
        (HeadKind::OtherResponse, 37),
    ];
    assert_eq!(down.0, expected);
}

#[test]
fn a_request_that_is_the_same_again_counts_like_the_one_before() {
    let request = b"GET /quotes?after=12 HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = b"HTTP/1.1 304 Not Modified\r\n\r\n";
    let ask = |again: bool| {
        let (mut connection, mut up, mut down) = (Http1::new(), Log::default(), Log::default());
        connection.up(request, &mut up).unwrap();
        connection.down(answer, &mut down).unwrap();
        if again {
            assert!(connection.up_same_get(request.len(), request.len() as u64 - 2, &mut up));
        } else {
            connection.up(request, &mut up).unwrap();
        }
        connection.down(answer, &mut down).unwrap();
        (up.text(), down.text())
    };
    assert_eq!(ask(true), ask(false));
    let mut connection = Http1::new();
    connection.up(b"GET", &mut Log::default()).unwrap();
    assert!(!connection.up_same_get(9, 9, &mut Log::default()), "within a head");
}
