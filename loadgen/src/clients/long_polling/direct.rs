//! Long polling on the direct engine: each client asks at once again.

use std::io;

use wire::HeadKind;

use super::{
    super::{
        answer::Answer,
        prepared::{self, Prepared},
    },
    PATH, SHORTEST_PAUSE,
};
use crate::{
    direct::{self, Cut, Dialogue, Setup, Turn},
    worker::{ClientError, Found},
};

pub(in crate::clients) fn direct(setup: Setup) -> io::Result<Found> {
    let prepared = Prepared::new(&setup.job, &[]).map_err(io::Error::other)?;
    direct::run(setup, Holds { prepared })
}

struct Holds {
    prepared: Prepared,
}

/// One client.
#[derive(Default)]
struct Holder {
    cursor: Option<u64>,
    symbols: Option<Box<str>>,
    answer: Answer,
    /// When it made up its mind to ask, and when the question was written.
    asked_ns: u64,
    said_ns: u64,
    /// When the answer before was whole, if it had updates.
    before_ns: Option<u64>,
    asked: bool,
    again: bool,
    stands: bool,
}

impl Holds {
    fn ask(&self, holder: &mut Holder, turn: &mut Turn<'_>) {
        holder.asked = true;
        holder.answer = Answer::default();
        let job = &turn.desk.job;
        let path = job.endpoint.path.as_deref().unwrap_or(PATH);
        prepared::target(turn.out, (path, holder.cursor), "", holder.symbols.as_deref());
        self.prepared.end(turn.out);
        turn.same_get =
            holder.stands.then(|| self.prepared.steady(turn.out, prepared::digits(holder.cursor)));
    }

    fn answered(&self, holder: &mut Holder, updates: usize, turn: &mut Turn<'_>) {
        (holder.asked, holder.again) = (false, false);
        let (asked_ns, done_ns) = (holder.asked_ns, turn.at_ns);
        if holder.stands {
            turn.recorder().request(asked_ns, done_ns, updates);
            if let Some(before_ns) = holder.before_ns {
                turn.recorder().rearmed(before_ns, holder.said_ns);
            }
        } else {
            holder.stands = true;
            turn.stands = true;
        }
        holder.before_ns = Some(done_ns);
        if updates == 0 {
            // Such a pause is ours, not the protocol's.
            holder.before_ns = None;
            turn.wake_ns = Some(asked_ns + SHORTEST_PAUSE.as_nanos() as u64);
        } else {
            holder.asked_ns = done_ns;
            self.ask(holder, turn);
        }
    }
}

impl Dialogue for Holds {
    type Client = Holder;
    const ON_TIME: bool = false;

    fn open(&mut self, holder: &mut Holder, turn: &mut Turn<'_>) {
        if !holder.stands {
            holder.asked_ns = turn.at_ns;
            holder.symbols = turn.desk.job.symbols(turn.index).map(|symbols| symbols.join(",").into());
        }
        self.ask(holder, turn);
        // A new connection has not scanned such a request before.
        turn.same_get = None;
    }

    fn status(&mut self, holder: &mut Holder, status: u16) {
        holder.answer.status(status);
    }

    fn field(&mut self, holder: &mut Holder, name: &[u8], value: &[u8]) {
        holder.answer.field(name, value);
    }

    fn head(&mut self, holder: &mut Holder, kind: HeadKind, turn: &mut Turn<'_>) -> Result<(), ClientError> {
        if !holder.answer.is_final() {
            return Ok(());
        }
        holder.answer.check(&[200, 204, 304], "200, 204 or 304")?;
        if kind != HeadKind::Content {
            self.answered(holder, 0, turn);
        }
        Ok(())
    }

    fn message(&mut self, holder: &mut Holder, text: &[u8], turn: &mut Turn<'_>) -> Result<u64, ClientError> {
        let took = turn.take(text)?;
        holder.cursor = took.last.or(holder.cursor);
        self.answered(holder, took.updates, turn);
        Ok(took.payload)
    }

    fn said(&mut self, holder: &mut Holder, at_ns: u64) {
        holder.said_ns = at_ns;
    }

    fn due(&mut self, holder: &mut Holder, turn: &mut Turn<'_>) {
        if !holder.asked {
            holder.asked_ns = turn.at_ns;
            self.ask(holder, turn);
        }
    }

    fn cut(&mut self, holder: &mut Holder) -> Cut {
        match holder {
            Holder { asked: false, stands: true, .. } => Cut::Later,
            Holder { asked: true, again: false, answer: Answer { begun: false, .. }, .. } => {
                holder.again = true;
                Cut::Again
            }
            Holder { .. } => Cut::Lost,
        }
    }
}
