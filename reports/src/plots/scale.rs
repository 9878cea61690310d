//! Cost as work grows: processor time for each update and memory for each client over a sweep. Flat lines are the goal.
//!
//! It draws only where a result has a sweep of clients or, without one, of updates.

use measurement::result::{RunResult, Variant};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Words},
    style,
};
use crate::{ReportError, format};

/// Title with the unit, metric, factor to the unit.
type Panel = (&'static str, &'static str, f64);

const PANELS: [Panel; 5] = [
    ("server CPU per update (µs)", "server.cpu_us_per_update", 1.0),
    ("generator CPU per update (µs)", "loadgen.cpu_us_per_update", 1.0),
    ("server memory per client (kB)", "server.rss_per_client_bytes", 1e-3),
    ("generator memory per client (kB)", "loadgen.rss_per_client_bytes", 1e-3),
    ("kernel memory per client (kB)", "kernel.bytes_per_client", 1e-3),
];
const HEIGHT: i32 = 300;
/// Of the legend, in pixels.
const COLUMNS: i32 = 3;
const COLUMN: i32 = 310;
const ROW: i32 = 24;
/// Key of the sweep, its words in a variant's name, title of the axis.
const SWEEPS: [(&str, &str, &str); 2] = [
    ("load.clients", "clients ", "clients"),
    ("feed.updates_per_second", "updates_per_second ", "updates a second"),
];

/// Variants that differ in the swept key only: a curve is nobody's alone, so its look goes by its own number.
struct Curve<'a> {
    name: String,
    points: Vec<(f64, &'a Variant)>,
}

impl Curve<'_> {
    /// Logarithms of the place and the figure.
    fn line(&self, (_, metric, factor): Panel) -> Vec<(f64, f64)> {
        let point = |(x, variant): &(f64, &Variant)| {
            let figure = variant.summary.get(metric)?.median * factor;
            (figure > 0.0).then(|| (x.log10(), figure.log10()))
        };
        self.points.iter().filter_map(point).collect()
    }
}

struct Scale<'a> {
    title: &'static str,
    curves: Vec<Curve<'a>>,
    panels: Vec<Panel>,
}

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let Some(scale) = SWEEPS.iter().find_map(|sweep| Scale::of(result, *sweep)) else { return Ok(None) };
    let words = Words {
        name: "scale",
        title: "Cost as work grows",
        caption: "Median over the trials, both axes logarithmic: a flat line is a cost that does not depend on how much \
                  work there is. At the left few clients share what a process costs by itself. Memory is the growth of \
                  each side from before the first connection; the kernel's is that of both ends of a connection."
            .to_owned(),
        table: scale.table(),
    };
    let rows = scale.panels.len().div_ceil(2) as i32;
    let legend = scale.curves.len().div_ceil(COLUMNS as usize) as i32 * ROW + 10;
    let height = (rows * HEIGHT + legend) as u32;
    canvas::plot(words, height, &scale).map(Some)
}

impl<'a> Scale<'a> {
    /// `None` unless some variants differ in that key only, and have figures.
    fn of(result: &'a RunResult, (key, word, title): (&'static str, &str, &'static str)) -> Option<Self> {
        let mut curves: Vec<Curve<'a>> = Vec::new();
        for variant in &result.variants {
            let Some(x) = variant.point.get(key).and_then(serde_json::Value::as_f64) else { continue };
            let parts: Vec<&str> = variant.name.split(" · ").filter(|part| !part.starts_with(word)).collect();
            let name = parts.join(" · ");
            match curves.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push((x, variant)),
                None => curves.push(Curve { name, points: vec![(x, variant)] }),
            }
        }
        for curve in &mut curves {
            curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        curves.retain(|curve| curve.points.len() > 1);
        let told = |panel: &Panel| curves.iter().any(|curve| curve.line(*panel).len() > 1);
        let panels: Vec<Panel> = PANELS.into_iter().filter(told).collect();
        (!panels.is_empty()).then_some(Self { title, curves, panels })
    }

    fn table(&self) -> Table {
        let head = ["variant", self.title].into_iter().chain(PANELS.map(|(title, ..)| title));
        let rows = self.curves.iter().flat_map(|curve| {
            curve.points.iter().map(|(x, variant)| {
                let cell = |(_, metric, factor): Panel| {
                    let median = variant.summary.get(metric).map(|summary| summary.median * factor);
                    format::or_none(median, format::significant)
                };
                [curve.name.clone(), format::plain(*x)].into_iter().chain(PANELS.map(cell)).collect()
            })
        });
        Table { head: head.map(str::to_owned).collect(), rows: rows.collect() }
    }
}

impl Drawing for Scale<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let rows = self.panels.len().div_ceil(2);
        let (plots, below) = area.split_vertically(rows as i32 * HEIGHT);
        let places = self.curves.iter().flat_map(|curve| curve.points.iter().map(|(x, _)| *x));
        let (low, high) = places.fold((f64::INFINITY, 0.0), |(low, high), x| (x.min(low), x.max(high)));
        let x = Axis::decades(self.title, low, high);
        for (panel, place) in self.panels.iter().zip(plots.split_evenly((rows, 2))) {
            let lines: Vec<_> = self.curves.iter().map(|curve| curve.line(*panel)).enumerate().collect();
            let figures = || lines.iter().flat_map(|(_, line)| line.iter().map(|(_, y)| 10_f64.powf(*y)));
            let y = Axis::decades(
                panel.0,
                figures().fold(f64::INFINITY, f64::min),
                figures().fold(f64::MIN_POSITIVE, f64::max),
            );
            let mut chart = axes::chart(&place, &x, &y)?;
            for (n, line) in lines {
                axes::line(&mut chart, line.clone(), n, 2, 1.0)?;
                let dots = line.into_iter().map(|at| Circle::new(at, 4, style::colour(n).filled()));
                chart.draw_series(dots).map_err(|error| error.to_string())?;
            }
        }
        for (n, curve) in self.curves.iter().enumerate() {
            let (x, y) = (20 + (n as i32 % COLUMNS) * COLUMN, 12 + (n as i32 / COLUMNS) * ROW);
            let stroke = PathElement::new(vec![(x, y), (x + 32, y)], style::colour(n).stroke_width(4));
            below.draw(&stroke).map_err(|error| error.to_string())?;
            canvas::write(&below, &style::label(&curve.name), (x + 42, y), HPos::Left)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn swept(key: &str, word: &str) -> RunResult {
        let mut result = testing::result();
        let (first, second) = (result.variants[0].clone(), result.variants[1].clone());
        result.variants.clear();
        for (variant, name) in [(first, "asking"), (second, "stream")] {
            for value in [100, 1_000, 10_000] {
                let mut variant = variant.clone();
                variant.name = format!("{name} · {word} {value}");
                variant.point = [(key.to_owned(), value.into())].into();
                result.variants.push(variant);
            }
        }
        result
    }

    #[test]
    fn a_sweep_of_clients_or_updates_has_curves_and_nothing_else_has() {
        assert!(plot(&testing::result()).unwrap().is_none());
        assert!(plot(&testing::swept()).unwrap().is_none());
        for (key, word, axis) in [
            ("load.clients", "clients", "clients"),
            ("feed.updates_per_second", "updates_per_second", "second"),
        ] {
            let plot = plot(&swept(key, word)).unwrap().unwrap();
            assert!(plot.svg.contains("server CPU per update") && plot.svg.contains(axis), "{key}");
            assert!(plot.svg.contains("asking") && plot.svg.contains("stream"), "{key}");
            assert_eq!(plot.table.rows.len(), 6);
            assert_eq!(plot.table.rows[0][..3], ["asking", "100", "10.0"].map(str::to_owned));
            assert!(plot.table.rows.iter().all(|row| row.len() == plot.table.head.len()));
        }
    }
}
