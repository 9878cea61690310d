//! Connections and updates: what must add up however noisy the machine is.

use super::{Evidence, Findings};
use crate::result::{Class, Trial};

pub(super) fn connections(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    let clients = &trial.clients;
    if clients.connected != clients.asked {
        findings.invalid(
            "clients.missing",
            Class::Counts,
            (
                "Fewer clients were connected than asked for.",
                format!("{} of {}", clients.connected, clients.asked),
            ),
            "all",
            "Raise load.connect_over, lower load.clients, or see the server's standard error for refusals.",
        );
    }
    if clients.disconnected > 0 {
        findings.invalid(
            "clients.disconnected",
            Class::Counts,
            ("Clients lost their connection unexpectedly.", format!("{}", clients.disconnected)),
            "0",
            "See the server's standard error; a server that died or closed slow readers is the usual cause.",
        );
    }
    if let Some(error) = &evidence.first_error {
        findings.note(
            "clients.error",
            Class::Counts,
            ("A client met an error; this is the first.", error.clone()),
            "none",
            "See what it says; counts of lost connections are beside it.",
        );
    }
    if evidence.refused > 0 {
        findings.invalid(
            "server.refused",
            Class::Counts,
            ("The server's listener refused connections.", format!("{}", evidence.refused)),
            "0",
            "Lower load.clients, or raise the server's limits.",
        );
    }
    if let Some(fault) = &evidence.fault {
        findings.note(
            "server.fault",
            Class::Counts,
            ("The server does something wrong on purpose.", fault.clone()),
            "none",
            "It was started with --fault, to see what a comparison or a gate catches: leave that out to measure.",
        );
    }
    exhausted(findings, evidence);
}

/// What the system would not give, with the remedy for each.
fn exhausted(findings: &mut Findings, evidence: &Evidence) {
    let found = &evidence.exhausted;
    for (code, clients, what, advice) in [
        (
            "clients.out_of_files",
            found.files,
            "Clients could not be opened: the limit of open files is reached.",
            "Raise `ulimit -n` (soft and hard) or lower load.clients; each client needs a descriptor on both sides.",
        ),
        (
            "clients.out_of_ports",
            found.ports,
            "Clients could not be opened: no local port is free.",
            "Widen the sysctl net.ipv4.ip_local_port_range, lower load.clients, or wait a minute for TIME_WAIT.",
        ),
        (
            "clients.out_of_memory",
            found.memory,
            "Clients could not be opened: the kernel has no memory for their sockets.",
            "Lower load.clients, or raise the sysctl net.ipv4.tcp_mem or the machine's memory.",
        ),
    ] {
        if clients > 0 {
            findings.invalid(code, Class::Counts, (what, format!("{clients} clients")), "0", advice);
        }
    }
}

pub(super) fn updates(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    let updates = &trial.updates;
    if !updates.add_up() {
        findings.invalid(
            "updates.identity",
            Class::Counts,
            (
                "Expected updates are not the sum of delivered, coalesced, lost and pending ones.",
                format!("{updates:?}"),
            ),
            "equal",
            "This is a defect of the load generator: please report it with the result file.",
        );
    }
    if let Some(generated) = updates.generated.filter(|&generated| generated != evidence.scheduled) {
        findings.invalid(
            "schedule.generated",
            Class::Counts,
            (
                "The server published another number of quotes in the window than the schedule has.",
                format!("{generated} against {}", evidence.scheduled),
            ),
            "equal",
            "The server was too slow or died; lower feed.updates_per_second.",
        );
    }
    if evidence.unknown_quotes > 0 {
        findings.invalid(
            "updates.unknown",
            Class::Counts,
            ("Quotes arrived that are not in the schedule.", format!("{}", evidence.unknown_quotes)),
            "0",
            "Server and generator run with different feed settings.",
        );
    }
    if let Some(lost @ 1..) = updates.lost {
        let expected = updates.expected.unwrap_or_default();
        let share = 100.0 * lost as f64 / expected.max(1) as f64;
        findings.note(
            "updates.lost",
            Class::Counts,
            ("Updates never arrived.", format!("{lost} of {expected} ({share:.2} %)")),
            "0",
            match &evidence.peer {
                _ if evidence.loses => "Datagrams are not sent again: what is lost on the way, or finds no room to be sent, stays lost.",
                None => "A client that falls out of the server's replay window gets a snapshot instead of what it missed.",
                Some(_) => "Numbers are missing in what the server sent: it dropped updates, or leaves some out for this client.",
            },
        );
    }
    if let Some(pending @ 1..) = updates.pending_at_end {
        findings.note(
            "updates.pending",
            Class::Counts,
            ("Updates had not arrived when the drain ended.", format!("{pending}")),
            "0",
            "They are in no delay histogram; a longer run has a smaller share of them.",
        );
    }
}

/// Machine-wide: another program's listener may be the one.
pub(super) fn machine(findings: &mut Findings, evidence: &Evidence) {
    let overflows = evidence.machine.map_or(0, |machine| machine.listen_overflows);
    if overflows > 0 {
        findings.note(
            "machine.listen_overflows",
            Class::Counts,
            ("A listener of this machine dropped connections.", overflows.to_string()),
            "0",
            "Our own listener's drops are counted apart (server.listen_drops); another program's do not matter.",
        );
    }
}
