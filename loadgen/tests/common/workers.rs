//! One worker without a trial around it: the test says when the feed starts and when clients close.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use loadgen::{
    clients,
    endpoint::Endpoint,
    plan::VariantPlan,
    scenario::{self, Overrides},
    worker::{self, Found, Job, Live, Stage},
};
use measurement::recorder::Frame;
use ticker::{Anchor, Subscriptions, Timetable, clock};
use tokio::sync::watch;

const LIMIT: Duration = Duration::from_secs(20);

/// The one variant of a scenario's text.
pub(crate) fn variant(text: &str) -> VariantPlan {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.toml");
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides { set: Vec::new(), only: Vec::new(), quick: false };
    scenario::load(path.to_str().unwrap(), &overrides).expect("the scenario is valid").variants.remove(0)
}

/// A worker that has all clients of its variant.
pub(crate) struct Crew {
    pub(crate) live: Arc<Live>,
    pub(crate) frame: Frame,
    stage: watch::Sender<Stage>,
    thread: std::thread::JoinHandle<std::io::Result<Found>>,
    clients: u64,
}

impl Crew {
    /// Starts it.
    pub(crate) fn start(variant: VariantPlan, address: SocketAddr, anchor: Anchor) -> Self {
        let window = variant.window_ns();
        let table = Timetable::new(&variant.feed, window.end + 10_000_000_000).unwrap();
        let frame = Frame {
            table: Arc::new(table),
            t0_ns: u64::MAX,
            window,
            coalesces: clients::coalesces(variant.kind, &variant.options),
            asked: clients::acts_on_a_timetable(variant.kind),
            subscriptions: Subscriptions::new(variant.feed.symbols, variant.load.symbols_per_client),
            phases: None,
        };
        let count = variant.load.clients;
        let job = Job {
            variant: Arc::new(variant),
            seed: 1,
            endpoint: Arc::new(Endpoint::reference(address, None).unwrap()),
            listening: None,
            home: None,
            clients: 0..count,
            frame: frame.clone(),
            anchor,
            ramp_from_ns: clock::now_ns(),
            cores: Vec::new(),
            watched: false,
        };
        let live = Arc::new(Live::default());
        let (stage, stages) = watch::channel(Stage::Connect);
        let thread = worker::spawn(job, stages, Arc::clone(&live)).unwrap();
        Self { live, frame, stage, thread, clients: count.into() }
    }

    /// Waits until all stand, or as many have failed.
    pub(crate) async fn connected(&self) {
        self.until(|live| live.connected.load(Relaxed) + live.failed.load(Relaxed) >= self.clients).await;
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, so: impl Fn(&Live) -> bool) {
        let waiting = async {
            while !so(&self.live) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.expect("it comes in time");
    }

    /// The feed starts.
    pub(crate) fn run(&self, t0_ns: u64) {
        self.stage.send_replace(Stage::Run { t0_ns });
    }

    /// The trial ends; what the worker found.
    pub(crate) async fn close(self) -> Found {
        self.stage.send_replace(Stage::Close);
        let joined = tokio::task::spawn_blocking(move || self.thread.join());
        tokio::time::timeout(LIMIT, joined).await.expect("it closes in time").unwrap().unwrap().unwrap()
    }
}
