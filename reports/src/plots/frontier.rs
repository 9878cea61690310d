//! The exchange rate between bytes and staleness: measured dots over a sweep of the interval, theory behind them.
//!
//! It knows no transport: whoever asks on a timetable has a curve, everybody has a dot.

use measurement::result::{RunResult, Variant};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    axes::{self, Axis},
    canvas::{self, Area, Drawing, Part, Words},
    style, timed,
};
use crate::{
    ReportError, format,
    overview::{
        conditions_of,
        flips::{self, Law, Pull},
    },
    plan,
};

const HEIGHT: u32 = 470;
const STEPS: u32 = 80;
/// A letter of a label is no wider.
const LETTER: i32 = 9;
const LINE: i32 = 20;
const BYTES: &str = "bytes.per_client_second";

/// What is drawn upwards.
#[derive(Clone, Copy)]
enum Staleness {
    /// Share of time with a wrong price; the feed's rate of one symbol in updates a second.
    Share { rate: f64 },
    /// Mean delivery delay, where the arrivals have no closed form of the share.
    Delay,
}

impl Staleness {
    /// METRICS: `1 − e^(−λd) (1 − e^(−λP)) / (λP)` and `P/2 + d`, with the seconds P between polls and d on the way.
    fn theory(self, period_s: f64, way_s: f64) -> f64 {
        match self {
            Self::Share { rate } => {
                let updates = rate * period_s;
                1.0 - (-rate * way_s).exp() * (1.0 - (-updates).exp()) / updates
            }
            Self::Delay => period_s / 2.0 + way_s,
        }
    }

    fn measured(self, variant: &Variant) -> Option<f64> {
        let median = |metric: &str| variant.summary.get(metric).map(|summary| summary.median);
        match self {
            Self::Share { .. } => median("per_symbol.out_of_sync_share"),
            Self::Delay => median("delivery_delay.mean").map(|us| us / 1e6),
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Self::Share { .. } => format::share(value),
            Self::Delay => format::duration(value * 1e6),
        }
    }

    /// In the unit of the axis.
    fn scaled(self, value: f64) -> f64 {
        match self {
            Self::Share { .. } => value * 100.0,
            Self::Delay => value * 1e3,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Share { .. } => "price wrong (% of time)",
            Self::Delay => "mean delivery delay (ms)",
        }
    }
}

/// Variants that differ in how often they ask.
struct Curve {
    way_s: f64,
    shortest_s: f64,
    longest_s: f64,
    payload: f64,
    law: Law,
}

impl Curve {
    fn of(family: &[&Variant]) -> Option<Self> {
        let mut pulls: Vec<Pull<'_>> = family.iter().filter_map(|variant| flips::pull(variant)).collect();
        pulls.sort_by(|a, b| a.period_s.total_cmp(&b.period_s));
        let (first, last) = (pulls.first()?, pulls.last()?);
        let law = Law::between(first, last)?;
        // A poll is answered half an exchange after it left: what it brings is as old as the other half.
        let median = |variant: &&Variant| Some(variant.summary.get("response_time.p50")?.median / 2e6);
        let ways: Vec<f64> = family.iter().filter_map(median).collect();
        let way_s = if ways.is_empty() { 0.0 } else { ways.iter().sum::<f64>() / ways.len() as f64 };
        let (shortest_s, longest_s) = (first.period_s, last.period_s);
        Some(Self { way_s, shortest_s, longest_s, payload: first.rates.payload, law })
    }

    /// Bytes of a client in a second.
    fn bytes(&self, period_s: f64) -> f64 {
        self.payload + self.law.quotes + self.law.heads / period_s
    }

    /// A little further than what was measured, at intervals that grow by the same factor.
    fn points(&self, staleness: Staleness) -> Vec<(f64, f64)> {
        let (from, to) = (self.shortest_s / 1.15, self.longest_s * 1.3);
        let at = |step: u32| {
            let period_s = from * (to / from).powf(f64::from(step) / f64::from(STEPS));
            (hourly(self.bytes(period_s)), staleness.scaled(staleness.theory(period_s, self.way_s)))
        };
        (0..=STEPS).map(at).collect()
    }
}

fn hourly(bytes_per_second: f64) -> f64 {
    bytes_per_second * 3_600.0 / 1e6
}

struct Dot<'a> {
    n: usize,
    variant: &'a Variant,
    at: (f64, f64),
    /// Which curve it should lie on.
    curve: Option<usize>,
}

struct Frontier<'a> {
    staleness: Staleness,
    curves: Vec<Curve>,
    dots: Vec<Dot<'a>>,
}

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let Some(frontier) = frontier(result) else { return Ok(None) };
    let form = match frontier.staleness {
        Staleness::Share { .. } => "1 − e^(−λd) (1 − e^(−λP)) / (λP), with λ updates a second of one symbol",
        Staleness::Delay => "P/2 + d",
    };
    let rest = match result.variants.len() - frontier.dots.len() {
        0 => String::new(),
        _ => format!(" Drawn are {} of {} variants.", frontier.dots.len(), result.variants.len()),
    };
    let words = Words {
        name: "frontier",
        title: "What freshness costs in bytes",
        caption: format!(
            "Dots are measured; down and left is better. Who asks more often moves right and down along a line. The \
             lines are theory: staleness is {form}, P seconds between polls and d, half of a median exchange, on \
             the way; bytes are those of a poll divided by P, and those of the quotes, reckoned from the shortest and \
             the longest interval alone. A dot in between that lies on the line confirms \
             both; one left of it asked so rarely that the window ended before its last quotes came. Where names would \
             overlap some are left out; the table has all.{rest}"
        ),
        table: frontier.table(),
    };
    canvas::plot(words, HEIGHT, &frontier).map(Some)
}

/// Of the first conditions under which somebody asked at two intervals or more.
fn frontier(result: &RunResult) -> Option<Frontier<'_>> {
    let variants = &result.variants;
    let period = |variant: &Variant| flips::pull(variant).map(|pull| pull.period_s);
    let family = |of: &Variant| -> Vec<&Variant> {
        let like = |other: &&Variant| {
            period(other).is_some()
                && flips::unswept(other) == flips::unswept(of)
                && conditions_of(other) == conditions_of(of)
        };
        variants.iter().filter(like).collect()
    };
    let first = variants.iter().find(|variant| {
        period(variant).is_some() && family(variant).iter().any(|other| period(other) != period(variant))
    })?;
    let beside =
        || variants.iter().enumerate().filter(|(_, other)| conditions_of(other) == conditions_of(first));
    let rate = symbol_rate(result, first);
    let told = |variant: &Variant| variant.summary.contains_key("per_symbol.out_of_sync_share");
    let staleness = match rate {
        Some(rate) if beside().any(|(_, variant)| told(variant)) => Staleness::Share { rate },
        _ => Staleness::Delay,
    };
    let mut frontier = Frontier { staleness, curves: Vec::new(), dots: Vec::new() };
    let mut drawn: Vec<(&Variant, usize)> = Vec::new();
    for (n, variant) in beside() {
        let known = drawn.iter().find(|(other, _)| flips::unswept(other) == flips::unswept(variant));
        let mut curve = known.map(|(_, curve)| *curve).filter(|_| period(variant).is_some());
        if curve.is_none()
            && period(variant).is_some()
            && let Some(new) = Curve::of(&family(variant))
        {
            curve = Some(frontier.curves.len());
            drawn.push((variant, frontier.curves.len()));
            frontier.curves.push(new);
        }
        let bytes = variant.summary.get(BYTES).map(|summary| hourly(summary.median));
        if let (Some(bytes), Some(stale)) = (bytes, staleness.measured(variant)) {
            frontier.dots.push(Dot { n, variant, at: (bytes, staleness.scaled(stale)), curve });
        }
    }
    (!frontier.curves.is_empty() && frontier.dots.len() > 1).then_some(frontier)
}

/// Updates of one symbol in a second, by the schedule of the window itself: a short one may hold fewer than planned.
fn symbol_rate(result: &RunResult, variant: &Variant) -> Option<f64> {
    let planned = plan::symbol_rate(result, variant).filter(|_| plan::is_poisson(result, variant))?;
    let whole = plan::of(result, variant)["feed"]["updates_per_second"].as_f64()?;
    let wanted = timed(variant).map(|trial| trial.schedule.wanted_per_second).find(|wanted| *wanted > 0.0);
    Some(wanted.map_or(planned, |wanted| planned * wanted / whole))
}

impl Frontier<'_> {
    fn table(&self) -> Table {
        let head =
            ["variant", "asks every", "MB per user-hour", "by theory", self.staleness.title(), "by theory"];
        let cells = |dot: &Dot<'_>| {
            let period_s = dot.curve.and(dot.variant.model.period_us).map(|us| us / 1e6);
            let curve = dot.curve.map(|curve| &self.curves[curve]);
            let theory = |of: &dyn Fn(&Curve, f64) -> String| match (curve, period_s) {
                (Some(curve), Some(period_s)) => of(curve, period_s),
                _ => format::NONE.to_owned(),
            };
            let stale = self.staleness.measured(dot.variant).map(|value| self.staleness.text(value));
            vec![
                dot.variant.name.clone(),
                format::or_none(period_s, |s| format::duration(s * 1e6)),
                format::significant(dot.at.0),
                theory(&|curve, period_s| format::significant(hourly(curve.bytes(period_s)))),
                stale.unwrap_or_default(),
                theory(&|curve, s| self.staleness.text(self.staleness.theory(s, curve.way_s))),
            ]
        };
        Table { head: head.map(str::to_owned).to_vec(), rows: self.dots.iter().map(cells).collect() }
    }
}

impl Drawing for Frontier<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let lines: Vec<_> = self.curves.iter().map(|curve| curve.points(self.staleness)).collect();
        let points = || lines.iter().flatten().copied().chain(self.dots.iter().map(|dot| dot.at));
        let most = |read: fn((f64, f64)) -> f64| points().map(read).fold(0.0, f64::max) * 1.06;
        let x = Axis::linear("MB per user-hour", most(|point| point.0));
        let y = Axis::linear(self.staleness.title(), most(|point| point.1));
        let mut chart = axes::chart(area, &x, &y)?;
        let stroke = style::INK.mix(0.55).stroke_width(2);
        for line in lines {
            chart.draw_series(LineSeries::new(line, stroke)).map_err(failed)?;
        }
        let places: Vec<_> = self.dots.iter().map(|dot| chart.backend_coord(&dot.at)).collect();
        let (width, height) = area.dim_in_pixel();
        let mut taken: Vec<Space> = places.iter().map(|&(x, y)| Space::around((x, y), 8)).collect();
        // Of the axes and their labels nothing may be covered.
        let inside = Space { left: 100, top: 4, right: width as i32 - 4, bottom: height as i32 - 66 };
        for (dot, &(x, y)) in self.dots.iter().zip(&places) {
            canvas::begin(area, Part::Series(dot.n))?;
            area.draw(&Circle::new((x, y), 6, style::colour(dot.n).filled())).map_err(failed)?;
            let name = style::label(&dot.variant.name);
            if let Some((at, side, space)) = room(&name, (x, y), &inside, &taken) {
                canvas::write(area, &name, at, side)?;
                taken.push(space);
            }
        }
        canvas::begin(area, Part::Frame)
    }
}

/// A space in pixels.
#[derive(Clone, Copy)]
struct Space {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl Space {
    fn around((x, y): (i32, i32), reach: i32) -> Self {
        Self { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach }
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

/// Where a dot's name has room: beside it first, then above and below.
fn room(
    name: &str,
    (x, y): (i32, i32),
    inside: &Space,
    taken: &[Space],
) -> Option<((i32, i32), HPos, Space)> {
    let width = name.chars().count() as i32 * LETTER;
    let right = |dy: i32| ((x + 12, y + dy), HPos::Left, x + 12);
    let left = |dy: i32| ((x - 12, y + dy), HPos::Right, x - 12 - width);
    // The curves fall to the right: above and right of a dot on one there is none.
    let places = [right(-20), right(0), left(0), right(20), left(-20), left(20), right(-40), right(40)];
    places.into_iter().find_map(|(at, side, from)| {
        let space = Space { left: from, top: at.1 - LINE / 2, right: from + width, bottom: at.1 + LINE / 2 };
        let free = inside.holds(&space) && !taken.iter().any(|other| other.meets(&space));
        free.then_some((at, side, space))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_closed_forms_are_those_of_the_example() {
        let share = Staleness::Share { rate: 2.0 };
        assert!((share.theory(1.0, 0.03) - 0.59).abs() < 0.005, "{}", share.theory(1.0, 0.03));
        assert!((Staleness::Delay.theory(1.0, 0.03) - 0.53).abs() < 1e-12);
    }

    #[test]
    fn two_intervals_make_a_curve_through_their_dots() {
        assert!(frontier(&testing::result()).is_none());
        let result = testing::swept();
        let frontier = frontier(&result).unwrap();
        assert_eq!((frontier.curves.len(), frontier.dots.len()), (1, 4));
        for dot in &frontier.dots[..2] {
            let curve = &frontier.curves[dot.curve.unwrap()];
            let period_s = dot.variant.model.period_us.unwrap() / 1e6;
            let bytes = hourly(curve.bytes(period_s));
            assert!((bytes / dot.at.0 - 1.0).abs() < 1e-3, "{bytes}, {}", dot.at.0);
        }
        assert!(frontier.dots[2..].iter().all(|dot| dot.curve.is_none()));
        let plot = plot(&result).unwrap().unwrap();
        assert!(plot.svg.contains("MB per user-hour") && plot.svg.contains("data-series=\"3\""));
    }

    #[test]
    fn names_stay_apart() {
        let inside = Space { left: 0, top: 0, right: 400, bottom: 400 };
        let mut taken = vec![Space::around((200, 200), 8)];
        let mut placed = 0;
        while let Some((_, _, space)) = room("a name", (200, 200), &inside, &taken) {
            assert!(!taken.iter().any(|other| other.meets(&space)));
            taken.push(space);
            placed += 1;
        }
        assert_eq!(placed, 8);
    }
}
