//! A worker: one thread, one current-thread runtime, its own clients, recorder and books. Nothing is shared per quote.
//!
//! It follows the stages that the trial announces and knows no transport by name.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    io,
    ops::Range,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use measurement::{
    recorder::{Frame, Recorder, Recording},
    result::SlowReaders,
    tape::Tape,
    validity::Exhausted,
};
use relay::packets::Namespace;
use ticker::{Anchor, Due, Engine, FeedError, clock};
use tokio::{sync::watch, task::LocalSet};

use crate::{
    browser,
    clients::{self, mapping::Mapping},
    direct,
    endpoint::Endpoint,
    pacer::Pacer,
    plan::{Driver, VariantPlan},
    process,
    socket::Books,
    timeline::Timeline,
};

mod client;
mod error;
mod live;
mod notes;

pub use client::Client;
pub use error::ClientError;
pub use live::Live;
pub(crate) use live::SHOW_EVERY;
pub(crate) use notes::Notes;

/// How often the event loop is asked how late it is.
pub(crate) const PROBE_EVERY: Duration = Duration::from_millis(10);
/// How long clients may take to close in order: many share the machine's cores.
const CLOSING_TIME: Duration = Duration::from_secs(5);
const CLOSING_TIME_OF_EACH: Duration = Duration::from_micros(500);
/// More clients than this close one after another: all at once, they would wait for each other until they give up.
const CLOSE_AT_ONCE: u32 = 10_000;
const CLOSE_SPACING: Duration = Duration::from_micros(100);

/// How long so many clients of a trial may take to close in order.
pub(crate) fn closing_time(clients: u32) -> Duration {
    CLOSING_TIME + CLOSING_TIME_OF_EACH * clients
}

/// When client `number` of so many closes, after the trial says close.
pub(crate) fn closing_turn(clients: u32, number: u32) -> Duration {
    if clients > CLOSE_AT_ONCE { CLOSE_SPACING * number } else { Duration::ZERO }
}

/// What the trial asks of its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connect on the ramp.
    Connect,
    /// The feed starts at t0.
    Run {
        /// CLOCK_MONOTONIC nanoseconds.
        t0_ns: u64,
    },
    /// The window ends early, at this instant.
    Cut {
        /// CLOCK_MONOTONIC nanoseconds.
        at_ns: u64,
    },
    /// Close everything in order.
    Close,
}

impl Stage {
    /// Starts or cuts the measurement.
    pub(crate) fn apply(self, timeline: &Timeline, recorder: &mut Recorder) {
        match self {
            Self::Run { t0_ns } => {
                let window = recorder.frame().window.clone();
                timeline.start(t0_ns, &window);
                recorder.start(t0_ns);
            }
            Self::Cut { at_ns } => {
                timeline.cut(at_ns);
                let end_ns = recorder.frame().offset(at_ns);
                recorder.cut(end_ns);
            }
            Self::Connect | Self::Close => {}
        }
    }
}

/// What a worker is given.
#[derive(Clone)]
pub struct Job {
    /// The variant.
    pub variant: Arc<VariantPlan>,
    /// Seed of the phases of polls.
    pub seed: u64,
    /// Where the server listens.
    pub endpoint: Arc<Endpoint>,
    /// Takes messages as they come, unread: for those who want to see what a server says.
    pub listening: Option<Listening>,
    /// The network namespace that its clients live in, if it is not this process's own.
    pub home: Option<PathBuf>,
    /// Numbers of this worker's clients among all of the trial.
    pub clients: Range<u32>,
    /// Schedule and window; t0 comes with [`Stage::Run`].
    pub frame: Frame,
    /// The run's one pair of clock readings.
    pub anchor: Anchor,
    /// When the connect ramp begins, in CLOCK_MONOTONIC nanoseconds.
    pub ramp_from_ns: u64,
    /// The cores to stay on; any for none.
    pub cores: Vec<u32>,
    /// Whether somebody looks at the glimpse.
    pub watched: bool,
}

impl Job {
    /// Number among all clients of the trial of the worker's client `index`.
    pub fn number(&self, index: usize) -> u32 {
        self.clients.start + index as u32
    }

    /// When that client begins to connect, in CLOCK_MONOTONIC nanoseconds.
    pub fn ramp_ns(&self, index: usize) -> u64 {
        let load = &self.variant.load;
        let over_ns = load.connect_over.as_nanos() as u64;
        self.ramp_from_ns + over_ns * u64::from(self.number(index)) / u64::from(load.clients)
    }

    /// Names of the symbols that it wants; `None` for all.
    pub fn symbols(&self, index: usize) -> Option<Vec<String>> {
        let wanted = self.frame.subscriptions.symbols_of(self.number(index))?;
        Some(wanted.into_iter().map(ticker::symbol_name).collect())
    }
}

/// Takes a message and its type.
pub type Listening = Arc<dyn Fn(&[u8], Option<&str>) + Send + Sync>;

/// What a worker found.
pub struct Found {
    /// Receptions.
    pub recording: Recording,
    /// Bytes.
    pub books: Books,
    /// Payload bytes that clients without a socket of ours decoded, by phase.
    pub unsocketed_payload: [u64; 4],
    /// The first few errors of clients.
    pub errors: Vec<String>,
    /// Clients whose stream stood when the trial announced its end.
    pub connected: u64,
    /// Connections lost before that.
    pub disconnected: u64,
    /// Connections opened again.
    pub reconnected: u64,
    /// What clients of somebody else's feed heard, one tape a worker.
    pub tapes: Vec<Tape>,
    /// Clients that could not get what they needed from the system.
    pub exhausted: Exhausted,
    /// Close frames of the server by their code.
    pub closes: BTreeMap<u16, u64>,
    /// What slow readers have; `expected` and `pending` are sums of where they began and stand.
    pub slow: SlowReaders,
    /// How the clocks of pages were put on ours, where clients were pages.
    pub page: Option<PageTimes>,
}

/// How well the clocks of pages are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PageTimes {
    /// The largest error of an instant, in nanoseconds.
    pub error_ns: f64,
    /// Questions for the time.
    pub exchanges: u64,
}

impl PageTimes {
    /// Another page's.
    pub(crate) fn add(&mut self, error_ns: f64, exchanges: u64) {
        self.error_ns = self.error_ns.max(error_ns);
        self.exchanges += exchanges;
    }
}

impl Found {
    /// What a worker has when its last client has closed.
    pub(crate) fn of(
        mut recorder: Recorder,
        timeline: &Timeline,
        books: Books,
        notes: Notes,
        live: &Live,
    ) -> Self {
        for (second, bytes) in timeline.bytes_by_second().into_iter().enumerate() {
            recorder.moved(second as u64, bytes);
        }
        Self {
            recording: recorder.finish(),
            books,
            unsocketed_payload: [0; 4],
            errors: notes.errors,
            connected: live.connected.load(Ordering::Relaxed),
            disconnected: live.disconnected.load(Ordering::Relaxed),
            reconnected: live.reconnected.load(Ordering::Relaxed),
            tapes: Vec::new(),
            exhausted: notes.exhausted,
            closes: notes.closes,
            slow: SlowReaders::default(),
            page: None,
        }
    }

    /// Adds another worker's findings.
    pub fn merge(&mut self, other: Self) {
        self.recording.merge(other.recording);
        self.books.merge(&other.books);
        for (mine, theirs) in self.unsocketed_payload.iter_mut().zip(other.unsocketed_payload) {
            *mine += theirs;
        }
        self.errors.extend(other.errors);
        self.connected += other.connected;
        self.disconnected += other.disconnected;
        self.reconnected += other.reconnected;
        self.tapes.extend(other.tapes);
        self.exhausted.merge(other.exhausted);
        self.slow.clients += other.slow.clients;
        self.slow.expected += other.slow.expected;
        self.slow.received += other.slow.received;
        self.slow.skipped += other.slow.skipped;
        self.slow.pending += other.slow.pending;
        self.slow.disconnected += other.slow.disconnected;
        if let Some(other) = other.page {
            self.page.get_or_insert_default().add(other.error_ns, other.exchanges);
        }
        for (code, count) in other.closes {
            *self.closes.entry(code).or_default() += count;
        }
    }
}

/// Starts a worker.
pub fn spawn(
    job: Job,
    stage: watch::Receiver<Stage>,
    live: Arc<Live>,
) -> io::Result<JoinHandle<io::Result<Found>>> {
    std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
        if !job.cores.is_empty() {
            // Without pinning the run goes on; the manifest tells which cores were asked for.
            let _ = process::pin_thread(&job.cores);
        }
        if job.variant.driver == Driver::Chromium {
            return browser::run(direct::Setup { job, stage, live });
        }
        if let Some(home) = &job.home {
            Namespace::open(home)?.enter()?;
        }
        if job.variant.engine == Engine::Direct {
            return clients::direct(direct::Setup { job, stage, live });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, run(job, stage, live))
    })
}

async fn run(job: Job, mut stage: watch::Receiver<Stage>, live: Arc<Live>) -> io::Result<Found> {
    // Somebody else's schedule is learned from tapes; the recorder then keeps only what the clients do.
    let peer = job.variant.heard();
    let tape = peer.map(|_| RefCell::new(Tape::new(job.clients.len())));
    let mapping = peer.and_then(|peer| Mapping::new(&peer.message));
    let recorder =
        Recorder::new(job.frame.clone(), job.clients.len(), job.clients.start == 0 && tape.is_none())
            .numbered_from(job.clients.start);
    let http =
        if job.variant.counted_by_server() { Some(pooled_client().map_err(io::Error::other)?) } else { None };
    let worker = Rc::new(Worker {
        recorder: RefCell::new(recorder),
        tape,
        mapping,
        listening: job.listening.clone(),
        books: RefCell::default(),
        unsocketed_payload: Cell::default(),
        notes: RefCell::default(),
        slow: Cell::default(),
        said: OnceCell::new(),
        closing_from_ns: Cell::default(),
        timeline: Rc::default(),
        pacer: Rc::new(Pacer::new()?),
        stage: stage.clone(),
        live,
        http,
        job,
    });
    let driver = tokio::task::spawn_local(Rc::clone(&worker.pacer).drive());
    let probe = tokio::task::spawn_local(probe(Rc::clone(&worker)));
    let show = tokio::task::spawn_local(live::show(Rc::clone(&worker)));
    // What clients hold is made when the first of them connects: memory that was there before is not theirs.
    worker.pacer.at(worker.job.ramp_from_ns).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..worker.job.clients.len() {
        tasks.spawn_local(clients::run(Client {
            index,
            worker: Rc::clone(&worker),
            seen: RefCell::default(),
            before: Cell::default(),
            stormed: Cell::default(),
            slow: Cell::default(),
        }));
    }
    follow(&worker, &mut stage).await;
    let closing = async { while tasks.join_next().await.is_some() {} };
    let patience = closing_time(worker.job.variant.load.clients);
    if tokio::time::timeout(patience, closing).await.is_err() {
        let unclosed = format!("{} clients did not close in {patience:?}", tasks.len());
        worker.notes.borrow_mut().error(unclosed);
        tasks.shutdown().await;
    }
    probe.abort();
    driver.abort();
    show.abort();
    let _ = (probe.await, driver.await, show.await);
    let worker =
        Rc::into_inner(worker).ok_or_else(|| io::Error::other("a client task outlived its worker"))?;
    let (recorder, books) = (worker.recorder.into_inner(), worker.books.into_inner());
    worker.notes.borrow_mut().heard(recorder.delivered());
    let found = Found::of(recorder, &worker.timeline, books, worker.notes.into_inner(), &worker.live);
    Ok(Found {
        unsocketed_payload: worker.unsocketed_payload.get(),
        slow: worker.slow.get(),
        tapes: worker.tape.map(RefCell::into_inner).into_iter().collect(),
        ..found
    })
}

/// Takes the trial's announcements until it says close.
async fn follow(worker: &Worker, stage: &mut watch::Receiver<Stage>) {
    loop {
        let announced = *stage.borrow_and_update();
        match announced {
            Stage::Connect => {}
            Stage::Run { .. } | Stage::Cut { .. } => {
                announced.apply(&worker.timeline, &mut worker.recorder.borrow_mut());
            }
            Stage::Close => return,
        }
        if stage.changed().await.is_err() {
            return;
        }
    }
}

/// Measures how late the event loop itself is, where clients have no planned actions of their own.
async fn probe(worker: Rc<Worker>) {
    let variant = &worker.job.variant;
    if clients::acts_on_a_timetable(variant.kind) || variant.workload.has_rooms() {
        return;
    }
    let Some(mut due_ns) = worker.started().await else { return };
    while *worker.stage.borrow() != Stage::Close {
        worker.pacer.at(due_ns).await;
        worker.recorder.borrow_mut().action(due_ns, clock::now_ns(), false);
        due_ns += PROBE_EVERY.as_nanos() as u64;
    }
}

/// An ordinary HTTP client with a connection pool.
fn pooled_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()
}

/// What a worker's clients share.
pub struct Worker {
    /// Receptions of a planned feed; of any, what clients do by themselves.
    pub recorder: RefCell<Recorder>,
    /// Receptions of a feed whose schedule is not known.
    tape: Option<RefCell<Tape>>,
    /// How messages are read that are not the ticker's own.
    pub(crate) mapping: Option<Mapping>,
    /// See [`Job::listening`].
    pub(crate) listening: Option<Listening>,
    /// Which phase an instant belongs to.
    pub timeline: Rc<Timeline>,
    /// Planned instants.
    pub pacer: Rc<Pacer>,
    /// What the trial asks.
    pub stage: watch::Receiver<Stage>,
    /// The pooled client, where the variant wants one.
    pub http: Option<reqwest::Client>,
    /// The work.
    pub job: Job,
    live: Arc<Live>,
    books: RefCell<Books>,
    unsocketed_payload: Cell<[u64; 4]>,
    notes: RefCell<Notes>,
    /// What slow readers have.
    slow: Cell<SlowReaders>,
    /// What members of rooms say, by symbol, once one of them speaks.
    said: OnceCell<Vec<Vec<Due>>>,
    /// When the first client heard that the trial closes.
    closing_from_ns: Cell<Option<u64>>,
}

impl Worker {
    /// What members of rooms say, by symbol.
    ///
    /// # Errors
    /// Feed settings that no server would take.
    pub(crate) fn said(&self) -> Result<&[Vec<Due>], FeedError> {
        if self.said.get().is_none() {
            let _ = self.said.set(clients::chat::schedule(&self.job)?);
        }
        Ok(self.said.get().map_or(&[], Vec::as_slice))
    }

    /// Waits for t0. `None` when the trial ends before.
    async fn started(&self) -> Option<u64> {
        let mut stage = self.stage.clone();
        let announced = stage.wait_for(|stage| *stage != Stage::Connect).await.ok()?;
        match *announced {
            Stage::Run { t0_ns } => Some(t0_ns),
            Stage::Connect | Stage::Cut { .. } | Stage::Close => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_clients_close_one_after_another_within_their_time() {
        assert_eq!(closing_turn(CLOSE_AT_ONCE, CLOSE_AT_ONCE - 1), Duration::ZERO);
        assert_eq!(closing_turn(200_000, 0), Duration::ZERO);
        assert_eq!(closing_turn(200_000, 10), Duration::from_millis(1));
        assert!(closing_turn(200_000, 199_999) < closing_time(200_000) / 2);
    }
}
