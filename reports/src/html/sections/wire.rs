//! Tables of bytes: by layer, by connection, and by the counts of those who carried them.
//!
//! It adds nothing up by itself: every figure is one of the result.

use measurement::result::{Layers, QuicEnd, RunResult, Status, Trial, Variant};

use super::{Section, per_trial, table};
use crate::{format, plan};

/// Every byte of the measure and connect phases by layer.
pub(in crate::html) fn bytes(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "phase",
        "direction",
        "payload",
        "app framing",
        "transport framing",
        "headers",
        "TLS",
        "socket",
        "adds up",
    ];
    let mut rows = Vec::new();
    for variant in &result.variants {
        let Some(trial) = variant.trials.iter().find(|trial| trial.status == Status::Complete) else {
            continue;
        };
        let bytes = &trial.bytes;
        for (phase, direction, layers) in [
            ("connect", "received", &bytes.handshake.received),
            ("connect", "sent", &bytes.handshake.sent),
            ("measure", "received", &bytes.received),
            ("measure", "sent", &bytes.sent),
        ] {
            let start =
                [variant.name.clone(), (trial.index + 1).to_string(), phase.to_owned(), direction.to_owned()];
            rows.push(start.into_iter().chain(layer_cells(layers)).collect());
        }
    }
    Section {
        title: "Every byte by layer",
        caption: "The first complete trial of each variant, all clients together, as the client sees it. The five \
                  layers are counted on their own and must add up to what moved through the sockets, which the kernel \
                  confirms over each connection's life.",
        table: table(&head, rows),
    }
}

fn layer_cells(layers: &Layers) -> Vec<String> {
    let Layers { payload, app_framing, transport_framing, headers, tls, socket_total } = *layers;
    let figures = [payload, app_framing, transport_framing, headers, tls, socket_total];
    let sound = if layers.balanced() { "yes" } else { "NO" };
    figures.into_iter().map(format::count).chain([sound.to_owned()]).collect()
}

/// What connecting costs, spread over a session.
pub(in crate::html) fn handshakes(result: &RunResult) -> Section {
    let session_s = |variant: &Variant| Some(plan::of(result, variant)["load"]["session"].as_f64()? / 1e6);
    let head = [
        "variant",
        "trial",
        "handshake, bytes a client",
        "session",
        "spread over it, B/s",
        "steady, B/s",
        "heartbeats beyond the window, B/s",
    ];
    let cells = |variant: &Variant, trial: &Trial| {
        let clients = (trial.clients.connected > 0).then_some(trial.clients.connected as f64)?;
        let bytes = &trial.bytes;
        let handshake =
            (bytes.handshake.received.socket_total + bytes.handshake.sent.socket_total) as f64 / clients;
        let steady =
            (bytes.received.socket_total + bytes.sent.socket_total) as f64 / clients / trial.window_s;
        let session = session_s(variant);
        (trial.status == Status::Complete).then(|| {
            vec![
                format::significant(handshake),
                format::or_none(session, |seconds| format::duration(seconds * 1e6)),
                format::or_none(session, |seconds| format::significant(handshake / seconds)),
                format::significant(steady),
                format::significant(bytes.periodic),
            ]
        })
    };
    Section {
        title: "Handshakes over a session",
        caption: "What connecting costs once, both ways, spread over a session's length (load.session), beside what \
                  goes on for as long as the user stays.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// The kernel's count of the same connections.
pub(in crate::html) fn kernel(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "received",
        "sent",
        "segments in",
        "segments out",
        "retransmitted",
        "TCP/IP heads per update",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let kernel = &trial.bytes.kernel;
        let estimate = trial.bytes.tcp_ip_estimate? as f64 / trial.updates.received_in_window.max(1) as f64;
        let figures =
            [kernel.received, kernel.sent, kernel.segments_in, kernel.segments_out, kernel.retransmitted];
        Some(figures.into_iter().map(format::count).chain([format::significant(estimate)]).collect())
    };
    Section {
        title: "The kernel's own count",
        caption: "TCP_INFO of the clients' sockets from connect to close: payload bytes, equal to ours or the trial is \
                  invalid, and segments. The last column is an estimate for the measure phase: 52 bytes of IPv4 (72 of IPv6) and \
                  TCP heads with timestamps for each segment, both ways. On loopback segments are larger than on \
                  a real wire.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// The two ends of QUIC.
pub(in crate::html) fn quic(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "server sent",
        "clients received",
        "clients sent",
        "server received",
        "packets lost",
        "UDP/IP heads per update",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let quic = trial.bytes.quic.as_ref()?;
        let of_server = |figure: fn(&QuicEnd) -> u64| quic.server.as_ref().map(figure);
        let count = |figure: Option<u64>| figure.map_or_else(|| "–".to_owned(), format::count);
        let received = of_server(|server| server.received_bytes).map(|bytes| bytes + quic.opening_bytes);
        let lost = quic.client.lost_packets + of_server(|server| server.lost_packets).unwrap_or(0);
        let estimate = quic.udp_ip_estimate as f64 / trial.updates.received_in_window.max(1) as f64;
        Some(vec![
            count(of_server(|server| server.sent_bytes)),
            format::count(quic.client.received_bytes),
            format::count(quic.client.sent_bytes),
            count(received),
            format::count(lost),
            format::significant(estimate),
        ])
    };
    Section {
        title: "Both ends of QUIC",
        caption: "UDP payload from the first datagram to the last, as the libraries of both ends count it: equal but for \
                  known loss, or the trial is invalid. The last column is an estimate for the measure phase: 28 bytes \
                  of IPv4 (48 of IPv6) and UDP heads for each datagram, both ways.",
        table: table(&head, per_trial(result, cells)),
    }
}
