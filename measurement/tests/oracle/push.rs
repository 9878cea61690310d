//! Push against its closed forms, workers merged, and a generator that reads late.

use super::{
    closed_forms,
    synthetic::{Feed, Figures, MS, Message, SECOND, US, check, check_identity, play, push, seconds},
};

fn check_push(symbols: u32, rate: f64, delay: u64) {
    let feed = Feed::poisson(symbols, rate, 300_000);
    let mut recorder = feed.recorder(1, false);
    play(&mut recorder, 0, push(&feed, delay));
    let recording = recorder.finish();
    check_identity(&recording);
    let found = Figures::of(&recording);
    // D = d for every quote: exactly, not within 2 %.
    let d_us = delay as f64 / 1e3;
    assert_eq!((found.delay.mean_us, found.delay.max_us), (Some(d_us), Some(d_us)));
    check("delay p50", seconds(found.delay.p50_us), d_us / 1e6);
    assert_eq!(found.reflection.hdr, found.delay.hdr);
    assert_eq!(found.delay.count, recording.totals.expected);

    let formula = closed_forms::Push { rate: feed.symbol_rate, delay: delay as f64 / 1e9 };
    let told = &found.per_symbol;
    check("mean age", seconds(told.age.mean_us), formula.mean_age());
    check("peak age", seconds(told.age.peak.mean_us), formula.mean_age());
    check("peak age p99", seconds(told.age.peak.p99_us), formula.peak_age_quantile(0.99));
    check("mean excess age", seconds(told.excess_age.mean_us), formula.delay);
    check("out of sync", told.out_of_sync_share, formula.out_of_sync());
    check("mean sync lag", seconds(told.sync_lag.mean_us), formula.mean_lag());
    check("versions behind", told.version_lag.mean, formula.mean_versions());
    let screen = closed_forms::Push { rate, ..formula };
    check("screen out of sync", found.whole_screen.out_of_sync_share, screen.out_of_sync());
    check("screen's mean lag", seconds(found.whole_screen.sync_lag.mean_us), screen.mean_lag());
}

#[test]
fn each_quote_after_the_one_way_delay() {
    check_push(1, 200.0, 300 * US);
    check_push(1, 100.0, 20 * MS);
    check_push(8, 800.0, 5 * MS);
}

/// METHODOLOGY.md: λ = 2/s, d = 30 ms, here in a hundredth of the time. Its own figures have two digits, or one.
#[test]
fn the_worked_example() {
    let feed = Feed::poisson(1, 200.0, 400_000);
    let mut recorder = feed.recorder(1, false);
    play(&mut recorder, 0, push(&feed, 300 * US));
    let told = Figures::of(&recorder.finish()).per_symbol;
    let rounded = |value: f64, digits: i32| (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
    assert_eq!(rounded(told.out_of_sync_share, 3), 0.058);
    assert_eq!(rounded(100.0 * told.sync_lag.mean_us.unwrap() / 1e3, 1), 0.9);
    assert_eq!(rounded(told.version_lag.mean, 2), 0.06);
}

#[test]
fn two_workers_merged_are_one() {
    let feed = Feed::poisson(4, 400.0, 40_000);
    let delays = [300 * US, 2 * MS, 5 * MS, 40 * MS];
    let mut one = feed.recorder(delays.len(), false);
    let mut two = [feed.recorder(2, false), feed.recorder(2, false)];
    for (client, &delay) in delays.iter().enumerate() {
        // Losses of its own for each client, so that their counts differ.
        let some = |message: &Message| !message.quotes[0].seq.is_multiple_of(50 + client as u64);
        play(&mut one, client, push(&feed, delay).filter(some));
        play(&mut two[client / 2], client % 2, push(&feed, delay).filter(some));
    }
    let [mut merged, other] = two.map(measurement::recorder::Recorder::finish);
    merged.merge(other);
    let one = one.finish();
    check_identity(&merged);
    assert_eq!((one.sums.counts, one.totals), (merged.sums.counts, merged.totals));
    assert_eq!(one.distinct_quotes(), merged.distinct_quotes());
    assert_eq!(one.fairness(), merged.fairness());
    assert_eq!(one.sums.series.finish(), merged.sums.series.finish());
    let (a, b) = (Figures::of(&one), Figures::of(&merged));
    assert_eq!((a.delay, a.reflection), (b.delay, b.reflection));
    for (a, b) in [
        (&a.per_symbol.sync_lag, &b.per_symbol.sync_lag),
        (&a.whole_screen.sync_lag, &b.whole_screen.sync_lag),
    ] {
        assert_eq!((&a.hdr_start, &a.hdr_end, a.total_s), (&b.hdr_start, &b.hdr_end, b.total_s));
        assert_eq!((a.p50_us, a.p99_us, a.max_us), (b.p50_us, b.p99_us, b.max_us));
    }
    assert_eq!(a.whole_screen.out_of_sync_share, b.whole_screen.out_of_sync_share);
    let (a, b) = (a.per_symbol, b.per_symbol);
    assert_eq!((a.out_of_sync_share, a.age.peak), (b.out_of_sync_share, b.age.peak));
    // Areas are added in another order: equal but for the last digits.
    for (a, b) in [(a.age.mean_us, b.age.mean_us), (a.excess_age.mean_us, b.excess_age.mean_us)] {
        assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    }
}

/// A generator that does not read for 50 ms of each second stamps what came meanwhile late: it is in the delay and the
/// transit, and nothing claims that the quotes came in time.
#[test]
fn what_is_read_late_is_late() {
    let feed = Feed::poisson(1, 1_000.0, 200_000);
    let mut recorder = feed.recorder(1, false);
    let read_late = |message: Message| {
        let into_second = message.at % SECOND;
        let at = if into_second < 50 * MS { message.at - into_second + 50 * MS } else { message.at };
        Message { at, ..message }
    };
    play(&mut recorder, 0, push(&feed, MS).map(read_late));
    let recording = recorder.finish();
    check_identity(&recording);
    // 5 % of the quotes wait 25 ms in the mean; 1 % wait longer than 40 ms.
    let found = Figures::of(&recording);
    check("mean delay", seconds(found.delay.mean_us), 0.001 + 0.05 * 0.025);
    check("delay p99", seconds(found.delay.p99_us), 0.001 + 0.040);
    check("transit p99", recording.sums.transit.quantile_ns(0.99) as f64, 41e6);
}
