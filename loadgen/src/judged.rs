//! What the rules of validity are told about a trial, gathered from workers, server, kernel and machine.

use measurement::{
    result::{SocketOptions, Sockets, Trial},
    validity::{self, Ends, Machine},
};

use crate::{assemble::Evidence, clients, network, plan::VariantPlan, target::stats::Stats, worker::Found};

/// The evidence of a trial with a window; `unbalanced` names phases whose layers do not add up.
pub fn evidence(
    found: &Found,
    known: &Evidence,
    variant: &VariantPlan,
    scheduled: u64,
    unbalanced: Vec<String>,
) -> validity::Evidence {
    let books = &found.books;
    let stats = known.last_stats.as_ref();
    // What waits in the kernel for a slow reader that closes is read by nobody.
    let whole = known.error.is_none() && !variant.counted_by_server() && variant.slow.is_none();
    // QUIC has an account of its own, in the trial's bytes.
    let ends = stats.filter(|_| whole && books.quic.is_none()).map(|stats| Ends {
        down: (stats.bytes.written, known.totals.bytes.0),
        up: (known.totals.bytes.1, stats.bytes.read),
    });
    let rss = |mark: &Option<crate::trial::Mark>| Some(mark.as_ref()?.server.as_ref()?.rss_bytes);
    validity::Evidence {
        scheduled,
        unbalanced,
        client_identity: (books.check.checked, books.check.mismatched),
        server_identity: stats.map_or((0, 0), |stats| (stats.identity.checked, stats.identity.mismatched)),
        // A connection that ends by plan in the middle of the window may leave messages that were read and not yet decoded: the
        // next one brings them again.
        unclaimed_messages: if ends_by_plan(variant) { 0 } else { books.unclaimed },
        ends,
        emulated: network::moves_packets(variant),
        loses: clients::loses(variant.kind, &variant.options),
        clipped: found.recording.clipped(),
        unknown_quotes: found.recording.sums.counts.unknown,
        loadgen_cores: known.cores.loadgen.len() as u64,
        server_retransmitted: stats.map_or(0, |stats| stats.identity.retransmitted),
        peer: known.learned.as_ref().map(|lesson| lesson.evidence.clone()),
        machine: machine(known),
        slices_us: found.recording.sums.slices.medians_us(),
        server_rss: rss(&known.marks.from).zip(rss(&known.marks.to)),
        ..connections(found, stats)
    }
}

/// A trial without a window, with what its connections tell.
pub fn unmeasured(mut trial: Trial, found: &Found, stats: Option<&Stats>, machine: Machine) -> Trial {
    trial.clients.connected = found.connected;
    trial.clients.disconnected = found.disconnected;
    let connect = &found.recording.sums.connect;
    trial.connect = connect.finish(connect.count());
    trial.sockets = sockets(found, stats);
    let evidence = validity::Evidence { machine: Some(machine), ..connections(found, stats) };
    validity::judge_unmeasured(&mut trial, &evidence);
    trial
}

fn ends_by_plan(variant: &VariantPlan) -> bool {
    variant.storm.is_some()
        || variant.slow.is_some()
        || variant.link.as_ref().is_some_and(|link| link.resets())
}

fn connections(found: &Found, stats: Option<&Stats>) -> validity::Evidence {
    let listener = stats.map(|stats| stats.connections).unwrap_or_default();
    validity::Evidence {
        refused: listener.refused
            + listener.accept_errors
            + stats.and_then(|stats| stats.quic).map_or(0, |quic| quic.refused),
        listen_drops: listener.dropped,
        fault: stats.and_then(|stats| stats.fault.clone()),
        first_error: found.errors.first().cloned(),
        exhausted: found.exhausted,
        ..validity::Evidence::default()
    }
}

/// Shares of the window; connections that were dropped and processes that were killed, of the whole trial.
fn machine(known: &Evidence) -> Option<Machine> {
    let whole = known.machine;
    let (Some(from), Some(to)) = (&known.marks.from, &known.marks.to) else { return Some(whole) };
    let window = to.machine.since(&from.machine);
    let Machine { listen_overflows, oom_kills, udp_drops, .. } = whole;
    Some(Machine { listen_overflows, oom_kills, udp_drops, ..window })
}

/// Options in force at both ends, where they tell.
pub fn sockets(found: &Found, stats: Option<&Stats>) -> Sockets {
    let books = &found.books;
    let names: Vec<&str> = books.congestion_controls.iter().map(String::as_str).collect();
    let suites: Vec<&str> = books.tls_suites.iter().map(String::as_str).collect();
    Sockets {
        tls: (!suites.is_empty()).then(|| suites.join(", ")),
        // One that saw no TCP connection has no options to tell.
        server: stats.filter(|stats| stats.connections.accepted > 0).map(|stats| SocketOptions {
            nodelay: stats.socket.nodelay,
            congestion_control: stats.socket.congestion_control.clone(),
        }),
        clients: (!names.is_empty()).then(|| SocketOptions {
            nodelay: books.without_nodelay == 0,
            congestion_control: Some(names.join(", ")),
        }),
    }
}
