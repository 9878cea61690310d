//! A crossover's grid as a plan, and its trials as points: pure functions of plans and results.
//!
//! Transports are told apart by their model alone: who asks on a timetable has an interval, the others have none.

use std::time::Duration;

use measurement::{
    crossover::{At, Calibration, Figures, Point},
    result::{Class, Histogram, ModelKind, RunResult, Status, Trial, Variant, Verdict},
};
use serde_json::json;

use crate::{
    clients,
    plan::{Plan, VariantPlan},
    scenario::{self, Overrides, ScenarioError},
};

/// Of the calibration: so many that heads and quotes are both well known.
const CALIBRATION_RATE: f64 = 10.0;
const CALIBRATION_INTERVAL: Duration = Duration::from_millis(200);
const LONGEST_CALIBRATION: Duration = Duration::from_secs(2);
const SECONDS_OF_AN_HOUR: f64 = 3_600.0;

/// What is swept.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Between polls.
    pub intervals: Vec<Duration>,
    /// Round trips of the link.
    pub rtts: Vec<Duration>,
    /// Updates a second.
    pub rates: Vec<f64>,
}

/// Where a variant of the grid's plan stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its transport's place in the scenario.
    pub transport: usize,
    /// Between polls, of one that polls.
    pub interval: Option<Duration>,
    /// Round trip of the link.
    pub rtt: Duration,
    /// Updates a second.
    pub rate: f64,
}

/// Who starts a delivery of this variant.
pub fn kind(variant: &VariantPlan) -> ModelKind {
    clients::model(variant.kind, &variant.options).kind
}

/// One trial of each transport on loopback, from which the predictions are made.
pub fn calibration(scenario: &str, overrides: &Overrides) -> Result<Plan, ScenarioError> {
    let place = (Some(CALIBRATION_INTERVAL), Duration::ZERO, CALIBRATION_RATE);
    let mut plan = at(scenario, overrides, place)?;
    for variant in &mut plan.variants {
        variant.load.measure = variant.load.measure.min(LONGEST_CALIBRATION);
    }
    Ok(plan)
}

/// Every point as a variant of one plan.
pub fn plan(scenario: &str, overrides: &Overrides, grid: &Grid) -> Result<(Plan, Vec<Place>), ScenarioError> {
    let mut whole: Option<Plan> = None;
    let mut places = Vec::new();
    for (&rtt, &rate) in grid.rtts.iter().flat_map(|rtt| grid.rates.iter().map(move |rate| (rtt, rate))) {
        let mut variants = Vec::new();
        for (number, &interval) in grid.intervals.iter().enumerate() {
            let plan = at(scenario, overrides, (Some(interval), rtt, rate))?;
            for (transport, variant) in plan.variants.iter().enumerate() {
                let interval = (kind(variant) == ModelKind::Pull).then_some(interval);
                // Who has no interval is measured once for all of them.
                if interval.is_some() || number == 0 {
                    let place = Place { transport, interval, rtt, rate };
                    variants.push(placed(variant.clone(), &place));
                    places.push(place);
                }
            }
            whole.get_or_insert_with(|| Plan { variants: Vec::new(), ..plan });
        }
        if let Some(whole) = &mut whole {
            whole.variants.append(&mut variants);
        }
    }
    match whole {
        Some(whole) => Ok((whole, places)),
        // A grid without a point; the command line has none.
        None => scenario::load(scenario, overrides).map(|plan| (plan, places)),
    }
}

/// The scenario at one point, one trial each, the window long enough for one update.
fn at(
    scenario: &str,
    overrides: &Overrides,
    (interval, rtt, rate): (Option<Duration>, Duration, f64),
) -> Result<Plan, ScenarioError> {
    let mut overrides = overrides.clone();
    overrides.set.push(format!("feed.updates_per_second={rate}"));
    overrides.set.push("load.trials=1".to_owned());
    if let Some(interval) = interval {
        overrides.set.push(format!("defaults.interval={}", text(interval)));
    }
    // Loopback is no link.
    if !rtt.is_zero() {
        overrides.set.push(format!("link.rtt={}", text(rtt)));
    }
    let mut plan = scenario::load(scenario, &overrides)?;
    plan.gates.clear();
    let shortest = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
    for variant in &mut plan.variants {
        variant.load.measure = variant.load.measure.max(shortest);
        // A transport may have set an interval of its own, which the default does not change.
        if let Some(interval) = interval.filter(|_| kind(variant) == ModelKind::Pull) {
            variant.options.interval = interval;
            variant.set.insert("interval".to_owned(), json!(text(interval)));
        }
    }
    Ok(plan)
}

fn placed(mut variant: VariantPlan, place: &Place) -> VariantPlan {
    let mut name = variant.name;
    if let Some(interval) = place.interval {
        name.push_str(&format!(" · interval {}", text(interval)));
        variant.point.insert("transport.interval".to_owned(), json!(text(interval)));
    }
    name.push_str(&format!(" · updates_per_second {} · rtt {}", place.rate, text(place.rtt)));
    variant.point.insert("feed.updates_per_second".to_owned(), json!(place.rate));
    variant.point.insert("link.rtt".to_owned(), json!(text(place.rtt)));
    VariantPlan { name, ..variant }
}

/// As scenario files write it.
fn text(time: Duration) -> String {
    if time.is_zero() { "0ms".to_owned() } else { humantime::format_duration(time).to_string() }
}

/// Share of the feed that a client is sent.
fn share(variant: &VariantPlan) -> f64 {
    f64::from(variant.load.symbols_per_client.min(variant.feed.symbols))
        / f64::from(variant.feed.symbols.max(1))
}

/// The one trial of a variant, if it was run to its end.
fn trial<'a>(result: &'a RunResult, name: &str) -> Option<&'a Trial> {
    let variant: &Variant = result.variants.iter().find(|variant| variant.name == name)?;
    variant.trials.first().filter(|trial| trial.status == Status::Complete)
}

fn stands(trial: &Trial, class: Class) -> bool {
    trial.validity.classes.of(class) < Verdict::Invalid
}

/// Bytes of all clients in the window, payload and everything else.
fn bytes(trial: &Trial) -> (f64, f64) {
    let (received, sent) = (&trial.bytes.received, &trial.bytes.sent);
    let payload = received.payload + sent.payload;
    (payload as f64, (received.socket_total + sent.socket_total - payload) as f64)
}

/// What one transport's trial on loopback tells; `None` where its bytes are void or it received nothing.
pub fn calibrated(result: &RunResult, variant: &VariantPlan) -> Option<Calibration> {
    let trial = trial(result, &variant.name).filter(|trial| stands(trial, Class::Bytes))?;
    let updates = trial.updates.received_in_window as f64;
    let (payload, rest) = bytes(trial);
    let requests = trial.requests.map_or(0.0, |requests| requests.sent as f64);
    let p50 = |histogram: &Option<Histogram>| histogram.as_ref().and_then(|histogram| histogram.p50_us);
    let mean = trial.delivery_delay.as_ref().and_then(|delay| delay.mean_us);
    let (request_bytes, framing_bytes, way_us) = match kind(variant) {
        ModelKind::Pull => (rest / requests, 0.0, p50(&trial.response_time).map(|us| us / 2.0)),
        ModelKind::Held => (rest / requests, 0.0, mean),
        ModelKind::Push => (0.0, rest / updates, mean),
    };
    let calibration = Calibration {
        request_bytes,
        update_bytes: payload / updates,
        framing_bytes,
        periodic_bytes: trial.bytes.periodic,
        way_us: way_us.unwrap_or(0.0),
        // The gap is half of the time in which nobody can be told anything.
        dead_us: p50(&trial.rearm_gap).map_or(0.0, |us| us * 2.0),
    };
    (updates > 0.0 && request_bytes.is_finite()).then_some(calibration)
}

/// A point as its trial tells it, beside what the closed forms say of it.
pub fn point(
    result: &RunResult,
    variant: &VariantPlan,
    place: &Place,
    calibration: Option<&Calibration>,
) -> Point {
    let trial = trial(result, &variant.name);
    let share = share(variant);
    let rate_in_window =
        trial.map(|trial| trial.schedule.wanted_per_second * share).filter(|rate| *rate > 0.0);
    let rate = rate_in_window.unwrap_or(place.rate * share);
    let interval_s = place.interval.map_or(0.0, |interval| interval.as_secs_f64());
    let at = At { interval_s, rtt_s: place.rtt.as_secs_f64(), rate };
    Point {
        transport: place.transport,
        variant: variant.name.clone(),
        interval_us: place.interval.map(us),
        rtt_us: us(place.rtt),
        rate: place.rate,
        rate_in_window,
        measured: trial.map(|trial| measured(trial, kind(variant), rate, calibration)).unwrap_or_default(),
        predicted: calibration.map(|known| known.predict(kind(variant), at)).unwrap_or_default(),
        void: void(result, &variant.name),
    }
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn measured(trial: &Trial, kind: ModelKind, rate: f64, calibration: Option<&Calibration>) -> Figures {
    let seconds = trial.clients.connected as f64 * trial.window_s;
    let (payload, rest) = bytes(trial);
    let updates = trial.updates.received_in_window as f64;
    // Few updates fall into a window, and some across its edges: what each costs is measured, how many there are is known.
    let update_bytes =
        if updates > 0.0 { Some(payload / updates) } else { calibration.map(|c| c.update_bytes) };
    let per_second = match kind {
        ModelKind::Pull => update_bytes.map(|bytes| rest / seconds + rate * bytes),
        ModelKind::Held | ModelKind::Push => (updates > 0.0).then(|| rate * (payload + rest) / updates),
    };
    let hourly = |of: f64| of * SECONDS_OF_AN_HOUR;
    let server = &trial.server;
    let cpu = server.cpu_seconds.map(|cpu| cpu - server.publisher_cpu_seconds.unwrap_or(0.0));
    Figures {
        delay_us: trial
            .delivery_delay
            .as_ref()
            .and_then(|delay| delay.mean_us)
            .filter(|_| stands(trial, Class::Timing)),
        price_wrong: trial
            .per_symbol
            .as_ref()
            .map(|symbol| symbol.out_of_sync_share)
            .filter(|_| stands(trial, Class::Timing)),
        bytes_per_hour: per_second
            .map(|bytes| hourly(bytes + trial.bytes.periodic))
            .filter(|bytes| bytes.is_finite() && stands(trial, Class::Bytes) && stands(trial, Class::Counts)),
        cpu_s_per_hour: cpu.map(|cpu| hourly(cpu / seconds)).filter(|_| stands(trial, Class::Cost)),
    }
}

/// Why figures of a point are missing: codes of what voids them, or the trial's error.
fn void(result: &RunResult, name: &str) -> Vec<String> {
    use measurement::result::Severity;
    let Some(variant) = result.variants.iter().find(|variant| variant.name == name) else {
        return vec!["it was not run".to_owned()];
    };
    let Some(trial) = variant.trials.first() else { return vec!["it was not run".to_owned()] };
    let grave = trial.validity.findings.iter().filter(|finding| finding.severity == Severity::Invalid);
    let mut why: Vec<String> = grave.map(|finding| finding.code.clone()).collect();
    why.extend(trial.error.clone());
    if trial.updates.received_in_window == 0 && why.is_empty() {
        why.push("no update came in the window".to_owned());
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(intervals: &[u64], rates: &[f64]) -> Grid {
        Grid {
            intervals: intervals.iter().map(|ms| Duration::from_millis(*ms)).collect(),
            rtts: vec![Duration::ZERO],
            rates: rates.to_vec(),
        }
    }

    #[test]
    fn every_point_is_a_variant_and_who_has_no_interval_is_measured_once() {
        let (plan, places) =
            plan("crossover", &Overrides::default(), &grid(&[100, 5_000], &[0.2, 10.0])).unwrap();
        assert_eq!(plan.variants.len(), 2 * (2 + 3));
        assert_eq!(plan.variants.len(), places.len());
        let mut names: Vec<&str> = plan.variants.iter().map(|variant| variant.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), places.len());
        for (variant, place) in plan.variants.iter().zip(&places) {
            assert_eq!(variant.feed.updates_per_second, place.rate, "{}", variant.name);
            assert_eq!(place.interval.is_some(), kind(variant) == ModelKind::Pull, "{}", variant.name);
            let interval = place.interval.unwrap_or(variant.options.interval);
            assert_eq!(variant.options.interval, interval, "{}", variant.name);
            assert!(variant.load.measure.as_secs_f64() * place.rate >= 1.0, "{}", variant.name);
        }
    }

    #[test]
    fn an_interval_of_a_transport_s_own_is_changed_too() {
        let (plan, _) = plan("ticker", &Overrides::default(), &grid(&[300], &[5.0])).unwrap();
        let polling: Vec<_> =
            plan.variants.iter().filter(|variant| kind(variant) == ModelKind::Pull).collect();
        assert_eq!(polling.len(), 2);
        assert!(polling.iter().all(|variant| variant.options.interval == Duration::from_millis(300)));
    }

    #[test]
    fn bytes_are_those_of_the_rate_however_many_updates_fell_into_the_window() {
        let mut trial = Trial { window_s: 10.0, ..Trial::default() };
        trial.clients.connected = 2;
        trial.updates.received_in_window = 4;
        trial.bytes.received.payload = 400;
        trial.bytes.received.socket_total = 440;
        let of = |kind| measured(&trial, kind, 1.0, None).bytes_per_hour.unwrap();
        assert_eq!(of(ModelKind::Push), 110.0 * 3_600.0);
        assert_eq!(of(ModelKind::Pull), (100.0 + 2.0) * 3_600.0);
    }
}
