//! The child's side of the messages: takes a job, runs it on threads of its own, tells its progress and what it found.
//!
//! Two threads talk: one reads and obeys, the other tells progress until the workers have ended. Neither is a worker, so a
//! busy event loop delays no word.

use std::{
    io::{self, BufRead as _, Write as _},
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use measurement::glimpse::Glimpse;
use serde::Serialize;

use super::{
    Threads, frame,
    message::{FoundMessage, JobMessage, PROTOCOL, Progress, Said, Taken, Told},
};
use crate::{
    sources::Sources,
    worker::{Job, Live, Stage},
};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Why a generator process could not do its work.
#[derive(Debug, thiserror::Error)]
enum ObeyError {
    #[error("failed to talk to the parent: {0}")]
    Pipe(#[from] io::Error),
    #[error("failed to read {line}: {cause}, expected {expected}")]
    Line { line: String, cause: serde_json::Error, expected: &'static str },
    #[error("expected {expected}, found {found}")]
    Order { expected: &'static str, found: String },
    #[error("failed to make the timetable: {0}")]
    Feed(#[from] ticker::FeedError),
    #[error(transparent)]
    Endpoint(#[from] crate::endpoint::EndpointError),
    #[error("a worker failed: {0}")]
    Worker(#[source] io::Error),
}

/// Serves one parent: says hello, does the job that it is given, ends. Returns whether the job was done; what went
/// wrong was told to the parent.
pub fn obey() -> bool {
    let done = work();
    if let Err(error) = &done {
        // A parent that has gone does not hear why.
        let _ = say(&Said::Error(error.to_string()));
    }
    done.is_ok()
}

fn work() -> Result<(), ObeyError> {
    say(&Said::Hello { protocol: PROTOCOL, pid: std::process::id() })?;
    let job = match hear("a job")? {
        Some(Told::Job(job)) => job,
        Some(other) => {
            return Err(ObeyError::Order { expected: "a job", found: format!("{:?}", other.name()) });
        }
        None => return Ok(()),
    };
    let watched = job.watched;
    let mut threads = Threads::new(&prepared(&job)?, &job.cores);
    say(&Said::Ack(Taken::Job))?;
    let from_ns = match hear("the instant to connect at")? {
        Some(Told::Connect { from_ns }) => from_ns,
        Some(Told::Close {}) | None => return Ok(()),
        Some(other) => {
            return Err(ObeyError::Order {
                expected: "the instant to connect at",
                found: format!("{:?}", other.name()),
            });
        }
    };
    threads.connect(from_ns).map_err(ObeyError::Worker)?;
    say(&Said::Ack(Taken::Connect))?;
    let (stages, announced) = mpsc::channel();
    std::thread::Builder::new().name("control".to_owned()).spawn(move || listen(&stages))?;
    loop {
        if threads.ended() {
            break;
        }
        say(&Said::Progress(Box::new(progress(threads.lives(), watched))))?;
        if let Ok(stage) = announced.recv_timeout(TELL_EVERY) {
            threads.announce(stage);
            say(&Said::Ack(Told::from(stage).name()))?;
        }
    }
    let found = threads.join().map_err(ObeyError::Worker)?;
    say(&Said::Found(Box::new(FoundMessage::from(found))))?;
    Ok(())
}

/// The job as workers take it.
fn prepared(message: &JobMessage) -> Result<Job, ObeyError> {
    let variant = message.variant();
    let frame = frame(&variant)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let endpoint = runtime.block_on(message.place.endpoint(variant.peer.as_ref()))?;
    let sources = Sources::new(message.sources, message.clients.start);
    Ok(Job {
        variant: Arc::new(variant),
        seed: message.seed,
        endpoint: Arc::new(endpoint.from_sources(sources)),
        listening: None,
        home: message.home.clone(),
        clients: message.clients.clone(),
        frame,
        anchor: message.anchor,
        ramp_from_ns: 0,
        cores: Vec::new(),
        watched: message.watched,
    })
}

/// Reads stages until the end, which without `close` before it is the parent's, and then everybody's.
fn listen(stages: &mpsc::Sender<Stage>) {
    loop {
        let stage = match hear("a stage") {
            Ok(Some(Told::Run { t0_ns })) => Stage::Run { t0_ns },
            Ok(Some(Told::Cut { at_ns })) => Stage::Cut { at_ns },
            Ok(Some(Told::Close {})) => Stage::Close,
            Ok(Some(Told::Job(_) | Told::Connect { .. })) | Err(_) => {
                let _ = say(&Said::Error("expected run, cut or close".to_owned()));
                std::process::exit(1);
            }
            Ok(None) => std::process::exit(1),
        };
        if stages.send(stage).is_err() {
            return;
        }
    }
}

fn progress(lives: &[Arc<Live>], watched: bool) -> Progress {
    let sum = |read: &dyn Fn(&Live) -> u64| lives.iter().map(|live| read(live)).sum();
    let glimpse = watched.then(|| {
        let mut all = Glimpse::default();
        lives.iter().for_each(|live| live.add_to(&mut all));
        all
    });
    Progress {
        connected: sum(&|live| live.connected.load(Ordering::Relaxed)),
        failed: sum(&|live| live.failed.load(Ordering::Relaxed)),
        delivered: sum(&|live| live.delivered.load(Ordering::Relaxed)),
        disconnected: sum(&|live| live.disconnected.load(Ordering::Relaxed)),
        reconnected: sum(&|live| live.reconnected.load(Ordering::Relaxed)),
        glimpse,
    }
}

/// The parent's next line; `None` at the end of stdin.
fn hear(expected: &'static str) -> Result<Option<Told>, ObeyError> {
    const SHOWN: usize = 60;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(|cause| {
        // Further in there may be secrets.
        let line = line.chars().take(SHOWN).collect();
        ObeyError::Line { line, cause, expected }
    })
}

/// Writes one line at once.
fn say(said: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
