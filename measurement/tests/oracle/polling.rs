//! Polling against its closed forms: on a timetable, after the answer, newest only, and with a server that stands still.

use super::{
    closed_forms,
    synthetic::{Feed, Figures, MS, Pace, Poller, SECOND, US, check, check_identity, play, seconds},
};

const QUOTES: u64 = 300_000;
const CLIENTS: usize = 3;

fn check_staleness(found: &Figures, feed: &Feed, period: f64, delay: f64) {
    let symbol = closed_forms::Polling { rate: feed.symbol_rate, period, delay };
    let (told, lag) = (&found.per_symbol, &found.per_symbol.sync_lag);
    check("mean age", seconds(told.age.mean_us), symbol.mean_age());
    check("mean excess age", seconds(told.excess_age.mean_us), symbol.mean_excess_age());
    check("out of sync", told.out_of_sync_share, symbol.out_of_sync());
    check("mean sync lag", seconds(lag.mean_us), symbol.mean_lag());
    check("sync lag p50", seconds(lag.p50_us), symbol.lag_quantile(0.5));
    check("sync lag p90", seconds(lag.p90_us), symbol.lag_quantile(0.9));
    check("sync lag p99", seconds(lag.p99_us), symbol.lag_quantile(0.99));
    check("versions behind", told.version_lag.mean, symbol.mean_versions());
    let screen = closed_forms::Polling { rate: feed.rate, ..symbol };
    check("screen out of sync", found.whole_screen.out_of_sync_share, screen.out_of_sync());
    check("screen's mean lag", seconds(found.whole_screen.sync_lag.mean_us), screen.mean_lag());
}

/// Every figure of `poller`, whose requests are `period` apart in the end.
fn check_polling(feed: &Feed, poller: Poller, period: u64) {
    let recording = poller.record(feed, CLIENTS);
    check_identity(&recording);
    let found = Figures::of(&recording);
    let (period, delay) = (period as f64 / 1e9, poller.delay as f64 / 1e9);
    let formula = closed_forms::Polling { rate: feed.rate, period, delay };
    check("mean delay", seconds(found.delay.mean_us), formula.mean_delay());
    let quantiles = [(0.5, found.delay.p50_us), (0.9, found.delay.p90_us), (0.99, found.delay.p99_us)];
    for (q, us) in quantiles.into_iter().chain([(0.999, found.delay.p999_us), (1.0, found.delay.max_us)]) {
        check(&format!("delay at {q}"), seconds(us), formula.delay_quantile(q));
    }
    // Nothing is coalesced: the delay until this or a newer quote is the delay.
    assert_eq!(found.reflection.hdr, found.delay.hdr);
    check_staleness(&found, feed, period, delay);

    let counts = &recording.sums.counts;
    let (requests, empty) = (counts.requests as f64, (counts.requests - counts.useful) as f64);
    check("requests", requests, CLIENTS as f64 * QUOTES as f64 / feed.rate / period);
    check("empty polls", empty / requests, formula.empty_polls());
    check("updates per poll", counts.delivered_once as f64 / requests, formula.updates_per_poll());
    if feed.table.symbols() == 1 {
        // An answer with news is one fresh reception, however many quotes are in it.
        check("peaks of the age", found.per_symbol.age.peak.count as f64, counts.useful as f64);
    }
    assert_eq!((recording.totals.lost, counts.duplicated, counts.reordered, counts.late_polls), (0, 0, 0, 0));
}

#[test]
fn on_a_timetable() {
    for (symbols, rate, period, delay) in [
        (1, 200.0, 10 * MS, 300 * US),
        (1, 100.0, 5 * MS, 4 * MS),
        (8, 200.0, 10 * MS, 2 * MS),
        (3, 1_000.0, MS, 100 * US),
    ] {
        let mut poller = Poller::new(period, delay);
        // A round trip longer than the period would be late: the request takes what is left of it at most.
        poller.request = (period - delay) / 2;
        check_polling(&Feed::poisson(symbols, rate, QUOTES), poller, period);
    }
}

#[test]
fn a_period_after_the_answer_is_longer_by_the_round_trip_and_the_service() {
    let poller = Poller { pace: Pace::AfterAnswer, request: MS, service: 2 * MS, ..Poller::new(4 * MS, MS) };
    check_polling(&Feed::poisson(1, 200.0, QUOTES), poller, 4 * MS + 2 * MS + 2 * MS);
    check_polling(&Feed::poisson(4, 250.0, QUOTES), poller, 4 * MS + 2 * MS + 2 * MS);
}

/// METHODOLOGY.md: λ = 2/s, d = 30 ms, P = 1 s. Here in a hundredth of the time: the figures scale, the shares stay.
#[test]
fn the_worked_example() {
    let feed = Feed::poisson(1, 200.0, 400_000);
    let recording = Poller::new(10 * MS, 300 * US).record(&feed, CLIENTS);
    let (found, scale) = (Figures::of(&recording), 100.0);
    check("mean delay", scale * seconds(found.delay.mean_us), 0.530);
    check("delay p99", scale * seconds(found.delay.p99_us), 1.020);
    check("out of sync", found.per_symbol.out_of_sync_share, 0.59);
    check("mean sync lag", scale * seconds(found.per_symbol.sync_lag.mean_us), 0.234);
    check("versions behind", found.per_symbol.version_lag.mean, 1.06);
}

/// The newest only: delays of what is delivered look better, but not the delay until a quote's news is shown.
#[test]
fn what_is_coalesced_flatters_the_delay_and_not_the_reflection() {
    let feed = Feed::poisson(2, 600.0, QUOTES);
    let poller = Poller { latest: true, ..Poller::new(10 * MS, MS) };
    let recording = poller.record(&feed, CLIENTS);
    check_identity(&recording);
    let found = Figures::of(&recording);
    let formula = closed_forms::Polling { rate: feed.symbol_rate, period: 0.01, delay: 0.001 };
    check("delay of the newest", seconds(found.delay.mean_us), formula.mean_delay_of_latest());
    check("reflection", seconds(found.reflection.mean_us), formula.mean_delay());
    check("reflection p99", seconds(found.reflection.p99_us), formula.delay_quantile(0.99));
    assert_eq!((found.reflection.count, recording.totals.lost), (recording.totals.expected, 0));
    let delivered = recording.sums.counts.delivered_once as f64;
    check("share of the newest", delivered / recording.totals.expected as f64, formula.share_of_latest());
    check_staleness(&found, &feed, 0.01, 0.001);
}

/// Ten polls are due while the server stands still for a second: all are sent, none is skipped, and their response time
/// counts from the planned instant. 100 ms apart they wait 1000, 900, … ms and the round trips of those before.
#[test]
fn polls_of_a_standing_server_are_late_and_never_skipped() {
    let feed = Feed::poisson(1, 100.0, 6_000);
    let poller = Poller { request: 50 * US, ..Poller::new(100 * MS, 50 * US) };
    let mut recorder = feed.recorder(1, false);
    let frozen = 20 * SECOND..21 * SECOND;
    play(&mut recorder, 0, poller.answers(&feed, (0, 1), frozen));
    let recording = recorder.finish();
    check_identity(&recording);
    let counts = &recording.sums.counts;
    assert_eq!((counts.requests, recording.totals.lost), (600, 0));
    // One was under way when the server stopped and nine became due before it went on.
    assert_eq!((counts.late_polls, recording.sums.action_lag.count()), (9, 600));
    let slow = [0.98, 0.99].map(|q| recording.sums.response.quantile_ns(q) / MS);
    assert!(slow[0] == 0 && slow[1] >= 300, "{slow:?}");
    let longest = recording.sums.response.max_ns();
    assert!((900 * MS..=1_001 * MS).contains(&longest), "{longest}");
    // A client that asks after the answer meets the same second once only: the closed model hides the rest.
    let mut recorder = feed.recorder(1, false);
    let closed = Poller { pace: Pace::AfterAnswer, ..poller };
    play(&mut recorder, 0, closed.answers(&feed, (0, 1), 20 * SECOND..21 * SECOND));
    let recording = recorder.finish();
    assert_eq!((recording.sums.counts.late_polls, recording.sums.response.quantile_ns(0.998) / MS), (0, 0));
}

/// A generator that acts late: the lag is told, it is in the response time and, where it is uneven, in the delay.
#[test]
fn a_late_generator_is_told() {
    let feed = Feed::poisson(1, 200.0, 100_000);
    let prompt = Poller { request: 100 * US, ..Poller::new(10 * MS, 100 * US) };
    let always = Poller { pacer_lag: 3 * MS, ..prompt };
    let tenth = Poller { pacer_lag: 8 * MS, lag_each: 10, ..prompt };
    let [prompt, always, tenth] = [prompt, always, tenth].map(|poller| poller.record(&feed, CLIENTS));
    let delay = |recording| seconds(Figures::of(recording).delay.mean_us);

    assert_eq!((prompt.sums.action_lag.max_ns(), prompt.sums.response.max_ns()), (0, 200 * US));
    check("mean delay, prompt", delay(&prompt), 0.0051);

    // All polls late by the same: the intervals stay, and so does the delay. Only the lag gives it away.
    check("action lag p50", always.sums.action_lag.quantile_ns(0.5) as f64, 3e6);
    assert_eq!((always.sums.action_lag.max_ns(), always.sums.response.max_ns()), (3 * MS, 3_200 * US));
    check("mean delay, always late", delay(&always), 0.0051);

    // Each tenth late by 8 ms: intervals of 18, 2 and eight times 10 ms. A quote meets an interval in proportion to its
    // length, so that the mean delay is Σ interval² / (2 Σ interval) + d = 5.64 ms + d.
    check("action lag p95", tenth.sums.action_lag.quantile_ns(0.95) as f64, 8e6);
    assert_eq!((tenth.sums.action_lag.max_ns(), tenth.sums.response.max_ns()), (8 * MS, 8_200 * US));
    check("mean delay, each tenth late", delay(&tenth), 0.00574);
    check("longest delay", tenth.sums.delay.max_ns() as f64, 18.1e6);
}
