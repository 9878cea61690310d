//! Where the answer flips: the interval at which asking adds as few bytes to the quotes as pushing does.
//!
//! From counted bytes alone. The quotes themselves are left out: they cost the same either way, and in a short window
//! their number differs at its edges by more than a push adds to them.

use measurement::result::{Class, ModelKind, Status, Trial, Variant, Verdict};
use serde_json::Value;

use super::{conditions_of, verdict};
use crate::format;

/// Two intervals that differ by less tell the same: a sweep over clients repeats itself.
const SAME: f64 = 0.05;

/// Bytes of one client in one second, both directions.
pub(crate) struct Rates {
    /// Of quotes.
    pub payload: f64,
    /// Of everything else.
    pub overhead: f64,
}

/// A pull variant that can tell.
pub(crate) struct Pull<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its interval in seconds.
    pub period_s: f64,
    /// What it was counted to send and receive.
    pub rates: Rates,
}

/// What a client adds to its quotes in a second: `heads / interval + quotes`.
pub(crate) struct Law {
    /// Bytes of a poll, which it pays whether it brings anything or not.
    pub heads: f64,
    /// Bytes a second that are added to the quotes in an answer, which no interval changes.
    pub quotes: f64,
}

impl Law {
    /// Two measured intervals give both by Cramer's rule; each with its own payload, which differs at the window's
    /// edges. `None` for one interval, or where longer ones brought too little to tell.
    pub(crate) fn between(first: &Pull<'_>, last: &Pull<'_>) -> Option<Self> {
        let (a, b) = (&first.rates, &last.rates);
        let determinant = b.payload / first.period_s - a.payload / last.period_s;
        (last.period_s > first.period_s && determinant > 0.0).then(|| {
            let heads = (a.overhead * b.payload - b.overhead * a.payload) / determinant;
            Self { heads, quotes: (a.overhead - heads / first.period_s).max(0.0) }
        })
    }
}

/// What is known of the interval at which both add the same.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interval {
    /// Seconds, from two measured intervals.
    About(f64),
    /// From one measured interval, of which some may be the quotes' and not the poll's: no less than this.
    AtLeast(f64),
    /// The measured interval adds less already.
    Below(f64),
    /// What is added to each quote alone is more than what the push adds.
    Never,
}

/// A sentence for each family of pull variants: those that differ only in what is swept.
pub(super) fn flips(variants: &[Variant]) -> Vec<String> {
    let mut told: Vec<(&Variant, Interval)> = Vec::new();
    let mut sentences = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let family = |other: &&Variant| {
            unswept(other) == unswept(variant) && conditions_of(other) == conditions_of(variant)
        };
        if variants[..index].iter().filter(family).any(|earlier| pull(earlier).is_some()) {
            continue;
        }
        let Some((push_name, push)) = cheapest_push(variants, variant) else { continue };
        let mut pulls: Vec<Pull<'_>> = variants.iter().filter(family).filter_map(pull).collect();
        pulls.sort_by(|a, b| a.period_s.total_cmp(&b.period_s));
        let Some(interval) = interval(&pulls, &push) else { continue };
        if told.iter().any(|(other, known)| unswept(other) == unswept(variant) && same(*known, interval)) {
            continue;
        }
        told.push((variant, interval));
        sentences.push(sentence(&pulls, push_name, interval));
    }
    sentences
}

/// Under the same load and feed.
fn cheapest_push<'a>(variants: &'a [Variant], beside: &Variant) -> Option<(&'a str, Rates)> {
    variants
        .iter()
        .filter(|push| push.model.kind == ModelKind::Push && conditions_of(push) == conditions_of(beside))
        .filter_map(|push| Some((push.name.as_str(), Rates::of(push)?)))
        .min_by(|a, b| a.1.overhead_share().total_cmp(&b.1.overhead_share()))
}

/// A variant that asks on a timetable, and whose bytes can be told.
pub(crate) fn pull(variant: &Variant) -> Option<Pull<'_>> {
    let period_us =
        variant.model.period_us.filter(|&us| us > 0.0 && variant.model.kind == ModelKind::Pull)?;
    Some(Pull { name: &variant.name, period_s: period_us / 1e6, rates: Rates::of(variant)? })
}

/// What tells one transport's settings from another's, without what is swept and how often it asks.
pub(crate) fn unswept(variant: &Variant) -> (&str, &str, Vec<(&String, &Value)>) {
    let swept =
        |key: &&String| key.as_str() == "interval" || variant.point.contains_key(&format!("transport.{key}"));
    let options = variant.options.iter().filter(|(key, _)| !swept(key)).collect();
    (&variant.kind, &variant.engine, options)
}

impl Rates {
    /// Of the first complete trial: bytes are counted, and alike in all of them.
    pub(crate) fn of(variant: &Variant) -> Option<Self> {
        let usable = |trial: &&Trial| {
            trial.status == Status::Complete && verdict(trial, Class::Bytes) < Verdict::Invalid
        };
        let trial = variant.trials.iter().find(usable)?;
        let seconds = trial.clients.connected as f64 * trial.window_s;
        let bytes = &trial.bytes;
        let rate = |count: u64| count as f64 / seconds;
        let rates = Self {
            payload: rate(bytes.received.payload),
            overhead: rate(bytes.received.overhead() + bytes.sent.overhead()) + bytes.periodic,
        };
        (rates.payload > 0.0 && seconds > 0.0).then_some(rates)
    }

    fn overhead_share(&self) -> f64 {
        self.overhead / self.payload
    }
}

/// Where the law of two intervals meets what the push adds; one interval alone bounds it. `pulls` by rising period.
fn interval(pulls: &[Pull<'_>], push: &Rates) -> Option<Interval> {
    let (first, last) = (pulls.first()?, pulls.last()?);
    let a = &first.rates;
    // The shortest interval has the least of its payload at the window's edges.
    let target = push.overhead_share() * a.payload;
    let found = if let Some(Law { heads, quotes }) = Law::between(first, last) {
        if quotes >= target { Interval::Never } else { Interval::About(heads / (target - quotes)) }
    } else if a.overhead > target {
        // With any of it per quote the interval would be longer: (a − q) / (t − q) rises with q where a > t.
        Interval::AtLeast(a.overhead * first.period_s / target)
    } else {
        Interval::Below(first.period_s)
    };
    match found {
        Interval::About(s) | Interval::AtLeast(s) | Interval::Below(s) => {
            (s.is_finite() && s > 0.0).then_some(found)
        }
        Interval::Never => Some(found),
    }
}

fn same(a: Interval, b: Interval) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= SAME * a.max(b);
    match (a, b) {
        (Interval::About(a), Interval::About(b)) | (Interval::AtLeast(a), Interval::AtLeast(b)) => near(a, b),
        _ => a == b,
    }
}

fn sentence(pulls: &[Pull<'_>], push: &str, interval: Interval) -> String {
    let time = |seconds: f64| format::duration(seconds * 1e6);
    let name = pulls.first().map_or("", |pull| pull.name);
    let measured = |pull: Option<&Pull<'_>>| time(pull.map_or(0.0, |pull| pull.period_s));
    let late = |s: f64| format!("a price would then reach the screen {} late on average", time(s / 2.0));
    match interval {
        Interval::About(s) => format!(
            "{name} would add as few bytes to the quotes as {push} if it asked about every {}; {} (reckoned from the \
             bytes counted at {} and {}).",
            time(s),
            late(s),
            measured(pulls.first()),
            measured(pulls.last())
        ),
        Interval::AtLeast(s) => format!(
            "Even if it asked only every {}, {name} would add at least as many bytes to the quotes as {push}; {}.",
            time(s),
            late(s)
        ),
        Interval::Below(s) => format!(
            "At its interval of {}, {name} adds no more bytes to the quotes than {push}; a price reaches the screen {} \
             late on average.",
            time(s),
            time(s / 2.0)
        ),
        Interval::Never => {
            format!("However rarely it asks, {name} adds more bytes to the quotes than {push}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulls(measured: &[(f64, f64)]) -> Vec<Pull<'static>> {
        let pull = |&(period_s, overhead)| Pull {
            name: "ask",
            period_s,
            rates: Rates { payload: 1_000.0, overhead },
        };
        measured.iter().map(pull).collect()
    }

    #[test]
    fn the_interval_solves_heads_over_interval_plus_quotes() {
        let push = |overhead| Rates { payload: 1_000.0, overhead };
        let check = |measured: &[(f64, f64)], push_overhead: f64, expected: Option<Interval>| {
            let found = interval(&pulls(measured), &push(push_overhead));
            let close = match (found, expected) {
                (Some(Interval::About(a)), Some(Interval::About(b))) => (a - b).abs() < 1e-6,
                (found, expected) => found == expected,
            };
            assert!(close, "{measured:?}, {push_overhead}: {found:?}, not {expected:?}");
        };
        // 600 bytes a poll and 10 bytes/s on quotes: 600 / interval + 10 = 20.
        check(&[(0.5, 1_210.0), (2.0, 310.0)], 20.0, Some(Interval::About(60.0)));
        check(&[(0.5, 1_210.0), (2.0, 310.0)], 10.0, Some(Interval::Never));
        // One interval alone bounds it: the true one is 60 s.
        check(&[(1.0, 610.0)], 20.0, Some(Interval::AtLeast(30.5)));
        check(&[(60.0, 20.0)], 30.0, Some(Interval::Below(60.0)));
        check(&[(1.0, 610.0)], 0.0, None);
        check(&[], 20.0, None);
        // A window that ends before a long interval's last quotes come holds fewer of them: 800 B/s, 8 on them.
        let mut edge = pulls(&[(0.5, 1_210.0), (2.0, 308.0)]);
        edge[1].rates.payload = 800.0;
        let Some(Interval::About(s)) = interval(&edge, &push(20.0)) else { panic!("not told") };
        assert!((s - 60.0).abs() < 1e-6, "{s}");
    }

    #[test]
    fn only_what_differs_is_told_and_only_beside_its_own_conditions() {
        let with = |name: &str, kind, period_us, clients: u64, overhead: u64| {
            let mut trial = Trial { window_s: 1.0, ..Trial::default() };
            trial.clients.connected = clients;
            trial.bytes.received.payload = 1_000 * clients;
            trial.bytes.received.headers = overhead * clients;
            Variant {
                name: format!("{name} {clients}"),
                kind: name.to_owned(),
                model: measurement::result::Model { kind, period_us, expected_delay_us: None },
                point: [("load.clients".to_owned(), clients.into())].into(),
                trials: vec![trial],
                ..Variant::default()
            }
        };
        let ask = |clients, overhead| with("ask", ModelKind::Pull, Some(1e6), clients, overhead);
        let push = |clients, overhead| with("push", ModelKind::Push, None, clients, overhead);
        let alike = flips(&[ask(10, 600), push(10, 20), ask(90, 600), push(90, 20)]);
        assert_eq!(alike.len(), 1, "{alike:?}");
        let differing = flips(&[ask(10, 600), push(10, 20), ask(90, 600), push(90, 60)]);
        assert_eq!(differing.len(), 2, "{differing:?}");
        assert!(differing[1].contains("ask 90") && differing[1].contains("push 90"), "{differing:?}");
        assert!(flips(&[ask(10, 600), push(90, 20)]).is_empty());
    }
}
