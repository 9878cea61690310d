//! The reference server of a trial: a fresh process of our own binary, told what to do over its stdin, asked over HTTP.
//!
//! This is the one file of the load generator that knows the `servers` crate.

use std::{io, ops::Range, process::Stdio, time::Duration};

pub use servers::stats;
use servers::{
    control::{Command, Hello, PROTOCOL, Reply, Start},
    stats::Stats,
};
use ticker::{Anchor, Engine, clock};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

use super::{Program, STOP_TIME, TargetError};
use crate::{
    conditions::HEARTBEAT,
    endpoint::Endpoint,
    plan::{Compression, Http, VariantPlan, options::Word as _},
    process::Cores,
};

const START_TIME: Duration = Duration::from_secs(10);
/// Connections of the server beyond its clients: the control plane's, and a few that are closing.
const SPARE_CONNECTIONS: u32 = 16;

/// Whether the server takes `--engine` and `--coalesce`.
const SERVER_HAS_ENGINES: bool = false;

/// What `/clock` answers, as far as it matters here.
#[derive(serde::Deserialize)]
struct Reading {
    mono_ns: u64,
}

/// A running reference server.
pub struct Reference {
    /// Where clients connect.
    pub endpoint: Endpoint,
    /// Its process.
    pub pid: u32,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    http: reqwest::Client,
}

impl Reference {
    /// Starts the embedded server for a variant and waits until it is ready.
    ///
    /// `program` may be of another version, as long as it speaks the same control protocol.
    pub async fn start(program: &Program, variant: &VariantPlan, cores: &Cores) -> Result<Self, TargetError> {
        let mut command = tokio::process::Command::new(&program.path);
        command.args(&program.arguments).args(arguments(variant, cores));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for us: the server ends when it is told to, or when our end of its stdin closes.
        command.process_group(0);
        let mut child = command.spawn().map_err(TargetError::Spawn)?;
        let stdin = child.stdin.take().ok_or_else(|| TargetError::Spawn(io::Error::other("no stdin")))?;
        let stdout = child.stdout.take().ok_or_else(|| TargetError::Spawn(io::Error::other("no stdout")))?;
        let mut lines = BufReader::new(stdout).lines();
        let hello: Hello = read(&mut lines, "its address").await?;
        if hello.protocol != PROTOCOL {
            let found = format!("a server that speaks version {}", hello.protocol);
            return Err(TargetError::Unexpected { expected: "version 1 of the control protocol", found });
        }
        let http = reqwest::Client::builder().no_proxy().timeout(START_TIME).build()?;
        let certificate = hello.certificate.as_deref().filter(|_| variant.options.tls);
        let mut endpoint = Endpoint::reference(hello.address, certificate)?;
        if let Some((address, pem)) = hello.quic.zip(hello.certificate.as_deref()) {
            endpoint = endpoint.with_quic(address, pem)?;
        }
        let reference = Self { endpoint, pid: hello.pid, child, stdin, lines, http };
        reference.http.get(reference.url("/healthz")).send().await?.error_for_status()?;
        reference.check_clock().await?;
        Ok(reference)
    }

    /// One-way delays are differences of two processes' readings: both must read the same clock.
    async fn check_clock(&self) -> Result<(), TargetError> {
        let before_ns = clock::now_ns();
        let answer = self.http.get(self.url("/clock")).send().await?.error_for_status()?;
        let reading: Reading = answer.json().await?;
        let after_ns = clock::now_ns();
        if (before_ns..=after_ns).contains(&reading.mono_ns) {
            return Ok(());
        }
        let found = format!("{} outside {before_ns} to {after_ns}", reading.mono_ns);
        Err(TargetError::Unexpected { expected: "a reading of our own monotonic clock", found })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.endpoint.address)
    }

    /// Tells the server when to publish, and waits for its acknowledgement.
    pub async fn publish(&mut self, start: Start) -> Result<(), TargetError> {
        let mut line = serde_json::to_string(&Command::Start(start)).map_err(io::Error::other)?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).await?;
        match read(&mut self.lines, "an acknowledgement").await? {
            Reply::Ack(_) => Ok(()),
            Reply::Error(found) => Err(TargetError::Unexpected { expected: "an acknowledgement", found }),
        }
    }

    /// The server's counters.
    pub async fn stats(&self) -> Result<Stats, TargetError> {
        Ok(self.http.get(self.url("/stats")).send().await?.error_for_status()?.json().await?)
    }

    /// Ends when the server does, which it should not do by itself.
    pub async fn ended(&mut self) -> TargetError {
        match self.child.wait().await {
            Ok(status) => TargetError::Ended { status, said: String::new() },
            Err(error) => TargetError::Pipe(error),
        }
    }

    /// Tells the server to stop and waits; one that does not is killed.
    pub async fn stop(mut self) -> Result<(), TargetError> {
        drop(self.stdin);
        match timeout(STOP_TIME, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(TargetError::Ended { status, said: String::new() }),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.child.kill().await?;
                Err(TargetError::Unexpected {
                    expected: "the server's end",
                    found: format!("none in {STOP_TIME:?}"),
                })
            }
        }
    }
}

/// When to publish, and which part of it is measured, in nanoseconds after t0.
pub fn start_message(anchor: Anchor, t0_ns: u64, window: &Range<u64>) -> Start {
    Start { anchor, t0_ns, window_from_ns: window.start, window_to_ns: window.end }
}

fn arguments(variant: &VariantPlan, cores: &Cores) -> Vec<String> {
    let feed = &variant.feed;
    let cpus: Vec<String> = cores.server.iter().map(u32::to_string).collect();
    let mut arguments: Vec<String> = ["--control", "stdio", "--listen", "127.0.0.1:0"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("--symbols={}", feed.symbols)])
        .chain([format!("--updates-per-second={}", feed.updates_per_second)])
        .chain([format!("--arrivals={}", feed.arrivals.name())])
        .chain([format!("--quote-bytes={}", feed.quote_bytes)])
        .chain([format!("--seed={}", feed.seed)])
        .chain([format!("--max-connections={}", variant.connections().saturating_add(SPARE_CONNECTIONS))])
        .chain([format!("--heartbeat={}s", HEARTBEAT.as_secs())])
        .collect();
    if cfg!(target_os = "linux") {
        arguments.push(format!("--cpus={}", cpus.join(",")));
    }
    let options = &variant.options;
    arguments.push(format!("--deflate={}", options.deflate.word()));
    if options.compression == Compression::Gzip {
        arguments.push("--compress".to_owned());
    }
    if options.http == Http::H3 {
        arguments.push("--quic".to_owned());
    } else if options.tls {
        arguments.push("--tls".to_owned());
    }
    if SERVER_HAS_ENGINES && variant.engine == Engine::Direct {
        arguments.push(format!("--engine={}", variant.engine.name()));
        if let Some(time) = options.coalesce {
            arguments.push(format!(
                "--coalesce={}",
                humantime::format_duration(time).to_string().replace(' ', "")
            ));
        }
    }
    if variant.counted_by_server() {
        // Nobody else counts the pooled client's bytes.
        arguments.push("--scan".to_owned());
    }
    arguments
}

async fn read<T: serde::de::DeserializeOwned>(
    lines: &mut Lines<BufReader<ChildStdout>>,
    expected: &'static str,
) -> Result<T, TargetError> {
    let found = match timeout(START_TIME, lines.next_line()).await {
        Ok(line) => line?.unwrap_or_else(|| "the end of its output".to_owned()),
        Err(_) => format!("nothing in {START_TIME:?}"),
    };
    serde_json::from_str(&found).map_err(|_| TargetError::Unexpected { expected, found })
}
