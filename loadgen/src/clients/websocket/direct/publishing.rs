//! Clients that publish the feed themselves and hear it come back: a round trip for each quote.
//!
//! Each begins at a time of its own ([`measurement::recorder::Phases`]) and goes on whether or not an answer is late: what
//! waits behind a slow answer counts from its due instant, as in any open loop.

use ticker::{Due, FeedError, Quote, Schedule, binary, symbol_name};
use wire::HeadKind;

use super::{Member, Sockets, TEXT, frame};
use crate::{
    direct::{Desk, Dialogue, Leave, Turn},
    plan::Encoding,
    worker::{ClientError, Job},
};

const BINARY: u8 = 2;
/// What stands before the record of a binary quote.
const KIND_BYTES: u64 = 1;

pub(super) struct Publishing {
    sockets: Sockets,
    /// What each client publishes, in order.
    dues: Vec<Due>,
    names: Vec<String>,
    encoding: Encoding,
    quote_bytes: u32,
    text: Vec<u8>,
}

impl Publishing {
    /// Clients of the job's feed.
    ///
    /// # Errors
    /// Feed settings that no server would take.
    pub(super) fn new(sockets: Sockets, job: &Job) -> Result<Self, FeedError> {
        let feed = &job.variant.feed;
        let count = job.frame.table.last_seq() as usize;
        Ok(Self {
            sockets,
            dues: Schedule::new(feed)?.take(count).collect(),
            names: (0..feed.symbols).map(symbol_name).collect(),
            encoding: job.variant.options.encoding,
            quote_bytes: feed.quote_bytes,
            text: Vec::with_capacity(feed.quote_bytes as usize),
        })
    }

    fn publish(&mut self, due: Due, due_ns: u64, turn: &mut Turn<'_>) {
        let anchor = turn.desk.job.anchor;
        let (due_us, sent_us) = (anchor.unix_us(due_ns), anchor.unix_us(turn.at_ns));
        let quote = Quote { due, symbol: &self.names[due.symbol as usize], due_us, sent_us };
        self.text.clear();
        let opcode = match self.encoding {
            Encoding::Text => {
                quote.encode(self.quote_bytes, &mut self.text);
                TEXT
            }
            Encoding::Binary => {
                binary::encode_padded(&quote, self.quote_bytes, &mut self.text);
                BINARY
            }
        };
        frame(turn, opcode, &self.text);
    }
}

/// One client.
#[derive(Default)]
pub(super) struct Publisher {
    member: Member,
    /// When its feed begins.
    from_ns: u64,
    /// Quotes that it has published.
    published: usize,
}

impl Dialogue for Publishing {
    type Client = Publisher;
    const ON_TIME: bool = true;

    fn publishes(&self) -> Option<u64> {
        Some(match self.encoding {
            Encoding::Text => 0,
            Encoding::Binary => KIND_BYTES,
        })
    }

    fn open(&mut self, client: &mut Publisher, turn: &mut Turn<'_>) {
        self.sockets.open(&mut client.member, turn);
    }

    fn status(&mut self, client: &mut Publisher, status: u16) {
        self.sockets.status(&mut client.member, status);
    }

    fn field(&mut self, client: &mut Publisher, name: &[u8], value: &[u8]) {
        self.sockets.field(&mut client.member, name, value);
    }

    fn head(
        &mut self,
        client: &mut Publisher,
        kind: HeadKind,
        turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        self.sockets.head(&mut client.member, kind, turn)?;
        if client.member.is_open() {
            // From the first quote on all are to come back.
            let (index, at_ns) = (turn.index, turn.at_ns);
            turn.recorder().snapshot(index, 0, std::iter::empty(), at_ns);
            turn.stands = true;
        }
        Ok(())
    }

    #[inline]
    fn message(
        &mut self,
        _client: &mut Publisher,
        text: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<u64, ClientError> {
        Ok(turn.take(text)?.payload)
    }

    fn control(
        &mut self,
        client: &mut Publisher,
        frame: (u8, &[u8]),
        turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        self.sockets.control(&mut client.member, frame, turn)
    }

    fn started(&mut self, client: &mut Publisher, t0_ns: u64, turn: &mut Turn<'_>) {
        client.from_ns = t0_ns + turn.desk.job.frame.phase(turn.number());
        turn.wake_ns = self.dues.first().map(|due| client.from_ns + due.offset_ns);
    }

    fn due(&mut self, client: &mut Publisher, turn: &mut Turn<'_>) {
        if !client.member.is_open() {
            return;
        }
        while let Some(&due) = self.dues.get(client.published) {
            let due_ns = client.from_ns + due.offset_ns;
            if due_ns > turn.at_ns {
                turn.wake_ns = Some(due_ns);
                return;
            }
            client.published += 1;
            self.publish(due, due_ns, turn);
            let at_ns = turn.at_ns;
            turn.recorder().action(due_ns, at_ns, false);
        }
    }

    fn close(&mut self, client: &mut Publisher, turn: &mut Turn<'_>) -> Leave {
        self.sockets.close(&mut client.member, turn)
    }

    fn unanswered(&mut self, client: &mut Publisher, desk: &mut Desk) {
        self.sockets.unanswered(&mut client.member, desk);
    }
}
