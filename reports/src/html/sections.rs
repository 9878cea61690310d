//! The page's tables: every count of the result, trial by trial, with a word on how to read each.

use measurement::result::{Histogram, Layers, QuicEnd, RunResult, Status, Trial, Variant};

use super::knowledge;
use crate::{format, plots::Table};

/// A table with its heading and a word on how to read it.
pub(super) struct Section {
    pub title: &'static str,
    pub caption: &'static str,
    pub table: Table,
}

/// All tables in the order of the page; one without rows is left out there.
pub(super) fn all(result: &RunResult) -> Vec<Section> {
    vec![
        staleness(result),
        delays(result),
        bytes(result),
        handshakes(result),
        kernel(result),
        quic(result),
        updates(result),
        requests(result),
        cost(result),
        knowledge::arrivals(result),
        knowledge::connections(result),
        trials(result),
        knowledge::reasons(result),
    ]
}

pub(super) fn table(head: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { head: head.iter().map(|&title| title.to_owned()).collect(), rows }
}

/// Rows of every trial: the variant's name, the trial's number, then what `cells` says.
pub(super) fn per_trial(
    result: &RunResult,
    cells: impl Fn(&Variant, &Trial) -> Option<Vec<String>>,
) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for variant in &result.variants {
        for trial in &variant.trials {
            let Some(cells) = cells(variant, trial) else { continue };
            rows.push(
                [variant.name.clone(), (trial.index + 1).to_string()].into_iter().chain(cells).collect(),
            );
        }
    }
    rows
}

fn bytes(result: &RunResult) -> Section {
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

fn updates(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "wanted /s",
        "published /s",
        "published",
        "expected",
        "delivered",
        "coalesced",
        "lost",
        "pending",
        "duplicated",
        "reordered",
        "in snapshots",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let updates = &trial.updates;
        let figures = [
            updates.generated,
            updates.expected,
            Some(updates.delivered_once),
            updates.coalesced,
            updates.lost,
            updates.pending_at_end,
            updates.duplicated,
            updates.reordered,
            Some(updates.snapshot),
        ];
        let cell = |figure: Option<u64>| figure.map_or_else(|| format::NONE.to_owned(), format::count);
        let rates = [trial.schedule.wanted_per_second, trial.schedule.achieved_per_second];
        let cells = rates.map(format::significant).into_iter().chain(figures.map(cell));
        (trial.status != Status::Failed).then(|| cells.collect())
    };
    Section {
        title: "Every update accounted for",
        caption: "Quotes are selected by their due instant in the window. Expected = delivered + coalesced + lost + \
                  pending, over all clients.",
        table: table(&head, per_trial(result, cells)),
    }
}

fn delays(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "publisher lag p50",
        "transit p50",
        "delivery p50",
        "delivery p90",
        "delivery p99",
        "largest",
        "generator lag p50",
        "floor p50",
        "fairness (Jain)",
    ];
    let p50 = |histogram: &Option<Histogram>| figure(histogram.as_ref(), |h| h.p50_us);
    let cells = |_: &Variant, trial: &Trial| {
        let delivery = trial.delivery_delay.as_ref()?;
        let resolved = |name: &str, value: Option<f64>| percentile(delivery, name, value);
        let transit = trial.transit.as_ref();
        Some(vec![
            p50(&trial.publisher_lag),
            transit.map_or(format::NONE.to_owned(), |transit| percentile(transit, "p50", transit.p50_us)),
            resolved("p50", delivery.p50_us),
            resolved("p90", delivery.p90_us),
            resolved("p99", delivery.p99_us),
            figure(Some(delivery), |h| h.max_us),
            p50(&trial.action_lag),
            p50(&trial.floor),
            format::or_none(trial.fairness, |fairness| format!("{:.3}", fairness.jain)),
        ])
    };
    Section {
        title: "Where the delay comes from",
        caption: "Delivery delay counts from the scheduled instant: a server that publishes late shows it here. A dash \
                  is a percentile without ten distinct events above it; ~ marks one that noise, the generator's own \
                  lag or the machine's floor makes unreliable.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// A percentile of that name, marked where it is not resolved.
fn percentile(histogram: &Histogram, name: &str, value: Option<f64>) -> String {
    let unresolved = histogram.unresolved.iter().any(|known| known == name);
    format::or_unresolved(value, unresolved, format::duration)
}

fn figure(histogram: Option<&Histogram>, read: fn(&Histogram) -> Option<f64>) -> String {
    format::or_none(histogram.and_then(read), format::duration)
}

fn requests(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "requests",
        "with news",
        "in vain",
        "in vain, share",
        "sent late",
        "response p50",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let requests = trial.requests?;
        Some(vec![
            format::count(requests.sent),
            format::count(requests.useful),
            format::count(requests.empty),
            format::share(requests.useless_share),
            format::count(trial.schedule.late_polls),
            trial
                .response_time
                .as_ref()
                .map_or(format::NONE.to_owned(), |time| percentile(time, "p50", time.p50_us)),
        ])
    };
    Section {
        title: "Requests",
        caption: "Of variants whose clients ask. A request that was due while the one before was under way is sent \
                  late, never skipped.",
        table: table(&head, per_trial(result, cells)),
    }
}

fn cost(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "server CPU (s)",
        "of it the publisher (s)",
        "server µs per update",
        "switches per update",
        "socket calls per update",
        "system calls per update",
        "allocations per update",
        "heap bytes per update",
        "server memory",
        "generator CPU (s)",
        "generator waited",
        "server waited",
    ];
    let seconds = |value: Option<f64>| format::or_none(value, |s| format!("{s:.3}"));
    let figure = |value: Option<f64>| format::or_none(value, format::significant);
    let cells = |_: &Variant, trial: &Trial| {
        let (server, loadgen) = (&trial.server, &trial.loadgen);
        server.cpu_seconds?;
        Some(vec![
            seconds(server.cpu_seconds),
            seconds(server.publisher_cpu_seconds),
            figure(server.cpu_us_per_update),
            figure(server.voluntary_switches_per_update),
            figure(server.socket_calls_per_update),
            figure(server.syscalls_per_update),
            figure(server.allocations_per_update),
            figure(server.allocated_bytes_per_update),
            format::or_none(server.rss_bytes, |bytes| format::bytes(bytes as f64)),
            seconds(loadgen.cpu_seconds),
            format::or_none(loadgen.run_delay_share, format::share),
            format::or_none(server.run_delay_share, format::share),
        ])
    };
    Section {
        title: "Processor time and memory",
        caption: "Of the measure phase, by the kernel's scheduler statistics. What one side spends is not in the \
                  other's figures: they are processes of their own.",
        table: table(&head, per_trial(result, cells)),
    }
}

fn trials(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "run as",
        "started",
        "window (s)",
        "clients",
        "lost connections",
        "status",
        "verdict",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let status = match trial.status {
            Status::Complete => "complete",
            Status::Partial => "partial",
            Status::Failed => "failed",
        };
        let verdict = match (trial.status, trial.validity.valid) {
            (Status::Failed, _) => trial.error.clone().unwrap_or_default(),
            (Status::Complete | Status::Partial, true) => "valid".to_owned(),
            (Status::Complete | Status::Partial, false) => "INVALID".to_owned(),
        };
        Some(vec![
            format!("no. {}", trial.order + 1),
            trial.started_at.clone(),
            format!("{:.1}", trial.window_s),
            format!("{} of {}", trial.clients.connected, trial.clients.asked),
            format::count(trial.clients.disconnected),
            status.to_owned(),
            verdict,
        ])
    };
    Section {
        title: "Trials",
        caption: "Each is a fresh server process with fresh connections; the order is random within blocks that hold \
                  every variant once.",
        table: table(&head, per_trial(result, cells)),
    }
}

fn staleness(result: &RunResult) -> Section {
    let head = [
        "variant",
        "trial",
        "price wrong",
        "wrong for, mean",
        "wrong for, p99",
        "wrong for, largest",
        "excess age",
        "age",
        "versions behind",
        "any price wrong",
    ];
    let cells = |_: &Variant, trial: &Trial| {
        let shown = trial.per_symbol.as_ref()?;
        let lag = &shown.sync_lag;
        let time = |us: Option<f64>| format::or_none(us, format::duration);
        Some(vec![
            format::share(shown.out_of_sync_share),
            time(lag.mean_us),
            time(lag.p99_us),
            time(lag.max_us),
            format::duration(shown.excess_age.mean_us),
            format::duration(shown.age.mean_us),
            format::significant(shown.version_lag.mean),
            format::or_none(trial.whole_screen.as_ref(), |screen| format::share(screen.out_of_sync_share)),
        ])
    };
    Section {
        title: "Staleness",
        caption: "Averages over time, symbols and clients; zero lag is in them. Excess age is the age above what a \
                  client without delay would show: age itself includes the feed's own pauses. The last column is \
                  about a screen with all symbols.",
        table: table(&head, per_trial(result, cells)),
    }
}

fn handshakes(result: &RunResult) -> Section {
    let session_s = |variant: &Variant| -> Option<f64> {
        let plans = result.scenario.plan.get("variants")?.as_array()?;
        let plan = plans
            .iter()
            .find(|plan| plan.get("name").and_then(|name| name.as_str()) == Some(&variant.name))?;
        Some(plan.get("load")?.get("session")?.as_f64()? / 1e6)
    };
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

fn kernel(result: &RunResult) -> Section {
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

fn quic(result: &RunResult) -> Section {
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
