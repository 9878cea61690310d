//! Event streams: blocks with and without data, every line end, cut into chunks anywhere, ended anywhere.

use proptest::prelude::*;
use wire::Part;

use super::{Script, Way, cut};

/// A response that is an event stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    mark: bool,
    blocks: Vec<Block>,
    /// What of the last block never came.
    missing: usize,
    chunks: Option<Vec<usize>>,
    ends: bool,
}

#[derive(Clone, Debug)]
struct Block {
    lines: Vec<&'static str>,
    line_end: &'static str,
}

const LINES: [&str; 12] = [
    "data: {\"seq\":1}",
    "data",
    "data:",
    "data:  two spaces",
    ": hb",
    ":",
    "id: 41",
    "retry: 1000",
    "event: quote",
    "dat",
    "database: no",
    " data: no",
];

pub(super) fn stream() -> impl Strategy<Value = Stream> {
    let line_end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n")];
    let block = (prop::collection::vec(prop::sample::select(&LINES[..]), 0..5), line_end)
        .prop_map(|(lines, line_end)| Block { lines, line_end });
    let chunks = prop::option::of(prop::collection::vec(1_usize..40, 1..6));
    let blocks = prop::collection::vec(block, 0..12);
    let missing = prop_oneof![Just(0), 0_usize..20];
    (any::<bool>(), blocks, missing, chunks, any::<bool>())
        .prop_map(|(mark, blocks, missing, chunks, ends)| Stream { mark, blocks, missing, chunks, ends })
}

impl Block {
    fn has_data(&self) -> bool {
        self.lines.iter().any(|line| *line == "data" || line.starts_with("data:"))
    }

    fn text(&self) -> String {
        let ended = |line: &&str| format!("{line}{}", self.line_end);
        self.lines.iter().chain([&""]).map(ended).collect()
    }
}

impl Stream {
    pub(super) fn write(&self, script: &mut Script) {
        script.put(Way::Up, Part::Headers, b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";
        script.put(Way::Down, Part::Headers, head);
        let body = self.body(script);
        match &self.chunks {
            None => script.uncounted(b"\r\n", Part::Headers, &body),
            Some(chunks) => {
                script.put(Way::Down, Part::Headers, b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in cut(&body, chunks) {
                    script.uncounted(
                        format!("{:X}\r\n", piece.len()).as_bytes(),
                        Part::TransportFraming,
                        piece,
                    );
                    script.put(Way::Down, Part::TransportFraming, b"\r\n");
                }
                if self.ends {
                    script.put(Way::Down, Part::TransportFraming, b"0\r\n");
                    script.put(Way::Down, Part::Headers, b"\r\n");
                }
            }
        }
    }

    /// The stream as it came, its bytes entered into the ledger.
    fn body(&self, script: &mut Script) -> Vec<u8> {
        let mut body = if self.mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        let mut block_start = 0;
        let mut after_cr = false;
        for (index, block) in self.blocks.iter().enumerate() {
            let text = block.text();
            let missing = if index + 1 == self.blocks.len() { self.missing.min(text.len()) } else { 0 };
            body.extend_from_slice(&text.as_bytes()[..text.len() - missing]);
            // An LF after the CR that ended a block belongs to that line end: `block` is not one.
            let is_block = !(after_cr && text == "\n");
            // A block that ends in CRLF has ended at the CR.
            let late = usize::from(block.line_end == "\r\n");
            if is_block && missing <= late {
                let late = late - missing;
                script.block(block.has_data(), body.len() - block_start - late);
                block_start = body.len() - late;
            }
            if missing == 0 {
                script.app_framing(body.len() - block_start);
                block_start = body.len();
            }
            after_cr = block.line_end == "\r";
        }
        script.app_framing(body.len() - block_start);
        body
    }
}

impl Script {
    /// Appends `before` of part `part`, then bytes that were entered into the ledger already.
    fn uncounted(&mut self, before: &[u8], part: Part, bytes: &[u8]) {
        self.put(Way::Down, part, before);
        let (_, turn) = self.turns.last_mut().expect("something was put");
        turn.extend_from_slice(bytes);
    }

    fn block(&mut self, has_data: bool, bytes: usize) {
        if has_data {
            self.down.tally.body += bytes as u64;
            self.message(Way::Down, bytes as u64);
        } else {
            self.app_framing(bytes);
        }
    }

    fn app_framing(&mut self, bytes: usize) {
        self.down.tally.app_framing += bytes as u64;
    }
}
