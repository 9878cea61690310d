//! Axes with ticks of our own choosing. Scales that are not linear are made so by the caller: values come transformed.

use std::ops::Range;

use plotters::{
    coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
    prelude::*,
};

use super::{
    canvas::{Area, text},
    style,
};

/// With more decades not every one is labelled.
const MOST_DECADES: f64 = 8.0;
/// Larger numbers are written with an exponent: their digits would leave the drawing.
const LARGEST_WRITTEN: f64 = 1e7;

/// A chart with two axes.
pub(super) type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<Axis, Axis>>;

/// One axis: its title with the unit, its range, and the places that are labelled.
#[derive(Clone)]
pub(super) struct Axis {
    pub title: String,
    pub range: Range<f64>,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis from zero with about five ticks at round numbers.
    pub(super) fn linear(title: &str, to: f64) -> Self {
        let to = if to > 0.0 { to } else { 1.0 };
        let rough = to / 5.0;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|unit| unit * magnitude).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let count = (to / step).floor() as u32;
        let ticks = (0..=count).map(|n| f64::from(n) * step).map(|at| (at, short(at))).collect();
        Self { title: title.to_owned(), range: 0.0..to, ticks }
    }

    /// A linear axis between two values with ticks at round numbers within.
    pub(super) fn between(title: &str, from: f64, to: f64) -> Self {
        let rough = ((to - from) / 4.0).max(f64::MIN_POSITIVE);
        let magnitude = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|unit| unit * magnitude).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let ticks = (0..8).map(|n| ((from / step).ceil() + f64::from(n)) * step).take_while(|at| *at <= to);
        Self { title: title.to_owned(), range: from..to, ticks: ticks.map(|at| (at, short(at))).collect() }
    }

    /// A logarithmic axis in powers of ten: values on it are log10.
    pub(super) fn decades(title: &str, low: f64, high: f64) -> Self {
        let (from, to) = (low.log10().floor(), high.log10().ceil());
        let to = if to > from { to } else { from + 1.0 };
        let every = ((to - from) / MOST_DECADES).ceil().max(1.0) as usize;
        let powers = (from as i32..=to as i32).step_by(every);
        let ticks = powers.map(|power| (f64::from(power), short(10_f64.powi(power)))).collect();
        Self { title: title.to_owned(), range: from..to, ticks }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light grid lines, between the labelled ones, are not drawn.
        let bold = hint.bold_points() > 0;
        if bold { self.ticks.iter().map(|(at, _)| *at).collect() } else { Vec::new() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let near = self.ticks.iter().find(|(at, _)| (at - value).abs() < 1e-9);
        near.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// A number without noise from its representation: `0.1`, `2,000`.
fn short(value: f64) -> String {
    if value >= LARGEST_WRITTEN {
        format!("{value:e}")
    } else if value >= 1.0 {
        crate::format::plain((value * 100.0).round() / 100.0)
    } else {
        format!("{}", (value * 1e6).round() / 1e6)
    }
}

/// Draws both axes with a faint grid.
pub(super) fn chart<'a, B: DrawingBackend>(
    area: &'a Area<'_, B>,
    x: &Axis,
    y: &Axis,
) -> Result<Chart<'a, B>, String> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).margin_right(28).x_label_area_size(48).y_label_area_size(84);
    let mut chart = builder.build_cartesian_2d(x.clone(), y.clone()).map_err(|error| error.to_string())?;
    chart
        .configure_mesh()
        .x_desc(x.title.as_str())
        .y_desc(y.title.as_str())
        .x_labels(x.ticks.len().max(1))
        .y_labels(y.ticks.len().max(1))
        .label_style(text(14))
        .axis_desc_style(text(15))
        .axis_style(style::INK)
        .bold_line_style(style::GRID)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(chart)
}

/// A line through transformed values, in the n-th variant's look.
pub(super) fn line<B: DrawingBackend>(
    chart: &mut Chart<'_, B>,
    points: Vec<(f64, f64)>,
    n: usize,
    width: u32,
    opacity: f64,
) -> Result<(), String> {
    let stroke = style::colour(n).mix(opacity).stroke_width(width);
    let (size, gap) = style::dash(n);
    if gap == 0 {
        chart.draw_series(LineSeries::new(points, stroke)).map(drop)
    } else {
        chart.draw_series(DashedLineSeries::new(points, size, gap, stroke)).map(drop)
    }
    .map_err(|error| error.to_string())
}
