//! The ledger's attribution to phases and layers, and a real socket that takes and gives bytes in pieces.

use wire::{HeadKind, Part, Sink as _};

use super::*;

fn flow_at(phase: Phase, bytes: usize) -> Side {
    let mut flow = Side::new();
    flow.moved(bytes, 7, phase);
    flow
}

#[test]
fn a_message_counts_in_the_phase_of_its_first_byte() {
    let mut flow = flow_at(Phase::WarmUp, 4);
    flow.count(Part::TransportFraming, 2);
    flow.count(Part::Body, 2);
    // The rest of the message and a whole second one come in the next phase, in one read.
    flow.moved(10, 9, Phase::Measure);
    flow.count(Part::Body, 3);
    flow.message(5);
    flow.boundary();
    flow.count(Part::TransportFraming, 2);
    flow.count(Part::Body, 5);
    flow.message(5);
    flow.boundary();
    assert_eq!(flow.claim(6), None);
    assert_eq!(flow.claim(5), Some(Unit { stamp_ns: 9, phase: Phase::WarmUp, body_bytes: 5 }));
    assert_eq!(flow.claim(3), Some(Unit { stamp_ns: 9, phase: Phase::Measure, body_bytes: 5 }));
    assert_eq!(flow.claim(1), None);
    assert!(flow.sums.bytes.balanced(), "{:?}", flow.sums.bytes);
    assert_eq!(flow.sums.bytes.phase(Phase::WarmUp).socket_total, 7);
    assert_eq!(flow.sums.bytes.phase(Phase::Measure).app_framing, 2);
}

#[test]
fn what_tls_adds_is_a_layer_and_a_record_taken_late_is_a_debt_of_the_phase_before() {
    let mut flow = Side::new();
    flow.sealed(700, 0, 1, Phase::Connect);
    // A record of 122 bytes is read in the warm-up and taken in two halves, the second in the window.
    flow.moved(50, 2, Phase::WarmUp);
    flow.count(Part::Body, 50);
    flow.message(50);
    flow.boundary();
    flow.sealed(122, 50, 2, Phase::WarmUp);
    flow.moved(50, 3, Phase::Measure);
    flow.count(Part::Body, 50);
    flow.message(50);
    flow.sealed(0, 50, 3, Phase::Measure);
    flow.claim(50).unwrap();
    flow.claim(50).unwrap();
    flow.unseal();
    assert!(flow.sums.bytes.balanced(), "{:?}", flow.sums.bytes);
    let of = |phase| (flow.sums.bytes.phase(phase).tls, flow.sums.bytes.phase(phase).socket_total);
    assert_eq!([of(Phase::Connect), of(Phase::WarmUp), of(Phase::Measure)], [(700, 700), (22, 72), (0, 50)]);
    assert_eq!(flow.sums.bytes.socket_total(), 822);
}

#[test]
fn a_wrong_byte_planted_in_a_layer_breaks_the_identity() {
    let mut flow = flow_at(Phase::Measure, 100);
    flow.count(Part::Headers, 99);
    assert!(!flow.sums.bytes.balanced());
    flow.count(Part::Headers, 1);
    assert!(flow.sums.bytes.balanced());
    flow.count(Part::AppFraming, 1);
    assert!(!flow.sums.bytes.balanced());
}

/// A peer that takes a long request in small pieces, then answers in chunks of every size.
async fn slow_peer(listener: tokio::net::TcpListener, request: usize) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut taken, mut part) = (0, vec![0; 30_001]);
    while taken < request {
        taken += stream.read(&mut part).await.unwrap();
    }
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for size in (1..400_usize).chain([70_000]) {
        answer.extend(format!("{size:x}\r\n{}\r\n", "x".repeat(size)).into_bytes());
    }
    answer.extend(b"0\r\nA-Trailer: y\r\n\r\n");
    for piece in answer.chunks(997) {
        stream.write_all(piece).await.unwrap();
    }
    while stream.read(&mut part).await.unwrap() > 0 {}
    answer
}

#[tokio::test(flavor = "current_thread")]
async fn partial_writes_and_reads_are_counted_as_they_moved_and_the_kernel_agrees() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::reference(listener.local_addr().unwrap(), None).unwrap();
    let body = vec![b'y'; 16 << 20];
    let head = format!("POST /say HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let request = head.len() + body.len();
    let exchange = async {
        let socket =
            Socket::connect(&endpoint, Rc::default(), (Http::H1, None), Bodies::Whole).await.unwrap();
        let mut wire = socket.wire();
        let (mut sent, mut calls) = (0, 0);
        while sent < request {
            // Head and body in one vectored write, of which the kernel takes what it has room for.
            let pieces = if sent < head.len() {
                vec![IoSlice::new(&head.as_bytes()[sent..]), IoSlice::new(&body)]
            } else {
                vec![IoSlice::new(&body[sent - head.len()..])]
            };
            sent += wire.write_vectored(&pieces).await.unwrap();
            calls += 1;
        }
        assert!(calls > 1, "the kernel took everything at once");
        let mut answer = Vec::new();
        let mut part = [0; 613];
        while !answer.ends_with(b"y\r\n\r\n") {
            let read = wire.read(&mut part).await.unwrap();
            assert!(read > 0);
            answer.extend_from_slice(&part[..read]);
        }
        assert!(socket.claim_sent().is_some() && socket.claim(5).is_some());
        drop(wire);
        (answer, socket.finish().await)
    };
    let (answered, (answer, books)) = tokio::join!(slow_peer(listener, request), exchange);
    assert_eq!(answer, answered);
    assert_eq!(books.sent.socket_total(), request as u64);
    assert_eq!(books.received.socket_total(), answered.len() as u64);
    assert!(books.sent.balanced() && books.received.balanced(), "{books:?}");
    assert_eq!((books.check.checked, books.check.mismatched, books.unclaimed), (1, 0, 0), "{books:?}");
    let received = books.received.phase(Phase::Connect);
    assert_eq!(received.payload + received.app_framing, (1..400).sum::<u64>() + 70_000);
}

#[test]
fn steady_lengths_are_those_of_the_window_and_of_the_first_heads() {
    let mut flow = flow_at(Phase::Connect, 30);
    flow.count(Part::Headers, 30);
    flow.head(HeadKind::Content, 28);
    flow.boundary();
    flow.moved(60, 8, Phase::Measure);
    // A chunk with a message, one with a heartbeat, and a second head.
    flow.count(Part::TransportFraming, 4);
    flow.length_digits(2);
    flow.count(Part::Body, 20);
    flow.message(20);
    flow.count(Part::TransportFraming, 2);
    flow.boundary();
    flow.count(Part::TransportFraming, 4);
    flow.boundary();
    flow.count(Part::Headers, 30);
    flow.head(HeadKind::NoContent, 29);
    flow.boundary();
    let one = |bytes| measurement::result::Counted { count: 1, bytes };
    assert_eq!((flow.sums.steady.opening_responses, flow.sums.steady.messages), (one(28), one(4)));
    assert_eq!((flow.sums.steady.empty_responses, flow.sums.steady.responses.count), (one(29), 0));
}
