//! A finished run as Prometheus text (exposition format 0.0.4) and as OpenMetrics 1.0: one list of families, two spellings.
//!
//! Samples have no timestamps: a finished run is put into a text-file collector or pushed to a gateway, and both want none.

use std::fmt::Write as _;

use hdrhistogram::Histogram as Hdr;
use measurement::{
    metrics::{self, Metric},
    result::{Histogram, RunResult, Status, Trial, Variant},
};

use super::merged;
use crate::ReportError;

const PREFIX: &str = "tickertape";
const NS_PER_S: f64 = 1e9;

/// Upper bounds of the histograms' buckets in seconds: 1-2.5-5 from 50 µs to 10 s, then minutes.
const BOUNDS_S: [f64; 19] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 60.0, 600.0,
];

type Read = fn(&Trial) -> Option<&Histogram>;
const HISTOGRAMS: [(&str, &str, Read); 3] = [
    ("delivery_delay", "from a quote's due instant to its receipt, all trials", |t| {
        t.delivery_delay.as_ref()
    }),
    ("transit", "from a quote's publication to its receipt, all trials", |t| t.transit.as_ref()),
    ("response_time", "requests: from the planned instant to the whole answer, all trials", |t| {
        t.response_time.as_ref()
    }),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Histogram,
    Info,
}

/// Samples of one name.
pub(super) struct Family {
    /// As OpenMetrics has it: with the unit, without the suffixes of samples.
    name: String,
    kind: Kind,
    unit: &'static str,
    help: String,
    samples: Vec<Sample>,
}

struct Sample {
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

/// All families that have samples; the one that tells of the run always has.
pub(super) fn families(result: &RunResult) -> Result<Vec<Family>, ReportError> {
    let mut families = vec![run(result)];
    families.extend(metrics::ALL.iter().map(|metric| gauges(result, metric)));
    for (name, help, read) in HISTOGRAMS {
        let mut samples = Vec::new();
        for variant in &result.variants {
            let Some(merged) = merged(&variant.trials, read)? else { continue };
            samples.extend(buckets(variant, &merged, sum_s(&variant.trials, read)));
        }
        let (name, help) = (format!("{PREFIX}_{name}_seconds"), help.to_owned());
        families.push(Family { name, kind: Kind::Histogram, unit: "seconds", help, samples });
    }
    families.retain(|family| !family.samples.is_empty());
    Ok(families)
}

fn run(result: &RunResult) -> Family {
    let revision = result.manifest.recorded.get("git_revision").and_then(serde_json::Value::as_str);
    let status = match result.status {
        Status::Complete => "complete",
        Status::Partial => "partial",
        Status::Failed => "failed",
    };
    let labels = vec![
        ("scenario", result.scenario.title.clone()),
        ("id", result.id.clone()),
        ("started_at", result.started_at.clone()),
        ("status", status.to_owned()),
        ("revision", revision.unwrap_or_default().to_owned()),
    ];
    Family {
        name: format!("{PREFIX}_run"),
        kind: Kind::Info,
        unit: "",
        help: "the run that these figures are of".to_owned(),
        samples: vec![Sample { suffix: "_info", labels, value: 1.0 }],
    }
}

fn labels(variant: &Variant) -> Vec<(&'static str, String)> {
    vec![
        ("variant", variant.name.clone()),
        ("kind", variant.kind.clone()),
        ("engine", variant.engine.clone()),
        ("clients", variant.clients.to_string()),
    ]
}

/// A metric's name in base units, its unit, and what its values are multiplied by.
fn spelled(metric: &Metric) -> (String, &'static str, f64) {
    let (unit, factor) = match metric.unit {
        "us" => ("seconds", 1e-6),
        "s" => ("seconds", 1.0),
        "bytes" => ("bytes", 1.0),
        "share" => ("ratio", 1.0),
        _ => ("", 1.0),
    };
    let mut name = metric.name.replace('.', "_");
    if metric.unit == "us" {
        name = name.replace("_us_", "_");
    }
    if metric.unit == "share" {
        name = name.trim_end_matches("_share").to_owned();
    }
    if !unit.is_empty() && !name.ends_with(unit) {
        name = format!("{name}_{unit}");
    }
    (format!("{PREFIX}_{name}"), unit, factor)
}

fn gauges(result: &RunResult, metric: &Metric) -> Family {
    let (name, unit, factor) = spelled(metric);
    let mut samples = Vec::new();
    for variant in &result.variants {
        let Some(figure) = variant.summary.get(metric.name) else { continue };
        let values = [("median", figure.median), ("low", figure.low), ("high", figure.high)];
        samples.extend(values.map(|(statistic, value)| {
            let mut labels = labels(variant);
            labels.push(("statistic", statistic.to_owned()));
            Sample { suffix: "", labels, value: value * factor }
        }));
    }
    let help = format!("{}: {}, over the trials", metric.name, metric.meaning);
    Family { name, kind: Kind::Gauge, unit, help, samples }
}

/// Mean × count of the trials: the exact sum, which buckets do not keep.
fn sum_s(trials: &[Trial], read: Read) -> f64 {
    let of = |histogram: &Histogram| histogram.mean_us.unwrap_or_default() * histogram.count as f64 / 1e6;
    trials.iter().filter_map(read).map(of).sum()
}

fn buckets(variant: &Variant, histogram: &Hdr<u64>, sum_s: f64) -> Vec<Sample> {
    let sample = |suffix, le: Option<String>, value| {
        let mut labels = labels(variant);
        labels.extend(le.map(|le| ("le", le)));
        Sample { suffix, labels, value }
    };
    let within = BOUNDS_S.map(|bound| {
        let count = histogram.count_between(0, (bound * NS_PER_S) as u64);
        sample("_bucket", Some(number(bound)), count as f64)
    });
    let count = histogram.len() as f64;
    let whole = [
        sample("_bucket", Some("+Inf".to_owned()), count),
        sample("_count", None, count),
        sample("_sum", None, sum_s),
    ];
    within.into_iter().chain(whole).collect()
}

/// Prometheus text: an info is a gauge of its sample's name, units are in the name only.
pub(super) fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let (name, kind) = match family.kind {
            Kind::Gauge => (family.name.clone(), "gauge"),
            Kind::Histogram => (family.name.clone(), "histogram"),
            Kind::Info => (format!("{}_info", family.name), "gauge"),
        };
        lines(
            &mut text,
            [format!("# HELP {name} {}", escape(&family.help, false)), format!("# TYPE {name} {kind}")],
        );
        lines(&mut text, family.samples.iter().map(|sample| line(family, sample)));
    }
    text
}

/// OpenMetrics 1.0: with units, types of its own, and an end that shows truncation.
pub(super) fn open_metrics(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        lines(&mut text, [format!("# TYPE {} {kind}", family.name)]);
        if !family.unit.is_empty() {
            lines(&mut text, [format!("# UNIT {} {}", family.name, family.unit)]);
        }
        lines(&mut text, [format!("# HELP {} {}", family.name, escape(&family.help, true))]);
        lines(&mut text, family.samples.iter().map(|sample| line(family, sample)));
    }
    text + "# EOF\n"
}

fn lines(text: &mut String, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        writeln!(text, "{line}").expect("writing to a String does not fail");
    }
}

fn line(family: &Family, sample: &Sample) -> String {
    let labels = sample.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value, true)));
    let labels: Vec<String> = labels.collect();
    format!("{}{}{{{}}} {}", family.name, sample.suffix, labels.join(","), number(sample.value))
}

/// A float as both formats read it. Bounds of buckets keep a decimal point, as OpenMetrics asks.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Backslash, line end and, in labels, the quote; other control characters are left out.
fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn names_are_in_base_units_and_none_ends_in_a_reserved_suffix() {
        let mut names: Vec<String> = metrics::ALL.iter().map(|metric| spelled(metric).0).collect();
        for name in &names {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
            for suffix in ["_total", "_count", "_sum", "_bucket", "_info", "_created", "_us"] {
                assert!(!name.ends_with(suffix), "{name}");
            }
            assert!(!name.contains("_us_"), "{name}");
        }
        assert!(names.contains(&"tickertape_delivery_delay_p99_seconds".to_owned()));
        assert!(names.contains(&"tickertape_per_symbol_out_of_sync_ratio".to_owned()));
        assert!(names.contains(&"tickertape_server_cpu_per_update_seconds".to_owned()));
        names.extend(HISTOGRAMS.map(|(name, _, _)| format!("{PREFIX}_{name}_seconds")));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "a name is taken twice");
    }

    #[test]
    fn the_beginning_of_both_spellings() {
        let families = families(&testing::result()).unwrap();
        let start = |text: &str| text.lines().take(9).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            start(&text(&families)),
            start(&open_metrics(&families))
        ));
    }

    #[test]
    fn texts_stay_within_their_line() {
        let mut result = testing::result();
        result.variants[0].name = "a\\b\n\"c\"\u{1b}[2J\r".to_owned();
        let families = families(&result).unwrap();
        for text in [text(&families), open_metrics(&families)] {
            assert!(text.contains(r#"variant="a\\b\n\"c\"[2J","#), "{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
            assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with(PREFIX)));
        }
    }

    #[test]
    fn buckets_grow_up_to_the_count() {
        let families = families(&testing::result()).unwrap();
        let delays = families.iter().find(|family| family.name.ends_with("_delivery_delay_seconds")).unwrap();
        let of_first = delays.samples.iter().filter(|sample| sample.labels[0].1 == "polling 1s");
        let buckets: Vec<f64> =
            of_first.filter(|sample| sample.suffix == "_bucket").map(|s| s.value).collect();
        assert_eq!(buckets.len(), BOUNDS_S.len() + 1);
        assert!(buckets.is_sorted() && buckets.last() == Some(&60_000.0), "{buckets:?}");
    }

    #[test]
    fn a_run_without_figures_still_tells_of_itself() {
        let families = families(&testing::without_figures()).unwrap();
        let text = open_metrics(&families);
        assert!(text.starts_with("# TYPE tickertape_run info\n") && text.ends_with("# EOF\n"), "{text}");
        assert!(text.contains("status=\"partial\""), "{text}");
    }
}
