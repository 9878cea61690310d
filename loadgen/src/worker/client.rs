//! One client of the library engine, as its transport sees it: what it is to do, and where it tells what happened.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::atomic::Ordering,
    time::Duration,
};

use measurement::tape::Heard;
use ticker::{QuoteView, clock, random};
use wire::Bodies;

use super::{ClientError, Stage, Worker, closing_turn};
use crate::{
    clients::message::Seen,
    endpoint::Endpoint,
    plan::{Link, VariantPlan},
    socket::{Books, Socket},
};

/// Seeded draws of when clients come back.
const STREAM_RETURNS: u64 = 41;
/// The longest of the first pauses before a lost connection is opened again, and how often the pause doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 5;

/// One client: its number within the worker, and the worker.
pub struct Client {
    /// Index among the worker's clients.
    pub index: usize,
    /// The worker.
    pub worker: Rc<Worker>,
    /// What it has of a server that tells everything each time.
    pub(crate) seen: RefCell<Seen>,
    /// Connections that stood before this one.
    pub(crate) before: Cell<u32>,
    /// Whether the storm has been.
    pub(crate) stormed: Cell<bool>,
    /// What a slow reader has.
    pub(crate) slow: Cell<SlowLog>,
}

/// What one slow reader has got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlowLog {
    /// The newest before its subscription.
    after: Option<u64>,
    newest: u64,
    received: u64,
}

impl Client {
    /// Number among all clients of the trial.
    pub fn number(&self) -> u32 {
        self.worker.job.number(self.index)
    }

    /// The variant's plan.
    pub fn plan(&self) -> &VariantPlan {
        &self.worker.job.variant
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.worker.job.endpoint
    }

    /// Names of the symbols that it wants; `None` for all.
    pub fn symbols(&self) -> Option<Vec<String>> {
        self.worker.job.symbols(self.index)
    }

    /// Waits for this client's place on the connect ramp.
    pub async fn ramp(&self) {
        self.worker.pacer.at(self.worker.job.ramp_ns(self.index)).await;
    }

    /// Opens a counted socket to the server; what bodies are, heads of HTTP/2 do not tell.
    pub async fn connect(&self, bodies: Bodies) -> io::Result<Rc<Socket>> {
        let http = self.plan().options.http;
        let slow = self.plan().slow.filter(|_| self.is_slow()).map(|slow| slow.bytes_per_second);
        Socket::connect(self.endpoint(), Rc::clone(&self.worker.timeline), (http, slow), bodies).await
    }

    /// Whether it does not keep up, by plan: the last clients are those.
    pub fn is_slow(&self) -> bool {
        let plan = self.plan();
        plan.slow.is_some_and(|slow| self.number() >= plan.load.clients.saturating_sub(slow.clients))
    }

    /// Where it goes on: the newest that it has, once a connection of it has stood; `None` for a new client.
    pub fn resumes_after(&self) -> Option<u64> {
        if self.before.get() == 0 {
            return None;
        }
        self.worker.recorder.borrow().newest(self.index)
    }

    /// Waits until the client is to connect again. False if it is not to: the trial closes, or nobody planned it.
    ///
    /// In a storm all come back from its instant on, drawn over its jitter. Where the link resets connections, a client tries
    /// again as browsers do, after a while that doubles, drawn anew each time.
    pub async fn comes_back(&self, failures: u32) -> bool {
        if *self.worker.stage.borrow() == Stage::Close {
            return false;
        }
        let draw = random::unit(
            self.worker.job.seed,
            STREAM_RETURNS,
            u64::from(self.number()) << 8 | u64::from(failures),
        );
        if let Some(storm) = self.plan().storm
            && !self.stormed.get()
            && let Some(at_ns) = self.storm_ns().filter(|at_ns| *at_ns <= clock::now_ns())
        {
            self.stormed.set(true);
            self.worker.recorder.borrow_mut().cut_off(self.index, at_ns);
            let back_ns = at_ns + (storm.jitter.as_nanos() as f64 * draw) as u64;
            return self.waited_until(back_ns).await;
        }
        if !self.plan().link.as_ref().is_some_and(Link::resets) {
            return false;
        }
        if failures == 0 {
            self.worker.recorder.borrow_mut().cut_off(self.index, clock::now_ns());
        }
        let pause = FIRST_PAUSE * 2_u32.pow(failures.min(DOUBLINGS));
        let until_ns = clock::now_ns() + (pause.as_nanos() as f64 * (0.5 + draw / 2.0)) as u64;
        self.waited_until(until_ns).await
    }

    /// Waits until an instant. False if the trial closes before.
    async fn waited_until(&self, at_ns: u64) -> bool {
        let mut stage = self.worker.stage.clone();
        tokio::select! {
            () = self.worker.pacer.at(at_ns) => true,
            _ = stage.wait_for(|stage| *stage == Stage::Close) => false,
        }
    }

    /// When the storm comes, once t0 is known.
    fn storm_ns(&self) -> Option<u64> {
        let storm = self.plan().storm?;
        let window = self.plan().window_ns();
        Some(self.worker.timeline.t0_ns()? + window.start + storm.at.as_nanos() as u64)
    }

    /// Ends when the storm comes; never where there is none, or it is over.
    async fn storm(&self) {
        if self.plan().storm.is_none() || self.stormed.get() || self.worker.started().await.is_none() {
            return std::future::pending().await;
        }
        match self.storm_ns() {
            Some(at_ns) => self.worker.pacer.at(at_ns).await,
            None => std::future::pending().await,
        }
    }

    /// The stream stands and its first snapshot is here; connecting began at `from_ns`.
    pub fn connected(&self, from_ns: u64, at_ns: u64) {
        self.before.set(self.before.get() + 1);
        if self.before.get() > 1 {
            self.worker.recorder.borrow_mut().reconnected(from_ns, at_ns);
            return self.reconnected();
        }
        match &self.worker.tape {
            None => self.worker.recorder.borrow_mut().connected(self.index, from_ns, at_ns),
            Some(tape) => tape.borrow_mut().connected(self.index, from_ns, at_ns),
        }
        self.worker.live.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for t0. `None` when the trial ends before.
    pub async fn started(&self) -> Option<u64> {
        self.worker.started().await
    }

    /// Ends when the trial says close, of very many clients when it is this one's turn; and when a storm comes.
    pub async fn closing(&self) {
        let mut stage = self.worker.stage.clone();
        tokio::select! {
            // The sender's end is the trial's end.
            _ = stage.wait_for(|stage| *stage == Stage::Close) => {}
            () = self.storm() => return,
        }
        let turn = closing_turn(self.plan().load.clients, self.number());
        if !turn.is_zero() {
            let from_ns = self.worker.closing_from_ns.get().unwrap_or_else(clock::now_ns);
            self.worker.closing_from_ns.set(Some(from_ns));
            self.worker.pacer.at(from_ns + turn.as_nanos() as u64).await;
        }
    }

    /// Records a snapshot of the ticker's own.
    pub fn snapshot<'a>(&self, last: u64, quotes: impl Iterator<Item = QuoteView<'a>>, at_ns: u64) {
        if self.is_slow() {
            let mut log = self.slow.get();
            log.after = log.after.or(Some(last));
            log.newest = log.newest.max(last);
            return self.slow.set(log);
        }
        let Some(tape) = &self.worker.tape else {
            let seqs = quotes.map(|quote| quote.seq);
            return self.worker.recorder.borrow_mut().snapshot(self.index, last, seqs, at_ns);
        };
        let mut tape = tape.borrow_mut();
        quotes.for_each(|quote| tape.shown(self.index, &heard(&quote), at_ns));
        tape.snapshot(self.index, last, at_ns);
    }

    /// Records the ticker's own quotes of one message.
    pub fn quotes<'a>(&self, quotes: impl Iterator<Item = QuoteView<'a>>, at_ns: u64) {
        if self.is_slow() {
            let mut log = self.slow.get();
            for quote in quotes {
                log.after = log.after.or(Some(quote.seq.saturating_sub(1)));
                log.received += u64::from(quote.seq > log.newest);
                log.newest = log.newest.max(quote.seq);
            }
            return self.slow.set(log);
        }
        let Some(tape) = &self.worker.tape else {
            let mut recorder = self.worker.recorder.borrow_mut();
            for quote in quotes {
                recorder.quote(self.index, quote.seq, self.worker.job.anchor.mono_ns_of(quote.sent), at_ns);
            }
            recorder.batch_end(self.index, at_ns);
            self.worker.live.delivered.store(recorder.delivered(), Ordering::Relaxed);
            return;
        };
        let mut tape = tape.borrow_mut();
        tape.message();
        quotes.for_each(|quote| tape.update(self.index, &heard(&quote), at_ns));
        self.worker.live.delivered.store(tape.len(), Ordering::Relaxed);
    }

    /// Records the updates of one message of somebody else's feed; with `opening` they are where the client
    /// stands, up to `newest`.
    pub fn heard<'a>(
        &self,
        updates: impl Iterator<Item = Heard<'a>>,
        newest: Option<u64>,
        opening: bool,
        at_ns: u64,
    ) {
        let Some(tape) = &self.worker.tape else { return };
        let mut tape = tape.borrow_mut();
        if opening {
            updates.for_each(|update| tape.shown(self.index, &update, at_ns));
            if let Some(newest) = newest {
                tape.snapshot(self.index, newest, at_ns);
            }
            return;
        }
        tape.message();
        updates.for_each(|update| tape.update(self.index, &update, at_ns));
        self.worker.live.delivered.store(tape.len(), Ordering::Relaxed);
    }

    /// Tells progress how much was delivered.
    pub fn shows(&self, delivered: u64) {
        self.worker.live.delivered.store(delivered, Ordering::Relaxed);
    }

    /// A message that the rules of the scenario read nothing in.
    pub fn skipped(&self, text: &str) {
        if let Some(tape) = &self.worker.tape {
            tape.borrow_mut().skip(text);
        }
    }

    /// A message in a room that nobody of its members said.
    pub fn unread(&self, text: &str) {
        self.worker.notes.borrow_mut().unread(text);
    }

    /// The server closed the connection between two requests, and it was opened again.
    pub fn reconnected(&self) {
        self.worker.live.reconnected.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds payload that was decoded from a connection that is not ours to count.
    pub fn unsocketed_payload(&self, bytes: u64, at_ns: u64) {
        let mut payload = self.worker.unsocketed_payload.get();
        payload[self.worker.timeline.phase(at_ns) as usize] += bytes;
        self.worker.unsocketed_payload.set(payload);
    }

    /// The server's close frame came, with its code; an answer to ours, which was sent at `from_ns`.
    pub fn closed(&self, code: Option<u16>, from_ns: Option<u64>) {
        let at_ns = clock::now_ns();
        if let Some(from_ns) = from_ns {
            self.worker.recorder.borrow_mut().closed(at_ns.saturating_sub(from_ns));
        }
        self.worker.notes.borrow_mut().closed(code);
    }

    /// The stream ended without a close frame: code 1006 (RFC 6455 section 7.1.5).
    pub fn unclosed(&self) {
        self.worker.notes.borrow_mut().unclosed();
    }

    /// Adds what a slow reader has to the worker's findings.
    pub fn tell_slow(&self) {
        if !self.is_slow() {
            return;
        }
        let log = self.slow.get();
        let after = log.after.unwrap_or(log.newest);
        let mut slow = self.worker.slow.get();
        slow.clients += 1;
        slow.received += log.received;
        slow.skipped += (log.newest - after).saturating_sub(log.received);
        // What was published is known at the end of the trial: until then, where it stands.
        slow.pending += log.newest;
        slow.expected += after;
        self.worker.slow.set(slow);
    }

    /// Closes the socket in order and adds its bytes to the worker's books.
    pub async fn finish(&self, socket: Rc<Socket>) {
        let books = socket.finish().await;
        self.account(&books);
    }

    /// Adds the bytes of a connection that is over to the worker's books.
    pub fn account(&self, books: &Books) {
        self.worker.books.borrow_mut().merge(books);
    }

    /// The client could not connect.
    pub fn failed(&self, error: &ClientError) {
        self.worker.live.failed.fetch_add(1, Ordering::Relaxed);
        self.worker.notes.borrow_mut().client(self.number(), error);
    }

    /// The connection was lost though nobody asked for it.
    pub fn disconnected(&self, error: &ClientError) {
        if self.is_slow() {
            let mut slow = self.worker.slow.get();
            slow.disconnected += 1;
            return self.worker.slow.set(slow);
        }
        self.worker.live.disconnected.fetch_add(1, Ordering::Relaxed);
        self.worker.notes.borrow_mut().client(self.number(), error);
    }
}

/// Whether it closed in order or was given up, what a slow reader has is told.
impl Drop for Client {
    fn drop(&mut self) {
        self.tell_slow();
    }
}

/// A quote of the ticker's own as a tape takes it.
fn heard<'a>(quote: &QuoteView<'a>) -> Heard<'a> {
    let unix_ns = |us: u64| i64::try_from(us).ok()?.checked_mul(1_000);
    Heard {
        sequence: Some(quote.seq),
        symbol: Some(quote.sym),
        due_ns: unix_ns(quote.due),
        sent_ns: unix_ns(quote.sent),
        step_ns: 1_000,
    }
}
