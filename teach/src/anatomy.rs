//! What the bytes of a connection are, field by field: for a reader who wants to see them.
//!
//! The scanner of `wire` says which layer each byte belongs to; names within a layer are found here.

use relay::Way;
use serde::Serialize;
use wire::{Connection, Part, Sink};

/// Bytes of one message that are kept; the rest is counted.
const MOST_SHOWN: usize = 2_048;

/// One message on the wire: a head with its body, a frame, an event, or a TLS record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Specimen {
    /// Its number on its lane, from 1.
    pub(crate) id: u64,
    /// When its last byte came to the relay, Unix microseconds on the scale of the quotes' `due`.
    pub(crate) at_us: u64,
    /// From the browser to the server.
    pub(crate) up: bool,
    /// All of it, in order.
    pub(crate) parts: Vec<Piece>,
    /// Its beginning.
    pub(crate) hex: String,
}

/// A run of bytes with a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Piece {
    /// `payload`, `app`, `transport`, `headers`, or `tls`.
    pub(crate) layer: &'static str,
    /// Such as a header field's name.
    pub(crate) name: String,
    /// How many.
    pub(crate) bytes: usize,
}

impl Piece {
    fn new(layer: &'static str, name: impl Into<String>, bytes: usize) -> Self {
        Self { layer, name: name.into(), bytes }
    }
}

/// Takes one connection apart.
pub(crate) struct Anatomist {
    scanner: Option<Connection>,
    up: Side,
    down: Side,
}

impl Default for Anatomist {
    fn default() -> Self {
        let up = Side { masks: true, ..Side::default() };
        Self { scanner: Some(Connection::http1()), up, down: Side::default() }
    }
}

impl Anatomist {
    /// The messages that end with these bytes.
    pub(crate) fn take(&mut self, way: Way, bytes: &[u8]) -> Vec<Specimen> {
        // The first byte of a handshake record (RFC 8446 section 5.1); no request begins with it.
        if way == Way::Up && self.up.is_new() && bytes.first() == Some(&22) {
            self.scanner = None;
        }
        let side = if way == Way::Up { &mut self.up } else { &mut self.down };
        side.bytes.extend_from_slice(bytes);
        match (&mut self.scanner, way) {
            (None, _) => side.records(),
            (Some(scanner), Way::Up) => {
                let _ = scanner.up(bytes, &mut self.up);
            }
            (Some(scanner), Way::Down) => {
                let _ = scanner.down(bytes, &mut self.down);
            }
        }
        // What was agreed on stands in the answer, and holds for both ways.
        self.up.frames |= self.down.frames;
        let side = if way == Way::Up { &mut self.up } else { &mut self.down };
        let mut done = std::mem::take(&mut side.done);
        done.iter_mut().for_each(|specimen| specimen.up = way == Way::Up);
        done
    }
}

/// One direction.
#[derive(Default)]
struct Side {
    /// What came and belongs to no finished message yet.
    bytes: Vec<u8>,
    /// The layers of its beginning.
    spans: Vec<(Part, usize)>,
    done: Vec<Specimen>,
    has_come: bool,
    /// Whether WebSocket frames come (RFC 6455), or will.
    frames: bool,
    /// Whether payloads of frames are masked, as clients' are (RFC 6455 section 5.3).
    masks: bool,
    switches: bool,
}

impl Side {
    fn is_new(&self) -> bool {
        !self.has_come && self.bytes.is_empty()
    }

    fn finish(&mut self) {
        let length = self.spans.iter().map(|(_, bytes)| bytes).sum::<usize>().min(self.bytes.len());
        if length == 0 {
            return;
        }
        self.has_come = true;
        let mut message: Vec<u8> = self.bytes.drain(..length).collect();
        conceal(&mut message);
        let mut parts = Vec::new();
        let mut at = 0;
        for (part, bytes) in std::mem::take(&mut self.spans) {
            let run = &message[at.min(length)..(at + bytes).min(length)];
            at += bytes;
            parts.extend(name(part, run, self.frames, self.masks));
        }
        self.frames |= std::mem::take(&mut self.switches);
        self.done.push(Specimen { parts, hex: hex(&message), ..Specimen::default() });
    }

    /// TLS records (RFC 8446 section 5.1): what they hold is nobody else's to read.
    fn records(&mut self) {
        while let Some(head) = self.bytes.first_chunk::<5>() {
            let length = 5 + usize::from(u16::from_be_bytes([head[3], head[4]]));
            if self.bytes.len() < length {
                return;
            }
            self.has_come = true;
            let kind = match head[0] {
                20 => "change cipher spec",
                21 => "alert",
                22 => "handshake",
                23 => "encrypted data",
                _ => "unknown record",
            };
            let record: Vec<u8> = self.bytes.drain(..length).collect();
            let parts = vec![Piece::new("tls", "record head", 5), Piece::new("tls", kind, length - 5)];
            self.done.push(Specimen { parts, hex: hex(&record), ..Specimen::default() });
        }
    }
}

impl Sink for Side {
    fn count(&mut self, part: Part, bytes: usize) {
        match self.spans.last_mut() {
            Some((last, sum)) if *last == part => *sum += bytes,
            _ => self.spans.push((part, bytes)),
        }
    }

    fn message(&mut self, _body_bytes: u64) {
        self.finish();
    }

    fn boundary(&mut self) {
        self.finish();
    }

    fn status(&mut self, status: u16) {
        self.switches = status == 101;
    }
}

/// Overwrites what proves somebody's identity elsewhere: cookies belong to a host whatever its port (RFC 6265 section 8.5), so
/// those of other programs come along. The page's own says nothing and stays.
fn conceal(message: &mut [u8]) {
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\n', &message[at..]) {
        let line = &mut message[at..at + length];
        at += length + 1;
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at_mut(colon + 1);
        let name = String::from_utf8_lossy(&name[..colon]).to_ascii_lowercase();
        let text = String::from_utf8_lossy(value).trim().to_owned();
        let is_own = text.starts_with("profile=") && !text.contains(';');
        let is_secret =
            ["authorization", "cookie", "set-cookie", "proxy-authorization"].contains(&name.as_str());
        if is_secret && !is_own {
            value.iter_mut().filter(|byte| byte.is_ascii_graphic()).for_each(|byte| *byte = b'x');
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(MOST_SHOWN).map(|byte| format!("{byte:02x}")).collect()
}

fn name(part: Part, run: &[u8], frames: bool, masks: bool) -> Vec<Piece> {
    match part {
        Part::Headers => head(run),
        Part::TransportFraming if frames => frame(run),
        Part::TransportFraming => vec![Piece::new("transport", "chunk framing", run.len())],
        Part::AppFraming => vec![Piece::new("app", "comment or empty block", run.len())],
        Part::Body if frames && masks => vec![Piece::new("payload", "masked", run.len())],
        Part::Body => body(run),
    }
}

/// A line each: the start line, then fields by name (RFC 9112 section 2.1).
fn head(run: &[u8]) -> Vec<Piece> {
    let lines = run.split_inclusive(|&byte| byte == b'\n');
    let piece = |(index, line): (usize, &[u8])| {
        let text = String::from_utf8_lossy(line);
        let name = match (index, text.split_once(':')) {
            (0, _) if text.starts_with("HTTP/") => "status line".to_owned(),
            (0, _) => "request line".to_owned(),
            (_, Some((name, _))) => name.to_ascii_lowercase(),
            (_, None) => "end of the head".to_owned(),
        };
        Piece::new("headers", name, line.len())
    };
    lines.enumerate().map(piece).collect()
}

/// The parts of a frame's head (RFC 6455 section 5.2).
fn frame(run: &[u8]) -> Vec<Piece> {
    let [first, second, ..] = *run else { return vec![Piece::new("transport", "frame", run.len())] };
    let kind = match first & 0x0F {
        0 => "continuation",
        1 => "text",
        2 => "binary",
        8 => "close",
        9 => "ping",
        10 => "pong",
        _ => "unknown opcode",
    };
    let fin = if first & 0x80 == 0 { "more to come" } else { "FIN" };
    let (masked, length) = (second & 0x80 != 0, second & 0x7F);
    let mut pieces = vec![
        Piece::new("transport", format!("{fin}, {kind}"), 1),
        Piece::new("transport", if masked { "MASK, length" } else { "length" }, 1),
    ];
    let extended = match length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let rest = [(extended, "extended length"), (if masked { 4 } else { 0 }, "masking key")];
    let mut left = run.len() - 2;
    for (bytes, name) in rest.into_iter().filter(|(bytes, _)| *bytes > 0 && *bytes <= run.len() - 2) {
        let bytes = bytes.min(left);
        left -= bytes;
        pieces.push(Piece::new("transport", name, bytes));
    }
    if left > 0 {
        pieces.push(Piece::new("transport", "control payload", left));
    }
    pieces
}

/// Quotes are payload; what is around them is the application's framing.
fn body(run: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some((from, to)) = quote(run, at) {
        if from > at {
            pieces.push(Piece::new("app", around(&run[at..from]), from - at));
        }
        pieces.push(Piece::new("payload", "quote", to - from));
        at = to;
    }
    if at < run.len() {
        // Without a quote in it all of it is what somebody said.
        let layer = if at == 0 && !run.starts_with(b"{\"last\"") { "payload" } else { "app" };
        pieces.push(Piece::new(layer, around(&run[at..]), run.len() - at));
    }
    pieces
}

/// Where the next quote begins and ends: its pad holds no bracket.
fn quote(run: &[u8], from: usize) -> Option<(usize, usize)> {
    let begin = from + memchr::memmem::find(&run[from..], b"{\"seq\":")?;
    let end = begin + memchr::memchr(b'}', &run[begin..])? + 1;
    Some((begin, end))
}

fn around(run: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(run).chars().take(24).collect();
    text.replace('\n', "⏎")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(specimen: &Specimen) -> Vec<(&str, &str, usize)> {
        specimen.parts.iter().map(|piece| (piece.layer, piece.name.as_str(), piece.bytes)).collect()
    }

    const QUOTE: &str = r#"{"seq":1,"sym":"ACME","pad":".."}"#;

    #[test]
    fn a_poll_comes_apart_into_lines_envelope_and_quotes() {
        let mut anatomist = Anatomist::default();
        let request = b"GET /quotes HTTP/1.1\r\nHost: a\r\n\r\n";
        let up = anatomist.take(Way::Up, request);
        assert_eq!(
            layers(&up[0]),
            [("headers", "request line", 22), ("headers", "host", 9), ("headers", "end of the head", 2)]
        );
        assert!(up[0].up && up[0].hex.starts_with("474554"));
        let body = format!("{{\"last\":1,\"quotes\":[{QUOTE}]}}");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let down = anatomist.take(Way::Down, format!("{head}{body}").as_bytes());
        let found = layers(down.last().unwrap());
        let total: usize = down.iter().flat_map(|specimen| &specimen.parts).map(|piece| piece.bytes).sum();
        assert_eq!(total, head.len() + body.len());
        assert!(found.contains(&("payload", "quote", QUOTE.len())), "{found:?}");
    }

    #[test]
    fn frames_are_named_in_both_directions_in_any_split() {
        let head = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let answer = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
        let frame = [&[0x81, QUOTE.len() as u8], QUOTE.as_bytes()].concat();
        for split in 1..frame.len() {
            let mut anatomist = Anatomist::default();
            assert_eq!(anatomist.take(Way::Up, head.as_bytes()).len(), 1);
            assert_eq!(anatomist.take(Way::Down, answer.as_bytes()).len(), 1);
            let mut down = anatomist.take(Way::Down, &frame[..split]);
            down.extend(anatomist.take(Way::Down, &frame[split..]));
            let whole = [
                ("transport", "FIN, text", 1),
                ("transport", "length", 1),
                ("payload", "quote", QUOTE.len()),
            ];
            assert_eq!(layers(&down[0]), whole, "{split}");
            let up = anatomist.take(Way::Up, &[0x88, 0x82, 1, 2, 3, 4, 2, 234]);
            let close = layers(&up[0]);
            assert_eq!(
                close[..3],
                [
                    ("transport", "FIN, close", 1),
                    ("transport", "MASK, length", 1),
                    ("transport", "masking key", 4)
                ]
            );
        }
    }

    #[test]
    fn secrets_of_others_are_concealed_in_their_length() {
        let mut head =
            b"GET / HTTP/1.1\r\nCookie: a=1; b=22\r\nauthorization: Basic QQ\r\nx: y\r\n\r\n".to_vec();
        conceal(&mut head);
        let text = String::from_utf8(head).unwrap();
        assert_eq!(text, "GET / HTTP/1.1\r\nCookie: xxxx xxxx\r\nauthorization: xxxxx xx\r\nx: y\r\n\r\n");
        let mut own = b"cookie: profile=ccc\r\n".to_vec();
        conceal(&mut own);
        assert_eq!(own, b"cookie: profile=ccc\r\n");
    }

    #[test]
    fn encrypted_records_are_told_by_their_heads() {
        let mut anatomist = Anatomist::default();
        assert!(anatomist.take(Way::Up, &[22, 3, 1, 0]).is_empty());
        let up = anatomist.take(Way::Up, &[2, 9, 9, 23, 3, 3, 0, 1, 7]);
        assert_eq!(layers(&up[0]), [("tls", "record head", 5), ("tls", "handshake", 2)]);
        assert_eq!(layers(&up[1]), [("tls", "record head", 5), ("tls", "encrypted data", 1)]);
    }
}
