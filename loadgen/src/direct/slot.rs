//! One client of the event loop: its connection, where it stands, and what a turn of its dialogue asks for.

use super::{Leave, Turn, line::Line};

/// One client.
pub(super) struct Slot<C> {
    pub(super) line: Option<Line>,
    pub(super) talk: C,
    pub(super) step: Step,
    /// Whether its stream stood.
    pub(super) stands: bool,
    /// Whether it has begun to connect and neither stands nor has failed.
    pub(super) arriving: bool,
    /// When it began to connect.
    pub(super) from_ns: u64,
    /// The planned instant that counts; others are of the past.
    pub(super) wake_ns: u64,
}

impl<C: Default> Default for Slot<C> {
    fn default() -> Self {
        Self {
            line: None,
            talk: C::default(),
            step: Step::Waiting,
            stands: false,
            arriving: false,
            from_ns: 0,
            wake_ns: u64::MAX,
        }
    }
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// On the ramp.
    Waiting,
    /// It speaks and listens; its connection may still be coming.
    Open,
    /// It has said farewell and listens.
    Leaving,
    /// Its farewell was answered: the server closes first.
    Answered,
    /// It has half-closed and counts what comes.
    Ending,
    /// It is through.
    Gone,
}

/// What a dialogue asked for in a turn.
pub(super) struct Wishes {
    pub(super) same_get: Option<u64>,
    pub(super) stands: bool,
    pub(super) wake_ns: Option<u64>,
    pub(super) leave: Option<Leave>,
}

impl Wishes {
    pub(super) fn of(turn: &Turn<'_>) -> Self {
        let Turn { same_get, stands, wake_ns, leave, .. } = *turn;
        Self { same_get, stands, wake_ns, leave }
    }
}
