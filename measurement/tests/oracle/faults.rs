//! Planted faults: lost, twice, out of order, stalled, overtaken, a gap with its snapshot; counted exactly, and any
//! plan of them against the plain count.

use measurement::recorder::Recording;
use proptest::prelude::*;
use ticker::Arrivals;

use super::{
    plain::{self, Plain},
    synthetic::{Feed, Figures, MS, Message, Quote, SECOND, check_identity, play, seconds},
};

/// What becomes of one quote. Delays are in milliseconds beyond the network's own.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    Lost,
    Held { ms: u64 },
    Twice { ms: u64 },
}

const NETWORK: u64 = 3 * MS;

/// A quote each 10 ms; those due from 200 ms to 1,200 ms count: 20 to 119 of 219.
fn feed(symbols: u32) -> Feed {
    Feed::new(Arrivals::Constant, symbols, 100.0, 200 * MS..1_200 * MS)
}

/// The messages of a feed whose quotes have these fates, from the first, in order of receipt.
fn messages(feed: &Feed, fates: impl IntoIterator<Item = Fate>) -> Vec<Message> {
    let mut messages = Vec::new();
    for (seq, fate) in (1..=feed.table.last_seq()).zip(fates) {
        let (due, quotes) = (feed.due(seq), vec![Quote { seq, sent: feed.due(seq) }]);
        let mut send = |ms| {
            messages.push(Message {
                at: due + NETWORK + ms * MS,
                quotes: quotes.clone(),
                ..Message::default()
            });
        };
        match fate {
            Fate::Delivered => send(0),
            Fate::Lost => {}
            Fate::Held { ms } => send(ms),
            Fate::Twice { ms } => [0, ms].into_iter().for_each(&mut send),
        }
    }
    messages.sort_by_key(|message| message.at);
    messages
}

/// From `from` the client reads nothing until `to`.
fn stall(messages: &mut [Message], from: u64, to: u64) {
    for message in messages.iter_mut().filter(|message| (from..to).contains(&message.at)) {
        message.at = to;
    }
}

/// What should have come from `from` to `to` did not; then comes a snapshot with the newest quote of each symbol.
fn gap(feed: &Feed, messages: &mut Vec<Message>, from: u64, to: u64) {
    messages.retain(|message| !(from..to).contains(&message.at));
    let last = feed.table.due_between(0, to - NETWORK + 1).end - 1;
    let newest = (0..feed.table.symbols()).filter_map(|symbol| {
        feed.table.of_symbol(symbol).iter().copied().take_while(|&seq| seq <= last).last()
    });
    let quotes = newest.map(|seq| Quote { seq, sent: feed.due(seq) }).collect();
    let snapshot = Message { at: to, quotes, snapshot: Some(last), request: None };
    messages.insert(messages.partition_point(|message| message.at < to), snapshot);
}

fn record(feed: &Feed, clients: &[Vec<Message>], coalesces: bool) -> Recording {
    let mut recorder = feed.recorder(clients.len(), coalesces);
    for (client, messages) in clients.iter().enumerate() {
        play(&mut recorder, client, messages.iter().cloned());
    }
    let recording = recorder.finish();
    check_identity(&recording);
    recording
}

/// Every `n`th quote from the 20th, the first that counts, has the fate; the others arrive.
fn every(n: usize, fate: Fate) -> impl Iterator<Item = Fate> {
    let fates = (1_usize..).map(move |seq| if seq >= 20 && seq % n == 0 { fate } else { Fate::Delivered });
    fates.take(119)
}

#[test]
fn several_clients_with_a_fault_each() {
    let feed = feed(2);
    let clients = [
        every(1_000, Fate::Lost),
        // 20, 30 … 110: ten.
        every(10, Fate::Lost),
        // 20, 40 … 100: five come again, 25 ms later.
        every(20, Fate::Twice { ms: 25 }),
        // 25, 50, 75, 100: four are overtaken by two others.
        every(25, Fate::Held { ms: 25 }),
    ]
    .map(|fates| messages(&feed, fates));
    let recording = record(&feed, &clients, false);
    let (counts, totals) = (&recording.sums.counts, &recording.totals);
    assert_eq!((totals.expected, totals.lost, totals.coalesced, totals.pending), (400, 10, 0, 0));
    assert_eq!((counts.delivered_once, counts.duplicated, counts.reordered), (390, 5, 4));
    assert_eq!((counts.snapshot, recording.distinct_quotes()), (0, 100));
    // The delays of exactly those four are longer.
    let mean_us = (390.0 * 3_000.0 + 4.0 * 25_000.0) / 390.0;
    assert!((Figures::of(&recording).delay.mean_us.unwrap() - mean_us).abs() < 1e-6);
}

#[test]
fn what_has_not_come_at_the_end_is_pending_and_not_lost() {
    let feed = feed(2);
    let clients = [119, 100, 20, 0].map(|n| messages(&feed, every(1_000, Fate::Lost).take(n)));
    let totals = record(&feed, &clients, false).totals;
    assert_eq!((totals.expected, totals.pending, totals.lost), (400, 19 + 99 + 100, 0));
}

#[test]
fn in_latest_mode_an_overtaken_quote_is_coalesced_and_a_missing_last_one_pending() {
    let feed = feed(4);
    // Of each five quotes four are left out; with four symbols in turn a newer one of each comes 20 later.
    let kept = |seq: usize| if seq.is_multiple_of(5) { Fate::Delivered } else { Fate::Lost };
    let run = |coalesces| record(&feed, &[messages(&feed, (1..=140).map(kept))], coalesces);
    let (latest, since) = (run(true), run(false));
    assert_eq!((latest.totals.coalesced, latest.totals.lost, latest.totals.pending), (80, 0, 0));
    assert_eq!((since.totals.coalesced, since.totals.lost, since.totals.pending), (0, 80, 0));
    assert_eq!(latest.sums.counts, since.sums.counts);
}

#[test]
fn a_gap_is_lost_whatever_its_snapshot_shows() {
    let feed = feed(2);
    let mut messages = messages(&feed, every(1_000, Fate::Lost));
    // Due from 497 ms to 697 ms: 50 to 69.
    gap(&feed, &mut messages, 500 * MS, 700 * MS);
    let recording = record(&feed, &[messages], false);
    let (counts, totals) = (&recording.sums.counts, &recording.totals);
    assert_eq!((totals.lost, counts.delivered_once, counts.snapshot), (20, 80, 2));
    // The snapshot shows news but delivers none: all 100 have a reflection delay, the oldest of 200 ms.
    let figures = Figures::of(&recording);
    assert_eq!((figures.reflection.count, figures.delay.max_us), (100, Some(3_000.0)));
    assert_eq!(figures.reflection.max_us, Some(200_000.0));
}

#[test]
fn a_stalled_reader_loses_nothing_and_is_late() {
    let feed = feed(2);
    let mut messages = messages(&feed, every(1_000, Fate::Lost));
    stall(&mut messages, 400 * MS, 800 * MS);
    let recording = record(&feed, &[messages], false);
    assert_eq!((recording.totals.lost, recording.sums.counts.reordered), (0, 0));
    assert_eq!(recording.sums.delay.max_ns(), 400 * MS);
    // Wrong for the whole stall and 3 ms of each 10 ms otherwise.
    let share = Figures::of(&recording).whole_screen.out_of_sync_share;
    assert!((share - (0.4 + 0.6 * 0.3)).abs() < 1e-9, "{share}");
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Delivered),
        2 => Just(Fate::Lost),
        2 => (1_u64..80).prop_map(|ms| Fate::Held { ms }),
        1 => (0_u64..80).prop_map(|ms| Fate::Twice { ms }),
    ]
}

#[derive(Clone, Debug)]
struct Plan {
    fates: Vec<Fate>,
    gap_ms: Option<(u64, u64)>,
    stall_ms: Option<(u64, u64)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let span = || proptest::option::of((100_u64..1_100, 1_u64..300));
    // Some plans end before the window does: the rest is pending.
    (proptest::collection::vec(fate(), 60..170), span(), span()).prop_map(|(fates, gap_ms, stall_ms)| Plan {
        fates,
        gap_ms,
        stall_ms,
    })
}

fn planned(feed: &Feed, plan: &Plan) -> Vec<Message> {
    let mut messages = messages(feed, plan.fates.iter().copied());
    if let Some((from, length)) = plan.stall_ms {
        stall(&mut messages, from * MS, (from + length) * MS);
    }
    if let Some((from, length)) = plan.gap_ms {
        gap(feed, &mut messages, from * MS, (from + length) * MS);
    }
    messages
}

/// To rounding of sums only.
fn same(found: f64, plain: f64) -> bool {
    (found - plain).abs() <= 1e-9 * plain.abs()
}

fn agree(recording: &Recording, plain: &[Plain]) -> Result<(), TestCaseError> {
    let sum = |of: fn(&Plain) -> u64| plain.iter().map(of).sum::<u64>();
    let (counts, totals, sums) = (&recording.sums.counts, &recording.totals, &recording.sums);
    prop_assert_eq!(totals.expected, sum(|plain| plain.totals.expected));
    prop_assert_eq!(totals.pending, sum(|plain| plain.totals.pending));
    prop_assert_eq!(totals.coalesced, sum(|plain| plain.totals.coalesced));
    prop_assert_eq!(totals.lost, sum(|plain| plain.totals.lost));
    prop_assert_eq!(counts.delivered_once, sum(|plain| plain.counts.delivered_once));
    prop_assert_eq!(counts.duplicated, sum(|plain| plain.counts.duplicated));
    prop_assert_eq!(counts.reordered, sum(|plain| plain.counts.reordered));
    prop_assert_eq!(counts.snapshot, sum(|plain| plain.counts.snapshot));
    prop_assert_eq!(counts.received_in_window, sum(|plain| plain.counts.received_in_window));
    prop_assert_eq!(sums.reflection.count(), sum(|plain| plain.reflections));
    let mean_us = |ns: u64, n: u64| ns as f64 / n as f64 / 1e3;
    if let Some(delay) = sums.delay.finish(u64::MAX).and_then(|delay| delay.mean_us) {
        prop_assert!(same(delay, mean_us(sum(|plain| plain.delay_ns), counts.delivered_once)));
    }
    if let Some(reflection) = sums.reflection.finish(u64::MAX).and_then(|delay| delay.mean_us) {
        prop_assert!(same(reflection, mean_us(sum(|plain| plain.reflection_ns), sums.reflection.count())));
    }

    let mut screen = plain::Screen::default();
    plain.iter().for_each(|plain| screen.add(&plain.screen));
    let whole = sums.staleness.whole_screen(u64::MAX).expect("clients were subscribed");
    prop_assert!(
        same(whole.out_of_sync_share, screen.whole_wrong / screen.whole_looks),
        "{whole:?} {screen:?}"
    );
    prop_assert!(same(seconds(whole.sync_lag.mean_us), screen.whole_lag_ns / screen.whole_looks / 1e9));
    let Some(told) = sums.staleness.per_symbol(u64::MAX) else {
        prop_assert_eq!(screen.looks, 0.0);
        return Ok(());
    };
    let mean = |sum: f64| sum / screen.looks;
    prop_assert!(same(told.sync_lag.total_s, screen.looks * MS as f64 / SECOND as f64));
    prop_assert!(same(told.out_of_sync_share, mean(screen.wrong)), "{told:?} {screen:?}");
    prop_assert!(same(told.age.mean_us, mean(screen.age_ns) / 1e3));
    prop_assert!(same(told.excess_age.mean_us, mean(screen.excess_ns) / 1e3));
    prop_assert!(same(seconds(told.sync_lag.mean_us), mean(screen.lag_ns) / 1e9));
    prop_assert!(same(told.version_lag.mean, mean(screen.versions)));
    prop_assert_eq!(told.version_lag.max, screen.most_versions);
    Ok(())
}

proptest! {
    #[test]
    fn any_plan_of_faults_gives_what_the_definitions_say(
        symbols in 1_u32..5,
        coalesces: bool,
        plans in proptest::collection::vec(plan(), 1..4),
    ) {
        let feed = feed(symbols);
        let clients: Vec<Vec<Message>> = plans.iter().map(|plan| planned(&feed, plan)).collect();
        let plain: Vec<Plain> = clients.iter().map(|messages| plain::count(&feed, messages, coalesces)).collect();
        agree(&record(&feed, &clients, coalesces), &plain)?;
    }
}
