//! Long polling against its closed forms, from rarely to nearly always something new in the dead time.

use super::{
    closed_forms,
    synthetic::{Feed, Figures, MS, US, check, check_identity, held, play, seconds},
};

#[test]
fn held_until_there_is_news() {
    // x = λR: 0.02, 0.4, 2 and 8.
    for (symbols, rate, dead_time, delay) in [
        (1, 100.0, 200 * US, MS),
        (1, 200.0, 2 * MS, MS),
        (4, 400.0, 5 * MS, 2 * MS),
        (8, 800.0, 10 * MS, 4 * MS),
    ] {
        let feed = Feed::poisson(symbols, rate, 300_000);
        let mut recorder = feed.recorder(1, false);
        play(&mut recorder, 0, held(&feed, dead_time, delay));
        let recording = recorder.finish();
        check_identity(&recording);
        let formula =
            closed_forms::LongPoll { rate, dead_time: dead_time as f64 / 1e9, delay: delay as f64 / 1e9 };
        let (found, counts) = (Figures::of(&recording), &recording.sums.counts);
        check("mean delay", seconds(found.delay.mean_us), formula.mean_delay());
        let per_response = counts.delivered_once as f64 / counts.requests as f64;
        check("updates per response", per_response, formula.updates_per_response());
        assert_eq!(counts.requests, counts.useful, "a held request is never answered empty");
        // METHODOLOGY: the worst extra wait is R.
        let longest = recording.sums.delay.max_ns();
        assert!(longest <= delay + dead_time, "{longest}");
        check("longest wait", longest as f64, (delay + dead_time) as f64);
        // Little's law holds whatever the transport: versions behind = λ × mean delay, λ of one symbol.
        let versions = feed.symbol_rate * formula.mean_delay();
        check("versions behind", found.per_symbol.version_lag.mean, versions);
    }
}
