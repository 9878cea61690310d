//! One connection of the direct engine: a non-blocking socket, its scanner and where both directions stand.

use std::{
    io::{self, Write as _},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

use measurement::ledger::Phase;
use wire::Http1;

use super::{desk::Ours, hearing::Carry};
use crate::{
    socket::{
        Books, Witness,
        flow::{Counting, Flow, Sums},
    },
    timeline::Timeline,
    worker::ClientError,
};

/// A connection.
pub(super) struct Line {
    pub(super) stream: TcpStream,
    pub(super) scanner: Http1,
    pub(super) down: Flow,
    pub(super) carry: Carry,
    pub(super) witness: Witness,
    up: Flow,
    ours: Ours,
    /// What the socket had no room for yet.
    unsent: Vec<u8>,
}

/// How far a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it is written.
    All,
    /// The rest waits for room.
    Some,
}

impl Line {
    pub(super) fn new(stream: TcpStream, began: Phase, ours: Ours) -> Self {
        Self {
            stream,
            scanner: Http1::new(),
            down: Flow::new(),
            carry: Carry::default(),
            witness: Witness::new(began),
            up: Flow::new(),
            ours,
            unsent: Vec::new(),
        }
    }

    /// Whether any bytes were written: the connection stands.
    pub(super) fn has_spoken(&self) -> bool {
        self.up.total > 0
    }

    /// When bytes were last written.
    pub(super) fn last_write_ns(&self) -> u64 {
        self.up.stamp_ns
    }

    /// Writes `out`, after what still waits. With `same_get` it is one request that was scanned before.
    pub(super) fn say(
        &mut self,
        out: &[u8],
        same_get: Option<u64>,
        up: &mut Sums,
        timeline: &Timeline,
    ) -> Result<Sent, ClientError> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(out);
            return Ok(Sent::Some);
        }
        let written = self.write(out)?;
        if written > 0 {
            let whole = same_get.filter(|_| written == out.len());
            self.sent(&out[..written], whole, up, timeline)?;
        }
        self.unsent.extend_from_slice(&out[written..]);
        Ok(if written == out.len() { Sent::All } else { Sent::Some })
    }

    /// Whether something waits for room to be written.
    pub(super) fn has_more_to_say(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes what waited.
    pub(super) fn say_on(&mut self, up: &mut Sums, timeline: &Timeline) -> Result<Sent, ClientError> {
        let unsent = std::mem::take(&mut self.unsent);
        self.say(&unsent, None, up, timeline)
    }

    fn write(&self, out: &[u8]) -> Result<usize, ClientError> {
        match (&self.stream).write(out) {
            Ok(written) => Ok(written),
            Err(error) if is_for_later(&error) => Ok(0),
            Err(error) => Err(ClientError::Io(error)),
        }
    }

    fn sent(
        &mut self,
        bytes: &[u8],
        same_get: Option<u64>,
        sums: &mut Sums,
        timeline: &Timeline,
    ) -> Result<(), ClientError> {
        let at_ns = ticker::clock::now_ns();
        let phase = timeline.phase(at_ns);
        timeline.moved(at_ns, 0, bytes.len() as u64);
        self.witness.enter(phase, self.stream.as_fd());
        self.up.moved(sums, bytes.len(), at_ns, phase);
        let mut counting = Counting { flow: &mut self.up, sums, messages: &mut self.ours };
        if same_get.is_some_and(|steady| self.scanner.up_same_get(bytes.len(), steady, &mut counting)) {
            return Ok(());
        }
        Ok(self.scanner.up(bytes, &mut counting)?)
    }

    /// Adds the connection to the books, at its end.
    pub(super) fn settle(mut self, (down, up): (&mut Sums, &mut Sums), books: &mut Books) {
        let mut nobody = Ours::Asking;
        let mut of_down = Counting { flow: &mut self.down, sums: down, messages: &mut nobody };
        let mut of_up = Counting { flow: &mut self.up, sums: up, messages: &mut self.ours };
        self.scanner.settle(&mut of_up, &mut of_down);
        self.down.cut_off(down);
        self.up.cut_off(up);
        self.witness.settle(self.stream.as_fd(), (self.down.total, self.up.total), books);
    }

    /// The server will send no more: hears what that completes.
    pub(super) fn settle_scanner(
        &mut self,
        messages: &mut impl crate::socket::flow::Messages,
        (down, up): (&mut Sums, &mut Sums),
    ) {
        let mut of_down = Counting { flow: &mut self.down, sums: down, messages };
        let mut of_up = Counting { flow: &mut self.up, sums: up, messages: &mut self.ours };
        self.scanner.settle(&mut of_up, &mut of_down);
    }

    pub(super) fn shut_down(&mut self) {
        // A socket that was reset has no end to announce.
        let _ = self.witness.shut_down(self.stream.as_fd());
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Whether a call on a non-blocking socket is to be made again later.
pub(super) fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
