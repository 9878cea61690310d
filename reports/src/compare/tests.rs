//! Verdicts on made-up figures, case by case, and the forms that they are shown in.

use std::collections::BTreeMap;

use measurement::{
    noise::{NoiseEntry, NoiseLedger},
    result::{RunResult, Status},
};
use serde_json::json;

use super::{figures::VariantFigures, *};
use crate::testing;

fn figures(metric: &str, values: &[f64]) -> Figures {
    let metrics = BTreeMap::from([(metric.to_owned(), values.iter().copied().map(Some).collect())]);
    let variant =
        VariantFigures { name: "v".to_owned(), trials: values.len(), metrics, ..VariantFigures::default() };
    Figures { variants: vec![variant] }
}

fn row(metric: &str, base: &[f64], candidate: &[f64]) -> Row {
    let settings = Settings::default();
    let rows =
        judge(&figures(metric, base), &figures(metric, candidate), &settings, &Grounds::default()).unwrap();
    rows[0].rows[0].clone()
}

fn ledger(metric: &str, width: f64) -> NoiseLedger {
    let mut ledger = NoiseLedger::of(BTreeMap::new());
    ledger.entries.push(NoiseEntry {
        variant: "v".to_owned(),
        metric: metric.to_owned(),
        log_ratios: (0..40).map(|n| width * (measurement::random::unit(3, 0, n) - 0.5)).collect(),
        recorded_at: String::new(),
        scenario: String::new(),
    });
    ledger
}

#[test]
fn counted_metrics() {
    let check = |metric: &str, base: &[f64], candidate: &[f64], expected: Verdict| {
        let row = row(metric, base, candidate);
        assert_eq!(row.verdict, Some(expected), "{metric} {base:?} {candidate:?}: {row:?}");
    };
    // Constants: to the last digit.
    check("updates.lost", &[0.0; 3], &[0.0; 3], Verdict::Equivalent);
    check("updates.lost", &[0.0; 3], &[0.0, 0.0, 1.0], Verdict::Regression);
    check("updates.lost", &[3.0; 3], &[0.0; 3], Verdict::Improved);
    check("updates.lost", &[3.0; 3], &[3.0, 2.0, 3.0], Verdict::Inconclusive);
    check("updates.expected", &[500.0; 2], &[499.0; 2], Verdict::Regression);
    // One that varies is a total.
    check("updates.lost", &[100.0, 101.0, 102.0], &[101.0, 102.0, 102.0], Verdict::Equivalent);
    // Totals: beyond 1 %, beyond their spread, and apart.
    let total = "bytes.sent.socket_total";
    check(total, &[1_000.0, 1_001.0, 1_002.0], &[1_004.0, 1_005.0, 1_006.0], Verdict::Equivalent);
    check(total, &[1_000.0, 1_001.0, 1_002.0], &[1_040.0, 1_041.0, 1_042.0], Verdict::Regression);
    check(total, &[1_000.0, 1_001.0, 1_002.0], &[900.0, 901.0, 902.0], Verdict::Improved);
    check(total, &[1_000.0, 1_050.0, 1_100.0], &[1_101.0, 1_110.0, 1_120.0], Verdict::Equivalent);
    check(total, &[0.0; 3], &[0.0; 3], Verdict::Equivalent);
    check(total, &[0.0; 3], &[5.0; 3], Verdict::Regression);
    check("updates.delivered_once", &[1_000.0; 3], &[900.0; 3], Verdict::Regression);
    check("requests.useless_share", &[0.0; 3], &[0.005; 3], Verdict::Equivalent);
    // One trial shows no spread.
    check(total, &[1_000.0], &[1_150.0], Verdict::Equivalent);
    check(total, &[1_000.0], &[1_250.0], Verdict::Regression);
    // Processor figures that are counted move with the machine's other work.
    let switches = "server.voluntary_switches_per_update";
    check(switches, &[1.0, 1.01, 1.02], &[1.08, 1.09, 1.1], Verdict::Equivalent);
    check(switches, &[1.0, 1.01, 1.02], &[1.4, 1.41, 1.42], Verdict::Regression);
}

#[test]
fn a_ledger_widens_what_a_total_may_do() {
    let total = "bytes.sent.socket_total";
    let (base, candidate) = (figures(total, &[1_000.0; 3]), figures(total, &[1_040.0; 3]));
    let verdict = |ledger: Option<&NoiseLedger>| {
        judge(&base, &candidate, &Settings::default(), &Grounds { ledger, ..Grounds::default() }).unwrap()[0]
            .rows[0]
            .verdict
    };
    assert_eq!(verdict(None), Some(Verdict::Regression));
    assert_eq!(verdict(Some(&ledger(total, 0.2))), Some(Verdict::Equivalent));
}

/// Ten pairs around a ratio, each pair a little off.
fn pairs(ratio: f64) -> (Vec<f64>, Vec<f64>) {
    let base: Vec<f64> = (0..10).map(|n| 1_000.0 * (1.0 + 0.3 * f64::from(n % 3))).collect();
    let off = |n: usize| 1.0 + 0.01 * ((n % 5) as f64 - 2.0);
    let candidate = base.iter().enumerate().map(|(n, value)| value * ratio * off(n)).collect();
    (base, candidate)
}

fn timed(ratio: f64, ledger: Option<&NoiseLedger>) -> Row {
    let metric = TESTED[0];
    let (base, candidate) = pairs(ratio);
    let (base, candidate) = (figures(metric, &base), figures(metric, &candidate));
    judge(&base, &candidate, &Settings::default(), &Grounds { pairs: Some(10), ledger, ..Grounds::default() })
        .unwrap()[0]
        .rows[0]
        .clone()
}

#[test]
fn timed_metrics_by_pairs() {
    let check = |ratio, expected| {
        let row = timed(ratio, None);
        assert_eq!(row.verdict, Some(expected), "{ratio}: {row:?}");
        assert!((row.ratio.unwrap() / ratio - 1.0).abs() < 0.02 && !row.gates);
    };
    check(1.0, Verdict::Equivalent);
    check(1.3, Verdict::Regression);
    check(0.7, Verdict::Improved);
    // Significant, but not beyond 5 %.
    check(1.05, Verdict::Inconclusive);
}

#[test]
fn a_loud_machine_says_that_it_cannot_see() {
    let loud = ledger(TESTED[0], 3.0);
    let row = timed(1.0, Some(&loud));
    assert_eq!(row.verdict, Some(Verdict::Unresolved), "{row:?}");
    assert!(row.delta > 0.05 && row.floor == Some(row.delta) && row.smallest_visible > Some(1.0 + row.delta));
    assert!(words::reading(&row).contains("smaller ones cannot be seen here"));
    let quiet = ledger(TESTED[0], 0.02);
    assert_eq!(timed(1.0, Some(&quiet)).verdict, Some(Verdict::Equivalent));
}

#[test]
fn settings_that_cannot_reach_their_level_are_refused() {
    assert_eq!((fewest_pairs(1, 0.01), fewest_pairs(3, 0.01), fewest_pairs(1, 0.05)), (9, 11, 7));
    let one = figures(TESTED[0], &[1.0; 8]);
    let gating = Settings { timed_gates: true, ..Settings::default() };
    let error = judge(&one, &one, &gating, &Grounds { pairs: Some(8), ..Grounds::default() })
        .unwrap_err()
        .to_string();
    assert!(error.contains("8 pairs") && error.contains("at least 9 are needed"), "{error}");
}

/// Both sides of an `ab` run: nine trials of each variant, the candidate changed by `change`.
fn sides(change: impl Fn(&mut RunResult)) -> (RunResult, RunResult) {
    let mut base = testing::result();
    base.variants.truncate(2);
    for variant in &mut base.variants {
        let trials = variant.trials.clone();
        variant.trials = (0..12).map(|n| trials[n % 3].clone()).collect();
        for (index, trial) in (0_u32..).zip(variant.trials.iter_mut()) {
            trial.index = u64::from(index);
            trial.server.cpu_us_per_update = Some(10.0 + 0.05 * f64::from(index));
        }
    }
    let pairing = json!({ "id": "p", "side": "base", "pairs": 12 });
    base.manifest.recorded.insert("pairing".to_owned(), pairing);
    let mut candidate = base.clone();
    candidate.id = "fedcba".to_owned();
    change(&mut candidate);
    (base, candidate)
}

fn slower_and_lossy(candidate: &mut RunResult) {
    for trial in &mut candidate.variants[1].trials {
        trial.updates.lost = Some(20);
        trial.server.cpu_us_per_update = trial.server.cpu_us_per_update.map(|us| us * 1.5);
    }
}

#[test]
fn the_worst_that_gates_is_the_verdict() {
    let verdict = |change: &dyn Fn(&mut RunResult), timed_gates| {
        let (base, candidate) = sides(change);
        let settings = Settings { timed_gates, ..Settings::default() };
        compare(&base, &candidate, &settings, None).unwrap().verdict
    };
    assert_eq!(verdict(&|_| {}, false), Verdict::Equivalent);
    assert_eq!(verdict(&slower_and_lossy, false), Verdict::Regression);
    let slower = |candidate: &mut RunResult| {
        slower_and_lossy(candidate);
        candidate.variants[1].trials.iter_mut().for_each(|trial| trial.updates.lost = Some(0));
    };
    assert_eq!((verdict(&slower, false), verdict(&slower, true)), (Verdict::Equivalent, Verdict::Regression));
    let broken = |candidate: &mut RunResult| {
        candidate.variants[0].trials[3].validity.classes.counts = measurement::result::Verdict::Invalid;
    };
    assert_eq!(verdict(&broken, false), Verdict::Invalid);
    let failed = |candidate: &mut RunResult| candidate.variants[0].trials[3].status = Status::Failed;
    assert_eq!(verdict(&failed, false), Verdict::Invalid);
    let codes = [Verdict::Improved, Verdict::Regression, Verdict::Invalid, Verdict::Unresolved];
    assert_eq!(codes.map(Verdict::exit_code), [0, 1, 3, 4]);
}

#[test]
fn results_of_something_else_are_refused_and_runs_apart_have_no_timed_verdict() {
    let (base, mut candidate) = sides(|_| {});
    candidate.manifest.recorded.remove("pairing");
    let apart = compare(&base, &candidate, &Settings::default(), None).unwrap();
    assert!(apart.pairs.is_none() && apart.timed.contains("loadgen ab"));
    assert!(apart.rows().all(|(_, row)| row.method != Method::Pairs || row.verdict.is_none()));
    candidate.manifest.must_match.insert("seed".to_owned(), 2.into());
    candidate.manifest.must_match.insert("new".to_owned(), testing::HOSTILE.into());
    let error = compare(&base, &candidate, &Settings::default(), None).unwrap_err().to_string();
    assert!(error.contains("`seed` is 1 in the base and 2 in the candidate"), "{error}");
    assert!(error.contains("`new` is nothing in the base"), "{error}");
    let (base, mut candidate) = sides(|_| {});
    candidate.manifest.must_match.insert("plan".to_owned(), "other".into());
    candidate.scenario.plan["variants"][1]["load"]["clients"] = 50.into();
    let error = compare(&base, &candidate, &Settings::default(), None).unwrap_err().to_string();
    assert!(error.contains("`variants[1].load.clients` is 200 in the base and 50"), "{error}");
}

#[test]
fn every_form_shows_the_verdict_and_escapes_what_it_is_given() {
    let (base, candidate) = sides(|candidate| {
        slower_and_lossy(candidate);
        candidate.scenario.title = testing::HOSTILE.to_owned();
        candidate.command = testing::HOSTILE.to_owned();
        let target = json!(testing::HOSTILE);
        candidate.manifest.recorded.insert("target".to_owned(), target);
    });
    let rename = |mut result: RunResult| {
        result.variants[0].name = testing::HOSTILE.to_owned();
        result
    };
    let (base, candidate) = (rename(base), rename(candidate));
    let comparison = compare(&base, &candidate, &Settings::default(), None).unwrap();
    let html = page(&comparison, &base, &candidate).unwrap();
    for text in [html.as_str(), &markdown(&comparison), &junit(&comparison, true)] {
        assert!(text.contains("REGRESSION") || text.contains("failures=\"1\""), "{text}");
        assert!(!text.contains("<script>alert") && !text.contains("<img src"), "{text}");
    }
    assert!(
        !html.contains("http://")
            || html.matches("http://").count() == html.matches("http://www.w3.org/2000/svg").count()
    );
    let written = serde_json::to_string(&comparison).unwrap();
    assert!(serde_json::from_str::<Comparison>(&written).unwrap() == comparison, "it reads back otherwise");
}

#[test]
fn a_comparison_on_a_terminal() {
    let (base, candidate) = sides(slower_and_lossy);
    let comparison = compare(&base, &candidate, &Settings::default(), None).unwrap();
    insta::assert_snapshot!("terminal", terminal(&comparison, false));
    insta::assert_snapshot!("markdown", markdown(&comparison));
}
