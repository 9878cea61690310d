//! One trial, from a fresh server process to its figures: the only place that moves between phases.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use measurement::{ledger::Phase, offset::Exchange, recorder::Frame, result::Trial};
use ticker::{Anchor, Subscriptions, Timetable, clock};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    assemble::{self, Evidence},
    clients,
    counters::Counters,
    events::{Event, Listener},
    judged, peers,
    plan::VariantPlan,
    process::{self, Cores, Usage},
    syscalls::Syscalls,
    target::{Program, Target, TargetError, stats::Stats},
    worker::{self, Found, Job, Live, Stage},
};

/// From the start message to t0: enough for every process to have read it.
const LEAD: Duration = Duration::from_millis(100);
/// Beyond the connect ramp, how long the last client may take.
const CONNECT_TIME: Duration = Duration::from_secs(20);
/// How often progress is told and ends are looked for.
const TICK: Duration = Duration::from_millis(20);
/// How long the server may take to see that its clients have gone.
const SETTLE_TIME: Duration = Duration::from_secs(3);
/// A window cut to less than this tells nothing.
const SHORTEST_WINDOW: Duration = Duration::from_millis(200);
/// A cut lies this far ahead, so that every worker knows of it before it comes.
const CUT_LEAD: Duration = Duration::from_millis(30);

/// What all trials of a run share.
pub struct Setting<'a> {
    /// What serves.
    pub program: &'a Program,
    /// Seed of the phases of polls.
    pub seed: u64,
    /// Which cores each side runs on.
    pub cores: Cores,
    /// The run's one pair of clock readings.
    pub anchor: Anchor,
    /// Cancelled when the user asks to stop.
    pub stop: CancellationToken,
    /// Where files of the trial go; without it there are none.
    pub folder: Option<&'a Path>,
    /// Who hears of progress.
    pub listener: &'a mut dyn Listener,
}

/// Why a trial did not go to its planned end.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("interrupted by the user")]
    User,
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("only {connected} of {asked} clients were connected after {seconds:.0} s")]
    Connect { connected: u64, asked: u64, seconds: f64 },
}

/// Runs a trial. A trial that cannot be run is one with its error, never a hole.
pub async fn run(variant: &Arc<VariantPlan>, setting: &mut Setting<'_>) -> Trial {
    let started_at = assemble::date(clock::unix_ns());
    let mut target = match Target::start(setting.program, variant, &setting.cores, setting.folder).await {
        Ok(target) => target,
        Err(error) => return assemble::failed(variant, started_at, error.to_string()),
    };
    let (before_clock, exchanges) = match target.exchange().await {
        Ok(exchange) => exchange,
        Err(error) => {
            let _ = target.stop().await;
            return assemble::failed(variant, started_at, error.to_string());
        }
    };
    let before = target.usage();
    let ipv6 = target.endpoint().address.is_ipv6();
    let syscalls = target.syscalls();
    let machine = Counters::now();
    let mut crew = match Crew::start(variant, setting, &target) {
        Ok(crew) => crew,
        Err(error) => {
            return assemble::failed(variant, started_at, format!("failed to start workers: {error}"));
        }
    };
    let (syscalls, uncounted) = match syscalls {
        Ok(syscalls) => (Some(syscalls), None),
        Err(why) => (None, Some(why.to_string())),
    };
    let mut marks = Marks { syscalls, uncounted, ..Marks::default() };
    let ended = crew.phases(&mut target, setting, &mut marks).await;
    let dead = matches!(ended, Err(Interruption::Target(_)));
    let window_ns = crew.close(ended.is_err());
    let t0_ns = crew.t0_ns;
    let mut found = match crew.join().await {
        Ok(found) => found,
        Err(error) => return assemble::failed(variant, started_at, format!("a worker failed: {error}")),
    };
    let machine = Counters::now().since(&machine);
    let last_stats = if dead { None } else { settled(&target).await };
    let after_clock = if dead { None } else { target.exchange().await.ok() };
    let stopped = if dead { Ok(()) } else { target.stop().await };
    let error =
        ended.err().map(|error| error.to_string()).or_else(|| stopped.err().map(|error| error.to_string()));
    let error = error.map(|error| variant.redact(&error));
    let Some(window_ns) = window_ns else {
        let why = error.unwrap_or_else(|| "no window".to_owned());
        let detail = found.errors.first().map(|error| format!(" ({})", variant.redact(error)));
        let detail = detail.unwrap_or_default();
        let failed = assemble::failed(variant, started_at, format!("{why}{detail}"));
        return judged::unmeasured(failed, &found, last_stats.as_ref(), machine);
    };
    let after_exchanges = after_clock.map_or(0, |(_, exchanges)| exchanges);
    let clocks = Clocks {
        before: before_clock,
        after: after_clock.and_then(|(exchange, _)| exchange),
        exchanges: exchanges + after_exchanges,
        anchor: setting.anchor,
    };
    let learned = match (&variant.peer, t0_ns) {
        (Some(peer), Some(t0_ns)) => {
            let window = t0_ns + window_ns.start..t0_ns + window_ns.end;
            Some(peers::learn(variant, peer, &mut found, &clocks, window))
        }
        (Some(_) | None, _) => None,
    };
    let cores = setting.cores.clone();
    let evidence = Evidence { marks, before, machine, last_stats, window_ns, cores, error, ipv6, learned };
    assemble::trial(variant, started_at, &found, &evidence)
}

/// Exchanges with the server's clock.
pub struct Clocks {
    /// The best one before the load.
    pub before: Option<Exchange>,
    /// The best one after it.
    pub after: Option<Exchange>,
    /// How many there were.
    pub exchanges: u64,
    /// Our own wall clock.
    pub anchor: Anchor,
}

/// Readings at the edges of the window.
#[derive(Debug, Default)]
pub struct Marks {
    /// The server's counters at the end of the connect phase.
    pub connected_stats: Option<Stats>,
    /// The running count of the server's system calls.
    pub syscalls: Option<Syscalls>,
    /// Why there is none.
    pub uncounted: Option<String>,
    /// At the start of the window.
    pub from: Option<Mark>,
    /// At its end.
    pub to: Option<Mark>,
}

/// One set of readings.
#[derive(Debug)]
pub struct Mark {
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// The server process.
    pub server: Option<Usage>,
    /// This process.
    pub loadgen: Option<Usage>,
    /// The server's counters.
    pub stats: Option<Stats>,
    /// System calls of the server.
    pub syscalls: Option<u64>,
    /// The whole machine.
    pub machine: Counters,
}

impl Mark {
    async fn read(target: &Target, syscalls: Option<&Syscalls>) -> Self {
        Self {
            at_ns: clock::now_ns(),
            server: target.usage(),
            loadgen: process::usage(std::process::id()),
            stats: target.stats().await,
            syscalls: syscalls.and_then(Syscalls::read),
            machine: Counters::now(),
        }
    }
}

/// The workers of a trial.
struct Crew {
    variant: Arc<VariantPlan>,
    frame: Frame,
    stage: watch::Sender<Stage>,
    lives: Vec<Arc<Live>>,
    threads: Vec<JoinHandle<io::Result<Found>>>,
    started_ns: u64,
    t0_ns: Option<u64>,
}

impl Crew {
    fn start(variant: &Arc<VariantPlan>, setting: &Setting<'_>, target: &Target) -> io::Result<Self> {
        let window = variant.window_ns();
        let drain = clients::drain(variant.kind, &variant.options) + LEAD + Duration::from_secs(5);
        let horizon_ns = window.end + drain.as_nanos() as u64;
        let table = match &variant.peer {
            None => Timetable::new(&variant.feed, horizon_ns).map_err(io::Error::other)?,
            Some(_) => Timetable::heard([], 0),
        };
        let coalesces = clients::coalesces(variant.kind, &variant.options);
        let asked = clients::acts_on_a_timetable(variant.kind);
        let subscriptions = match variant.peer {
            None => Subscriptions::new(variant.feed.symbols, variant.load.symbols_per_client),
            Some(_) => Subscriptions::default(),
        };
        let frame =
            Frame { table: Arc::new(table), t0_ns: u64::MAX, window, coalesces, asked, subscriptions };
        let started_ns = clock::now_ns();
        let (stage, stages) = watch::channel(Stage::Connect);
        let clients = variant.load.clients;
        let endpoint = target.endpoint();
        let count = (setting.cores.loadgen.len() as u32).clamp(1, clients);
        let mut crew = Self {
            variant: Arc::clone(variant),
            frame,
            stage,
            lives: Vec::new(),
            threads: Vec::new(),
            started_ns,
            t0_ns: None,
        };
        for number in 0..count {
            let share = |n: u32| (u64::from(clients) * u64::from(n) / u64::from(count)) as u32;
            let job = Job {
                variant: Arc::clone(variant),
                seed: setting.seed,
                endpoint: Arc::clone(&endpoint),
                listening: None,
                clients: share(number)..share(number + 1),
                frame: crew.frame.clone(),
                anchor: setting.anchor,
                ramp_from_ns: started_ns,
                core: setting.cores.loadgen.get(number as usize).copied(),
                watched: setting.listener.watches(),
            };
            let live = Arc::new(Live::default());
            crew.threads.push(worker::spawn(job, stages.clone(), Arc::clone(&live))?);
            crew.lives.push(live);
        }
        Ok(crew)
    }

    fn sum(&self, read: impl Fn(&Live) -> u64) -> u64 {
        self.lives.iter().map(|live| read(live)).sum()
    }

    fn connected(&self) -> u64 {
        self.sum(|live| live.connected.load(Ordering::Relaxed))
    }

    fn delivered(&self) -> u64 {
        self.sum(|live| live.delivered.load(Ordering::Relaxed))
    }

    async fn phases(
        &mut self,
        target: &mut Target,
        setting: &mut Setting<'_>,
        marks: &mut Marks,
    ) -> Result<(), Interruption> {
        self.connect(target, setting).await?;
        marks.connected_stats = target.stats().await;
        let window = self.variant.window_ns();
        let t0_ns = clock::now_ns() + LEAD.as_nanos() as u64;
        target.publish(setting.anchor, t0_ns, &window).await?;
        self.stage.send_replace(Stage::Run { t0_ns });
        self.t0_ns = Some(t0_ns);
        self.wait(target, setting, Phase::WarmUp, t0_ns + window.start, || false).await?;
        marks.from = Some(Mark::read(target, marks.syscalls.as_ref()).await);
        self.wait(target, setting, Phase::Measure, t0_ns + window.end, || false).await?;
        marks.to = Some(Mark::read(target, marks.syscalls.as_ref()).await);
        let drain = clients::drain(self.variant.kind, &self.variant.options).as_nanos() as u64;
        let seqs = self.frame.seqs();
        let expected: u64 =
            (0..self.variant.load.clients).map(|client| self.frame.wanted(client, &seqs)).sum();
        // How much somebody else's feed holds nobody knows: the whole drain is waited for.
        let known = self.variant.peer.is_none();
        let all_here = || known && self.delivered() >= expected;
        self.wait(target, setting, Phase::Drain, t0_ns + window.end + drain, all_here).await
    }

    async fn connect(&self, target: &mut Target, setting: &mut Setting<'_>) -> Result<(), Interruption> {
        let asked = u64::from(self.variant.load.clients);
        let limit = self.variant.load.connect_over + CONNECT_TIME;
        let until_ns = self.started_ns + limit.as_nanos() as u64;
        let settled = || self.connected() + self.sum(|live| live.failed.load(Ordering::Relaxed)) >= asked;
        self.wait(target, setting, Phase::Connect, until_ns, settled).await?;
        let connected = self.connected();
        if connected == asked {
            return Ok(());
        }
        let seconds = (clock::now_ns() - self.started_ns) as f64 / 1e9;
        Err(Interruption::Connect { connected, asked, seconds })
    }

    /// Waits until an instant or until `done`, telling progress; the user and the server's end interrupt it.
    async fn wait(
        &self,
        target: &mut Target,
        setting: &mut Setting<'_>,
        phase: Phase,
        until_ns: u64,
        done: impl Fn() -> bool,
    ) -> Result<(), Interruption> {
        loop {
            let now_ns = clock::now_ns();
            if now_ns >= until_ns || done() {
                return Ok(());
            }
            setting.listener.event(&Event::Progress {
                phase,
                seconds: (now_ns - self.started_ns) as f64 / 1e9,
                connected: self.connected(),
                delivered: self.delivered(),
                workers: &self.lives,
            });
            tokio::select! {
                () = sleep(TICK.min(Duration::from_nanos(until_ns - now_ns))) => {}
                () = setting.stop.cancelled() => {
                    setting.listener.event(&Event::Stopping);
                    return Err(Interruption::User);
                }
                error = target.ended() => return Err(error.into()),
            }
        }
    }

    /// Announces the end. Returns the window as it was, in nanoseconds after t0; `None` if none can be told.
    fn close(&self, early: bool) -> Option<std::ops::Range<u64>> {
        let planned = self.variant.window_ns();
        let now_ns = clock::now_ns();
        let cut_ns = now_ns + CUT_LEAD.as_nanos() as u64;
        let cut = match self.t0_ns {
            Some(t0_ns) if early && cut_ns < t0_ns + planned.end => {
                self.stage.send_replace(Stage::Cut { at_ns: cut_ns });
                std::thread::sleep(2 * CUT_LEAD);
                cut_ns.saturating_sub(t0_ns)
            }
            Some(_) => planned.end,
            None => 0,
        };
        self.stage.send_replace(Stage::Close);
        let window = planned.start..cut;
        let length = window.end.saturating_sub(window.start);
        (u128::from(length) >= SHORTEST_WINDOW.as_nanos()).then_some(window)
    }

    async fn join(self) -> io::Result<Found> {
        let joined = tokio::task::spawn_blocking(move || {
            let mut all: Option<Found> = None;
            for thread in self.threads {
                let found = thread.join().map_err(|_| io::Error::other("it panicked"))??;
                match &mut all {
                    None => all = Some(found),
                    Some(all) => all.merge(found),
                }
            }
            all.ok_or_else(|| io::Error::other("there was none"))
        });
        joined.await.map_err(io::Error::other)?
    }
}

/// The server's counters once it has seen all its clients go.
async fn settled(target: &Target) -> Option<Stats> {
    let until_ns = clock::now_ns() + SETTLE_TIME.as_nanos() as u64;
    loop {
        let stats = target.stats().await?;
        let sessions = stats.quic.map_or(0, |quic| quic.open);
        // The one that is open is the connection that asks.
        if stats.connections.open + sessions <= 1 || clock::now_ns() > until_ns {
            return Some(stats);
        }
        sleep(TICK).await;
    }
}
