//! The thread that carries packets from one device to the other, each at its instant.
//!
//! It waits with `poll` and a timerfd, which is late by the wake-up of a thread (some 10 µs) and not by a timer wheel's
//! tick.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    unistd::{read, write},
};
use ticker::{clock, random};

use super::model::{Counts, Crossing, Model, Path, Verdict};

/// More than any packet of a device with an MTU of 1500.
const LONGEST: usize = 64 * 1024;
/// Packets read from one device before those that are due are looked after.
const MOST_AT_ONCE: usize = 64;
/// Bytes under way beyond which packets are dropped, so that a flood does not fill the memory.
const MOST_UNDER_WAY: u64 = 256 << 20;
/// The stream of random numbers that gives each way its seed.
const SEEDS: u64 = 0;

/// What the thread and its owner share.
pub(super) struct Carrier {
    state: Mutex<State>,
    /// Wakes the thread when the owner has changed something.
    wake: EventFd,
    /// Wakes the thread when a packet is due.
    timer: TimerFd,
}

struct State {
    /// Up, down.
    ways: [Way; 2],
    is_partitioned: bool,
    is_over: bool,
}

struct Way {
    model: Model,
    /// In the order in which they arrive.
    under_way: VecDeque<(Crossing, Vec<u8>)>,
    bytes_under_way: u64,
}

impl Carrier {
    pub(super) fn new(seed: u64, up: Path, down: Path) -> io::Result<Self> {
        let way = |n, path| Way {
            model: Model::new(random::bits(seed, SEEDS, n), path),
            under_way: VecDeque::new(),
            bytes_under_way: 0,
        };
        let state = State { ways: [way(0, up), way(1, down)], is_partitioned: false, is_over: false };
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Self { state: Mutex::new(state), wake, timer })
    }

    /// Carries packets until [`Self::stop`], or until a device is gone.
    ///
    /// # Errors
    /// When the devices or the timer fail.
    pub(super) fn run(&self, client: &OwnedFd, server: &OwnedFd) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let is_readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut sources =
                [self.wake.as_fd(), self.timer.as_fd(), client.as_fd(), server.as_fd()].map(is_readable);
            match poll(&mut sources, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [_, _, has_up, has_down] = sources.map(|source| source.any().unwrap_or(false));
            // Held for the whole round: what the owner changes is in force for all packets sent after it.
            let mut state = self.state();
            if state.is_over {
                return Ok(());
            }
            // An error means that nothing is there to be read, which is what this is for.
            let _ = self.wake.read();
            if has_up {
                state.take(0, client, &mut buffer)?;
            }
            if has_down {
                state.take(1, server, &mut buffer)?;
            }
            let next_ns = [state.ways[0].deliver(server), state.ways[1].deliver(client)];
            drop(state);
            set(&self.timer, next_ns.into_iter().flatten().min())?;
        }
    }

    /// Ends [`Self::run`].
    pub(super) fn stop(&self) {
        self.change(|state| state.is_over = true);
    }

    pub(super) fn set(&self, up: Path, down: Path) {
        self.change(|state| {
            let now_ns = clock::now_ns();
            for (way, path) in state.ways.iter_mut().zip([up, down]) {
                way.model.set(now_ns, path, way.under_way.iter_mut().map(|(crossing, _)| crossing));
            }
        });
    }

    pub(super) fn partition(&self) {
        self.change(|state| {
            state.is_partitioned = true;
            state.ways.iter_mut().for_each(Way::vanish);
        });
    }

    pub(super) fn heal(&self) {
        self.change(|state| state.is_partitioned = false);
    }

    pub(super) fn counts(&self) -> [Counts; 2] {
        let state = self.state();
        [state.ways[0].model.counts(), state.ways[1].model.counts()]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        // It fails only when the count is at its end, and then the thread is being woken anyway.
        let _ = self.wake.write(1);
    }
}

impl State {
    /// Reads what has come from one end.
    fn take(&mut self, way: usize, from: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
        let is_partitioned = self.is_partitioned;
        let way = &mut self.ways[way];
        for _ in 0..MOST_AT_ONCE {
            let packet = match read(from, buffer) {
                Ok(length) => &buffer[..length],
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            // The kernel looks for IPv6 routers on its own; the link has addresses of version 4 only.
            if packet.first().is_none_or(|byte| byte >> 4 != 4) {
                continue;
            }
            let bytes = packet.len() as u64;
            if is_partitioned {
                way.model.partitioned(bytes);
            } else if way.bytes_under_way + bytes > MOST_UNDER_WAY {
                way.model.overflowed(bytes);
            } else if let Verdict::Deliver(crossing) = way.model.take(clock::now_ns(), bytes) {
                way.bytes_under_way += bytes;
                way.under_way.push_back((crossing, packet.to_vec()));
            }
        }
        Ok(())
    }
}

impl Way {
    /// Hands over what is due; returns when the next packet is.
    fn deliver(&mut self, to: &OwnedFd) -> Option<u64> {
        let mut now_ns = clock::now_ns();
        loop {
            let at_ns = self.under_way.front()?.0.at_ns;
            if at_ns > now_ns {
                now_ns = clock::now_ns();
                if at_ns > now_ns {
                    return Some(at_ns);
                }
            }
            let (Crossing { bytes, .. }, packet) = self.under_way.pop_front()?;
            self.bytes_under_way -= bytes;
            match write(to, &packet) {
                Ok(_) => self.model.arrived(bytes),
                // The other end has no room for it.
                Err(_) => self.model.overflowed(bytes),
            }
        }
    }

    /// Loses all that is under way.
    fn vanish(&mut self) {
        for (Crossing { bytes, .. }, _) in self.under_way.drain(..) {
            self.model.partitioned(bytes);
        }
        self.bytes_under_way = 0;
        self.model.clear();
    }
}

/// Sets the timer, which also takes back that it has gone off.
fn set(timer: &TimerFd, due_ns: Option<u64>) -> nix::Result<()> {
    let Some(due_ns) = due_ns else { return timer.unset() };
    let due = TimeSpec::new((due_ns / 1_000_000_000) as i64, (due_ns % 1_000_000_000) as i64);
    timer.set(Expiration::OneShot(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
}
