//! `/socket.io/`: the behaviours that Engine.IO 4 and Socket.IO 5 name, byte by byte, and what is sent to whom.

use std::time::Duration;

use serde_json::Value;
use servers::Settings;
use tokio::time::sleep;

use crate::support::{Client, SYMBOLS, Server, seq, shape, steady, still};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A session over polls: one connection for all of them.
struct Polls {
    client: Client,
    path: String,
    open: Value,
}

impl Polls {
    async fn open(server: &Server) -> Self {
        let mut client = server.connect().await;
        client.get(POLLING, "").await;
        let (head, body) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: text/plain; charset=UTF-8\r\n"), "{head}");
        let open: Value = serde_json::from_str(body.strip_prefix('0').unwrap()).unwrap();
        let path = format!("{POLLING}&sid={}", open["sid"].as_str().unwrap());
        Self { client, path, open }
    }

    /// In the namespace, the snapshot taken: it and its packets.
    async fn joined(server: &Server) -> (Self, Vec<String>) {
        let mut polls = Self::open(server).await;
        assert_eq!(polls.post("40").await, (200, "ok".to_owned()));
        let mut packets = Vec::new();
        while !packets.iter().any(|packet: &String| packet.starts_with("42[\"snapshot\"")) {
            packets.extend(polls.packets().await);
        }
        (polls, packets)
    }

    /// The same on a feed without news, with the ping answered: the next poll is held.
    async fn quiet(server: &Server) -> Self {
        let (mut polls, mut packets) = Self::joined(server).await;
        while !packets.contains(&"2".to_owned()) {
            packets = polls.packets().await;
        }
        assert_eq!(polls.post("3").await.0, 200);
        polls
    }

    async fn poll(&mut self) -> (u16, String) {
        self.client.get(&self.path, "").await;
        self.answer().await
    }

    async fn post(&mut self, body: &str) -> (u16, String) {
        let length = body.len();
        let path = &self.path;
        self.client
            .send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"))
            .await;
        self.answer().await
    }

    async fn answer(&mut self) -> (u16, String) {
        let (head, body) = self.client.response().await;
        (head[9..12].parse().unwrap(), body)
    }

    async fn packets(&mut self) -> Vec<String> {
        let (status, body) = self.poll().await;
        assert_eq!(status, 200, "{body}");
        body.split('\x1e').map(str::to_owned).collect()
    }
}

/// A session over a WebSocket.
struct Frames {
    client: Client,
}

impl Frames {
    async fn open(server: &Server, path: &str) -> Self {
        let mut client = server.connect().await;
        client.get(path, UPGRADE).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { client }
    }

    async fn joined(server: &Server, connect: &str) -> Self {
        let mut frames = Self::open(server, WEBSOCKET).await;
        assert!(frames.packet().await.starts_with("0{"));
        frames.say(connect).await;
        while !frames.packet().await.starts_with("40{") {}
        frames
    }

    /// A text frame that is masked with zeros.
    async fn say(&mut self, packet: &str) {
        assert!(packet.len() < 126);
        let head = [0x81, 0x80 | packet.len() as u8, 0, 0, 0, 0];
        self.client.send([&head, packet.as_bytes()].concat()).await;
    }

    /// First byte and payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.client.exactly(2).await;
        let length = match head[1] {
            126 => {
                let length = self.client.exactly(2).await;
                usize::from(u16::from_be_bytes([length[0], length[1]]))
            }
            127 => u64::from_be_bytes(self.client.exactly(8).await.try_into().unwrap()) as usize,
            length => usize::from(length),
        };
        (head[0], self.client.exactly(length).await)
    }

    async fn packet(&mut self) -> String {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x81, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// The next event's argument; pings are answered.
    async fn event(&mut self, name: &str) -> String {
        loop {
            match self.packet().await.as_str() {
                "2" => self.say("3").await,
                packet => return argument(packet, name),
            }
        }
    }

    /// So many quotes, each the next one; the last one's number.
    async fn follow(&mut self, after: u64, count: u64) -> u64 {
        for expected in after + 1..=after + count {
            assert_eq!(seq(&self.event("quote").await), expected);
        }
        after + count
    }
}

/// The one argument of an event, verbatim.
fn argument(packet: &str, name: &str) -> String {
    let start = format!("42[\"{name}\",");
    let inner = packet.strip_prefix(&start).and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or_else(|| panic!("expected {start}…], found {packet}")).to_owned()
}

#[tokio::test]
async fn the_handshake_names_the_session_and_its_limits() {
    let settings = Settings { heartbeat: Duration::from_secs(7), ..still() };
    let server = Server::new(settings);
    let polls = Polls::open(&server).await;
    let sid = polls.open["sid"].as_str().unwrap();
    let text = |sid: &str, upgrades: &str| {
        format!(
            r#"{{"sid":"{sid}","upgrades":{upgrades},"pingInterval":7000,"pingTimeout":7000,"maxPayload":65536}}"#
        )
    };
    assert_eq!(polls.open, serde_json::from_str::<Value>(&text(sid, r#"["websocket"]"#)).unwrap());
    let mut frames = Frames::open(&server, WEBSOCKET).await;
    let open = frames.packet().await;
    let other = serde_json::from_str::<Value>(&open[1..]).unwrap()["sid"].as_str().unwrap().to_owned();
    assert_eq!(open, format!("0{}", text(&other, "[]")));
    assert!(sid.len() == 16 && sid != other, "{sid} {other}");
}

#[tokio::test]
async fn a_new_client_gets_a_snapshot_then_every_quote_on_each_carrier() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let mut frames = Frames::joined(&server, "40").await;
    let (last, gap, marked, seqs) = shape(&frames.event("snapshot").await);
    assert_eq!((gap, marked, seqs), (0, true, (last - 3..=last).collect()));
    frames.follow(last, 99).await;

    let (mut polls, packets) = Polls::joined(&server).await;
    // The first ping comes at any time.
    let packets: Vec<String> = packets.into_iter().filter(|packet| packet != "2").collect();
    let told = format!("{packets:?}");
    let mut quotes = packets.into_iter();
    assert!(quotes.next().unwrap().starts_with("40{\"sid\":\""), "{told}");
    let snapshot = quotes.find(|packet| packet.starts_with("42[\"snapshot\"")).unwrap();
    let (last, gap, marked, _) = shape(&argument(&snapshot, "snapshot"));
    assert_eq!((gap, marked), (0, true));
    let mut seqs: Vec<u64> = Vec::new();
    while seqs.len() < 100 {
        let events = quotes.filter(|packet| packet != "2");
        seqs.extend(events.map(|packet| seq(&argument(&packet, "quote"))));
        quotes = polls.packets().await.into_iter();
    }
    let expected = last + 1..=last + seqs.len() as u64;
    assert_eq!(seqs, expected.collect::<Vec<_>>());
    // Counts follow the bytes by a moment.
    let stats = server.stats_when(|stats| stats.transports["socketio"].quotes >= 198).await;
    let counted = stats.transports["socketio"];
    assert!(counted.requests > 10, "{counted:?}");
}

#[tokio::test]
async fn a_session_moves_to_a_websocket_without_losing_a_quote() {
    let server = Server::started(steady(500.0));
    let (mut polls, packets) = Polls::joined(&server).await;
    let sid = polls.open["sid"].as_str().unwrap().to_owned();
    let mut frames = Frames::open(&server, &format!("{WEBSOCKET}&sid={sid}")).await;
    frames.say("2probe").await;
    assert_eq!(frames.packet().await, "3probe");
    // What had been sent to polls, and the noop that ends the last one.
    let mut before = packets;
    while before.last().is_some_and(|packet| packet != "6") {
        before.extend(polls.packets().await);
    }
    frames.say("5").await;
    let mut seqs: Vec<u64> = before
        .iter()
        .filter(|packet| packet.starts_with("42[\"quote\""))
        .map(|packet| seq(&argument(packet, "quote")))
        .collect();
    let snapshot = before.iter().find(|packet| packet.starts_with("42[\"snapshot\"")).unwrap();
    let (last, ..) = shape(&argument(snapshot, "snapshot"));
    for _ in 0..50 {
        seqs.push(seq(&frames.event("quote").await));
    }
    assert_eq!(seqs, (last + 1..=last + seqs.len() as u64).collect::<Vec<_>>());
    let (status, body) = polls.poll().await;
    assert_eq!((status, body.as_str()), (400, r#"{"code":"3","message":"Bad request"}"#));
}

#[tokio::test]
async fn clients_are_in_the_rooms_that_they_ask_for() {
    let server = Server::after_bursts(2, still()).await;
    let mut frames = Frames::joined(&server, r#"40{"symbols":["ACME","BOLT"]}"#).await;
    let shown = frames.event("snapshot").await;
    let (last, gap, marked, seqs) = shape(&shown);
    assert_eq!((last, gap, marked, seqs.len()), (2 * SYMBOLS, 0, true, 2));
    assert!(shown.contains(r#""sym":"ACME""#) && shown.contains(r#""sym":"BOLT""#), "{shown}");

    frames.say(r#"42["subscribe",["CRUX"]]"#).await;
    let shown = frames.event("snapshot").await;
    assert_eq!(shape(&shown).3.len(), 1);
    assert!(shown.contains(r#""sym":"CRUX""#), "{shown}");

    frames.say(r#"42["subscribe",["CRUX","NONE"]]"#).await;
    let refused = frames.event("refused").await;
    assert!(refused.starts_with(r#"{"error":"symbol \"NONE\" is not in the feed"#), "{refused}");
    frames.say(r#"42["subscribe",7]"#).await;
    assert_eq!(frames.event("refused").await, r#"{"error":"subscribe takes an array of symbols"}"#);
    frames.say(r#"42["subscribe",[]]"#).await;
    assert_eq!(shape(&frames.event("snapshot").await).3, Vec::<u64>::new());
    // An event that nobody knows is nobody's.
    frames.say(r#"42["hello",1]"#).await;

    // A wish that makes no sense is none.
    let mut frames = Frames::joined(&server, r#"40{"symbols":"ACME"}"#).await;
    assert_eq!(shape(&frames.event("snapshot").await).3.len() as u64, SYMBOLS);
}

#[tokio::test]
async fn only_quotes_of_the_rooms_come() {
    let server = Server::started(steady(400.0));
    let mut frames = Frames::joined(&server, r#"40{"symbols":["DUNE"]}"#).await;
    frames.event("snapshot").await;
    let mut newest = 0;
    for _ in 0..30 {
        let quote = frames.event("quote").await;
        assert!(quote.contains(r#""sym":"DUNE""#), "{quote}");
        assert!(seq(&quote) > newest);
        newest = seq(&quote);
    }
}

#[tokio::test]
async fn the_first_ping_comes_at_once_and_one_without_a_pong_ends_the_session() {
    let server = Server::new(Settings { heartbeat: Duration::from_millis(400), ..still() });
    let mut answering = Frames::joined(&server, "40").await;
    let mut silent = Frames::open(&server, WEBSOCKET).await;
    assert!(silent.packet().await.starts_with("0{"));
    assert_eq!(silent.packet().await, "2");
    for _ in 0..6 {
        while answering.packet().await != "2" {}
        answering.say("3").await;
    }
    // A close packet and an empty close frame, then the end.
    assert_eq!(silent.client.rest().await, [0x81, 1, b'1', 0x88, 0]);

    let mut polls = Polls::open(&server).await;
    assert_eq!(polls.packets().await, ["2"]);
    assert_eq!(polls.packets().await, ["1"]);
    assert_eq!(polls.poll().await.0, 400);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let server = Server::new(still());
    let unknown = r#"{"code":"1","message":"Session ID unknown"}"#;
    let cases = [
        (format!("{POLLING}&sid=AAAAAAAAAAAAAAHs"), "", 400, unknown),
        (format!("{POLLING}&sid=junk"), "", 400, unknown),
        ("/socket.io/".to_owned(), "", 400, r#"{"code":"0","message":"Transport unknown"}"#),
        (
            "/socket.io/?EIO=4&transport=pigeon".to_owned(),
            "",
            400,
            r#"{"code":"0","message":"Transport unknown"}"#,
        ),
        (
            "/socket.io/?EIO=3&transport=polling".to_owned(),
            "",
            400,
            r#"{"code":"5","message":"Unsupported protocol version"}"#,
        ),
        // A WebSocket handshake that is none.
        (WEBSOCKET.to_owned(), "", 400, ""),
        (
            POLLING.to_owned(),
            "Origin: http://evil.test\r\n",
            403,
            r#"{"error":"this origin may not open a session here"}"#,
        ),
        (
            WEBSOCKET.to_owned(),
            "Origin: null\r\n",
            403,
            r#"{"error":"this origin may not open a session here"}"#,
        ),
        ("/socket.io".to_owned(), "", 404, ""),
    ];
    for (path, headers, status, expected) in cases {
        let (head, body) = server.get(&path, headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        assert_eq!(body, expected, "{path}");
    }
    let mut polls = Polls::open(&server).await;
    polls.path = POLLING.to_owned();
    assert_eq!(polls.post("40").await, (400, r#"{"code":"2","message":"Bad handshake method"}"#.to_owned()));
}

#[tokio::test]
async fn a_session_ends_with_the_fault_of_its_client() {
    let server = Server::new(still());
    let long = format!("4{}", "x".repeat(64 * 1024));
    for (fault, status) in [("x", 400), (long.as_str(), 413), ("42nonsense", 200), ("1", 200)] {
        let mut polls = Polls::open(&server).await;
        let shown = &fault[..1];
        assert_eq!(polls.post(fault).await.0, status, "{shown}");
        let (status, body) = polls.post("3").await;
        assert_eq!(
            (status, body.as_str()),
            (400, r#"{"code":"1","message":"Session ID unknown"}"#),
            "{shown}"
        );
    }

    for fault in ["x", "3probe", "5"] {
        let mut frames = Frames::joined(&server, "40").await;
        frames.event("snapshot").await;
        frames.say(fault).await;
        let rest = frames.client.rest().await;
        assert!(rest.ends_with(&[0x88, 0]), "{fault}: {rest:?}");
    }
    // The head of a frame of 64 KiB and one byte.
    let mut frames = Frames::joined(&server, "40").await;
    frames.client.send([0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]).await;
    let rest = frames.client.rest().await;
    assert!(rest.ends_with(&[0x88, 0]), "{rest:?}");
}

#[tokio::test]
async fn a_second_poll_beside_one_that_is_held_ends_the_session() {
    let server = Server::new(still());
    let mut first = Polls::quiet(&server).await;
    let mut second = Polls { client: server.connect().await, path: first.path.clone(), open: Value::Null };
    let (held, refused) = tokio::join!(first.poll(), async {
        sleep(Duration::from_millis(50)).await;
        second.poll().await
    });
    assert_eq!(held, (200, "1".to_owned()));
    assert_eq!(refused, (400, String::new()));
    assert_eq!(second.post("3").await.0, 400);
}

#[tokio::test]
async fn a_session_that_joins_nothing_ends() {
    let server = Server::new(Settings { header_timeout: Duration::from_millis(300), ..still() });
    let mut frames = Frames::open(&server, WEBSOCKET).await;
    assert!(frames.packet().await.starts_with("0{"));
    frames.say("40/elsewhere,").await;
    while !frames.packet().await.starts_with(r#"44/elsewhere,{"message":"Invalid namespace"}"#) {}
    assert!(frames.client.rest().await.ends_with(&[0x88, 0]));
}

#[tokio::test]
async fn a_client_that_leaves_gets_nothing_more() {
    let server = Server::started(steady(500.0));
    let mut frames = Frames::joined(&server, "40").await;
    frames.event("snapshot").await;
    frames.say("41").await;
    sleep(Duration::from_millis(100)).await;
    let counted = server.stats().await.transports["socketio"].quotes;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(server.stats().await.transports["socketio"].quotes, counted);
    // And comes back.
    frames.say("40").await;
    while !frames.packet().await.starts_with("40{") {}
    let (last, ..) = shape(&frames.event("snapshot").await);
    assert_eq!(seq(&frames.event("quote").await), last + 1);
}

#[tokio::test]
async fn a_client_that_does_not_poll_gets_what_fits_its_buffer_then_a_snapshot_with_the_gap() {
    let server = Server::started(Settings { replay_window: 200, ..steady(10_000.0) });
    let (mut polls, packets) = Polls::joined(&server).await;
    let snapshot = packets.iter().find(|packet| packet.starts_with("42[\"snapshot\"")).unwrap();
    let (mut newest, ..) = shape(&argument(snapshot, "snapshot"));
    let mut waiting: Vec<String> =
        packets.into_iter().skip_while(|packet| !packet.starts_with("42[\"snapshot\"")).skip(1).collect();
    server.stats_when(|stats| stats.published > newest + 2_000).await;
    let (mut gaps, mut since) = (0, 0);
    while gaps == 0 || since < 50 {
        for packet in waiting.drain(..).filter(|packet| packet != "2") {
            if packet.starts_with("42[\"snapshot\"") {
                let (last, gap, _, seqs) = shape(&argument(&packet, "snapshot"));
                let brought = seqs.iter().filter(|&&seq| seq > newest).count() as u64;
                assert_eq!(gap, last - newest - brought);
                assert!(gap > 0);
                (newest, gaps, since) = (last, gaps + 1, 0);
            } else {
                newest += 1;
                assert_eq!(seq(&argument(&packet, "quote")), newest);
                since += 1;
            }
        }
        waiting = polls.packets().await;
    }
    // Another one may wait in the buffer.
    assert!(server.stats().await.gaps.served >= gaps);
}

#[tokio::test]
async fn a_burst_larger_than_the_buffer_reaches_everybody_whole() {
    // Two bursts a second: the replay window holds two, so a second is how late a busy machine may be.
    let mut settings = steady(4_000.0);
    settings.feed.arrivals = ticker::Arrivals::Burst;
    settings.feed.symbols = 2_000;
    let server = Server::started(settings);
    let mut frames = Frames::joined(&server, "40").await;
    let (last, gap, ..) = shape(&frames.event("snapshot").await);
    assert_eq!(gap, 0);
    frames.follow(last, 10_000).await;
    assert_eq!(server.stats().await.gaps.served, 0);
}

#[tokio::test]
async fn stopping_ends_every_session_in_order() {
    let server = Server::after_bursts(1, still()).await;
    let mut polls = Polls::quiet(&server).await;
    let mut frames = Frames::joined(&server, "40").await;
    frames.event("snapshot").await;
    let (rest, held, (stats, took)) = tokio::join!(frames.client.rest(), polls.poll(), async {
        sleep(Duration::from_millis(50)).await;
        server.stop().await
    });
    assert!(rest.ends_with(&[0x81, 1, b'1', 0x88, 0]), "{rest:?}");
    assert_eq!(held, (200, "1".to_owned()));
    assert_eq!((stats.connections.open, stats.identity.mismatched), (0, 0));
    assert!(took < Settings::default().grace, "{took:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_the_others_do_not_notice() {
    // Who reads answers a ping within two seconds, however far behind a busy machine makes it.
    let settings = Settings {
        heartbeat: Duration::from_secs(2),
        stall_timeout: Duration::from_secs(1),
        ..steady(5_000.0)
    };
    let server = Server::started(settings);
    let mut other = Frames::joined(&server, "40").await;
    let mut stalled = Frames { client: server.connect_with_little_room().await };
    stalled.client.get(WEBSOCKET, UPGRADE).await;
    stalled.client.head().await;
    stalled.say("40").await;
    let (joined, ..) = shape(&other.event("snapshot").await);
    let mut newest = other.follow(joined, 500).await;
    // The other one, and the question.
    while server.stats().await.connections.open > 2 {
        assert!(newest < joined + 30_000, "not dropped within six seconds of quotes");
        newest = other.follow(newest, 500).await;
    }
    other.follow(newest, 500).await;
    server.stop().await;
}
