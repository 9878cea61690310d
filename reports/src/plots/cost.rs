//! What the server spends: processor time for each update and for each user, memory for each client.

use measurement::result::{RunResult, Variant};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    canvas::{self, Area, Drawing, Part, WIDTH, Words},
    style,
};
use crate::{ReportError, format};

const BAR: i32 = 22;
const ROW: i32 = 36;
const GAP: i32 = 80;
const TOP: i32 = 44;

/// Column title, metric, factor to the shown unit.
type Column = (&'static str, &'static str, f64);

/// What is drawn.
const DRAWN: [Column; 3] = [
    ("CPU per update (µs)", "server.cpu_us_per_update", 1.0),
    ("CPU, 1,000 users (% core)", "server.cpu_seconds_per_client_second", 1e5),
    ("memory per client (kB)", "server.rss_per_client_bytes", 1e-3),
];
/// Of the table only: the first grows with what the process holds besides clients, the others are not the server's alone.
const TOLD: [Column; 3] = [
    ("server memory (MB)", "server.rss_bytes", 1e-6),
    ("kernel memory per client (kB)", "kernel.bytes_per_client", 1e-3),
    ("generator memory per client (kB)", "loadgen.rss_per_client_bytes", 1e-3),
];

struct Row<'a> {
    n: usize,
    variant: &'a Variant,
}

impl Row<'_> {
    fn figure(&self, (_, metric, factor): Column) -> Option<f64> {
        Some(self.variant.summary.get(metric)?.median * factor)
    }

    /// Median and, where there are several trials, from where to where.
    fn text(&self, column: Column) -> String {
        let Some(summary) = self.variant.summary.get(column.1) else { return format::NONE.to_owned() };
        let show = |value: f64| format::significant(value * column.2);
        let (median, low, high) = (show(summary.median), show(summary.low), show(summary.high));
        if low == high { median } else { format!("{median} ({low} – {high})") }
    }
}

struct Cost<'a>(Vec<Row<'a>>);

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let rows: Vec<Row<'_>> =
        result.variants.iter().enumerate().map(|(n, variant)| Row { n, variant }).collect();
    if rows.iter().all(|row| DRAWN.iter().all(|column| row.figure(*column).is_none())) {
        return Ok(None);
    }
    let columns = || DRAWN.into_iter().chain(TOLD);
    let head = std::iter::once("variant").chain(columns().map(|(title, ..)| title)).map(str::to_owned);
    let cells = |row: &Row<'_>| {
        std::iter::once(row.variant.name.clone()).chain(columns().map(|column| row.text(column))).collect()
    };
    let words = Words {
        name: "cost",
        title: "What the server spends",
        caption: "Median over the trials; less is better. Processor time is that of the whole server process, the \
                  kernel's work on its sockets with it; memory is the growth of the process from before the first \
                  connection, divided by clients. What the kernel holds for a client is apart, in the table: of both ends, where both are \
                  on this machine."
            .to_owned(),
        table: Table { head: head.collect(), rows: rows.iter().map(cells).collect() },
    };
    let height = (TOP + ROW * rows.len() as i32 + 16) as u32;
    canvas::plot(words, height, &Cost(rows)).map(Some)
}

impl Drawing for Cost<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let start = canvas::beside(self.0.iter().map(|row| row.variant.name.as_str()));
        let width = (WIDTH as i32 - start) / DRAWN.len() as i32;
        let left = |column: usize| start + width * column as i32;
        for (column, (title, ..)) in DRAWN.iter().enumerate() {
            canvas::write(area, title, (left(column), 18), HPos::Left)?;
        }
        let longest = |column| self.0.iter().filter_map(|row| row.figure(column)).fold(0.0, f64::max);
        let longest = DRAWN.map(longest);
        for (index, row) in self.0.iter().enumerate() {
            let y = TOP + ROW * index as i32;
            canvas::begin(area, Part::Series(row.n))?;
            canvas::write(area, &style::label(&row.variant.name), (start - 12, y + BAR / 2), HPos::Right)?;
            for (column, longest) in longest.into_iter().enumerate() {
                let figure = row.figure(DRAWN[column]);
                let share = figure.filter(|_| longest > 0.0).map_or(0.0, |figure| figure / longest);
                let end = left(column) + (f64::from(width - GAP) * share.max(0.0)).round() as i32;
                let corners = [(left(column), y), (end, y + BAR)];
                let bar = Rectangle::new(corners, style::colour(row.n).filled());
                area.draw(&bar).map_err(|error| error.to_string())?;
                let figure = format::or_none(figure, format::significant);
                canvas::write(area, &figure, (end + 8, y + BAR / 2), HPos::Left)?;
            }
        }
        Ok(())
    }

    fn row(&self) -> Option<u32> {
        Some(ROW as u32)
    }
}
