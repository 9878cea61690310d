//! `[[gate]]` -> gates: each with one limit in its metric's unit, for one variant that the plan has.

use measurement::{
    capacity::Condition,
    gate::{Gate, Limit},
    metrics::{self, Metric},
};

use crate::plan::Plan;

use super::{
    decode::Sources,
    error::{Problem, ScenarioError, nearest},
    scalar::{One, Quantity},
    wire::{self, File},
};

/// Resolves the file's gates; one without `variant` is for every variant, one of a sweep for every point of it.
pub(super) fn resolve(
    file: &File,
    sources: &Sources,
    plan: &Plan,
    labels: &[String],
) -> Result<Vec<Gate>, ScenarioError> {
    let mut gates = Vec::new();
    for spanned in file.gate.iter().flatten() {
        let given = spanned.get_ref();
        let missing = |key: &str, advice: &str| {
            let table = "a `[[gate]]`".to_owned();
            let problem = Problem::MissingKey { key: key.to_owned(), table, advice: advice.to_owned() };
            sources.error(problem, spanned.span(), "this one")
        };
        let named = given
            .metric
            .as_ref()
            .ok_or_else(|| missing("metric", "write metric = \"…\", a name of `loadgen list metrics`"))?;
        let metric = metric(sources, "gate.metric", named)?;
        let limit = limit(sources, given, metric)?
            .ok_or_else(|| missing("below", "write one of below, above, equals, or max_increase = \"1%\""))?;
        for variant in variants(sources, given, plan, labels)? {
            gates.push(Gate { variant, metric: metric.name.to_owned(), limit });
        }
    }
    Ok(gates)
}

/// The metric that a key names.
pub(super) fn metric(
    sources: &Sources,
    key: &str,
    named: &One<String>,
) -> Result<&'static Metric, ScenarioError> {
    metrics::find(&named.value).ok_or_else(|| {
        let names = || metrics::ALL.iter().map(|metric| metric.name);
        let problem = Problem::UnknownValue {
            key: key.to_owned(),
            found: named.value.clone(),
            nearest: nearest(&named.value, names()),
            known: names().map(str::to_owned).collect(),
        };
        sources.error(problem, named.span.clone(), "this metric")
    })
}

/// A condition of the command line, `METRIC < LIMIT` or `METRIC > LIMIT`, with the names and units of gates.
pub fn condition(text: &str) -> Result<Condition, ScenarioError> {
    let key = || "--until".to_owned();
    let out_of_range = |found: &str, expected: &str, advice: String| {
        let (found, expected) = (format!("{found:?}"), expected.to_owned());
        ScenarioError::new(Problem::OutOfRange { key: key(), found, expected, advice })
    };
    let form = "METRIC < LIMIT or METRIC > LIMIT";
    let example = || "for example --until 'delivery_delay.p95 < 500ms'".to_owned();
    let (name, sign, limit) = text
        .find(['<', '>'])
        .map(|at| (text[..at].trim(), &text[at..=at], text[at + 1..].trim()))
        .filter(|(_, _, limit)| !limit.starts_with('='))
        .ok_or_else(|| out_of_range(text, form, example()))?;
    let metric = metrics::find(name).ok_or_else(|| {
        let names = || metrics::ALL.iter().map(|metric| metric.name);
        let known = names().map(str::to_owned).collect();
        let (found, nearest) = (name.to_owned(), nearest(name, names()));
        ScenarioError::new(Problem::UnknownValue { key: "gate.metric".to_owned(), found, nearest, known })
    })?;
    let text = Quantity::Text(limit.to_owned());
    let bare = limit.parse().ok().map(Quantity::Bare);
    let value = bare.and_then(|bare| quantity(&bare, metric.unit)).or_else(|| quantity(&text, metric.unit));
    let value = value.ok_or_else(|| {
        out_of_range(limit, expected(metric.unit), format!("{} is {}", metric.name, metric.meaning))
    })?;
    let limit = if sign == "<" { Limit::Below(value) } else { Limit::Above(value) };
    Ok(Condition { metric: metric.name.to_owned(), limit })
}

fn variants(
    sources: &Sources,
    given: &wire::Gate,
    plan: &Plan,
    labels: &[String],
) -> Result<Vec<String>, ScenarioError> {
    let all = || plan.variants.iter().map(|variant| variant.name.clone());
    let Some(wanted) = &given.variant else { return Ok(all().collect()) };
    let answers = |(name, label): &(String, &String)| *name == wanted.value || **label == wanted.value;
    let found: Vec<String> = all().zip(labels).filter(answers).map(|(name, _)| name).collect();
    if found.is_empty() {
        let known: Vec<String> = all().collect();
        let problem = Problem::NoSuchVariant {
            option: "gate.variant".to_owned(),
            name: wanted.value.clone(),
            nearest: nearest(&wanted.value, known.iter().map(String::as_str)),
            known,
        };
        return Err(sources.error(problem, wanted.span.clone(), "this name"));
    }
    Ok(found)
}

/// A key that limits, what the file says, and the limit that it makes.
type Kind<'a> = (&'a str, &'a Option<One<Quantity>>, fn(f64) -> Limit);

/// The one limit; `None` where there is none.
fn limit(sources: &Sources, given: &wire::Gate, metric: &Metric) -> Result<Option<Limit>, ScenarioError> {
    let kinds: [Kind<'_>; 4] = [
        ("below", &given.below, Limit::Below),
        ("above", &given.above, Limit::Above),
        ("equals", &given.equals, Limit::Equals),
        ("max_increase", &given.max_increase, Limit::MaxIncrease),
    ];
    let mut written = kinds.into_iter().filter_map(|(key, given, make)| Some((key, given.as_ref()?, make)));
    let Some((key, first, make)) = written.next() else { return Ok(None) };
    if let Some((second, given, _)) = written.next() {
        let problem = Problem::Conflict {
            kind: "a gate".to_owned(),
            what: format!("`{key}` and `{second}`"),
            advice: "a gate has one limit: write two gates".to_owned(),
        };
        return Err(sources.error(problem, given.span.clone(), "the second limit"));
    }
    if key == "max_increase" && metric.comparison == metrics::Comparison::Timed {
        let problem = Problem::Conflict {
            kind: "a gate".to_owned(),
            what: format!("`max_increase` of {}", metric.name),
            advice: "a stored baseline judges counted metrics only; for timed ones use `loadgen ab`"
                .to_owned(),
        };
        return Err(sources.error(problem, first.span.clone(), "this limit"));
    }
    let unit = if key == "max_increase" { "share" } else { metric.unit };
    let value = quantity(&first.value, unit).ok_or_else(|| {
        let problem = Problem::OutOfRange {
            key: format!("gate.{key}"),
            found: as_written(&first.value),
            expected: expected(unit).to_owned(),
            advice: format!("{} is {}", metric.name, metric.meaning),
        };
        sources.error(problem, first.span.clone(), "this limit")
    })?;
    Ok(Some(make(value)))
}

/// A quantity as the file has it.
pub(super) fn as_written(given: &Quantity) -> String {
    match given {
        Quantity::Text(text) => format!("{text:?}"),
        Quantity::Bare(number) => number.to_string(),
    }
}

/// How a quantity of a unit is written.
pub(super) fn expected(unit: &str) -> &'static str {
    match unit {
        "us" | "s" => "a duration such as \"50ms\"",
        "share" => "a share such as \"1%\" or 0.01",
        "bytes" => "bytes, a number or text such as \"12 kB\"",
        _ => "a number",
    }
}

/// A quantity in its metric's unit; never negative.
pub(super) fn quantity(given: &Quantity, unit: &str) -> Option<f64> {
    let scaled = |text: &str, suffixes: &[(&str, f64)]| {
        let found = suffixes.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
        let (number, factor) = found.unwrap_or((text, &1.0));
        number.trim().parse::<f64>().ok().map(|number| number * factor)
    };
    let value = match (unit, given) {
        ("us" | "s", Quantity::Text(text)) => {
            let seconds = humantime::parse_duration(text).ok()?.as_secs_f64();
            Some(if unit == "us" { seconds * 1e6 } else { seconds })
        }
        ("us" | "s", Quantity::Bare(_)) => None,
        ("share", Quantity::Text(text)) => scaled(text, &[("%", 0.01)]),
        ("bytes", Quantity::Text(text)) => scaled(text, &[("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1.0)]),
        (_, Quantity::Text(_)) => None,
        (_, Quantity::Bare(number)) => Some(*number),
    };
    value.filter(|value| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load_text};

    const HEAD: &str = "title = \"x\"\n[[transport]]\nkind = \"websocket\"\n[[transport]]\nkind = \"sse\"\n";

    fn gates(text: &str) -> Result<Vec<Gate>, String> {
        let plan = load_text("x.toml", &format!("{HEAD}{text}"), &|_| None);
        plan.map(|plan| plan.gates).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_have_the_unit_of_their_metric() {
        let check = |metric: &str, limit: &str, expected: Limit| {
            let found =
                gates(&format!("[[gate]]\nvariant = \"sse\"\nmetric = \"{metric}\"\n{limit}")).unwrap();
            let gate = Gate { variant: "sse".to_owned(), metric: metric.to_owned(), limit: expected };
            assert_eq!(found, [gate]);
        };
        check("delivery_delay.p99", "below = \"50ms\"", Limit::Below(50_000.0));
        check("updates.lost", "equals = 0", Limit::Equals(0.0));
        check("bytes.header_overhead_per_update", "below = \"1.5 kB\"", Limit::Below(1_500.0));
        check("bytes.header_overhead_per_update", "max_increase = \"1%\"", Limit::MaxIncrease(0.01));
        check("requests.useless_share", "below = 0.5", Limit::Below(0.5));
        check("server.cpu_seconds", "below = \"1s\"", Limit::Below(1.0));
        check("updates.delivered_once", "above = 10", Limit::Above(10.0));
    }

    #[test]
    fn conditions_have_the_names_and_units_of_gates() {
        let check = |text: &str, metric: &str, limit: Limit| {
            assert_eq!(condition(text).unwrap(), Condition { metric: metric.to_owned(), limit }, "{text}");
        };
        check("delivery_delay.p95 < 500ms", "delivery_delay.p95", Limit::Below(500_000.0));
        check("updates.delivered_once>1e3", "updates.delivered_once", Limit::Above(1_000.0));
        check("requests.useless_share < 5 %", "requests.useless_share", Limit::Below(0.05));
        check("server.rss_bytes < 1 GB", "server.rss_bytes", Limit::Below(1e9));
        let fails = |text: &str, expected: &str| {
            let error = condition(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        fails("delivery_delay.p95", "expected METRIC < LIMIT");
        fails("updates.lost <= 5", "expected METRIC < LIMIT");
        fails("delay < 5ms", "unknown metric `delay`");
        fails("delivery_delay.p95 < 500", "expected a duration");
        fails("updates.lost < -1", "expected a number");
    }

    #[test]
    fn a_gate_without_a_variant_is_for_all_and_goes_with_its_variant() {
        let text = format!("{HEAD}[[gate]]\nmetric = \"updates.lost\"\nequals = 0");
        let of = |only: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.toml");
            std::fs::write(&path, &text).unwrap();
            let only = only.iter().map(|&name| name.to_owned()).collect();
            let overrides = Overrides { only, ..Overrides::default() };
            crate::scenario::load(&path.display().to_string(), &overrides).unwrap().gates.len()
        };
        assert_eq!((of(&[]), of(&["sse"])), (2, 1));
    }

    #[test]
    fn what_cannot_be_a_gate_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = gates(&format!("[[gate]]\n{text}")).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("below = \"1ms\"", "a `[[gate]]` has no `metric`");
        check("metric = \"updates.lost\"", "has no `below`");
        check("metric = \"updates.losst\"\nequals = 0", "unknown metric `updates.losst`");
        check(
            "variant = \"x\"\nmetric = \"updates.lost\"\nequals = 0",
            "`gate.variant` names no variant `x`",
        );
        check("metric = \"updates.lost\"\nequals = 0\nbelow = 3", "`below` and `equals`");
        check("metric = \"delivery_delay.p50\"\nbelow = 5", "expected a duration");
        check(
            "metric = \"delivery_delay.p50\"\nmax_increase = \"5%\"",
            "`max_increase` of delivery_delay.p50",
        );
        check("metric = \"updates.lost\"\nequals = -1", "expected a number");
        check("metric = \"updates.lost\"\nequal = 0", "unknown key `equal` in [[gate]]");
    }
}
