//! What a crossover's grid says: who is cheapest where, and where asking becomes as cheap. Pure functions of the record.

use measurement::{
    crossover::{At, Crossover, Figures, Point},
    result::ModelKind,
};

/// Which figures are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those of trials.
    Measured,
    /// Those of the closed forms.
    Predicted,
}

/// Who is cheapest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    /// Index of the transport.
    pub transport: usize,
    /// How often it asks, if it does.
    pub interval_us: Option<f64>,
    /// What it costs.
    pub bytes_per_hour: f64,
    /// Whether its own times are void, and the prediction says that it is within the bound.
    pub assumed: bool,
}

/// The interval from which asking costs no more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BreakEven {
    /// This one.
    At(f64),
    /// Asking is cheaper already at the shortest that was measured.
    Below(f64),
    /// It is dearer still at the longest.
    Above(f64),
    /// It is dearer however rarely it is done.
    Never,
    /// There are no figures.
    Unknown,
}

/// Every transport that asks on a timetable beside every one that does not.
pub(crate) fn pairs(record: &Crossover) -> Vec<(usize, usize)> {
    let is_pull = |index: &usize| record.transports[*index].model.kind == ModelKind::Pull;
    let all = 0..record.transports.len();
    let others: Vec<usize> = all.clone().filter(|index| !is_pull(index)).collect();
    all.filter(is_pull).flat_map(|pull| others.iter().map(move |other| (pull, *other))).collect()
}

fn figures(point: &Point, side: Side) -> &Figures {
    match side {
        Side::Measured => &point.measured,
        Side::Predicted => &point.predicted,
    }
}

/// A transport at a point; who does not ask has one for all intervals.
fn at(record: &Crossover, transport: usize, interval_us: f64, rtt_us: f64, rate: f64) -> Option<&Point> {
    record.points.iter().find(|point| {
        point.transport == transport
            && point.rtt_us == rtt_us
            && point.rate == rate
            && point.interval_us.is_none_or(|interval| interval == interval_us)
    })
}

/// The fewest bytes among those whose mean delay is within the bound; those that ask do it at that interval, or at any.
pub(crate) fn cheapest(
    record: &Crossover,
    rtt_us: f64,
    rate: f64,
    interval_us: Option<f64>,
    side: Side,
) -> Option<Choice> {
    let here = record.points.iter().filter(|point| {
        let asked = interval_us.is_none() || point.interval_us.is_none() || point.interval_us == interval_us;
        asked && point.rtt_us == rtt_us && point.rate == rate
    });
    let choice = |point: &Point| {
        let found = figures(point, side);
        let delay = found.delay_us.or(point.predicted.delay_us)?;
        let bytes_per_hour = found.bytes_per_hour.filter(|_| delay <= record.within_us)?;
        let Point { transport, interval_us, .. } = *point;
        Some(Choice { transport, interval_us, bytes_per_hour, assumed: found.delay_us.is_none() })
    };
    here.filter_map(choice).min_by(|a, b| a.bytes_per_hour.total_cmp(&b.bytes_per_hour))
}

/// How many times as dear asking is as the other.
pub(crate) fn ratio(
    record: &Crossover,
    (pull, other): (usize, usize),
    (interval_us, rtt_us, rate): (f64, f64, f64),
    side: Side,
    read: fn(&Figures) -> Option<f64>,
) -> Option<f64> {
    let of = |transport| read(figures(at(record, transport, interval_us, rtt_us, rate)?, side));
    Some(of(pull)? / of(other)?).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
}

fn bytes(figures: &Figures) -> Option<f64> {
    figures.bytes_per_hour
}

/// Predicted from the calibration, measured between two intervals of the grid.
pub(crate) fn break_even(
    record: &Crossover,
    (pull, other): (usize, usize),
    rtt_us: f64,
    rate: f64,
    side: Side,
) -> BreakEven {
    match side {
        Side::Predicted => predicted(record, (pull, other), rtt_us, rate),
        Side::Measured => {
            let ratio = |interval: &f64| {
                let at = (*interval, rtt_us, rate);
                Some((*interval, ratio(record, (pull, other), at, Side::Measured, bytes)?))
            };
            between(&record.intervals_us.iter().filter_map(ratio).collect::<Vec<_>>())
        }
    }
}

fn predicted(record: &Crossover, (pull, other): (usize, usize), rtt_us: f64, rate: f64) -> BreakEven {
    let (pull, other) = (&record.transports[pull], &record.transports[other]);
    let (Some(asking), Some(calibration)) = (&pull.calibration, &other.calibration) else {
        return BreakEven::Unknown;
    };
    let at = At { interval_s: 0.0, rtt_s: rtt_us / 1e6, rate };
    let found = asking.break_even_s((calibration, other.model.kind), at);
    found.map_or(BreakEven::Never, |seconds| BreakEven::At(seconds * 1e6))
}

/// Where ratios over rising intervals pass 1. What asking costs is a constant and a part that goes with 1 / P, so between two
/// intervals the ratio is linear in that.
fn between(ratios: &[(f64, f64)]) -> BreakEven {
    let (Some(first), Some(last)) = (ratios.first(), ratios.last()) else { return BreakEven::Unknown };
    if first.1 <= 1.0 {
        return BreakEven::Below(first.0);
    }
    let crossing = ratios.windows(2).find(|pair| pair[0].1 > 1.0 && pair[1].1 <= 1.0);
    let Some([(from, above), (to, below)]) = crossing else { return BreakEven::Above(last.0) };
    let share = (above - 1.0) / (above - below);
    BreakEven::At(1.0 / (1.0 / from + share * (1.0 / to - 1.0 / from)))
}

/// How far measured and predicted figures are apart, by what `distance` says of both: median and worst.
pub(crate) fn apart(
    record: &Crossover,
    read: fn(&Figures) -> Option<f64>,
    distance: fn(f64, f64) -> f64,
) -> Option<(f64, f64)> {
    let of = |point: &Point| Some(distance(read(&point.measured)?, read(&point.predicted)?));
    let mut apart: Vec<f64> = record.points.iter().filter_map(of).collect();
    apart.sort_by(f64::total_cmp);
    Some((*apart.get(apart.len() / 2)?, *apart.last()?))
}
