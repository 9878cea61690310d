//! Workers as threads of this process, one a core.

use std::{io, ops::Range, sync::Arc, thread::JoinHandle};

use tokio::sync::watch;

use crate::plan::Driver;
use crate::worker::{self, Found, Job, Live, Stage};

/// Threads that share the clients of a job.
pub struct Threads {
    jobs: Vec<Job>,
    stage: watch::Sender<Stage>,
    lives: Vec<Arc<Live>>,
    handles: Vec<JoinHandle<io::Result<Found>>>,
}

impl Threads {
    /// A thread for each core, which nothing has started yet.
    pub fn new(job: &Job, cores: &[u32]) -> Self {
        let clients = job.clients.clone();
        // One browser holds all tabs, on all cores.
        let is_browser = job.variant.driver == Driver::Chromium;
        let most = if is_browser { 1 } else { clients.len().max(1) as u32 };
        let count = (cores.len() as u32).clamp(1, most);
        let of = |number: u32| Job {
            clients: part(&clients, number, count),
            cores: if is_browser {
                cores.to_vec()
            } else {
                cores.iter().skip(number as usize).take(1).copied().collect()
            },
            ..job.clone()
        };
        let jobs: Vec<Job> = (0..count).map(of).collect();
        let lives = jobs.iter().map(|_| Arc::default()).collect();
        Self { jobs, stage: watch::channel(Stage::Connect).0, lives, handles: Vec::new() }
    }

    /// Starts them; their ramp begins at `from_ns`.
    pub fn connect(&mut self, from_ns: u64) -> io::Result<()> {
        for (job, live) in self.jobs.drain(..).zip(&self.lives) {
            let job = Job { ramp_from_ns: from_ns, ..job };
            self.handles.push(worker::spawn(job, self.stage.subscribe(), Arc::clone(live))?);
        }
        Ok(())
    }

    /// Announces a stage.
    pub fn announce(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Live counts, one for each thread.
    pub fn lives(&self) -> &[Arc<Live>] {
        &self.lives
    }

    /// Whether all that were started have ended.
    pub fn ended(&self) -> bool {
        self.handles.iter().all(JoinHandle::is_finished)
    }

    /// Waits for all and adds up what they found. Blocks.
    pub fn join(self) -> io::Result<Found> {
        let mut all: Option<Found> = None;
        for handle in self.handles {
            let found = handle.join().map_err(|_| io::Error::other("it panicked"))??;
            match &mut all {
                None => all = Some(found),
                Some(all) => all.merge(found),
            }
        }
        all.ok_or_else(|| io::Error::other("there was none"))
    }
}

/// Part `number` of `count` parts of about the same length.
pub(super) fn part(all: &Range<u32>, number: u32, count: u32) -> Range<u32> {
    let length = u64::from(all.end - all.start);
    let bound = |n: u32| all.start + (length * u64::from(n) / u64::from(count)) as u32;
    bound(number)..bound(number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_once() {
        let check = |all: Range<u32>, count: u32, expected: &[(u32, u32)]| {
            let parts = (0..count).map(|number| part(&all, number, count));
            assert_eq!(parts.map(|part| (part.start, part.end)).collect::<Vec<_>>(), expected);
        };
        check(0..10, 1, &[(0, 10)]);
        check(0..10, 3, &[(0, 3), (3, 6), (6, 10)]);
        check(7..9, 2, &[(7, 8), (8, 9)]);
        check(0..u32::MAX, 2, &[(0, u32::MAX / 2), (u32::MAX / 2, u32::MAX)]);
    }
}
