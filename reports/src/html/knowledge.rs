//! What the figures rest on, and which could not be told: tables of arrivals, clocks, connections and reasons.

use std::collections::BTreeMap;

use measurement::result::{RunResult, Trial, Variant};

use super::sections::{Section, per_trial, table};
use crate::format;

/// How messages came, which all feeds tell, and how their times were compared.
pub(super) fn arrivals(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "connect p50",
        "first update p50",
        "between messages",
        "longest silence",
        "clock",
        "server ahead",
        "error",
        "drift (ppm)",
    ];
    let us = |value: Option<f64>| format::or_none(value, format::duration);
    let cells = |_: &Variant, trial: &Trial| {
        let gap = trial.inter_arrival.as_ref();
        let clock = trial.clock.as_ref();
        let ahead = clock.filter(|clock| clock.kind == "endpoint").map(|clock| clock.offset_us);
        (gap.is_some() || clock.is_some()).then(|| {
            vec![
                us(trial.connect.as_ref().and_then(|connect| connect.p50_us)),
                us(trial.first_update.as_ref().and_then(|first| first.p50_us)),
                us(gap.and_then(|gap| gap.mean_us)),
                us(gap.and_then(|gap| gap.max_us)),
                clock.map_or_else(|| "one".to_owned(), |clock| clock.kind.clone()),
                format::or_none(ahead, |us| format!("{} ms", format::significant(us / 1e3))),
                us(clock.filter(|clock| clock.kind != "none").map(|clock| clock.error_us)),
                format::or_none(clock.and_then(|clock| clock.drift_ppm), format::significant),
            ]
        })
    };
    Section {
        title: "Arrivals and clocks",
        caption: "Between messages: from one message with updates to the next, at one client. Clock \"one\": both ends read the \
                  same monotonic clock. \"same-host\": the server's times are of this machine's wall clock. \"endpoint\": \
                  its clock was asked before and after. \"page\": clients are tabs, whose clocks were asked before and after. \"none\": delays are those above the smallest seen.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// What connections went through besides bringing quotes: asking again, being held up, ending.
pub(super) fn connections(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "opened",
        "lost",
        "opened again",
        "re-arm gap p50",
        "re-arm gap p99",
        "writes held up",
        "close codes",
        "close handshake p50",
    ];
    let us = |value: Option<f64>| format::or_none(value, format::duration);
    let cells = |_: &Variant, trial: &Trial| {
        let rearm = trial.rearm_gap.as_ref();
        let closing = trial.closing.as_ref();
        let stalls = trial.server.write_stalls.map(|stalls| stalls as f64);
        (rearm.is_some() || closing.is_some() || stalls.is_some()).then(|| {
            let codes = closing.map(|closing| {
                let code = |(code, count): (&String, &u64)| format!("{code} ({count})");
                closing.codes.iter().map(code).collect::<Vec<_>>().join(", ")
            });
            vec![
                trial.clients.connected.to_string(),
                trial.clients.disconnected.to_string(),
                trial.clients.reconnected.to_string(),
                us(rearm.and_then(|rearm| rearm.p50_us)),
                us(rearm.and_then(|rearm| rearm.p99_us)),
                format::or_none(stalls, format::plain),
                codes.unwrap_or_else(|| "–".to_owned()),
                us(closing.and_then(|closing| closing.handshake.as_ref()?.p50_us)),
            ]
        })
    };
    Section {
        title: "Connections",
        caption: "Re-arm gap: from an answer that was held to the client's next question; meanwhile nobody can tell it anything. \
                  Writes held up: the server found a socket's buffer full, since the client takes less than it is sent. Close \
                  codes are the server's (RFC 6455, section 7.4): 1005 stands for none, 1006 for no close frame at all.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// Figures that are null, each with its reason, once for each variant.
pub(super) fn reasons(result: &RunResult) -> Section {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for variant in &result.variants {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (field, reason) in variant.trials.iter().flat_map(|trial| &trial.unavailable) {
            let fields = by_reason.entry(reason).or_default();
            if !fields.contains(&field.as_str()) {
                fields.push(field);
            }
        }
        for (reason, fields) in by_reason {
            rows.push(vec![variant.name.clone(), fields.join(", "), reason.to_owned()]);
        }
    }
    Section {
        title: "What could not be told",
        caption: "Figures of the result file that are null, and why. Nothing is guessed in their place.",
        table: table(&["variant", "figures", "reason"], rows),
    }
}
