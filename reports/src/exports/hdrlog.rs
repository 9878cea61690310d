//! Histograms in the formats that other HdrHistogram tools read: interval logs (`.hlog`) and percentile text (`.hgrm`).
//!
//! Values are nanoseconds inside; the texts show milliseconds, as those tools expect.

use std::time::{Duration, SystemTime};

use hdrhistogram::{
    Histogram as Hdr,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};
use measurement::{
    histogram,
    result::{Histogram, RunResult, Trial, Variant},
};

use crate::{ReportError, format};

const NS_PER_MS: f64 = 1e6;
const TICKS_PER_HALF_DISTANCE: u32 = 5;

type Metric = (&'static str, fn(&Trial) -> Option<&Histogram>);

const METRICS: [Metric; 3] = [
    ("delivery_delay", |trial| trial.delivery_delay.as_ref()),
    ("transit", |trial| trial.transit.as_ref()),
    ("response_time", |trial| trial.response_time.as_ref()),
];

/// File names under `hdr/` with their contents: two for each variant with figures.
pub(super) fn files(result: &RunResult) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for variant in &result.variants {
        let Some(merged) = merged(&variant.trials, METRICS[0].1)? else { continue };
        let taken = |stem: &str| files.iter().any(|(name, _)| *name == format!("{stem}.hlog"));
        let mut stem = format::slug(&variant.name);
        for number in 2.. {
            if !taken(&stem) {
                break;
            }
            stem = format!("{}-{number}", format::slug(&variant.name));
        }
        let (log, text) = (interval_log(result, variant)?, percentiles(&merged));
        files.extend([(format!("{stem}.hlog"), log), (format!("{stem}.hgrm"), text.into_bytes())]);
    }
    Ok(files)
}

/// The histograms of all trials added up; percentiles themselves cannot be merged. `None` without samples.
pub(crate) fn merged(
    trials: &[Trial],
    read: fn(&Trial) -> Option<&Histogram>,
) -> Result<Option<Hdr<u64>>, ReportError> {
    let mut sum = histogram::empty();
    for recorded in trials.iter().filter_map(read) {
        let recorded = histogram::decode(&recorded.hdr)?;
        // A histogram of other bounds cannot be ours: what does not fit is left out by its own count.
        for step in recorded.iter_recorded() {
            sum.saturating_record_n(step.value_iterated_to(), step.count_at_value());
        }
    }
    Ok((!sum.is_empty()).then_some(sum))
}

fn interval_log(result: &RunResult, variant: &Variant) -> Result<Vec<u8>, ReportError> {
    let first =
        variant.trials.iter().find_map(|trial| instant(&trial.started_at)).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let failed = |cause: String| ReportError::Draw { plot: "hlog", cause };
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!("[{} · {}]", printable(&variant.name), printable(&result.command)))
        .with_start_time(first)
        .with_base_time(first)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| failed(format!("{error:?}")))?;
    writer
        .write_comment(
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
        )
        .map_err(|error| failed(error.to_string()))?;
    for trial in &variant.trials {
        let start =
            instant(&trial.started_at).and_then(|at| at.duration_since(first).ok()).unwrap_or_default();
        let length = Duration::try_from_secs_f64(trial.window_s).unwrap_or_default();
        for (name, read) in METRICS {
            let Some(recorded) = read(trial) else { continue };
            let decoded = histogram::decode(&recorded.hdr)?;
            let tag = format!("{}.{name}", format::slug(&variant.name));
            writer
                .write_histogram(&decoded, start, length, Tag::new(&tag))
                .map_err(|error| failed(format!("{error:?}")))?;
        }
    }
    Ok(log)
}

fn instant(rfc3339: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(rfc3339).ok()
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The classic text: value in ms, percentile, total count, 1/(1 − percentile).
fn percentiles(histogram: &Hdr<u64>) -> String {
    let mut lines =
        vec![format!("{:>12} {:>14} {:>10} {:>14}", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")];
    lines.push(String::new());
    let mut seen = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        seen += step.count_since_last_iteration();
        let value = step.value_iterated_to().min(histogram.max()) as f64 / NS_PER_MS;
        let quantile = step.quantile_iterated_to();
        let inverse =
            if quantile < 1.0 { format!("{:>14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        lines.push(format!("{value:>12.3} {quantile:>2.12} {seen:>10} {inverse}").trim_end().to_owned());
    }
    let ms = |ns: f64| ns / NS_PER_MS;
    lines.push(format!(
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        ms(histogram.mean()),
        ms(histogram.stdev())
    ));
    lines.push(format!(
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        ms(histogram.max() as f64),
        histogram.len()
    ));
    lines.push(format!("#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), 2048));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    use super::*;
    use crate::testing;

    #[test]
    fn an_interval_log_reads_back() {
        let files = files(&testing::result()).unwrap();
        let (name, log) = &files[0];
        assert_eq!(name, "polling-1s.hlog");
        let text = std::str::from_utf8(log).unwrap();
        assert!(text.starts_with("#[Histogram log format version 1.3]"), "{text}");
        let mut counts = Vec::new();
        for entry in IntervalLogIterator::new(log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    interval.encoded_histogram(),
                );
                let read: Hdr<u64> = Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
                counts.push((interval.tag().unwrap().as_str().to_owned(), read.len()));
                assert!(interval.max() > 100.0 && interval.max() < 2_000.0, "in ms: {}", interval.max());
            }
        }
        assert_eq!(counts.len(), 9);
        assert_eq!(counts[0], ("polling-1s.delivery_delay".to_owned(), 20_000));
    }

    #[test]
    fn percentile_text_ends_at_the_whole_count() {
        let files = files(&testing::result()).unwrap();
        let text = std::str::from_utf8(&files[1].1).unwrap();
        assert!(text.contains(" 60000"), "{text}");
        assert!(text.contains("#[Max     =") && text.contains("#[Mean"), "{text}");
    }
}
