//! What several variants of one trial have together, since one server served them all.

use measurement::result::SharedServer;

use crate::worker::Found;

/// What all parts of a trial add up to: the server's counters and both sides' cost are of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many parts.
    pub parts: usize,
    /// Clients whose stream stood.
    pub connected: u64,
    /// Updates received in the window.
    pub received_in_window: u64,
    /// Bytes of the clients' sockets, from the first to the last: received and sent.
    pub bytes: (u64, u64),
}

impl Totals {
    /// Of the findings of all parts.
    pub fn of(found: &[Found]) -> Self {
        let mut totals = Self { parts: found.len(), ..Self::default() };
        for found in found {
            totals.connected += found.connected;
            totals.received_in_window += found.recording.sums.counts.received_in_window;
            totals.bytes.0 += found.books.received.socket_total();
            totals.bytes.1 += found.books.sent.socket_total();
        }
        totals
    }

    /// What the result tells of them; `None` of a trial with one part.
    pub fn shared(&self) -> Option<SharedServer> {
        let &Self { parts, connected: clients, received_in_window, bytes: _ } = self;
        (parts > 1).then_some(SharedServer { variants: parts as u64, clients, received_in_window })
    }
}
