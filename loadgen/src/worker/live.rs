//! What a worker shows of itself while it runs: counts, and a few times a second delays and bytes for who watches.

use std::{
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64},
    },
    time::Duration,
};

use measurement::{glimpse::Glimpse, recorder::Recorder};

use super::Worker;
use crate::timeline::Timeline;

/// How often a worker that is watched shows what it has.
pub(crate) const SHOW_EVERY: Duration = Duration::from_millis(250);

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
    /// Connections opened again after the server closed them between two requests.
    pub reconnected: AtomicU64,
    /// The browser whose tabs are the clients; 0 where there is none.
    pub browser: AtomicU32,
    /// Delays and bytes as of a moment ago, if somebody watches.
    glimpse: Mutex<Glimpse>,
}

impl Live {
    /// Shows what somebody else gathered.
    pub fn relay(&self, shown: Glimpse) {
        if let Ok(mut glimpse) = self.glimpse.lock() {
            *glimpse = shown;
        }
    }

    /// Shows what there is so far.
    pub(crate) fn show(&self, recorder: &Recorder, timeline: &Timeline) {
        // Whoever looks just now has the last one; nobody waits.
        if let Ok(mut glimpse) = self.glimpse.try_lock() {
            let (received, sent) = timeline.totals();
            glimpse.take(recorder.delay(), received, sent);
        }
    }

    /// Adds what the worker last showed.
    pub fn add_to(&self, sum: &mut Glimpse) {
        // A worker that panicked shows no more; the trial finds that out by itself.
        if let Ok(glimpse) = self.glimpse.lock() {
            sum.merge(&glimpse);
        }
    }
}

/// Shows what there is so far a few times a second, beside the recording and never in it.
pub(super) async fn show(worker: Rc<Worker>) {
    if !worker.job.watched {
        return;
    }
    loop {
        tokio::time::sleep(SHOW_EVERY).await;
        worker.live.show(&worker.recorder.borrow(), &worker.timeline);
    }
}
