//! Whether all clients wait alike: the median client beside the one that is worse off than 99 of 100.

use measurement::result::{Fairness, RunResult, Variant};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    axes::Axis,
    canvas::{self, Area, Drawing, Part, WIDTH, Words},
    style, timed,
};
use crate::{ReportError, format};

const ROW: i32 = 32;
const RIGHT: i32 = 130;
const TOP: i32 = 40;
const SMALLEST_MS: f64 = 0.001;

struct Row {
    n: usize,
    name: String,
    fairness: Fairness,
}

impl Row {
    /// Of the trial whose median client is the middle one, so that its figures belong together.
    fn of((n, variant): (usize, &Variant)) -> Option<Self> {
        let mut trials: Vec<Fairness> = timed(variant).filter_map(|trial| trial.fairness).collect();
        trials.sort_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
        let fairness = *trials.get(trials.len() / 2)?;
        Some(Self { n, name: variant.name.clone(), fairness })
    }
}

fn ms(us: f64) -> f64 {
    (us / 1e3).max(SMALLEST_MS)
}

struct Rows {
    rows: Vec<Row>,
    axis: Axis,
}

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let rows: Vec<Row> = result.variants.iter().enumerate().filter_map(Row::of).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let ends =
        || rows.iter().flat_map(|row| [Some(row.fairness.p50_us), row.fairness.p99_us]).flatten().map(ms);
    let (low, high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(SMALLEST_MS, f64::max));
    let words = Words {
        name: "fairness",
        title: "Whether all clients wait alike",
        caption: "Each client has a mean delay of its own. The dot is the median client, the ring the one that is worse \
                  off than 99 of 100; without a ring there were too few clients to tell. Jain's index, at the right, is \
                  1 when all wait equally long and 1/n when one waits for all. Of the trial in the middle."
            .to_owned(),
        table: table(&rows),
    };
    let height = (TOP + ROW * rows.len() as i32 + 62) as u32;
    let axis = Axis::decades("mean delay of a client (ms)", low, high);
    canvas::plot(words, height, &Rows { rows, axis }).map(Some)
}

fn table(rows: &[Row]) -> Table {
    let head = ["variant", "median client", "99 of 100 clients within", "Jain's index"].map(str::to_owned);
    let cells = |row: &Row| {
        vec![
            row.name.clone(),
            format::duration(row.fairness.p50_us),
            format::or_none(row.fairness.p99_us, format::duration),
            format!("{:.3}", row.fairness.jain),
        ]
    };
    Table { head: head.to_vec(), rows: rows.iter().map(cells).collect() }
}

impl Drawing for Rows {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let left = canvas::beside(self.rows.iter().map(|row| row.name.as_str()));
        let right = WIDTH as i32 - RIGHT;
        let place = |value: f64| {
            let share = (value - self.axis.range.start) / (self.axis.range.end - self.axis.range.start);
            left + (f64::from(right - left) * share).round() as i32
        };
        let bottom = TOP + ROW * self.rows.len() as i32;
        canvas::write(area, "Jain's index", (right + 16, 16), HPos::Left)?;
        for (index, row) in self.rows.iter().enumerate() {
            let y = TOP + ROW * index as i32 + ROW / 2;
            let colour = style::colour(row.n);
            canvas::begin(area, Part::Series(row.n))?;
            canvas::write(area, &style::label(&row.name), (left - 16, y), HPos::Right)?;
            for (at, _) in &self.axis.ticks {
                let x = place(*at);
                let grid = PathElement::new(vec![(x, y - ROW / 2), (x, y + ROW / 2)], style::GRID);
                area.draw(&grid).map_err(failed)?;
            }
            let from = place(ms(row.fairness.p50_us).log10());
            if let Some(p99_us) = row.fairness.p99_us {
                let to = place(ms(p99_us).log10());
                let line = PathElement::new(vec![(from, y), (to, y)], colour.stroke_width(2));
                area.draw(&line).map_err(failed)?;
                area.draw(&Circle::new((to, y), 5, colour.stroke_width(2))).map_err(failed)?;
            }
            area.draw(&Circle::new((from, y), 5, colour.filled())).map_err(failed)?;
            canvas::write(area, &format!("{:.3}", row.fairness.jain), (right + 16, y), HPos::Left)?;
        }
        canvas::begin(area, Part::Foot)?;
        let line = PathElement::new(vec![(left, bottom), (right, bottom)], style::INK);
        area.draw(&line).map_err(failed)?;
        for (at, label) in &self.axis.ticks {
            canvas::write(area, label, (place(*at), bottom + 16), HPos::Center)?;
        }
        canvas::write(area, &self.axis.title, ((left + right) / 2, bottom + 42), HPos::Center)
    }

    fn row(&self) -> Option<u32> {
        Some(ROW as u32)
    }
}
