//! The event loop: which client's turn it is. It waits for sockets, planned instants and the trial's announcements, and
//! leads each client from its place on the ramp to its close.

mod ends;

use std::{
    collections::VecDeque,
    io::{self, Read as _},
    os::fd::AsFd as _,
    sync::atomic::Ordering,
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};
use ticker::clock;
use tokio::sync::watch;

use super::{
    Desk, Dialogue, Leave, Setup, Turn,
    desk::Ours,
    hearing::Hearing,
    line::{Line, Sent, is_for_later},
    slot::{Slot, Step, Wishes},
    timers::Timers,
};
use crate::{
    socket::flow::{Counting, Sums},
    worker::{ClientError, Found, PROBE_EVERY, SHOW_EVERY, Stage},
};

/// The one read buffer of a worker.
const READ_BUFFER: usize = 64 * 1024;
/// Sockets taken from one wait, and instants taken before sockets are looked at again.
const BURST: usize = 128;
/// How often the trial's announcements are looked for at least. They come 30 ms ahead, and each look is a wake-up.
const PATROL_MS: u8 = 20;
/// Clients that may be on their way at once: fewer than a listener's queue holds, since a connection that finds it full
/// is tried again by the kernel a second later.
const MOST_ARRIVING: usize = 1_000;
/// Told once for each change: a socket that was read to its end is not looked at again until more comes, and none is
/// registered twice.
const CHANGES: EpollFlags =
    EpollFlags::EPOLLET.union(EpollFlags::EPOLLIN).union(EpollFlags::EPOLLOUT).union(EpollFlags::EPOLLRDHUP);
/// What epoll calls the timer; clients have their index.
const TIMER: u64 = u64::MAX;
/// Instants that are no client's.
const PROBE: u32 = u32::MAX;
const SHOW: u32 = u32::MAX - 1;
const GIVE_UP: u32 = u32::MAX - 2;

/// A worker's loop.
pub(super) struct Looping<D: Dialogue> {
    dialogue: D,
    slots: Vec<Slot<D::Client>>,
    desk: Desk,
    down: Sums,
    up: Sums,
    buffer: Vec<u8>,
    out: Vec<u8>,
    timers: Timers,
    epoll: Epoll,
    stage: watch::Receiver<Stage>,
    /// Clients that are on their way, and those whose place on the ramp has come that wait for one of them.
    arriving: usize,
    queue: VecDeque<usize>,
    /// Clients that are not through.
    left: usize,
    closing: bool,
}

impl<D: Dialogue> Looping<D> {
    pub(super) fn new(setup: Setup, dialogue: D) -> io::Result<Self> {
        let count = setup.job.clients.len();
        let timers = Timers::new(2 * count + 8)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // Edge-triggered: an instant that has come is looked at once.
        epoll.add(timers.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER))?;
        let stage = setup.stage.clone();
        let seed = clock::unix_ns();
        Ok(Self {
            dialogue,
            slots: (0..count).map(|_| Slot::default()).collect(),
            desk: Desk::new(setup, seed),
            down: Sums::default(),
            up: Sums::default(),
            buffer: vec![0; READ_BUFFER],
            out: Vec::with_capacity(4096),
            timers,
            epoll,
            stage,
            arriving: 0,
            queue: VecDeque::new(),
            left: count,
            closing: false,
        })
    }

    pub(super) fn run(mut self) -> io::Result<Found> {
        for index in 0..self.slots.len() {
            self.wake(index, self.desk.job.ramp_ns(index));
        }
        if self.desk.job.watched {
            self.timers.plan(clock::now_ns(), SHOW);
        }
        let first = *self.stage.borrow_and_update();
        self.announced(first);
        let mut events = vec![EpollEvent::empty(); BURST];
        while !(self.closing && self.left == 0) {
            let waits = self.timers.next_ns() > clock::now_ns();
            if waits {
                self.timers.arm()?;
            }
            let patience = if waits { EpollTimeout::from(PATROL_MS) } else { EpollTimeout::ZERO };
            let ready = match self.epoll.wait(&mut events, patience) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.follow();
            self.fire(clock::now_ns());
            for event in &events[..ready] {
                if event.data() != TIMER {
                    self.ready(event.data() as usize, event.events());
                }
            }
        }
        Ok(self.desk.found(&self.down, &self.up))
    }

    /// Takes what the trial announces.
    fn follow(&mut self) {
        match self.stage.has_changed() {
            Ok(false) => {}
            Ok(true) => {
                let announced = *self.stage.borrow_and_update();
                self.announced(announced);
            }
            // The trial is gone.
            Err(_) => self.announced(Stage::Close),
        }
    }

    fn announced(&mut self, stage: Stage) {
        stage.apply(&self.desk.timeline, &mut self.desk.recorder);
        match stage {
            Stage::Connect | Stage::Cut { .. } => {}
            Stage::Run { t0_ns } => self.start(t0_ns),
            Stage::Close => self.close(),
        }
    }

    fn start(&mut self, t0_ns: u64) {
        self.desk.t0_ns = Some(t0_ns);
        if !D::ON_TIME {
            // Clients without a timetable do not tell how late the loop is.
            self.timers.plan(t0_ns, PROBE);
        }
        for index in 0..self.slots.len() {
            if self.slots[index].stands {
                self.turn(index, |dialogue, client, turn| dialogue.started(client, t0_ns, turn));
            }
        }
    }

    /// Does what is due.
    fn fire(&mut self, now_ns: u64) {
        for _ in 0..BURST {
            let Some((due_ns, token)) = self.timers.take_due(now_ns) else { return };
            match token {
                PROBE if self.closing => {}
                PROBE => {
                    self.desk.recorder.action(due_ns, clock::now_ns(), false);
                    self.timers.plan(due_ns + PROBE_EVERY.as_nanos() as u64, PROBE);
                }
                SHOW => {
                    self.desk.live.show(&self.desk.recorder, &self.desk.timeline);
                    self.timers.plan(now_ns + SHOW_EVERY.as_nanos() as u64, SHOW);
                }
                GIVE_UP => self.give_up(),
                client => self.due(client as usize, due_ns),
            }
        }
    }

    fn due(&mut self, index: usize, due_ns: u64) {
        let slot = &mut self.slots[index];
        if slot.wake_ns != due_ns {
            return;
        }
        slot.wake_ns = u64::MAX;
        match slot.step {
            Step::Waiting => self.begin(index),
            Step::Open if self.closing => self.close_one(index),
            Step::Open => self.turn(index, D::due),
            Step::Leaving => {
                self.dialogue.unanswered(&mut slot.talk, &mut self.desk);
                self.leave(index);
            }
            Step::Answered => self.leave(index),
            Step::Ending => self.gone(index),
            Step::Gone => {}
        }
    }

    /// A client's place on the ramp has come.
    fn begin(&mut self, index: usize) {
        if self.arriving >= MOST_ARRIVING {
            return self.queue.push_back(index);
        }
        self.arriving += 1;
        let slot = &mut self.slots[index];
        (slot.from_ns, slot.step, slot.arriving) = (clock::now_ns(), Step::Open, true);
        if self.open_line(index) {
            self.turn(index, D::open);
        }
    }

    /// The client stands or has failed: the next one may come.
    fn arrived(&mut self, index: usize) {
        if std::mem::take(&mut self.slots[index].arriving) {
            self.arriving -= 1;
            if let Some(next) = self.queue.pop_front() {
                self.wake(next, clock::now_ns());
            }
        }
    }

    /// Begins to connect; whether that could be begun.
    fn open_line(&mut self, index: usize) -> bool {
        let began = self.desk.timeline.phase(clock::now_ns());
        let stream = self.desk.job.endpoint.begin().and_then(|stream| {
            self.epoll.add(&stream, EpollEvent::new(CHANGES, index as u64))?;
            Ok(stream)
        });
        let ours = self.dialogue.publishes().map_or(Ours::Asking, Ours::Publishing);
        match stream {
            Ok(stream) => {
                self.slots[index].line = Some(Line::new(stream, began, ours));
                true
            }
            Err(error) => {
                self.fail(index, &ClientError::Connect(error));
                self.gone(index);
                false
            }
        }
    }

    /// A call of the dialogue that no read brought about.
    fn turn<R>(&mut self, index: usize, call: impl FnOnce(&mut D, &mut D::Client, &mut Turn<'_>) -> R) -> R {
        let at_ns = clock::now_ns();
        let mut turn = Turn::new(index, at_ns, &mut self.desk, &mut self.out);
        let result = call(&mut self.dialogue, &mut self.slots[index].talk, &mut turn);
        let wishes = Wishes::of(&turn);
        self.act(index, &wishes, at_ns);
        result
    }

    /// Does what a turn asked for.
    #[inline]
    fn act(&mut self, index: usize, wishes: &Wishes, at_ns: u64) {
        let slot = &mut self.slots[index];
        if wishes.stands && !std::mem::replace(&mut slot.stands, true) {
            self.desk.recorder.connected(index, slot.from_ns, at_ns);
            self.desk.live.connected.fetch_add(1, Ordering::Relaxed);
            self.arrived(index);
        }
        if !self.out.is_empty() {
            self.say(index, wishes.same_get);
        }
        // Who waits for its turn to close plans nothing else.
        if let Some(due_ns) = wishes.wake_ns.filter(|_| !self.closing) {
            self.wake(index, due_ns);
        }
        match wishes.leave {
            None | Some(Leave::Later) => {}
            Some(Leave::Now) => self.leave(index),
            Some(Leave::Farewell) => self.await_end(index, Step::Answered),
        }
    }

    fn wake(&mut self, index: usize, due_ns: u64) {
        self.slots[index].wake_ns = due_ns;
        self.timers.plan(due_ns, index as u32);
    }

    /// Sends what the dialogue has put out, on a fresh connection if the server closed the last one.
    fn say(&mut self, index: usize, same_get: Option<u64>) {
        if self.slots[index].line.is_none() {
            if !self.open_line(index) {
                return self.out.clear();
            }
            self.desk.live.reconnected.fetch_add(1, Ordering::Relaxed);
        }
        let Some(line) = &mut self.slots[index].line else { return };
        let sent = line.say(&self.out, same_get, &mut self.up, &self.desk.timeline);
        self.out.clear();
        self.has_said(index, sent);
    }

    fn has_said(&mut self, index: usize, sent: Result<Sent, ClientError>) {
        let Slot { line: Some(line), talk, .. } = &mut self.slots[index] else { return };
        match sent {
            Ok(Sent::All) => self.dialogue.said(talk, line.last_write_ns()),
            // There is an event when there is room.
            Ok(Sent::Some) => {}
            Err(error) => self.broken(index, error),
        }
    }

    /// The socket has something to read or room to write.
    fn ready(&mut self, index: usize, flags: EpollFlags) {
        let Some(line) = &mut self.slots[index].line else { return };
        if flags.contains(EpollFlags::EPOLLOUT) && line.has_more_to_say() {
            let sent = line.say_on(&mut self.up, &self.desk.timeline);
            self.has_said(index, sent);
        }
        // The server's end may have come with its last bytes, and is told only once.
        let to_the_end =
            flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if to_the_end || flags.contains(EpollFlags::EPOLLIN) {
            while self.read(index, to_the_end) {}
        }
    }

    /// Reads once. Returns whether there may be more.
    #[inline]
    fn read(&mut self, index: usize, to_the_end: bool) -> bool {
        let Some(line) = &self.slots[index].line else { return false };
        match (&line.stream).read(&mut self.buffer) {
            Ok(0) => {
                self.ended(index);
                false
            }
            Ok(bytes) => {
                self.received(index, bytes);
                to_the_end || bytes == self.buffer.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if is_for_later(&error) => false,
            Err(error) => {
                self.broken(index, ClientError::Io(error));
                false
            }
        }
    }

    /// A read has brought so many bytes.
    fn received(&mut self, index: usize, bytes: usize) {
        let at_ns = clock::now_ns();
        let Slot { line: Some(line), talk, step, .. } = &mut self.slots[index] else { return };
        let phase = self.desk.timeline.phase(at_ns);
        self.desk.timeline.moved(at_ns, bytes as u64, 0);
        line.witness.enter(phase, line.stream.as_fd());
        line.down.moved(&mut self.down, bytes, at_ns, phase);
        let read = &self.buffer[..bytes];
        let deaf = *step == Step::Ending;
        let turn = Turn::new(index, at_ns, &mut self.desk, &mut self.out);
        let mut hearing = Hearing::new(&mut self.dialogue, talk, turn, read, &mut line.carry, deaf);
        let mut counting = Counting { flow: &mut line.down, sums: &mut self.down, messages: &mut hearing };
        let scanned = line.scanner.down(read, &mut counting);
        let (turn, error) = hearing.end();
        let wishes = Wishes::of(&turn);
        if deaf {
            return;
        }
        self.act(index, &wishes, at_ns);
        if let Some(error) = error.or(scanned.err().map(ClientError::Wire)) {
            self.fail(index, &error);
            self.leave(index);
        }
        if D::ON_TIME && self.timers.next_ns() <= at_ns {
            self.fire(at_ns);
        }
    }
}
