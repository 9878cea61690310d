//! Text -> wire types, and the parser's errors in our words. Knows all texts that an error may point into.

use miette::{LabeledSpan, NamedSource};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::{
    error::{Place, Problem, ScenarioError, nearest},
    scalar::Span,
    wire::{self, File, Set},
};

/// The texts of one scenario, end to end: the file, then each `--set`. A span counts from the start of the first.
#[derive(Debug, Default)]
pub(super) struct Sources {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    text: String,
    start: usize,
}

impl Sources {
    /// Appends a text and decodes it. Its spans come out shifted because the parser reads it behind as many
    /// spaces as there are bytes before it.
    fn decode<T: for<'de> Deserialize<'de>>(&mut self, name: &str, text: &str) -> Result<T, ScenarioError> {
        let start = self.parts.last().map_or(0, |part| part.start + part.text.len() + 1);
        self.parts.push(Part { name: name.to_owned(), text: text.to_owned(), start });
        let shifted = format!("{:start$}{text}", "");
        let tree = DeTable::parse(&shifted).map_err(|error| {
            let problem = Problem::Syntax { message: syntax(error.message()) };
            self.error(problem, error.span().unwrap_or(start..start), "here")
        })?;
        toml::from_str(&shifted).map_err(|error| self.translate(&error, tree.get_ref()))
    }

    /// Decodes the scenario file.
    pub(super) fn file(&mut self, name: &str, text: &str) -> Result<File, ScenarioError> {
        self.decode(name, text)
    }

    /// Decodes one `--set key=value`: the value is TOML, or else text without its quotes.
    pub(super) fn set(&mut self, given: &str) -> Result<Set, ScenarioError> {
        let Some((key, value)) = given.split_once('=') else {
            return Err(ScenarioError::new(Problem::BadSet { text: given.to_owned() }));
        };
        let (key, value) = (key.trim(), value.trim());
        let line = format!("{key} = {value}");
        if toml::from_str::<toml::Table>(&format!("value = {value}")).is_ok() {
            return self.decode("--set", &line);
        }
        self.decode("--set", &format!("{key} = {}", toml::Value::String(value.to_owned())))
    }

    /// What was set, one comment line each, to be shown below the file's text.
    pub(super) fn sets(&self) -> impl Iterator<Item = String> + '_ {
        self.parts.iter().skip(1).map(|part| format!("# --set {}", part.text.replace('\n', " ")))
    }

    /// An error with one label.
    pub(super) fn error(&self, problem: Problem, span: Span, label: &str) -> ScenarioError {
        self.error_at(problem, &[(span, label)])
    }

    /// An error with labels in one or more places of the text that holds the first.
    pub(super) fn error_at(&self, problem: Problem, labels: &[(Span, &str)]) -> ScenarioError {
        let at = labels.first().map_or(0, |(span, _)| span.start);
        let Some(part) = self.parts.iter().rev().find(|part| part.start <= at) else {
            return ScenarioError::new(problem);
        };
        let within = |span: &Span| part.start <= span.start && span.end <= part.start + part.text.len();
        let labels = labels.iter().filter(|(span, _)| within(span)).map(|(span, label)| {
            LabeledSpan::new_with_span(Some((*label).to_owned()), (span.start - part.start, span.len()))
        });
        let place =
            Place { source: NamedSource::new(&part.name, part.text.clone()), labels: labels.collect() };
        ScenarioError::at(problem, place)
    }

    /// Dates reach serde as maps; tables are written in brackets or braces.
    fn is_date(&self, span: &Span) -> bool {
        let part = self.parts.iter().rev().find(|part| part.start <= span.start);
        part.and_then(|part| part.text.get(span.start - part.start..))
            .is_some_and(|text| text.starts_with(|first: char| first.is_ascii_digit()))
    }

    fn translate(&self, error: &toml::de::Error, tree: &DeTable<'_>) -> ScenarioError {
        let span = error.span().unwrap_or(0..0);
        let path = path_at(tree, &span).unwrap_or_default();
        let message = error.message();
        if let Some(rest) = message.strip_prefix("unknown field ") {
            return self.error(unknown_key(rest, &path), span, "this key");
        }
        if let Some((found, expected)) =
            message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
        {
            let problem = Problem::WrongType {
                key: path.join("."),
                found: if found == "map" && self.is_date(&span) {
                    "a date".to_owned()
                } else {
                    in_words(found)
                },
                expected: expected.replace("a sequence", "`[[transport]]` tables"),
            };
            return self.error(problem, span, "this value");
        }
        self.error(Problem::Syntax { message: message.to_owned() }, span, "here")
    }
}

/// The parser's message, where it misleads in other words.
fn syntax(message: &str) -> String {
    match message {
        "string values must be quoted, expected literal string" => {
            "no value here, or text without quotes".to_owned()
        }
        other => other.to_owned(),
    }
}

/// Problem of serde's "`key`, expected one of `a`, `b`".
fn unknown_key(rest: &str, path: &[String]) -> Problem {
    let mut words = wire::quoted(rest).into_iter();
    let key = words.next().unwrap_or_default();
    let known: Vec<String> = words.collect();
    let table = match path {
        [] | [_] => "the top level".to_owned(),
        [table, _] if ["transport", "gate", "claim"].contains(&table.as_str()) => format!("[[{table}]]"),
        [tables @ .., _] => format!("[{}]", tables.join(".")),
    };
    let tables = [
        ("the top level", wire::keys_of::<File>()),
        ("[workload]", wire::keys_of::<wire::Workload>()),
        ("[feed]", wire::keys_of::<wire::Feed>()),
        ("[load]", wire::keys_of::<wire::Load>()),
        ("[defaults]", wire::keys_of::<wire::Defaults>()),
        ("[[transport]]", wire::keys_of::<wire::Transport>()),
        ("[[gate]]", wire::keys_of::<wire::Gate>()),
        ("[[claim]]", wire::keys_of::<wire::Claim>()),
        ("[transport.server]", wire::keys_of::<wire::Server>()),
        ("[transport.open]", wire::keys_of::<wire::Open>()),
        ("[transport.send]", wire::keys_of::<wire::Send>()),
        ("[transport.message]", wire::keys_of::<wire::Message>()),
    ];
    let elsewhere =
        tables.iter().filter(|(_, keys)| keys.contains(&key)).map(|(name, _)| (*name).to_owned()).collect();
    Problem::UnknownKey {
        nearest: nearest(&key, known.iter().map(String::as_str)),
        key,
        table,
        elsewhere,
        known,
    }
}

/// The found value of a serde error in plain words.
fn in_words(found: &str) -> String {
    for (theirs, ours) in [
        ("string ", "the text "),
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("boolean ", ""),
        ("map", "a table"),
        ("sequence", "a list"),
    ] {
        if let Some(rest) = found.strip_prefix(theirs) {
            return format!("{ours}{}", rest.replace('`', ""));
        }
    }
    found.to_owned()
}

/// The dotted path of the key or value at a span; list indices are left out.
fn path_at(table: &DeTable<'_>, span: &Span) -> Option<Vec<String>> {
    table.iter().find_map(|(key, value)| {
        let below = if key.span() == *span {
            Some(Vec::new())
        } else {
            path_in(value.get_ref(), &value.span(), span)
        };
        below.map(|path| std::iter::once(key.get_ref().to_string()).chain(path).collect())
    })
}

fn path_in(value: &DeValue<'_>, at: &Span, span: &Span) -> Option<Vec<String>> {
    if at == span {
        return Some(Vec::new());
    }
    match value {
        DeValue::Table(table) => path_at(table, span),
        DeValue::Array(items) => items.iter().find_map(|item| path_in(item.get_ref(), &item.span(), span)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}
