//! What can be wrong with a scenario, said with file, line, key, found, expected and the nearest valid word.
//!
//! [`Problem`] holds the facts, [`ScenarioError`] adds the place; miette draws both.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// A scenario that cannot be run, and where the reason stands.
#[derive(Debug)]
pub struct ScenarioError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    place: Option<Place>,
}

/// Where in which text.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) source: NamedSource<String>,
    pub(super) labels: Vec<LabeledSpan>,
}

/// What is wrong.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No file and no shipped scenario of that name.
    #[error("there is no scenario `{name}`")]
    Missing {
        /// As given on the command line.
        name: String,
        /// The most similar shipped scenario.
        nearest: Option<String>,
        /// Every shipped scenario.
        shipped: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("failed to read the scenario `{name}`: {cause}")]
    Unreadable {
        /// As given on the command line.
        name: String,
        /// What the system says.
        cause: String,
        /// What to do.
        advice: String,
    },
    /// Not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// A key that no version knows.
    #[error("unknown key `{key}` {}", within(table))]
    UnknownKey {
        /// As written.
        key: String,
        /// `[load]`, or `the top level`.
        table: String,
        /// The most similar key of the table.
        nearest: Option<String>,
        /// Tables that do take such a key.
        elsewhere: Vec<String>,
        /// Keys of the table.
        known: Vec<String>,
    },
    /// A table without a key that it needs.
    #[error("{table} has no `{key}`")]
    MissingKey {
        /// The key.
        key: String,
        /// The table.
        table: String,
        /// What to write.
        advice: String,
    },
    /// A value of another type.
    #[error("`{key}` is {found}, expected {expected}")]
    WrongType {
        /// Dotted.
        key: String,
        /// In words.
        found: String,
        /// In words.
        expected: String,
    },
    /// A duration without unit.
    #[error("`{key}` is {found} without a unit, expected a duration in quotes")]
    NoUnit {
        /// Dotted.
        key: String,
        /// The number.
        found: String,
    },
    /// A value of the right type that cannot be used.
    #[error("`{key}` is {found}, expected {expected}")]
    OutOfRange {
        /// Dotted.
        key: String,
        /// As written.
        found: String,
        /// The range.
        expected: String,
        /// Why the range is as it is, or what to do.
        advice: String,
    },
    /// A word that is none of the possible ones.
    #[error("unknown {} `{found}`", noun(key))]
    UnknownValue {
        /// Dotted.
        key: String,
        /// As written.
        found: String,
        /// The most similar one.
        nearest: Option<String>,
        /// The possible ones.
        known: Vec<String>,
    },
    /// A name of the format that this version cannot honour.
    #[error("{what} is not supported by this version")]
    NotSupported {
        /// As the file writes it.
        what: String,
        /// What to do meanwhile.
        advice: String,
    },
    /// A transport that this build has not.
    #[error("this build leaves out {kind}: build with --features {feature}")]
    LeftOut {
        /// The transport.
        kind: String,
        /// The cargo feature.
        feature: &'static str,
    },
    /// An option of other transports.
    #[error("`{key}` is not an option of {kind}")]
    NotTaken {
        /// The key.
        key: String,
        /// The transport.
        kind: String,
        /// The options it takes.
        takes: Vec<String>,
    },
    /// Options that exclude each other.
    #[error("{kind} cannot be had with {what}")]
    Conflict {
        /// The transport.
        kind: String,
        /// As the file writes it.
        what: String,
        /// Why not, or what to write.
        advice: String,
    },
    /// A sweep over nothing.
    #[error("`{key}` is an empty list")]
    EmptyList {
        /// Dotted.
        key: String,
    },
    /// A sweep with the same value twice.
    #[error("`{key}` lists {value} twice")]
    ListedTwice {
        /// Dotted.
        key: String,
        /// The value.
        value: String,
    },
    /// No `[[transport]]`.
    #[error("the scenario has no transports")]
    NoTransports,
    /// Two variants of one name.
    #[error("two variants are named `{name}`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// More variants than anyone would wait for.
    #[error("the sweeps make {variants} variants, expected at most {limit}")]
    TooManyVariants {
        /// Product of the lists, over all transports.
        variants: u128,
        /// The limit.
        limit: usize,
    },
    /// `${NAME}` of an environment variable that is not set.
    #[error("the environment variable `{name}` is not set")]
    MissingVariable {
        /// Its name.
        name: String,
    },
    /// A header field that cannot be sent.
    #[error("the header field `{name}` cannot be sent: {cause}")]
    BadHeader {
        /// The field's name.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// `--set` without `=`.
    #[error("`--set {text}` has no `=`")]
    BadSet {
        /// As given.
        text: String,
    },
    /// `--only`, or `--set transport.NAME`, of something that is not there.
    #[error("`{option}` names no variant `{name}`")]
    NoSuchVariant {
        /// The option.
        option: String,
        /// As given.
        name: String,
        /// The most similar one.
        nearest: Option<String>,
        /// The possible ones.
        known: Vec<String>,
    },
}

impl ScenarioError {
    pub(super) fn new(problem: Problem) -> Self {
        Self(Box::new(Inner { problem, place: None }))
    }

    pub(super) fn at(problem: Problem, place: Place) -> Self {
        Self(Box::new(Inner { problem, place: Some(place) }))
    }

    /// What is wrong, for callers that decide by it.
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.problem.fmt(f)
    }
}

impl std::error::Error for ScenarioError {}

impl Diagnostic for ScenarioError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.problem.help().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.place.as_ref().map(|place| &place.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.0.place.as_ref()?;
        Some(Box::new(place.labels.iter().cloned()))
    }
}

impl Problem {
    /// What to do about it.
    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { nearest, shipped, .. } => {
                Some(choose(nearest.as_deref(), "shipped scenarios", shipped))
            }
            Self::UnknownKey { nearest, elsewhere, known, table, .. } => {
                Some(key_help(nearest.as_deref(), elsewhere, table, known))
            }
            Self::UnknownValue { nearest, known, .. } | Self::NoSuchVariant { nearest, known, .. } => {
                Some(choose(nearest.as_deref(), "possible", known))
            }
            Self::NoUnit { found, .. } => {
                Some(format!("write \"{found}s\" for seconds, \"{found}ms\" for milliseconds"))
            }
            Self::LeftOut { .. } => None,
            Self::NotTaken { takes, kind, .. } if takes.is_empty() => {
                Some(format!("{kind} takes no options of its own"))
            }
            Self::NotTaken { takes, kind, .. } => Some(format!("{kind} takes {}", listed(takes))),
            Self::Unreadable { advice, .. }
            | Self::MissingKey { advice, .. }
            | Self::OutOfRange { advice, .. }
            | Self::Conflict { advice, .. }
            | Self::NotSupported { advice, .. } => (!advice.is_empty()).then(|| advice.clone()),
            Self::EmptyList { .. } => Some("write one value, or the values to sweep over".to_owned()),
            Self::ListedTwice { .. } => {
                Some("each value of a sweep makes a variant of its own: list it once".to_owned())
            }
            Self::NoTransports => {
                Some("write at least one, for example:\n[[transport]]\nkind = \"websocket\"".to_owned())
            }
            Self::DuplicateName { .. } => Some("give one of them a `name` of its own".to_owned()),
            Self::TooManyVariants { .. } => Some("shorten the lists, or split the scenario".to_owned()),
            Self::MissingVariable { name } => Some(format!("set it: export {name}=…")),
            Self::BadSet { .. } => Some("write key=value, for example --set load.clients=50".to_owned()),
            Self::Syntax { .. } | Self::WrongType { .. } | Self::BadHeader { .. } => None,
        }
    }
}

fn choose(nearest: Option<&str>, what: &str, known: &[String]) -> String {
    let list = format!("{what}: {}", known.join(", "));
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? {list}"),
        None => list,
    }
}

/// `in [load]`, but `at the top level`.
fn within(table: &str) -> String {
    if table.starts_with('[') { format!("in {table}") } else { format!("at {table}") }
}

/// What the words of a key name: `transport.kind` a transport, `feed.arrivals` arrivals.
fn noun(key: &str) -> &str {
    match key.rsplit_once('.') {
        Some((table, "kind")) => table,
        Some((_, key)) => key,
        None => key,
    }
}

fn key_help(nearest: Option<&str>, elsewhere: &[String], table: &str, known: &[String]) -> String {
    match (nearest, elsewhere) {
        (_, [_, ..]) => format!("it belongs to {}", elsewhere.join(" or ")),
        (Some(nearest), []) => format!("did you mean `{nearest}`?"),
        (None, []) => format!("{table} takes {}", listed(known)),
    }
}

fn listed(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The most similar of the known words, if any is similar enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_only_when_it_is_near() {
        let check = |word, expected: Option<&str>| {
            assert_eq!(nearest(word, ["clients", "measure", "warmup"]).as_deref(), expected, "{word}");
        };
        check("clinets", Some("clients"));
        check("Clients", Some("clients"));
        check("warm_up", Some("warmup"));
        check("pigeon", None);
    }
}
