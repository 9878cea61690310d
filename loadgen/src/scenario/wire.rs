//! The scenario file as it is written, key by key; every value keeps its position. No defaults, no checks.
//!
//! All names of the scenario format are here, those of later versions as [`Reserved`]: they are refused by
//! name (`support`), never ignored. Plain structs only: flattened and tagged types lose positions.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use toml::Spanned;

use super::scalar::{AutoOr, Literal, One, OneOrMany, Quantity, Time};

/// A key of a later version: whatever it holds.
pub(super) type Reserved = Option<Spanned<IgnoredAny>>;

/// A scenario file.
pub(super) type File = Document<Vec<Spanned<Transport>>>;

/// What one `--set` may hold: the same tables, but `transport.NAME.key`.
pub(super) type Set = Document<BTreeMap<Spanned<String>, Transport>>;

/// The top level; `T` is how the transports are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Document<T> {
    pub(super) title: Option<One<String>>,
    pub(super) why: Option<One<String>>,
    pub(super) notice: Option<One<String>>,
    #[serde(default)]
    pub(super) workload: Workload,
    #[serde(default)]
    pub(super) feed: Feed,
    #[serde(default)]
    pub(super) load: Load,
    #[serde(default)]
    pub(super) defaults: Defaults,
    #[serde(default)]
    pub(super) transport: T,
    pub(super) allow_remote: Option<One<bool>>,
    pub(super) link: Reserved,
    pub(super) gate: Option<Vec<Spanned<Gate>>>,
    pub(super) phase: Reserved,
    pub(super) claim: Reserved,
}

/// `[[gate]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Gate {
    pub(super) variant: Option<One<String>>,
    pub(super) metric: Option<One<String>>,
    pub(super) below: Option<One<Quantity>>,
    pub(super) above: Option<One<Quantity>>,
    pub(super) equals: Option<One<Quantity>>,
    pub(super) max_increase: Option<One<Quantity>>,
}

/// `[workload]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Workload {
    pub(super) kind: Option<One<String>>,
}

/// `[feed]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Feed {
    pub(super) symbols: Option<OneOrMany<i128>>,
    pub(super) updates_per_second: Option<OneOrMany<f64>>,
    pub(super) arrivals: Option<OneOrMany<String>>,
    pub(super) quote_bytes: Option<OneOrMany<i128>>,
    pub(super) seed: Option<One<i128>>,
}

/// `[load]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Load {
    pub(super) clients: Option<OneOrMany<i128>>,
    pub(super) symbols_per_client: Option<One<i128>>,
    pub(super) connect_over: Option<OneOrMany<Time>>,
    pub(super) warmup: Option<OneOrMany<Time>>,
    pub(super) measure: Option<OneOrMany<Time>>,
    pub(super) trials: Option<One<i128>>,
    pub(super) session: Option<OneOrMany<Time>>,
    pub(super) processes: Option<One<AutoOr>>,
    pub(super) driver: Option<One<String>>,
    pub(super) headers: Option<Headers>,
}

/// `[defaults]`: keys for every transport that does not set them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Defaults {
    pub(super) engine: Option<One<String>>,
    pub(super) http: Option<OneOrMany<String>>,
    pub(super) tls: Option<OneOrMany<bool>>,
    pub(super) allow_remote: Option<One<bool>>,
    pub(super) interval: Option<OneOrMany<Time>>,
    pub(super) mode: Option<OneOrMany<String>>,
    pub(super) conditional: Option<OneOrMany<bool>>,
    pub(super) client: Option<OneOrMany<String>>,
    pub(super) pace: Option<OneOrMany<String>>,
    pub(super) keep_alive: Option<OneOrMany<bool>>,
    pub(super) compression: Option<OneOrMany<String>>,
    pub(super) encoding: Option<OneOrMany<String>>,
    pub(super) deflate: Option<OneOrMany<String>>,
    pub(super) carrier: Option<OneOrMany<String>>,
}

/// `[[transport]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Transport {
    pub(super) kind: Option<One<String>>,
    pub(super) name: Option<One<String>>,
    pub(super) engine: Option<One<String>>,
    pub(super) http: Option<OneOrMany<String>>,
    pub(super) tls: Option<OneOrMany<bool>>,
    pub(super) allow_remote: Option<One<bool>>,
    pub(super) interval: Option<OneOrMany<Time>>,
    pub(super) mode: Option<OneOrMany<String>>,
    pub(super) conditional: Option<OneOrMany<bool>>,
    pub(super) client: Option<OneOrMany<String>>,
    pub(super) pace: Option<OneOrMany<String>>,
    pub(super) keep_alive: Option<OneOrMany<bool>>,
    pub(super) compression: Option<OneOrMany<String>>,
    pub(super) encoding: Option<OneOrMany<String>>,
    pub(super) deflate: Option<OneOrMany<String>>,
    pub(super) carrier: Option<OneOrMany<String>>,
    pub(super) url: Option<One<String>>,
    pub(super) ca: Option<One<String>>,
    pub(super) server: Option<Spanned<Server>>,
    pub(super) open: Option<Spanned<Open>>,
    pub(super) message: Option<Spanned<Message>>,
}

/// `[transport.server]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Server {
    pub(super) command: Option<One<String>>,
    pub(super) ready: Option<One<String>>,
    pub(super) pid: Option<One<i128>>,
}

/// `[transport.open]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Open {
    pub(super) headers: Option<Headers>,
    pub(super) subprotocols: Option<Vec<One<String>>>,
    pub(super) send: Option<Vec<One<String>>>,
    pub(super) keepalive: Option<Spanned<Keepalive>>,
}

/// `keepalive` of `[transport.open]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Keepalive {
    pub(super) every: Option<One<Time>>,
    pub(super) send: Option<One<String>>,
}

/// `[transport.message]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Message {
    pub(super) format: Option<One<String>>,
    pub(super) pattern: Option<One<String>>,
    pub(super) event: Option<One<String>>,
    pub(super) when: Option<BTreeMap<Spanned<String>, One<Literal>>>,
    pub(super) items: Option<One<String>>,
    pub(super) sequence: Option<One<String>>,
    pub(super) symbol: Option<One<String>>,
    pub(super) symbol_sequence: Option<One<String>>,
    pub(super) sent_at: Option<One<String>>,
    pub(super) sent_at_unit: Option<One<String>>,
    pub(super) cursor: Option<One<String>>,
    pub(super) snapshot: Option<One<bool>>,
    pub(super) clock: Option<One<String>>,
}

/// `headers`: a profile's name, several to sweep over, or a table of header fields.
#[derive(Clone, Debug)]
pub(super) enum Headers {
    /// Profiles.
    Profiles(OneOrMany<String>),
    /// Fields in the file's order.
    Own(Vec<(One<String>, One<String>)>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<BareHeaders>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(match spanned.into_inner() {
            BareHeaders::Profile(value) => {
                let values = vec![One { value, span: span.clone() }];
                Self::Profiles(OneOrMany { values, list: false, span })
            }
            BareHeaders::Profiles(values) => Self::Profiles(OneOrMany { values, list: true, span }),
            BareHeaders::Own(mut fields) => {
                fields.sort_by_key(|(name, _)| name.span.start);
                Self::Own(fields)
            }
        })
    }
}

enum BareHeaders {
    Profile(String),
    Profiles(Vec<One<String>>),
    Own(Vec<(One<String>, One<String>)>),
}

impl<'de> Deserialize<'de> for BareHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = BareHeaders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a header profile, a list of such names, or a table of header fields")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(BareHeaders::Profile(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        Ok(BareHeaders::Profiles(names))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<Spanned<String>, One<String>>()? {
            let span = name.span();
            fields.push((One { value: name.into_inner(), span }, value));
        }
        Ok(BareHeaders::Own(fields))
    }
}

/// The keys that a table takes, read off its own error about an unknown one: the structs stay the only list.
pub(super) fn keys_of<'de, T: Deserialize<'de>>() -> Vec<String> {
    let error = match toml::from_str::<T>("\"\" = 0") {
        Ok(_) => return Vec::new(),
        Err(error) => error,
    };
    quoted(error.message().split_once(", expected").map_or("", |(_, expected)| expected))
}

/// The words between backticks.
pub(super) fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
