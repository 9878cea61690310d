//! Made-up results for tests: plausible, with every awkward case that a real one may hold.

use measurement::{
    claim,
    histogram::Recorder,
    result::{
        Age, Bytes, Class, Clients, FORMAT, Fairness, Finding, Handshake, Layers, Manifest, Mean, Model,
        ModelKind, PerSymbol, Process, Reception, Requests, RunResult, ScenarioInfo, SeriesRow, Severity,
        Status, TimeWeighted, Trace, Trial, Updates, Validity, Variant, Verdict, VersionLag,
    },
    summary,
};

/// A text that breaks a page which does not escape it.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"><img src=x> ]]> & 'quoted'";

/// Three variants with three trials each; the last has an invalid, a failed and a good trial and a hostile name.
pub(crate) fn result() -> RunResult {
    let mut hostile = variant(HOSTILE, ModelKind::Push, None, 0.4);
    hostile.trials[0].validity = Validity {
        valid: false,
        classes: measurement::result::Classes { timing: Verdict::Invalid, ..Default::default() },
        findings: vec![finding()],
    };
    hostile.trials[1] =
        Trial { status: Status::Failed, error: Some(HOSTILE.to_owned()), index: 1, ..Trial::default() };
    hostile.summary = summary::summarise(&hostile.trials);
    run(vec![
        variant("polling 1s", ModelKind::Pull, Some(1e6), 500.0),
        variant("stream", ModelKind::Push, None, 0.3),
        hostile,
    ])
}

/// The same with somebody who asks half as often, second.
pub(crate) fn swept() -> RunResult {
    let mut variants = result().variants;
    variants.insert(1, variant("polling 2s", ModelKind::Pull, Some(2e6), 1_000.0));
    run(variants)
}

/// The same with claims: one that holds, one that fails, one without a figure and one for context.
pub(crate) fn claimed() -> RunResult {
    let mut result = result();
    result.scenario.plan["claims"] = serde_json::json!([
        { "text": "A price is wrong half of the time.", "source": "Somebody 2009, table 4", "claimed": 0.5,
          "variant": "polling 1s", "metric": "per_symbol.out_of_sync_share", "tolerance": 0.05 },
        { "text": HOSTILE, "source": HOSTILE, "claimed": 435.0, "variant": "polling 1s", "over": "stream",
          "metric": "bytes.per_second", "bound": "at-least", "why": format!("Headers count once. {HOSTILE}") },
        { "text": "It connects in a moment.", "source": "Somebody else", "claimed": 50_000.0, "variant": "stream",
          "metric": "connect.p50", "bound": "at-most" },
        { "text": "So many bits a second.", "source": "Somebody 2010", "claimed": 6_968_000.0, "factor": 8.0,
          "unit": "bit/s", "variant": "polling 1s", "metric": "bytes.per_second", "judge": "context",
          "why": "Another size of heads." },
    ]);
    result.claims = claim::judge(&result);
    result
}

/// A run whose only trial failed.
pub(crate) fn without_figures() -> RunResult {
    let trial = Trial { status: Status::Failed, error: Some("no server".to_owned()), ..Trial::default() };
    let variant = Variant { name: "stream".to_owned(), trials: vec![trial], ..Variant::default() };
    let mut result = run(vec![variant]);
    result.status = Status::Partial;
    result.partial_reason = Some("stream, trial 1: no server".to_owned());
    result
}

fn run(variants: Vec<Variant>) -> RunResult {
    let feed = serde_json::json!({ "symbols": 8, "updates_per_second": 10.0, "quote_bytes": 120, "arrivals": "poisson" });
    let load = serde_json::json!({ "clients": 200 });
    let plans: Vec<_> = variants
        .iter()
        .map(|variant| serde_json::json!({ "name": variant.name, "feed": feed, "load": load }))
        .collect();
    RunResult {
        format: FORMAT.to_owned(),
        id: "0123456789abcdef".to_owned(),
        command: "loadgen run ticker".to_owned(),
        started_at: "2026-11-21T05:00:00.000Z".to_owned(),
        finished_at: "2026-11-21T05:02:00.000Z".to_owned(),
        status: Status::Complete,
        partial_reason: None,
        scenario: ScenarioInfo {
            path: "scenarios/ticker.toml".to_owned(),
            title: "Stock ticker".to_owned(),
            why: Some("Which is best?".to_owned()),
            notice: Some(HOSTILE.to_owned()),
            text: format!("title = 'Stock ticker' # {HOSTILE}"),
            plan: serde_json::json!({ "variants": plans, "quick": false }),
        },
        manifest: Manifest {
            must_match: [("seed".to_owned(), 1.into())].into(),
            timed_must_match: [("kernel".to_owned(), HOSTILE.into())].into(),
            recorded: [
                ("absent".to_owned(), serde_json::Value::Null),
                ("network".to_owned(), "loopback, IPv4".into()),
            ]
            .into(),
        },
        variants,
        claims: Vec::new(),
    }
}

fn finding() -> Finding {
    Finding {
        code: "loadgen.cpu".to_owned(),
        class: Class::Timing,
        also: vec![Class::Cost],
        severity: Severity::Invalid,
        message: "The load generator was overloaded: it measured itself.".to_owned(),
        figure: "93 % of its cores".to_owned(),
        limit: "70 %".to_owned(),
        advice: "Lower load.clients.".to_owned(),
    }
}

fn variant(name: &str, kind: ModelKind, period_us: Option<f64>, delay_ms: f64) -> Variant {
    let trials: Vec<Trial> =
        (0..3).map(|index| trial(index, delay_ms * (1.0 + index as f64 / 50.0), period_us)).collect();
    Variant {
        name: name.to_owned(),
        kind: "label".to_owned(),
        engine: "library".to_owned(),
        model: Model { kind, period_us, expected_delay_us: period_us.map(|period| period / 2.0) },
        clients: 200,
        summary: summary::summarise(&trials),
        trials,
        ..Variant::default()
    }
}

fn trial(index: u64, delay_ms: f64, period_us: Option<f64>) -> Trial {
    let mut delays = Recorder::default();
    (1..=20_000_u64).for_each(|n| delays.record((delay_ms * 1e6 * (n as f64 / 10_000.0)) as u64 + 100_000));
    let delay = delays.finish(1_500);
    let polls = period_us.map(|period| (2_000.0 * 1e6 / period) as u64);
    let layers = |payload, app_framing, transport_framing, headers| Layers {
        payload,
        app_framing,
        transport_framing,
        headers,
        tls: 0,
        socket_total: payload + app_framing + transport_framing + headers,
    };
    let (received, sent) = match polls {
        Some(polls) => (layers(2_400_000, 80_000, 0, polls * 146), layers(0, 0, 0, polls * 495)),
        None => (layers(2_400_000, 300_000, 120_000, 0), layers(0, 0, 0, 0)),
    };
    let share = (delay_ms / 1_000.0).min(0.6);
    Trial {
        index,
        order: index * 3,
        started_at: "2026-11-21T05:00:00.000Z".to_owned(),
        window_s: 10.0,
        validity: Validity { valid: true, ..Validity::default() },
        clients: Clients { asked: 200, connected: 200, ..Clients::default() },
        updates: Updates {
            generated: Some(100),
            expected: Some(20_000),
            delivered_once: 20_000,
            coalesced: Some(0),
            lost: Some(0),
            pending_at_end: Some(0),
            duplicated: Some(0),
            reordered: Some(0),
            distinct: 100,
            received_in_window: 20_000,
            ..Updates::default()
        },
        fairness: Some(Fairness { p50_us: delay_ms * 1e3, p99_us: Some(delay_ms * 1.1e3), jain: 0.998 }),
        delivery_delay: delay.clone(),
        transit: delay.clone(),
        response_time: polls.and(delay.clone()),
        per_symbol: Some(PerSymbol {
            out_of_sync_share: share,
            sync_lag: TimeWeighted { mean_us: Some(delay_ms * 400.0), ..TimeWeighted::default() },
            excess_age: Mean { mean_us: delay_ms * 1e3 },
            age: Age { mean_us: delay_ms * 1e3 + 8e5, ..Age::default() },
            version_lag: VersionLag { mean: share, max: 3 },
        }),
        requests: polls.map(|sent| Requests {
            sent,
            useful: sent - 9,
            empty: 9,
            useless_share: 9.0 / sent as f64,
        }),
        bytes: Bytes {
            received,
            sent,
            handshake: Handshake { received: layers(0, 48, 0, 145), sent: layers(0, 0, 0, 490) },
            canonical_payload: 2_400_000,
            balanced: true,
            header_overhead_per_update: Some((received.overhead() + sent.overhead()) as f64 / 20_000.0),
            ..Bytes::default()
        },
        server: Process {
            cpu_seconds: Some(0.2),
            cpu_us_per_update: Some(10.0),
            rss_bytes: Some(9_000_000),
            rss_per_client_bytes: polls.is_none().then_some(8_500.0),
            ..Process::default()
        },
        series: (0..10)
            .map(|second| SeriesRow {
                t_s: f64::from(second),
                delay_p50_us: (second != 4).then_some(delay_ms * 1e3),
                delay_max_us: (second != 4).then_some(delay_ms * 2e3),
                delivered: 2_000,
                ..SeriesRow::default()
            })
            .collect(),
        trace: Some(trace(delay_ms)),
        ..Trial::default()
    }
}

fn trace(delay_ms: f64) -> Trace {
    let due_us: Vec<f64> = (0..12).map(|n| f64::from(n) * 8e5).collect();
    let receptions =
        due_us.iter().map(|&due_us| Reception { at_us: due_us + delay_ms * 1e3, due_us }).collect();
    Trace { client: 0, symbol: "ACME".to_owned(), due_us, receptions }
}
