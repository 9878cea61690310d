//! One process of the reference server: started, told and asked over its stdin and stdout, ended in order.
//!
//! It knows `servers` through `reference` only.

use std::{io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::Mutex,
    time::timeout,
};

use super::{
    Program, STOP_TIME, TargetError,
    reference::control::{Command, Hello, PROTOCOL, Reply},
};
use crate::network::Home;

/// How long a process may take to start, or to answer.
pub(super) const START_TIME: Duration = Duration::from_secs(10);

/// A running process.
pub(super) struct Member {
    pub(super) pid: u32,
    child: Child,
    channel: Mutex<Channel>,
}

struct Channel {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Member {
    /// Starts a process and waits for its greeting.
    pub(super) async fn start(
        program: &Program,
        arguments: &[String],
        home: Option<&Home>,
    ) -> Result<(Self, Hello), TargetError> {
        let mut command = tokio::process::Command::new(&program.path);
        command.args(&program.arguments).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for us: the server ends when it is told to, or when our end of its stdin closes.
        command.process_group(0);
        let child = match home {
            Some(home) => home.spawn(command),
            None => command.spawn(),
        };
        let mut child = child.map_err(TargetError::Spawn)?;
        let stdin = child.stdin.take().ok_or_else(|| TargetError::Spawn(io::Error::other("no stdin")))?;
        let stdout = child.stdout.take().ok_or_else(|| TargetError::Spawn(io::Error::other("no stdout")))?;
        let mut channel = Channel { stdin, lines: BufReader::new(stdout).lines() };
        let hello: Hello = channel.read("its address").await?;
        if hello.protocol != PROTOCOL {
            let found = format!("a server that speaks version {}", hello.protocol);
            return Err(TargetError::Unexpected { expected: "version 1 of the control protocol", found });
        }
        Ok((Self { pid: hello.pid, child, channel: Mutex::new(channel) }, hello))
    }

    /// Tells it something and waits for its answer.
    pub(super) async fn tell(&self, command: &Command, expected: &'static str) -> Result<Reply, TargetError> {
        let mut line = serde_json::to_string(command).map_err(io::Error::other)?;
        line.push('\n');
        let mut channel = self.channel.lock().await;
        channel.stdin.write_all(line.as_bytes()).await?;
        channel.read(expected).await
    }

    /// Ends when the process does, which it should not do by itself.
    pub(super) async fn ended(&mut self) -> TargetError {
        match self.child.wait().await {
            Ok(status) => TargetError::Ended { status, said: String::new() },
            Err(error) => TargetError::Pipe(error),
        }
    }

    /// Tells it to stop and waits; one that does not is killed.
    pub(super) async fn stop(self) -> Result<(), TargetError> {
        let Self { mut child, channel, .. } = self;
        drop(channel);
        match timeout(STOP_TIME, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(TargetError::Ended { status, said: String::new() }),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                child.kill().await?;
                Err(TargetError::Unexpected {
                    expected: "the server's end",
                    found: format!("none in {STOP_TIME:?}"),
                })
            }
        }
    }
}

impl Channel {
    async fn read<T: serde::de::DeserializeOwned>(
        &mut self,
        expected: &'static str,
    ) -> Result<T, TargetError> {
        let found = match timeout(START_TIME, self.lines.next_line()).await {
            Ok(line) => line?.unwrap_or_else(|| "the end of its output".to_owned()),
            Err(_) => format!("nothing in {START_TIME:?}"),
        };
        serde_json::from_str(&found).map_err(|_| TargetError::Unexpected { expected, found })
    }
}
