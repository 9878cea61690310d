//! What a transport tells the engine: what its clients say, and what they make of what they hear.

use measurement::recorder::Recorder;
use wire::HeadKind;

use super::{Desk, reading::Took};
use crate::worker::ClientError;

/// One transport's side of the conversation, for all clients of a worker. Nothing here waits: the engine calls when
/// something has come, and sends what was put into [`Turn::out`] afterwards.
pub(crate) trait Dialogue {
    /// What is kept of one client.
    type Client: Default;
    /// Whether clients act on a timetable of their own.
    const ON_TIME: bool;

    /// Where clients send updates: bytes of each message around the update.
    fn publishes(&self) -> Option<u64> {
        None
    }
    /// A connection is being opened, the client's first or another: the first words.
    fn open(&mut self, client: &mut Self::Client, turn: &mut Turn<'_>);
    /// An answer's status; its fields and then [`Dialogue::head`] follow.
    fn status(&mut self, _client: &mut Self::Client, _status: u16) {}
    /// A field of an answer's head.
    fn field(&mut self, _client: &mut Self::Client, _name: &[u8], _value: &[u8]) {}
    /// An answer's head is whole.
    fn head(
        &mut self,
        client: &mut Self::Client,
        kind: HeadKind,
        turn: &mut Turn<'_>,
    ) -> Result<(), ClientError>;
    /// A message is whole. Returns how many of its bytes are payload.
    fn message(
        &mut self,
        client: &mut Self::Client,
        text: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<u64, ClientError>;
    /// A control frame is whole.
    fn control(
        &mut self,
        _client: &mut Self::Client,
        _frame: (u8, &[u8]),
        _turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        Ok(())
    }
    /// What was put into [`Turn::out`] was written at `at_ns`.
    fn said(&mut self, _client: &mut Self::Client, _at_ns: u64) {}
    /// The feed starts at `t0_ns`; the client's stream stands.
    fn started(&mut self, _client: &mut Self::Client, _t0_ns: u64, _turn: &mut Turn<'_>) {}
    /// The instant is here that [`Turn::wake_ns`] asked for.
    fn due(&mut self, _client: &mut Self::Client, _turn: &mut Turn<'_>) {}
    /// The trial ends.
    fn close(&mut self, _client: &mut Self::Client, _turn: &mut Turn<'_>) -> Leave {
        Leave::Now
    }
    /// A farewell was not answered in time, or not at all.
    fn unanswered(&mut self, _client: &mut Self::Client, _desk: &mut Desk) {}
    /// The server closed the connection though nobody asked for it.
    fn cut(&mut self, _client: &mut Self::Client) -> Cut {
        Cut::Lost
    }
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// At once, giving up what is under way.
    Now,
    /// When it says so by [`Turn::leave`]: an answer is under way.
    Later,
    /// With a farewell that the server answers, then closing first.
    Farewell,
}

/// What the end of a connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The client is lost.
    Lost,
    /// Another connection is opened at once: the request crossed the close.
    Again,
    /// Another one is opened when there is something to say.
    Later,
}

/// One call of a dialogue: what it may look at, and what it asks of the engine.
pub(crate) struct Turn<'a> {
    /// The client's index among the worker's.
    pub(crate) index: usize,
    /// The read that brought it, or the instant of the call, in CLOCK_MONOTONIC nanoseconds.
    pub(crate) at_ns: u64,
    /// What the worker's clients share.
    pub(crate) desk: &'a mut Desk,
    /// What is to be sent.
    pub(crate) out: &'a mut Vec<u8>,
    /// What is to be sent is one GET request that differs from an earlier one in growing digits only: its length
    /// without them.
    pub(crate) same_get: Option<u64>,
    /// The stream stands.
    pub(crate) stands: bool,
    /// When to call [`Dialogue::due`].
    pub(crate) wake_ns: Option<u64>,
    /// The client is through: half-close, or after a farewell wait for the server's end first.
    pub(crate) leave: Option<Leave>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(index: usize, at_ns: u64, desk: &'a mut Desk, out: &'a mut Vec<u8>) -> Self {
        Self { index, at_ns, desk, out, same_get: None, stands: false, wake_ns: None, leave: None }
    }

    /// The client's number among all of the trial.
    pub(crate) fn number(&self) -> u32 {
        self.desk.job.number(self.index)
    }

    /// Where figures go.
    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        &mut self.desk.recorder
    }

    /// Reads and records a message of the ticker's own.
    ///
    /// # Errors
    /// It is none.
    #[inline]
    pub(crate) fn take(&mut self, text: &[u8]) -> Result<Took, ClientError> {
        self.desk.take(self.index, text, self.at_ns)
    }
}
