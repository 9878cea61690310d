//! What the server spends: processor time for each update, memory for each client.

use measurement::result::{RunResult, Variant};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    canvas::{self, Area, Drawing, WIDTH, Words},
    style,
};
use crate::{ReportError, format};

const BAR: i32 = 22;
const ROW: i32 = 36;
const LEFT: i32 = 300;
const GAP: i32 = 110;
const TOP: i32 = 44;

struct Row {
    n: usize,
    name: String,
    figures: [Option<f64>; 2],
}

/// Column title, metric, factor to the shown unit.
const COLUMNS: [(&str, &str, f64); 2] = [
    ("CPU per update (µs)", "server.cpu_us_per_update", 1.0),
    ("memory per client (kB)", "server.rss_per_client_bytes", 1e-3),
];

struct Cost(Vec<Row>);

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let row = |(n, variant): (usize, &Variant)| Row {
        n,
        name: variant.name.clone(),
        figures: COLUMNS.map(|(_, metric, factor)| Some(variant.summary.get(metric)?.median * factor)),
    };
    let rows: Vec<Row> = result.variants.iter().enumerate().map(row).collect();
    if rows.iter().all(|row| row.figures.iter().all(Option::is_none)) {
        return Ok(None);
    }
    let head = ["variant", COLUMNS[0].0, COLUMNS[1].0].map(str::to_owned).to_vec();
    let text = |row: &Row| {
        let figures = row.figures.map(|figure| format::or_none(figure, format::significant));
        std::iter::once(row.name.clone()).chain(figures).collect()
    };
    let words = Words {
        name: "cost",
        title: "What the server spends",
        caption: "Median over the trials. Processor time is that of the whole server process divided by received \
                  updates; memory is its growth from before the first connection, divided by clients. What the kernel \
                  spends on sockets is in the first and not in the second."
            .to_owned(),
        table: Table { head, rows: rows.iter().map(text).collect() },
    };
    let height = (TOP + ROW * rows.len() as i32 + 16) as u32;
    canvas::plot(words, height, &Cost(rows)).map(Some)
}

impl Drawing for Cost {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let width = (WIDTH as i32 - LEFT) / COLUMNS.len() as i32;
        for (index, row) in self.0.iter().enumerate() {
            let y = TOP + ROW * index as i32 + BAR / 2;
            canvas::write(area, &style::label(&row.name), (LEFT - 12, y), HPos::Right)?;
        }
        for (column, (title, ..)) in COLUMNS.iter().enumerate() {
            let left = LEFT + width * column as i32;
            canvas::write(area, title, (left, 18), HPos::Left)?;
            let longest = self.0.iter().filter_map(|row| row.figures[column]).fold(0.0, f64::max);
            for (index, row) in self.0.iter().enumerate() {
                let y = TOP + ROW * index as i32;
                let share =
                    row.figures[column].filter(|_| longest > 0.0).map_or(0.0, |figure| figure / longest);
                let end = left + (f64::from(width - GAP) * share).round() as i32;
                let bar = Rectangle::new([(left, y), (end, y + BAR)], style::colour(row.n).filled());
                area.draw(&bar).map_err(|error| error.to_string())?;
                let figure = format::or_none(row.figures[column], format::significant);
                canvas::write(area, &figure, (end + 8, y + BAR / 2), HPos::Left)?;
            }
        }
        Ok(())
    }
}
