//! A trial on its way: its crews, and the instants that it has reached.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::select_all;
use measurement::{ledger::Phase, recorder::Frame};
use ticker::clock;
use tokio::time::sleep;

use super::{
    Interruption, Setting, TICK,
    marks::{Mark, Marks},
};
use crate::{
    browser,
    crew::{self, Crew, CrewError, Sizes},
    events::Event,
    kernel_memory,
    network::Network,
    plan::{Driver, VariantPlan},
    process::Usage,
    sources::Sources,
    target::Target,
    worker::{Found, Job, Live, Stage},
};

/// From the start message to t0: enough for every process to have read it.
const LEAD: Duration = Duration::from_millis(100);
/// Beyond the connect ramp, how long the last client may take; many share the machine's cores.
const CONNECT_TIME: Duration = Duration::from_secs(20);
const CONNECT_TIME_OF_EACH: Duration = Duration::from_micros(500);
/// How often progress is told where the end is an instant: each time wakes the load generator.
const SLOW_TICK: Duration = Duration::from_millis(100);
/// A window cut to less than this tells nothing.
const SHORTEST_WINDOW: Duration = Duration::from_millis(200);
/// A cut lies this far ahead, so that every worker knows of it before it comes.
const CUT_LEAD: Duration = Duration::from_millis(30);
/// The same, and the lead of t0, for each process that has to be told.
const LEAD_OF_EACH: Duration = Duration::from_millis(50);

/// Clients of one variant on their way.
struct Part {
    variant: Arc<VariantPlan>,
    frame: Frame,
    crew: Crew,
}

impl Part {
    fn sum(&self, read: impl Fn(&Live) -> u64) -> u64 {
        self.crew.lives().iter().map(|live| read(live)).sum()
    }

    fn delivered(&self) -> u64 {
        self.sum(|live| live.delivered.load(Ordering::Relaxed))
    }

    /// Deliveries of the window's quotes to all clients. How much somebody else's feed holds nobody knows, and slow readers
    /// are given all of the drain to catch up.
    fn expected(&self) -> Option<u64> {
        let seqs = self.frame.seqs();
        let clients = 0..self.variant.load.clients;
        let known = self.variant.heard().is_none() && self.variant.slow.is_none();
        known.then(|| clients.map(|client| self.frame.wanted(client, &seqs)).sum())
    }
}

/// A trial on its way. All its parts connect, begin and end together; most trials have one.
pub(super) struct Course {
    parts: Vec<Part>,
    pub(super) network: Option<Network>,
    started_ns: u64,
    pub(super) t0_ns: Option<u64>,
}

impl Course {
    /// Starts the crews; nothing connects yet.
    pub(super) async fn start(
        variants: &[Arc<VariantPlan>],
        setting: &Setting<'_>,
        (target, network): (&Target, Option<Network>),
        sizes: &Sizes,
    ) -> Result<Self, CrewError> {
        let (mut endpoint, mut place) = (target.endpoint(), target.place());
        if let Some(network) = &network {
            (endpoint, place) = (network.seen(endpoint), network.place(place));
        }
        let endpoint = Arc::new(endpoint.from_sources(Sources::new(sizes.sources, 0)));
        let mut parts = Vec::new();
        for variant in variants {
            let frame =
                crew::frame(variant).map_err(|error| CrewError::Threads(std::io::Error::other(error)))?;
            let job = Job {
                variant: Arc::clone(variant),
                seed: setting.seed,
                endpoint: Arc::clone(&endpoint),
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
            parts.push(Part { variant: Arc::clone(variant), frame, crew });
        }
        Ok(Self { parts, network, started_ns: clock::now_ns(), t0_ns: None })
    }

    /// What is the same for all parts: ramp, window, feed, drain.
    fn common(&self) -> &VariantPlan {
        &self.parts[0].variant
    }

    fn clients(&self) -> u32 {
        self.parts.iter().map(|part| part.variant.load.clients).sum()
    }

    fn sum(&self, read: impl Fn(&Live) -> u64) -> u64 {
        self.parts.iter().map(|part| part.sum(&read)).sum()
    }

    fn connected(&self) -> u64 {
        self.sum(|live| live.connected.load(Ordering::Relaxed))
    }

    /// What generates the load: processes of the one part's own, or this one, which is the same for all parts.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.parts.first().and_then(|part| part.crew.usage())
    }

    async fn announce(&mut self, stage: Stage) -> Result<(), CrewError> {
        for part in &mut self.parts {
            part.crew.announce(stage).await?;
        }
        Ok(())
    }

    /// Ends when a crew does, which none should do by itself.
    async fn failed(&mut self) -> CrewError {
        select_all(self.parts.iter_mut().map(|part| Box::pin(part.crew.failed()))).await.0
    }

    pub(super) async fn phases(
        &mut self,
        target: &mut Target,
        setting: &mut Setting<'_>,
        marks: &mut Marks,
    ) -> Result<(), Interruption> {
        marks.kernel[0] = kernel_memory::now();
        self.connect(target, setting, marks).await?;
        marks.connected_stats = target.stats().await;
        marks.kernel[1] = kernel_memory::now();
        let window = self.common().window_ns();
        let children: u64 = self.parts.iter().map(|part| part.crew.processes() - 1).sum();
        let others = (target.pids().len() as u32).saturating_sub(1) + children as u32;
        let t0_ns = clock::now_ns() + (LEAD + LEAD_OF_EACH * others).as_nanos() as u64;
        target.publish(setting.anchor, t0_ns, &window).await?;
        self.t0_ns = Some(t0_ns);
        if let Some(network) = &self.network {
            network.begin(t0_ns + window.start);
        }
        self.announce(Stage::Run { t0_ns }).await?;
        self.wait(target, setting, Phase::WarmUp, t0_ns + window.start, |_| false).await?;
        marks.from = Some(Mark::read(target, self, marks.syscalls.as_ref()).await);
        self.wait(target, setting, Phase::Measure, t0_ns + window.end, |_| false).await?;
        marks.to = Some(Mark::read(target, self, marks.syscalls.as_ref()).await);
        let drain = self.common().drain().as_nanos() as u64;
        let expected: Vec<Option<u64>> = self.parts.iter().map(Part::expected).collect();
        // Where it is not known, the whole drain is waited for.
        let all_here = move |course: &Self| {
            let mut parts = course.parts.iter().zip(&expected);
            parts.all(|(part, expected)| expected.is_some_and(|expected| part.delivered() >= expected))
        };
        self.wait(target, setting, Phase::Drain, t0_ns + window.end + drain, all_here).await
    }

    async fn connect(
        &mut self,
        target: &mut Target,
        setting: &mut Setting<'_>,
        marks: &mut Marks,
    ) -> Result<(), Interruption> {
        let lead = self.parts.iter().map(|part| part.crew.lead()).max().unwrap_or_default();
        self.started_ns = clock::now_ns() + lead.as_nanos() as u64;
        for part in &mut self.parts {
            part.crew.connect(self.started_ns).await?;
        }
        marks.fresh_loadgen = self.parts.first().and_then(|part| part.crew.fresh());
        let asked = u64::from(self.clients());
        let patience = CONNECT_TIME + CONNECT_TIME_OF_EACH * self.clients();
        let limit = self.common().load.connect_over + patience + self.browsers_time();
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

    /// How long browsers may take to be ready.
    fn browsers_time(&self) -> Duration {
        let of_part = |part: &Part| match part.variant.driver {
            Driver::Native => Duration::ZERO,
            Driver::Chromium => browser::READY_TIME + browser::READY_TIME_OF_EACH * part.variant.load.clients,
        };
        self.parts.iter().map(of_part).sum()
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
            let workers: Vec<Arc<Live>> =
                self.parts.iter().flat_map(|part| part.crew.lives()).map(Arc::clone).collect();
            setting.listener.event(&Event::Progress {
                phase,
                seconds: now_ns.saturating_sub(self.started_ns) as f64 / 1e9,
                connected: self.connected(),
                delivered: self.parts.iter().map(Part::delivered).sum(),
                workers: &workers,
            });
            tokio::select! {
                () = sleep(tick.min(Duration::from_nanos(until_ns - now_ns))) => {}
                () = setting.stop.cancelled() => {
                    setting.listener.event(&Event::Stopping);
                    return Err(Interruption::User);
                }
                error = target.ended() => return Err(error.into()),
                error = self.failed() => return Err(error.into()),
            }
        }
    }

    /// Announces the end. Returns the window as it was, in nanoseconds after t0; `None` if none can be told;
    /// and what was found, of each part.
    pub(super) async fn close(
        mut self,
        early: bool,
        sizes: &Sizes,
    ) -> Result<(Option<Range<u64>>, Vec<Found>), CrewError> {
        let planned = self.common().window_ns();
        let lead = CUT_LEAD + LEAD_OF_EACH * sizes.generators;
        let cut_ns = clock::now_ns() + lead.as_nanos() as u64;
        let cut = match self.t0_ns {
            Some(t0_ns) if early && cut_ns < t0_ns + planned.end => {
                self.announce(Stage::Cut { at_ns: cut_ns }).await?;
                sleep(2 * lead).await;
                cut_ns.saturating_sub(t0_ns)
            }
            Some(_) => planned.end,
            None => 0,
        };
        self.announce(Stage::Close).await?;
        let window = planned.start..cut;
        let length = window.end.saturating_sub(window.start);
        let window = (u128::from(length) >= SHORTEST_WINDOW.as_nanos()).then_some(window);
        let mut found = Vec::new();
        for part in self.parts {
            found.push(part.crew.join().await?);
        }
        Ok((window, found))
    }
}
