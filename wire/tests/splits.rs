//! However a conversation is split, the ledger is the one it was written with, and nothing panics.
//!
//! Conversations come from `conversation/`; single rules have their tables beside the code.

mod conversation;

use conversation::{Expected, Script, Way, cut, script};
use proptest::prelude::*;
use wire::{Http1, Part, ScanError, Sink, Tally};

/// Everything that a sink was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    expected: Expected,
    /// Reports in order, adjoining counts of one part added up.
    log: Vec<Report>,
    /// What was handed out: each message, head field and control frame whole.
    said: Vec<Said>,
    /// Pieces of the message and of the control frame at hand.
    open: (Vec<u8>, Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Count(Part, usize),
    Message(u64),
    Boundary,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Message(Vec<u8>),
    Status(u16),
    Field(Vec<u8>, Vec<u8>),
    Control(u8, Vec<u8>),
}

impl Sink for Record {
    fn count(&mut self, part: Part, bytes: usize) {
        self.expected.tally.count(part, bytes);
        match self.log.last_mut() {
            Some(Report::Count(last, sum)) if *last == part => *sum += bytes,
            _ => self.log.push(Report::Count(part, bytes)),
        }
    }

    fn message(&mut self, body_bytes: u64) {
        self.expected.tally.message(body_bytes);
        self.expected.messages.push(body_bytes);
        self.log.push(Report::Message(body_bytes));
        assert_eq!(self.open.0.len() as u64, body_bytes, "a message is handed out whole");
        self.said.push(Said::Message(std::mem::take(&mut self.open.0)));
    }

    fn boundary(&mut self) {
        self.log.push(Report::Boundary);
    }

    fn body(&mut self, piece: &[u8]) {
        self.open.0.extend_from_slice(piece);
    }

    fn dropped(&mut self) {
        self.open.0.clear();
    }

    fn status(&mut self, status: u16) {
        self.said.push(Said::Status(status));
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.said.push(Said::Field(name.to_vec(), value.to_vec()));
    }

    fn control(&mut self, piece: &[u8]) {
        self.open.1.extend_from_slice(piece);
    }

    fn control_end(&mut self, opcode: u8) {
        self.said.push(Said::Control(opcode, std::mem::take(&mut self.open.1)));
    }
}

/// Both directions of a scanned conversation: what was fed, and what was told of it.
#[derive(Default)]
struct Scan {
    connection: Http1,
    up: Record,
    down: Record,
    fed: (u64, u64),
}

impl Scan {
    /// Feeds one piece; the books must balance after it.
    fn feed(&mut self, way: Way, piece: &[u8]) -> Result<(), ScanError> {
        match way {
            Way::Up => self.connection.up(piece, &mut self.up)?,
            Way::Down => self.connection.down(piece, &mut self.down)?,
        }
        *(if way == Way::Up { &mut self.fed.0 } else { &mut self.fed.1 }) += piece.len() as u64;
        let (up, down) = self.totals();
        assert_eq!((up, down + self.connection.pending()), self.fed, "counted and pending, fed");
        Ok(())
    }

    fn totals(&self) -> (u64, u64) {
        let total = |record: &Record| Tally::total(&record.expected.tally);
        (total(&self.up), total(&self.down))
    }

    /// Feeds all turns in pieces of the given lengths, which repeat, and settles.
    fn of(script: &Script, lengths: &[usize]) -> Result<Self, ScanError> {
        let mut scan = Self::default();
        for (way, bytes) in &script.turns {
            cut(bytes, lengths).into_iter().try_for_each(|piece| scan.feed(*way, piece))?;
        }
        scan.connection.settle(&mut scan.up, &mut scan.down);
        assert_eq!((scan.totals(), scan.connection.pending()), (scan.fed, 0), "settled");
        Ok(scan)
    }
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![3 => 1_usize..6, 2 => 1_usize..200, 1 => 1_usize..70_000], 1..12)
}

/// Bytes that look enough like the protocols to get past their first checks.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 204 N\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 7\r\n",
        b"Content-Type: text/event-stream\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"7\r\n",
        b"0\r\n\r\n",
        b"data: x",
        b"\n\n",
        b": hb\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n",
        b"\xef\xbb\xbf",
        b"\x81\x01x",
        b"\x01\x00",
        b"\x80\x00",
        b"\x89\x00",
        b"\x82\x7f",
        b"\x82\xfe\x00",
    ];
    let piece = prop_oneof![
        6 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_ledger_is_the_same_for_every_split(script in script(), lengths in lengths()) {
        let whole = Scan::of(&script, &[usize::MAX])?;
        prop_assert_eq!(&whole.up.expected, &script.up);
        prop_assert_eq!(&whole.down.expected, &script.down);
        for lengths in [&[1][..], &lengths] {
            let split = Scan::of(&script, lengths)?;
            prop_assert_eq!(&split.up, &whole.up);
            prop_assert_eq!(&split.down, &whole.down);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_are_never_counted_twice(
        turns in prop::collection::vec((any::<bool>(), noise()), 1..5),
        lengths in lengths(),
    ) {
        let turns = turns.into_iter().map(|(up, bytes)| (if up { Way::Up } else { Way::Down }, bytes)).collect();
        let script = Script { turns, ..Script::default() };
        let whole = Scan::of(&script, &[usize::MAX]);
        let split = Scan::of(&script, &lengths);
        match (whole, split) {
            (Ok(whole), Ok(split)) => prop_assert_eq!((whole.up, whole.down), (split.up, split.down)),
            (whole, split) => prop_assert_eq!(whole.err(), split.err()),
        }
    }

    #[test]
    fn a_failed_scan_has_not_counted_more_than_was_fed(up in noise(), down in noise(), size in 1_usize..40) {
        let (mut connection, mut tally_up, mut tally_down) = (Http1::new(), Tally::default(), Tally::default());
        let failed = up.chunks(size).any(|piece| connection.up(piece, &mut tally_up).is_err())
            || down.chunks(size).any(|piece| connection.down(piece, &mut tally_down).is_err());
        prop_assert!(tally_up.total() <= up.len() as u64);
        prop_assert!(tally_down.total() + connection.pending() <= down.len() as u64);
        if failed {
            let before = (tally_up, tally_down);
            prop_assert!(connection.up(&down, &mut tally_up).is_err());
            prop_assert!(connection.down(&up, &mut tally_down).is_err());
            prop_assert_eq!((tally_up, tally_down), before);
        }
    }
}
