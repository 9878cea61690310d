//! Findings about somebody else's feed: what it does not tell, and what was odd about it.

use super::{Entry, Findings};
use crate::{
    learn::Knowledge,
    result::{Class, Severity, Trial},
};

/// A wall clock that is slewed changes by at most this much (adjtimex(2)); more is a step.
const LARGEST_SLEW_PPM: f64 = 500.0;

/// What the runner knows of somebody else's feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerEvidence {
    /// What the tapes told.
    pub knowledge: Knowledge,
    /// Times are told, but nothing ties the server's clock to ours.
    pub unbridged: bool,
    /// Drift of the wall clock against the monotonic one over the trial, where delays rest on it.
    pub wall_drift_ppm: Option<f64>,
    /// Whether the server's process is known, so that its cost is.
    pub has_process: bool,
}

pub(super) fn judge(findings: &mut Findings, trial: &Trial, evidence: &PeerEvidence) {
    feed(findings, trial, evidence);
    numbers(findings, &evidence.knowledge);
    clock(findings, evidence);
    if !evidence.has_process {
        findings.note(
            "server.unseen",
            Class::Cost,
            (
                "The server's process is not known: its processor time and memory are not told.",
                "none".to_owned(),
            ),
            "a command or a pid",
            "Write [transport.server] with command or pid.",
        );
    }
}

fn feed(findings: &mut Findings, trial: &Trial, evidence: &PeerEvidence) {
    let knowledge = &evidence.knowledge;
    if trial.updates.received_in_window == 0 {
        findings.invalid(
            "feed.silent",
            Class::Counts,
            ("Not one update was heard in the window.", format!("{} over the trial", knowledge.heard)),
            "at least 1",
            "See messages.skipped; is the subscription right? `loadgen probe` shows what the server says.",
        );
    }
    if knowledge.silent > 0 {
        findings.invalid(
            "feed.clients.silent",
            Class::Counts,
            ("Clients heard nothing while others did.", format!("{}", knowledge.silent)),
            "0",
            "The server serves only some of its clients; see its own log.",
        );
    }
    if let (skipped @ 1.., first) = &knowledge.skipped {
        let first = first.as_deref().unwrap_or_default();
        findings.note(
            "messages.skipped",
            Class::Counts,
            (
                "Messages held no update by the scenario's rules; this is the first.",
                format!("{skipped}: {first}"),
            ),
            "acknowledgements and the like",
            "If it is an update, change [transport.message]; `loadgen probe` guesses the pointers.",
        );
    }
}

fn numbers(findings: &mut Findings, knowledge: &Knowledge) {
    if let Some(why) = &knowledge.numbers {
        findings.note(
            "feed.unnumbered",
            Class::Counts,
            ("Losses, duplicates and order cannot be told.", why.clone()),
            "a counter without holes",
            "Name one in [transport.message]: sequence, or symbol with symbol_sequence.",
        );
    }
    if knowledge.backwards > 0 {
        findings.note(
            "feed.backwards",
            Class::Timing,
            (
                "Updates say that they are older than the one before; they count as due with it.",
                format!("{}", knowledge.backwards),
            ),
            "0",
            "Several threads of the server stamp updates, or its clock was set.",
        );
    }
}

fn clock(findings: &mut Findings, evidence: &PeerEvidence) {
    if let Some(why) = &evidence.knowledge.delays {
        findings.note(
            "feed.timeless",
            Class::Timing,
            ("Delays cannot be told.", why.clone()),
            "a time in each update",
            "Name it in [transport.message]: sent_at and sent_at_unit.",
        );
    }
    if evidence.unbridged {
        findings.note(
            "clock.none",
            Class::Timing,
            (
                "Nothing ties the server's clock to ours: delays are those above the smallest seen.",
                "clock = \"none\"".to_owned(),
            ),
            "same-host or endpoint",
            "Offer GET /clock on the server and write clock = \"endpoint\".",
        );
    }
    if let Some(drift) = evidence.wall_drift_ppm.filter(|drift| drift.abs() > LARGEST_SLEW_PPM) {
        findings.add(Entry {
            code: "clock.stepped",
            class: Class::Timing,
            severity: Severity::Invalid,
            message: "The wall clock, which the updates' times are of, was set during the trial.".to_owned(),
            figure: format!("{drift:.0} ppm"),
            limit: "500 ppm",
            advice: "Run again; if it is set often, stop what sets it.",
        });
    }
}
