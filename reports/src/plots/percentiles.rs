//! Delivery delay by percentile on the HdrHistogram axis: the tail takes as much room as the middle.

use hdrhistogram::Histogram as Hdr;
use measurement::{histogram::has_tail, result::RunResult};
use plotters::prelude::*;

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Part, Words, legend_height},
    timed,
};
use crate::{ReportError, exports, format};

const HEIGHT: u32 = 430;
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];
/// No delay is drawn below this, in ms: the axis is logarithmic.
const SMALLEST_MS: f64 = 0.001;

struct Curve {
    n: usize,
    name: String,
    histogram: Hdr<u64>,
    distinct: u64,
}

impl Curve {
    fn ms(&self, q: f64) -> f64 {
        (self.histogram.value_at_quantile(q) as f64 / 1e6).max(SMALLEST_MS)
    }

    /// The largest quantile that enough distinct events stand behind.
    fn told_to(&self) -> f64 {
        (1.0 - 10.0 / self.distinct.max(10) as f64).max(0.0)
    }

    /// Points `(log10(1 / (1 − q)), log10 ms)` of a part of the curve.
    fn points(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        const STEPS: u32 = 120;
        let (from, to) = (place(from), place(to));
        let at = |step: u32| {
            let x = from + (to - from) * f64::from(step) / f64::from(STEPS);
            (x, self.ms(1.0 - 10_f64.powf(-x)).log10())
        };
        if to > from { (0..=STEPS).map(at).collect() } else { Vec::new() }
    }
}

fn place(q: f64) -> f64 {
    -(1.0 - q).log10()
}

struct Percentiles(Vec<Curve>);

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let mut curves = Vec::new();
    for (n, variant) in result.variants.iter().enumerate() {
        let trials: Vec<_> = timed(variant).cloned().collect();
        let Some(histogram) = exports::merged(&trials, |trial| trial.delivery_delay.as_ref())? else {
            continue;
        };
        let distinct =
            trials.iter().filter_map(|trial| trial.delivery_delay.as_ref()).map(|d| d.distinct).sum();
        curves.push(Curve { n, name: variant.name.clone(), histogram, distinct });
    }
    if curves.is_empty() {
        return Ok(None);
    }
    let words = Words {
        name: "percentiles",
        title: "Delivery delay by percentile",
        caption: "How long after it happened a client knows of a quote, all trials together. Lower is better; the \
                  right end is the worst moments. The line is thin and pale where fewer than ten distinct events \
                  (quotes, or polls where clients ask) lie beyond it: that far the curve is an anecdote."
            .to_owned(),
        table: table(&curves),
    };
    let height = HEIGHT + legend_height(curves.len());
    canvas::plot(words, height, &Percentiles(curves)).map(Some)
}

fn table(curves: &[Curve]) -> Table {
    let percents = QUANTILES[..4].iter().map(|q| format!("{} %", q * 100.0));
    let head = std::iter::once("variant".to_owned()).chain(percents).chain([
        "largest".to_owned(),
        "updates".to_owned(),
        "distinct events".to_owned(),
    ]);
    let row = |curve: &Curve| {
        let told = |q: &f64| {
            let us = has_tail(curve.distinct, *q).then(|| curve.ms(*q) * 1e3);
            format::or_none(us, format::duration)
        };
        std::iter::once(curve.name.clone())
            .chain(QUANTILES[..4].iter().map(told))
            .chain([
                format::duration(curve.histogram.max() as f64 / 1e3),
                format::count(curve.histogram.len()),
                format::count(curve.distinct),
            ])
            .collect()
    };
    Table { head: head.collect(), rows: curves.iter().map(row).collect() }
}

impl Drawing for Percentiles {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let (plot, below) = area.split_vertically(HEIGHT);
        let largest = self.0.iter().map(|curve| curve.ms(1.0)).fold(SMALLEST_MS, f64::max);
        let smallest = self.0.iter().map(|curve| curve.ms(0.0)).fold(largest, f64::min);
        let samples = self.0.iter().map(|curve| curve.histogram.len()).max().unwrap_or(1);
        let end = (samples as f64).log10().clamp(1.0, 5.0);
        let ticks = std::iter::once(0.0)
            .chain(QUANTILES)
            .map(|q| (place(q), format!("{} %", (q * 1e6).round() / 1e4)))
            .filter(|(at, _)| *at <= end)
            .collect();
        let x = Axis { title: "percentile of updates".to_owned(), range: 0.0..end, ticks };
        let y = Axis::decades("delivery delay (ms)", smallest, largest);
        let mut chart = axes::chart(&plot, &x, &y)?;
        for curve in &self.0 {
            canvas::begin(area, Part::Series(curve.n))?;
            let last = 1.0 - 10_f64.powf(-end);
            let told = curve.told_to().min(last);
            axes::line(&mut chart, curve.points(0.0, told), curve.n, 3, 1.0)?;
            axes::line(&mut chart, curve.points(told, last), curve.n, 1, 0.6)?;
        }
        let names: Vec<_> = self.0.iter().map(|curve| (curve.n, curve.name.clone())).collect();
        canvas::legend(&below, &names)
    }
}
