//! From counts at sockets to a trial's bytes.

use measurement::{
    ledger::Phase,
    result::{Bytes, Counted, Handshake, Layers, Quic, QuicEnd, Steady},
};

use super::Evidence;
use crate::{
    clients, conditions, network,
    plan::{Deflate, Http, VariantPlan},
    socket::Books,
    target::stats::Stats,
    trial::Mark,
    worker::Found,
};

/// TCP's head with timestamps, the Linux default (RFC 9293, RFC 7323 section 3).
const TCP_HEAD: u64 = 20 + 12;
/// IP's head: version 4 without options (RFC 791), version 6 without extensions (RFC 8200).
const IP_HEAD: [u64; 2] = [20, 40];

/// The bytes of a trial: layers by phase, the kernel's count, and whether they agree.
pub(super) fn bytes(variant: &VariantPlan, found: &Found, evidence: &Evidence) -> Bytes {
    let phases = Phases::of(variant, found, evidence);
    let counts = &found.recording.sums.counts;
    let (delivered, in_window) = (counts.delivered_once, counts.received_in_window);
    let (received, sent) = phases.measure;
    let heartbeat_s = conditions::HEARTBEAT.as_secs_f64();
    // Clients that are pushed to send nothing in the window but answers to heartbeats.
    let answers = sent.transport_framing > 0 && variant.workload.server_publishes();
    let beats = variant.load.measure >= conditions::HEARTBEAT || answers;
    let books = &found.books;
    let kernel_known = books.check.checked > 0;
    let quic = books.quic.map(|quic| Quic { server: server_end(evidence), ..quic });
    let ends = quic.and_then(|quic| quic.ends(evidence.machine.udp_drops));
    let explained = ends.is_none_or(|ends| ends.agree(network::moves_packets(variant)));
    Bytes {
        received,
        sent,
        handshake: Handshake { received: phases.connect.0, sent: phases.connect.1 },
        whole_life: Handshake { received: phases.whole_life.0, sent: phases.whole_life.1 },
        // Somebody else's updates have no common size: as long as they are.
        canonical_payload: match variant.heard() {
            None => delivered * u64::from(variant.feed.quote_bytes),
            Some(_) => received.payload,
        },
        // Within a longer window heartbeats are in the layers already.
        periodic: if beats || variant.peer.is_some() {
            0.0
        } else {
            clients::heartbeat_bytes(variant.kind) as f64 / heartbeat_s
        },
        kernel: books.kernel,
        tcp_ip_estimate: kernel_known
            .then_some(books.window_segments * (IP_HEAD[usize::from(evidence.ipv6)] + TCP_HEAD)),
        quic,
        balanced: phases.unbalanced.is_empty() && books.check.mismatched == 0 && explained,
        header_overhead_per_update: (in_window > 0)
            .then(|| (received.overhead() + sent.overhead()) as f64 / in_window as f64),
        window_segments: kernel_known.then_some(books.window_segments),
        steady: steady(variant, books),
    }
}

/// Where lengths are the same each time: HTTP/1.1 of our own, counted at our own sockets.
fn steady(variant: &VariantPlan, books: &Books) -> Option<Steady> {
    let own = variant.peer.is_none() && !variant.counted_by_server();
    (own && variant.options.http == Http::H1).then(|| {
        let mut steady = books.steady;
        if variant.options.deflate != Deflate::Off {
            // The length of a compressed message decides how long its frame's head is.
            steady.messages = Counted::default();
        }
        steady
    })
}

/// The server's end of QUIC connections; `None` where it cannot be compared: it was not asked, or is somebody else's.
fn server_end(evidence: &Evidence) -> Option<QuicEnd> {
    let stats = evidence.last_stats.as_ref().filter(|_| evidence.error.is_none())?.quic?;
    Some(QuicEnd {
        received_bytes: stats.received_bytes,
        sent_bytes: stats.sent_bytes,
        received_datagrams: stats.received_datagrams,
        sent_datagrams: stats.sent_datagrams,
        lost_packets: stats.lost_packets,
        lost_bytes: stats.lost_bytes,
        lost_probes: stats.lost_probes,
    })
}

/// Layers of both directions, server to client first.
type Both = (Layers, Layers);

/// Layers by phase, and those that do not add up.
pub(super) struct Phases {
    connect: Both,
    measure: Both,
    whole_life: Both,
    pub(super) unbalanced: Vec<String>,
}

impl Phases {
    /// As the side that counted them tells.
    pub(super) fn of(variant: &VariantPlan, found: &Found, evidence: &Evidence) -> Self {
        if variant.counted_by_server() {
            Self::of_server(found, evidence)
        } else {
            Self::of_books(&found.books)
        }
    }

    fn of_books(books: &Books) -> Self {
        let both = |phase| (*books.received.phase(phase), *books.sent.phase(phase));
        let mut unbalanced = Vec::new();
        for phase in Phase::ALL {
            let (received, sent) = both(phase);
            note_unbalanced(&mut unbalanced, "received", phase, &received);
            note_unbalanced(&mut unbalanced, "sent", phase, &sent);
        }
        let whole_life = (books.received.whole_life(), books.sent.whole_life());
        Self { connect: both(Phase::Connect), measure: both(Phase::Measure), whole_life, unbalanced }
    }

    /// Differences of the server's counters between marks. Payload is what the clients decoded in the phase.
    fn of_server(found: &Found, evidence: &Evidence) -> Self {
        let (nothing, marks) = (Stats::default(), &evidence.marks);
        let read =
            |mark: &Option<Mark>| mark.as_ref().and_then(|mark| mark.stats.clone()).unwrap_or_default();
        let (from, to) = (read(&marks.from), read(&marks.to));
        let connected = marks.connected_stats.as_ref().unwrap_or(&nothing);
        let connect = between(&nothing, connected, found.unsocketed_payload[Phase::Connect as usize]);
        let measure = between(&from, &to, found.unsocketed_payload[Phase::Measure as usize]);
        let last = evidence.last_stats.as_ref().unwrap_or(&nothing);
        let whole_life = between(&nothing, last, found.unsocketed_payload.iter().sum());
        let mut unbalanced = Vec::new();
        for (phase, (received, sent)) in [(Phase::Connect, &connect), (Phase::Measure, &measure)] {
            note_unbalanced(&mut unbalanced, "received", phase, received);
            note_unbalanced(&mut unbalanced, "sent", phase, sent);
        }
        Self { connect, measure, whole_life, unbalanced }
    }
}

fn note_unbalanced(unbalanced: &mut Vec<String>, direction: &str, phase: Phase, layers: &Layers) {
    if !layers.balanced() {
        let (sum, total) = (layers.sum(), layers.socket_total);
        unbalanced
            .push(format!("{direction}, {}: {sum} bytes in layers, {total} at the socket", phase.name()));
    }
}

fn between(from: &Stats, to: &Stats, payload: u64) -> Both {
    let tally = |stats: &Stats| stats.layers.unwrap_or_default();
    let (before, after) = (tally(from), tally(to));
    let layers = |before: &wire::Tally, after: &wire::Tally, payload: u64, socket_total: u64| {
        let body = after.body - before.body;
        let payload = payload.min(body);
        Layers {
            payload,
            app_framing: after.app_framing - before.app_framing + body - payload,
            transport_framing: after.transport_framing - before.transport_framing,
            headers: after.headers - before.headers,
            tls: 0,
            socket_total,
        }
    };
    (
        layers(&before.down, &after.down, payload, to.bytes.written - from.bytes.written),
        layers(&before.up, &after.up, 0, to.bytes.read - from.bytes.read),
    )
}
