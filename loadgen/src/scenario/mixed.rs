//! `[workload] kind = "mixed"`: what transports that run at the same time must have in common, and who gets how many clients.

use crate::{
    clients,
    plan::{Http, Processes, VariantPlan, Workload, options::Word as _, workload::Mix},
};

use super::{
    decode::Sources,
    error::{Problem, ScenarioError},
    scalar::{One, Quantity, Span},
    sweep::Axis,
    values,
    wire::File,
};

/// Sums of shares are as good as this.
const CLOSE: f64 = 1e-9;

/// One of the transports.
pub(super) struct Part<'a> {
    pub(super) variant: &'a mut VariantPlan,
    /// Where an error points to.
    pub(super) span: Span,
}

/// Makes the variants of a mix parts of it, each with its clients; of another workload it only refuses shares.
pub(super) fn resolve<'a>(
    file: &File,
    sources: &Sources,
    axes: impl Iterator<Item = &'a Axis>,
    parts: &mut [Part<'_>],
) -> Result<(), ScenarioError> {
    let given: Vec<_> = file.transport.iter().map(|own| own.get_ref().share.as_ref()).collect();
    let Some(first) = parts.first().map(|part| &*part.variant) else { return Ok(()) };
    if first.workload != Workload::Mixed {
        let Some(share) = given.into_iter().flatten().next() else { return Ok(()) };
        let problem = Problem::Conflict {
            kind: format!("workload {}", first.workload.word()),
            what: "`transport.share`".to_owned(),
            advice: "it is for mixed: leave it out".to_owned(),
        };
        return Err(sources.error(problem, share.span.clone(), "this key"));
    }
    let clients = first.load.clients;
    one_point(sources, axes)?;
    for part in &*parts {
        can_share(sources, part)?;
    }
    alike(sources, parts)?;
    let shares = shares(sources, &given, parts)?;
    if (clients as usize) < parts.len() {
        let problem = Problem::OutOfRange {
            key: "load.clients".to_owned(),
            found: clients.to_string(),
            expected: format!("at least {}, one for each transport", parts.len()),
            advice: String::new(),
        };
        let span =
            file.load.clients.as_ref().map_or_else(|| parts[0].span.clone(), |given| given.span.clone());
        return Err(sources.error(problem, span, "this number"));
    }
    let drain = parts.iter().map(|part| part.variant.drain()).max().unwrap_or_default();
    let counts = divide(clients, &shares);
    for ((part, count), share) in parts.iter_mut().zip(counts).zip(shares) {
        part.variant.mix = Some(Mix { share, clients, drain });
        part.variant.load.clients = count;
    }
    Ok(())
}

/// A sweep makes variants that are run one after another.
fn one_point<'a>(sources: &Sources, mut axes: impl Iterator<Item = &'a Axis>) -> Result<(), ScenarioError> {
    let Some(axis) = axes.find(|axis| axis.choices.len() > 1) else { return Ok(()) };
    let problem = Problem::Conflict {
        kind: "workload mixed".to_owned(),
        what: format!("a list of `{}`", axis.key),
        advice: "its transports run at the same time: write one value, and a scenario for each other one"
            .to_owned(),
    };
    Err(sources.error(problem, axis.span.clone(), "this list"))
}

/// Refuses what cannot be beside others on one server, or not be told from them.
fn can_share(sources: &Sources, part: &Part<'_>) -> Result<(), ScenarioError> {
    let variant = &*part.variant;
    let problem = if variant.peer.is_some() {
        Some(("`url`", "all transports of a mix share the reference server: leave `url` out"))
    } else if variant.options.http == Http::H3 {
        Some(("HTTP/3", "its connections are not those of the one port that a mix shares"))
    } else if variant.counted_by_server() {
        Some((
            "`client = \"pooled\"`",
            "its bytes come from the server's counters, which are of all transports",
        ))
    } else if variant.load.processes != Processes::Auto {
        Some(("`load.processes`", "the clients of a mix are threads of one process: leave it out"))
    } else {
        None
    };
    let Some((what, advice)) = problem else { return Ok(()) };
    let problem = Problem::Conflict {
        kind: variant.kind.to_string(),
        what: format!("{what} and `workload.kind = \"mixed\"`"),
        advice: advice.to_owned(),
    };
    Err(sources.error(problem, part.span.clone(), "this one"))
}

/// How a key of the one server is read off a part; `None` where the transport does not have it.
type Read = fn(&VariantPlan) -> Option<String>;

/// Refuses transports that want the one server to be different ones. What a server is told to compress or to hold back,
/// it does for all clients that take it, and a browser's header takes it unasked.
fn alike(sources: &Sources, parts: &[Part<'_>]) -> Result<(), ScenarioError> {
    const KEYS: [(&str, Read); 5] = [
        ("engine", |variant| Some(format!("\"{}\"", variant.engine.name()))),
        ("tls", |variant| Some(variant.options.tls.to_string())),
        ("compression", |variant| {
            takes(variant, "compression").then(|| format!("\"{}\"", variant.options.compression.word()))
        }),
        ("deflate", |variant| {
            takes(variant, "deflate").then(|| format!("\"{}\"", variant.options.deflate.word()))
        }),
        ("coalesce", |variant| {
            let time = variant.options.coalesce.map(|time| humantime::format_duration(time).to_string());
            takes(variant, "coalesce")
                .then(|| time.map_or("nothing".to_owned(), |time| format!("\"{time}\"")))
        }),
    ];
    for (key, read) in KEYS {
        let mut those = parts.iter().filter_map(|part| Some((part, read(part.variant)?)));
        let Some((first, value)) = those.next() else { continue };
        let Some((other, unlike)) = those.find(|(_, other)| *other != value) else { continue };
        let what = format!(
            "`{key} = {value}` of {} and `{key} = {unlike}` of {}",
            first.variant.name, other.variant.name
        );
        let advice =
            format!("it has one server: give all the same, for example in [defaults], or leave `{key}` out");
        let problem = Problem::Conflict { kind: "a mix".to_owned(), what, advice };
        let labels = [(other.span.clone(), "this one"), (first.span.clone(), "and this one")];
        return Err(sources.error_at(problem, &labels));
    }
    Ok(())
}

fn takes(variant: &VariantPlan, key: &str) -> bool {
    clients::keys(variant.kind).contains(&key)
}

/// Everybody's share: those without one have what the others leave, evenly.
fn shares(
    sources: &Sources,
    given: &[Option<&One<Quantity>>],
    parts: &[Part<'_>],
) -> Result<Vec<f64>, ScenarioError> {
    let mut known = Vec::new();
    for given in given {
        known.push(match given {
            Some(given) => Some(share(sources, given)?),
            None => None,
        });
    }
    let sum: f64 = known.iter().flatten().sum();
    let open = known.iter().filter(|share| share.is_none()).count();
    let (expected, advice) = if sum > 1.0 + CLOSE {
        ("at most 100% in all", "the shares are of load.clients")
    } else if open == 0 && sum < 1.0 - CLOSE {
        ("100% in all", "leave one `share` out: it is then what the others leave")
    } else if open > 0 && sum > 1.0 - CLOSE {
        ("less than 100% in all", "a transport without a `share` has what the others leave")
    } else {
        let left = (1.0 - sum) / open.max(1) as f64;
        return Ok(known.into_iter().map(|share| share.unwrap_or(left)).collect());
    };
    let problem = Problem::OutOfRange {
        key: "transport.share".to_owned(),
        found: format!("{}% in all", (sum * 1e4).round() / 1e2),
        expected: expected.to_owned(),
        advice: advice.to_owned(),
    };
    let labels: Vec<(Span, &str)> = given
        .iter()
        .zip(parts)
        .map(|(given, part)| match given {
            Some(given) => (given.span.clone(), "this share"),
            None => (part.span.clone(), "without one"),
        })
        .collect();
    Err(sources.error_at(problem, &labels))
}

fn share(sources: &Sources, given: &One<Quantity>) -> Result<f64, ScenarioError> {
    let share = values::share(sources, "transport.share", given, 1.0)?;
    if share > 0.0 {
        return Ok(share);
    }
    let problem = Problem::OutOfRange {
        key: "transport.share".to_owned(),
        found: "0".to_owned(),
        expected: "more than 0%".to_owned(),
        advice: "leave the transport out".to_owned(),
    };
    Err(sources.error(problem, given.span.clone(), "this share"))
}

/// `total` clients by shares that add up to 1: each the nearest number that lets all add up, and at least one.
fn divide(total: u32, shares: &[f64]) -> Vec<u32> {
    let exact: Vec<f64> = shares.iter().map(|share| f64::from(total) * share).collect();
    // 29 % of 100 is 29, whatever binary fractions make of it.
    let mut counts: Vec<u32> = exact.iter().map(|exact| ((exact + CLOSE) as u32).max(1)).collect();
    loop {
        let sum: u32 = counts.iter().sum();
        let too_many = |place: &usize| f64::from(counts[*place]) - exact[*place];
        let by_excess = |a: &usize, b: &usize| too_many(a).total_cmp(&too_many(b));
        let (place, change) = if sum < total {
            ((0..counts.len()).min_by(by_excess), 1)
        } else if sum > total {
            ((0..counts.len()).filter(|place| counts[*place] > 1).max_by(by_excess), -1)
        } else {
            return counts;
        };
        let Some(place) = place else { return counts };
        counts[place] = counts[place].saturating_add_signed(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_dealt_out_whole_and_nobody_gets_none() {
        let check = |total, shares: &[f64], expected: &[u32]| assert_eq!(divide(total, shares), expected);
        check(12, &[0.5, 0.25, 0.25], &[6, 3, 3]);
        check(12, &[0.25, 0.5, 0.25], &[3, 6, 3]);
        check(100, &[0.29, 0.71], &[29, 71]);
        check(10, &[1.0 / 3.0; 3], &[4, 3, 3]);
        check(11, &[0.5, 0.5], &[6, 5]);
        check(100, &[0.999, 0.0005, 0.0005], &[98, 1, 1]);
        check(3, &[0.98, 0.01, 0.01], &[1, 1, 1]);
        check(1, &[1.0], &[1]);
    }
}
