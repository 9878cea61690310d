//! Polling on the direct engine: the same timetable, questions and answers.

use std::io;

use wire::HeadKind;

use super::{
    super::{
        answer::Answer,
        prepared::{self, Prepared},
    },
    PATH, free_ns, next_ns, phase_ns,
};
use crate::{
    direct::{self, Cut, Dialogue, Leave, Setup, Turn},
    plan::PollMode,
    worker::{ClientError, Found},
};

pub(in crate::clients) fn direct(setup: Setup) -> io::Result<Found> {
    let prepared = Prepared::new(&setup.job, &[]).map_err(io::Error::other)?;
    direct::run(setup, Polls { prepared })
}

struct Polls {
    prepared: Prepared,
}

/// One client.
#[derive(Default)]
struct Poller {
    /// The newest number that it has.
    cursor: Option<u64>,
    symbols: Option<Box<str>>,
    /// The entity tag of the newest answer, if polls are conditional.
    tag: Vec<u8>,
    answer: Answer,
    /// When the poll at hand was due, or the next one is.
    planned_ns: u64,
    /// When the answer before it was whole.
    answered_ns: u64,
    /// Whether the one before held it up.
    late: bool,
    /// Whether a question is under way, and whether it went out twice.
    asked: bool,
    again: bool,
    stands: bool,
    closing: bool,
}

impl Polls {
    fn ask(&self, poller: &mut Poller, turn: &mut Turn<'_>) {
        poller.asked = true;
        poller.answer = Answer::default();
        let job = &turn.desk.job;
        let options = &job.variant.options;
        let more = match options.mode {
            PollMode::Since => "",
            PollMode::Latest => "&mode=latest",
        };
        let path = job.endpoint.path.as_deref().unwrap_or(PATH);
        prepared::target(turn.out, (path, poller.cursor), more, poller.symbols.as_deref());
        let mut digits = prepared::digits(poller.cursor);
        if options.conditional && poller.stands && !poller.tag.is_empty() {
            self.prepared.end_tagged(&poller.tag, turn.out);
            digits += poller.tag.iter().filter(|byte| byte.is_ascii_digit()).count();
        } else {
            self.prepared.end(turn.out);
        }
        turn.same_get = poller.stands.then(|| self.prepared.steady(turn.out, digits));
    }

    fn answered(poller: &mut Poller, updates: usize, turn: &mut Turn<'_>) {
        (poller.asked, poller.again) = (false, false);
        let options = &turn.desk.job.variant.options;
        let (pace, period_ns) = (options.pace, options.interval.as_nanos() as u64);
        if poller.stands {
            let (planned_ns, at_ns) = (poller.planned_ns, turn.at_ns);
            turn.recorder().request(planned_ns, at_ns, updates);
            poller.answered_ns = at_ns;
            // A poll that is due while the one before is under way is sent late, never skipped.
            poller.planned_ns = next_ns(pace, planned_ns, at_ns, period_ns);
            poller.late = at_ns > poller.planned_ns;
            turn.wake_ns = Some(poller.planned_ns);
        } else {
            poller.stands = true;
            turn.stands = true;
            if let Some(t0_ns) = turn.desk.t0_ns {
                Self::plan(poller, t0_ns, turn);
            }
        }
        if poller.closing {
            turn.leave = Some(Leave::Now);
        }
    }

    fn plan(poller: &mut Poller, t0_ns: u64, turn: &mut Turn<'_>) {
        let job = &turn.desk.job;
        let period_ns = job.variant.options.interval.as_nanos() as u64;
        poller.planned_ns = t0_ns + phase_ns(job, turn.number(), period_ns);
        poller.late = turn.at_ns > poller.planned_ns;
        turn.wake_ns = Some(poller.planned_ns);
    }
}

impl Dialogue for Polls {
    type Client = Poller;
    const ON_TIME: bool = true;

    fn open(&mut self, poller: &mut Poller, turn: &mut Turn<'_>) {
        if !poller.stands {
            poller.symbols = turn.desk.job.symbols(turn.index).map(|symbols| symbols.join(",").into());
        }
        // Without a cursor the server answers with a snapshot: where the client stands.
        self.ask(poller, turn);
        // A new connection has not scanned such a request before.
        turn.same_get = None;
    }

    fn status(&mut self, poller: &mut Poller, status: u16) {
        poller.answer.status(status);
    }

    fn field(&mut self, poller: &mut Poller, name: &[u8], value: &[u8]) {
        poller.answer.field(name, value);
        if name.eq_ignore_ascii_case(b"etag") {
            poller.tag.clear();
            poller.tag.extend_from_slice(value);
        }
    }

    fn head(&mut self, poller: &mut Poller, kind: HeadKind, turn: &mut Turn<'_>) -> Result<(), ClientError> {
        if !poller.answer.is_final() {
            return Ok(());
        }
        poller.answer.check(&[200, 204, 304], "200, 204 or 304")?;
        if kind != HeadKind::Content {
            Self::answered(poller, 0, turn);
        }
        Ok(())
    }

    fn message(&mut self, poller: &mut Poller, text: &[u8], turn: &mut Turn<'_>) -> Result<u64, ClientError> {
        let took = turn.take(text)?;
        poller.cursor = took.last.or(poller.cursor);
        Self::answered(poller, took.updates, turn);
        Ok(took.payload)
    }

    fn started(&mut self, poller: &mut Poller, t0_ns: u64, turn: &mut Turn<'_>) {
        Self::plan(poller, t0_ns, turn);
    }

    fn due(&mut self, poller: &mut Poller, turn: &mut Turn<'_>) {
        if poller.closing || poller.asked {
            return;
        }
        let (planned_ns, at_ns, late) = (poller.planned_ns, turn.at_ns, poller.late);
        let free_ns = free_ns(&turn.desk.job.variant, planned_ns, poller.answered_ns);
        turn.recorder().action(free_ns, at_ns, late);
        self.ask(poller, turn);
    }

    fn close(&mut self, poller: &mut Poller, _turn: &mut Turn<'_>) -> Leave {
        poller.closing = true;
        if poller.asked { Leave::Later } else { Leave::Now }
    }

    fn cut(&mut self, poller: &mut Poller) -> Cut {
        match poller {
            Poller { asked: false, stands: true, .. } => Cut::Later,
            Poller { asked: true, again: false, answer: Answer { begun: false, .. }, .. } => {
                poller.again = true;
                Cut::Again
            }
            Poller { .. } => Cut::Lost,
        }
    }
}
