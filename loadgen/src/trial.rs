//! One trial, from a fresh server process to its figures: the only place that moves between phases.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use measurement::{ledger::Phase, offset::Exchange, recorder::Frame, result::Trial};
use ticker::{Anchor, clock};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    assemble::{self, Evidence},
    browser,
    counters::Counters,
    crew::{self, Crew, CrewError, Sizes},
    events::{Event, Listener},
    judged,
    kernel_memory::{self, Reading},
    machine,
    network::{Network, Wire},
    peers,
    plan::{Driver, VariantPlan},
    process::{Cores, Usage},
    sources::Sources,
    syscalls::Syscalls,
    target::{Program, Target, TargetError, stats::Stats},
    worker::{Found, Job, Live, Stage},
};

/// From the start message to t0: enough for every process to have read it.
const LEAD: Duration = Duration::from_millis(100);
/// Beyond the connect ramp, how long the last client may take; many share the machine's cores.
const CONNECT_TIME: Duration = Duration::from_secs(20);
const CONNECT_TIME_OF_EACH: Duration = Duration::from_micros(500);
/// How often an end is looked for that can come at any time.
const TICK: Duration = Duration::from_millis(20);
/// How often progress is told where the end is an instant: each time wakes the load generator.
const SLOW_TICK: Duration = Duration::from_millis(100);
/// How long the server may take to see that its clients have gone.
const SETTLE_TIME: Duration = Duration::from_secs(3);
const SETTLE_TIME_OF_EACH: Duration = Duration::from_micros(100);
/// A window cut to less than this tells nothing.
const SHORTEST_WINDOW: Duration = Duration::from_millis(200);
/// A cut lies this far ahead, so that every worker knows of it before it comes.
const CUT_LEAD: Duration = Duration::from_millis(30);
/// The same, and the lead of t0, for each process that has to be told.
const LEAD_OF_EACH: Duration = Duration::from_millis(50);

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
    #[error(transparent)]
    Crew(#[from] CrewError),
    #[error("only {connected} of {asked} clients were connected after {seconds:.0} s")]
    Connect { connected: u64, asked: u64, seconds: f64 },
}

/// Runs a trial. A trial that cannot be run is one with its error, never a hole.
pub async fn run(variant: &Arc<VariantPlan>, setting: &mut Setting<'_>) -> Trial {
    let started_at = assemble::date(clock::unix_ns());
    let wire = match Wire::lay(variant, setting.seed) {
        Ok(wire) => wire,
        Err(error) => return assemble::failed(variant, started_at, no_network(&error)),
    };
    let home = wire.as_ref().map(Wire::server);
    let started = Target::start(setting.program, variant, (&setting.cores, home), setting.folder).await;
    let mut target = match started {
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
    let (before, first_stats) = (target.usage(), target.stats().await);
    let ipv6 = target.endpoint().address.is_ipv6();
    let syscalls = target.syscalls();
    let machine = Counters::now();
    let sizes = Sizes::of(variant, &machine::limits());
    let network = match Network::start(variant, wire, &target.endpoint(), &setting.cores.loadgen) {
        Ok(network) => network,
        Err(error) => {
            let _ = target.stop().await;
            return assemble::failed(variant, started_at, no_network(&error));
        }
    };
    let mut course = match Course::start(variant, setting, (&target, network), &sizes).await {
        Ok(course) => course,
        Err(error) => return assemble::failed(variant, started_at, error.to_string()),
    };
    let (syscalls, uncounted) = match syscalls {
        Ok(syscalls) => (Some(syscalls), None),
        Err(why) => (None, Some(why.to_string())),
    };
    let mut marks = Marks { syscalls, uncounted, ..Marks::default() };
    let ended = course.phases(&mut target, setting, &mut marks).await;
    if let Err(Interruption::Crew(error)) = ended {
        return assemble::failed(variant, started_at, error.to_string());
    }
    let dead = matches!(ended, Err(Interruption::Target(_)));
    let t0_ns = course.t0_ns;
    let (window_ns, mut found) = match course.close(ended.is_err(), &sizes).await {
        Ok(closed) => closed,
        Err(error) => return assemble::failed(variant, started_at, variant.redact(&error.to_string())),
    };
    let machine = Counters::now().since(&machine);
    let last_stats = if dead { None } else { settled(&target, variant.load.clients).await };
    let after = if dead { None } else { target.usage() };
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
    let learned = match (variant.heard(), t0_ns) {
        (Some(peer), Some(t0_ns)) => {
            let window = t0_ns + window_ns.start..t0_ns + window_ns.end;
            Some(peers::learn(variant, peer, &mut found, &clocks, window))
        }
        (Some(_) | None, _) => None,
    };
    let cores = setting.cores.clone();
    let evidence = Evidence {
        marks,
        before,
        first_stats,
        after,
        machine,
        last_stats,
        window_ns,
        cores,
        error,
        ipv6,
        learned,
        sizes,
    };
    assemble::trial(variant, started_at, &found, &evidence)
}

fn no_network(error: &std::io::Error) -> String {
    format!("failed to start the emulated network: {error}")
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
    /// The load generator before it knew its clients, if it is made of fresh processes.
    pub fresh_loadgen: Option<Usage>,
    /// The kernel's caches before the first connection and when all clients stood.
    pub kernel: [Option<Reading>; 2],
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
    /// The load generator.
    pub loadgen: Option<Usage>,
    /// The server's counters.
    pub stats: Option<Stats>,
    /// System calls of the server.
    pub syscalls: Option<u64>,
    /// The whole machine.
    pub machine: Counters,
}

impl Mark {
    async fn read(target: &Target, course: &Course, syscalls: Option<&Syscalls>) -> Self {
        let network_ns = course.network.as_ref().map_or(0, Network::cpu_ns);
        Self {
            at_ns: clock::now_ns(),
            server: target.usage(),
            loadgen: course.crew.usage().map(|usage| usage.without(network_ns)),
            stats: target.stats().await,
            syscalls: syscalls.and_then(Syscalls::read),
            machine: Counters::now(),
        }
    }
}

/// A trial on its way: its crew, and the instants that it has reached.
struct Course {
    variant: Arc<VariantPlan>,
    frame: Frame,
    crew: Crew,
    network: Option<Network>,
    started_ns: u64,
    t0_ns: Option<u64>,
}

impl Course {
    /// Starts the crew; nothing connects yet.
    async fn start(
        variant: &Arc<VariantPlan>,
        setting: &Setting<'_>,
        (target, network): (&Target, Option<Network>),
        sizes: &Sizes,
    ) -> Result<Self, CrewError> {
        let frame = crew::frame(variant).map_err(|error| CrewError::Threads(std::io::Error::other(error)))?;
        let (mut endpoint, mut place) = (target.endpoint(), target.place());
        if let Some(network) = &network {
            (endpoint, place) = (network.seen(endpoint), network.place(place));
        }
        let endpoint = endpoint.from_sources(Sources::new(sizes.sources, 0));
        let job = Job {
            variant: Arc::clone(variant),
            seed: setting.seed,
            endpoint: Arc::new(endpoint),
            listening: None,
            home: network.as_ref().and_then(Network::home),
            clients: 0..variant.load.clients,
            frame: frame.clone(),
            anchor: setting.anchor,
            ramp_from_ns: 0,
            cores: Vec::new(),
            watched: setting.listener.watches(),
        };
        let crew = Crew::start(&job, &place, &setting.cores.loadgen, sizes).await?;
        let variant = Arc::clone(variant);
        Ok(Self { variant, frame, crew, network, started_ns: clock::now_ns(), t0_ns: None })
    }

    fn sum(&self, read: impl Fn(&Live) -> u64) -> u64 {
        self.crew.lives().iter().map(|live| read(live)).sum()
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
        marks.kernel[0] = kernel_memory::now();
        self.connect(target, setting, marks).await?;
        marks.connected_stats = target.stats().await;
        marks.kernel[1] = kernel_memory::now();
        let window = self.variant.window_ns();
        let others = (target.pids().len() as u32).saturating_sub(1) + self.crew.processes() as u32 - 1;
        let t0_ns = clock::now_ns() + (LEAD + LEAD_OF_EACH * others).as_nanos() as u64;
        target.publish(setting.anchor, t0_ns, &window).await?;
        self.t0_ns = Some(t0_ns);
        if let Some(network) = &self.network {
            network.begin(t0_ns + window.start);
        }
        self.crew.announce(Stage::Run { t0_ns }).await?;
        self.wait(target, setting, Phase::WarmUp, t0_ns + window.start, |_| false).await?;
        marks.from = Some(Mark::read(target, self, marks.syscalls.as_ref()).await);
        self.wait(target, setting, Phase::Measure, t0_ns + window.end, |_| false).await?;
        marks.to = Some(Mark::read(target, self, marks.syscalls.as_ref()).await);
        let drain = self.variant.drain().as_nanos() as u64;
        let seqs = self.frame.seqs();
        let slow = self.variant.slow.map_or(0, |slow| slow.clients);
        let expected: u64 =
            (0..self.variant.load.clients - slow).map(|client| self.frame.wanted(client, &seqs)).sum();
        // How much somebody else's feed holds nobody knows: the whole drain is waited for.
        // And slow readers are given all of it to catch up.
        let known = self.variant.heard().is_none() && self.variant.slow.is_none();
        let all_here = move |course: &Self| known && course.delivered() >= expected;
        self.wait(target, setting, Phase::Drain, t0_ns + window.end + drain, all_here).await
    }

    async fn connect(
        &mut self,
        target: &mut Target,
        setting: &mut Setting<'_>,
        marks: &mut Marks,
    ) -> Result<(), Interruption> {
        let lead = self.crew.lead();
        self.started_ns = clock::now_ns() + lead.as_nanos() as u64;
        self.crew.connect(self.started_ns).await?;
        marks.fresh_loadgen = self.crew.fresh();
        let asked = u64::from(self.variant.load.clients);
        let patience = CONNECT_TIME + CONNECT_TIME_OF_EACH * self.variant.load.clients;
        let limit = self.variant.load.connect_over + patience + self.browsers_time();
        let until_ns = self.started_ns + limit.as_nanos() as u64;
        let settled = move |course: &Self| {
            course.connected() + course.sum(|live| live.failed.load(Ordering::Relaxed)) >= asked
        };
        self.wait(target, setting, Phase::Connect, until_ns, settled).await?;
        let connected = self.connected();
        if connected == asked {
            return Ok(());
        }
        let seconds = clock::now_ns().saturating_sub(self.started_ns) as f64 / 1e9;
        Err(Interruption::Connect { connected, asked, seconds })
    }

    /// How long a browser may take to be ready.
    fn browsers_time(&self) -> Duration {
        match self.variant.driver {
            Driver::Native => Duration::ZERO,
            Driver::Chromium => browser::READY_TIME + browser::READY_TIME_OF_EACH * self.variant.load.clients,
        }
    }

    /// Waits until an instant or until `done`, telling progress; the user and the server's end interrupt it.
    async fn wait(
        &mut self,
        target: &mut Target,
        setting: &mut Setting<'_>,
        phase: Phase,
        until_ns: u64,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), Interruption> {
        let tick = match phase {
            Phase::Connect | Phase::Drain => TICK,
            Phase::WarmUp | Phase::Measure => SLOW_TICK,
        };
        loop {
            let now_ns = clock::now_ns();
            if now_ns >= until_ns || done(self) {
                return Ok(());
            }
            setting.listener.event(&Event::Progress {
                phase,
                seconds: now_ns.saturating_sub(self.started_ns) as f64 / 1e9,
                connected: self.connected(),
                delivered: self.delivered(),
                workers: self.crew.lives(),
            });
            tokio::select! {
                () = sleep(tick.min(Duration::from_nanos(until_ns - now_ns))) => {}
                () = setting.stop.cancelled() => {
                    setting.listener.event(&Event::Stopping);
                    return Err(Interruption::User);
                }
                error = target.ended() => return Err(error.into()),
                error = self.crew.failed() => return Err(error.into()),
            }
        }
    }

    /// Announces the end. Returns the window as it was, in nanoseconds after t0; `None` if none can be told;
    /// and what was found.
    async fn close(
        mut self,
        early: bool,
        sizes: &Sizes,
    ) -> Result<(Option<std::ops::Range<u64>>, Found), CrewError> {
        let planned = self.variant.window_ns();
        let lead = CUT_LEAD + LEAD_OF_EACH * sizes.generators;
        let cut_ns = clock::now_ns() + lead.as_nanos() as u64;
        let cut = match self.t0_ns {
            Some(t0_ns) if early && cut_ns < t0_ns + planned.end => {
                self.crew.announce(Stage::Cut { at_ns: cut_ns }).await?;
                sleep(2 * lead).await;
                cut_ns.saturating_sub(t0_ns)
            }
            Some(_) => planned.end,
            None => 0,
        };
        self.crew.announce(Stage::Close).await?;
        let window = planned.start..cut;
        let length = window.end.saturating_sub(window.start);
        let window = (u128::from(length) >= SHORTEST_WINDOW.as_nanos()).then_some(window);
        Ok((window, self.crew.join().await?))
    }
}

/// The server's counters once it has seen all its clients go.
async fn settled(target: &Target, clients: u32) -> Option<Stats> {
    let patience = SETTLE_TIME + SETTLE_TIME_OF_EACH * clients;
    let until_ns = clock::now_ns() + patience.as_nanos() as u64;
    loop {
        let stats = target.stats().await?;
        let sessions = stats.quic.map_or(0, |quic| quic.open);
        if stats.connections.open + sessions <= target.askers() || clock::now_ns() > until_ns {
            return Some(stats);
        }
        sleep(TICK).await;
    }
}
