//! Trends as one self-contained page: a plot for each series, its figures as a table below. Machines are kept apart.

use askama::Template;

use super::{Filter, HistoryError, Point, Series, by_chance, difference, short, shown, value};
use crate::{
    ReportError,
    plots::trend::{self, Mark, Spot},
};

/// What is drawn when nothing is asked for, besides every series that changed.
const HEADLINES: [&str; 6] = [
    "per_symbol.out_of_sync_share",
    "delivery_delay.p50",
    "delivery_delay.p99",
    "bytes.per_client_second",
    "bytes.header_overhead_per_update",
    "server.cpu_us_per_update",
];

#[derive(Template)]
#[template(path = "history.html")]
struct Page {
    by_chance: String,
    changes: Vec<[String; 6]>,
    sections: Vec<Section>,
}

struct Section {
    anchor: String,
    title: String,
    about: String,
    svg: String,
    rows: Vec<[String; 6]>,
}

/// The whole page.
pub fn page(series: &[Series], filter: &Filter) -> Result<String, HistoryError> {
    let asked = filter.metric.is_some() || filter.variant.is_some();
    let drawn = |series: &&Series| {
        asked || !series.changes.is_empty() || HEADLINES.contains(&series.key.metric.as_str())
    };
    let sections = series.iter().filter(drawn).enumerate().map(|(number, series)| section(number, series));
    let sections = sections.collect::<Result<Vec<_>, _>>()?;
    let changes = series.iter().filter(drawn).enumerate().flat_map(|(number, series)| {
        series.changes.iter().map(move |change| {
            let point = &series.points[change.index];
            [
                format!("s{number}"),
                short(point.commit.as_deref()),
                shown(&series.key.variant),
                shown(&series.key.metric),
                difference(change),
                format!("{:.3}", change.p),
            ]
        })
    });
    let page = Page { by_chance: by_chance(series), changes: changes.collect(), sections };
    Ok(page.render().map_err(ReportError::from)?)
}

/// The axis's title, and what values are multiplied by to be in its unit.
fn scale(unit: &str) -> (&'static str, f64) {
    match unit {
        "us" => ("ms", 1e-3),
        "s" => ("s", 1.0),
        "bytes" => ("bytes", 1.0),
        "share" => ("%", 100.0),
        "1/s" => ("per second", 1.0),
        _ => ("value", 1.0),
    }
}

fn section(number: usize, series: &Series) -> Result<Section, ReportError> {
    let key = &series.key;
    let title = format!("{} · {}", shown(&key.variant), shown(&key.metric));
    let (axis, factor) = scale(&series.unit);
    let spot = |point: &Point| Spot {
        label: short(point.commit.as_deref()),
        median: point.median * factor,
        low: point.low * factor,
        high: point.high * factor,
    };
    let spots = series.points.iter().map(spot).collect();
    let marks: Vec<Mark> =
        series.changes.iter().map(|change| Mark { index: change.index, label: difference(change) }).collect();
    let svg = trend::svg(&title, axis, spots, marks)?;
    let rows = series.points.iter().enumerate().map(|(index, point)| {
        let change = series.changes.iter().find(|change| change.index == index);
        let [median, low, high] =
            [point.median, point.low, point.high].map(|figure| value(&series.unit, figure));
        let change = change.map(|change| format!("{} (p {:.3})", difference(change), change.p));
        [
            short(point.commit.as_deref()),
            shown(&point.started_at),
            median,
            low,
            high,
            change.unwrap_or_default(),
        ]
    });
    Ok(Section {
        anchor: format!("s{number}"),
        about: format!("{} · {} ({})", shown(&key.scenario), shown(&key.machine_name), shown(&key.machine)),
        rows: rows.collect(),
        title,
        svg,
    })
}
