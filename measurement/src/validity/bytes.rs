//! The byte ledger's identities: layers, sockets, kernel and both ends, to the byte.

use super::{Ends, Entry, Evidence, Findings};
use crate::result::{Class, QuicWays, Severity, Trial};

/// Holds every count of bytes against the others.
pub(super) fn bytes(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    if !evidence.unbalanced.is_empty() {
        findings.invalid(
            "ledger.identity",
            Class::Bytes,
            (
                "Layers do not add up to the bytes that moved through the sockets.",
                evidence.unbalanced.join("; "),
            ),
            "equal in each phase and direction",
            "This is a defect of a scanner: please report it with the result file.",
        );
    }
    for (code, end, (checked, mismatched)) in [
        ("kernel.client.identity", "client", evidence.client_identity),
        ("kernel.server.identity", "server", evidence.server_identity),
    ] {
        if mismatched > 0 {
            findings.add(Entry {
                code,
                class: Class::Bytes,
                severity: Severity::Invalid,
                message: format!("Bytes counted at the {end}'s sockets differ from the kernel's count."),
                figure: format!("{mismatched} of {checked} connections"),
                limit: "0",
                advice: "This is a defect of the byte counter: please report it with the result file.",
            });
        } else if checked == 0
            && trial.bytes.quic.is_none()
            && trial.clients.connected > 0
            && (evidence.peer.is_none() || end == "client")
        {
            findings.add(Entry {
                code: "kernel.unchecked",
                class: Class::Bytes,
                severity: Severity::Note,
                message: format!("No {end} connection could be held against the kernel's count."),
                figure: "0 connections".to_owned(),
                limit: "all",
                advice: "TCP_INFO is told on Linux only, and not where a pooled client owns the socket.",
            });
        }
    }
    quic(findings, trial, evidence);
    if evidence.unclaimed_messages > 0 {
        findings.invalid(
            "ledger.messages.identity",
            Class::Bytes,
            (
                "Messages seen in the byte stream and messages decoded differ in number.",
                format!("{}", evidence.unclaimed_messages),
            ),
            "0",
            "This is a defect of a scanner or a client: please report it with the result file.",
        );
    }
    if let Some(Ends { down, up }) =
        evidence.ends.filter(|ends| ends.down.0 != ends.down.1 || ends.up.0 != ends.up.1)
    {
        findings.invalid(
            "ends.identity",
            Class::Bytes,
            (
                "Server and clients counted different numbers of bytes.",
                format!("down {} against {}, up {} against {}", down.0, down.1, up.0, up.1),
            ),
            "equal",
            "Bytes that one end never read; see whether clients were disconnected.",
        );
    }
}

/// UDP has no TCP_INFO: the two ends of QUIC are held against each other instead.
fn quic(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    let dropped = evidence.machine.map_or(0, |machine| machine.udp_drops);
    let Some(quic) = &trial.bytes.quic else { return };
    match quic.ends(dropped) {
        None => findings.note(
            "quic.unchecked",
            Class::Bytes,
            ("The server's end of QUIC is not known.", "0 connections".to_owned()),
            "all",
            "Only our own server tells what its end of QUIC sent and received.",
        ),
        Some(ends) if !ends.agree(evidence.emulated) => {
            let QuicWays { down, up } = ends;
            findings.invalid(
                "quic.ends.identity",
                Class::Bytes,
                (
                    "Bytes that one end of QUIC sent neither arrived nor were lost.",
                    format!(
                        "down {} missing, {} known as lost; up {} missing, {} known as lost",
                        down.missing_bytes, down.known_bytes, up.missing_bytes, up.known_bytes
                    ),
                ),
                "missing is at least 0 and at most the known loss",
                "A connection that did not end in order leaves bytes on the way; see whether clients were disconnected.",
            );
        }
        Some(_) => {}
    }
    let lost = quic.client.lost_packets + quic.server.map_or(0, |server| server.lost_packets);
    if lost > 0 {
        let sent = quic.client.sent_datagrams + quic.server.map_or(0, |server| server.sent_datagrams);
        findings.note(
            "quic.lost",
            Class::Timing,
            ("QUIC packets were lost and what streams carried was sent again.", format!("{lost} of {sent}")),
            "0",
            "On a loopback a socket's receive buffer was full: raise net.core.rmem_max or lower the load.",
        );
    }
}
