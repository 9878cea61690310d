//! The picture of a run: from what the view knows to one frame. It keeps nothing and asks nobody.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Block, Gauge, Paragraph, Row, Sparkline, Table},
};

use super::view::{Current, Ended, View};

/// Where there is no figure.
const NONE: &str = "–";
/// Lines for findings, frame included.
const FINDINGS: u16 = 6;

/// Draws everything.
pub(super) fn all(frame: &mut Frame<'_>, view: &View) {
    let [run, trial, delays, ended, findings, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(6),
        Constraint::Length(5),
        Constraint::Min(3),
        Constraint::Length(if view.ended.iter().any(|ended| !ended.findings.is_empty()) {
            FINDINGS
        } else {
            0
        }),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    self::run(frame, run, view);
    self::trial(frame, trial, &view.current);
    self::delays(frame, delays, &view.current);
    self::ended(frame, ended, &view.ended);
    self::findings(frame, findings, &view.ended);
    let text = if view.stopping {
        "stopping: the trial is ended and what was found is written; q or Ctrl-C again to give up"
    } else {
        "q or Ctrl-C: stop in order"
    };
    frame.render_widget(Paragraph::new(text).dim(), keys);
}

fn run(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let trial = (view.current.order + 1).min(view.trials);
    let label = format!(
        "trial {trial} of {}, {} gone, about {} left",
        view.trials,
        time(view.elapsed_s()),
        time(view.left_s())
    );
    let gauge = Gauge::default()
        .block(Block::bordered().title(format!(" {} ", view.title)))
        .gauge_style(Style::new().fg(Color::Blue))
        .ratio(view.done().clamp(0.0, 1.0))
        .label(label);
    frame.render_widget(gauge, area);
}

fn trial(frame: &mut Frame<'_>, area: Rect, current: &Current) {
    let so_far = &current.so_far;
    let delay =
        |quantile| so_far.delay_ns(quantile).map_or(NONE.to_owned(), |ns| milliseconds(ns as f64 / 1e6));
    let longest = so_far.longest_delay_ns().map_or(NONE.to_owned(), |ns| milliseconds(ns as f64 / 1e6));
    let named = |name: &'static str, text: String| [Span::raw(name).dim(), Span::raw(text)];
    let lines = vec![
        Line::from(format!(
            "{}, {:.0} s: {} of {} clients connected, {} updates",
            current.phase.name(),
            current.seconds,
            current.connected,
            current.asked,
            current.delivered
        )),
        Line::from_iter(
            [
                named("delay  p50 ", delay(0.5)),
                named("  p90 ", delay(0.9)),
                named("  p99 ", delay(0.99)),
                named("  max ", longest),
            ]
            .into_iter()
            .flatten(),
        ),
        bytes("received ", so_far.received(), current.rates.0),
        bytes("sent     ", so_far.sent(), current.rates.1),
    ];
    let block = Block::bordered().title(format!(" {} ", current.name).bold());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn bytes(name: &'static str, total: u64, rate: f64) -> Line<'static> {
    let text = format!("{} ({}/s)", size(total as f64), size(rate));
    Line::from(vec![Span::raw(name).dim(), Span::raw(text)])
}

fn delays(frame: &mut Frame<'_>, area: Rect, current: &Current) {
    let highest = current.delays_us.iter().max().map_or(NONE.to_owned(), |&us| milliseconds(us as f64 / 1e3));
    let block = Block::bordered().title(format!(" mean delay of each second, highest {highest} "));
    let room = usize::from(area.width.saturating_sub(2));
    let newest = current.delays_us.len().saturating_sub(room);
    let data: Vec<u64> = current.delays_us.iter().skip(newest).copied().collect();
    frame.render_widget(
        Sparkline::default().block(block).data(data).style(Style::new().fg(Color::Green)),
        area,
    );
}

fn ended(frame: &mut Frame<'_>, area: Rect, ended: &[Ended]) {
    let room = usize::from(area.height.saturating_sub(3));
    let figure = |us: Option<f64>| us.map_or(NONE.to_owned(), |us| milliseconds(us / 1e3));
    let rows = ended.iter().skip(ended.len().saturating_sub(room)).map(|ended| {
        let color = if ended.good { Color::Green } else { Color::Red };
        Row::new([
            Line::from(ended.name.clone()),
            Line::from(ended.number.to_string()),
            Line::from(ended.updates.to_string()),
            Line::from(figure(ended.p50_us)),
            Line::from(figure(ended.p99_us)),
            Line::from(ended.overhead.map_or(NONE.to_owned(), |bytes| format!("{bytes:.1} B"))),
            Line::from(ended.verdict.clone()).style(Style::new().fg(color)),
        ])
    });
    let head = Row::new(["ended", "trial", "updates", "p50", "p99", "overhead each", "verdict"]).dim();
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(5),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(13),
        Constraint::Fill(1),
    ];
    frame.render_widget(Table::new(rows, widths).header(head).block(Block::bordered()), area);
}

/// The newest findings that void figures.
fn findings(frame: &mut Frame<'_>, area: Rect, ended: &[Ended]) {
    let room = usize::from(area.height.saturating_sub(2));
    let lines: Vec<Line<'_>> = ended
        .iter()
        .rev()
        .flat_map(|ended| {
            ended
                .findings
                .iter()
                .map(|(code, message)| Line::from(format!("{} {code}: {message}", ended.name)))
        })
        .take(room)
        .collect();
    let block = Block::bordered().title(" what voids figures, newest first ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn milliseconds(ms: f64) -> String {
    if ms >= 100.0 { format!("{ms:.0} ms") } else { format!("{ms:.2} ms") }
}

fn size(bytes: f64) -> String {
    match bytes {
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e3 => format!("{:.1} kB", b / 1e3),
        b => format!("{b:.0} B"),
    }
}

fn time(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use measurement::{glimpse::Glimpse, histogram::Recorder, ledger::Phase};
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;

    fn view() -> View {
        let mut delays = Recorder::default();
        (1..=2_000).for_each(|n| delays.record(n * 1_000));
        let mut so_far = Glimpse::default();
        so_far.take(&delays, 12_345_678, 900);
        let current = Current {
            order: 2,
            name: "third way".to_owned(),
            phase: Phase::Measure,
            seconds: 4.4,
            asked: 20,
            connected: 20,
            delivered: 2_000,
            so_far,
            rates: (45_678.0, 12.0),
            delays_us: [400, 800, 1_600, 3_200, 1_200, 500].into(),
            ..Current::default()
        };
        let ended = |name: &str, good: bool| Ended {
            name: name.to_owned(),
            number: 1,
            updates: 740,
            p50_us: Some(503_000.0),
            p99_us: good.then_some(1_020.0),
            overhead: Some(88.4),
            verdict: if good { "valid" } else { "INVALID" }.to_owned(),
            good,
            findings: if good {
                Vec::new()
            } else {
                vec![("clients.missing".to_owned(), "Not all clients were connected.".to_owned())]
            },
        };
        View {
            title: "Stock ticker".to_owned(),
            trials: 12,
            planned_s: 130.0,
            started_ns: 0,
            now_ns: 25_000_000_000,
            current,
            ended: vec![ended("first way", true), ended("second way", false)],
            stopping: false,
        }
    }

    fn picture(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| all(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_picture_of_a_run() {
        insta::assert_snapshot!(picture(&view(), 100, 30));
    }

    #[test]
    fn before_the_first_event_and_on_the_smallest_screen_there_is_a_picture_too() {
        let before = picture(&View::new("x"), 60, 20);
        assert!(before.contains("trial 0 of 0") && before.contains("delay  p50 –"), "{before}");
        let stopping = View { stopping: true, ..view() };
        assert!(picture(&stopping, 100, 30).contains("again to give up"));
        for (width, height) in [(1, 1), (20, 5), (300, 100)] {
            picture(&view(), width, height);
        }
    }
}
