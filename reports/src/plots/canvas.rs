//! One drawing, twice: as SVG and as PNG. Fonts, titles, legends and what every plot shares.
//!
//! Which part of an SVG belongs to which variant is marked while it is drawn, so that the page can hide it.

use std::sync::Once;

use plotters::{
    coord::Shift,
    element::DashedPathElement,
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Plot, Table, style};
use crate::ReportError;

/// Width of every plot in pixels.
pub(super) const WIDTH: u32 = 960;
/// A stroke as faint as this is no part of a picture: its colour says whose the following is.
const FAINT: f64 = 0.001;
/// How the SVG of such a stroke begins, up to its colour.
const MARK: &str = "<polyline fill=\"none\" opacity=\"0.001\" stroke=\"#";
const LEGEND_ROW: i32 = 24;
const LEGEND_COLUMN: i32 = 310;
const TEXT: i32 = 15;

/// A drawing surface of either kind.
pub(super) type Area<'a, B> = DrawingArea<B, Shift>;

/// A drawing that can be made on any surface.
pub(super) trait Drawing {
    /// Draws itself.
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String>;

    /// Height of each variant's row in pixels, where variants are rows: those below a hidden one move up by it.
    fn row(&self) -> Option<u32> {
        None
    }
}

/// Whose a part of a drawing is.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Everybody's: axes, titles.
    Frame,
    /// Everybody's, below the last row.
    Foot,
    /// The n-th variant's.
    Series(usize),
}

/// What is drawn from here on is that part.
pub(super) fn begin<B: DrawingBackend>(area: &Area<'_, B>, part: Part) -> Result<(), String> {
    let number = match part {
        Part::Frame => 0,
        Part::Foot => 1,
        Part::Series(n) => u16::try_from(n).unwrap_or(u16::MAX).saturating_add(2),
    };
    let [high, low] = number.to_be_bytes();
    let stroke = PathElement::new(vec![(0, 0), (0, 0)], RGBColor(0, high, low).mix(FAINT));
    area.draw(&stroke).map_err(|error| error.to_string())
}

/// The number of the mark that a line of an SVG is, if it is one. A text cannot be: its `<` is escaped.
fn mark(line: &str) -> Option<u32> {
    u32::from_str_radix(line.strip_prefix(MARK)?.get(..6)?, 16).ok()
}

/// Groups in place of marks.
fn group(body: &str) -> String {
    let mut grouped = String::new();
    let mut open = false;
    for line in body.lines() {
        let Some(number) = mark(line) else {
            grouped.push_str(line);
            grouped.push('\n');
            continue;
        };
        if open {
            grouped.push_str("</g>\n");
        }
        open = number > 0;
        match number {
            0 => {}
            1 => grouped.push_str("<g class=\"foot\">\n"),
            n => grouped.push_str(&format!("<g class=\"series\" data-series=\"{}\">\n", n - 2)),
        }
    }
    if open {
        grouped.push_str("</g>\n");
    }
    grouped
}

/// What a plot is called and how it is read.
pub(super) struct Words {
    pub name: &'static str,
    pub title: &'static str,
    pub caption: String,
    pub table: Table,
}

/// Makes both pictures of a drawing.
pub(super) fn plot(words: Words, height: u32, drawing: &impl Drawing) -> Result<Plot, ReportError> {
    register_fonts();
    let failed = |cause: String| ReportError::Draw { plot: words.name, cause };
    let svg = draw_svg(height, drawing).map_err(failed)?;
    let png = draw_png(height, drawing).map_err(failed)?;
    let Words { name, title, caption, table } = words;
    Ok(Plot { name, title, caption, svg: for_page(&svg, title, drawing.row()), png, table })
}

/// The page's picture alone, under a title that may hold any text.
pub(super) fn svg(
    plot: &'static str,
    title: &str,
    height: u32,
    drawing: &impl Drawing,
) -> Result<String, ReportError> {
    register_fonts();
    let svg = draw_svg(height, drawing).map_err(|cause| ReportError::Draw { plot, cause })?;
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(for_page(&svg, &title, drawing.row()))
}

fn draw_svg(height: u32, drawing: &impl Drawing) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        drawing.draw(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

fn draw_png(height: u32, drawing: &impl Drawing) -> Result<Vec<u8>, String> {
    let mut pixels = vec![255; (WIDTH * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        drawing.draw(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer.write_image_data(&pixels).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(file)
}

/// An SVG that scales with the page, has a name for those who do not see it, and follows the page's text colour.
fn for_page(svg: &str, title: &str, row: Option<u32>) -> String {
    let body = svg.find("<svg").and_then(|start| svg[start..].find('>').map(|end| start + end + 1));
    let (Some(start), Some(end)) = (body, svg.rfind("</svg>")) else { return svg.to_owned() };
    let viewbox = svg.find("viewBox=\"").map_or("", |at| svg[at + 9..].split('"').next().unwrap_or(""));
    let body = group(&svg[start..end])
        .replace("#333333", "currentColor")
        .replace("\"sans-serif\"", "\"DejaVu Sans, sans-serif\"");
    let row = row.map(|pixels| format!(" data-row=\"{pixels}\"")).unwrap_or_default();
    format!(
        "<svg viewBox=\"{viewbox}\"{row} role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title>{body}</svg>"
    )
}

/// plotters finds no font by itself: without one even text in SVG fails.
fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let fonts: [(FontStyle, &'static [u8]); 2] = [
            (FontStyle::Normal, include_bytes!("../../fonts/DejaVuSans.ttf")),
            (FontStyle::Bold, include_bytes!("../../fonts/DejaVuSans-Bold.ttf")),
        ];
        for (style, bytes) in fonts {
            // A font that cannot be read fails each plot with its own message.
            let _ = register_font("sans-serif", style, bytes);
        }
    });
}

/// The style of all text.
pub(super) fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&style::INK)
}

/// Text placed by its left or right middle.
pub(super) fn write<B: DrawingBackend>(
    area: &Area<'_, B>,
    words: &str,
    at: (i32, i32),
    side: HPos,
) -> Result<(), String> {
    let style = text(TEXT).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(words.to_owned(), at, style)).map_err(|error| error.to_string())
}

/// Where bars begin right of these names: far enough for the longest, and no further.
pub(super) fn beside<'a>(names: impl Iterator<Item = &'a str>) -> i32 {
    /// A letter is no wider.
    const LETTER: i32 = 9;
    let longest = names.map(|name| style::label(name).chars().count() as i32).max().unwrap_or(0);
    (longest * LETTER + 24).max(120)
}

/// Rows that a legend of so many names takes.
pub(super) fn legend_height(names: usize) -> u32 {
    (names.div_ceil(columns()) as u32) * LEGEND_ROW as u32 + 10
}

fn columns() -> usize {
    (WIDTH as i32 / LEGEND_COLUMN) as usize
}

/// A legend below the plot: a piece of each line, then its name.
pub(super) fn legend<B: DrawingBackend>(area: &Area<'_, B>, names: &[(usize, String)]) -> Result<(), String> {
    for (place, (n, name)) in names.iter().enumerate() {
        let x = 20 + (place % columns()) as i32 * LEGEND_COLUMN;
        let y = 12 + (place / columns()) as i32 * LEGEND_ROW;
        begin(area, Part::Series(*n))?;
        line(area, &[(x, y), (x + 36, y)], *n, 3)?;
        write(area, &style::label(name), (x + 44, y), HPos::Left)?;
    }
    begin(area, Part::Frame)
}

/// A line in pixels, in the n-th variant's colour and dash.
pub(super) fn line<B: DrawingBackend>(
    area: &Area<'_, B>,
    points: &[(i32, i32)],
    n: usize,
    width: u32,
) -> Result<(), String> {
    let stroke = style::colour(n).stroke_width(width);
    let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
    match style::dash(n) {
        (_, 0) => area.draw(&PathElement::new(points.to_vec(), stroke)).map_err(failed),
        (size, gap) => area.draw(&DashedPathElement::new(points.to_vec(), size, gap, stroke)).map_err(failed),
    }
}
