//! Messages of somebody else's server, read by the pointers or the pattern of the scenario. Pure.
//!
//! A pointer is after RFC 6901. Numbers may be written as text, as exchanges do to keep every digit.

use std::borrow::Cow;

use regex_lite::{Captures, Regex};
use serde_json::{Value, value::RawValue};

use crate::plan::peer::{Format, MessageRules, TimeUnit};

/// Groups that a pattern may name.
const GROUPS: [&str; 4] = ["sequence", "symbol", "symbol_sequence", "sent_at"];

/// Checks a pattern of a scenario: it compiles, and its named groups mean something.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
    match regex.capture_names().flatten().find(|name| !GROUPS.contains(name)) {
        Some(name) => Err(format!("the group `{name}` means nothing: name {}", GROUPS.join(", "))),
        None => Ok(()),
    }
}

/// One update of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update<'a> {
    /// Its number.
    pub(crate) sequence: Option<u64>,
    /// Its symbol.
    pub(crate) symbol: Option<Cow<'a, str>>,
    /// When it was made, Unix nanoseconds.
    pub(crate) sent_ns: Option<i64>,
    /// The step of that time's last digit, in nanoseconds.
    pub(crate) step_ns: u64,
    /// Its own text.
    pub(crate) text: &'a str,
}

/// What a message says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading<'a> {
    /// Updates in order.
    pub(crate) updates: Vec<Update<'a>>,
    /// What the next poll says.
    pub(crate) cursor: Option<String>,
}

/// The rules of a scenario, ready to read with.
#[derive(Debug)]
pub(crate) struct Mapping {
    rules: MessageRules,
    pattern: Option<Regex>,
}

impl Mapping {
    /// `None` where messages are the ticker's own.
    pub(crate) fn new(rules: &MessageRules) -> Option<Self> {
        let pattern = match &rules.format {
            Format::Ticker => return None,
            Format::Json => None,
            // The scenario was refused if it does not compile.
            Format::Text { pattern } => Some(Regex::new(pattern).ok()?),
        };
        Some(Self { rules: rules.clone(), pattern })
    }

    /// The rules.
    pub(crate) fn rules(&self) -> &MessageRules {
        &self.rules
    }

    /// Reads a message, `event` the type of it where the transport has one. `None` if it is not an update's.
    pub(crate) fn read<'a>(&self, text: &'a str, event: Option<&str>) -> Option<Reading<'a>> {
        if self.rules.event.as_deref().is_some_and(|wanted| wanted != event.unwrap_or("message")) {
            return None;
        }
        match &self.pattern {
            Some(pattern) => {
                let update = self.matched(&pattern.captures(text)?, text)?;
                Some(Reading { updates: vec![update], cursor: None })
            }
            None => self.json(text),
        }
    }

    fn json<'a>(&self, text: &'a str) -> Option<Reading<'a>> {
        let whole: &RawValue = serde_json::from_str(text).ok()?;
        if !holds(&self.rules, whole) {
            return None;
        }
        let cursor = self.rules.cursor.as_ref().and_then(|pointer| text_of(locate(whole, pointer)?));
        let updates = match &self.rules.items {
            None => vec![self.item(whole)?],
            Some(pointer) => {
                let items: Vec<&RawValue> = serde_json::from_str(locate(whole, pointer)?.get()).ok()?;
                items.into_iter().map(|item| self.item(item)).collect::<Option<_>>()?
            }
        };
        Some(Reading { updates, cursor })
    }

    /// One update; `None` if a place that the rules name is not in it.
    fn item<'a>(&self, item: &'a RawValue) -> Option<Update<'a>> {
        let text = item.get();
        let at = |pointer: &Option<String>| {
            pointer.as_ref().map(|pointer| locate(item, pointer).and_then(text_of))
        };
        let number = |found: Option<Option<String>>| match found {
            None => Some(None),
            Some(text) => text?.parse().ok().map(Some),
        };
        let sequence = number(at(&self.rules.sequence).or_else(|| at(&self.rules.symbol_sequence)))?;
        let symbol = match at(&self.rules.symbol) {
            None => None,
            Some(name) => Some(Cow::Owned(name?)),
        };
        let unit = self.rules.sent_at_unit;
        let (sent_ns, step_ns) = match at(&self.rules.sent_at) {
            None => (None, 0),
            Some(time) => {
                let time = time?;
                (Some(unix_ns(&time, unit)?), step_ns(&time, unit))
            }
        };
        Some(Update { sequence, symbol, sent_ns, step_ns, text })
    }

    fn matched<'a>(&self, found: &Captures<'a>, text: &'a str) -> Option<Update<'a>> {
        let group = |name| found.name(name).map(|group| group.as_str());
        let number = group("sequence").or_else(|| group("symbol_sequence")).map(str::parse);
        let unit = self.rules.sent_at_unit;
        let sent_ns = group("sent_at").map(|time| unix_ns(time, unit));
        Some(Update {
            step_ns: group("sent_at").map_or(0, |time| step_ns(time, unit)),
            sequence: number.transpose().ok()?,
            symbol: group("symbol").map(Cow::Borrowed),
            sent_ns: match sent_ns {
                None => None,
                Some(time) => Some(time?),
            },
            text,
        })
    }

    /// Whether the messages number their updates; feed-wide, or by symbol.
    pub(crate) fn numbers(&self) -> (bool, bool) {
        (self.has("sequence", &self.rules.sequence), self.has("symbol_sequence", &self.rules.symbol_sequence))
    }

    /// Whether the messages say when.
    pub(crate) fn times(&self) -> bool {
        self.has("sent_at", &self.rules.sent_at)
    }

    fn has(&self, group: &str, pointer: &Option<String>) -> bool {
        let named = |pattern: &Regex| pattern.capture_names().flatten().any(|name| name == group);
        self.pattern.as_ref().map_or(pointer.is_some(), named)
    }
}

/// What a member of a room said, within what the room's server tells of it, and how many bytes of the message it takes;
/// `None` if the server tells something else.
pub(super) fn said<'a>(rules: &MessageRules, text: &'a str) -> Option<(Cow<'a, str>, u64)> {
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    if !holds(rules, whole) {
        return None;
    }
    let found = locate(whole, rules.said.as_deref().unwrap_or_default())?.get();
    match found.as_bytes() {
        // Text within text: what is escaped there takes more bytes than it says.
        [b'"', within @ .., b'"'] => {
            Some((Cow::Owned(serde_json::from_str(found).ok()?), within.len() as u64))
        }
        _ => Some((Cow::Borrowed(found), found.len() as u64)),
    }
}

/// Whether a message has the values that those to be read have.
fn holds(rules: &MessageRules, whole: &RawValue) -> bool {
    rules.when.iter().all(|(pointer, wanted)| {
        locate(whole, pointer)
            .and_then(|found| serde_json::from_str::<Value>(found.get()).ok())
            .is_some_and(|found| same(&found, wanted))
    })
}

/// What a pointer leads to, verbatim.
fn locate<'a>(whole: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut here = whole;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        here = match here.get().as_bytes().first()? {
            b'{' => {
                let fields: std::collections::HashMap<Cow<'a, str>, &'a RawValue> =
                    serde_json::from_str(here.get()).ok()?;
                fields.get(token.as_str()).copied()?
            }
            b'[' => {
                let items: Vec<&'a RawValue> = serde_json::from_str(here.get()).ok()?;
                items.get(token.parse::<usize>().ok()?).copied()?
            }
            _ => return None,
        };
    }
    Some(here)
}

/// A number's digits, or text without its quotes.
fn text_of(value: &RawValue) -> Option<String> {
    match serde_json::from_str::<Value>(value.get()).ok()? {
        Value::String(text) => Some(text),
        // Verbatim: a float would lose digits of nanoseconds.
        Value::Number(_) => Some(value.get().to_owned()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Equality that takes 1 and 1.0 for the same.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found == wanted,
        _ => found == wanted,
    }
}

/// Unix nanoseconds of a time as it is written, fractions to the last digit.
pub(crate) fn unix_ns(text: &str, unit: TimeUnit) -> Option<i64> {
    let (unit_ns, digits) = match unit {
        TimeUnit::S => (1_000_000_000, 9),
        TimeUnit::Ms => (1_000_000, 6),
        TimeUnit::Us => (1_000, 3),
        TimeUnit::Ns => (1, 0),
        TimeUnit::Rfc3339 => return rfc3339_ns(text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    if whole < 0 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        // A number with an exponent, 1.79e12 say.
        let value: f64 = text.parse().ok()?;
        return (0.0..9e18 / unit_ns as f64).contains(&value).then_some((value * unit_ns as f64) as i64);
    }
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(digits).collect();
    whole.checked_mul(unit_ns)?.checked_add(fraction.parse().unwrap_or(0))
}

/// The step of a written time's last digit, in nanoseconds.
fn step_ns(text: &str, unit: TimeUnit) -> u64 {
    let unit_ns: u64 = match unit {
        TimeUnit::S | TimeUnit::Rfc3339 => 1_000_000_000,
        TimeUnit::Ms => 1_000_000,
        TimeUnit::Us => 1_000,
        TimeUnit::Ns => 1,
    };
    let fraction = text.rsplit_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count() as u32;
    (unit_ns / 10_u64.saturating_pow(digits)).max(1)
}

/// RFC 3339 with any offset, in Unix nanoseconds.
fn rfc3339_ns(text: &str) -> Option<i64> {
    let (local, shift_s) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let at = text.len().checked_sub(6)?;
            let (local, offset) = (text.get(..at)?, text.get(at..)?);
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60;
            match offset.as_bytes().first()? {
                b'+' => (local, seconds),
                b'-' => (local, -seconds),
                _ => return None,
            }
        }
    };
    let time = humantime::parse_rfc3339_weak(&format!("{local}Z")).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()?.checked_sub(shift_s * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(json: &Value) -> MessageRules {
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        MessageRules {
            format: text("pattern").map_or(Format::Json, |pattern| Format::Text { pattern }),
            event: text("event"),
            when: json["when"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            items: text("items"),
            sequence: text("sequence"),
            symbol: text("symbol"),
            symbol_sequence: text("symbol_sequence"),
            sent_at: text("sent_at"),
            sent_at_unit: TimeUnit::ALL
                .into_iter()
                .find(|(name, _)| Some(*name) == json["sent_at_unit"].as_str())
                .map_or(TimeUnit::Ms, |(_, unit)| unit),
            cursor: text("cursor"),
            ..MessageRules::default()
        }
    }

    /// Sequence, symbol and time of each update, and the cursor.
    fn check(told: &Value, event: Option<&str>, message: &str, expected: Option<(Value, Option<&str>)>) {
        let mapping = Mapping::new(&rules(told)).unwrap();
        let reading = mapping.read(message, event);
        let found = reading.map(|reading| {
            let updates =
                reading.updates.iter().map(|update| json!([update.sequence, update.symbol, update.sent_ns]));
            (Value::Array(updates.collect()), reading.cursor)
        });
        let expected = expected.map(|(updates, cursor)| (updates, cursor.map(str::to_owned)));
        assert_eq!(found, expected, "{message}");
    }

    #[test]
    fn an_event_stream_with_a_nested_rfc_3339_time() {
        let told = json!({"event": "tick", "sent_at": "/data/ts", "sent_at_unit": "rfc3339"});
        let message = r#"{"data":{"price":1,"ts":"2026-11-21T04:00:00.123Z"}}"#;
        let expected = json!([[null, null, 1_795_233_600_123_000_000_i64]]);
        check(&told, Some("tick"), message, Some((expected, None)));
        check(&told, Some("other"), message, None);
        check(&told, None, message, None);
    }

    #[test]
    fn an_exchange_with_an_acknowledgement_to_skip() {
        let told = json!({
            "when": {"/e": "trade"}, "symbol": "/s", "symbol_sequence": "/t", "sent_at": "/E", "sent_at_unit": "ms",
        });
        let trade = r#"{"e":"trade","E":1795233600123,"s":"BTC","t":12345,"p":"1.50"}"#;
        let expected = json!([[12_345, "BTC", 1_795_233_600_123_000_000_i64]]);
        check(&told, None, trade, Some((expected, None)));
        check(&told, None, r#"{"result":null,"id":1}"#, None);
        check(&told, None, r#"{"e":"trade","E":1,"s":"BTC"}"#, None);
    }

    #[test]
    fn a_polling_answer_with_items_and_a_cursor() {
        let told = json!({"items": "/quotes", "sequence": "/seq", "cursor": "/next"});
        let answer = r#"{"next":"abc","quotes":[{"seq":7},{"seq":"8"}]}"#;
        check(&told, None, answer, Some((json!([[7, null, null], [8, null, null]]), Some("abc"))));
        check(&told, None, r#"{"next":9,"quotes":[]}"#, Some((json!([]), Some("9"))));
        check(&told, None, r#"{"quotes":[{}]}"#, None);
    }

    #[test]
    fn plain_text_with_numbers_in_it() {
        let told = json!({"pattern": r"^(?<symbol>[A-Z]+) (?<sequence>\d+) @(?<sent_at>[\d.]+)", "sent_at_unit": "s"});
        let expected = json!([[5, "ACME", 1_795_233_600_250_000_000_i64]]);
        check(&told, None, "ACME 5 @1795233600.25 101.5", Some((expected, None)));
        check(&told, None, "hello", None);
        assert!(check_pattern(r"(?<price>\d+)").unwrap_err().contains("means nothing"));
        assert!(check_pattern(r"(").is_err() && check_pattern(r"\d+").is_ok());
    }

    #[test]
    fn what_a_member_said_is_the_message_or_a_part_of_it_or_text_in_it() {
        let check = |pointer: Option<&str>, text: &str, expected: Option<(&str, u64)>| {
            let when = vec![("/type".to_owned(), json!("said"))];
            let when = if pointer.is_some() { when } else { Vec::new() };
            let rules = MessageRules { said: pointer.map(str::to_owned), when, ..MessageRules::default() };
            let found = said(&rules, text);
            assert_eq!(found.as_ref().map(|(said, bytes)| (said.as_ref(), *bytes)), expected, "{text}");
        };
        check(None, r#"{"seq":1}"#, Some((r#"{"seq":1}"#, 9)));
        check(None, r#""{\"seq\":1}""#, Some((r#"{"seq":1}"#, 11)));
        check(None, "Anna is here", None);
        check(Some("/text"), r#"{"type":"said","text":{"seq":1}}"#, Some((r#"{"seq":1}"#, 9)));
        check(Some("/text"), r#"{"type":"online","text":{"seq":1}}"#, None);
        check(Some("/text"), r#"{"type":"said"}"#, None);
    }

    #[test]
    fn pointers_are_after_rfc_6901() {
        let whole: &RawValue = serde_json::from_str(r#"{"a/b":{"m~n":[10,20]},"":3}"#).unwrap();
        let at = |pointer| locate(whole, pointer).map(RawValue::get);
        assert_eq!(at("/a~1b/m~0n/1"), Some("20"));
        assert_eq!((at("/"), at("/a~1b/m~0n/2"), at("/x")), (Some("3"), None, None));
        assert_eq!(at("").map(str::len), Some(28));
    }

    #[test]
    fn the_last_digit_of_a_time_is_its_step() {
        let check = |text, unit, expected| assert_eq!(step_ns(text, unit), expected, "{text}");
        check("1795233600.25", TimeUnit::S, 10_000_000);
        check("1795233600123", TimeUnit::Ms, 1_000_000);
        check("1795233600123.5", TimeUnit::Ms, 100_000);
        check("1795233600123456", TimeUnit::Us, 1_000);
        check("2026-11-21T04:00:00.123Z", TimeUnit::Rfc3339, 1_000_000);
        check("2026-11-21T04:00:00+01:00", TimeUnit::Rfc3339, 1_000_000_000);
        check("1795233600123456789", TimeUnit::Ns, 1);
    }

    #[test]
    fn times_keep_every_digit() {
        let check = |text, unit, expected| assert_eq!(unix_ns(text, unit), expected, "{text}");
        check("1795233600.123456789", TimeUnit::S, Some(1_795_233_600_123_456_789));
        check("1795233600", TimeUnit::S, Some(1_795_233_600_000_000_000));
        check("1795233600123", TimeUnit::Ms, Some(1_795_233_600_123_000_000));
        check("1795233600123456", TimeUnit::Us, Some(1_795_233_600_123_456_000));
        check("1795233600123456789", TimeUnit::Ns, Some(1_795_233_600_123_456_789));
        check("1.795e9", TimeUnit::S, Some(1_795_000_000_000_000_000));
        check("2026-11-21T05:00:00.5+01:00", TimeUnit::Rfc3339, Some(1_795_233_600_500_000_000));
        check("2026-11-21T04:00:00Z", TimeUnit::Rfc3339, Some(1_795_233_600_000_000_000));
        check("yesterday", TimeUnit::Rfc3339, None);
        check("-5", TimeUnit::Ms, None);
        check("99999999999999999999", TimeUnit::S, None);
    }
}
