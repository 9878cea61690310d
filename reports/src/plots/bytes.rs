//! Bytes on the wire for each received update, by layer, as stacked bars to scale.

use measurement::result::{Layers, RunResult, Variant, Verdict};
use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot, Table,
    canvas::{self, Area, Drawing, Part, WIDTH, Words},
    style,
};
use crate::{ReportError, format};

const BAR: i32 = 26;
const ROW: i32 = 42;
const RIGHT: i32 = 100;
const TOP: i32 = 46;

type Layer = (&'static str, fn(&Layers) -> u64);

const LAYERS: [Layer; 5] = [
    ("payload", |layers| layers.payload),
    ("app framing", |layers| layers.app_framing),
    ("transport framing", |layers| layers.transport_framing),
    ("headers", |layers| layers.headers),
    ("TLS", |layers| layers.tls),
];

struct Bar {
    n: usize,
    name: String,
    /// Bytes per received update of each layer, both directions.
    layers: [f64; 5],
}

impl Bar {
    fn total(&self) -> f64 {
        self.layers.iter().sum()
    }
}

struct Bars(Vec<Bar>);

pub(super) fn plot(result: &RunResult) -> Result<Option<Plot>, ReportError> {
    let bars: Vec<Bar> = result.variants.iter().enumerate().filter_map(bar).collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let head = std::iter::once("variant".to_owned())
        .chain(LAYERS.iter().map(|(name, _)| (*name).to_owned()))
        .chain(["all".to_owned()])
        .collect();
    let row = |bar: &Bar| {
        let figures = bar.layers.iter().copied().chain([bar.total()]).map(format::significant);
        std::iter::once(bar.name.clone()).chain(figures).collect()
    };
    let words = Words {
        name: "bytes",
        title: "Bytes for each received update",
        caption: "Both directions, measure phase, to scale; without TCP/IP. Everything right of the payload is what \
                  the transport adds. Requests that brought nothing are in it."
            .to_owned(),
        table: Table { head, rows: bars.iter().map(row).collect() },
    };
    let height = (TOP + ROW * bars.len() as i32 + 56) as u32;
    canvas::plot(words, height, &Bars(bars)).map(Some)
}

fn bar((n, variant): (usize, &Variant)) -> Option<Bar> {
    let trials = || variant.trials.iter().filter(|trial| trial.validity.classes.bytes < Verdict::Invalid);
    let received: u64 = trials().map(|trial| trial.updates.received_in_window).sum();
    if received == 0 {
        return None;
    }
    let of = |read: fn(&Layers) -> u64| {
        let sum: u64 = trials().map(|trial| read(&trial.bytes.received) + read(&trial.bytes.sent)).sum();
        sum as f64 / received as f64
    };
    Some(Bar { n, name: variant.name.clone(), layers: LAYERS.map(|(_, read)| of(read)) })
}

impl Drawing for Bars {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let longest = self.0.iter().map(Bar::total).fold(1.0, f64::max);
        let left = canvas::beside(self.0.iter().map(|bar| bar.name.as_str()));
        let scale = f64::from(WIDTH as i32 - left - RIGHT) / longest;
        for (n, (name, _)) in LAYERS.iter().enumerate() {
            let x = 20 + n as i32 * 186;
            area.draw(&Rectangle::new([(x, 10), (x + 22, 26)], style::colour(n).filled())).map_err(failed)?;
            canvas::write(area, name, (x + 30, 18), HPos::Left)?;
        }
        for (index, bar) in self.0.iter().enumerate() {
            let y = TOP + ROW * index as i32;
            canvas::begin(area, Part::Series(bar.n))?;
            canvas::write(area, &style::label(&bar.name), (left - 12, y + BAR / 2), HPos::Right)?;
            let mut from = 0.0;
            for (n, bytes) in bar.layers.iter().enumerate() {
                let place = |bytes: f64| left + (bytes * scale).round() as i32;
                let corners = [(place(from), y), (place(from + bytes), y + BAR)];
                if corners[1].0 > corners[0].0 {
                    area.draw(&Rectangle::new(corners, style::colour(n).filled())).map_err(failed)?;
                }
                from += bytes;
            }
            let end = left + (from * scale).round() as i32 + 8;
            canvas::write(area, &format!("{} B", format::significant(from)), (end, y + BAR / 2), HPos::Left)?;
        }
        canvas::begin(area, Part::Foot)?;
        let y = TOP + ROW * self.0.len() as i32 + 22;
        canvas::write(area, "bytes per received update (B)", (left, y), HPos::Left)
    }

    fn row(&self) -> Option<u32> {
        Some(ROW as u32)
    }
}
