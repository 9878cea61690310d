//! Feeds of other people's servers, heard with planted faults.

use super::*;
use crate::tape::Heard;

const MS: u64 = 1_000_000;
/// The server's clock shows this much more than ours.
const AHEAD: i64 = 1_795_230_683_000_000_000;
const START: u64 = 5_000 * MS;
const WINDOW: Range<u64> = START + 1_000 * MS..START + 2_000 * MS;

fn rules(numbering: Numbering) -> Rules {
    Rules { numbering, times: true, sends: false, coalesces: false, asked: false }
}

fn known() -> Bridge {
    Bridge::Known(Offset::constant(AHEAD, 0.0))
}

/// Update `number` is made each 10 ms and takes 40 ms.
fn hear(tape: &mut Tape, client: usize, number: u64, symbol: Option<&str>) {
    let due = START + number * 10 * MS;
    tape.message();
    let heard = Heard {
        sequence: Some(7_000 + number),
        symbol,
        due_ns: Some(due as i64 + AHEAD),
        sent_ns: None,
        step_ns: 1_000,
    };
    tape.update(client, &heard, due + 40 * MS);
}

fn standing(clients: usize) -> Tape {
    let mut tape = Tape::new(clients);
    (0..clients).for_each(|client| tape.connected(client, START - 20 * MS, START - 10 * MS));
    tape
}

#[test]
fn losses_and_duplicates_are_counted_exactly_and_delays_are_what_they_are() {
    let mut tape = standing(2);
    for number in 1..=300 {
        for client in 0..2 {
            if number % 50 != 0 {
                hear(&mut tape, client, number, None);
            }
            if number % 70 == 0 && number % 50 != 0 {
                hear(&mut tape, client, number, None);
            }
        }
    }
    let learned = learn(&[tape], rules(Numbering::Feed), known(), WINDOW);
    let updates = learned.recording.updates(100);
    assert!(updates.add_up(), "{updates:?}");
    // Updates 100 to 199 are due in the window: 100 and 150 are lost, 140 comes twice. A hole has the time of
    // the update after it: 100 is of the window, and so 200 is not.
    assert_eq!(learned.knowledge.window_sequences, Some((7_100, 7_199)));
    assert_eq!((updates.expected, updates.lost, updates.duplicated), (Some(200), Some(4), Some(2)));
    let delay = learned.recording.sums.delay.finish(learned.recording.distinct_events()).unwrap();
    assert_eq!((delay.mean_us, delay.distinct), (Some(40_000.0), 98));
    assert_eq!((learned.knowledge.resolution_ns, learned.knowledge.backwards), (1_000, 0));
    assert!(learned.knowledge.staleness.is_some() && learned.knowledge.publication.is_some());
}

#[test]
fn what_one_client_misses_another_tells_and_staleness_is_known() {
    let (mut first, mut second) = (standing(1), standing(1));
    for number in 1..=300 {
        let symbol = if number % 2 == 0 { "A" } else { "B" };
        if number != 150 {
            hear(&mut first, 0, number, Some(symbol));
        }
        hear(&mut second, 0, number, Some(symbol));
    }
    let learned = learn(&[first, second], rules(Numbering::Feed), known(), WINDOW);
    assert_eq!((learned.recording.updates(100).lost, &learned.knowledge.staleness), (Some(1), &None));
    // A symbol changes each 20 ms and the way takes 40: always wrong.
    let seen = learned.recording.sums.staleness.per_symbol(100).unwrap();
    assert!(seen.out_of_sync_share > 0.99, "{seen:?}");
}

#[test]
fn counters_of_symbols_are_told_apart() {
    let mut tape = standing(1);
    for number in 1..=300_u64 {
        let due = START + number * 10 * MS;
        let symbol = if number.is_multiple_of(3) { "A" } else { "B" };
        let own = if number.is_multiple_of(3) { number / 3 } else { 1_000_000 + number - number / 3 };
        if own == 50 {
            continue;
        }
        let heard = Heard {
            sequence: Some(own),
            symbol: Some(symbol),
            due_ns: Some(due as i64 + AHEAD),
            sent_ns: None,
            step_ns: 1_000,
        };
        tape.message();
        tape.update(0, &heard, due + 5 * MS);
    }
    let learned = learn(&[tape], rules(Numbering::Symbol), known(), WINDOW);
    let updates = learned.recording.updates(100);
    assert!(updates.add_up(), "{updates:?}");
    assert_eq!((updates.lost, updates.reordered, updates.duplicated), (Some(1), Some(0), Some(0)));
    assert_eq!(learned.knowledge.staleness, None);
}

#[test]
fn without_numbers_times_are_told_and_without_times_numbers() {
    let mut tape = standing(1);
    (1..=300).for_each(|number| hear(&mut tape, 0, number, None));
    let learned = learn(std::slice::from_ref(&tape), rules(Numbering::None), known(), WINDOW);
    assert!(learned.knowledge.numbers.is_some());
    let delay = learned.recording.sums.delay.finish(learned.recording.distinct_events()).unwrap();
    assert_eq!((delay.count, delay.distinct, delay.mean_us), (100, 100, Some(40_000.0)));
    let timeless = Rules { times: false, ..rules(Numbering::Feed) };
    let learned = learn(&[tape], timeless, known(), WINDOW);
    assert!(learned.knowledge.delays.is_some() && learned.knowledge.numbers.is_none());
    assert_eq!(learned.recording.updates(0).delivered_once, 100);
    assert_eq!(learned.recording.sums.inter_arrival.finish(100).unwrap().mean_us, Some(10_000.0));
}

#[test]
fn without_a_common_clock_the_fastest_update_has_no_delay() {
    let mut tape = standing(1);
    for number in 1..=300 {
        let due = START + number * 10 * MS;
        let heard = Heard { sequence: Some(number), due_ns: Some(due as i64 - 77), ..Heard::default() };
        tape.update(0, &heard, due + (20 + number % 2) * MS);
    }
    let learned = learn(&[tape], rules(Numbering::Feed), Bridge::Fastest, WINDOW);
    let delay = learned.recording.sums.delay.finish(100).unwrap();
    assert_eq!((delay.min_us, delay.max_us), (Some(0.0), Some(1_000.0)));
}

#[test]
fn numbers_that_are_no_counter_are_refused_with_the_reason() {
    let mut tape = standing(1);
    for number in 1..=100_u64 {
        let heard = Heard { sequence: Some(number * 1_000_003), due_ns: Some(AHEAD), ..Heard::default() };
        tape.update(0, &heard, WINDOW.start + number);
    }
    let learned = learn(&[tape], rules(Numbering::Feed), known(), WINDOW);
    assert!(learned.knowledge.numbers.unwrap().contains("not a counter"));
}

#[test]
fn a_client_that_hears_nothing_while_others_do_is_told_and_waits_for_everything() {
    let mut tape = standing(2);
    (1..=300).for_each(|number| hear(&mut tape, 0, number, None));
    let learned = learn(&[tape], rules(Numbering::Feed), known(), WINDOW);
    assert_eq!(learned.knowledge.silent, 1);
    let updates = learned.recording.updates(100);
    assert_eq!((updates.pending_at_end, updates.delivered_once), (Some(100), 100));
    let nothing = learn(&[standing(2)], rules(Numbering::Feed), known(), WINDOW);
    assert_eq!((nothing.knowledge.silent, nothing.recording.updates(0).delivered_once), (0, 0));
}
