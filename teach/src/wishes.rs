//! What a page may ask to be changed or broken, and within which bounds.

use std::time::Duration;

use relay::Link;
use serde::Deserialize;
use ticker::{Arrivals, FeedSettings};

/// `POST /page/feed`: what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedWish {
    updates_per_second: Option<f64>,
    arrivals: Option<Arrivals>,
    quote_bytes: Option<u32>,
    symbols: Option<u32>,
    seed: Option<u64>,
    /// Version of HTTP: 1, or 2 over TLS.
    pub(crate) http: Option<u8>,
}

/// Quotes a second beyond which one browser tab shows its own speed instead of the transports'.
const MOST_UPDATES: f64 = 500.0;
/// Symbols beyond which nobody sees them.
const MOST_SYMBOLS: u32 = 16;

impl FeedWish {
    /// The feed that `before` becomes.
    pub(crate) fn feed(&self, before: &FeedSettings) -> FeedSettings {
        FeedSettings {
            updates_per_second: self.updates_per_second.unwrap_or(before.updates_per_second),
            arrivals: self.arrivals.unwrap_or(before.arrivals),
            quote_bytes: self.quote_bytes.unwrap_or(before.quote_bytes),
            symbols: self.symbols.unwrap_or(before.symbols),
            seed: self.seed.unwrap_or(before.seed),
            stages: before.stages.clone(),
        }
    }

    /// Why it cannot be fulfilled.
    pub(crate) fn check(&self) -> Result<(), String> {
        let feed = self.feed(&FeedSettings::default());
        feed.check().map_err(|error| error.to_string())?;
        if feed.updates_per_second > MOST_UPDATES {
            let found = feed.updates_per_second;
            return Err(format!(
                "updates_per_second is {found}, expected at most {MOST_UPDATES} for one tab"
            ));
        }
        if feed.symbols > MOST_SYMBOLS {
            return Err(format!("symbols is {}, expected at most {MOST_SYMBOLS} for one tab", feed.symbols));
        }
        match self.http {
            None | Some(1 | 2) => Ok(()),
            Some(other) => Err(format!("http is {other}, expected 1 or 2")),
        }
    }
}

/// `POST /page/link`: what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkWish {
    round_trip_ms: Option<u64>,
    strips_upgrades: Option<bool>,
}

const LONGEST_ROUND_TRIP_MS: u64 = 2_000;

impl LinkWish {
    /// The link that `before` becomes.
    pub(crate) fn link(&self, before: Link) -> Link {
        Link {
            delay: self.round_trip_ms.map_or(before.delay, |ms| Duration::from_micros(ms * 500)),
            strips_upgrades: self.strips_upgrades.unwrap_or(before.strips_upgrades),
            ..before
        }
    }

    /// Why it cannot be fulfilled.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.round_trip_ms {
            Some(ms) if ms > LONGEST_ROUND_TRIP_MS => {
                Err(format!("round_trip_ms is {ms}, expected at most {LONGEST_ROUND_TRIP_MS}"))
            }
            _ => Ok(()),
        }
    }
}

/// `POST /page/break`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Break {
    pub(crate) what: Fault,
    /// For how long.
    pub(crate) ms: u64,
}

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The servers' processes are stopped by the kernel.
    Freeze,
    /// The links reset all connections, and new ones.
    Cut,
    /// The links move few bytes a second to the browser.
    Slow,
}

const LONGEST_BREAK_MS: u64 = 30_000;

impl Break {
    /// Why it cannot be fulfilled.
    pub(crate) fn check(self) -> Result<(), String> {
        if (1..=LONGEST_BREAK_MS).contains(&self.ms) {
            Ok(())
        } else {
            Err(format!("ms is {}, expected 1 to {LONGEST_BREAK_MS}", self.ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_change_what_they_name_and_know_their_bounds() {
        let wish: FeedWish =
            serde_json::from_str(r#"{"updates_per_second":2.5,"arrivals":"constant"}"#).unwrap();
        let before = FeedSettings { seed: 9, ..FeedSettings::default() };
        let feed = wish.feed(&before);
        assert_eq!((feed.updates_per_second, feed.arrivals, feed.seed), (2.5, Arrivals::Constant, 9));
        assert_eq!(wish.check(), Ok(()));
        let error = |text: &str| serde_json::from_str::<FeedWish>(text).unwrap().check().unwrap_err();
        assert!(error(r#"{"updates_per_second":1e6}"#).contains("at most 500"));
        assert!(error(r#"{"symbols":99}"#).contains("at most 16"));
        assert!(error(r#"{"http":3}"#).contains("expected 1 or 2"));
        assert!(error(r#"{"quote_bytes":1}"#).contains("quote_bytes is 1"));
        assert!(serde_json::from_str::<FeedWish>(r#"{"colour":1}"#).is_err());
        let link = LinkWish { round_trip_ms: Some(81), strips_upgrades: None }.link(Link::default());
        assert_eq!(link.delay, Duration::from_micros(40_500));
        assert!(LinkWish { round_trip_ms: Some(9_999), ..LinkWish::default() }.check().is_err());
        let fault: Break = serde_json::from_str(r#"{"what":"freeze","ms":2000}"#).unwrap();
        assert_eq!(fault.check(), Ok(()));
        assert!(Break { ms: 0, ..fault }.check().is_err());
    }
}
