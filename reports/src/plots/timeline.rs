//! Delivery delay over time: whether the window was steady, and when it was not.

use measurement::result::{RunResult, SeriesRow};
use plotters::prelude::*;

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Part, Words, legend_height},
    timed,
};
use crate::{ReportError, format};

const HEIGHT: u32 = 380;
const SMALLEST_MS: f64 = 0.001;
/// Rows of the text table; longer windows are told by every n-th second.
const MOST_ROWS: usize = 30;

struct Line {
    n: usize,
    name: String,
    rows: Vec<SeriesRow>,
}

impl Line {
    fn points(&self, read: fn(&SeriesRow) -> Option<f64>) -> Vec<(f64, f64)> {
        let point = |row: &SeriesRow| Some((row.t_s + 0.5, ms(read(row)?).log10()));
        self.rows.iter().filter_map(point).collect()
    }
}

fn ms(us: f64) -> f64 {
    (us / 1e3).max(SMALLEST_MS)
}

struct Timeline(Vec<Line>);

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let line = |(n, variant): (usize, &measurement::result::Variant)| {
        let trial = timed(variant).find(|trial| trial.series.iter().any(|row| row.delivered > 0))?;
        Some(Line { n, name: variant.name.clone(), rows: trial.series.clone() })
    };
    let lines: Vec<Line> = result.variants.iter().enumerate().filter_map(line).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let words = Words {
        name: "timeline",
        title: "Delivery delay over time",
        caption: "One trial of each variant, second by second: the median as a thick line, the largest as a thin one. \
                  A steady window is flat; a spike in one line alone is a stall of that trial."
            .to_owned(),
        table: table(&lines),
    };
    let height = HEIGHT + legend_height(lines.len());
    canvas::plot(words, height, &Timeline(lines)).map(Some)
}

fn table(lines: &[Line]) -> Table {
    let head = ["variant", "second", "median", "largest", "updates received"].map(str::to_owned).to_vec();
    let rows = lines.iter().flat_map(|line| {
        let every = line.rows.len().div_ceil(MOST_ROWS).max(1);
        line.rows.iter().step_by(every).map(|row| {
            vec![
                line.name.clone(),
                format::plain(row.t_s),
                format::or_none(row.delay_p50_us, format::duration),
                format::or_none(row.delay_max_us, format::duration),
                format::count(row.delivered),
            ]
        })
    });
    Table { head, rows: rows.collect() }
}

impl Drawing for Timeline {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let (plot, below) = area.split_vertically(HEIGHT);
        let all = || self.0.iter().flat_map(|line| &line.rows);
        let largest = all().filter_map(|row| row.delay_max_us).map(ms).fold(SMALLEST_MS, f64::max);
        let smallest = all().filter_map(|row| row.delay_p50_us).map(ms).fold(largest, f64::min);
        let seconds = all().map(|row| row.t_s + 1.0).fold(1.0, f64::max);
        let x = Axis::linear("time in the window (s)", seconds);
        let y = Axis::decades("delivery delay (ms)", smallest, largest);
        let mut chart = axes::chart(&plot, &x, &y)?;
        for line in &self.0 {
            canvas::begin(area, Part::Series(line.n))?;
            axes::line(&mut chart, line.points(|row| row.delay_p50_us), line.n, 3, 1.0)?;
            axes::line(&mut chart, line.points(|row| row.delay_max_us), line.n, 1, 0.7)?;
        }
        let names: Vec<_> = self.0.iter().map(|line| (line.n, line.name.clone())).collect();
        canvas::legend(&below, &names)
    }
}
