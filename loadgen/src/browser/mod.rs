//! Clients that are tabs of a headless Chromium: the page speaks the transport with the browser's own interfaces, and hands
//! over what it heard and when. Stages, recorder and ledger are those of the other clients (docs/browsers.md).
//!
//! One process holds all tabs of a trial. Nothing here knows a transport: its script comes from `clients::page`.

use std::{io, rc::Rc, sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream};
use ticker::clock;
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::LocalSet,
};

use crate::{
    clients::{self, Page},
    direct::{Desk, Setup},
    pacer::Pacer,
    socket::flow::Sums,
    worker::{ClientError, Found, PROBE_EVERY, PageTimes, SHOW_EVERY, Stage},
};

mod cdp;
mod hearing;
mod page_clock;
mod process;
mod relay;
mod tab;
mod told;

use cdp::{Cdp, Event};
use hearing::Hearing;
use process::Process;
pub use process::{program, version};
use relay::Relay;
use tab::{BINDING, Tab};

/// Starting a browser and opening so many tabs may take this long beyond what clients of ours take.
pub(crate) const READY_TIME: Duration = Duration::from_secs(30);
pub(crate) const READY_TIME_OF_EACH: Duration = Duration::from_secs(1);

/// Tabs that are opened at the same time: each starts a process.
const OPEN_AT_ONCE: usize = 4;

/// What goes wrong with a browser, and the trial with it.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// It is not installed.
    #[error("there is no Chromium: {0}; install it, or set CHROMIUM to where it is")]
    Missing(String),
    /// The system does not start it.
    #[error("failed to start Chromium: {0}")]
    Start(#[source] io::Error),
    /// It does not listen.
    #[error("Chromium does not listen after {0:?}")]
    Silent(Duration),
    /// It has gone.
    #[error("Chromium ended by itself: {0}")]
    Ended(String),
    /// The trial did not wait for it.
    #[error("the trial ended before Chromium was ready")]
    Unready,
    /// It does not do what it is told.
    #[error("Chromium refused {method}: {cause}")]
    Refused {
        /// What it was told.
        method: String,
        /// What it says.
        cause: String,
    },
    /// A script of ours failed.
    #[error("a script failed in the page: {0}")]
    Script(String),
    /// The system gives no socket or timer.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs the worker's clients until the trial says close and they have closed.
///
/// # Errors
/// The browser cannot be started or ends by itself. What goes wrong with single tabs is counted and noted.
pub(crate) fn run(setup: Setup) -> io::Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (live, clients) = (setup.live.clone(), setup.job.clients.len() as u64);
    let ran = LocalSet::new().block_on(&runtime, course(setup));
    live.browser.store(0, Ordering::Relaxed);
    if ran.is_err() {
        // Nobody need wait for them.
        live.failed.fetch_add(clients, Ordering::Relaxed);
    }
    ran.map_err(io::Error::other)
}

/// A browser with its tabs, one for each client.
struct Course {
    // Dropped after all that speaks to it.
    cdp: Rc<Cdp>,
    events: UnboundedReceiver<Event>,
    desk: Desk,
    tabs: Vec<Rc<Tab>>,
    hearings: Vec<Hearing>,
    page: Page,
    _process: Process,
}

async fn course(setup: Setup) -> Result<Found, BrowserError> {
    let mut stage = setup.stage.clone();
    let live = setup.live.clone();
    let page = clients::page(setup.job.variant.kind)
        .ok_or_else(|| io::Error::other("no page of ours speaks this transport"))?;
    let desk = Desk::new(setup, clock::unix_ns());
    let opening = async {
        let (process, url) = Process::start().await?;
        live.browser.store(process.pid(), Ordering::Relaxed);
        let (cdp, events) = Cdp::connect(&url).await?;
        let mut course = Course {
            cdp: Rc::new(cdp),
            events,
            desk,
            tabs: Vec::new(),
            hearings: Vec::new(),
            page,
            _process: process,
        };
        course.open().await?;
        Ok::<_, BrowserError>(course)
    };
    let mut closing = stage.clone();
    let mut course = tokio::select! {
        opened = opening => opened?,
        _ = closing.wait_for(|stage| *stage == Stage::Close) => {
            return Err(BrowserError::Unready);
        }
    };
    course.follow(&mut stage).await?;
    course.close().await
}

impl Course {
    async fn open(&mut self) -> Result<(), BrowserError> {
        let opening = (0..self.desk.job.clients.len()).map(|index| {
            let (endpoint, timeline) = (self.desk.job.endpoint.clone(), Rc::clone(&self.desk.timeline));
            let cdp = Rc::clone(&self.cdp);
            async move {
                let relay = Relay::open(endpoint, timeline).await?;
                let tab = Tab::open(&cdp, relay.address).await?;
                Ok::<_, BrowserError>((Rc::new(tab), Hearing::new(index, relay)))
            }
        });
        let mut opening = stream::iter(opening).buffered(OPEN_AT_ONCE);
        while let Some(opened) = opening.next().await {
            let (tab, hearing) = opened?;
            self.tabs.push(tab);
            self.hearings.push(hearing);
        }
        Ok(())
    }

    /// Takes the trial's announcements and what the tabs tell, until the trial says close.
    async fn follow(&mut self, stage: &mut watch::Receiver<Stage>) -> Result<(), BrowserError> {
        let pacer = Rc::new(Pacer::new()?);
        let driver = tokio::task::spawn_local(Rc::clone(&pacer).drive());
        let mut calls = tokio::task::JoinSet::new();
        // The ramp begins when all tabs are open.
        let late_ns = clock::now_ns().saturating_sub(self.desk.job.ramp_from_ns);
        let mut next = 0;
        let mut probe_ns = u64::MAX;
        let mut show = tokio::time::interval(SHOW_EVERY);
        let mut announced = *stage.borrow_and_update();
        loop {
            announced.apply(&self.desk.timeline, &mut self.desk.recorder);
            match announced {
                Stage::Connect | Stage::Cut { .. } => {}
                Stage::Run { t0_ns } => {
                    if !clients::acts_on_a_timetable(self.desk.job.variant.kind) {
                        probe_ns = t0_ns;
                    }
                    for (index, tab) in self.tabs.iter().cloned().enumerate() {
                        let cdp = Rc::clone(&self.cdp);
                        calls.spawn_local(async move { (index, tab.start(&cdp, t0_ns).await) });
                    }
                }
                Stage::Close => break,
            }
            announced = loop {
                let ramp_ns =
                    if next < self.tabs.len() { self.desk.job.ramp_ns(next) + late_ns } else { u64::MAX };
                tokio::select! {
                    changed = stage.changed() => {
                        break if changed.is_ok() { *stage.borrow_and_update() } else { Stage::Close };
                    }
                    event = self.events.recv() => self.event(event)?,
                    Some(Ok((index, Err(error)))) = calls.join_next() => self.broken(index, &error),
                    () = pacer.at(ramp_ns), if ramp_ns < u64::MAX => {
                        calls.spawn_local(self.begin(next));
                        next += 1;
                    }
                    () = pacer.at(probe_ns), if probe_ns < u64::MAX => {
                        // How late the loop is that all bytes pass.
                        self.desk.recorder.action(probe_ns, clock::now_ns(), false);
                        probe_ns += PROBE_EVERY.as_nanos() as u64;
                    }
                    _ = show.tick(), if self.desk.job.watched => {
                        self.desk.live.show(&self.desk.recorder, &self.desk.timeline);
                    }
                }
            };
        }
        driver.abort();
        Ok(())
    }

    /// The client begins to connect.
    fn begin(&self, index: usize) -> impl Future<Output = (usize, Result<(), BrowserError>)> + use<> {
        let (cdp, tab, page) = (Rc::clone(&self.cdp), Rc::clone(&self.tabs[index]), self.page);
        let task = (page.task)(&self.desk.job, index);
        async move { (index, tab.begin(&cdp, &page, &task).await) }
    }

    fn broken(&mut self, index: usize, error: &BrowserError) {
        self.hearings[index].lost(&mut self.desk, &ClientError::Page(error.to_string()));
    }

    fn event(&mut self, event: Option<Event>) -> Result<(), BrowserError> {
        let event = event.ok_or_else(|| BrowserError::Ended("its connection closed".to_owned()))?;
        let Some(index) = self.tabs.iter().position(|tab| tab.session == event.session) else {
            return Ok(());
        };
        match event.method.as_str() {
            "Runtime.bindingCalled" if event.parameters["name"] == BINDING => {
                let payload = event.parameters["payload"].as_str().unwrap_or_default();
                self.hearings[index].take(&mut self.desk, &self.tabs[index].clock, payload);
            }
            "Inspector.targetCrashed" => {
                self.hearings[index].lost(&mut self.desk, &ClientError::Page("the tab crashed".to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// All tabs close in order and hand over the rest; then their connections are settled.
    async fn close(mut self) -> Result<Found, BrowserError> {
        let (cdp, tabs) = (Rc::clone(&self.cdp), self.tabs.clone());
        let finished = join_all(tabs.iter().map(|tab| tab.finish(&cdp))).await;
        // What was said before an answer is in the channel before it.
        while let Ok(event) = self.events.try_recv() {
            self.event(Some(event))?;
        }
        drop(tabs);
        for (index, finished) in finished.into_iter().enumerate() {
            match finished {
                Ok(batches) if batches == self.hearings[index].batches => {}
                Ok(batches) => {
                    // What a tab heard and nobody else did is missing from every count.
                    self.desk.books.unclaimed += batches.abs_diff(self.hearings[index].batches);
                    let error = format!("of {batches} batches {} came", self.hearings[index].batches);
                    self.hearings[index].lost(&mut self.desk, &ClientError::Page(error));
                }
                Err(error) => self.broken(index, &error),
            }
        }
        let mut times = PageTimes::default();
        for clock in join_all(self.tabs.iter().map(|tab| tab.checked_clock(&cdp))).await {
            let clock = clock?;
            times.add(clock.error_ns, clock.exchanges);
        }
        join_all(self.tabs.iter().map(|tab| tab.dispose(&cdp))).await;
        for books in join_all(self.hearings.into_iter().map(|hearing| hearing.into_relay().settle())).await {
            self.desk.books.merge(&books);
        }
        let found = self.desk.found(&Sums::default(), &Sums::default());
        Ok(Found { page: Some(times), ..found })
    }
}
