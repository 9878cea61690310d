//! One drawing, twice: as SVG and as PNG. Fonts, titles, legends and what every plot shares.

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
const LEGEND_ROW: i32 = 24;
const LEGEND_COLUMN: i32 = 310;
const TEXT: i32 = 15;

/// A drawing surface of either kind.
pub(super) type Area<'a, B> = DrawingArea<B, Shift>;

/// A drawing that can be made on any surface.
pub(super) trait Drawing {
    /// Draws itself.
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String>;
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
    Ok(Plot { name, title, caption, svg: for_page(&svg, title), png, table })
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
    Ok(for_page(&svg, &title))
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
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    image::ImageEncoder::write_image(encoder, &pixels, WIDTH, height, image::ColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(png)
}

/// An SVG that scales with the page, has a name for those who do not see it, and follows the page's text colour.
fn for_page(svg: &str, title: &str) -> String {
    let body = svg.find("<svg").and_then(|start| svg[start..].find('>').map(|end| start + end + 1));
    let (Some(start), Some(end)) = (body, svg.rfind("</svg>")) else { return svg.to_owned() };
    let viewbox = svg.find("viewBox=\"").map_or("", |at| svg[at + 9..].split('"').next().unwrap_or(""));
    let body = svg[start..end]
        .replace("#333333", "currentColor")
        .replace("\"sans-serif\"", "\"DejaVu Sans, sans-serif\"");
    format!(
        "<svg viewBox=\"{viewbox}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title>{body}</svg>"
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
        line(area, &[(x, y), (x + 36, y)], *n, 3)?;
        write(area, &style::label(name), (x + 44, y), HPos::Left)?;
    }
    Ok(())
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
