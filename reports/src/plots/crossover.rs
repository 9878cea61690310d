//! A crossover as maps: tiles of interval and rate for each round trip, coloured by who is cheapest or by how much.

use measurement::crossover::{Crossover, Figures};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    Plot, Table,
    canvas::{self, Area, Drawing, Words},
    style,
};
use crate::{
    ReportError,
    crossover::{
        grid::{self, BreakEven, Side},
        round_trip,
    },
    format,
};

const LEFT: i32 = 110;
const TOP: i32 = 40;
const ROW: i32 = 300;
const GAP: i32 = 24;
const HEAD: i32 = 52;
const FOOT: i32 = 58;
/// A ratio of this or its inverse has the full colour.
const STRONGEST: f64 = 10.0;

struct Tile {
    colour: RGBAColor,
    words: String,
    under: String,
}

/// A row of panels, one for each round trip.
struct Row {
    title: String,
    /// By round trip, then by interval, then by rate.
    tiles: Vec<Vec<Vec<Tile>>>,
    /// By round trip, then by rate: the place of a line among the intervals, from 0 of the first to 1 of the second.
    line: Vec<Vec<Option<f64>>>,
}

struct Sheet {
    heading: String,
    rtts: Vec<String>,
    intervals: Vec<String>,
    rates: Vec<String>,
    rows: Vec<Row>,
    legend: Vec<(RGBAColor, String)>,
}

/// The map of the cheapest, and one for each pair; with their file names.
pub(crate) fn all(record: &Crossover) -> Result<Vec<(String, Plot)>, ReportError> {
    let mut plots = vec![("crossover-cheapest".to_owned(), drawn(&cheapest(record))?)];
    for pair in grid::pairs(record) {
        let (pull, other) = (&record.transports[pair.0].name, &record.transports[pair.1].name);
        let name = format!("crossover-{}-{}", format::slug(pull), format::slug(other));
        plots.push((name, drawn(&ratios(record, pair))?));
    }
    Ok(plots)
}

fn drawn(sheet: &Sheet) -> Result<Plot, ReportError> {
    let words = Words {
        name: "crossover",
        title: "Where asking beats pushing",
        caption: String::new(),
        table: Table::default(),
    };
    let legend = canvas::legend_height(sheet.legend.len()) as i32;
    let height = TOP + sheet.rows.len() as i32 * ROW + legend;
    canvas::plot(words, height as u32, sheet)
}

fn sheet(record: &Crossover, heading: String, rows: Vec<Row>, legend: Vec<(RGBAColor, String)>) -> Sheet {
    let every = |us: &f64| format::duration(*us);
    Sheet {
        heading,
        rtts: record.rtts_us.iter().map(|us| round_trip(*us)).collect(),
        intervals: record.intervals_us.iter().map(every).collect(),
        rates: record.rates.iter().map(|rate| format::plain(*rate)).collect(),
        rows,
        legend,
    }
}

/// Tiles of every point, by round trip, interval and rate.
fn tiles(record: &Crossover, tile: impl Fn(f64, f64, f64) -> Tile) -> Vec<Vec<Vec<Tile>>> {
    let rates = |rtt, interval| record.rates.iter().map(|rate| tile(interval, rtt, *rate)).collect();
    let intervals = |rtt| record.intervals_us.iter().map(|interval| rates(rtt, *interval)).collect();
    record.rtts_us.iter().map(|rtt| intervals(*rtt)).collect()
}

fn none() -> Tile {
    Tile { colour: style::GRID, words: format::NONE.to_owned(), under: String::new() }
}

fn cheapest(record: &Crossover) -> Sheet {
    let of = |side: Side| {
        let tile = |interval, rtt, rate| {
            let Some(choice) = grid::cheapest(record, rtt, rate, Some(interval), side) else { return none() };
            let colour = style::colour(choice.transport).mix(0.45);
            let mark = if choice.assumed { format::UNRESOLVED.to_string() } else { String::new() };
            let words = format!("{mark}{}", record.transports[choice.transport].name);
            Tile { colour, words, under: format!("{}/h", format::bytes(choice.bytes_per_hour)) }
        };
        let title = match side {
            Side::Measured => "measured",
            Side::Predicted => "predicted",
        };
        let line = record.rtts_us.iter().map(|_| vec![None; record.rates.len()]).collect();
        Row { title: title.to_owned(), tiles: tiles(record, tile), line }
    };
    let within = format::duration(record.within_us);
    let heading = format!("Fewest bytes of a user-hour among those whose mean delay is at most {within}");
    let names = record.transports.iter().enumerate();
    let legend = names.map(|(n, one)| (style::colour(n).mix(0.45), one.name.clone())).collect();
    sheet(record, heading, vec![of(Side::Predicted), of(Side::Measured)], legend)
}

fn ratios(record: &Crossover, pair: (usize, usize)) -> Sheet {
    let (pull, other) = (&record.transports[pair.0].name, &record.transports[pair.1].name);
    let of = |read: fn(&Figures) -> Option<f64>, predicted: bool| {
        move |interval, rtt, rate| {
            let ratio = |side| grid::ratio(record, pair, (interval, rtt, rate), side, read);
            let Some(measured) = ratio(Side::Measured) else { return none() };
            let under = ratio(Side::Predicted).filter(|_| predicted);
            let under = under.map(|ratio| format!("predicted {}", times(ratio))).unwrap_or_default();
            Tile { colour: shade(measured), words: times(measured), under }
        }
    };
    let line = |rtt: &f64| {
        let place = |rate: &f64| match grid::break_even(record, pair, *rtt, *rate, Side::Predicted) {
            BreakEven::At(us) => place(&record.intervals_us, us),
            BreakEven::Below(_) | BreakEven::Above(_) | BreakEven::Never | BreakEven::Unknown => None,
        };
        record.rates.iter().map(place).collect()
    };
    let bytes = Row {
        title: "bytes".to_owned(),
        tiles: tiles(record, of(|figures| figures.bytes_per_hour, true)),
        line: record.rtts_us.iter().map(line).collect(),
    };
    let cpu = Row {
        title: "server CPU".to_owned(),
        tiles: tiles(record, of(|figures| figures.cpu_s_per_hour, false)),
        line: record.rtts_us.iter().map(|_| vec![None; record.rates.len()]).collect(),
    };
    let heading = format!("Costs of {}, times those of {}", style::label(pull), style::label(other));
    let legend = vec![
        (shade(STRONGEST), format!("{pull} costs more")),
        (shade(1.0 / STRONGEST), format!("{pull} costs less")),
        (style::INK.mix(0.9), "predicted break-even of bytes".to_owned()),
    ];
    sheet(record, heading, vec![bytes, cpu], legend)
}

/// `3.4 ×`
fn times(ratio: f64) -> String {
    format!("{} ×", format::significant(ratio))
}

/// Dearer in one colour, cheaper in another, stronger the further from the same.
fn shade(ratio: f64) -> RGBAColor {
    let strength = (ratio.ln().abs() / STRONGEST.ln()).min(1.0);
    let n = usize::from(ratio > 1.0);
    style::colour(n).mix(0.1 + 0.6 * strength)
}

/// The place of an interval among rising ones, by its logarithm; `None` where it is no nearer to a tile than half of one.
fn place(intervals: &[f64], us: f64) -> Option<f64> {
    let last = intervals.len().checked_sub(2)?;
    let within = intervals.windows(2).position(|pair| us <= pair[1]).unwrap_or(last);
    let (from, to) = (intervals.get(within)?, intervals.get(within + 1)?);
    let place = within as f64 + (us / from).ln() / (to / from).ln();
    (-0.5..=last as f64 + 1.5).contains(&place).then_some(place)
}

impl Drawing for Sheet {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let middle = canvas::WIDTH as i32 / 2;
        let style = canvas::text(18).pos(Pos::new(HPos::Center, VPos::Center));
        area.draw(&Text::new(self.heading.clone(), (middle, TOP / 2), style)).map_err(failed)?;
        for (number, row) in self.rows.iter().enumerate() {
            self.row(area, row, TOP + number as i32 * ROW)?;
        }
        let foot = TOP + self.rows.len() as i32 * ROW;
        for (number, (colour, name)) in self.legend.iter().enumerate() {
            let (x, y) = (20 + (number as i32 % 3) * 310, foot + 14 + (number as i32 / 3) * 24);
            area.draw(&Rectangle::new([(x, y - 7), (x + 26, y + 7)], colour.filled())).map_err(failed)?;
            canvas::write(area, &style::label(name), (x + 34, y), HPos::Left)?;
        }
        Ok(())
    }
}

impl Sheet {
    fn row<B: DrawingBackend>(&self, area: &Area<'_, B>, row: &Row, top: i32) -> Result<(), String> {
        let panels = self.rtts.len().max(1) as i32;
        let width = (canvas::WIDTH as i32 - LEFT - GAP * panels) / panels;
        let (tile_width, tile_height) = (
            width / self.rates.len().max(1) as i32,
            (ROW - HEAD - FOOT) / self.intervals.len().max(1) as i32,
        );
        let bottom = top + HEAD + tile_height * self.intervals.len() as i32;
        canvas::write(area, &row.title, (8, top + 14), HPos::Left)?;
        canvas::write(area, "asks every", (8, top + 36), HPos::Left)?;
        for (n, interval) in self.intervals.iter().enumerate() {
            let y = bottom - tile_height * n as i32 - tile_height / 2;
            canvas::write(area, interval, (LEFT - 10, y), HPos::Right)?;
        }
        for (panel, rtt) in self.rtts.iter().enumerate() {
            let left = LEFT + panel as i32 * (width + GAP);
            let centre = left + tile_width * self.rates.len() as i32 / 2;
            canvas::write(area, &format!("round trip {rtt}"), (centre, top + 36), HPos::Center)?;
            canvas::write(area, "updates a second", (centre, bottom + 36), HPos::Center)?;
            for (m, rate) in self.rates.iter().enumerate() {
                let x = left + tile_width * m as i32;
                canvas::write(area, rate, (x + tile_width / 2, bottom + 14), HPos::Center)?;
                for n in 0..self.intervals.len() {
                    let y = bottom - tile_height * (n as i32 + 1);
                    let tile = row.tiles.get(panel).and_then(|by| by.get(n)).and_then(|by| by.get(m));
                    if let Some(tile) = tile {
                        tile.draw(area, [(x, y), (x + tile_width - 2, y + tile_height - 2)])?;
                    }
                }
            }
            let at = |place: f64| bottom - (tile_height as f64 * (place + 0.5)).round() as i32;
            let places = row.line.get(panel).map_or(&[][..], Vec::as_slice);
            self.line(area, places, (left, tile_width), &at)?;
        }
        Ok(())
    }

    /// A step in each rate's column where its break-even lies.
    fn line<B: DrawingBackend>(
        &self,
        area: &Area<'_, B>,
        places: &[Option<f64>],
        (left, width): (i32, i32),
        at: &impl Fn(f64) -> i32,
    ) -> Result<(), String> {
        for (m, place) in places.iter().enumerate() {
            let Some(y) = place.map(at) else { continue };
            let x = left + width * m as i32;
            let stroke = style::INK.mix(0.9).stroke_width(3);
            let step = PathElement::new(vec![(x, y), (x + width - 2, y)], stroke);
            area.draw(&step).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Tile {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, corners: [(i32, i32); 2]) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        area.draw(&Rectangle::new(corners, self.colour.filled())).map_err(failed)?;
        let [(left, top), (right, bottom)] = corners;
        let (x, y) = (i32::midpoint(left, right), i32::midpoint(top, bottom));
        let lines = [(&self.words, 14, if self.under.is_empty() { 0 } else { -8 }), (&self.under, 11, 9)];
        for (words, size, dy) in lines {
            // What does not fit is left out: the table has it.
            let letters = (right - left) * 10 / (size * 6);
            let words: String = style::label(words).chars().take(letters.max(0) as usize).collect();
            if !words.is_empty() {
                let style = canvas::text(size).pos(Pos::new(HPos::Center, VPos::Center));
                area.draw(&Text::new(words, (x, y + dy), style)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_its_place_by_its_logarithm() {
        let intervals = [1e5, 1e6, 1e7];
        let check = |us, expected: Option<f64>| {
            let found = place(&intervals, us).map(|place| (place * 1e6).round() / 1e6);
            assert_eq!(found, expected, "{us}");
        };
        check(1e5, Some(0.0));
        check(1e6, Some(1.0));
        check(1e6 * 10_f64.sqrt(), Some(1.5));
        check(2e7, Some(2.30103));
        check(1e12, None);
        check(1.0, None);
        assert_eq!(place(&[1e6], 1e6), None);
    }
}
