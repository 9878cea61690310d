//! Somebody else's server: its command started fresh, its process watched, its clock asked, its end in order.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use measurement::offset::{self, Exchange};
use nix::{sys::signal::Signal, unistd::Pid};
use serde::Deserialize;
use ticker::clock;
use tokio::{
    process::Child,
    time::{sleep, timeout},
};

use super::{STOP_TIME, TargetError, wall_clock};
use crate::{
    control::{Answer, Control},
    endpoint::Endpoint,
    plan::{
        Http, VariantPlan,
        peer::{self, ClockKind, Peer, Secret},
    },
    process::{self, Cores},
};

/// How long a server may take to be ready: one in Java needs some.
const READY_TIME: Duration = Duration::from_secs(30);
const READY_EVERY: Duration = Duration::from_millis(20);
/// Exchanges of which the fastest counts (METRICS rule 4).
const EXCHANGES: u64 = 60;
const CLOCK: &str = "/clock";
/// How much of what a server printed last is shown with its end.
const LAST_LINES: usize = 5;

/// What `/clock` answers, as far as it is needed.
#[derive(Deserialize)]
struct Reading {
    unix_us: i64,
}

/// A server that is not ours.
pub struct PeerServer {
    /// Where clients connect.
    pub endpoint: Endpoint,
    /// Its process, if one is known.
    pub pid: Option<u32>,
    /// What fills `{port}` of its url.
    pub port: Option<u16>,
    child: Option<Child>,
    log: Option<PathBuf>,
    clock: ClockKind,
    secrets: Vec<Secret>,
}

impl PeerServer {
    /// Starts the command, or finds the process, and waits until clients can connect.
    pub(super) async fn start(
        variant: &VariantPlan,
        peer: &Peer,
        cores: &Cores,
        folder: Option<&Path>,
    ) -> Result<Self, TargetError> {
        let port = if peer.url.filled.contains("{port}") { Some(free_port()?) } else { None };
        let endpoint = Endpoint::of_peer(peer, port).await?;
        let mut server = Self {
            endpoint,
            pid: None,
            port,
            child: None,
            log: None,
            clock: peer.message.clock,
            secrets: peer.secrets.clone(),
        };
        let mut ready = None;
        match &peer.server {
            None => {}
            Some(peer::PeerServer::Pid(pid)) => {
                process::usage(*pid).ok_or_else(|| TargetError::Unexpected {
                    expected: "a running process",
                    found: format!("none with pid {pid}"),
                })?;
                server.pid = Some(*pid);
            }
            Some(peer::PeerServer::Command { words, ready: path }) => {
                ready.clone_from(path);
                server.must_be_free().await?;
                let name = slug(&variant.name);
                server.log = folder.map(|folder| folder.join(format!("server-{name}.log")));
                let words: Vec<String> = words
                    .iter()
                    .map(|word| {
                        word.filled.replace("{port}", &port.map_or_else(String::new, |port| port.to_string()))
                    })
                    .collect();
                let child = spawn(&words, cores, server.log.as_deref()).map_err(|error| {
                    let shown = peer::redact(&words.join(" "), &server.secrets);
                    TargetError::Spawn(io::Error::new(error.kind(), format!("{shown}: {error}")))
                })?;
                server.pid = child.id();
                server.child = Some(child);
            }
        }
        match server.wait_until_ready(ready.as_deref()).await {
            Ok(()) => Ok(server),
            Err(error) => {
                // What stops it now has nothing to add to why it could not be used.
                let _ = server.stop().await;
                Err(error)
            }
        }
    }

    /// A server that is there already would be measured in the new one's place.
    async fn must_be_free(&self) -> Result<(), TargetError> {
        if self.endpoint.connect(Http::H1).await.is_err() {
            return Ok(());
        }
        let found = format!("a server at {} before the command was started", self.endpoint.address);
        Err(TargetError::Unexpected { expected: "a free port (write {port} for one)", found })
    }

    async fn wait_until_ready(&mut self, path: Option<&str>) -> Result<(), TargetError> {
        let waits = if self.child.is_some() { READY_TIME } else { Duration::ZERO };
        let until_ns = clock::now_ns() + waits.as_nanos() as u64;
        loop {
            let answer = self.ask(path).await;
            let Err(found) = answer else { return Ok(()) };
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                return Err(TargetError::Ended { status, said: self.said() });
            }
            if self.child.is_none() {
                return Err(TargetError::Unreachable(found));
            }
            if clock::now_ns() > until_ns {
                let found = format!("{found} after {} s{}", waits.as_secs(), self.said());
                let expected = if path.is_some() { "an answer of success" } else { "an open port" };
                return Err(TargetError::Unexpected { expected, found });
            }
            sleep(READY_EVERY).await;
        }
    }

    async fn ask(&self, path: Option<&str>) -> Result<(), String> {
        let shown = |error: io::Error| format!("{error} at {}", self.endpoint.address);
        let Some(path) = path else {
            return self.endpoint.connect(Http::H1).await.map(drop).map_err(shown);
        };
        let mut control = Control::open(&self.endpoint).await.map_err(shown)?;
        let status = control.ask(path, &[]).await.map_err(shown)?.status;
        if status.is_success() { Ok(()) } else { Err(format!("{status} for {path}")) }
    }

    /// The last lines that the server printed.
    fn said(&self) -> String {
        let text = self.log.as_ref().and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ");
        if last.is_empty() {
            String::new()
        } else {
            format!("; it said: {}", peer::redact(&last, &self.secrets))
        }
    }

    /// See [`super::Target::exchange`].
    pub(super) async fn exchange(&self) -> Result<(Option<Exchange>, u64), TargetError> {
        match self.clock {
            ClockKind::None => Ok((None, 0)),
            ClockKind::SameHost => Ok((wall_clock(), 1)),
            ClockKind::Endpoint => {
                let mut control = Control::open(&self.endpoint).await?;
                let mut exchanges = Vec::new();
                for _ in 0..EXCHANGES {
                    exchanges.push(exchange(&mut control).await?);
                }
                Ok((offset::best(&exchanges), EXCHANGES))
            }
        }
    }

    /// See [`super::Target::ended`].
    pub(super) async fn ended(&mut self) -> TargetError {
        let Some(child) = &mut self.child else { return std::future::pending().await };
        match child.wait().await {
            Ok(status) => TargetError::Ended { status, said: self.said() },
            Err(error) => TargetError::Pipe(error),
        }
    }

    /// SIGTERM to the process group that was made for the command; SIGKILL to what is left of it.
    pub(super) async fn stop(mut self) -> Result<(), TargetError> {
        let (Some(child), Some(pid)) = (&mut self.child, self.pid) else { return Ok(()) };
        let group = Pid::from_raw(pid as i32);
        // A group that is gone already needs no signal.
        let _ = nix::sys::signal::killpg(group, Signal::SIGTERM);
        // How a stranger ends is its own business: many take SIGTERM for an error.
        if timeout(STOP_TIME, child.wait()).await.is_err() {
            let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
            child.wait().await?;
        }
        let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
        self.redact_log();
        Ok(())
    }

    /// A server may print what it was started with.
    fn redact_log(&self) {
        let Some(log) = &self.log else { return };
        let Ok(text) = std::fs::read(log) else { return };
        let text = String::from_utf8_lossy(&text);
        let shown = peer::redact(&text, &self.secrets);
        if shown != text {
            // What cannot be written over is taken away rather than left as it is.
            let _ = std::fs::write(log, shown).or_else(|_| std::fs::remove_file(log));
        }
    }
}

/// One exchange with `/clock`: its answer is one reading, to the microsecond.
async fn exchange(control: &mut Control) -> Result<Exchange, TargetError> {
    let asked = clock::now_ns();
    let Answer { status, body, .. } = control.ask(CLOCK, &[]).await?;
    let answered = clock::now_ns();
    let reading: Option<Reading> = serde_json::from_slice(&body).ok().filter(|_| status.is_success());
    let Some(Reading { unix_us }) = reading else {
        let shown: String = String::from_utf8_lossy(&body).chars().take(80).collect();
        return Err(TargetError::Unexpected {
            expected: "{\"unix_us\":…} from GET /clock, as clock = \"endpoint\" needs it",
            found: format!("{status} {shown}"),
        });
    };
    let ours = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    // A whole microsecond stands for its middle.
    let server_ns = unix_us.saturating_mul(1_000).saturating_add(500);
    Ok(Exchange { asked_ns: ours(asked), server_ns, answered_ns: ours(answered) })
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Starts a command in a process group of its own, on the server's cores.
fn spawn(words: &[String], cores: &Cores, log: Option<&Path>) -> io::Result<Child> {
    let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let (out, err) = match log {
        None => (Stdio::null(), Stdio::null()),
        Some(path) => {
            let file = File::options().create(true).append(true).open(path)?;
            (Stdio::from(file.try_clone()?), Stdio::from(file))
        }
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
    command.kill_on_drop(true).process_group(0);
    // A child runs where the thread runs that makes it.
    let _ = process::pin_thread(&cores.server);
    let child = command.spawn();
    let _ = process::pin_thread(&cores.loadgen);
    child
}

/// A variant's name as part of a file's.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
}
