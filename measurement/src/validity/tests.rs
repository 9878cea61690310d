//! Each rule of validity with the change that provokes it.

use super::*;
use crate::result::Clients;

fn good() -> (Trial, Evidence) {
    let trial = Trial {
        window_s: 10.0,
        clients: Clients { asked: 2, connected: 2, ..Clients::default() },
        delivery_delay: Some(Histogram {
            p50_us: Some(300.0),
            p99_us: Some(1_000.0),
            ..Histogram::default()
        }),
        ..Trial::default()
    };
    let evidence = Evidence {
        client_identity: (2, 0),
        server_identity: (2, 0),
        loadgen_cores: 1,
        ..Evidence::default()
    };
    (trial, evidence)
}

fn codes(change: impl FnOnce(&mut Trial, &mut Evidence)) -> (Vec<String>, Classes) {
    let (mut trial, mut evidence) = good();
    change(&mut trial, &mut evidence);
    judge(&mut trial, &evidence);
    (trial.validity.findings.iter().map(|f| f.code.clone()).collect(), trial.validity.classes)
}

#[test]
fn a_good_trial_has_no_findings() {
    let (found, classes) = codes(|_, _| {});
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(classes, Classes::default());
}

#[test]
fn each_broken_rule_is_found() {
    let check = |code: &str, change: fn(&mut Trial, &mut Evidence)| {
        assert_eq!(codes(change).0, [code]);
    };
    check("clients.missing", |t, _| t.clients.connected = 1);
    check("clients.disconnected", |t, _| t.clients.disconnected = 1);
    check("clients.error", |_, e| e.first_error = Some("client 3: closed".to_owned()));
    check("server.refused", |_, e| e.refused = 1);
    check("updates.identity", |t, _| t.updates.expected = Some(1));
    check("schedule.generated", |t, _| t.updates.generated = Some(5));
    check("updates.unknown", |_, e| e.unknown_quotes = 1);
    check("ledger.identity", |_, e| e.unbalanced.push("received, measure: 5 against 4".to_owned()));
    check("kernel.client.identity", |_, e| e.client_identity = (2, 1));
    check("kernel.server.identity", |_, e| e.server_identity = (2, 1));
    check("kernel.unchecked", |_, e| e.client_identity = (0, 0));
    check("ledger.messages.identity", |_, e| e.unclaimed_messages = 1);
    check("ends.identity", |_, e| e.ends = Some(Ends { down: (5, 4), up: (1, 1) }));
    check("histogram.clipped", |_, e| e.clipped = 1);
    check("loadgen.cpu", |t, _| t.loadgen.cpu_seconds = Some(7.1));
    check("loadgen.run_delay", |t, _| t.loadgen.run_delay_share = Some(0.05));
    check("loadgen.lag.p99", |t, _| {
        t.action_lag = Some(Histogram { p50_us: Some(20.0), p99_us: Some(900.0), ..Histogram::default() });
    });
    check("publisher.lag.p50", |t, _| {
        t.publisher_lag = Some(Histogram { p50_us: Some(600.0), ..Histogram::default() });
    });
}

#[test]
fn a_broken_identity_voids_all_and_noise_only_timing() {
    let (_, classes) = codes(|_, e| e.client_identity = (2, 1));
    assert_eq!(classes.timing, Verdict::Invalid);
    let (_, classes) = codes(|t, _| t.loadgen.run_delay_share = Some(0.5));
    assert_eq!((classes.timing, classes.counts, classes.bytes), (Verdict::Invalid, Verdict::Ok, Verdict::Ok));
}

#[test]
fn waiting_for_a_processor_leaves_that_share_of_the_tail_unresolved() {
    let (mut trial, evidence) = good();
    trial.loadgen.run_delay_share = Some(0.05);
    judge(&mut trial, &evidence);
    assert_eq!(trial.delivery_delay.unwrap().unresolved, ["p99", "p999"]);
    assert_eq!((trial.validity.classes.timing, trial.validity.valid), (Verdict::Unresolved, true));
}

#[test]
fn an_unresolved_percentile_is_named_in_the_histogram() {
    let (mut trial, evidence) = good();
    trial.action_lag = Some(Histogram { p99_us: Some(900.0), ..Histogram::default() });
    judge(&mut trial, &evidence);
    assert_eq!(trial.delivery_delay.unwrap().unresolved, ["p99"]);
    assert_eq!((trial.validity.classes.timing, trial.validity.valid), (Verdict::Unresolved, true));
}
