//! What a client that publishes by itself says, and when: the feed's own schedule, begun at a time of its own.

use ticker::{Due, Quote, Schedule, binary, symbol_name};

use super::Ran;
use crate::{
    plan::{Encoding, Workload},
    worker::{Client, ClientError},
};

/// How soon it is looked again whether a message was written.
pub(super) const LOOK_AGAIN_NS: u64 = 50_000;
/// What stands before the record of a binary quote.
const KIND_BYTES: u64 = 1;

/// A client's messages in order.
pub(super) struct Messages {
    dues: std::iter::Take<Schedule>,
    from_ns: u64,
    next: Option<Due>,
    /// When each was handed over: the first of those that are still to be answered has this number.
    sent: std::collections::VecDeque<u64>,
    answered: u64,
}

/// One message.
pub(super) struct Said {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Bytes of it that are the update.
    pub(super) payload: u64,
    /// When it was due.
    pub(super) due_ns: u64,
}

impl Messages {
    /// Those of a client whose trial began at `t0_ns`. From the first on all are expected to be answered.
    pub(super) fn new(client: &Client, t0_ns: u64) -> Result<Self, ClientError> {
        let frame = &client.worker.job.frame;
        let schedule =
            Schedule::new(&client.plan().feed).map_err(|error| ClientError::Handshake(error.to_string()))?;
        let mut dues = schedule.take(frame.table.last_seq() as usize);
        let next = dues.next();
        let from_ns = t0_ns + frame.phase(client.number());
        Ok(Self { dues, from_ns, next, sent: std::collections::VecDeque::new(), answered: 0 })
    }

    /// When the next one is due; never, where there is none.
    pub(super) fn due_ns(&self) -> u64 {
        self.next.map_or(u64::MAX, |due| self.from_ns + due.offset_ns)
    }

    /// The next one, as it is said at `at_ns`.
    pub(super) fn next(&mut self, client: &Client, at_ns: u64) -> Option<Said> {
        let due = self.next?;
        let due_ns = self.due_ns();
        self.next = self.dues.next();
        let anchor = client.worker.job.anchor;
        let symbol = symbol_name(due.symbol);
        let (due_us, sent_us) = (anchor.unix_us(due_ns), anchor.unix_us(at_ns));
        let quote = Quote { due, symbol: &symbol, due_us, sent_us };
        let mut bytes = Vec::with_capacity(client.plan().feed.quote_bytes as usize);
        let around = match client.plan().options.encoding {
            Encoding::Text => {
                quote.encode(client.plan().feed.quote_bytes, &mut bytes);
                0
            }
            Encoding::Binary => {
                // What comes back is as long as it is wanted; a report is as short as it can be.
                if client.plan().workload == Workload::Echo {
                    binary::encode_padded(&quote, client.plan().feed.quote_bytes, &mut bytes);
                } else {
                    binary::encode_quote(&quote, &mut bytes);
                }
                KIND_BYTES
            }
        };
        if client.plan().workload == Workload::Uplink {
            self.sent.push_back(at_ns);
        }
        let payload = bytes.len() as u64 - around;
        Some(Said { bytes, payload, due_ns })
    }

    /// The oldest message that was not answered has been, at `at_ns`: they are answered in order.
    pub(super) fn acknowledged(&mut self, client: &Client, at_ns: u64) -> Ran {
        let sent_ns = self.sent.pop_front().ok_or(ClientError::Unscanned)?;
        self.answered += 1;
        let mut recorder = client.worker.recorder.borrow_mut();
        recorder.quote(client.index, self.answered, sent_ns, at_ns);
        recorder.batch_end(client.index, at_ns);
        client.shows(recorder.delivered());
        Ok(())
    }
}

/// From its first message on, all of a client's are expected.
pub(super) fn begin(client: &Client, at_ns: u64) {
    client.worker.recorder.borrow_mut().snapshot(client.index, 0, std::iter::empty(), at_ns);
}
