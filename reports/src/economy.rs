//! What the counted rates come to: cost for many users, the longest wait that polling needs, and where it wins.
//!
//! All of it is multiplication of one run's own figures. What does not grow with users in proportion is not in it, and
//! the texts say so.

use measurement::result::{Class, ModelKind, RunResult, Status, Summary, Trial, Variant, Verdict};

use crate::{
    format,
    overview::{conditions_of, verdict},
    plan,
    plots::Table,
};

/// Users and hours a day that the page shows before anybody changes them.
pub(crate) const USERS: f64 = 10_000.0;
pub(crate) const HOURS: f64 = 8.0;

const BYTES: &str = "bytes.per_client_second";
const CPU: &str = "server.cpu_seconds_per_client_second";

/// A figure that grows in proportion to users.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// In the unit of its column, for one user in one second, or for one user where time is no factor; `None` where
    /// the run cannot tell.
    pub rate: Option<f64>,
    /// For [`USERS`] and [`HOURS`].
    pub text: String,
}

/// One variant with its figures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Its name.
    pub name: String,
    /// In the order of the columns.
    pub figures: Vec<Figure>,
}

/// Columns of [`days`].
pub(crate) const DAY: [&str; 3] = ["GB a day", "requests a day (million)", "server CPU a day (core-hours)"];

/// What a day costs, for each variant.
pub(crate) fn days(result: &RunResult) -> Vec<Row> {
    let row = |variant: &Variant| {
        let rates = [
            median(variant, BYTES).map(|bytes| bytes / 1e9),
            requests_per_second(variant).map(|requests| requests / 1e6),
            median(variant, CPU).map(|cores| cores / 3_600.0),
        ];
        let figure = |rate: Option<f64>| Figure {
            rate,
            text: format::or_none(rate.map(|rate| rate * USERS * HOURS * 3_600.0), format::significant),
        };
        Row { name: variant.name.clone(), figures: rates.map(figure).to_vec() }
    };
    result.variants.iter().filter(|variant| usable(variant).next().is_some()).map(row).collect()
}

fn median(variant: &Variant, metric: &str) -> Option<f64> {
    variant.summary.get(metric).map(|summary| summary.median)
}

fn usable(variant: &Variant) -> impl Iterator<Item = &Trial> {
    let usable =
        |trial: &&Trial| trial.status == Status::Complete && verdict(trial, Class::Counts) < Verdict::Invalid;
    variant.trials.iter().filter(usable)
}

/// Of one user; none of a variant that never asks.
fn requests_per_second(variant: &Variant) -> Option<f64> {
    let rate = |trial: &Trial| {
        let seconds = trial.clients.connected as f64 * trial.window_s;
        let sent = trial.requests.map_or(0, |requests| requests.sent) as f64;
        (seconds > 0.0).then_some(sent / seconds)
    };
    middle(usable(variant).filter_map(rate))
}

fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// How often polling can ask at most, and so how long its users must be willing to wait.
pub(crate) struct CutOff {
    /// In words, of the cheapest request.
    pub sentence: String,
    /// Clients of the run, where all variants have as many.
    pub clients: Option<u64>,
    /// CPU of a request and requests a second of one core, as text; then the wait in seconds for each user.
    pub rows: Vec<CutOffRow>,
}

/// One pull variant.
pub(crate) struct CutOffRow {
    /// Its name.
    pub name: String,
    /// CPU of a request, requests a second of one core, the wait for the users of the run, users that one core serves
    /// by push and the wait for as many.
    pub cells: [String; 5],
    /// The wait for [`USERS`], seconds per user.
    pub wait: Figure,
}

/// `max requests/s >= users / longest wait` (Van de Vyvere et al., 2020), with the requests that one core's time is
/// enough for. `None` where nobody asks on a timetable or processor time is not known.
pub(crate) fn cut_off(result: &RunResult) -> Option<CutOff> {
    let asking: Vec<(&Variant, f64)> = result
        .variants
        .iter()
        .filter(|variant| variant.model.kind == ModelKind::Pull)
        .filter_map(|variant| Some((variant, cpu_per_request(variant)?)))
        .collect();
    let (cheapest, cpu_s) = asking.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let clients = result.variants.first()?.clients;
    let clients = result.variants.iter().all(|variant| variant.clients == clients).then_some(clients);
    let time = |seconds: f64| format::duration(seconds * 1e6);
    let of_run = cheapest.clients as f64;
    let sentence = format!(
        "A request of {} took {} of the server's processor time, so one core answers about {} a second. By that, \
         polling matches push only if you accept prices up to {} old with the {} users of this run",
        cheapest.name,
        time(*cpu_s),
        format::significant(1.0 / cpu_s),
        time(of_run * cpu_s),
        format::plain(of_run),
    );
    let row = |(variant, cpu_s): &(&Variant, f64)| {
        let served = cheapest_push(result, variant, CPU).map(|(_, cores)| 1.0 / cores.median);
        CutOffRow {
            name: variant.name.clone(),
            cells: [
                time(*cpu_s),
                format::significant(1.0 / cpu_s),
                time(variant.clients as f64 * cpu_s),
                format::or_none(served, format::significant),
                format::or_none(served.map(|users| users * cpu_s), time),
            ],
            wait: Figure { rate: Some(*cpu_s), text: time(USERS * cpu_s) },
        }
    };
    Some(CutOff { sentence, clients, rows: asking.iter().map(row).collect() })
}

/// Of the whole server: its publisher and everything else is shared among the requests; `None` where others used it, too.
fn cpu_per_request(variant: &Variant) -> Option<f64> {
    let of = |trial: &Trial| {
        let sent = trial.requests.filter(|_| trial.shared_server.is_none())?.sent;
        let cpu_s = trial.server.cpu_seconds.filter(|cpu_s| *cpu_s > 0.0)?;
        (sent > 0).then_some(cpu_s / sent as f64)
    };
    middle(usable(variant).filter(|trial| verdict(trial, Class::Cost) < Verdict::Invalid).filter_map(of))
}

fn cheapest_push<'a>(
    result: &'a RunResult,
    beside: &Variant,
    metric: &str,
) -> Option<(&'a Variant, &'a Summary)> {
    result
        .variants
        .iter()
        .filter(|push| push.model.kind == ModelKind::Push && conditions_of(push) == conditions_of(beside))
        .filter_map(|push| Some((push, push.summary.get(metric).filter(|summary| summary.median > 0.0)?)))
        .min_by(|a, b| a.1.median.total_cmp(&b.1.median))
}

/// Where this run's polling is the better choice, and what that rests on.
pub(crate) struct Wins {
    /// The conditions, each with this run's figure.
    pub conditions: Vec<String>,
    /// Each pull variant beside the cheapest push under the same load and feed.
    pub table: Table,
}

/// `None` where there is nobody who asks, or no push beside.
pub(crate) fn wins(result: &RunResult) -> Option<Wins> {
    let head = [
        "variant",
        "bytes, of the least push",
        "server CPU, of the least push",
        "a price comes later by",
        "polls in vain",
        "better in",
    ];
    let pulls = || result.variants.iter().filter(|variant| variant.model.kind == ModelKind::Pull);
    let rows: Vec<Vec<String>> = pulls().filter_map(|variant| beside_push(result, variant)).collect();
    let first = pulls().next().filter(|_| !rows.is_empty())?;
    let head = head.map(str::to_owned).to_vec();
    Some(Wins { conditions: conditions(result, first), table: Table { head, rows } })
}

fn beside_push(result: &RunResult, variant: &Variant) -> Option<Vec<String>> {
    let mut better = Vec::new();
    let mut compared = false;
    let mut ratio = |metric: &str, word: &'static str| {
        let (push, least) = cheapest_push(result, variant, metric)?;
        let own = variant.summary.get(metric)?;
        compared = true;
        if own.high < least.low {
            better.push(word);
        }
        Some(format!("{} × {}", format::significant(own.median / least.median), push.name))
    };
    let bytes = ratio(BYTES, "bytes");
    let cpu = ratio(CPU, "server CPU");
    let delay = "delivery_delay.mean";
    let soonest = cheapest_push(result, variant, delay).map(|(_, summary)| summary.median);
    let later = median(variant, delay).zip(soonest).map(|(own, push)| own - push);
    if later.is_some_and(|us| us <= 0.0) {
        better.push("freshness");
    }
    let vain = median(variant, "requests.useless_share");
    compared.then(|| {
        vec![
            variant.name.clone(),
            bytes.unwrap_or_else(|| format::NONE.to_owned()),
            cpu.unwrap_or_else(|| format::NONE.to_owned()),
            format::or_none(later, |us| if us > 0.0 { format::duration(us) } else { "0".to_owned() }),
            format::or_none(vain, format::share),
            if better.is_empty() { "nothing".to_owned() } else { better.join(", ") },
        ]
    })
}

/// With the figures of the first who asks.
fn conditions(result: &RunResult, pull: &Variant) -> Vec<String> {
    let mut conditions = vec![
        "Its users accept the wait. A price comes half an interval late on average and a whole one at worst; whoever \
         accepts a minute may ask once a minute, and no push is needed."
            .to_owned(),
    ];
    let feed = &plan::of(result, pull)["feed"];
    if let (Some(rate), Some(symbol)) = (feed["updates_per_second"].as_f64(), plan::symbol_rate(result, pull))
    {
        conditions.push(format!(
            "Prices change faster than anybody looks. Here one of them changes every {}, any of them every {}: whoever \
             asks more rarely than that gets several in one answer, and pays one request for them; in mode latest \
             it does not even get those that were replaced.",
            format::duration(1e6 / symbol),
            format::duration(1e6 / rate)
        ));
    }
    conditions.push(
        "Few polls are in vain. A poll that finds nothing costs its heads all the same; the share below is this run's, \
         and it grows as the feed slows down."
            .to_owned(),
    );
    if let Some(cores) = median(pull, CPU) {
        let users = pull.clients as f64;
        conditions.push(format!(
            "There are few users. For the {} of this run {} takes {} of one core: what is saved by pushing is a part of \
             that.",
            format::plain(users),
            pull.name,
            format::share(cores * users)
        ));
    }
    conditions.push(
        "Something outside this table counts more: answers that a cache can serve to all, no connections to keep, \
         a proxy that cuts long ones."
            .to_owned(),
    );
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_day_is_the_rate_times_users_and_seconds() {
        let result = testing::result();
        let days = days(&result);
        assert_eq!(days.len(), result.variants.len());
        let bytes = result.variants[0].summary[BYTES].median * USERS * HOURS * 3_600.0 / 1e9;
        assert_eq!(days[0].figures[0].text, format::significant(bytes));
        // One request each second: 10,000 users for 8 hours.
        assert_eq!(days[0].figures[1].text, "288");
        assert_eq!(days[1].figures[1].text, "0");
    }

    #[test]
    fn the_cut_off_is_users_times_the_time_of_a_request() {
        let result = testing::result();
        let cut_off = cut_off(&result).unwrap();
        assert_eq!((cut_off.rows.len(), cut_off.clients), (1, Some(200)));
        // 0.2 s for 2,000 requests: 100 µs, 10,000 a second; 200 users must wait 20 ms, 10,000 of them 1 s.
        let row = &cut_off.rows[0];
        assert_eq!(row.cells[..3], ["100 µs", "10,000", "20.0 ms"]);
        assert_eq!(row.wait.text, "1.00 s");
        assert!(cut_off.sentence.contains("up to 20.0 ms old with the 200 users"), "{}", cut_off.sentence);
    }

    #[test]
    fn who_asks_stands_beside_the_least_push() {
        let wins = wins(&testing::result()).unwrap();
        assert_eq!(wins.table.rows.len(), 1);
        let row = &wins.table.rows[0];
        assert!(row[1].contains(" × ") && row[5] == "nothing", "{row:?}");
        assert!(row.len() == wins.table.head.len() && wins.conditions.len() > 3);
        assert!(super::wins(&testing::without_figures()).is_none());
        assert!(super::cut_off(&testing::without_figures()).is_none());
        assert!(super::days(&testing::without_figures()).is_empty());
    }
}
