//! Plots as SVG for the page and PNG beside it. Each is drawn from the result alone, with a text table of the same figures.

use measurement::result::{RunResult, Trial, Variant, Verdict};

use crate::ReportError;

mod axes;
mod bytes;
mod canvas;
pub(crate) mod capacity;
mod cost;
pub(crate) mod crossover;
mod fairness;
mod frontier;
mod percentiles;
mod sawtooth;
mod scale;
pub(crate) mod shift;
mod style;
mod timeline;
pub(crate) mod trend;

/// A drawn plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// File name without ending; also the anchor on the page.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// How to read it, one or two sentences.
    pub caption: String,
    /// The drawing, a whole `<svg>` element.
    pub svg: String,
    /// The same as a picture.
    pub png: Vec<u8>,
    /// The same figures as text.
    pub table: Table,
}

/// A table of text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Column headings.
    pub head: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

/// The n-th variant's colour, as CSS has it.
pub(crate) fn colour(n: usize) -> String {
    let plotters::style::RGBColor(red, green, blue) = style::colour(n);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Every plot that the result has data for.
pub fn all(result: &RunResult) -> Result<Vec<Plot>, ReportError> {
    let drawn = [
        percentiles::plot(result)?,
        timeline::plot(result)?,
        sawtooth::plot(result)?,
        bytes::plot(result)?,
        cost::plot(result)?,
        fairness::plot(result)?,
        frontier::plot(result)?,
        scale::plot(result)?,
    ];
    Ok(drawn.into_iter().flatten().collect())
}

/// The trials whose times may be shown.
fn timed(variant: &Variant) -> impl Iterator<Item = &Trial> {
    variant.trials.iter().filter(|trial| trial.validity.classes.timing < Verdict::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_plot_has_units_on_its_axes_a_title_and_a_table() {
        let plots = all(&testing::result()).unwrap();
        let names: Vec<&str> = plots.iter().map(|plot| plot.name).collect();
        assert_eq!(names, ["percentiles", "timeline", "sawtooth", "bytes", "cost", "fairness"]);
        let units = [
            ["(ms)", "percentile"],
            ["(ms)", "(s)"],
            ["(ms)", "(s)"],
            ["bytes", "update"],
            ["µs", "kB"],
            ["(ms)", "Jain"],
        ];
        for (plot, units) in plots.iter().zip(units) {
            for unit in units {
                assert!(plot.svg.contains(unit), "{}: {unit}", plot.name);
            }
            assert!(plot.svg.contains("<title>") && plot.svg.contains("role=\"img\""), "{}", plot.name);
            assert!(!plot.table.rows.is_empty() && !plot.caption.is_empty(), "{}", plot.name);
            assert!(plot.png.starts_with(b"\x89PNG"), "{}", plot.name);
            assert!(!plot.svg.contains("<script"), "{}", plot.name);
            for n in 0..3 {
                let group = format!("<g class=\"series\" data-series=\"{n}\">");
                assert!(plot.svg.contains(&group), "{}: {group}", plot.name);
            }
            assert_eq!(plot.svg.matches("<g ").count(), plot.svg.matches("</g>").count(), "{}", plot.name);
            assert!(!plot.svg.contains("0.001"), "{}: a mark is left", plot.name);
            assert!(plot.table.rows.iter().all(|row| row.len() == plot.table.head.len()), "{}", plot.name);
        }
    }

    #[test]
    fn panels_stand_beside_their_like_and_controls_stay_out_of_drawings() {
        let mut result = testing::result();
        result.variants[2].name = "\u{1}\u{1b}[2J]]>".to_owned();
        for (variant, clients) in result.variants.iter_mut().zip([100, 100, 200]) {
            variant.point = [("load.clients".to_owned(), clients.into())].into();
        }
        let plots = all(&result).unwrap();
        assert!(plots.iter().all(|plot| !plot.svg.contains(|c: char| c.is_control() && c != '\n')));
        assert!(plots.iter().all(|plot| !plot.svg.contains("]]>")));
        assert!(plots[2].caption.ends_with("Drawn are 2 of 3 variants."), "{}", plots[2].caption);
    }

    #[test]
    fn without_figures_there_are_no_plots() {
        assert!(all(&testing::without_figures()).unwrap().is_empty());
    }
}
