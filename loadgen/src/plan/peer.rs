//! A server of somebody else's: where it is, how it is started, what to say first, how to read its messages.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Text that may hold secrets: what the file says is shown, what the environment filled in is used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// With `${NAME}` as it is in the file.
    pub written: String,
    /// With the environment's values.
    pub filled: String,
}

impl Text {
    /// Text without secrets.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { written: text.clone(), filled: text }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Text {
    /// Plain: what is written is not filled in yet.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::plain)
    }
}

/// A value of the environment that must not be shown, and the name that is shown in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Name of the variable.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}}}", self.name)
    }
}

/// `text` with every secret's value replaced by its `${NAME}`.
pub fn redact(text: &str, secrets: &[Secret]) -> String {
    let mut shown = text.to_owned();
    // The longest first: one secret may be part of another.
    let mut secrets: Vec<&Secret> = secrets.iter().filter(|secret| !secret.value.is_empty()).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.value.len()));
    for secret in secrets {
        shown = shown.replace(&secret.value, &format!("${{{}}}", secret.name));
    }
    shown
}

/// A server of somebody else's, and how to understand it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Where clients connect; `{port}` stands for a free port, `{after}` for a poll's cursor.
    pub url: Text,
    /// Certificate authority to trust instead of the system's, a PEM file.
    pub ca: Option<PathBuf>,
    /// Whether the server may be on another machine.
    pub remote: bool,
    /// Its process; `None` if nothing is known of it.
    pub server: Option<PeerServer>,
    /// What to say first.
    pub open: Open,
    /// What members of its rooms say; `None` where there are no rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<Say>,
    /// How to read what comes.
    pub message: MessageRules,
    /// Values that are redacted wherever text is shown.
    #[serde(skip)]
    pub secrets: Vec<Secret>,
}

impl Peer {
    /// Every text that may hold secrets.
    pub fn texts(&mut self) -> impl Iterator<Item = &mut Text> {
        let Open { headers, subprotocols: _, send, keepalive } = &mut self.open;
        let words = match &mut self.server {
            Some(PeerServer::Command { words, ready: _ }) => words.as_mut_slice(),
            Some(PeerServer::Pid(_)) | None => &mut [],
        };
        std::iter::once(&mut self.url)
            .chain(headers.iter_mut().map(|(_, text)| text))
            .chain(send)
            .chain(keepalive.as_mut().map(|keepalive| &mut keepalive.send))
            .chain(self.say.as_mut().map(|say| &mut say.message))
            .chain(words)
    }
}

/// The process behind the url.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerServer {
    /// Started fresh for each trial.
    Command {
        /// Program and arguments; `{port}` stands for the free port.
        words: Vec<Text>,
        /// Path that answers with success once the server is ready; without it, an open port is enough.
        ready: Option<String>,
    },
    /// Running already.
    Pid(u32),
}

/// What a client says to open the stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Open {
    /// Header fields besides the profile's; one of the same name replaces it.
    pub headers: Vec<(String, Text)>,
    /// Subprotocols to offer.
    pub subprotocols: Vec<String>,
    /// Messages to send once the connection stands.
    pub send: Vec<Text>,
    /// What to send again and again.
    pub keepalive: Option<Keepalive>,
}

/// Sent while the connection stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keepalive {
    /// Period.
    #[serde(with = "super::micros")]
    pub every: Duration,
    /// `ping` for a ping frame, else a text message.
    pub send: Text,
}

/// How a member of a room says something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Say {
    /// Name of the event that carries it, where the transport has events.
    pub event: Option<String>,
    /// What is around it: `{message}` stands for what is said, `{room}` and `{member}` for where and by whom.
    pub message: Text,
}

impl Say {
    /// What stands for what is said.
    pub const MESSAGE: &str = "{message}";
}

/// How a message is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As docs/PROTOCOL.md says.
    #[default]
    Ticker,
    /// JSON, read by pointers (RFC 6901).
    Json,
    /// Text, read by a pattern with named groups.
    Text {
        /// The regular expression.
        pattern: String,
    },
}

/// What numbers of `sent_at` count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since the Unix epoch, with a fraction maybe.
    S,
    /// Milliseconds.
    #[default]
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// Text after RFC 3339.
    Rfc3339,
}

impl TimeUnit {
    /// Every unit with its name.
    pub const ALL: [(&'static str, Self); 5] =
        [("s", Self::S), ("ms", Self::Ms), ("us", Self::Us), ("ns", Self::Ns), ("rfc3339", Self::Rfc3339)];

    /// The name that scenario files use.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }
}

/// How the server's clock and ours are brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockKind {
    /// One machine: the wall clock is the same.
    SameHost,
    /// By asking the server's `/clock`, before and after.
    Endpoint,
    /// Not at all: delays are those above the smallest seen.
    None,
}

impl ClockKind {
    /// Every kind with its name.
    pub const ALL: [(&'static str, Self); 3] =
        [("same-host", Self::SameHost), ("endpoint", Self::Endpoint), ("none", Self::None)];

    /// The name that scenario and result files use.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Where in a message everything is. Pointers are after RFC 6901.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageRules {
    /// How it is written.
    pub format: Format,
    /// Name of the events to take; others are left.
    pub event: Option<String>,
    /// Take only messages with these values.
    pub when: Vec<(String, Value)>,
    /// Array of updates; without it the message is one.
    pub items: Option<String>,
    /// Feed-wide counter.
    pub sequence: Option<String>,
    /// Symbol.
    pub symbol: Option<String>,
    /// Counter of the symbol.
    pub symbol_sequence: Option<String>,
    /// When it was made.
    pub sent_at: Option<String>,
    /// Unit of that.
    pub sent_at_unit: TimeUnit,
    /// What the next poll says instead of the last sequence number.
    pub cursor: Option<String>,
    /// Whether each answer is the whole state: what is not newer is no update.
    pub snapshot: bool,
    /// How clocks are brought together.
    pub clock: ClockKind,
    /// Rooms: where in a message is what a member said; without it the message is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl Default for MessageRules {
    fn default() -> Self {
        Self {
            format: Format::Ticker,
            event: None,
            when: Vec::new(),
            items: None,
            sequence: None,
            symbol: None,
            symbol_sequence: None,
            sent_at: None,
            sent_at_unit: TimeUnit::default(),
            cursor: None,
            snapshot: false,
            clock: ClockKind::SameHost,
            said: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_by_name_only() {
        let secret = |name: &str, value: &str| Secret { name: name.to_owned(), value: value.to_owned() };
        let secrets = [secret("A", "abc"), secret("B", "abcdef"), secret("EMPTY", "")];
        assert_eq!(redact("abcdef, abc", &secrets), "${B}, ${A}");
        let text = Text { written: "Bearer ${A}".to_owned(), filled: "Bearer abc".to_owned() };
        assert_eq!(
            format!("{text:?} {}", serde_json::to_string(&text).unwrap()),
            "\"Bearer ${A}\" \"Bearer ${A}\""
        );
        assert_eq!(format!("{:?}", secrets[0]), "${A}");
    }
}
