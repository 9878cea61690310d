//! Whole conversations, written together with the ledger that they must give.
//!
//! Each piece is written with its part of the wire beside it; no scanner is asked. [`script`] draws one.

use proptest::prelude::*;
use wire::{Part, Sink as _, Tally};

mod events;
mod frames;
mod polling;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// What one direction's sink must have been told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) tally: Tally,
    pub(crate) messages: Vec<u64>,
}

/// A conversation: turns in order, and what both sinks must have been told.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) turns: Vec<(Way, Vec<u8>)>,
    pub(crate) up: Expected,
    pub(crate) down: Expected,
}

impl Script {
    fn expected(&mut self, way: Way) -> &mut Expected {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Appends bytes of one part.
    fn put(&mut self, way: Way, part: Part, bytes: &[u8]) {
        self.expected(way).tally.count(part, bytes.len());
        match self.turns.last_mut() {
            Some((last, turn)) if *last == way => turn.extend_from_slice(bytes),
            _ => self.turns.push((way, bytes.to_vec())),
        }
    }

    /// A message of so many body bytes has ended.
    fn message(&mut self, way: Way, body_bytes: u64) {
        let expected = self.expected(way);
        expected.tally.message(body_bytes);
        expected.messages.push(body_bytes);
    }
}

/// A turn's length is told, not its bytes: a failing case stays readable.
impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |bytes: &[u8]| bytes[..bytes.len().min(400)].escape_ascii().to_string();
        f.debug_list()
            .entries(self.turns.iter().map(|(way, bytes)| (way, bytes.len(), show(bytes))))
            .entries([&self.up, &self.down])
            .finish()
    }
}

/// What comes after the polls.
#[derive(Clone, Debug)]
enum Tail {
    Nothing,
    Events(events::Stream),
    Frames(Vec<frames::Exchange>),
}

/// Some polls, then nothing, an event stream or a WebSocket.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let tail = prop_oneof![
        1 => Just(Tail::Nothing),
        3 => events::stream().prop_map(Tail::Events),
        3 => prop::collection::vec(frames::exchange(), 0..6).prop_map(Tail::Frames),
    ];
    (prop::collection::vec(polling::poll(), 0..5), tail).prop_map(|(polls, tail)| {
        let mut script = Script::default();
        polls.iter().for_each(|poll| poll.write(&mut script));
        match tail {
            Tail::Nothing => {}
            Tail::Events(stream) => stream.write(&mut script),
            Tail::Frames(exchanges) => frames::write(&exchanges, &mut script),
        }
        script
    })
}

/// Cuts `bytes` at the given lengths, which repeat.
pub(crate) fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(length.clamp(1, bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
