//! A crossover, shown: where asking on a timetable costs less than each other way, predicted beside measured.
//!
//! It reads the record only and knows transports as names with a model.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use comfy_table::{ContentArrangement, Table, presets};
use measurement::crossover::{Crossover, Point};

use crate::{ReportError, escape_markdown, format, plots, write};

pub(crate) mod grid;

use grid::{BreakEven, Choice, Side};

const WIDTH: u16 = 140;

/// Writes the record, its tables and its plots into the crossover's folder; the Markdown is the first path.
pub fn render(record: &Crossover, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let plots = plots::crossover::all(record)?;
    let json = serde_json::to_string_pretty(record).expect("a record has no map whose keys are not text");
    let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
    let mut files = vec![
        write(&folder.join("crossover.md"), markdown(record, &names).as_bytes())?,
        write(&folder.join("crossover.json"), json.as_bytes())?,
        write(&folder.join("crossover.csv"), csv(record).as_bytes())?,
    ];
    let path = folder.join("plots");
    fs::create_dir_all(&path).map_err(|cause| ReportError::Make { path: path.clone(), cause })?;
    for (name, plot) in &plots {
        files.push(write(&path.join(format!("{name}.svg")), plot.svg.as_bytes())?);
        files.push(write(&path.join(format!("{name}.png")), &plot.png)?);
    }
    Ok(files)
}

/// The answer for each round trip and rate, and how far predictions and measurements are apart.
pub fn terminal(record: &Crossover) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(head(record));
    for row in rows(record) {
        table.add_row(row);
    }
    let mut text = format!("{}\n\n{table}\n", record.title);
    for sentence in sentences(record) {
        writeln!(text, "{sentence}").expect("writing to a String does not fail");
    }
    // A scenario from elsewhere must not steer the terminal.
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

fn head(record: &Crossover) -> Vec<String> {
    let within = format::duration(record.within_us);
    let mut head = vec![
        "round trip".to_owned(),
        "updates a second".to_owned(),
        format!("fewest bytes within {within}, measured"),
        "predicted".to_owned(),
    ];
    for (pull, other) in grid::pairs(record) {
        let (pull, other) = (&record.transports[pull].name, &record.transports[other].name);
        head.push(format!("{pull} is as cheap as {other} at every"));
    }
    head
}

/// One for each round trip and rate.
fn rows(record: &Crossover) -> Vec<Vec<String>> {
    let points = record.rtts_us.iter().flat_map(|rtt| record.rates.iter().map(move |rate| (*rtt, *rate)));
    let row = |(rtt, rate): (f64, f64)| {
        let chosen = |side| choice(record, grid::cheapest(record, rtt, rate, None, side));
        let mut row =
            vec![round_trip(rtt), format::plain(rate), chosen(Side::Measured), chosen(Side::Predicted)];
        for (pull, other) in grid::pairs(record) {
            let at = |side| interval(grid::break_even(record, (pull, other), rtt, rate, side));
            row.push(format!("{} (predicted {})", at(Side::Measured), at(Side::Predicted)));
        }
        row
    };
    points.map(row).collect()
}

/// `0` of a link is this machine itself.
pub(crate) fn round_trip(us: f64) -> String {
    if us > 0.0 { format::duration(us) } else { "loopback".to_owned() }
}

fn choice(record: &Crossover, choice: Option<Choice>) -> String {
    let Some(Choice { transport, interval_us, bytes_per_hour, assumed }) = choice else {
        return format::NONE.to_owned();
    };
    let every = interval_us.map(|us| format!(" every {}", format::duration(us))).unwrap_or_default();
    let mark = if assumed { format::UNRESOLVED.to_string() } else { String::new() };
    format!("{mark}{}{every}: {} an hour", record.transports[transport].name, format::bytes(bytes_per_hour))
}

fn interval(found: BreakEven) -> String {
    match found {
        BreakEven::At(us) => format::duration(us),
        BreakEven::Below(us) => format!("< {}", format::duration(us)),
        BreakEven::Above(us) => format!("> {}", format::duration(us)),
        BreakEven::Never => "never".to_owned(),
        BreakEven::Unknown => format::NONE.to_owned(),
    }
}

fn sentences(record: &Crossover) -> Vec<String> {
    let mut told = vec![
        "Bytes are those of one user in an hour, both directions, without handshakes. Who asks more rarely than the interval \
         of the last columns sends fewer bytes than the other, and shows prices later by half of it."
            .to_owned(),
    ];
    let share = |measured: f64, predicted: f64| (measured - predicted).abs() / measured.max(predicted);
    let mut apart = |name: &str, found: Option<(f64, f64)>, shown: fn(f64) -> String| {
        told.extend(found.map(|(median, worst)| {
            let (median, worst) = (shown(median), shown(worst));
            format!("{name} measured and predicted are {median} apart at the median, {worst} at most.")
        }));
    };
    apart("Bytes", grid::apart(record, |figures| figures.bytes_per_hour, share), format::share);
    let delays = grid::apart(record, |figures| figures.delay_us, |a, b| (a - b).abs());
    apart("Mean delays", delays, format::duration);
    if record.points.iter().any(|point| point.measured.delay_us.is_none()) {
        told.push(format!(
            "Before the name of the cheapest {} says that its times are void: the predicted delay stands in for them.",
            format::UNRESOLVED
        ));
    }
    let void: Vec<&Point> = record.points.iter().filter(|point| !point.void.is_empty()).collect();
    if let Some(first) = void.first() {
        told.push(format!(
            "! {} of {} points lack figures, the first is {}: {}.",
            void.len(),
            record.points.len(),
            first.variant,
            first.void.join(", ")
        ));
    }
    for transport in record.transports.iter().filter(|transport| transport.calibration.is_none()) {
        told.push(format!("! {}: its calibration failed, nothing is predicted.", transport.name));
    }
    told.extend(record.partial_reason.as_ref().map(|reason| format!("This crossover is PARTIAL: {reason}")));
    told
}

/// The same as Markdown, with every point and the plots.
fn markdown(record: &Crossover, plots: &[&str]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escape_markdown(cell)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut lines = vec![format!("# {}", escape_markdown(&record.title)), String::new()];
    let head = head(record);
    lines.extend([line(&head), format!("|{}", "---|".repeat(head.len()))]);
    lines.extend(rows(record).iter().map(|row| line(row)));
    lines.push(String::new());
    lines.extend(sentences(record).iter().map(|sentence| format!("{}\n", escape_markdown(sentence))));
    lines.extend(plots.iter().map(|name| format!("![{name}](plots/{name}.svg)\n")));
    lines.push("## Points\n".to_owned());
    let head = [
        "transport",
        "interval",
        "round trip",
        "updates a second",
        "mean delay",
        "predicted",
        "price wrong",
        "bytes of a user-hour",
        "predicted",
        "server CPU of a user-hour",
        "void",
    ];
    lines.extend([format!("| {} |", head.join(" | ")), format!("|{}", "---|".repeat(head.len()))]);
    for point in &record.points {
        let Point { measured, predicted, .. } = point;
        lines.push(line(&[
            record.transports.get(point.transport).map_or_else(String::new, |one| one.name.clone()),
            format::or_none(point.interval_us, format::duration),
            round_trip(point.rtt_us),
            format::plain(point.rate),
            format::or_none(measured.delay_us, format::duration),
            format::or_none(predicted.delay_us, format::duration),
            format::or_none(measured.price_wrong, format::share),
            format::or_none(measured.bytes_per_hour, format::bytes),
            format::or_none(predicted.bytes_per_hour, format::bytes),
            format::or_none(measured.cpu_s_per_hour, |s| format::duration(s * 1e6)),
            point.void.join(", "),
        ]));
    }
    let command = record.command.replace('`', "'");
    lines.push(format!("\nMade by `{command}` on {}.", escape_markdown(&record.started_at)));
    lines.join("\n") + "\n"
}

/// One row for each point, in base units.
fn csv(record: &Crossover) -> String {
    let mut text = "transport,interval_us,rtt_us,updates_per_second,updates_per_second_in_window,\
                    measured_delay_us,predicted_delay_us,measured_price_wrong,measured_bytes_per_hour,\
                    predicted_bytes_per_hour,measured_server_cpu_s_per_hour,void\n"
        .to_owned();
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for point in &record.points {
        let Point { measured, predicted, .. } = point;
        let name = record.transports.get(point.transport).map_or("", |one| one.name.as_str());
        let cells = [
            quoted(name),
            number(point.interval_us),
            point.rtt_us.to_string(),
            point.rate.to_string(),
            number(point.rate_in_window),
            number(measured.delay_us),
            number(predicted.delay_us),
            number(measured.price_wrong),
            number(measured.bytes_per_hour),
            number(predicted.bytes_per_hour),
            number(measured.cpu_s_per_hour),
            quoted(&point.void.join("; ")),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

#[cfg(test)]
pub(crate) mod tests;
