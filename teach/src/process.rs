//! One reference server as a process of its own, and the channel to it. It knows no lanes.

use std::{
    io,
    net::SocketAddr,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::de::DeserializeOwned;
use servers::{
    Start, Stats,
    control::{Command, Hello, Reply},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::Mutex,
    time::timeout,
};

/// Longest wait for a server that stops before it is killed; it closes its connections in order meanwhile.
const STOP_TIME: Duration = Duration::from_secs(4);

/// A running server; it is killed with this value.
pub(crate) struct Server {
    hello: Hello,
    child: Child,
    channel: Mutex<Channel>,
    is_frozen: AtomicBool,
}

struct Channel {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    newest: Stats,
    /// Answers to questions whose asker did not wait for them: they come first.
    owed: u32,
}

impl Server {
    /// Starts this program's verb `serve` with `options`; it listens, and waits to be told when to publish.
    pub(crate) async fn spawn(options: &[String]) -> io::Result<Self> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.args(["serve", "--control", "stdio"]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Its own group: Ctrl-C is for this process, which stops its servers in order.
        let mut child = command.process_group(0).spawn()?;
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(stdout).lines();
        let hello: Hello = read(&mut lines).await?;
        let channel = Mutex::new(Channel { stdin, lines, newest: Stats::default(), owed: 0 });
        Ok(Self { hello, child, channel, is_frozen: AtomicBool::new(false) })
    }

    /// Where it listens for TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.hello.address
    }

    /// Where it listens for QUIC, if it does.
    pub(crate) fn quic(&self) -> Option<SocketAddr> {
        self.hello.quic
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// Says when to publish.
    pub(crate) async fn start(&self, start: Start) -> io::Result<()> {
        match self.channel.lock().await.ask(Command::Start(start)).await? {
            Reply::Ack(_) => Ok(()),
            other @ (Reply::Stats(_) | Reply::Clock { .. } | Reply::Error(_)) => {
                Err(io::Error::other(format!("the server answers start with {other:?}")))
            }
        }
    }

    /// Its counters; while it is frozen those that it told last.
    pub(crate) async fn stats(&self) -> io::Result<Stats> {
        let mut channel = self.channel.lock().await;
        if self.is_frozen.load(Relaxed) {
            return Ok(channel.newest.clone());
        }
        match channel.ask(Command::Stats {}).await? {
            Reply::Stats(stats) => {
                channel.newest = (*stats).clone();
                Ok(*stats)
            }
            other @ (Reply::Ack(_) | Reply::Clock { .. } | Reply::Error(_)) => {
                Err(io::Error::other(format!("the server answers stats with {other:?}")))
            }
        }
    }

    /// Stops the whole process, as a machine under memory pressure does, until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.is_frozen.store(true, Relaxed);
        self.signal(Signal::SIGSTOP);
    }

    /// The end of a freeze.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
        self.is_frozen.store(false, Relaxed);
    }

    fn signal(&self, signal: Signal) {
        // One that has ended needs no signal; its number is not given away before this value is dropped.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Asks it to stop and waits, a little.
    pub(crate) async fn stop(mut self) {
        self.thaw();
        let Channel { mut stdin, .. } = self.channel.into_inner();
        let _ = write(&mut stdin, &Command::Stop {}).await;
        drop(stdin);
        let _ = timeout(STOP_TIME, self.child.wait()).await;
    }
}

impl Channel {
    async fn ask(&mut self, command: Command) -> io::Result<Reply> {
        self.owed += 1;
        write(&mut self.stdin, &command).await?;
        loop {
            let reply = read(&mut self.lines).await?;
            self.owed -= 1;
            if self.owed == 0 {
                return Ok(reply);
            }
        }
    }
}

async fn write(stdin: &mut ChildStdin, command: &Command) -> io::Result<()> {
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stdin.write_all(&line).await
}

async fn read<T: DeserializeOwned>(lines: &mut Lines<BufReader<ChildStdout>>) -> io::Result<T> {
    let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}
