//! The set of a server's tasks: every connection and every upgraded stream belongs to it and is waited for.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use hyper::rt::Executor;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// A handle to the set; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs `task` as part of the set.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        // Not an async block around it: that would be twice as large, for as long as the connection lives.
        let task = task.map(move |()| tasks.reap());
        self.set.lock().expect("spawning does not panic").spawn(task);
    }

    /// Ended tasks keep their memory until someone looks: the next one to end does.
    fn reap(&self) {
        let mut set = self.set.lock().expect("joining does not panic");
        while set.try_join_next().is_some() {}
    }

    /// Whether the server has begun to stop.
    pub(crate) fn are_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends when the server begins to stop.
    pub(crate) fn stopping(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Tells all tasks to stop, gives them `grace`, then drops those that are left.
    pub(crate) async fn finish(&self, grace: Duration) {
        self.stop.cancel();
        let _ = timeout(grace, async {
            while let Some(mut set) = self.take() {
                while set.join_next().await.is_some() {}
            }
        })
        .await;
        // The set taken last was dropped with the timeout, which aborts what is in it; a connection may have
        // become a stream of its own meanwhile.
        while let Some(mut set) = self.take() {
            set.shutdown().await;
        }
    }

    /// What the set holds now; `None` when that is nothing.
    fn take(&self) -> Option<JoinSet<()>> {
        let mut set = self.set.lock().expect("spawning does not panic");
        Some(std::mem::take(&mut *set)).filter(|set| !set.is_empty())
    }
}

/// HTTP/2 answers each request in a task: those belong to the set, too.
impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task.map(|_| ()));
    }
}
