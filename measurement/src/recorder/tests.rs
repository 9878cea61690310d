//! The recorder against planted faults and hand-computed feeds.

use ticker::{Arrivals, FeedSettings};

use super::*;

const MS: u64 = 1_000_000;
const T0: u64 = 1_000_000 * MS;

/// Two symbols in turn, a quote each 10 ms, a window from 100 ms to 1,100 ms: quotes 10 to 109.
fn frame(coalesces: bool) -> Frame {
    let feed = FeedSettings {
        symbols: 2,
        updates_per_second: 100.0,
        arrivals: Arrivals::Constant,
        ..FeedSettings::default()
    };
    let table = Arc::new(Timetable::new(&feed, 3_000 * MS).unwrap());
    Frame {
        table,
        t0_ns: T0,
        window: 100 * MS..1_100 * MS,
        coalesces,
        asked: false,
        subscriptions: Default::default(),
        phases: None,
    }
}

fn push(recorder: &mut Recorder, seq: u64, delay_ms: u64) {
    let due = T0 + seq * 10 * MS;
    recorder.quote(0, seq, due + MS, due + delay_ms * MS);
    recorder.batch_end(0, due + delay_ms * MS);
}

fn connected(coalesces: bool) -> Recorder {
    let mut recorder = Recorder::new(frame(coalesces), 1, true);
    recorder.connected(0, T0 - 9 * MS, T0 - 8 * MS);
    recorder.snapshot(0, 0, std::iter::empty(), T0 - 7 * MS);
    recorder
}

fn check_identity(updates: &result::Updates) {
    assert!(updates.add_up(), "{updates:?}");
}

#[test]
fn a_faultless_push_feed() {
    let mut recorder = connected(false);
    (1..=120).for_each(|seq| push(&mut recorder, seq, 3));
    let recording = recorder.finish();
    let updates = recording.updates(100);
    check_identity(&updates);
    assert_eq!((updates.expected, updates.delivered_once, updates.distinct), (Some(100), 100, 100));
    let delay = recording.sums.delay.finish(recording.distinct_events()).unwrap();
    assert_eq!((delay.mean_us, delay.max_us), (Some(3_000.0), Some(3_000.0)));
    assert_eq!(recording.sums.transit.max_ns(), 2 * MS);
    assert_eq!(recording.publisher_lag().unwrap().mean_us, Some(1_000.0));
    assert_eq!(recording.sums.reflection.count(), 100);
    assert_eq!(recording.sums.first_update.max_ns(), 13 * MS);
    // A symbol has a quote each 20 ms and is wrong for 3 ms of them; the screen 3 of each 10 ms.
    let share = recording.sums.staleness.per_symbol(100).unwrap().out_of_sync_share;
    assert!((share - 0.15).abs() < 0.002, "{share}");
    let share = recording.sums.staleness.whole_screen(100).unwrap().out_of_sync_share;
    assert!((share - 0.3).abs() < 0.002, "{share}");
}

#[test]
fn clients_that_publish_themselves_have_clocks_of_their_own() {
    // A client publishes each 10 ms; the second of four begins 2.5 ms after t0.
    let phases = Some(Phases { clients: 4, period_ns: 10 * MS });
    let mut recorder = Recorder::new(Frame { phases, ..frame(false) }, 2, false);
    for client in 0..2 {
        recorder.connected(client, T0 - 9 * MS, T0 - 8 * MS);
        recorder.snapshot(client, 0, std::iter::empty(), T0 - 7 * MS);
    }
    for seq in (1..=120).filter(|seq| *seq != 50) {
        for client in 0..2 {
            let due = T0 + seq * 10 * MS + client as u64 * 2_500_000;
            recorder.quote(client, seq, due + client as u64 * MS, due + 3 * MS);
            recorder.batch_end(client, due + 3 * MS);
        }
    }
    let recording = recorder.finish();
    let updates = recording.updates(100);
    check_identity(&updates);
    assert_eq!((updates.expected, updates.delivered_once, updates.lost), (Some(200), 198, Some(2)));
    let delay = recording.sums.delay.finish(recording.distinct_events()).unwrap();
    assert_eq!((delay.mean_us, delay.max_us), (Some(3_000.0), Some(3_000.0)));
    // Each round trip is an event of its own.
    assert_eq!(recording.distinct_events(), 198);
    // The first one's messages were on their way for 3 ms, the second's for 2.
    let transit = recording.sums.transit.finish(198).unwrap();
    assert_eq!((transit.mean_us, transit.max_us), (Some(2_500.0), Some(3_000.0)));
}

#[test]
fn planted_faults_are_counted_exactly() {
    let mut recorder = connected(false);
    for seq in 1..=105 {
        match seq {
            20 | 30 | 31 => {}
            40 => push(&mut recorder, 41, 3),
            41 => push(&mut recorder, 40, 30),
            50 => (0..3).for_each(|_| push(&mut recorder, 50, 3)),
            _ => push(&mut recorder, seq, 3),
        }
    }
    let updates = recorder.finish().updates(100);
    check_identity(&updates);
    let faults = [updates.lost, updates.reordered, updates.duplicated, updates.pending_at_end];
    assert_eq!(faults, [Some(3), Some(1), Some(2), Some(4)]);
}

#[test]
fn what_a_newer_quote_replaces_is_coalesced_only_where_the_transport_says_so() {
    let counts = |coalesces| {
        let mut recorder = connected(coalesces);
        (1..=111).filter(|seq| seq % 4 == 3 || seq % 4 == 0).for_each(|seq| push(&mut recorder, seq, 5));
        let updates = recorder.finish().updates(100);
        check_identity(&updates);
        (updates.coalesced, updates.lost)
    };
    assert_eq!(counts(true), (Some(50), Some(0)));
    assert_eq!(counts(false), (Some(0), Some(50)));
}

#[test]
fn a_gap_is_lost_and_its_snapshot_is_no_delivery() {
    let mut recorder = connected(false);
    (1..=50).for_each(|seq| push(&mut recorder, seq, 3));
    recorder.snapshot(0, 60, [59, 60].into_iter(), T0 + 605 * MS);
    (61..=120).for_each(|seq| push(&mut recorder, seq, 3));
    let updates = recorder.finish().updates(100);
    check_identity(&updates);
    assert_eq!((updates.lost, updates.snapshot, updates.delivered_once), (Some(10), 2, 90));
}

#[test]
fn quotes_outside_the_window_or_the_schedule_are_no_deliveries() {
    let mut recorder = connected(false);
    (1..=9).for_each(|seq| push(&mut recorder, seq, 3));
    recorder.quote(0, 1_000_000, T0, T0 + 50 * MS);
    let recording = recorder.finish();
    assert_eq!(recording.updates(0).delivered_once, 0);
    assert_eq!(recording.sums.counts.unknown, 1);
}

#[test]
fn merging_two_workers_adds_clients() {
    let mut one = connected(false);
    let mut two = connected(false);
    (1..=110).for_each(|seq| push(&mut one, seq, 2));
    (1..=110).for_each(|seq| push(&mut two, seq, 4));
    let mut recording = one.finish();
    recording.merge(two.finish());
    let updates = recording.updates(100);
    assert_eq!((updates.expected, updates.delivered_once, updates.distinct), (Some(200), 200, 100));
    let fairness = recording.fairness().unwrap();
    assert!((fairness.jain - 0.9).abs() < 1e-9, "{fairness:?}");
    assert_eq!(recording.trace().unwrap().symbol, "ACME");
}

#[test]
fn a_recording_that_was_carried_merges_like_one_that_was_not() {
    let recorded = |delays_ms: &dyn Fn(u64) -> u64| {
        let mut recorder = connected(false);
        (1..=120).filter(|seq| seq % 17 != 0).for_each(|seq| push(&mut recorder, seq, delays_ms(seq)));
        recorder.cut(900 * MS);
        recorder.finish()
    };
    let carried = |recording: Recording| {
        let text = serde_json::to_string(&Parts::from(recording)).unwrap();
        let unknown = Frame { t0_ns: u64::MAX, ..frame(false) };
        serde_json::from_str::<Parts>(&text).unwrap().in_frame(&unknown)
    };
    let (one, other) = (|seq| 1 + seq % 7, |seq| 2 + seq % 11);
    let mut here = recorded(&one);
    here.merge(recorded(&other));
    let mut there = carried(recorded(&one));
    there.merge(carried(recorded(&other)));
    assert_eq!((there.updates(80), there.fairness()), (here.updates(80), here.fairness()));
    assert_eq!((there.frame().t0_ns, &there.frame().window), (T0, &(100 * MS..900 * MS)));
    assert_eq!(Parts::from(there), Parts::from(here));
}
