//! The publisher: one thread outside the async runtime that hands each quote over when it is due.
//!
//! It is late, never skipping: whatever is due by now forms one round with one `sent`. It knows no client.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ticker::{Anchor, Due, Engine, FeedSettings, Quote, Schedule, clock, symbol_name};

use crate::{
    control::Start, encoded::Encoded, fault::Fault, log::Log, os, settings::Settings, stats::PublisherStats,
};

/// Longest sleep: the delay with which the thread notices that it shall stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// How far the publisher is; read by anyone, written by its thread only.
#[derive(Default)]
pub(crate) struct Progress {
    published: AtomicU64,
    published_in_window: AtomicU64,
    max_lag_ns: AtomicU64,
    anchor: OnceLock<Anchor>,
}

impl Progress {
    /// (quotes published, those due in the measured window, the publisher's own figures).
    pub(crate) fn stats(&self) -> (u64, u64, PublisherStats) {
        let publisher = PublisherStats { max_lag_ns: self.max_lag_ns.load(Relaxed) };
        (self.published.load(Relaxed), self.published_in_window.load(Relaxed), publisher)
    }

    /// The clock readings that the quotes' times refer to; `None` before the start.
    pub(crate) fn anchor(&self) -> Option<Anchor> {
        self.anchor.get().copied()
    }
}

/// The running thread. Dropping the handle asks it to end.
pub(crate) struct Handle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Ends the thread and waits for it: [`LONGEST_SLEEP`] and a round at most.
    pub(crate) fn join(mut self) -> thread::Result<()> {
        self.stop.store(true, Relaxed);
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Starts the thread. It publishes nothing until `start` brings the instant, and ends when `start` hangs up.
pub(crate) fn spawn(
    settings: &Settings,
    log: &Arc<Log>,
    progress: &Arc<Progress>,
    start: mpsc::Receiver<Start>,
) -> io::Result<Handle> {
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = Publisher {
        names: (0..settings.feed.symbols).map(symbol_name).collect(),
        feed: settings.feed.clone(),
        fault: settings.fault,
        framed: settings.engine == Engine::Direct,
        // A longer round would push its own first quotes out of the window before anyone can read them.
        longest_round: settings.replay_window,
        log: Arc::clone(log),
        progress: Arc::clone(progress),
        stop: Arc::clone(&stop),
    };
    let thread = thread::Builder::new().name("publisher".to_owned()).spawn(move || {
        os::finest_timer_slack();
        if let Ok(start) = start.recv() {
            publisher.run(start);
        }
    })?;
    Ok(Handle { stop, thread: Some(thread) })
}

struct Publisher {
    feed: FeedSettings,
    fault: Option<Fault>,
    framed: bool,
    names: Vec<String>,
    longest_round: usize,
    log: Arc<Log>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

impl Publisher {
    fn run(&self, start: Start) {
        self.progress.anchor.get_or_init(|| start.anchor);
        let mut schedule = Schedule::new(&self.feed).expect("serve() checked the settings").peekable();
        let due_ns = |due: &Due| start.t0_ns.saturating_add(due.offset_ns);
        let mut round = Vec::new();
        while let Some(next) = schedule.peek()
            && self.wait_until(due_ns(next))
        {
            let now_ns = clock::now_ns();
            while round.len() < self.longest_round
                && let Some(due) = schedule.next_if(|due| due_ns(due) <= now_ns)
            {
                round.push(due);
            }
            self.publish(start, &round);
            round.clear();
        }
    }

    /// Waits until `due_ns`; false when the server stops first.
    fn wait_until(&self, due_ns: u64) -> bool {
        loop {
            if self.stop.load(Relaxed) {
                return false;
            }
            let now_ns = clock::now_ns();
            if due_ns <= now_ns {
                return true;
            }
            clock::sleep_until(due_ns.min(now_ns + LONGEST_SLEEP.as_nanos() as u64));
        }
    }

    /// Stamps, encodes and hands over one round; `dues` is not empty.
    fn publish(&self, start: Start, dues: &[Due]) {
        let in_window = |due: &&Due| (start.window_from_ns..start.window_to_ns).contains(&due.offset_ns);
        let measured = dues.iter().filter(in_window).count() as u64;

        let sent_ns = clock::now_ns();
        let sent_us = start.anchor.unix_us(sent_ns);
        let encode = |&due: &Due| {
            let due_us = start.anchor.unix_us(start.t0_ns.saturating_add(due.offset_ns));
            let quote = Quote { due, symbol: &self.names[due.symbol as usize], due_us, sent_us };
            let withheld = self.fault.is_some_and(|fault| fault.withholds(due.seq));
            let encoded = Encoded::new(&quote, self.feed.quote_bytes).withheld(withheld);
            if self.framed { encoded.framed() } else { encoded }
        };
        self.log.append(dues.iter().map(encode).collect());

        self.progress.published.fetch_add(dues.len() as u64, Relaxed);
        self.progress.published_in_window.fetch_add(measured, Relaxed);
        let lag_ns = sent_ns.saturating_sub(start.t0_ns.saturating_add(dues[0].offset_ns));
        self.progress.max_lag_ns.fetch_max(lag_ns, Relaxed);
    }
}
