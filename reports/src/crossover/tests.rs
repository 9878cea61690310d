//! A grid made from the closed forms alone: what is read off it must be what went in.

use measurement::{
    crossover::{At, Calibration, FORMAT, Figures, Transport},
    result::{Model, ModelKind, Status},
};

use super::*;

/// Two intervals, two links, two rates; trials that say what the forms do.
pub(crate) fn record() -> Crossover {
    let transport = |name: &str, kind, request_bytes, framing_bytes| Transport {
        name: name.to_owned(),
        model: Model { kind, ..Model::default() },
        calibration: Some(Calibration {
            request_bytes,
            framing_bytes,
            update_bytes: 120.0,
            way_us: 200.0,
            ..Calibration::default()
        }),
    };
    let transports = vec![
        transport("asking", ModelKind::Pull, 800.0, 0.0),
        transport("waiting", ModelKind::Held, 800.0, 0.0),
        transport("stream <1>", ModelKind::Push, 0.0, 30.0),
    ];
    let mut record = Crossover {
        format: FORMAT.to_owned(),
        command: "loadgen crossover".to_owned(),
        started_at: "then".to_owned(),
        finished_at: "later".to_owned(),
        status: Status::Complete,
        partial_reason: None,
        title: "Where asking <beats> pushing".to_owned(),
        within_us: 1e6,
        intervals_us: vec![500_000.0, 5e6],
        rtts_us: vec![0.0, 100_000.0],
        rates: vec![1.0, 10.0],
        transports,
        points: Vec::new(),
    };
    for (rtt_us, rate) in [(0.0, 1.0), (0.0, 10.0), (100_000.0, 1.0), (100_000.0, 10.0)] {
        for (index, transport) in record.transports.iter().enumerate() {
            let pull = transport.model.kind == ModelKind::Pull;
            let intervals = if pull { vec![Some(500_000.0), Some(5e6)] } else { vec![None] };
            for interval_us in intervals {
                let at = At { interval_s: interval_us.unwrap_or(0.0) / 1e6, rtt_s: rtt_us / 1e6, rate };
                let predicted = transport.calibration.unwrap().predict(transport.model.kind, at);
                record.points.push(Point {
                    transport: index,
                    variant: format!("{} {interval_us:?} {rtt_us} {rate}", transport.name),
                    interval_us,
                    rtt_us,
                    rate,
                    rate_in_window: Some(rate),
                    measured: Figures { cpu_s_per_hour: Some(0.5 / at.interval_s.max(0.1)), ..predicted },
                    predicted,
                    void: Vec::new(),
                });
            }
        }
    }
    record
}

#[test]
fn what_is_cheapest_depends_on_the_bound() {
    let mut record = record();
    let cheapest = |record: &Crossover, rate| {
        grid::cheapest(record, 0.0, rate, None, Side::Measured).map(|choice| choice.transport)
    };
    // Within a second asking may be done every half of one only: the stream is cheaper.
    assert_eq!(cheapest(&record, 10.0), Some(2));
    record.within_us = 3e6;
    assert_eq!((cheapest(&record, 10.0), cheapest(&record, 1.0)), (Some(0), Some(2)));
    // Void times: the prediction stands in, and it is said.
    record.points.iter_mut().for_each(|point| point.measured.delay_us = None);
    let choice = grid::cheapest(&record, 0.0, 10.0, None, Side::Measured).unwrap();
    assert!(choice.assumed && choice.transport == 0);
    assert!(terminal(&record).contains("~asking every 5.00 s"), "{}", terminal(&record));
    record.within_us = 1.0;
    assert_eq!(cheapest(&record, 10.0), None);
}

#[test]
fn the_break_even_is_measured_where_it_is_predicted() {
    let record = record();
    let at = |pair, rtt, rate, side| grid::break_even(&record, pair, rtt, rate, side);
    let BreakEven::At(predicted) = at((0, 2), 0.0, 10.0, Side::Predicted) else { panic!("no prediction") };
    assert!((predicted / 1e6 - 800.0 / 300.0).abs() < 1e-9, "{predicted}");
    let BreakEven::At(measured) = at((0, 2), 0.0, 10.0, Side::Measured) else { panic!("no measurement") };
    assert!((measured / predicted - 1.0).abs() < 1e-9, "{measured}, {predicted}");
    // At one update a second: every 26.7 s, which is beyond the grid.
    assert_eq!(at((0, 2), 0.0, 1.0, Side::Measured), BreakEven::Above(5e6));
    assert_eq!(at((0, 1), 0.0, 10.0, Side::Measured), BreakEven::Below(500_000.0));
    assert_eq!(grid::pairs(&record), [(0, 1), (0, 2)]);
}

#[test]
fn the_folder_has_record_tables_and_a_plot_of_each_pair() {
    let folder = tempfile::tempdir().unwrap();
    let files = render(&record(), folder.path()).unwrap();
    assert_eq!(files.len(), 3 + 2 * 3, "{files:?}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(serde_json::from_str::<Crossover>(&read("crossover.json")).unwrap(), record());
    assert_eq!(read("crossover.csv").lines().count(), 1 + record().points.len());
    let page = read("crossover.md");
    assert!(page.contains("plots/crossover-cheapest.svg") && !page.contains("<beats>"), "{page}");
    let svg = read("plots/crossover-cheapest.svg");
    for part in ["predicted", "measured", "asking", "loopback", "100 ms", "5.00 s"] {
        assert!(svg.contains(part), "{part}");
    }
    let svg = read("plots/crossover-asking-stream-1.svg");
    assert!(svg.contains("break-even") && !svg.contains("<1>"), "{svg}");
}

#[test]
fn what_is_missing_is_said_and_a_grid_without_figures_still_has_its_folder() {
    let mut record = record();
    for point in &mut record.points {
        (point.measured, point.predicted) = (Figures::default(), Figures::default());
        point.void = vec!["loadgen.cpu".to_owned()];
    }
    record.transports.iter_mut().for_each(|transport| transport.calibration = None);
    record.partial_reason = Some("interrupted".to_owned());
    let text = terminal(&record);
    for part in ["16 of 16 points lack figures", "nothing is predicted", "PARTIAL"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    render(&record, tempfile::tempdir().unwrap().path()).unwrap();
}
