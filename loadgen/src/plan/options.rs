//! Options of the transports: one struct for all, each transport's client file says which of them it takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use ticker::Engine;

/// Options of all transports; which of them a transport takes is said by its client file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransportOptions {
    /// Version of HTTP that carries it.
    pub http: Http,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether one connection carries many requests.
    pub keep_alive: bool,
    /// Time between the polls of one client.
    #[serde(with = "super::micros")]
    pub interval: Duration,
    /// Which quotes an answer holds.
    pub mode: PollMode,
    /// Whether a poll carries If-None-Match and may be answered 304.
    pub conditional: bool,
    /// Whether answers may be compressed.
    pub compression: Compression,
    /// Which HTTP client polls.
    pub client: HttpClient,
    /// What a poll's instant is reckoned from.
    pub pace: Pace,
    /// How quotes are written.
    pub encoding: Encoding,
    /// Whether messages are compressed, and what a message's compression remembers.
    pub deflate: Deflate,
    /// What the messages travel in, where the transport has a choice; `None` for its own default.
    pub carrier: Option<Carrier>,
    /// How long the direct engine's server may hold back what is ready, to send more in one write.
    #[serde(with = "micros_or_null")]
    pub coalesce: Option<Duration>,
}

/// A duration in microseconds, or nothing.
mod micros_or_null {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64() * 1e6).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let micros = Option::<f64>::deserialize(from)?;
        Ok(micros.map(|micros| Duration::from_nanos((micros * 1e3).round() as u64)))
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            http: Http::H1,
            tls: false,
            keep_alive: true,
            interval: Duration::from_secs(1),
            mode: PollMode::Since,
            conditional: false,
            compression: Compression::None,
            client: HttpClient::Counted,
            pace: Pace::Fixed,
            encoding: Encoding::Text,
            deflate: Deflate::Off,
            carrier: None,
            coalesce: None,
        }
    }
}

/// An option that is one of some words.
pub trait Word: Copy + PartialEq + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];

    /// The word that scenario files use.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

macro_rules! words_of_options {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $word:literal => $variant:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $crate::plan::options::Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::plan::options::Word::word(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = String::deserialize(deserializer)?;
                let known = <Self as $crate::plan::options::Word>::WORDS.iter().find(|(word, _)| *word == found);
                let unknown = || serde::de::Error::custom(format!("unknown word {found:?}"));
                known.map(|(_, value)| *value).ok_or_else(unknown)
            }
        }
    };
}

pub(crate) use words_of_options as words;

impl Word for Engine {
    const WORDS: &'static [(&'static str, Self)] = &[("library", Self::Library), ("direct", Self::Direct)];
}

words! {
    /// What the clients are.
    #[derive(Default)]
    Driver {
        /// Code of the load generator's own.
        #[default]
        "native" => Native,
        /// Tabs of a headless Chromium that the load generator starts.
        "chromium" => Chromium,
    }
}

impl Driver {
    /// Whether it is the default.
    pub fn is_native(&self) -> bool {
        *self == Self::Native
    }
}

words! {
    /// Version of HTTP that carries a transport.
    Http {
        /// RFC 9112.
        "1.1" => H1,
        /// RFC 9113; without TLS by prior knowledge (section 3.3).
        "2" => H2,
        /// RFC 9114.
        "3" => H3,
    }
}

words! {
    /// Which quotes a poll's answer holds.
    PollMode {
        /// All since the last one seen.
        "since" => Since,
        /// The newest of each symbol, if newer than the last one seen.
        "latest" => Latest,
    }
}

words! {
    /// Whether answers may be compressed (RFC 9110 section 8.4.1).
    Compression {
        /// As they are.
        "none" => None,
        /// gzip (RFC 1952).
        "gzip" => Gzip,
    }
}

words! {
    /// What a poll's instant is reckoned from.
    Pace {
        /// A timetable of the client's own: a slow answer makes the next poll late, never fewer.
        "fixed" => Fixed,
        /// The answer before, as `setTimeout` in a page's callback does: the period is interval + round trip.
        "after-answer" => AfterAnswer,
    }
}

words! {
    /// Which HTTP client polls.
    HttpClient {
        /// One connection for each client, every byte counted on it.
        "counted" => Counted,
        /// An ordinary pooled client (reqwest); its bytes come from the server's counters.
        "pooled" => Pooled,
    }
}

words! {
    /// How quotes are written.
    Encoding {
        /// Canonical JSON.
        "text" => Text,
        /// The fixed layout `ticker.binary.v1` of docs/PROTOCOL.md.
        "binary" => Binary,
    }
}

words! {
    /// Whether messages are compressed (RFC 7692).
    Deflate {
        /// They are not.
        "off" => Off,
        /// Each message builds on the ones before (both sides keep a window for the connection).
        "takeover" => Takeover,
        /// Each message by itself.
        "no-takeover" => NoTakeover,
    }
}

words! {
    /// What a transport's messages travel in.
    Carrier {
        /// HTTP requests, one held.
        "polling" => Polling,
        /// A WebSocket from the beginning.
        "websocket" => Socket,
        /// HTTP requests at first, then a WebSocket.
        "upgrade" => Upgrade,
        /// One stream, in order.
        "stream" => Stream,
        /// A datagram for each message, lost where the network loses it.
        "datagrams" => Datagrams,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_results_say() {
        assert_eq!(serde_json::to_string(&Http::H2).unwrap(), "\"2\"");
        assert_eq!(serde_json::to_string(&Pace::AfterAnswer).unwrap(), "\"after-answer\"");
        assert_eq!(Carrier::Socket.word(), "websocket");
    }
}
