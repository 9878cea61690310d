//! A search for capacity: each condition's figure against the value that was varied, with the limit.

use measurement::{
    capacity::{Capacity, Condition, Found, Outcome},
    gate::Limit,
    metrics,
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Words},
    style,
};
use crate::{ReportError, format};

const HEIGHT: i32 = 420;

struct Panel {
    title: String,
    limit: f64,
    /// For each variant: place and figure as logarithms, and whether it held.
    lines: Vec<Vec<(f64, f64, bool)>>,
}

struct Drawn {
    varied: String,
    names: Vec<(usize, String)>,
    panels: Vec<Panel>,
}

/// `None` where no step has a figure.
pub(crate) fn plot(capacity: &Capacity) -> Result<Option<Plot>, ReportError> {
    let panels: Vec<Panel> = (0..capacity.conditions.len()).map(|place| panel(capacity, place)).collect();
    if panels.iter().all(|panel| panel.lines.iter().all(Vec::is_empty)) {
        return Ok(None);
    }
    let names: Vec<(usize, String)> =
        capacity.variants.iter().map(|found| found.name.clone()).enumerate().collect();
    let drawn = Drawn { varied: capacity.varied.clone(), names, panels };
    let height = drawn.panels.len() as u32 * HEIGHT as u32 + canvas::legend_height(drawn.names.len());
    let words = Words {
        name: "capacity",
        title: "Where the condition breaks",
        caption: "Each dot is a value that was tried, median over its trials: full where the condition held, hollow where it \
                  did not. The dashed line is the limit. Values whose figures are void have no dot."
            .to_owned(),
        table: Table {
            head: ["variant", &capacity.varied, "figure"].map(str::to_owned).to_vec(),
            rows: capacity.variants.iter().flat_map(rows).collect(),
        },
    };
    canvas::plot(words, height, &drawn).map(Some)
}

fn rows(found: &Found) -> impl Iterator<Item = Vec<String>> + '_ {
    found.steps.iter().map(|step| {
        let figure = step.figures.first().copied().flatten();
        vec![found.name.clone(), format::plain(step.value), format::or_none(figure, format::significant)]
    })
}

fn panel(capacity: &Capacity, place: usize) -> Panel {
    let Condition { metric, limit } = &capacity.conditions[place];
    let (unit, factor) = match metrics::find(metric).map_or("", |metric| metric.unit) {
        "us" => ("ms", 1e-3),
        "share" => ("%", 100.0),
        unit => (unit, 1.0),
    };
    let limit = match limit {
        Limit::Below(limit) | Limit::Above(limit) | Limit::Equals(limit) | Limit::MaxIncrease(limit) => {
            *limit
        }
    };
    let line = |found: &Found| {
        let point = |step: &measurement::capacity::Step| {
            let figure = step.figures.get(place).copied().flatten()? * factor;
            let held = step.outcome == Outcome::Held;
            (figure > 0.0).then(|| (step.value.log10(), figure.log10(), held))
        };
        let mut points: Vec<(f64, f64, bool)> = found.steps.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let title = if unit.is_empty() { metric.clone() } else { format!("{metric} ({unit})") };
    Panel { title, limit: limit * factor, lines: capacity.variants.iter().map(line).collect() }
}

impl Panel {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, varied: &str) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let points = || self.lines.iter().flatten();
        let (low, high) = range(&mut points().map(|(x, ..)| 10_f64.powf(*x)));
        let limit = (self.limit > 0.0).then_some(self.limit);
        let (least, most) = range(&mut points().map(|(_, y, _)| 10_f64.powf(*y)).chain(limit));
        let word = match varied {
            "load.clients" => "clients",
            "feed.updates_per_second" => "updates a second",
            other => other,
        };
        if !(low.is_finite() && least.is_finite()) {
            return Ok(());
        }
        let (x, y) = (Axis::decades(word, low, high), Axis::decades(&self.title, least, most));
        let (from, to) = (x.range.start, x.range.end);
        let mut chart = axes::chart(area, &x, &y)?;
        if let Some(limit) = limit.map(f64::log10) {
            let stroke = style::INK.mix(0.7).stroke_width(2);
            chart
                .draw_series(DashedLineSeries::new([(from, limit), (to, limit)], 6, 4, stroke))
                .map_err(failed)?;
            let above = canvas::text(14).pos(Pos::new(HPos::Left, VPos::Bottom));
            let label = Text::new(" limit", (from, limit), above);
            chart.draw_series([label]).map_err(failed)?;
        }
        for (n, line) in self.lines.iter().enumerate() {
            axes::line(&mut chart, line.iter().map(|(x, y, _)| (*x, *y)).collect(), n, 2, 0.6)?;
            let dots = line.iter().map(|(x, y, held)| {
                let colour = style::colour(n);
                let look = if *held { colour.filled() } else { colour.stroke_width(2) };
                Circle::new((*x, *y), 5, look)
            });
            chart.draw_series(dots).map_err(failed)?;
        }
        Ok(())
    }
}

impl Drawing for Drawn {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let (plots, below) = area.split_vertically(self.panels.len() as i32 * HEIGHT);
        for (panel, place) in self.panels.iter().zip(plots.split_evenly((self.panels.len(), 1))) {
            panel.draw(&place, &self.varied)?;
        }
        canvas::legend(&below, &self.names)
    }
}
