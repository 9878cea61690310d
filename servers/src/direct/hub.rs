//! A hub: one thread, one epoll, all connections that it accepted, from the first byte to the last.
//!
//! Events and ends are here; `requests` has questions and answers, `quotes` what flows without being asked for.

mod quotes;
mod requests;

pub(super) use self::requests::Held;

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::AsFd as _,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::EventFd,
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use ticker::clock;

use super::{
    Attitude, Desk, Handover,
    fanout::{Batch, Crowd},
    head::Date,
    peer::{Gone, Lates, Peer, State},
    timers::{NEVER, Timers},
};
use crate::{
    app::App,
    connection::{LONGEST_LINGER, peer_has_ended},
    encoded::Framing,
    os,
    registry::Verdict,
    serve::TOO_MANY,
};

/// Tokens of what is no connection.
const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
const TIMER: u64 = u64::MAX - 2;

/// One of several hubs is woken, not all.
const ACCEPTING: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLEXCLUSIVE);

/// Events that are taken at once.
const EVENTS: usize = 512;
/// Connections that are accepted at once, so that those who are there are not kept waiting.
const ACCEPTS: usize = 64;
/// Bytes that one read may bring.
const INPUT: usize = 64 * 1024;
/// Rest after a failed accept: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for a client's farewell.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// See the head of this file.
pub(super) struct Hub {
    app: Arc<App>,
    listener: Arc<TcpListener>,
    desk: Desk,
    /// Kept open.
    _wake: Arc<EventFd>,
    epoll: Epoll,
    /// For instants that must be met to the microsecond; others are the epoll's own business.
    timer: TimerFd,
    peers: Vec<Option<Peer>>,
    free: Vec<u32>,
    generation: u32,
    crowd: Crowd,
    /// The newest sequence number that was sent to those who keep up.
    cursor: u64,
    round: u64,
    batches: [Batch; Framing::ALL.len()],
    /// Of one client each: what a round has for those who want some symbols.
    parcels: Vec<Batch>,
    timers: Timers,
    lates: Lates,
    input: Vec<u8>,
    out: Vec<u8>,
    body: Vec<u8>,
    date: Date,
    now_ns: u64,
    /// When the gathered quotes go out.
    gathered_ns: u64,
    /// Whether the newest connection had the listener's options.
    inherited: bool,
    /// Until when nothing is accepted.
    accepts_from_ns: u64,
    /// When the last connections are dropped; the server stops.
    stops_ns: Option<u64>,
}

impl Hub {
    /// A hub for a listener that others may accept from, too.
    pub(super) fn new(
        listener: Arc<TcpListener>,
        app: Arc<App>,
        desk: Desk,
        wake: Arc<EventFd>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&*listener, EpollEvent::new(ACCEPTING, LISTENER))?;
        // By edges: each round is told once, and nobody has to read the counter.
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, WAKE))?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            crowd: Crowd::new(app.settings.feed.symbols),
            lates: Lates { sends: app.sends.clone(), queue: Default::default(), now_ns: 0 },
            app,
            listener,
            desk,
            _wake: wake,
            epoll,
            timer,
            peers: Vec::new(),
            free: Vec::new(),
            generation: 0,
            cursor: 0,
            round: 0,
            batches: Default::default(),
            parcels: Vec::new(),
            timers: Timers::default(),
            input: vec![0; INPUT],
            out: Vec::new(),
            body: Vec::new(),
            date: Date::default(),
            now_ns: 0,
            gathered_ns: NEVER,
            inherited: false,
            accepts_from_ns: 0,
            stops_ns: None,
        })
    }

    /// Serves until the log is closed and the connections have ended.
    pub(super) fn run(&mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let patience = self.patience();
            let count = match self.epoll.wait(&mut events, patience) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                // Only a descriptor that is none can fail, and it is ours.
                Err(_) => return,
            };
            self.tick();
            let events = &events[..count];
            // What all wait for goes out before anyone's question is read.
            if events.iter().any(|event| event.data() == WAKE) {
                self.news();
            }
            for event in events {
                match event.data() {
                    LISTENER => self.accept(),
                    WAKE => {}
                    TIMER => {
                        let _ = nix::unistd::read(self.timer.as_fd(), &mut [0; 8]);
                    }
                    token => self.event(token as u32, (token >> 32) as u32, event.events()),
                }
            }
            // After the events: who has spoken in time is heard first.
            self.due();
            if self
                .stops_ns
                .is_some_and(|until_ns| self.free.len() == self.peers.len() || until_ns <= self.now_ns)
            {
                (0..self.peers.len() as u32).for_each(|slot| self.close(slot));
                return;
            }
        }
    }

    fn tick(&mut self) {
        self.now_ns = clock::now_ns();
        self.lates.now_ns = self.now_ns;
    }

    /// How long the kernel may wait for events, to the millisecond; what has to be finer has a timer.
    fn patience(&mut self) -> EpollTimeout {
        let fine = self.lates.queue.front().map_or(NEVER, |late| late.0).min(self.gathered_ns);
        if fine != NEVER {
            let due = TimeSpec::from(Duration::from_nanos(fine));
            // Without it these instants would be met to the millisecond.
            let _ = self.timer.set(Expiration::OneShot(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME);
        }
        let paused = if self.accepts_from_ns > self.now_ns { self.accepts_from_ns } else { NEVER };
        let next = self.timers.next_ns().min(self.stops_ns.unwrap_or(NEVER)).min(paused);
        if next == NEVER {
            return EpollTimeout::NONE;
        }
        let left = next.saturating_sub(clock::now_ns()).div_ceil(1_000_000);
        EpollTimeout::from(left.min(60_000) as u16)
    }

    /// Quotes came, or the end.
    fn news(&mut self) {
        if self.app.log.is_closed() {
            return self.stop();
        }
        let coalesce = self.app.settings.coalesce;
        if coalesce.is_zero() {
            self.fan_out();
        } else {
            self.gathered_ns = self.gathered_ns.min(self.now_ns + coalesce.as_nanos() as u64);
        }
    }

    /// What was to happen by now.
    fn due(&mut self) {
        if self.gathered_ns <= self.now_ns {
            self.gathered_ns = NEVER;
            self.fan_out();
        }
        while let Some(&(at_ns, slot, generation)) = self.lates.queue.front()
            && at_ns <= self.now_ns
        {
            self.lates.queue.pop_front();
            if let Some(peer) = self.peer(slot).filter(|peer| peer.generation == generation) {
                peer.free();
                self.go_on(slot);
            }
        }
        while let Some((entry_ns, slot)) = self.timers.pop(self.now_ns) {
            let Some(peer) = self.peers[slot as usize].as_mut() else { continue };
            if self.timers.is_due(slot, &mut peer.deadline, entry_ns, self.now_ns) {
                self.deadline(slot);
            }
        }
        if self.accepts_from_ns != 0 && self.accepts_from_ns <= self.now_ns {
            self.accepts_from_ns = 0;
            if self.stops_ns.is_none() {
                let _ = self.epoll.add(&*self.listener, EpollEvent::new(ACCEPTING, LISTENER));
            }
            self.accept();
        }
    }

    /// A connection's time is over: what that means depends on what it is at.
    fn deadline(&mut self, slot: u32) {
        let Some(peer) = self.peer(slot) else { return };
        match &peer.state {
            // The head took too long, or the farewell.
            State::Asks | State::Leaves(_) => self.finish(slot),
            State::Waits(_) => self.answer_silence(slot),
            State::Follows(_) => self.beat(slot),
            State::Lingers => self.close(slot),
        }
    }

    fn accept(&mut self) {
        if self.stops_ns.is_some() || self.accepts_from_ns > self.now_ns {
            return;
        }
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    self.app.registry.accept_failed();
                    // It would be told again and again of the connections that wait.
                    let _ = self.epoll.delete(&*self.listener);
                    self.accepts_from_ns = self.now_ns + ACCEPT_PAUSE.as_nanos() as u64;
                    break;
                }
            }
        }
        if let Ok(dropped) = wire::kernel::drops(self.listener.as_fd()) {
            self.app.registry.dropped(dropped);
        }
    }

    fn admit(&mut self, stream: std::net::TcpStream) {
        // Nothing here may wait, not even for one who is refused. It cannot fail for a socket.
        if stream.set_nonblocking(true).is_err() {
            return self.app.registry.accept_failed();
        }
        let Some(record) = self.app.registry.admit() else {
            os::answer_and_close(&stream, TOO_MANY);
            return;
        };
        // It inherits the listener's options, unless that is somebody else's listener, which is found out.
        let stall_timeout = self.app.settings.stall_timeout;
        let inherits = os::has_nodelay(&stream);
        if inherits && self.inherited {
            os::give_up_after(&stream, stall_timeout);
        } else {
            self.app.registry.configured(os::configure(&stream, stall_timeout));
            self.inherited = inherits;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.peers.push(None);
            self.peers.len() as u32 - 1
        });
        self.generation = self.generation.wrapping_add(1);
        let mut peer = Peer::new(stream, record, self.generation);
        let token = u64::from(slot) | u64::from(self.generation) << 32;
        let added = self.epoll.add(&peer.stream, EpollEvent::new(peer.interest, token));
        let limit = self.app.settings.header_timeout.as_nanos() as u64;
        self.timers.set(slot, &mut peer.deadline, self.now_ns + limit);
        self.peers[slot as usize] = Some(peer);
        if added.is_err() {
            self.close(slot);
        }
    }

    fn peer(&mut self, slot: u32) -> Option<&mut Peer> {
        self.peers.get_mut(slot as usize)?.as_mut()
    }

    fn event(&mut self, slot: u32, generation: u32, flags: EpollFlags) {
        // The connection may have ended with an earlier event.
        if self.peer(slot).is_none_or(|peer| peer.generation != generation) {
            return;
        }
        if flags.intersects(EpollFlags::EPOLLOUT) {
            self.go_on(slot);
        }
        let Some(peer) = self.peer(slot) else { return };
        // Errors and hang-ups show in a read. Who is not listened to is found out by a write.
        let broken = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        if flags.intersects(EpollFlags::EPOLLIN) && peer.wanted().contains(EpollFlags::EPOLLIN) || broken {
            self.read(slot);
        }
    }

    fn read(&mut self, slot: u32) {
        let mut input = std::mem::take(&mut self.input);
        let read = self.peer(slot).map(|peer| peer.read(&mut input));
        match read {
            Some(Ok(Some(0))) => self.ended(slot),
            Some(Ok(Some(length))) => self.heard(slot, &mut input[..length]),
            Some(Ok(None)) | None => {}
            Some(Err(Gone)) => self.close(slot),
        }
        self.input = input;
        self.listen(slot);
    }

    fn heard(&mut self, slot: u32, bytes: &mut [u8]) {
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        match &mut peer.state {
            State::Asks => self.asked(slot, bytes),
            State::Waits(_) => {
                peer.unread.extend_from_slice(bytes);
                if peer.unread.len() > INPUT {
                    self.close(slot);
                }
            }
            State::Follows(_) => self.said(slot, bytes),
            State::Leaves(ear) => {
                let heard = ear.hear(bytes, &self.app, &mut Vec::new());
                if heard.attitude == Attitude::Over {
                    self.finish(slot);
                }
            }
            State::Lingers => {}
        }
    }

    /// The peer will say no more.
    fn ended(&mut self, slot: u32) {
        match self.peer(slot).map(|peer| &peer.state) {
            Some(State::Lingers) | None => self.close(slot),
            Some(_) => self.finish(slot),
        }
    }

    /// There is room in the socket: what waits goes on.
    fn go_on(&mut self, slot: u32) {
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        if peer.flush(slot, &mut self.lates).is_err() {
            return self.close(slot);
        }
        if !peer.is_blocked() {
            if peer.closes {
                return self.finish(slot);
            }
            match &peer.state {
                State::Asks if !peer.unread.is_empty() => {
                    let mut unread = std::mem::take(&mut peer.unread);
                    self.asked(slot, &mut unread);
                }
                State::Follows(following) if following.behind => self.catch_up(slot),
                State::Follows(_) | State::Asks | State::Waits(_) | State::Leaves(_) | State::Lingers => {}
            }
        }
        self.listen(slot);
    }

    /// Tells the kernel what is of interest now, if that has changed.
    fn listen(&mut self, slot: u32) {
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        let wanted = peer.wanted();
        if wanted == peer.interest {
            return;
        }
        peer.interest = wanted;
        let token = u64::from(slot) | u64::from(peer.generation) << 32;
        if self.epoll.modify(&peer.stream, &mut EpollEvent::new(wanted, token)).is_err() {
            self.close(slot);
        }
    }

    /// Says that nothing more will be sent, and reads what the peer still says: closing with bytes unread would
    /// reset the connection, and a reset can overtake our last bytes (RFC 9112 section 9.6).
    fn finish(&mut self, slot: u32) {
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        peer.rest = Vec::new();
        peer.unread = Vec::new();
        peer.closes = false;
        if peer_has_ended(&peer.stream) || peer.shut_down().is_err() {
            return self.close(slot);
        }
        peer.state = State::Lingers;
        let until_ns = self.now_ns + LONGEST_LINGER.as_nanos() as u64;
        self.timers.set(slot, &mut peer.deadline, until_ns);
        self.listen(slot);
    }

    /// The connection is over.
    fn close(&mut self, slot: u32) {
        let Some(mut peer) = self.peers[slot as usize].take() else { return };
        let verdict = peer.compare_once();
        self.app.registry.close(&peer.record, verdict);
        self.free.push(slot);
    }

    /// Somebody else serves the connection from here on.
    fn hand_over(&mut self, slot: u32, begun: &[u8]) {
        let Some(peer) = self.peers[slot as usize].take() else { return };
        self.free.push(slot);
        // It moves to the runtime's own epoll.
        let removed = self.epoll.delete(&peer.stream).map_err(io::Error::from);
        let socket = removed.and_then(|()| tokio::net::TcpStream::from_std(peer.stream));
        let taken = socket.is_ok_and(|socket| {
            let begun = Bytes::copy_from_slice(begun);
            self.desk.send(Handover { socket, record: Arc::clone(&peer.record), begun }).is_ok()
        });
        // Nobody takes it any more once the server stops.
        if !taken {
            self.app.registry.close(&peer.record, Verdict::Unknown);
        }
    }

    /// The server stops: everybody is told as far as there is something to say.
    fn stop(&mut self) {
        if self.stops_ns.is_some() {
            return;
        }
        self.fan_out();
        self.stops_ns = Some(self.now_ns + self.app.settings.grace.as_nanos() as u64);
        let _ = self.epoll.delete(&*self.listener);
        for slot in 0..self.peers.len() as u32 {
            let Some(peer) = self.peers[slot as usize].as_mut() else { continue };
            match &peer.state {
                State::Asks if peer.is_blocked() => peer.closes = true,
                State::Asks => self.finish(slot),
                State::Waits(_) => self.answer_silence(slot),
                State::Follows(_) => self.end_stream(slot),
                State::Leaves(_) | State::Lingers => {}
            }
        }
    }
}
