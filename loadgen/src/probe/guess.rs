//! What messages seem to say: where their numbers, times and symbols are. Pure; every guess says what it rests on.

use std::collections::BTreeMap;

use serde_json::Value;
use ticker::QuoteView;

use super::Sample;
use crate::{clients::mapping::unix_ns, plan::peer::TimeUnit};

/// A time is taken for one if it is within a day of now.
const DAY_NS: i64 = 86_400_000_000_000;
/// Names that times, counters, symbols, types and cursors go by, the likeliest first.
const TIMES: &[&str] =
    &["due", "sent_at", "sent", "ts", "timestamp", "time", "E", "T", "at", "date", "created_at"];
const COUNTERS: &[&str] =
    &["seq", "sequence", "sequence_num", "n", "u", "offset", "trade_id", "t", "id", "last"];
const SYMBOLS: &[&str] = &["symbol", "sym", "s", "ticker", "instrument", "product_id", "pair", "market"];
const TYPES: &[&str] = &["e", "type", "event", "kind", "op", "channel", "msg_type"];
const CURSORS: &[&str] = &["next", "cursor", "next_cursor", "last"];
const DEEPEST: usize = 6;

/// A key of `[transport.message]`, its value as TOML, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The key.
    pub key: &'static str,
    /// TOML.
    pub value: String,
    /// What it rests on.
    pub why: String,
}

/// What messages seem to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guess {
    /// Whether the server speaks docs/PROTOCOL.md.
    pub own: bool,
    /// Keys that were found.
    pub lines: Vec<Line>,
    /// What could not be found, and what that costs.
    pub missing: Vec<String>,
}

impl Guess {
    /// `[transport.message]`, or nothing where none is needed.
    pub fn toml(&self) -> String {
        if self.own {
            return "# The messages are those of docs/PROTOCOL.md: nothing to say about them.\n".to_owned();
        }
        let mut text = "\n[transport.message]\n".to_owned();
        for Line { key, value, why } in &self.lines {
            text.push_str(&format!("{:<50} # {why}\n", format!("{key} = {value}")));
        }
        for missing in &self.missing {
            text.push_str(&format!("# {missing}\n"));
        }
        text
    }

    fn add(&mut self, key: &'static str, value: &str, why: impl Into<String>) {
        let value = toml::Value::String(value.to_owned()).to_string();
        self.lines.push(Line { key, value, why: why.into() });
    }
}

/// Guesses from messages in their order; `takes` are the transport's own keys.
pub fn guess(samples: &[Sample], takes: &[&str], now_ns: u64) -> Guess {
    let now_ns = i64::try_from(now_ns).unwrap_or(i64::MAX);
    if samples.iter().all(|sample| is_own(&sample.text)) {
        return Guess { own: true, ..Guess::default() };
    }
    let parsed: Vec<(Value, &Sample)> = samples
        .iter()
        .filter_map(|sample| Some((serde_json::from_str(&sample.text).ok()?, sample)))
        .filter(|(value, _): &(Value, _)| value.is_object() || value.is_array())
        .collect();
    if parsed.is_empty() { text(samples, now_ns) } else { json(&parsed, takes, now_ns) }
}

fn is_own(text: &str) -> bool {
    text.starts_with(r#"{"last":"#) && text.contains(r#""quotes":["#)
        || serde_json::from_str::<QuoteView<'_>>(text).is_ok()
}

/// A place in a message, `/` before each step, and what it holds in each message that has it.
type Places = BTreeMap<String, Vec<Value>>;

fn json(parsed: &[(Value, &Sample)], takes: &[&str], now_ns: i64) -> Guess {
    let mut guess = Guess::default();
    let items = parsed.iter().filter_map(|(value, _)| items_at(value, "")).next_back();
    let is_update = |value: &Value| score(value, items.as_deref(), now_ns) > 0;
    let told = parsed.iter().any(|(value, _)| is_update(value));
    let (updates, others): (Vec<_>, Vec<_>) = parsed.iter().partition(|(value, _)| !told || is_update(value));
    events(&mut guess, &updates, takes);
    kinds(&mut guess, &updates, &others);
    let (mut places, mut seen) = (Places::new(), Vec::new());
    for (value, _) in &updates {
        let wholes = match &items {
            None => vec![value],
            Some(pointer) => value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().collect(),
        };
        for whole in wholes {
            // A poll without a cursor brings the same items again.
            if !seen.contains(&whole) {
                walk(whole, String::new(), &mut places, 0);
                seen.push(whole);
            }
        }
    }
    if let Some(pointer) = &items {
        guess.add("items", pointer, "an array of updates");
    }
    let time = time_of(&places, now_ns);
    counter(&mut guess, &places, time.as_ref().map(|time| time.0.as_str()));
    match &time {
        Some((pointer, unit, why)) => {
            guess.add("sent_at", pointer, why.clone());
            guess.add("sent_at_unit", unit.name(), "by its size");
        }
        None => guess.missing.push("no time was found: without sent_at delays cannot be told".to_owned()),
    }
    if takes.contains(&"cursor")
        && let Some((name, _)) = CURSORS.iter().find_map(|name| Some((name, parsed.last()?.0.get(name)?)))
    {
        guess.add("cursor", &format!("/{name}"), "by its name; it fills {after} in the url");
    }
    if takes.contains(&"snapshot") && items.is_none() {
        let why = "each answer is one object: the state, whether it is new or not".to_owned();
        guess.lines.push(Line { key: "snapshot", value: "true".to_owned(), why });
    }
    guess
}

/// How much a message looks like one with updates: its times, 0 for an acknowledgement.
fn score(value: &Value, items: Option<&str>, now_ns: i64) -> usize {
    let whole = items.map_or(Some(value), |pointer| value.pointer(pointer));
    let mut places = Places::new();
    if let Some(whole) = whole {
        walk(whole, String::new(), &mut places, 0);
    }
    places.values().flatten().filter(|value| times(value, now_ns).next().is_some()).count()
}

/// The first array of objects, as a pointer; a message of bare values has none.
fn items_at(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Array(items) if items.first().is_some_and(Value::is_object) => Some(path.to_owned()),
        Value::Object(fields) if path.matches('/').count() < DEEPEST => {
            fields.iter().find_map(|(name, below)| items_at(below, &format!("{path}/{}", escaped(name))))
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn walk(value: &Value, path: String, places: &mut Places, depth: usize) {
    match value {
        Value::Object(fields) if depth < DEEPEST => {
            for (name, below) in fields {
                walk(below, format!("{path}/{}", escaped(name)), places, depth + 1);
            }
        }
        Value::String(_) | Value::Number(_) => places.entry(path).or_default().push(value.clone()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
    }
}

fn events(guess: &mut Guess, updates: &[&(Value, &Sample)], takes: &[&str]) {
    let Some(event) = updates.iter().find_map(|(_, sample)| sample.event.as_deref()) else { return };
    if takes.contains(&"event") {
        guess.add("event", event, "the type of the events with updates");
    }
}

/// A field that says what kind of message it is, if it is the same in all updates.
fn kinds(guess: &mut Guess, updates: &[&(Value, &Sample)], others: &[&(Value, &Sample)]) {
    let Some((first, _)) = updates.first() else { return };
    for name in TYPES {
        let Some(Value::String(kind)) = first.get(name) else { continue };
        let same = |(value, _): &&(Value, &Sample)| value.get(name).and_then(Value::as_str) == Some(kind);
        if updates.iter().all(same) && !others.iter().any(same) {
            let value = format!("{{ \"/{}\" = {} }}", escaped(name), toml::Value::String(kind.clone()));
            let why = format!("the same in all updates; messages without it: {}", others.len());
            guess.lines.push(Line { key: "when", value, why });
            return;
        }
    }
}

/// Position of a place's last name in a list of likely ones.
fn rank(pointer: &str, likely: &[&str]) -> usize {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let exact = likely.iter().position(|known| *known == name);
    exact.or_else(|| likely.iter().position(|known| known.eq_ignore_ascii_case(name))).unwrap_or(likely.len())
}

/// Units in which a value is a time near now, and how long ago that is.
fn times(value: &Value, now_ns: i64) -> impl Iterator<Item = (TimeUnit, i64)> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    TimeUnit::ALL.into_iter().filter_map(move |(_, unit)| {
        let ago = now_ns.saturating_sub(unix_ns(&text, unit)?);
        (ago.abs() < DAY_NS).then_some((unit, ago))
    })
}

fn time_of(places: &Places, now_ns: i64) -> Option<(String, TimeUnit, String)> {
    let candidates = places.iter().filter_map(|(pointer, values)| {
        let last = values.last()?;
        let (unit, ago) = times(last, now_ns).next()?;
        Some((rank(pointer, TIMES), pointer, unit, ago, last))
    });
    let (_, pointer, unit, ago, last) =
        candidates.min_by_key(|(rank, pointer, ..)| (*rank, pointer.len()))?;
    Some((pointer.clone(), unit, format!("{last} is {} ms ago", ago / 1_000_000)))
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number that rises from update to update; by symbol if it rises only so.
fn counter(guess: &mut Guess, places: &Places, time: Option<&str>) {
    let symbols = places
        .iter()
        .filter(|(pointer, values)| {
            rank(pointer, SYMBOLS) < SYMBOLS.len() && values.iter().all(Value::is_string)
        })
        .min_by_key(|(pointer, _)| rank(pointer, SYMBOLS));
    if let Some((pointer, _)) = symbols {
        guess.add("symbol", pointer, "by its name");
    }
    let numbers = places.iter().filter_map(|(pointer, values)| {
        let numbers: Vec<u64> = values.iter().map(whole).collect::<Option<_>>()?;
        (Some(pointer.as_str()) != time && numbers.len() > 1).then_some((pointer, numbers))
    });
    let mut best: Option<(usize, &String, bool, String)> = None;
    for (pointer, numbers) in numbers {
        let steps = |numbers: &[u64]| -> Option<u64> {
            let steps: Option<Vec<u64>> =
                numbers.windows(2).map(|pair| pair[1].checked_sub(pair[0])).collect();
            steps?.into_iter().filter(|step| *step > 0).max()
        };
        let named = rank(pointer, COUNTERS);
        let few = 1_000;
        let found = match steps(&numbers) {
            Some(step) if step <= few => Some((false, format!("rises by at most {step}"))),
            Some(_) | None => {
                let of = symbols.and_then(|(_, names)| by_symbol(names, &numbers));
                let rises =
                    of.and_then(|lists| lists.iter().map(|list| steps(list)).collect::<Option<Vec<_>>>());
                rises
                    .filter(|rises| !rises.is_empty() && rises.iter().all(|step| *step <= few))
                    .map(|_| (true, "rises within each symbol".to_owned()))
            }
        };
        if let Some((own, why)) = found
            && best.as_ref().is_none_or(|(rank, ..)| named < *rank)
        {
            best = Some((named, pointer, own, why));
        }
    }
    match best {
        Some((_, pointer, false, why)) => guess.add("sequence", pointer, why),
        Some((_, pointer, true, why)) => guess.add("symbol_sequence", pointer, why),
        None => {
            let cost = "no counter was found: without sequence losses and duplicates cannot be told";
            guess.missing.push(cost.to_owned());
        }
    }
}

/// Numbers of each symbol that came more than once.
fn by_symbol(names: &[Value], numbers: &[u64]) -> Option<Vec<Vec<u64>>> {
    if names.len() != numbers.len() {
        return None;
    }
    let mut lists: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (name, number) in names.iter().zip(numbers) {
        lists.entry(name.as_str()?).or_default().push(*number);
    }
    Some(lists.into_values().filter(|list| list.len() > 1).collect())
}

/// Plain text: the numbers in it, in their order.
fn text(samples: &[Sample], now_ns: i64) -> Guess {
    let mut guess = Guess::default();
    let rows: Vec<Vec<String>> = samples.iter().map(|sample| numbers_of(&sample.text)).collect();
    let columns = rows.iter().map(Vec::len).min().unwrap_or(0);
    let column = |index: usize| rows.iter().map(|row| row[index].clone()).collect::<Vec<_>>();
    let (mut pattern, mut time, mut counter) = (String::new(), None, None);
    for index in 0..columns {
        let values = column(index);
        let value = values.last().cloned().unwrap_or_default();
        let near = times(&Value::String(value.clone()), now_ns).next().filter(|_| time.is_none());
        let rising = values.windows(2).all(|pair| {
            pair[0]
                .parse::<u64>()
                .is_ok_and(|a| pair[1].parse::<u64>().is_ok_and(|b| (a..=a + 1_000).contains(&b)))
        });
        let group = match near {
            Some((unit, ago)) => {
                time = Some((unit, format!("{value} is {} ms ago", ago / 1_000_000)));
                r"(?<sent_at>[\d.]+)"
            }
            None if rising && values.first() != values.last() && counter.is_none() => {
                counter = Some(value);
                r"(?<sequence>\d+)"
            }
            None => r"[\d.]+",
        };
        pattern.push_str(r"[^\d]*");
        pattern.push_str(group);
    }
    guess.add("format", "text", "the messages are not JSON");
    match (&time, &counter) {
        (None, None) => {
            guess.add("pattern", ".", "any message is an update: no number in it is a time or a counter");
        }
        (_, _) => guess.add("pattern", &format!("^{pattern}"), "numbers in their order"),
    }
    match time {
        Some((unit, why)) => guess.add("sent_at_unit", unit.name(), why),
        None => guess.missing.push("no time was found: without sent_at delays cannot be told".to_owned()),
    }
    if counter.is_none() {
        guess.missing.push("no counter was found: without sequence losses cannot be told".to_owned());
    }
    guess
}

fn numbers_of(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    parts.map(|part| part.trim_matches('.').to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_233_600_500_000_000;

    fn check(messages: &[(&str, Option<&str>)], takes: &[&str], expected: &[(&str, &str)]) {
        let samples: Vec<Sample> = messages
            .iter()
            .map(|(text, event)| Sample { text: (*text).to_owned(), event: event.map(str::to_owned) })
            .collect();
        let guess = guess(&samples, takes, NOW);
        let found: Vec<(&str, &str)> =
            guess.lines.iter().map(|line| (line.key, line.value.as_str())).collect();
        assert_eq!(found, expected, "{guess:?}");
    }

    #[test]
    fn an_exchange_with_an_acknowledgement() {
        check(
            &[
                (r#"{"result":null,"id":1}"#, None),
                (r#"{"e":"trade","E":1795233600123,"s":"BTC","t":7,"p":"1.5"}"#, None),
                (r#"{"e":"trade","E":1795233600223,"s":"ETH","t":90,"p":"2.5"}"#, None),
                (r#"{"e":"trade","E":1795233600323,"s":"BTC","t":8,"p":"1.25"}"#, None),
                (r#"{"e":"trade","E":1795233600423,"s":"ETH","t":91,"p":"2.5"}"#, None),
            ],
            &["send"],
            &[
                ("when", r#"{ "/e" = "trade" }"#),
                ("symbol", "\"/s\""),
                ("symbol_sequence", "\"/t\""),
                ("sent_at", "\"/E\""),
                ("sent_at_unit", "\"ms\""),
            ],
        );
    }

    #[test]
    fn an_event_stream_with_a_nested_time_and_no_counter() {
        let message = r#"{"data":{"price":1,"ts":"2026-11-21T04:00:00.123Z"}}"#;
        check(
            &[(message, Some("tick")), (message, Some("tick"))],
            &["event"],
            &[("event", "\"tick\""), ("sent_at", "\"/data/ts\""), ("sent_at_unit", "\"rfc3339\"")],
        );
    }

    #[test]
    fn polls_with_items_or_with_the_state() {
        let items = r#"{"next":9,"items":[{"id":7,"at":1795233600123456},{"id":8,"at":1795233600223456}]}"#;
        check(
            &[(items, None)],
            &["cursor", "snapshot"],
            &[
                ("items", "\"/items\""),
                ("sequence", "\"/id\""),
                ("sent_at", "\"/at\""),
                ("sent_at_unit", "\"us\""),
                ("cursor", "\"/next\""),
            ],
        );
        let state = r#"{"seq":4,"price":1.5,"time":1795233600.25}"#;
        let later = r#"{"seq":6,"price":1.5,"time":1795233600.45}"#;
        check(
            &[(state, None), (later, None)],
            &["cursor", "snapshot"],
            &[
                ("sequence", "\"/seq\""),
                ("sent_at", "\"/time\""),
                ("sent_at_unit", "\"s\""),
                ("snapshot", "true"),
            ],
        );
    }

    #[test]
    fn plain_text() {
        check(
            &[("ACME 5 at 1795233600.25", None), ("ACME 6 at 1795233600.30", None)],
            &[],
            &[
                ("format", "\"text\""),
                ("pattern", r"'^[^\d]*(?<sequence>\d+)[^\d]*(?<sent_at>[\d.]+)'"),
                ("sent_at_unit", "\"s\""),
            ],
        );
    }

    #[test]
    fn the_tickers_own() {
        let own = r#"{"seq":1,"sym":"ACME","px":1.00,"qty":100,"due":1,"sent":2,"pad":""}"#;
        let samples = [Sample { text: own.to_owned(), event: None }];
        assert!(guess(&samples, &[], NOW).own);
    }
}
