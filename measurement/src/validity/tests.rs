//! Each rule of validity with the change that provokes it; together they provoke every rule of the table.

use std::collections::BTreeSet;

use super::*;
use crate::result::{Clients, Histogram, Quic, QuicEnd, SharedServer, SocketOptions, Updates};

fn good() -> (Trial, Evidence) {
    let trial = Trial {
        window_s: 10.0,
        clients: Clients { asked: 2, connected: 2, ..Clients::default() },
        updates: Updates { received_in_window: 1, ..Updates::default() },
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

fn lag(p50_us: f64, p99_us: f64) -> Option<Histogram> {
    Some(Histogram { p50_us: Some(p50_us), p99_us: Some(p99_us), ..Histogram::default() })
}

type Change = fn(&mut Trial, &mut Evidence);

/// Changes with the one code that each provokes.
const PROVOCATIONS: &[(&str, Change)] = &[
    ("clients.missing", |t, _| t.clients.connected = 1),
    ("clients.disconnected", |t, _| t.clients.disconnected = 1),
    ("clients.error", |_, e| e.first_error = Some("client 3: closed".to_owned())),
    ("clients.out_of_files", |_, e| e.exhausted.files = 2),
    ("clients.out_of_ports", |_, e| e.exhausted.ports = 2),
    ("clients.out_of_memory", |_, e| e.exhausted.memory = 2),
    ("server.refused", |_, e| e.refused = 1),
    ("server.fault", |_, e| e.fault = Some("drop".to_owned())),
    ("server.listen_drops", |_, e| e.listen_drops = 1),
    ("updates.identity", |t, _| t.updates.expected = Some(1)),
    ("schedule.generated", |t, _| t.updates.generated = Some(5)),
    ("updates.unknown", |_, e| e.unknown_quotes = 1),
    ("updates.lost", |t, _| (t.updates.lost, t.updates.expected) = (Some(1), Some(1))),
    ("updates.pending", |t, _| (t.updates.pending_at_end, t.updates.expected) = (Some(1), Some(1))),
    ("machine.listen_overflows", |_, e| of_machine(e).listen_overflows = 1),
    ("ledger.identity", |_, e| e.unbalanced.push("received, measure: 5 against 4".to_owned())),
    ("kernel.client.identity", |_, e| e.client_identity = (2, 1)),
    ("kernel.server.identity", |_, e| e.server_identity = (2, 1)),
    ("kernel.unchecked", |_, e| e.client_identity = (0, 0)),
    ("ledger.messages.identity", |_, e| e.unclaimed_messages = 1),
    ("ends.identity", |_, e| e.ends = Some(Ends { down: (5, 4), up: (1, 1) })),
    ("quic.ends.identity", |t, _| of_quic(t).0.sent_bytes = 5),
    ("quic.unchecked", |t, _| t.bytes.quic = Some(Quic::default())),
    ("quic.lost", |t, _| of_quic(t).1.lost_packets = 3),
    ("kernel.retransmitted", |_, e| e.server_retransmitted = 3),
    ("kernel.retransmitted", |t, _| (t.bytes.kernel.retransmitted, t.bytes.kernel.segments_out) = (9, 8_000)),
    ("sockets.nodelay", |t, _| t.sockets.server = options(false, "cubic")),
    ("sockets.congestion_control", |t, _| t.sockets.clients = options(true, "bbr")),
    ("histogram.clipped", |_, e| e.clipped = 1),
    ("loadgen.cpu", |t, _| t.loadgen.cpu_seconds = Some(7.1)),
    ("loadgen.run_delay", |t, _| t.loadgen.run_delay_share = Some(0.05)),
    ("loadgen.run_delay", |t, _| t.loadgen.run_delay_share = Some(0.2)),
    ("machine.steal", |_, e| of_machine(e).steal_share = Some(0.03)),
    ("machine.steal", |_, e| of_machine(e).steal_share = Some(0.2)),
    ("machine.oom_kills", |_, e| of_machine(e).oom_kills = 1),
    ("machine.pressure", |_, e| of_machine(e).memory_pressure_share = Some(0.02)),
    ("loadgen.lag.p99", |t, _| t.action_lag = lag(20.0, 900.0)),
    ("loadgen.lag.p50", |t, _| {
        t.action_lag = Some(Histogram { p50_us: Some(600.0), ..Histogram::default() });
    }),
    ("loadgen.probe.p99", |t, _| t.action_lag = lag(20.0, 250.0)),
    ("publisher.lag.p50", |t, _| {
        t.publisher_lag = Some(Histogram { p50_us: Some(600.0), ..Histogram::default() });
    }),
    ("publisher.lag.p99", |t, _| t.publisher_lag = lag(20.0, 900.0)),
    ("publisher.tail", |t, _| {
        t.publisher_lag = Some(Histogram { p999_us: Some(600.0), ..Histogram::default() });
    }),
    ("window.trend", |_, e| e.slices_us = (0..10).map(f64::from).collect()),
    ("window.memory", |_, e| e.server_rss = Some((20 << 20, 30 << 20))),
    ("server.shared", |t, _| t.shared_server = Some(SharedServer { variants: 2, ..SharedServer::default() })),
    ("server.run_delay", |t, _| t.server.run_delay_share = Some(0.03)),
    ("feed.silent", |t, e| {
        of_peer(e);
        t.updates.received_in_window = 0;
    }),
    ("feed.clients.silent", |_, e| of_peer(e).knowledge.silent = 2),
    ("messages.skipped", |_, e| of_peer(e).knowledge.skipped = (1, Some("{}".to_owned()))),
    ("feed.unnumbered", |_, e| of_peer(e).knowledge.numbers = Some(String::new())),
    ("feed.backwards", |_, e| of_peer(e).knowledge.backwards = 1),
    ("feed.timeless", |_, e| of_peer(e).knowledge.delays = Some(String::new())),
    ("clock.none", |_, e| of_peer(e).unbridged = true),
    ("clock.stepped", |_, e| of_peer(e).wall_drift_ppm = Some(-900.0)),
    ("server.unseen", |_, e| of_peer(e).has_process = false),
];

/// The same for the floor test.
const FLOOR_PROVOCATIONS: &[(&str, Change)] = &[
    ("floor.missing", |t, _| t.floor = None),
    ("floor.p50", |t, _| t.floor = lag(101.0, 20.0)),
    ("floor.p99", |t, _| t.floor = lag(20.0, 400.0)),
];

/// The clients' and the server's ends.
fn of_quic(trial: &mut Trial) -> (&mut QuicEnd, &mut QuicEnd) {
    let quic = trial.bytes.quic.get_or_insert_default();
    (&mut quic.client, quic.server.get_or_insert_default())
}

fn options(nodelay: bool, congestion_control: &str) -> Option<SocketOptions> {
    Some(SocketOptions { nodelay, congestion_control: Some(congestion_control.to_owned()) })
}

fn of_peer(evidence: &mut Evidence) -> &mut PeerEvidence {
    evidence.peer.insert(PeerEvidence { has_process: true, ..PeerEvidence::default() })
}

fn of_machine(evidence: &mut Evidence) -> &mut Machine {
    evidence.machine.get_or_insert_default()
}

fn provoked(change: Change, floor: bool) -> Trial {
    let (mut trial, mut evidence) = good();
    trial.floor = lag(20.0, 60.0);
    change(&mut trial, &mut evidence);
    judge(&mut trial, &evidence);
    if floor {
        judge_floor(&mut trial);
    }
    trial
}

#[test]
fn each_broken_rule_is_found_in_its_class_and_nothing_else() {
    for (changes, floor) in [(PROVOCATIONS, false), (FLOOR_PROVOCATIONS, true)] {
        for (code, change) in changes {
            let validity = provoked(*change, floor).validity;
            let found: Vec<&str> = validity.findings.iter().map(|finding| finding.code.as_str()).collect();
            assert_eq!(found, [*code]);
            let finding = &validity.findings[0];
            let rule = rules::of(code).unwrap_or_else(|| panic!("no rule has {code}"));
            assert_eq!(finding.class, rule.class, "{code}");
            assert!(finding.also.iter().all(|class| rule.also.contains(class)), "{code}");
            assert!(rule.severities.contains(&finding.severity), "{code}");
            for text in [&finding.message, &finding.limit, &finding.advice] {
                assert!(!text.is_empty(), "{code}");
            }
        }
    }
}

#[test]
fn every_rule_of_the_table_is_provoked_at_every_severity() {
    let mut seen = BTreeSet::new();
    for (changes, floor) in [(PROVOCATIONS, false), (FLOOR_PROVOCATIONS, true)] {
        for (code, change) in changes {
            let severity = provoked(*change, floor).validity.findings[0].severity;
            seen.insert((rules::of(code).unwrap().code, severity));
        }
    }
    let wanted: BTreeSet<_> = rules::ALL
        .iter()
        .flat_map(|rule| rule.severities.iter().map(|&severity| (rule.code, severity)))
        .collect();
    assert_eq!(seen, wanted);
    let codes: BTreeSet<_> = rules::ALL.iter().map(|rule| rule.code).collect();
    assert_eq!(codes.len(), rules::ALL.len());
}

#[test]
fn noise_never_voids_counts_and_bytes() {
    for (changes, floor) in [(PROVOCATIONS, false), (FLOOR_PROVOCATIONS, true)] {
        for (code, change) in changes {
            let timed = [Class::Timing, Class::Cost].contains(&rules::of(code).unwrap().class);
            let classes = provoked(*change, floor).validity.classes;
            if timed {
                assert_eq!((classes.counts, classes.bytes), (Verdict::Ok, Verdict::Ok), "{code}");
            }
        }
    }
}

#[test]
fn an_overloaded_or_starved_machine_voids_cost_too() {
    let check = |change: Change, timing, cost| {
        let classes = provoked(change, false).validity.classes;
        assert_eq!((classes.timing, classes.cost), (timing, cost));
    };
    check(|t, _| t.loadgen.cpu_seconds = Some(7.1), Verdict::Invalid, Verdict::Invalid);
    check(|t, _| t.loadgen.run_delay_share = Some(0.2), Verdict::Invalid, Verdict::Invalid);
    check(|t, _| t.loadgen.run_delay_share = Some(0.05), Verdict::Unresolved, Verdict::Ok);
    check(|_, e| of_machine(e).steal_share = Some(0.2), Verdict::Invalid, Verdict::Invalid);
    check(|_, e| of_machine(e).oom_kills = 1, Verdict::Invalid, Verdict::Invalid);
    check(|t, _| t.action_lag = lag(900.0, 900.0), Verdict::Invalid, Verdict::Ok);
}

#[test]
fn below_the_floor_a_percentile_is_unresolved_and_the_trial_stays_valid() {
    let trial = provoked(|t, _| t.floor = lag(101.0, 400.0), true);
    assert_eq!(trial.delivery_delay.unwrap().unresolved, ["p50", "p99"]);
    assert_eq!((trial.validity.classes.timing, trial.validity.valid), (Verdict::Unresolved, true));
    // Three times the floor is resolved.
    let trial = provoked(|t, _| t.floor = lag(100.0, 333.0), true);
    assert_eq!((trial.validity.findings.len(), trial.validity.classes.timing), (0, Verdict::Ok));
}

#[test]
fn a_trial_without_a_window_tells_of_its_connections() {
    let (mut trial, mut evidence) = good();
    trial.clients.connected = 0;
    evidence.exhausted.files = 2;
    judge_unmeasured(&mut trial, &evidence);
    let codes: Vec<&str> = trial.validity.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["clients.missing", "clients.out_of_files"]);
    assert!(!trial.validity.valid);
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
