//! One connection of a hub: a socket that never blocks, its counters, and what the socket did not take yet.
//!
//! It knows neither requests nor quotes.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, atomic::AtomicU64},
};

use nix::sys::epoll::EpollFlags;

use super::{Ear, Stream, hub::Held, timers::Deadline};
use crate::{
    conditions::MOST_WAITING,
    connection::compare,
    fault::{self, PAUSE},
    registry::{Record, Verdict},
    selection::Selection,
};

/// A connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pub(super) record: Arc<Record>,
    pub(super) state: State,
    /// What was read of requests and not answered.
    pub(super) unread: Vec<u8>,
    /// What the socket did not take yet.
    pub(super) rest: Vec<u8>,
    pub(super) deadline: Deadline,
    /// Tells this connection from earlier ones of its slot.
    pub(super) generation: u32,
    /// Ends once all is written.
    pub(super) closes: bool,
    /// What the kernel is asked to tell.
    pub(super) interest: EpollFlags,
    pub(super) verdict: Option<Verdict>,
    lateness: Lateness,
}

/// A planted fault's part of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lateness {
    /// The next send is not looked at yet.
    Undecided,
    /// It is late.
    Late,
    /// It may go.
    Free,
}

/// What a connection is at.
pub(super) enum State {
    /// The client asks next.
    Asks,
    /// The client waits for an answer.
    Waits(Box<Held>),
    /// Quotes follow.
    Follows(Following),
    /// Our farewell is out, theirs is to come.
    Leaves(Box<dyn Ear>),
    /// Our FIN is out, theirs is to come.
    Lingers,
}

/// A client that quotes go out to.
pub(super) struct Following {
    pub(super) stream: &'static Stream,
    pub(super) selection: Selection,
    pub(super) ear: Option<Box<dyn Ear>>,
    /// The newest sequence number that was written, where that is not the hub's own; without it a snapshot is owed.
    pub(super) cursor: Option<u64>,
    /// Whether it gets quotes when it can take them, not with the others.
    pub(super) behind: bool,
    /// Its place in the lists that quotes are sent by; another subscription has another.
    pub(super) epoch: u32,
    /// Its parcel of the round in which it got one last.
    pub(super) parcel: (u64, u32),
    /// When something was sent last.
    pub(super) spoke_ns: u64,
}

/// Nobody is there any more.
#[derive(Debug)]
pub(super) struct Gone;

/// The late sends of a planted fault, in the order in which they may go.
pub(super) struct Lates {
    pub(super) sends: Option<Arc<AtomicU64>>,
    /// When, which slot, which generation.
    pub(super) queue: VecDeque<(u64, u32, u32)>,
    pub(super) now_ns: u64,
}

impl Peer {
    /// A connection that was just accepted.
    pub(super) fn new(stream: TcpStream, record: Arc<Record>, generation: u32) -> Self {
        Self {
            stream,
            record,
            state: State::Asks,
            unread: Vec::new(),
            rest: Vec::new(),
            deadline: Deadline::default(),
            generation,
            closes: false,
            interest: EpollFlags::EPOLLIN,
            verdict: None,
            lateness: Lateness::Undecided,
        }
    }

    /// Reads once; `None` when there is nothing now, 0 at the peer's end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<Option<usize>, Gone> {
        loop {
            match (&self.stream).read(room) {
                Ok(read) => {
                    if read > 0 {
                        self.record.read(&room[..read]);
                    }
                    return Ok(Some(read));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
    }

    /// Whether something waits to be written.
    pub(super) fn is_blocked(&self) -> bool {
        !self.rest.is_empty() || self.is_late()
    }

    fn is_late(&self) -> bool {
        self.lateness == Lateness::Late
    }

    /// A late send may go.
    pub(super) fn free(&mut self) {
        self.lateness = Lateness::Free;
    }

    /// Writes what the socket takes; nothing while earlier bytes wait.
    pub(super) fn send(&mut self, slot: u32, bytes: &[u8], lates: &mut Lates) -> Result<usize, Gone> {
        if self.is_blocked() || self.comes_late(slot, lates) {
            return Ok(0);
        }
        self.write(bytes)
    }

    fn comes_late(&mut self, slot: u32, lates: &mut Lates) -> bool {
        let Some(sends) = &lates.sends else { return false };
        if self.lateness == Lateness::Undecided && fault::next_is_late(sends) {
            self.lateness = Lateness::Late;
            lates.queue.push_back((lates.now_ns + PAUSE.as_nanos() as u64, slot, self.generation));
        }
        self.is_late()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        let sent = loop {
            match (&self.stream).write(bytes) {
                Ok(sent) => break sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        };
        if sent > 0 {
            self.record.written(&[IoSlice::new(bytes)], sent);
            self.lateness = Lateness::Undecided;
        }
        if sent < bytes.len() {
            self.record.stalled();
        }
        Ok(sent)
    }

    /// Writes, and keeps what the socket does not take.
    pub(super) fn say(&mut self, slot: u32, bytes: &[u8], lates: &mut Lates) -> Result<(), Gone> {
        let sent = self.send(slot, bytes, lates)?;
        self.rest.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Writes what was kept.
    pub(super) fn flush(&mut self, slot: u32, lates: &mut Lates) -> Result<(), Gone> {
        if self.rest.is_empty() || self.is_late() || self.comes_late(slot, lates) {
            return Ok(());
        }
        let rest = std::mem::take(&mut self.rest);
        let sent = self.write(&rest)?;
        if sent < rest.len() {
            self.rest = rest;
            self.rest.drain(..sent);
        }
        Ok(())
    }

    /// What the kernel should tell of it.
    pub(super) fn wanted(&self) -> EpollFlags {
        let waits = self.is_blocked();
        let listens = match &self.state {
            // One answer after the other.
            State::Asks => !waits && !self.closes,
            // Who does not read is not listened to, or its words could pile up answers.
            State::Follows(Following { ear: Some(_), .. }) | State::Leaves(_) => {
                self.rest.len() <= MOST_WAITING
            }
            State::Waits(_) | State::Follows(_) | State::Lingers => true,
        };
        let behind = matches!(&self.state, State::Follows(following) if following.behind);
        let mut wanted = EpollFlags::empty();
        wanted.set(EpollFlags::EPOLLIN, listens);
        wanted.set(EpollFlags::EPOLLOUT, (waits || behind) && !self.is_late());
        wanted
    }

    /// Compares our counters with the kernel's, once: before our FIN, which the kernel would count too.
    pub(super) fn compare_once(&mut self) -> Verdict {
        *self.verdict.get_or_insert_with(|| compare(&self.stream, &self.record))
    }

    /// Sends our FIN.
    pub(super) fn shut_down(&mut self) -> io::Result<()> {
        self.compare_once();
        self.stream.shutdown(std::net::Shutdown::Write)
    }
}
