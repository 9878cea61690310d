//! What a parent process and its server say to each other: JSON lines over the server's stdin and stdout.
//!
//! The server speaks first ([`Hello`]); then each [`Command`] gets a [`Reply`], but for `stop`, whose answer is
//! the end of the process. The end of stdin means `stop`, so that no server outlives its parent. These are
//! types only: `cli` does the reading and writing.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use ticker::Anchor;

use crate::stats::Stats;

/// The version of this channel. A server that says none speaks the first.
pub const PROTOCOL: u32 = 1;

fn first_protocol() -> u32 {
    1
}

/// The server's first line: it is listening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] as the server knows it.
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    /// Where it listens; the port is the real one even when 0 was asked for.
    pub address: SocketAddr,
    /// Its process, for CPU and memory accounting.
    pub pid: u32,
    /// Its own certificate (PEM), where it has one: self-signed, to be trusted as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Where it listens for QUIC, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic: Option<SocketAddr>,
}

/// A line from the parent: `{"start":{…}}`, `{"stats":{}}`, `{"clock":{}}` or `{"stop":{}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Begin to publish. Sent once.
    Start(Start),
    /// What `/stats` says, without a connection: servers that share a port cannot be told apart by one.
    Stats {},
    /// What time it is.
    Clock {},
    /// Close all connections in order and exit.
    Stop {},
}

/// When the feed begins, and which part of it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The run's one pair of clock readings.
    pub anchor: Anchor,
    /// The schedule's zero in CLOCK_MONOTONIC nanoseconds; an instant in the past makes the first quotes late.
    pub t0_ns: u64,
    /// Start of the measured window in nanoseconds after t0.
    pub window_from_ns: u64,
    /// End of the measured window (exclusive) in nanoseconds after t0.
    pub window_to_ns: u64,
}

impl Start {
    /// At once, measured from beginning to end: what a server without a parent does.
    pub fn now() -> Self {
        let anchor = Anchor::now();
        Self { anchor, t0_ns: anchor.mono_ns, window_from_ns: 0, window_to_ns: u64::MAX }
    }
}

/// The server's answer to a line: `{"ack":"start"}`, `{"stats":{…}}`, `{"clock":{…}}` or `{"error":"…"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The command was taken.
    Ack(Acknowledged),
    /// The counters.
    Stats(Box<Stats>),
    /// A reading of its clock.
    Clock {
        /// CLOCK_MONOTONIC nanoseconds.
        mono_ns: u64,
    },
    /// The line was not understood or came too late; the server goes on as before.
    Error(String),
}

/// The command that an acknowledgement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledged {
    /// [`Command::Start`].
    Start,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_the_documented_ones() {
        let anchor = Anchor { unix_ns: 3, mono_ns: 4 };
        let start = Start { anchor, t0_ns: 5, window_from_ns: 6, window_to_ns: 7 };
        let address = "127.0.0.1:80".parse().unwrap();
        let hello = Hello { protocol: PROTOCOL, address, pid: 9, certificate: None, quic: None };
        let check = |text: String, expected: &str| assert_eq!(text, expected);
        check(serde_json::to_string(&hello).unwrap(), r#"{"protocol":1,"address":"127.0.0.1:80","pid":9}"#);
        let known = Hello { certificate: Some("PEM".to_owned()), quic: Some(address), ..hello.clone() };
        let text =
            r#"{"protocol":1,"address":"127.0.0.1:80","pid":9,"certificate":"PEM","quic":"127.0.0.1:80"}"#;
        check(serde_json::to_string(&known).unwrap(), text);
        let old = r#"{"address":"127.0.0.1:80","pid":9}"#;
        assert_eq!(serde_json::from_str::<Hello>(old).unwrap(), hello);
        check(
            serde_json::to_string(&Command::Start(start)).unwrap(),
            r#"{"start":{"anchor":{"unix_ns":3,"mono_ns":4},"t0_ns":5,"window_from_ns":6,"window_to_ns":7}}"#,
        );
        check(serde_json::to_string(&Command::Stop {}).unwrap(), r#"{"stop":{}}"#);
        check(serde_json::to_string(&Reply::Ack(Acknowledged::Start)).unwrap(), r#"{"ack":"start"}"#);
        check(serde_json::to_string(&Reply::Error("no".into())).unwrap(), r#"{"error":"no"}"#);
        check(serde_json::to_string(&Reply::Clock { mono_ns: 5 }).unwrap(), r#"{"clock":{"mono_ns":5}}"#);
        let stats = serde_json::to_string(&Reply::Stats(Box::default())).unwrap();
        assert!(stats.starts_with(r#"{"stats":{"published":0,"#), "{stats}");
        assert_eq!(serde_json::from_str::<Command>(r#"{"stats":{}}"#).unwrap(), Command::Stats {});
        assert_eq!(serde_json::from_str::<Command>(r#"{"stop":{}}"#).unwrap(), Command::Stop {});
        assert!(serde_json::from_str::<Command>(r#"{"pause":{}}"#).is_err());
    }
}
