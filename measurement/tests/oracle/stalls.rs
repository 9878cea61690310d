//! A publisher that stands still: seen from the due times, unseen from the sends, and seen in the counts if it skips.
//!
//! A real server, frozen 4 × 0.4 s in 14 s at 100 updates/s: p99 369 ms from the due times, 2.8 ms from the sends; one
//! that skips missed ticks showed 1.8 ms and had silently sent 1,224 of 1,400 updates. Here are the same stalls.

use measurement::recorder::Recording;
use ticker::{Arrivals, random};

use super::synthetic::{Feed, Figures, MS, Message, Quote, SECOND, check_identity, play};

const FROZEN_FROM: [u64; 4] = [2 * SECOND, 5 * SECOND, 8 * SECOND, 11 * SECOND];
const FROZEN_FOR: u64 = 400 * MS;

/// A publisher's choice for a quote that is due while it is frozen until the given instant: when to send it, if at all.
type Choice = fn(u64) -> Option<u64>;

fn frozen(choice: Choice) -> (Feed, Recording) {
    // From 5 ms before the first quote to 5 ms after the last: 1,400 of them.
    let feed = Feed::new(Arrivals::Constant, 1, 100.0, 5 * MS..14 * SECOND + 5 * MS);
    let messages = (1..=feed.table.last_seq()).filter_map(|seq| {
        let due = feed.due(seq);
        let until = FROZEN_FROM.iter().map(|from| *from..from + FROZEN_FOR).find(|time| time.contains(&due));
        let sent = until.map_or(Some(due), |time| choice(time.end))?;
        // One to three milliseconds on the way; a stream keeps the order.
        let transit = MS + random::below(1, 1, seq / 50, 2 * MS);
        Some(Message { at: sent + transit, quotes: vec![Quote { seq, sent }], ..Message::default() })
    });
    let mut recorder = feed.recorder(1, false);
    play(&mut recorder, 0, messages);
    let recording = recorder.finish();
    check_identity(&recording);
    assert_eq!(recording.totals.expected, 1_400);
    (feed, recording)
}

#[test]
fn a_frozen_publisher_is_late_by_the_schedule_and_prompt_by_its_own_stamps() {
    let (_, recording) = frozen(Some);
    let delay_ms = recording.sums.delay.quantile_ns(0.99) / MS;
    assert!((360..=380).contains(&delay_ms), "{delay_ms}");
    // The same messages from the send: the stall is gone.
    let transit_ms = recording.sums.transit.quantile_ns(0.99) as f64 / 1e6;
    assert!(transit_ms < 3.1, "{transit_ms}");
    // The difference is told as what it is.
    let lag_ms = recording.publisher_lag().unwrap().max_us.unwrap() / 1e3;
    assert!((390.0..=400.0).contains(&lag_ms), "{lag_ms}");
    assert_eq!((recording.totals.lost, recording.sums.counts.delivered_once), (0, 1_400));
}

#[test]
fn a_publisher_that_skips_is_prompt_by_every_delay_and_exposed_by_the_counts() {
    let (feed, recording) = frozen(|_| None);
    let delay_ms = recording.sums.delay.quantile_ns(0.99) as f64 / 1e6;
    assert!(delay_ms < 3.1, "{delay_ms}");
    // 40 quotes are due in each stall. The schedule knows them: they are lost, and not fewer than expected.
    let counts = &recording.sums.counts;
    assert_eq!((recording.totals.lost, counts.delivered_once), (160, 1_240));
    let scheduled = feed.in_window();
    assert_eq!((scheduled.end - scheduled.start, recording.distinct_quotes()), (1_400, 1_240));
    // The delay until a quote or a newer one is shown keeps the stall as well.
    let reflection_ms = Figures::of(&recording).reflection.p99_us.unwrap() / 1e3;
    assert!((360.0..=380.0).contains(&reflection_ms), "{reflection_ms}");
}
