//! The shift function: how much slower or faster the candidate is at every percentile of the delivery delay, with a
//! band from resampling whole trials.
//!
//! Trials are the unit: quotes of one trial are not independent (METHODOLOGY.md).

use measurement::random;
use measurement::{
    histogram,
    result::{RunResult, Trial},
};
use plotters::prelude::*;

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Words},
    style, timed,
};
use crate::{ReportError, format};

const PANEL: u32 = 250;
/// More panels would not be read.
const MOST_PANELS: usize = 12;
const DRAWS: u64 = 2_000;
const SEED: u64 = 7;
/// Buckets from [`SMALLEST_NS`] to the histogram's end: one per cent wide.
const BUCKETS: usize = 2_200;
const SMALLEST_NS: f64 = 1e3;
const GROWTH: f64 = 1.01;
/// Where the curve is evaluated.
const QUANTILES: [f64; 15] =
    [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];
/// The band's width.
const CONFIDENCE: f64 = 0.95;

/// One trial's delays, counted in buckets of equal ratio.
type Counts = Vec<u32>;

struct Panel {
    n: usize,
    name: String,
    /// Candidate over base with the ends of the band, at the first quantiles of [`QUANTILES`].
    points: Vec<(f64, f64, f64)>,
}

struct Shift(Vec<Panel>);

/// Draws the shift function of every variant that both results have; `None` without delays.
pub(crate) fn plot(base: &RunResult, candidate: &RunResult) -> Result<Option<Plot>, ReportError> {
    let mut panels = Vec::new();
    let mut fewest_trials = usize::MAX;
    for variant in &candidate.variants {
        let Some(other) = base.variants.iter().find(|other| other.name == variant.name) else { continue };
        let of = |trials: &[&Trial]| trials.iter().filter_map(|trial| counts(trial).transpose()).collect();
        let (from, to): (Result<Vec<Counts>, _>, Result<Vec<Counts>, _>) =
            (of(&timed(other).collect::<Vec<_>>()), of(&timed(variant).collect::<Vec<_>>()));
        let (from, to) = (from?, to?);
        if from.is_empty() || to.is_empty() || panels.len() == MOST_PANELS {
            continue;
        }
        let distinct = timed(other).chain(timed(variant)).filter_map(|trial| trial.delivery_delay.as_ref());
        let fewest = distinct.map(|delay| delay.distinct).min().unwrap_or(0);
        let points = curve(&from, &to, fewest * from.len().min(to.len()) as u64);
        fewest_trials = fewest_trials.min(from.len()).min(to.len());
        panels.push(Panel { n: panels.len(), name: variant.name.clone(), points });
    }
    panels.retain(|panel| !panel.points.is_empty());
    if panels.is_empty() {
        return Ok(None);
    }
    let alone = if fewest_trials < 2 { " One trial of a side makes no band." } else { "" };
    let words = Words {
        name: "shift",
        title: "Shift of the delivery delay",
        caption: format!(
            "Candidate over base at each percentile: 1 is no change, 2 is twice as late. The pale band holds {} % of {} \
             curves drawn anew from whole trials; where it holds 1, this data shows no change. It ends where fewer than ten \
             distinct events lie beyond. It describes; the verdict comes from pairs of trials.{alone}",
            CONFIDENCE * 100.0,
            format::count(DRAWS)
        ),
        table: table(&panels),
    };
    let height = PANEL * panels.len() as u32;
    canvas::plot(words, height, &Shift(panels)).map(Some)
}

fn counts(trial: &Trial) -> Result<Option<Counts>, ReportError> {
    let Some(delay) = &trial.delivery_delay else { return Ok(None) };
    let recorded = histogram::decode(&delay.hdr)?;
    let mut counts = vec![0; BUCKETS];
    for step in recorded.iter_recorded() {
        let place = (step.value_iterated_to() as f64 / SMALLEST_NS).max(1.0).ln() / GROWTH.ln();
        let bucket = (place as usize).min(BUCKETS - 1);
        counts[bucket] += u32::try_from(step.count_at_value()).unwrap_or(u32::MAX);
    }
    Ok((!recorded.is_empty()).then_some(counts))
}

/// Ratios with their band at each quantile that enough distinct events stand behind.
fn curve(base: &[Counts], candidate: &[Counts], distinct: u64) -> Vec<(f64, f64, f64)> {
    let told = QUANTILES.iter().take_while(|q| histogram::has_tail(distinct, **q)).count();
    let all = |trials: &[Counts]| quantiles(&(0..trials.len()).collect::<Vec<_>>(), trials, told);
    let ratios = |base: Vec<f64>, candidate: Vec<f64>| -> Vec<f64> {
        base.iter().zip(&candidate).map(|(base, candidate)| candidate / base).collect()
    };
    let found = ratios(all(base), all(candidate));
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(DRAWS as usize); told];
    for draw in 0..DRAWS {
        let pick = |trials: &[Counts], side: u64| {
            let picked = (0..trials.len() as u64)
                .map(|n| random::below(SEED + side, draw, n, trials.len() as u64) as usize);
            quantiles(&picked.collect::<Vec<_>>(), trials, told)
        };
        for (place, ratio) in ratios(pick(base, 0), pick(candidate, 1)).into_iter().enumerate() {
            drawn[place].push(ratio);
        }
    }
    let tail = ((1.0 - CONFIDENCE) / 2.0 * DRAWS as f64) as usize;
    found
        .into_iter()
        .zip(&mut drawn)
        .map(|(ratio, drawn)| {
            drawn.sort_by(f64::total_cmp);
            (ratio, drawn[tail], drawn[drawn.len() - 1 - tail])
        })
        .collect()
}

/// Quantiles of the picked trials together, in nanoseconds, straight within a bucket.
fn quantiles(picked: &[usize], trials: &[Counts], told: usize) -> Vec<f64> {
    let mut sums = vec![0_u64; BUCKETS];
    for &index in picked {
        for (sum, count) in sums.iter_mut().zip(&trials[index]) {
            *sum += u64::from(*count);
        }
    }
    let total: u64 = sums.iter().sum();
    let (mut bucket, mut below) = (0, 0);
    let at = |q: &f64| {
        let wanted = q * total as f64;
        while bucket + 1 < BUCKETS && (below + sums[bucket]) as f64 <= wanted {
            below += sums[bucket];
            bucket += 1;
        }
        let within = (wanted - below as f64) / (sums[bucket].max(1) as f64);
        SMALLEST_NS * GROWTH.powf(bucket as f64 + within.clamp(0.0, 1.0))
    };
    QUANTILES[..told].iter().map(at).collect()
}

fn table(panels: &[Panel]) -> Table {
    let told = panels.iter().map(|panel| panel.points.len()).max().unwrap_or(0);
    let head = std::iter::once("variant".to_owned())
        .chain(QUANTILES[..told].iter().map(|q| format!("{} %", (q * 1e3).round() / 10.0)));
    let row = |panel: &Panel| {
        let cell = |place: usize| match panel.points.get(place) {
            Some((ratio, low, high)) => format!("{ratio:.2} ({low:.2} – {high:.2})"),
            None => format::NONE.to_owned(),
        };
        std::iter::once(panel.name.clone()).chain((0..told).map(cell)).collect()
    };
    Table { head: head.collect(), rows: panels.iter().map(row).collect() }
}

/// Percentiles take room as on the percentile plot.
fn place(q: f64) -> f64 {
    -(1.0 - q).log10()
}

impl Drawing for Shift {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let every = || self.0.iter().flat_map(|panel| &panel.points);
        let widest =
            every().flat_map(|(_, low, high)| [low.ln().abs(), high.ln().abs()]).fold(1.3_f64.ln(), f64::max);
        let y = ratio_axis(widest.min(100_f64.ln()));
        for (panel, area) in self.0.iter().zip(area.split_evenly((self.0.len(), 1))) {
            let ticks = [0.05, 0.5, 0.9, 0.99, 0.999];
            let last = QUANTILES[panel.points.len() - 1];
            let label = |q: &f64| (place(*q), format!("{} %", (q * 1e3).round() / 10.0));
            let ticks = ticks.iter().filter(|q| **q <= last).map(label).collect();
            let end = place(last).max(0.4);
            let title = format!("{}: percentile of updates", style::label(&panel.name));
            let x = Axis { title, range: 0.0..end, ticks };
            let mut chart = axes::chart(&area, &x, &y)?;
            let at = |index: usize, ratio: f64| {
                (place(QUANTILES[index]), ratio.ln().clamp(y.range.start, y.range.end))
            };
            let points = || panel.points.iter().enumerate();
            let upper = points().map(|(index, (_, _, high))| at(index, *high));
            let lower = points().rev().map(|(index, (_, low, _))| at(index, *low));
            let band: Vec<(f64, f64)> = upper.chain(lower).collect();
            let fill = style::colour(panel.n).mix(0.2).filled();
            let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
            chart.draw_series([Polygon::new(band, fill)]).map_err(failed)?;
            chart
                .draw_series([PathElement::new(vec![(0.0, 0.0), (end, 0.0)], style::INK.stroke_width(1))])
                .map_err(failed)?;
            let line = points().map(|(index, (ratio, ..))| at(index, *ratio)).collect();
            axes::line(&mut chart, line, panel.n, 3, 1.0)?;
        }
        Ok(())
    }
}

/// An axis of ratios around 1; values on it are natural logarithms.
fn ratio_axis(widest: f64) -> Axis {
    let steps: &[f64] = match widest {
        w if w < 0.36 => &[0.8, 0.9, 1.0, 1.1, 1.25],
        w if w < 1.0 => &[0.5, 0.7, 1.0, 1.4, 2.0],
        w if w < 2.4 => &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0],
        _ => &[0.01, 0.1, 1.0, 10.0, 100.0],
    };
    let ticks = steps.iter().filter(|step| step.ln().abs() <= widest * 1.02);
    let ticks = ticks.map(|step| (step.ln(), format!("{step}×"))).collect();
    Axis { title: "candidate / base".to_owned(), range: -widest * 1.05..widest * 1.05, ticks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_result_against_itself_is_one_everywhere_and_a_slower_one_above() {
        let result = testing::result();
        let same = plot(&result, &result).unwrap().unwrap();
        assert!(
            same.table
                .rows
                .iter()
                .all(|row| row[1..].iter().all(|cell| cell.starts_with("1.00") || cell == "–")),
            "{:?}",
            same.table
        );
        let mut slower = result.clone();
        slower.variants[1].trials = slower.variants[0].trials.clone();
        let moved = plot(&result, &slower).unwrap().unwrap();
        assert!(
            moved.table.rows[1][5].parse::<f64>().is_err() && !moved.table.rows[1][5].starts_with("1.00")
        );
        assert!(moved.svg.contains("candidate / base"));
        assert!(plot(&testing::without_figures(), &testing::without_figures()).unwrap().is_none());
    }
}
