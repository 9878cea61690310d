//! What a server can be told. It knows no command line: `cli` fills these from options, tests by hand.

use std::time::Duration;

use ticker::{Engine, FeedError, FeedSettings};

use crate::{conditions::HEARTBEAT, fault::Fault};

/// Settings of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is published.
    pub feed: FeedSettings,
    /// Number of quotes kept for readers that are behind or come back.
    pub replay_window: usize,
    /// After this much silence an event stream carries a comment; a WebSocket and a Socket.IO session are
    /// pinged once per period.
    pub heartbeat: Duration,
    /// Open connections beyond which new ones are answered with 503.
    pub max_connections: usize,
    /// Longest time from the first byte of a request head to its last, and from connecting to the first head.
    pub header_timeout: Duration,
    /// A peer that acknowledges or takes nothing for this long, while there is something to send, is dropped.
    pub stall_timeout: Duration,
    /// Longest time that connections get to end in order once the server stops.
    pub grace: Duration,
    /// Values of `Origin` that may open a WebSocket or a Socket.IO session besides the server's own.
    pub allowed_origins: Vec<String>,
    /// Whether every byte of data connections is assigned to its layer (it costs CPU).
    pub scan: bool,
    /// Whether polls' answers are compressed for clients that take gzip (RFC 9110 section 12.5.3).
    pub compress: bool,
    /// Whether WebSocket messages are compressed for clients that offer it (RFC 7692).
    pub deflate: Deflate,
    /// Whether `/ws/echo` is there, for the workload echo and conformance suites.
    pub echo: bool,
    /// Whether there is a chat room.
    pub chat: bool,
    /// Whether clients may open rooms, for the workload chat.
    pub rooms: bool,
    /// What it does wrong on purpose.
    pub fault: Option<Fault>,
    /// Who serves quotes over plain HTTP/1.1.
    pub engine: Engine,
    /// How long the direct engine gathers quotes after the first one, to send them in one write.
    pub coalesce: Duration,
}

/// Whether WebSocket messages are compressed, and what their compression remembers (RFC 7692 section 7.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Deflate {
    /// They are not.
    #[default]
    Off,
    /// Each message builds on the ones before.
    Takeover,
    /// Each message by itself.
    NoTakeover,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            feed: FeedSettings::default(),
            replay_window: 4096,
            heartbeat: HEARTBEAT,
            max_connections: 19_000,
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(2),
            allowed_origins: Vec::new(),
            scan: false,
            compress: false,
            deflate: Deflate::Off,
            echo: false,
            chat: false,
            rooms: false,
            fault: None,
            engine: Engine::default(),
            coalesce: Duration::ZERO,
        }
    }
}

impl Settings {
    /// Checks the ranges.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.feed.check()?;
        if self.replay_window == 0 {
            return Err(SettingsError::ReplayWindow);
        }
        if self.heartbeat < SHORTEST_HEARTBEAT {
            return Err(SettingsError::Heartbeat(self.heartbeat));
        }
        if !self.coalesce.is_zero() && self.engine != Engine::Direct {
            return Err(SettingsError::Coalesce { found: self.coalesce, engine: self.engine.name() });
        }
        if self.coalesce > LONGEST_COALESCE {
            return Err(SettingsError::CoalesceTooLong(self.coalesce));
        }
        Ok(())
    }
}

const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);
/// Longer than this it would be polling.
const LONGEST_COALESCE: Duration = Duration::from_secs(1);

/// Settings that cannot be served.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The feed's own ranges.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A window without quotes: every reader would get snapshots only.
    #[error("replay_window is 0, expected at least 1 quote")]
    ReplayWindow,
    /// A heartbeat that would be a load of its own.
    #[error("heartbeat is {0:?}, expected at least {SHORTEST_HEARTBEAT:?}")]
    Heartbeat(Duration),
    /// The library engine has no say in when its writes happen.
    #[error("coalesce is {found:?} with engine {engine}, expected engine direct, which alone gathers quotes")]
    Coalesce {
        /// As given.
        found: Duration,
        /// The engine's name.
        engine: &'static str,
    },
    /// Quotes would be old before they leave.
    #[error("coalesce is {0:?}, expected at most {LONGEST_COALESCE:?}")]
    CoalesceTooLong(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let error = |settings: Settings| settings.check().unwrap_err().to_string();
        let good = Settings::default();
        assert_eq!(good.check(), Ok(()));
        assert!(error(Settings { replay_window: 0, ..good.clone() }).starts_with("replay_window is 0"));
        assert!(
            error(Settings { heartbeat: Duration::ZERO, ..good.clone() }).starts_with("heartbeat is 0ns")
        );
        let coalesce = Duration::from_millis(2);
        assert_eq!(Settings { coalesce, engine: Engine::Direct, ..good.clone() }.check(), Ok(()));
        let library = Settings { coalesce, engine: Engine::Library, ..good.clone() };
        assert!(error(library).starts_with("coalesce is 2ms with engine library"));
        let long = Settings { coalesce: Duration::from_secs(2), engine: Engine::Direct, ..good.clone() };
        assert!(error(long).starts_with("coalesce is 2s"));
        let feed = FeedSettings { symbols: 0, ..FeedSettings::default() };
        assert!(error(Settings { feed, ..good }).starts_with("symbols is 0"));
    }
}
