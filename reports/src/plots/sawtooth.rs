//! Staleness of one client: how long the price it shows has been wrong, as it grows and falls.

use measurement::result::{RunResult, Trace, Variant};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Part, Words},
    style, timed,
};
use crate::{ReportError, format, overview::conditions_of};

const PANEL: u32 = 190;
const MOST_PANELS: usize = 6;
/// The time that is drawn: long enough for several polls, short enough to see single quotes.
const SHOWN_US: f64 = 1e7;

struct Panel {
    n: usize,
    name: String,
    symbol: String,
    /// How much of the window is drawn.
    shown_us: f64,
    /// Times with a wrong price: from the due instant of the first newer quote to its reception, in µs.
    ramps: Vec<(f64, f64, f64)>,
}

struct Sawtooth(Vec<Panel>);

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let panel = |(n, variant): (usize, &Variant)| {
        let (trace, window_s) =
            timed(variant).find_map(|trial| Some((trial.trace.as_ref()?, trial.window_s)))?;
        let shown_us = SHOWN_US.min(window_s * 1e6);
        Some(Panel {
            n,
            name: variant.name.clone(),
            symbol: trace.symbol.clone(),
            shown_us,
            ramps: ramps(trace, shown_us),
        })
    };
    // Of a sweep over load or feed only one point: panels stand beside each other to be compared.
    let first = result.variants.iter().find(|variant| timed(variant).any(|trial| trial.trace.is_some()));
    let beside =
        |variant: &Variant| first.is_some_and(|first| conditions_of(first) == conditions_of(variant));
    let like_first = result.variants.iter().enumerate().filter(|(_, variant)| beside(variant));
    let panels: Vec<Panel> = like_first.filter_map(panel).collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let every = panels.len().div_ceil(MOST_PANELS);
    let panels: Vec<Panel> = panels.into_iter().step_by(every).collect();
    let shown = match result.variants.len() - panels.len() {
        0 => String::new(),
        _ => format!(" Drawn are {} of {} variants.", panels.len(), result.variants.len()),
    };
    let longest_us = panels.iter().map(|panel| panel.shown_us).fold(0.0, f64::max);
    let words = Words {
        name: "sawtooth",
        title: "How long one client has shown a wrong price",
        caption: format!(
            "One symbol ({}) on one client's screen for the first {} of the window. Zero: the price is right. From \
             the instant of a newer quote the line climbs until it arrives, at the dot; the filled area is \
             wrongness. A dot alone: the wait was too short to be seen at this scale.{shown}",
            panels[0].symbol,
            format::duration(longest_us)
        ),
        table: table(&panels),
    };
    let height = PANEL * panels.len() as u32 + 30;
    canvas::plot(words, height, &Sawtooth(panels)).map(Some)
}

/// From each reception to the next: `(from, to, lag at the start)`.
fn ramps(trace: &Trace, shown_us: f64) -> Vec<(f64, f64, f64)> {
    let mut ramps = Vec::new();
    for (index, shown) in trace.receptions.iter().enumerate() {
        let next = trace.receptions.get(index + 1).map_or(f64::INFINITY, |next| next.at_us);
        let newer = trace.due_us.iter().copied().find(|&due| due > shown.due_us);
        let Some(due) = newer.filter(|&due| due < next) else { continue };
        let from = shown.at_us.max(due);
        let (from, to) = (from.max(0.0), next.min(shown_us));
        if from < to {
            ramps.push((from, to, from - due));
        }
    }
    ramps
}

fn table(panels: &[Panel]) -> Table {
    let head = ["variant", "times wrong", "longest", "wrong in all"].map(str::to_owned).to_vec();
    let row = |panel: &Panel| {
        let longest = panel.ramps.iter().map(|(from, to, lag)| lag + to - from).fold(0.0, f64::max);
        let sum: f64 = panel.ramps.iter().map(|(from, to, _)| to - from).sum();
        vec![
            panel.name.clone(),
            format::count(panel.ramps.len() as u64),
            format::duration(longest),
            format::duration(sum),
        ]
    };
    Table { head, rows: panels.iter().map(row).collect() }
}

impl Drawing for Sawtooth {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let highest = self.0.iter().flat_map(|panel| &panel.ramps);
        let highest = highest.map(|(from, to, lag)| (lag + to - from) / 1e3).fold(1.0, f64::max);
        let longest = self.0.iter().map(|panel| panel.shown_us / 1e6).fold(0.1, f64::max);
        for (index, panel) in self.0.iter().enumerate() {
            let (_, rest) = area.split_vertically(PANEL * index as u32);
            let (rest, _) = rest.split_vertically(PANEL);
            canvas::begin(area, Part::Series(panel.n))?;
            let (title, plot) = rest.split_vertically(24);
            canvas::write(&title, &style::label(&panel.name), (84, 14), HPos::Left)?;
            draw_panel(&plot, panel, (longest, highest))?;
        }
        Ok(())
    }

    fn row(&self) -> Option<u32> {
        Some(PANEL)
    }
}

fn draw_panel<B: DrawingBackend>(
    area: &Area<'_, B>,
    panel: &Panel,
    (longest_s, highest_ms): (f64, f64),
) -> Result<(), String> {
    let x = Axis::linear("time in the window (s)", longest_s);
    let mut y = Axis::linear("wrong for (ms)", highest_ms * 1.05);
    // Two labels fit a panel of this height.
    let every = y.ticks.len().div_ceil(3).max(1);
    y.ticks = y.ticks.into_iter().step_by(every).collect();
    let mut chart = axes::chart(area, &x, &y)?;
    let colour = style::colour(panel.n);
    let shapes = panel.ramps.iter().map(|&(from, to, lag)| {
        let (from, to) = (from / 1e6, to / 1e6);
        let (low, high) = (lag / 1e3, (lag / 1e3) + (to - from) * 1e3);
        vec![(from, 0.0), (from, low), (to, high), (to, 0.0)]
    });
    for shape in shapes {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let filled = Polygon::new(shape.clone(), colour.mix(0.35).filled());
        chart.draw_series(std::iter::once(filled)).map_err(failed)?;
        chart.draw_series(LineSeries::new(shape.clone(), colour.stroke_width(2))).map_err(failed)?;
        let dots = shape.get(2).map(|&end| Circle::new(end, 4, colour.filled()));
        chart.draw_series(dots).map_err(failed)?;
    }
    Ok(())
}
