//! What clients of a feed without a known schedule heard, row by row, until the feed is learned from it.
//!
//! One tape a worker. It keeps the server's own times as they were said; `learn` makes sense of them afterwards.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// No symbol was named.
pub(crate) const NO_SYMBOL: u32 = u32::MAX;
/// No time was said.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// One update as a message told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Its number, feed-wide or within its symbol; `None` where the feed does not number.
    pub sequence: Option<u64>,
    /// The symbol's name.
    pub symbol: Option<&'a str>,
    /// When it was due or made, in Unix nanoseconds of the server's clock.
    pub due_ns: Option<i64>,
    /// When it was published, where the server tells both.
    pub sent_ns: Option<i64>,
    /// The step of the last digit of these times as they are written, in nanoseconds; 0 if not known.
    pub step_ns: u64,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A delivery.
    Update,
    /// Shown at the beginning; not a delivery.
    Snapshot,
    /// Everything up to this number is known or will not come.
    Cursor,
}

/// Carried as an array in this order: a tape has many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "RowParts", from = "RowParts")]
pub(crate) struct Row {
    pub(crate) at_ns: u64,
    pub(crate) sequence: u64,
    pub(crate) due_ns: i64,
    pub(crate) sent_ns: i64,
    pub(crate) client: u32,
    pub(crate) symbol: u32,
    pub(crate) kind: Kind,
    /// Whether a message begins with it.
    pub(crate) begins: bool,
}

type RowParts = (u64, u64, i64, i64, u32, u32, Kind, bool);

impl From<Row> for RowParts {
    fn from(row: Row) -> Self {
        let Row { at_ns, sequence, due_ns, sent_ns, client, symbol, kind, begins } = row;
        (at_ns, sequence, due_ns, sent_ns, client, symbol, kind, begins)
    }
}

impl From<RowParts> for Row {
    fn from((at_ns, sequence, due_ns, sent_ns, client, symbol, kind, begins): RowParts) -> Self {
        Self { at_ns, sequence, due_ns, sent_ns, client, symbol, kind, begins }
    }
}

/// Rows of a chunk: a tape grows without ever copying what it has.
const CHUNK: usize = 16_384;

/// One worker's tape. One that was read from a message is complete: nothing is added to it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tape {
    chunks: Vec<Vec<Row>>,
    #[serde(skip)]
    names: HashMap<String, u32>,
    pub(crate) symbols: Vec<String>,
    /// When each client began to connect and stood; `None` for one that never did.
    pub(crate) connected: Vec<Option<(u64, u64)>>,
    begins: bool,
    step_ns: Option<u64>,
    skipped: u64,
    first_skipped: Option<String>,
}

impl Tape {
    /// An empty tape for `clients` clients.
    pub fn new(clients: usize) -> Self {
        Self { connected: vec![None; clients], ..Self::default() }
    }

    /// A client's stream stands; it began to connect at `from_ns`. Instants are CLOCK_MONOTONIC nanoseconds.
    pub fn connected(&mut self, client: usize, from_ns: u64, at_ns: u64) {
        self.connected[client] = Some((from_ns, at_ns));
    }

    /// A message begins: the updates that follow came in it.
    pub fn message(&mut self) {
        self.begins = true;
    }

    /// An update was received whole at `at_ns`.
    pub fn update(&mut self, client: usize, heard: &Heard<'_>, at_ns: u64) {
        self.push(client, heard, at_ns, Kind::Update);
    }

    /// An update of a snapshot: shown, not delivered.
    pub fn shown(&mut self, client: usize, heard: &Heard<'_>, at_ns: u64) {
        self.push(client, heard, at_ns, Kind::Snapshot);
    }

    /// A snapshot up to feed-wide number `last` ends: what is newer is expected.
    pub fn snapshot(&mut self, client: usize, last: u64, at_ns: u64) {
        self.push(client, &Heard { sequence: Some(last), ..Heard::default() }, at_ns, Kind::Cursor);
    }

    /// A message held no update that the rules recognise: `text` is kept of the first one.
    pub fn skip(&mut self, text: &str) {
        const KEPT: usize = 200;
        self.skipped += 1;
        self.first_skipped.get_or_insert_with(|| text.chars().take(KEPT).collect());
    }

    /// Messages skipped, and the beginning of the first one.
    pub fn skipped(&self) -> (u64, Option<&str>) {
        (self.skipped, self.first_skipped.as_deref())
    }

    /// The finest step of the times, in nanoseconds.
    pub(crate) fn step_ns(&self) -> Option<u64> {
        self.step_ns
    }

    /// Updates heard so far.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(Vec::len).sum::<usize>() as u64
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> + Clone {
        self.chunks.iter().flatten()
    }

    fn push(&mut self, client: usize, heard: &Heard<'_>, at_ns: u64, kind: Kind) {
        if heard.step_ns > 0 {
            self.step_ns = Some(self.step_ns.map_or(heard.step_ns, |known| known.min(heard.step_ns)));
        }
        let row = Row {
            at_ns,
            sequence: heard.sequence.unwrap_or_default(),
            due_ns: heard.due_ns.unwrap_or(NO_TIME),
            sent_ns: heard.sent_ns.unwrap_or(NO_TIME),
            client: client as u32,
            symbol: heard.symbol.map_or(NO_SYMBOL, |name| self.symbol(name)),
            kind,
            begins: std::mem::take(&mut self.begins),
        };
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(row),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
    }

    fn symbol(&mut self, name: &str) -> u32 {
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        let number = self.symbols.len() as u32;
        self.names.insert(name.to_owned(), number);
        self.symbols.push(name.to_owned());
        number
    }
}
