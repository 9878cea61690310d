//! Checks of single values: ranges with their reasons, durations with units, words from a list.

use std::{ops::RangeInclusive, time::Duration};

use crate::plan::Processes;

use super::{
    decode::Sources,
    error::{Problem, ScenarioError, nearest},
    scalar::{AutoOr, One, Quantity, Time},
};

/// Range of a duration and what to say about it.
pub(super) struct DurationRange {
    pub(super) range: RangeInclusive<Duration>,
    pub(super) advice: &'static str,
}

/// Range of a whole number and what to say about it.
pub(super) struct NumberRange {
    pub(super) range: RangeInclusive<u32>,
    pub(super) advice: &'static str,
}

/// Units of a bandwidth and the bytes a second of one.
pub(super) const BANDWIDTHS: [(&str, f64); 7] = [
    ("Gbit/s", 125e6),
    ("Mbit/s", 125e3),
    ("kbit/s", 125.0),
    ("bit/s", 0.125),
    ("MB/s", 1e6),
    ("kB/s", 1e3),
    ("B/s", 1.0),
];
/// Bytes a second of a link or a reader.
const BANDWIDTH: RangeInclusive<f64> = 1.0..=4e9;

const MS: fn(u64) -> Duration = Duration::from_millis;
const S: fn(u64) -> Duration = Duration::from_secs;

pub(super) fn measure_range() -> DurationRange {
    let advice = "a shorter window holds too few quotes, a longer one belongs into more trials";
    DurationRange { range: MS(100)..=S(3_600), advice }
}

pub(super) fn warmup_range() -> DurationRange {
    DurationRange { range: S(0)..=S(600), advice: "the warm-up is discarded: a few seconds are enough" }
}

pub(super) fn connect_range() -> DurationRange {
    DurationRange { range: S(0)..=S(600), advice: "all clients connect evenly spread over this time" }
}

pub(super) fn session_range() -> DurationRange {
    let advice = "handshake bytes are shown amortised over a session";
    DurationRange { range: S(1)..=S(7 * 24 * 3_600), advice }
}

pub(super) fn interval_range() -> DurationRange {
    let advice = "below 1 ms the poller's own timer decides; above 10 minutes a trial sees no second poll";
    DurationRange { range: MS(1)..=S(600), advice }
}

pub(super) fn rtt_range() -> DurationRange {
    DurationRange { range: S(0)..=S(10), advice: "a round trip to the Moon takes 2.6 s" }
}

pub(super) fn event_range() -> DurationRange {
    DurationRange { range: S(0)..=S(600), advice: "an event that the window does not reach shows nothing" }
}

pub(super) fn coalesce_range() -> DurationRange {
    let advice = "it is added to the delay of quotes that are held back; leave it out to hold none back";
    DurationRange { range: Duration::from_micros(100)..=S(1), advice }
}

pub(super) fn clients_range() -> NumberRange {
    let advice = "one machine has neither the ports nor the open files for more; start small and let `check` say what fits";
    NumberRange { range: 1..=1_000_000, advice }
}

pub(super) fn processes_range() -> NumberRange {
    let advice =
        "more processes on one machine tell of its scheduler; \"auto\" takes as many as the clients need";
    NumberRange { range: 1..=64, advice }
}

pub(super) fn trials_range() -> NumberRange {
    NumberRange { range: 1..=1_000, advice: "3 describe, 10 or more allow comparisons" }
}

/// A duration within its range.
pub(super) fn duration(
    sources: &Sources,
    key: &str,
    given: &One<Time>,
    limits: &DurationRange,
) -> Result<Duration, ScenarioError> {
    let text = match &given.value {
        Time::Text(text) => text,
        Time::Bare(number) => {
            let problem = Problem::NoUnit { key: key.to_owned(), found: number.to_string() };
            return Err(sources.error(problem, given.span.clone(), "a number without a unit"));
        }
    };
    let out_of_range = |expected: String, advice: &str| {
        let problem = Problem::OutOfRange {
            key: key.to_owned(),
            found: format!("{text:?}"),
            expected,
            advice: advice.to_owned(),
        };
        sources.error(problem, given.span.clone(), "this duration")
    };
    let range = || {
        let (from, to) = (limits.range.start(), limits.range.end());
        format!("{} to {}", humantime::format_duration(*from), humantime::format_duration(*to))
    };
    match humantime::parse_duration(text) {
        Ok(duration) if limits.range.contains(&duration) => Ok(duration),
        Ok(_) => Err(out_of_range(range(), limits.advice)),
        Err(_) if text.trim_start().starts_with('-') => Err(out_of_range(range(), limits.advice)),
        Err(humantime::DurationError::NumberOverflow) => Err(out_of_range(range(), limits.advice)),
        Err(error) => Err(out_of_range(
            "a duration such as \"250ms\", \"1s\" or \"1m 30s\"".to_owned(),
            &format!("failed to read it: {error}"),
        )),
    }
}

/// Bytes a second.
pub(super) fn bandwidth(sources: &Sources, key: &str, given: &One<String>) -> Result<u32, ScenarioError> {
    let text = given.value.trim();
    let read = || {
        let (number, unit) = BANDWIDTHS.iter().find_map(|(unit, factor)| {
            Some((text.strip_suffix(unit)?.trim().parse::<f64>().ok()?, factor))
        })?;
        Some(number * unit).filter(|bytes| BANDWIDTH.contains(bytes))
    };
    read().map(|bytes| bytes.round() as u32).ok_or_else(|| {
        let problem = Problem::OutOfRange {
            key: key.to_owned(),
            found: format!("{text:?}"),
            expected: "a bandwidth such as \"10 Mbit/s\" or \"1 MB/s\", from 1 B/s to 4 GB/s".to_owned(),
            advice: format!("the units are {}", BANDWIDTHS.map(|(unit, _)| unit).join(", ")),
        };
        sources.error(problem, given.span.clone(), "this bandwidth")
    })
}

/// A share of at most `most`.
pub(super) fn share(
    sources: &Sources,
    key: &str,
    given: &One<Quantity>,
    most: f64,
) -> Result<f64, ScenarioError> {
    let value = match &given.value {
        Quantity::Bare(number) => Some(*number),
        Quantity::Text(text) => text
            .trim()
            .strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .map(|n| n / 100.0),
    };
    value.filter(|share| (0.0..=most).contains(share)).ok_or_else(|| {
        let problem = Problem::OutOfRange {
            key: key.to_owned(),
            found: match &given.value {
                Quantity::Text(text) => format!("{text:?}"),
                Quantity::Bare(number) => number.to_string(),
            },
            expected: format!("a share such as \"1%\" or 0.01, at most {}%", most * 100.0),
            advice: String::new(),
        };
        sources.error(problem, given.span.clone(), "this share")
    })
}

/// A whole number within its range.
pub(super) fn number(
    sources: &Sources,
    key: &str,
    given: &One<i128>,
    limits: &NumberRange,
) -> Result<u32, ScenarioError> {
    u32::try_from(given.value).ok().filter(|number| limits.range.contains(number)).ok_or_else(|| {
        let problem = Problem::OutOfRange {
            key: key.to_owned(),
            found: given.value.to_string(),
            expected: format!("{} to {}", limits.range.start(), limits.range.end()),
            advice: limits.advice.to_owned(),
        };
        sources.error(problem, given.span.clone(), "this number")
    })
}

/// `auto`, or so many of each side.
pub(super) fn processes(sources: &Sources, given: &One<AutoOr>) -> Result<Processes, ScenarioError> {
    let span = given.span.clone();
    match &given.value {
        AutoOr::Word(word) => {
            let words = Words { supported: &[("auto", Processes::Auto)], planned: &[] };
            self::word(sources, "load.processes", &One { value: word.clone(), span }, &words)
        }
        AutoOr::Number(value) => {
            let given = One { value: *value, span };
            number(sources, "load.processes", &given, &processes_range()).map(Processes::Number)
        }
    }
}

/// The words that a key takes, and those that only later versions take.
pub(super) struct Words<'a, T> {
    pub(super) supported: &'a [(&'a str, T)],
    pub(super) planned: &'a [&'a str],
}

/// What a word stands for.
pub(super) fn word<T: Clone>(
    sources: &Sources,
    key: &str,
    given: &One<String>,
    words: &Words<'_, T>,
) -> Result<T, ScenarioError> {
    let found = given.value.as_str();
    if let Some((_, value)) = words.supported.iter().find(|(name, _)| *name == found) {
        return Ok(value.clone());
    }
    let supported: Vec<String> = words.supported.iter().map(|(name, _)| (*name).to_owned()).collect();
    let problem = if words.planned.contains(&found) {
        let advice = format!("this version takes {}", supported.join(", "));
        Problem::NotSupported {
            what: format!("`{} = {found:?}`", key.rsplit('.').next().unwrap_or(key)),
            advice,
        }
    } else {
        let all = supported.iter().map(String::as_str).chain(words.planned.iter().copied());
        let nearest = nearest(found, all);
        Problem::UnknownValue { key: key.to_owned(), found: found.to_owned(), nearest, known: supported }
    };
    Err(sources.error(problem, given.span.clone(), "this word"))
}
