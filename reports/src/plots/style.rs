//! How plots look: colours that colour-blind readers tell apart, dashes and markers so that colour is never the only cue.

use plotters::style::{RGBAColor, RGBColor};

/// Okabe and Ito, "Color Universal Design" (2008), without black and yellow, which are lost on one background.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Lengths of stroke and gap in pixels; no gap is a solid line.
const DASHES: [(i32, i32); 4] = [(1, 0), (10, 5), (3, 4), (16, 4)];

/// Axes and text. The page shows it in the reader's own text colour.
pub(super) const INK: RGBColor = RGBColor(51, 51, 51);
/// Grid lines: faint ink, so that they stay faint on a dark page.
pub(super) const GRID: RGBAColor = RGBAColor(51, 51, 51, 0.15);

const LONGEST_LABEL: usize = 34;

/// The look of the n-th variant.
pub(super) fn colour(n: usize) -> RGBColor {
    COLOURS[n % COLOURS.len()]
}

/// The dash of the n-th variant.
pub(super) fn dash(n: usize) -> (i32, i32) {
    DASHES[(n / COLOURS.len() + n) % DASHES.len()]
}

/// A name that fits beside a plot. Control characters are no XML, so an SVG with one is none.
pub(super) fn label(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.chars().count() <= LONGEST_LABEL {
        return name;
    }
    let kept: String = name.chars().take(LONGEST_LABEL - 1).collect();
    format!("{kept}…")
}
