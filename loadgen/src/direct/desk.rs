//! What the clients of one worker share: recorder, timeline, notes. It moves no bytes.

use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use measurement::{ledger::Phase, recorder::Recorder};
use ticker::random;

use super::Setup;
use crate::{
    socket::{
        Books, Unit,
        flow::{Messages, Sums},
    },
    timeline::Timeline,
    worker::{ClientError, Found, Job, Live, Notes},
};

/// The stream of random numbers that masks are made of.
const STREAM_MASKS: u64 = 31;

/// One worker's desk.
pub(crate) struct Desk {
    /// Its part of the trial.
    pub(crate) job: Job,
    /// Receptions.
    pub(crate) recorder: Recorder,
    /// What went wrong, and how streams closed.
    pub(crate) notes: Notes,
    /// When the feed started, if it has.
    pub(crate) t0_ns: Option<u64>,
    pub(crate) timeline: Rc<Timeline>,
    pub(crate) live: Arc<Live>,
    /// Of connections that are over, besides their bytes.
    pub(crate) books: Books,
    /// Messages that were scanned and not decoded.
    pub(super) unclaimed: u64,
    /// Quotes read; every so often one is read again by the parser.
    pub(super) read: u64,
    /// Number and sending time of the quotes of one answer.
    pub(super) quotes: Vec<(u64, u64)>,
    masks: (u64, u64),
}

impl Desk {
    pub(crate) fn new(setup: Setup, seed: u64) -> Self {
        let Setup { job, live, .. } = setup;
        let clients = job.clients.len();
        let recorder = Recorder::new(job.frame.clone(), clients, job.clients.start == 0)
            .numbered_from(job.clients.start);
        Self {
            job,
            recorder,
            notes: Notes::default(),
            t0_ns: None,
            timeline: Rc::default(),
            live,
            books: Books::default(),
            unclaimed: 0,
            read: 0,
            quotes: Vec::with_capacity(1024),
            masks: (seed, 0),
        }
    }

    /// A mask for one frame, unlike the one before (RFC 6455 section 5.3).
    pub(crate) fn mask(&mut self) -> [u8; 4] {
        self.masks.1 += 1;
        let bits = random::bits(self.masks.0, STREAM_MASKS, self.masks.1);
        ((bits >> 32) as u32).to_ne_bytes()
    }

    /// The client could not connect, or lost its connection though nobody asked for it.
    pub(crate) fn failed(&mut self, index: usize, stands: bool, error: &ClientError) {
        let counter = if stands { &self.live.disconnected } else { &self.live.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.notes.client(self.job.number(index), error);
    }

    /// A message that nobody decodes any more.
    pub(super) fn unread(&mut self, unit: &Unit) {
        // A stream that is given up leaves messages of the drain unread; earlier ones must all be decoded.
        self.unclaimed += u64::from(unit.phase < Phase::Drain);
    }

    pub(crate) fn found(self, down: &Sums, up: &Sums) -> Found {
        let mut books = Books { unclaimed: self.unclaimed, ..Books::of(down, up) };
        books.merge(&self.books);
        Found::of(self.recorder, &self.timeline, books, self.notes, &self.live)
    }
}

/// What clients say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// Questions and wishes.
    Asking,
    /// Updates, with so many bytes of each message around them.
    Publishing(u64),
}

impl Messages for Ours {
    fn ended(&mut self, unit: Unit) -> Option<u64> {
        match self {
            Self::Asking => Some(0),
            Self::Publishing(around) => Some(unit.body_bytes.saturating_sub(*around)),
        }
    }
}
