//! A figure over the runs of a history: points with their ranges, the level between changes, the changes themselves.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    axes::{self, Axis},
    canvas::{self, Area, Drawing},
    style,
};
use crate::ReportError;

const HEIGHT: u32 = 300;
/// More labels would touch each other.
const MOST_LABELS: usize = 8;
/// Room above and below the points, as a share of their range.
const MARGIN: f64 = 0.08;
/// A flat series is drawn within this share of its value.
const FLAT: f64 = 0.05;

/// One run.
pub(crate) struct Spot {
    /// Below the axis: its commit.
    pub label: String,
    /// The figure.
    pub median: f64,
    /// Its range.
    pub low: f64,
    /// Its range.
    pub high: f64,
}

/// A change, drawn before the run with that index.
pub(crate) struct Mark {
    /// Of the first run after it.
    pub index: usize,
    /// How much.
    pub label: String,
}

struct Trend<'a> {
    axis: &'a str,
    spots: Vec<Spot>,
    marks: Vec<Mark>,
}

/// The drawing, a whole `<svg>` element; `title` is for those who do not see it.
pub(crate) fn svg(
    title: &str,
    axis: &str,
    spots: Vec<Spot>,
    marks: Vec<Mark>,
) -> Result<String, ReportError> {
    canvas::svg("trend", title, HEIGHT, &Trend { axis, spots, marks })
}

impl Trend<'_> {
    fn vertical(&self) -> Axis {
        let low = self.spots.iter().map(|spot| spot.low.min(spot.median)).fold(f64::INFINITY, f64::min);
        let high = self.spots.iter().map(|spot| spot.high.max(spot.median)).fold(f64::NEG_INFINITY, f64::max);
        let room = ((high - low) * MARGIN).max(high.abs().max(low.abs()) * FLAT).max(f64::MIN_POSITIVE);
        Axis::between(self.axis, if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high + room)
    }

    fn horizontal(&self) -> Axis {
        let every = self.spots.len().div_ceil(MOST_LABELS).max(1);
        let labelled = self.spots.iter().enumerate().step_by(every);
        let ticks = labelled.map(|(index, spot)| (index as f64, style::label(&spot.label))).collect();
        let title = "run, by commit".to_owned();
        Axis { title, range: -0.5..(self.spots.len() as f64 - 0.5).max(0.5), ticks }
    }

    /// Median of the runs from a change, or the beginning, to the next.
    fn levels(&self) -> Vec<(f64, f64, f64)> {
        let ends = self.marks.iter().map(|mark| mark.index).chain([self.spots.len()]);
        let mut start = 0;
        let mut levels = Vec::new();
        for end in ends {
            let mut values: Vec<f64> = self.spots[start..end].iter().map(|spot| spot.median).collect();
            values.sort_by(f64::total_cmp);
            if let Some(median) = values.get(values.len() / 2) {
                levels.push((start as f64 - 0.4, end as f64 - 0.6, *median));
            }
            start = end;
        }
        levels
    }
}

impl Drawing for Trend<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let (x, y) = (self.horizontal(), self.vertical());
        let top = y.range.end;
        let mut chart = axes::chart(area, &x, &y)?;
        for (from, to, level) in self.levels() {
            let stroke = style::colour(0).mix(0.35).stroke_width(6);
            chart.draw_series(LineSeries::new([(from, level), (to, level)], stroke)).map_err(failed)?;
        }
        for mark in &self.marks {
            let at = mark.index as f64 - 0.5;
            let stroke = style::colour(1).stroke_width(2);
            let line = DashedLineSeries::new([(at, y.range.start), (at, top)], 6, 4, stroke);
            chart.draw_series(line).map_err(failed)?;
            // Beside the line, on the side where there is room.
            let late = at > self.spots.len() as f64 * 0.8;
            let side = if late { HPos::Right } else { HPos::Left };
            let words = canvas::text(14).pos(Pos::new(side, VPos::Top));
            let label = if late { format!("{} ", mark.label) } else { format!(" {}", mark.label) };
            chart.draw_series([Text::new(label, (at, top), words)]).map_err(failed)?;
        }
        let ranges = self.spots.iter().enumerate().map(|(index, spot)| {
            PathElement::new(
                vec![(index as f64, spot.low), (index as f64, spot.high)],
                style::colour(0).mix(0.6),
            )
        });
        chart.draw_series(ranges).map_err(failed)?;
        let points = self.spots.iter().enumerate();
        let points = points
            .map(|(index, spot)| Circle::new((index as f64, spot.median), 4, style::colour(0).filled()));
        chart.draw_series(points).map_err(failed)?;
        Ok(())
    }
}
