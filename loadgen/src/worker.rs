//! A worker: one thread, one current-thread runtime, its own clients, recorder and books. Nothing is shared per quote.
//!
//! It follows the stages that the trial announces and knows no transport by name.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    ops::Range,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use measurement::{
    recorder::{Frame, Recorder, Recording},
    validity::Exhausted,
};
use ticker::{Anchor, clock};
use tokio::{sync::watch, task::LocalSet};

use crate::{
    clients, exhaustion,
    pacer::Pacer,
    plan::VariantPlan,
    process,
    socket::{Books, Socket},
    timeline::Timeline,
};

/// How often the event loop is asked how late it is.
const PROBE_EVERY: Duration = Duration::from_millis(10);
/// How long clients may take to close in order.
const CLOSING_TIME: Duration = Duration::from_secs(5);

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

/// What a worker is given.
#[derive(Clone)]
pub struct Job {
    /// The variant.
    pub variant: Arc<VariantPlan>,
    /// Seed of the phases of polls.
    pub seed: u64,
    /// Where the server listens.
    pub address: SocketAddr,
    /// Numbers of this worker's clients among all of the trial.
    pub clients: Range<u32>,
    /// Schedule and window; t0 comes with [`Stage::Run`].
    pub frame: Frame,
    /// The run's one pair of clock readings.
    pub anchor: Anchor,
    /// When the connect ramp begins, in CLOCK_MONOTONIC nanoseconds.
    pub ramp_from_ns: u64,
    /// The core to stay on.
    pub core: Option<u32>,
}

/// Live counts of one worker, for progress and for the end of the drain.
#[derive(Debug, Default)]
pub struct Live {
    /// Clients whose stream stands.
    pub connected: AtomicU64,
    /// Clients that could not connect.
    pub failed: AtomicU64,
    /// Quotes of the window received.
    pub delivered: AtomicU64,
    /// Connections lost unexpectedly.
    pub disconnected: AtomicU64,
}

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
    /// Clients that could not get what they needed from the system.
    pub exhausted: Exhausted,
}

impl Found {
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
        self.exhausted.merge(other.exhausted);
    }
}

/// Starts a worker.
pub fn spawn(
    job: Job,
    stage: watch::Receiver<Stage>,
    live: Arc<Live>,
) -> io::Result<JoinHandle<io::Result<Found>>> {
    std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
        if let Some(core) = job.core {
            // Without pinning the run goes on; the manifest tells which cores were asked for.
            let _ = process::pin_thread(&[core]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, run(job, stage, live))
    })
}

async fn run(job: Job, mut stage: watch::Receiver<Stage>, live: Arc<Live>) -> io::Result<Found> {
    let recorder = Recorder::new(job.frame.clone(), job.clients.len(), job.clients.start == 0);
    let http =
        if job.variant.counted_by_server() { Some(pooled_client().map_err(io::Error::other)?) } else { None };
    let worker = Rc::new(Worker {
        recorder: RefCell::new(recorder),
        books: RefCell::default(),
        unsocketed_payload: Cell::default(),
        errors: RefCell::default(),
        exhausted: Cell::default(),
        timeline: Rc::default(),
        pacer: Rc::new(Pacer::new()?),
        stage: stage.clone(),
        live,
        http,
        job,
    });
    let driver = tokio::task::spawn_local(Rc::clone(&worker.pacer).drive());
    let probe = tokio::task::spawn_local(probe(Rc::clone(&worker)));
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..worker.job.clients.len() {
        tasks.spawn_local(clients::run(Client { index, worker: Rc::clone(&worker) }));
    }
    follow(&worker, &mut stage).await;
    let closing = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSING_TIME, closing).await.is_err() {
        worker.note_error(format!("{} clients did not close in {CLOSING_TIME:?}", tasks.len()));
        tasks.shutdown().await;
    }
    probe.abort();
    driver.abort();
    let _ = (probe.await, driver.await);
    let worker =
        Rc::into_inner(worker).ok_or_else(|| io::Error::other("a client task outlived its worker"))?;
    let mut recorder = worker.recorder.into_inner();
    for (second, bytes) in worker.timeline.bytes_by_second().into_iter().enumerate() {
        recorder.moved(second as u64, bytes);
    }
    Ok(Found {
        recording: recorder.finish(),
        books: worker.books.into_inner(),
        unsocketed_payload: worker.unsocketed_payload.get(),
        errors: worker.errors.into_inner(),
        connected: worker.live.connected.load(Ordering::Relaxed),
        disconnected: worker.live.disconnected.load(Ordering::Relaxed),
        exhausted: worker.exhausted.get(),
    })
}

/// Takes the trial's announcements until it says close.
async fn follow(worker: &Worker, stage: &mut watch::Receiver<Stage>) {
    loop {
        let announced = *stage.borrow_and_update();
        match announced {
            Stage::Connect => {}
            Stage::Run { t0_ns } => {
                worker.timeline.start(t0_ns, &worker.job.frame.window);
                worker.recorder.borrow_mut().start(t0_ns);
            }
            Stage::Cut { at_ns } => {
                worker.timeline.cut(at_ns);
                let mut recorder = worker.recorder.borrow_mut();
                let end_ns = recorder.frame().offset(at_ns);
                recorder.cut(end_ns);
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
    if clients::acts_on_a_timetable(worker.job.variant.kind) {
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
    /// Receptions.
    pub recorder: RefCell<Recorder>,
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
    errors: RefCell<Vec<String>>,
    exhausted: Cell<Exhausted>,
}

impl Worker {
    /// Waits for t0. `None` when the trial ends before.
    async fn started(&self) -> Option<u64> {
        let mut stage = self.stage.clone();
        let announced = stage.wait_for(|stage| *stage != Stage::Connect).await.ok()?;
        match *announced {
            Stage::Run { t0_ns } => Some(t0_ns),
            Stage::Connect | Stage::Cut { .. } | Stage::Close => None,
        }
    }

    fn note_exhausted(&self, error: &ClientError) {
        let mut exhausted = self.exhausted.get();
        exhausted.merge(exhaustion::of(error));
        self.exhausted.set(exhausted);
    }

    fn note_error(&self, error: String) {
        const KEPT: usize = 5;
        let mut errors = self.errors.borrow_mut();
        if errors.len() < KEPT {
            errors.push(error);
        }
    }
}

/// One client: its number within the worker, and the worker.
pub struct Client {
    /// Index among the worker's clients.
    pub index: usize,
    /// The worker.
    pub worker: Rc<Worker>,
}

impl Client {
    /// Number among all clients of the trial.
    pub fn number(&self) -> u32 {
        self.worker.job.clients.start + self.index as u32
    }

    /// The variant's plan.
    pub fn plan(&self) -> &VariantPlan {
        &self.worker.job.variant
    }

    /// Waits for this client's place on the connect ramp.
    pub async fn ramp(&self) {
        let load = &self.plan().load;
        let step = load.connect_over.as_nanos() as u64 * u64::from(self.number()) / u64::from(load.clients);
        self.worker.pacer.at(self.worker.job.ramp_from_ns + step).await;
    }

    /// Opens a counted socket to the server.
    pub async fn connect(&self) -> io::Result<Rc<Socket>> {
        Socket::connect(self.worker.job.address, Rc::clone(&self.worker.timeline)).await
    }

    /// The stream stands and its first snapshot is here; connecting began at `from_ns`.
    pub fn connected(&self, from_ns: u64, at_ns: u64) {
        self.worker.recorder.borrow_mut().connected(self.index, from_ns, at_ns);
        self.worker.live.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for t0. `None` when the trial ends before.
    pub async fn started(&self) -> Option<u64> {
        self.worker.started().await
    }

    /// Ends when the trial says close.
    pub async fn closing(&self) {
        let mut stage = self.worker.stage.clone();
        // The sender's end is the trial's end.
        let _ = stage.wait_for(|stage| *stage == Stage::Close).await;
    }

    /// Records a snapshot.
    pub fn snapshot(&self, last: u64, seqs: impl Iterator<Item = u64>, at_ns: u64) {
        self.worker.recorder.borrow_mut().snapshot(self.index, last, seqs, at_ns);
    }

    /// Records the quotes of one message, `(seq, sent in Unix microseconds)` each.
    pub fn quotes(&self, quotes: impl Iterator<Item = (u64, u64)>, at_ns: u64) {
        let mut recorder = self.worker.recorder.borrow_mut();
        for (seq, sent_us) in quotes {
            recorder.quote(self.index, seq, self.worker.job.anchor.mono_ns_of(sent_us), at_ns);
        }
        recorder.batch_end(self.index, at_ns);
        self.worker.live.delivered.store(recorder.delivered(), Ordering::Relaxed);
    }

    /// Adds payload that was decoded from a connection that is not ours to count.
    pub fn unsocketed_payload(&self, bytes: u64, at_ns: u64) {
        let mut payload = self.worker.unsocketed_payload.get();
        payload[self.worker.timeline.phase(at_ns) as usize] += bytes;
        self.worker.unsocketed_payload.set(payload);
    }

    /// Closes the socket in order and adds its bytes to the worker's books.
    pub async fn finish(&self, socket: Rc<Socket>) {
        let books = socket.finish().await;
        self.worker.books.borrow_mut().merge(&books);
    }

    /// The client could not connect.
    pub fn failed(&self, error: &ClientError) {
        self.worker.live.failed.fetch_add(1, Ordering::Relaxed);
        self.worker.note_exhausted(error);
        self.worker.note_error(format!("client {}: {error}", self.number()));
    }

    /// The connection was lost though nobody asked for it.
    pub fn disconnected(&self, error: &ClientError) {
        self.worker.live.disconnected.fetch_add(1, Ordering::Relaxed);
        self.worker.note_exhausted(error);
        self.worker.note_error(format!("client {}: {error}", self.number()));
    }
}

/// What can go wrong with one client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error("failed to connect: {0}")]
    Connect(#[source] io::Error),
    /// HTTP.
    #[error("failed to exchange HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// A request that cannot be formed.
    #[error("failed to form a request: {0}")]
    Request(#[from] http::Error),
    /// The pooled client.
    #[error("failed to exchange HTTP: {0}")]
    Pooled(#[from] reqwest::Error),
    /// WebSocket.
    #[error("failed to exchange WebSocket messages: {0}")]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
    /// An event stream that is none.
    #[error("failed to read the event stream: {0}")]
    Events(#[from] sse_stream::Error),
    /// The status line of an answer.
    #[error("the server answered {found}, expected {expected}")]
    Status {
        /// What came.
        found: http::StatusCode,
        /// What the protocol wants.
        expected: &'static str,
    },
    /// A message that is not the ticker's.
    #[error("failed to read a message: {0}")]
    Message(#[from] serde_json::Error),
    /// The byte stream has no such message.
    #[error("a decoded message is not in the byte stream")]
    Unscanned,
    /// The end.
    #[error("the server closed the connection")]
    Closed,
}
