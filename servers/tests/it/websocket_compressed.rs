//! `GET /ws` with permessage-deflate (RFC 7692): what is agreed on, what goes out, what is not put up with.

use std::io::Write as _;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, write::DeflateEncoder};
use servers::{Settings, settings::Deflate};
use ticker::FeedSettings;

use crate::support::{Client, SYMBOLS, Server, seq, shape, still};

const BROWSER: &str = "permessage-deflate; client_max_window_bits";

/// Opens one with an offer; the answer to it, if there is one.
async fn open(server: &Server, query: &str, offer: &str) -> (Client, Option<String>) {
    let mut client = server.connect().await;
    let handshake = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offer}\r\n"
    );
    client.get(&format!("/ws{query}"), &handshake).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let answer = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
    (client, answer.map(str::to_owned))
}

/// A frame of the server: (first byte, payload).
async fn frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.exactly(2).await;
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(client.exactly(2).await.try_into().unwrap())),
        length => usize::from(length),
    };
    assert!(length < 65_536 && head[1] < 127, "{head:?}");
    (head[0], client.exactly(length).await)
}

/// The code of the close frame that comes next, and that nothing comes after it.
async fn closed(client: &mut Client, fault: &str) -> u16 {
    let rest = client.rest().await;
    assert!(rest.len() >= 4, "{fault}: no close frame: {rest:?}");
    assert_eq!((rest[0], usize::from(rest[1])), (0x88, rest.len() - 2), "{fault}: {rest:?}");
    u16::from_be_bytes([rest[2], rest[3]])
}

/// A message's text (RFC 7692 section 7.2.2).
fn inflate(decoder: &mut Decompress, payload: &[u8]) -> String {
    let mut out = Vec::with_capacity(64 * 1024);
    for input in [payload, &[0, 0, 0xff, 0xff]] {
        let before = decoder.total_in();
        decoder.decompress_vec(input, &mut out, FlushDecompress::Sync).unwrap();
        assert_eq!(decoder.total_in() - before, input.len() as u64);
    }
    String::from_utf8(out).unwrap()
}

/// A client's frame with the mask 0.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn compressing(deflate: Deflate) -> Settings {
    Settings { deflate, ..still() }
}

#[tokio::test]
async fn the_handshake_answers_what_was_offered() {
    let (forgets, both) = (
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    );
    let cases = [
        (Deflate::Off, BROWSER, None),
        (Deflate::Takeover, BROWSER, Some("permessage-deflate")),
        (Deflate::Takeover, "x-webkit-deflate-frame", None),
        (Deflate::Takeover, forgets, Some(forgets)),
        (Deflate::Takeover, "permessage-deflate; colour=red, permessage-deflate", Some("permessage-deflate")),
        (Deflate::NoTakeover, BROWSER, Some(both)),
    ];
    for (deflate, offer, expected) in cases {
        let server = Server::new(compressing(deflate));
        let (_, answer) = open(&server, "", offer).await;
        assert_eq!(answer.as_deref(), expected, "{deflate:?} {offer}");
    }
}

#[tokio::test]
async fn quotes_are_compressed_with_or_without_those_before() {
    let mut sizes = Vec::new();
    for deflate in [Deflate::Takeover, Deflate::NoTakeover] {
        let server = Server::after_bursts(2, compressing(deflate)).await;
        let (mut client, _) = open(&server, "?after=0", BROWSER).await;
        let mut decoder = Decompress::new(false);
        let mut size = 0;
        for expected in 1..=2 * SYMBOLS {
            let (first, payload) = frame(&mut client).await;
            assert_eq!(first, 0xc1, "text, whole and compressed");
            if deflate == Deflate::NoTakeover {
                decoder.reset(false);
            }
            assert_eq!(seq(&inflate(&mut decoder, &payload)), expected);
            size += payload.len();
        }
        sizes.push(size);
        let (mut client, _) = open(&server, "", BROWSER).await;
        let (_, payload) = frame(&mut client).await;
        assert_eq!(shape(&inflate(&mut Decompress::new(false), &payload)).0, 2 * SYMBOLS);
    }
    assert!(sizes[0] < sizes[1] * 3 / 4, "{sizes:?}");
}

#[tokio::test]
async fn what_a_client_says_compressed_is_understood_with_what_it_said_before() {
    let server = Server::after_bursts(2, compressing(Deflate::Takeover)).await;
    let (mut client, _) = open(&server, "?after=8", BROWSER).await;
    let mut encoder = Compress::new(Compression::best(), false);
    let mut decoder = Decompress::new(false);
    for _ in 0..3 {
        let mut payload = Vec::with_capacity(1024);
        encoder.compress_vec(br#"{"subscribe":["BOLT"]}"#, &mut payload, FlushCompress::Sync).unwrap();
        payload.truncate(payload.len() - 4);
        client.send(masked(0xc1, &payload)).await;
        let (_, payload) = frame(&mut client).await;
        let (last, _, marked, seqs) = shape(&inflate(&mut decoder, &payload));
        assert_eq!((last, marked, seqs.len()), (8, true, 1));
    }
    // A message that is not compressed is allowed, too (RFC 7692 section 6).
    client.send(masked(0x81, br#"{"subscribe":["NOPE"]}"#)).await;
    assert_eq!(closed(&mut client, "unknown symbol").await, 1008);
}

#[tokio::test]
async fn broken_frames_end_with_a_close_frame_and_come_never_back() {
    let server = Server::new(compressing(Deflate::Takeover));
    let cases: [(&str, &[u8], &[u16]); 13] = [
        ("no mask", &[0x81, 0x01, b'a'], &[1002]),
        ("no mask, compressed", &[0xc1, 0x01, b'a'], &[1002]),
        ("text that is not UTF-8", &masked(0x81, &[0xff]), &[1007]),
        ("a reserved bit", &masked(0xa1, b"a"), &[1002]),
        ("a reserved opcode", &masked(0x83, b"a"), &[1002, 1003]),
        ("a close code that is reserved", &masked(0x88, &[0x03, 0xed]), &[1002]),
        ("a close code that is none", &masked(0x88, &[0, 1]), &[1002]),
        ("half a close code", &masked(0x88, &[3]), &[1002]),
        ("text among fragments", &[masked(0x01, b"a"), masked(0x81, b"b")].concat(), &[1002]),
        (
            "fragments that are too long",
            &[masked(0x01, &[b'a'; 40_000]), masked(0x00, &[b'a'; 40_000]), masked(0x00, &[b'a'; 60_000])]
                .concat(),
            &[1009],
        ),
        ("a ping in pieces", &masked(0x09, b""), &[1002]),
        ("a continuation of nothing", &masked(0x80, b"a"), &[1002]),
        ("what does not inflate", &masked(0xc1, &[0xff; 20]), &[1002, 1007, 1011]),
    ];
    for (fault, bytes, codes) in cases {
        let (mut client, _) = open(&server, "?after=0", BROWSER).await;
        client.send(bytes).await;
        let code = closed(&mut client, fault).await;
        assert!(codes.contains(&code), "{fault}: {code}");
    }
    let (mut client, _) = open(&server, "?after=0", BROWSER).await;
    client.send(masked(0x88, &[0x03, 0xe8])).await;
    assert_eq!(closed(&mut client, "no fault").await, 1000);
}

/// What `length` zeros come to.
pub(crate) fn bomb(length: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; length]).unwrap();
    encoder.flush().unwrap();
    let mut payload = encoder.get_ref().clone();
    payload.truncate(payload.len() - 4);
    masked(0xc1, &payload)
}

#[tokio::test]
async fn a_message_is_as_long_as_it_is_inflated() {
    let feed = FeedSettings::default();
    let server = Server::new(Settings { feed, ..compressing(Deflate::Takeover) });
    let (mut client, _) = open(&server, "?after=0", BROWSER).await;
    let bytes = bomb(32 << 20);
    assert!(bytes.len() < 64 * 1024, "the frame itself is within the limit: {}", bytes.len());
    client.send(bytes).await;
    assert_eq!(closed(&mut client, "a bomb").await, 1009);
    // One that is within it does no harm.
    let (mut client, _) = open(&server, "?after=0", BROWSER).await;
    client.send([bomb(60_000), masked(0x89, b"still here")].concat()).await;
    assert_eq!(frame(&mut client).await, (0x8a, b"still here".to_vec()));
}
