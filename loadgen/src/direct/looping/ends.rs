//! How clients end: in order when the trial does, or by what the server or the network did to them.

use std::{sync::atomic::Ordering, time::Duration};

use ticker::clock;

use super::{GIVE_UP, Looping};
use crate::{
    direct::{
        Cut, Dialogue, Leave, Turn,
        hearing::Hearing,
        slot::{Slot, Step, Wishes},
    },
    worker::{ClientError, closing_time, closing_turn},
};

/// How long a closing connection may wait for the other end's last bytes.
const ENDING_TIME: Duration = Duration::from_secs(3);

impl<D: Dialogue> Looping<D> {
    pub(super) fn close(&mut self) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        let now_ns = clock::now_ns();
        self.timers.plan(now_ns + self.patience().as_nanos() as u64, GIVE_UP);
        let clients = self.desk.job.variant.load.clients;
        for index in 0..self.slots.len() {
            let turn = closing_turn(clients, self.desk.job.number(index));
            if turn.is_zero() || self.slots[index].step != Step::Open {
                self.close_one(index);
            } else {
                self.wake(index, now_ns + turn.as_nanos() as u64);
            }
        }
    }

    /// The trial has ended, and it is this client's turn to close.
    pub(super) fn close_one(&mut self, index: usize) {
        match self.slots[index].step {
            Step::Waiting => self.gone(index),
            Step::Open if self.slots[index].line.is_none() => self.gone(index),
            Step::Open => match self.turn(index, |dialogue, client, turn| dialogue.close(client, turn)) {
                Leave::Now => self.leave(index),
                Leave::Later => {}
                Leave::Farewell => self.await_end(index, Step::Leaving),
            },
            Step::Leaving | Step::Answered | Step::Ending | Step::Gone => {}
        }
    }

    /// How long clients may take to close in order.
    fn patience(&self) -> Duration {
        closing_time(self.desk.job.variant.load.clients)
    }

    pub(super) fn give_up(&mut self) {
        self.desk.notes.error(format!("{} clients did not close in {:?}", self.left, self.patience()));
        for index in 0..self.slots.len() {
            self.gone(index);
        }
    }

    /// The server has closed its side.
    pub(super) fn ended(&mut self, index: usize) {
        let at_ns = clock::now_ns();
        let Slot { line: Some(line), talk, step, .. } = &mut self.slots[index] else { return };
        let deaf = *step == Step::Ending;
        let mut carry = std::mem::take(&mut line.carry);
        let turn = Turn::new(index, at_ns, &mut self.desk, &mut self.out);
        let mut hearing = Hearing::new(&mut self.dialogue, talk, turn, &[], &mut carry, deaf);
        line.settle_scanner(&mut hearing, (&mut self.down, &mut self.up));
        let (turn, error) = hearing.end();
        let wishes = Wishes::of(&turn);
        // On a connection that has ended nothing more is said.
        self.out.clear();
        match self.slots[index].step {
            Step::Open => {
                self.act(index, &Wishes { same_get: None, leave: None, ..wishes }, at_ns);
                match error {
                    Some(error) => self.lose(index, &error),
                    None if self.closing => self.gone(index),
                    None => self.cut(index),
                }
            }
            Step::Leaving => {
                self.dialogue.unanswered(&mut self.slots[index].talk, &mut self.desk);
                self.gone(index);
            }
            Step::Waiting | Step::Answered | Step::Ending | Step::Gone => self.gone(index),
        }
    }

    /// The server closed a connection that was in use.
    fn cut(&mut self, index: usize) {
        let again = match self.dialogue.cut(&mut self.slots[index].talk) {
            Cut::Lost => return self.lose(index, &ClientError::Closed),
            Cut::Again => true,
            Cut::Later => false,
        };
        self.close_line(index);
        if again && self.open_line(index) {
            self.desk.live.reconnected.fetch_add(1, Ordering::Relaxed);
            self.turn(index, D::open);
        }
    }

    /// The connection can be neither read nor written any more.
    pub(super) fn broken(&mut self, index: usize, error: ClientError) {
        let Slot { line: Some(line), talk, step, .. } = &mut self.slots[index] else { return };
        match step {
            Step::Open if !line.has_spoken() => {
                let error =
                    if let ClientError::Io(cause) = error { ClientError::Connect(cause) } else { error };
                // It never was one: nothing is to be accounted for.
                self.slots[index].line = None;
                self.lose(index, &error);
            }
            Step::Open => self.lose(index, &error),
            Step::Leaving => {
                self.dialogue.unanswered(talk, &mut self.desk);
                self.gone(index);
            }
            Step::Waiting | Step::Answered | Step::Ending | Step::Gone => self.gone(index),
        }
    }

    pub(super) fn lose(&mut self, index: usize, error: &ClientError) {
        self.fail(index, error);
        self.gone(index);
    }

    pub(super) fn fail(&mut self, index: usize, error: &ClientError) {
        self.arrived(index);
        self.desk.failed(index, self.slots[index].stands, error);
    }

    /// Half-closes and goes on reading to the server's end.
    pub(super) fn leave(&mut self, index: usize) {
        if let Some(line) = &mut self.slots[index].line {
            line.shut_down();
            self.await_end(index, Step::Ending);
        }
    }

    pub(super) fn await_end(&mut self, index: usize, step: Step) {
        // Its farewell may have failed, which was its end.
        if self.slots[index].step == Step::Gone {
            return;
        }
        self.slots[index].step = step;
        self.wake(index, clock::now_ns() + ENDING_TIME.as_nanos() as u64);
    }

    /// The client is through.
    pub(super) fn gone(&mut self, index: usize) {
        self.close_line(index);
        let step = &mut self.slots[index].step;
        if std::mem::replace(step, Step::Gone) != Step::Gone {
            self.left -= 1;
        }
    }

    /// Adds a connection that is over to the books; closing it takes it out of epoll.
    pub(super) fn close_line(&mut self, index: usize) {
        if let Some(mut line) = self.slots[index].line.take() {
            line.shut_down();
            line.settle((&mut self.down, &mut self.up), &mut self.desk.books);
        }
    }
}
