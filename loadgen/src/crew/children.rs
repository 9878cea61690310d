//! The parent's side of generator processes: starts them, tells them what to do, hears how far they are and what they found.
//!
//! Each child has one task that reads what it says; all are joined. A child that dies, says something else or nothing for
//! long has failed, and the trial with it.

use std::{collections::VecDeque, io, process::Stdio, sync::Arc, time::Duration};

use measurement::recorder::Frame;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    CrewError, Sizes,
    message::{self, FoundMessage, JobMessage, PROTOCOL, Progress, Said, Taken, Told, Where},
    share,
    threads::part,
};
use crate::{
    process::{self, Usage},
    worker::{Found, Job, Live, Stage},
};

/// How long a child may take to start, and to make its timetable.
const START_TIME: Duration = Duration::from_secs(30);
/// Children tell their progress five times a second; one that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a child may take to take a stage.
const ACK_TIME: Duration = Duration::from_secs(20);

/// Generator processes.
pub struct Children {
    stdins: Vec<ChildStdin>,
    pids: Vec<u32>,
    lives: Vec<Arc<Live>>,
    heard: Vec<watch::Receiver<Heard>>,
    readers: JoinSet<Result<FoundMessage, CrewError>>,
    failed: VecDeque<CrewError>,
    found: Vec<FoundMessage>,
    frame: Frame,
    fresh: Option<Usage>,
}

/// What a child has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    acknowledged: Option<Taken>,
    ended: bool,
}

impl Children {
    /// Starts the processes and gives each its part of the job. They connect when they are told to.
    pub async fn start(job: &Job, place: &Where, cores: &[u32], sizes: &Sizes) -> Result<Self, CrewError> {
        let count = sizes.generators;
        let mut children = Self {
            stdins: Vec::new(),
            pids: Vec::new(),
            lives: Vec::new(),
            heard: Vec::new(),
            readers: JoinSet::new(),
            failed: VecDeque::new(),
            found: Vec::new(),
            frame: job.frame.clone(),
            fresh: None,
        };
        for number in 0..count {
            children.spawn(number as usize + 1).await?;
        }
        // Nothing of a client is there yet, not even its place in a recorder.
        children.fresh = children.usage();
        let messages = (0..count).map(|number| {
            Told::Job(Box::new(JobMessage {
                variant: (*job.variant).clone(),
                headers: job.variant.headers.clone(),
                secrets: message::secrets(&job.variant),
                seed: job.seed,
                place: place.clone(),
                home: job.home.clone(),
                clients: part(&job.clients, number, count),
                anchor: job.anchor,
                cores: share(cores, number, count),
                sources: sizes.sources,
                watched: job.watched,
            }))
        });
        children.tell(messages.collect()).await?;
        Ok(children)
    }

    async fn spawn(&mut self, number: usize) -> Result<(), CrewError> {
        let program = std::env::current_exe().map_err(CrewError::Spawn)?;
        let mut command = tokio::process::Command::new(program);
        command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for us: a child ends when it is told to, or when our end of its stdin closes.
        command.process_group(0);
        let mut child = command.spawn().map_err(CrewError::Spawn)?;
        let missing = || CrewError::Spawn(io::Error::other("no pipe"));
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        let pid = child.id().unwrap_or_default();
        let live = Arc::new(Live::default());
        let (said, heard) = watch::channel(Heard::default());
        let mut reader = Reader { number, pid, child, lines, live: Arc::clone(&live), said };
        match reader.line(START_TIME).await? {
            Said::Hello { protocol: PROTOCOL, .. } => {}
            other @ (Said::Hello { .. }
            | Said::Ack(_)
            | Said::Progress(_)
            | Said::Found(_)
            | Said::Error(_)) => return Err(reader.wrong("version 1 of the messages", &other)),
        }
        self.readers.spawn(reader.read());
        self.stdins.push(stdin);
        self.pids.push(pid);
        self.lives.push(live);
        self.heard.push(heard);
        Ok(())
    }

    /// The connect ramp begins at `from_ns`.
    pub async fn connect(&mut self, from_ns: u64) -> Result<(), CrewError> {
        self.tell_all(|| Told::Connect { from_ns }).await
    }

    /// Announces a stage and waits until all have taken it.
    pub async fn announce(&mut self, stage: Stage) -> Result<(), CrewError> {
        self.tell_all(|| Told::from(stage)).await
    }

    /// Live counts, one for each process.
    pub fn lives(&self) -> &[Arc<Live>] {
        &self.lives
    }

    /// Their processes.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.pids.iter().copied()
    }

    /// What all of them have used, and this process with them; `None` where the system does not tell.
    pub fn usage(&self) -> Option<Usage> {
        process::usage_of(std::iter::once(std::process::id()).chain(self.pids()))
    }

    /// The same, of before they knew their clients.
    pub fn fresh(&self) -> Option<Usage> {
        self.fresh.clone()
    }

    async fn tell_all(&mut self, told: impl Fn() -> Told) -> Result<(), CrewError> {
        self.tell(self.pids.iter().map(|_| told()).collect()).await
    }

    /// Tells each child its line, then waits for all acknowledgements.
    async fn tell(&mut self, lines: Vec<Told>) -> Result<(), CrewError> {
        let name = lines.first().map(Told::name);
        let mut broken = None;
        for (index, (stdin, told)) in self.stdins.iter_mut().zip(lines).enumerate() {
            let mut line = serde_json::to_vec(&told).map_err(|error| CrewError::Spawn(error.into()))?;
            line.push(b'\n');
            // One that has gone says why elsewhere; the others are told all the same.
            if let Ok(Ok(())) = timeout(ACK_TIME, stdin.write_all(&line)).await {
                continue;
            }
            broken = broken.or(Some(index));
        }
        for index in 0..self.heard.len() {
            let heard = &mut self.heard[index];
            let taken = heard.wait_for(|heard| heard.acknowledged == name || heard.ended);
            match timeout(START_TIME.max(ACK_TIME), taken).await {
                Ok(Ok(heard)) if heard.acknowledged == name => {}
                Ok(_) => broken = broken.or(Some(index)),
                Err(_) => {
                    let what = format!("did not take {name:?} in {START_TIME:?}");
                    return Err(CrewError::Process { number: index + 1, pid: self.pids[index], what });
                }
            }
        }
        match broken {
            None => Ok(()),
            Some(_) => Err(self.failed().await),
        }
    }

    /// Ends when a child does that has not told what it found, which it should not do by itself.
    pub async fn failed(&mut self) -> CrewError {
        loop {
            if let Some(error) = self.failed.pop_front() {
                return error;
            }
            match self.readers.join_next().await {
                Some(Ok(Ok(found))) => self.found.push(found),
                Some(Ok(Err(error))) => return error,
                Some(Err(error)) => return CrewError::Worker(io::Error::other(error)),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for all and adds up what they found.
    pub async fn join(mut self) -> Result<Found, CrewError> {
        while let Some(joined) = self.readers.join_next().await {
            self.found.push(joined.map_err(|error| CrewError::Worker(io::Error::other(error)))??);
        }
        let none = || CrewError::Worker(io::Error::other("there was none"));
        if self.found.len() < self.pids.len() {
            return Err(none());
        }
        let mut all: Option<Found> = None;
        for found in self.found {
            let found = found.in_frame(&self.frame);
            match &mut all {
                None => all = Some(found),
                Some(all) => all.merge(found),
            }
        }
        all.ok_or_else(none)
    }
}

/// The task of one child.
struct Reader {
    number: usize,
    pid: u32,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    live: Arc<Live>,
    said: watch::Sender<Heard>,
}

impl Reader {
    /// Hears a child to its end.
    async fn read(mut self) -> Result<FoundMessage, CrewError> {
        let found = self.hear().await;
        self.said.send_modify(|heard| heard.ended = true);
        if found.is_ok() {
            // It has nothing left to do; one that stays is killed when it is dropped.
            let _ = timeout(SILENCE, self.child.wait()).await;
        }
        found
    }

    async fn hear(&mut self) -> Result<FoundMessage, CrewError> {
        loop {
            match self.line(SILENCE).await? {
                Said::Progress(progress) => self.live.take(*progress),
                Said::Ack(taken) => self.said.send_modify(|heard| heard.acknowledged = Some(taken)),
                Said::Found(found) => return Ok(*found),
                Said::Error(what) => return Err(self.process(format!("could not go on: {what}"))),
                other @ Said::Hello { .. } => return Err(self.wrong("a report", &other)),
            }
        }
    }

    async fn line(&mut self, patience: Duration) -> Result<Said, CrewError> {
        const SHOWN: usize = 80;
        match timeout(patience, self.lines.next_line()).await {
            Err(_) => Err(self.process(format!("has said nothing for {patience:?}: it hangs"))),
            Ok(Err(error)) => Err(self.process(format!("cannot be heard: {error}"))),
            Ok(Ok(None)) => {
                let status = timeout(SILENCE, self.child.wait()).await;
                let how = match status {
                    Ok(Ok(status)) => status.to_string(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it closed its output".to_owned(),
                };
                Err(self.process(format!("ended by itself ({how})")))
            }
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|error| {
                let line: String = line.chars().take(SHOWN).collect();
                self.process(format!("said {line:?}, expected a message: {error}"))
            }),
        }
    }

    fn wrong(&self, expected: &str, found: &Said) -> CrewError {
        let found = match found {
            Said::Hello { protocol, .. } => format!("version {protocol}"),
            Said::Ack(taken) => format!("an acknowledgement of {taken:?}"),
            Said::Progress(_) => "progress".to_owned(),
            Said::Found(_) => "findings".to_owned(),
            Said::Error(what) => what.clone(),
        };
        self.process(format!("said {found}, expected {expected}"))
    }

    fn process(&self, what: String) -> CrewError {
        CrewError::Process { number: self.number, pid: self.pid, what }
    }
}

impl Live {
    /// Takes over what another process told.
    fn take(&self, progress: Progress) {
        use std::sync::atomic::Ordering::Relaxed;
        let Progress { connected, failed, delivered, disconnected, reconnected, glimpse } = progress;
        self.connected.store(connected, Relaxed);
        self.failed.store(failed, Relaxed);
        self.delivered.store(delivered, Relaxed);
        self.disconnected.store(disconnected, Relaxed);
        self.reconnected.store(reconnected, Relaxed);
        if let Some(glimpse) = glimpse {
            self.relay(glimpse);
        }
    }
}
