//! Tables of times: where the delay comes from, and how wrong the shown prices were.
//!
//! A percentile that noise makes unreliable is marked, one without events beyond it is a dash.

use measurement::result::{Histogram, RunResult, Trial, Variant};

use super::{Section, per_trial, table};
use crate::format;

/// How wrong the shown prices were.
pub(in crate::html) fn staleness(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "price wrong",
        "wrong for, mean",
        "wrong for, p99",
        "wrong for, largest",
        "excess age",
        "age",
        "versions behind",
        "any price wrong",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let shown = trial.per_symbol.as_ref()?;
        let lag = &shown.sync_lag;
        let time = |us: Option<f64>| format::or_none(us, format::duration);
        Some(vec![
            format::share(shown.out_of_sync_share),
            time(lag.mean_us),
            time(lag.p99_us),
            time(lag.max_us),
            format::duration(shown.excess_age.mean_us),
            format::duration(shown.age.mean_us),
            format::significant(shown.version_lag.mean),
            format::or_none(trial.whole_screen.as_ref(), |screen| format::share(screen.out_of_sync_share)),
        ])
    };
    Section {
        title: "Staleness",
        caption: "Averages over time, symbols and clients; zero lag is in them. Excess age is the age above what a \
                  client without delay would show: age itself includes the feed's own pauses. The last column is \
                  about a screen with all symbols.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// Where the delay comes from.
pub(in crate::html) fn delays(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "publisher lag p50",
        "transit p50",
        "delivery p50",
        "delivery p90",
        "delivery p99",
        "largest",
        "generator lag p50",
        "floor p50",
        "fairness (Jain)",
    ];
    let p50 = |histogram: &Option<Histogram>| figure(histogram.as_ref(), |h| h.p50_us);
    let cells = |_: &Variant, trial: &Trial| {
        let delivery = trial.delivery_delay.as_ref()?;
        let resolved = |name: &str, value: Option<f64>| percentile(delivery, name, value);
        let transit = trial.transit.as_ref();
        Some(vec![
            p50(&trial.publisher_lag),
            transit.map_or(format::NONE.to_owned(), |transit| percentile(transit, "p50", transit.p50_us)),
            resolved("p50", delivery.p50_us),
            resolved("p90", delivery.p90_us),
            resolved("p99", delivery.p99_us),
            figure(Some(delivery), |h| h.max_us),
            p50(&trial.action_lag),
            p50(&trial.floor),
            format::or_none(trial.fairness, |fairness| format!("{:.3}", fairness.jain)),
        ])
    };
    Section {
        title: "Where the delay comes from",
        caption: "Delivery delay counts from the scheduled instant: a server that publishes late shows it here. A dash \
                  is a percentile without ten distinct events above it; ~ marks one that noise, the generator's own \
                  lag or the machine's floor makes unreliable.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// A percentile of that name, marked where it is not resolved.
pub(super) fn percentile(histogram: &Histogram, name: &str, value: Option<f64>) -> String {
    let unresolved = histogram.unresolved.iter().any(|known| known == name);
    format::or_unresolved(value, unresolved, format::duration)
}

fn figure(histogram: Option<&Histogram>, read: fn(&Histogram) -> Option<f64>) -> String {
    format::or_none(histogram.and_then(read), format::duration)
}
