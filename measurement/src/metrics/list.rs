//! The table of metrics, and how each is read off a trial. It computes ratios of what is there, and nothing else.

use super::{Better, Comparison, Metric};
use crate::result::{Class, Histogram, Layers, Trial};

macro_rules! metrics {
    ($($name:literal, $unit:literal, $class:ident, $comparison:ident, $better:ident, $meaning:literal, $read:expr;)*) => {
        &[$(Metric {
            name: $name,
            unit: $unit,
            class: Class::$class,
            comparison: Comparison::$comparison,
            better: Better::$better,
            meaning: $meaning,
            read: $read,
        }),*]
    };
}

/// Every metric, in the order in which lists show them.
pub const ALL: &[Metric] = metrics![
    "per_symbol.out_of_sync_share", "share", Timing, Timed, Less, "share of time in which a shown price is not the newest",
        |t| Some(t.per_symbol.as_ref()?.out_of_sync_share);
    "per_symbol.sync_lag.mean", "us", Timing, Timed, Less, "how long a shown price has been wrong, averaged over time",
        |t| t.per_symbol.as_ref()?.sync_lag.mean_us;
    "per_symbol.sync_lag.p99", "us", Timing, Timed, Less, "the wrongness that is exceeded one hundredth of the time",
        |t| t.per_symbol.as_ref()?.sync_lag.p99_us;
    "per_symbol.excess_age.mean", "us", Timing, Timed, Less, "age above what a client without delay would show",
        |t| Some(t.per_symbol.as_ref()?.excess_age.mean_us);
    "per_symbol.age.mean", "us", Timing, Timed, Less, "age of a shown price, averaged over time",
        |t| Some(t.per_symbol.as_ref()?.age.mean_us);
    "per_symbol.version_lag.mean", "count", Timing, Timed, Less, "prices behind, averaged over time",
        |t| Some(t.per_symbol.as_ref()?.version_lag.mean);
    "whole_screen.out_of_sync_share", "share", Timing, Timed, Less, "share of time in which any shown price is not the newest",
        |t| Some(t.whole_screen.as_ref()?.out_of_sync_share);
    "delivery_delay.mean", "us", Timing, Timed, Less, "from a quote's due instant to its receipt", |t| t.delivery_delay.as_ref()?.mean_us;
    "delivery_delay.p50", "us", Timing, Timed, Less, "its median", |t| p50(t.delivery_delay.as_ref());
    "delivery_delay.p90", "us", Timing, Timed, Less, "its 90th percentile", |t| t.delivery_delay.as_ref()?.p90_us;
    "delivery_delay.p95", "us", Timing, Timed, Less, "its 95th percentile", |t| t.delivery_delay.as_ref()?.p95_us;
    "delivery_delay.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.delivery_delay.as_ref());
    "delivery_delay.max", "us", Timing, Timed, Less, "its largest value", |t| t.delivery_delay.as_ref()?.max_us;
    "publisher_lag.p99", "us", Timing, Timed, Less, "from a quote's due instant to its publication", |t| p99(t.publisher_lag.as_ref());
    "transit.p50", "us", Timing, Timed, Less, "from a quote's publication to its receipt", |t| p50(t.transit.as_ref());
    "transit.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.transit.as_ref());
    "reflection_delay.mean", "us", Timing, Timed, Less, "until this or a newer quote of the symbol arrived, over all updates",
        |t| t.reflection_delay.as_ref()?.mean_us;
    "inter_arrival.mean", "us", Timing, Timed, Less, "between successive messages with updates at one client",
        |t| t.inter_arrival.as_ref()?.mean_us;
    "response_time.p50", "us", Timing, Timed, Less, "requests: from the planned instant to the whole answer", |t| p50(t.response_time.as_ref());
    "response_time.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.response_time.as_ref());
    "action_lag.p99", "us", Timing, Timed, Less, "how late the generator itself acted", |t| p99(t.action_lag.as_ref());
    "connect.p50", "us", Timing, Timed, Less, "from the first SYN to an established stream", |t| p50(t.connect.as_ref());
    "connect.p90", "us", Timing, Timed, Less, "its 90th percentile", |t| t.connect.as_ref()?.p90_us;
    "connect.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.connect.as_ref());
    "connect.max", "us", Timing, Timed, Less, "its largest value", |t| t.connect.as_ref()?.max_us;
    "rearm_gap.p50", "us", Timing, Timed, Less, "from a held answer to the client's next question", |t| p50(t.rearm_gap.as_ref());
    "closing.handshake.p50", "us", Timing, Timed, Less, "from the client's close frame to the server's",
        |t| p50(t.closing.as_ref()?.handshake.as_ref());
    "first_update.p50", "us", Timing, Timed, Less, "from the established stream to the first update", |t| p50(t.first_update.as_ref());
    "first_update.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.first_update.as_ref());
    "reconnect_to_fresh.p50", "us", Timing, Timed, Less, "from a fault's end to the first update due after it",
        |t| p50(t.reconnect_to_fresh.as_ref());
    "reconnect_to_fresh.p90", "us", Timing, Timed, Less, "its 90th percentile", |t| t.reconnect_to_fresh.as_ref()?.p90_us;
    "reconnect_to_fresh.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.reconnect_to_fresh.as_ref());
    "reconnect_to_fresh.max", "us", Timing, Timed, Less, "its largest value", |t| t.reconnect_to_fresh.as_ref()?.max_us;
    "reconnect.p50", "us", Timing, Timed, Less, "from the beginning of a connection that takes an earlier one's place to its stream",
        |t| p50(t.reconnect.as_ref());
    "reconnect.p99", "us", Timing, Timed, Less, "its 99th percentile", |t| p99(t.reconnect.as_ref());
    "reconnect.max", "us", Timing, Timed, Less, "its largest value", |t| t.reconnect.as_ref()?.max_us;
    "clients.reconnected", "count", Counts, Total, Less, "connections opened again", |t| Some(t.clients.reconnected as f64);
    "slow_readers.received", "count", Counts, Total, More, "updates that clients got which do not keep up",
        |t| Some(t.slow_readers?.received as f64);
    "slow_readers.skipped", "count", Counts, Total, More, "updates left out for them in favour of a newer snapshot",
        |t| Some(t.slow_readers?.skipped as f64);
    "fairness.jain", "", Timing, Timed, More, "1 when all clients wait equally long", |t| Some(t.fairness.as_ref()?.jain);
    "updates.expected", "count", Counts, Constant, More, "updates due in the window, over all clients", |t| Some(t.updates.expected? as f64);
    "updates.generated", "count", Counts, Constant, More, "updates that the server published, due in the window",
        |t| Some(t.updates.generated? as f64);
    "updates.delivered_once", "count", Counts, Total, More, "of them, received", |t| Some(t.updates.delivered_once as f64);
    "updates.delivered_share", "share", Counts, Total, More, "the same as a share of those expected",
        |t| ratio(t.updates.delivered_once as f64, t.updates.expected? as f64);
    "updates.received_per_second", "1/s", Counts, Total, More, "receptions in the window, over all clients",
        |t| per_second(t, t.updates.received_in_window as f64);
    "updates.coalesced", "count", Counts, Total, Less, "of them, replaced by a newer one by design", |t| Some(t.updates.coalesced? as f64);
    "updates.coalesced_share", "share", Counts, Total, Less, "the same as a share of those expected",
        |t| ratio(t.updates.coalesced? as f64, t.updates.expected? as f64);
    "updates.lost", "count", Counts, Constant, Less, "of them, never received", |t| Some(t.updates.lost? as f64);
    "updates.duplicated", "count", Counts, Constant, Less, "receptions beyond the first", |t| Some(t.updates.duplicated? as f64);
    "clients.disconnected", "count", Counts, Constant, Less, "connections lost unexpectedly", |t| Some(t.clients.disconnected as f64);
    "requests.sent", "count", Counts, Total, Less, "requests of the window", |t| Some(t.requests?.sent as f64);
    "requests.empty", "count", Counts, Total, Less, "of them, those that brought nothing new", |t| Some(t.requests?.empty as f64);
    "requests.per_second", "1/s", Counts, Total, Less, "requests of the window, over all clients",
        |t| per_second(t, t.requests?.sent as f64);
    "requests.per_update", "count", Counts, Total, Less, "requests of the window per received update", |t| per_update(t, t.requests?.sent);
    "requests.useless_share", "share", Counts, Total, Less, "requests that brought nothing new", |t| Some(t.requests?.useless_share);
    "bytes.received.socket_total", "bytes", Bytes, Total, Less, "server to client, measure phase", |t| Some(t.bytes.received.socket_total as f64);
    "bytes.sent.socket_total", "bytes", Bytes, Total, Less, "client to server, measure phase", |t| Some(t.bytes.sent.socket_total as f64);
    "bytes.per_second", "bytes", Bytes, Total, Less, "both ways, over all clients, per second of the window",
        |t| per_second(t, both_ways(t, |layers| layers.socket_total) as f64);
    "bytes.received.per_second", "bytes", Bytes, Total, Less, "server to client, over all clients, per second of the window",
        |t| per_second(t, t.bytes.received.socket_total as f64);
    "bytes.sent.per_second", "bytes", Bytes, Total, Less, "client to server, over all clients, per second of the window",
        |t| per_second(t, t.bytes.sent.socket_total as f64);
    "bytes.headers_per_second", "bytes", Bytes, Total, Less, "start lines and header fields, both ways, over all clients, per second",
        |t| per_second(t, both_ways(t, |layers| layers.headers) as f64);
    "bytes.transport_framing_per_second", "bytes", Bytes, Total, Less, "chunks, frame heads and control frames, both ways, over all clients, per second",
        |t| per_second(t, both_ways(t, |layers| layers.transport_framing) as f64);
    "bytes.header_overhead_per_second", "bytes", Bytes, Total, Less, "everything but payload and TLS, both ways, over all clients, per second",
        |t| per_second(t, both_ways(t, Layers::overhead) as f64);
    "bytes.socket_total_per_update", "bytes", Bytes, Total, Less, "everything, both ways, per received update",
        |t| layer_per_update(t, |layers| layers.socket_total);
    "bytes.sent.headers_per_request", "bytes", Bytes, Total, Less, "heads that clients sent, per answered request of the window",
        |t| ratio(t.bytes.sent.headers as f64, t.requests?.sent as f64);
    "bytes.received.headers_per_request", "bytes", Bytes, Total, Less, "heads that the server sent, per answered request of the window",
        |t| ratio(t.bytes.received.headers as f64, t.requests?.sent as f64);
    "bytes.header_overhead_per_update", "bytes", Bytes, Total, Less, "everything but payload, both ways, per received update",
        |t| t.bytes.header_overhead_per_update;
    "bytes.payload_per_update", "bytes", Bytes, Total, Less, "of each received update, as it is on the wire",
        |t| layer_per_update(t, |layers| layers.payload);
    "bytes.app_framing_per_update", "bytes", Bytes, Total, Less, "fields, envelopes and heartbeats, both ways, per received update",
        |t| layer_per_update(t, |layers| layers.app_framing);
    "bytes.transport_framing_per_update", "bytes", Bytes, Total, Less, "chunks, frame heads and control frames, both ways, per received update",
        |t| layer_per_update(t, |layers| layers.transport_framing);
    "bytes.headers_per_update", "bytes", Bytes, Total, Less, "start lines and header fields, both ways, per received update",
        |t| layer_per_update(t, |layers| layers.headers);
    "bytes.tls_per_update", "bytes", Bytes, Total, Less, "records around them, both ways, per received update",
        |t| layer_per_update(t, |layers| layers.tls);
    "bytes.headers_per_request", "bytes", Bytes, Constant, Less, "head of a GET request of the window, digits of its cursor left out",
        |t| t.bytes.steady?.requests.each();
    "bytes.headers_per_response", "bytes", Bytes, Constant, Less, "head of an answer with content, digits of its length and tag left out",
        |t| t.bytes.steady?.responses.each();
    "bytes.headers_per_empty_response", "bytes", Bytes, Constant, Less, "head of an answer without content, digits of its tag left out",
        |t| t.bytes.steady?.empty_responses.each();
    "bytes.framing_per_message", "bytes", Bytes, Constant, Less, "chunk or frame head around a pushed message, a chunk's length left out",
        |t| t.bytes.steady?.messages.each();
    "bytes.handshake_sent_per_client", "bytes", Bytes, Constant, Less, "first head that a client sends on each connection it opens before the start",
        |t| per_client(t, t.bytes.steady?.opening_requests.bytes);
    "bytes.handshake_received_per_client", "bytes", Bytes, Constant, Less, "first head of the server on each such connection",
        |t| per_client(t, t.bytes.steady?.opening_responses.bytes);
    "bytes.per_client_second", "bytes", Bytes, Total, Less, "both ways, per client and second of the window", bytes_per_client_second;
    "segments_per_update", "count", Cost, Total, Less, "TCP segments both ways, acknowledgements too, per received update",
        |t| per_update(t, t.bytes.window_segments?);
    "segments_per_second", "1/s", Cost, Total, Less, "the same over all clients, per second of the window",
        |t| per_second(t, t.bytes.window_segments? as f64);
    "bytes.with_packet_heads_per_update", "bytes", Cost, Total, Less, "everything with the heads of IP and TCP or UDP, both ways, per received update; estimated",
        |t| per_update(t, with_packet_heads(t)?);
    "bytes.with_packet_heads_per_second", "bytes", Cost, Total, Less, "the same over all clients, per second of the window",
        |t| per_second(t, with_packet_heads(t)? as f64);
    "bytes.with_packet_heads_per_client_second", "bytes", Cost, Total, Less, "the same per client and second of the window",
        |t| Some(with_packet_heads(t)? as f64 / client_seconds(t)?);
    "server.cpu_seconds", "s", Cost, Timed, Less, "processor time of the server in the window", |t| t.server.cpu_seconds;
    "server.cpu_seconds_per_second", "", Cost, Timed, Less, "cores the server kept busy", |t| per_second(t, t.server.cpu_seconds?);
    "server.cpu_us_per_update", "us", Cost, Timed, Less, "the same per received update", |t| t.server.cpu_us_per_update;
    "server.cpu_seconds_per_client_second", "", Cost, Timed, Less, "cores the server needs for each client",
        |t| ratio(t.server.cpu_seconds?, t.clients_of_server() as f64 * t.window_s);
    "server.rss_bytes", "bytes", Cost, Timed, Less, "resident memory of the server", |t| Some(t.server.rss_bytes? as f64);
    "server.rss_per_client_bytes", "bytes", Cost, Timed, Less, "its growth per client", |t| t.server.rss_per_client_bytes;
    "server.voluntary_switches_per_update", "count", Cost, Total, Less, "times the server went to sleep, per received update",
        |t| t.server.voluntary_switches_per_update;
    "server.socket_calls_per_update", "count", Cost, Total, Less, "socket reads and writes per received update",
        |t| t.server.socket_calls_per_update;
    "server.syscalls_per_update", "count", Cost, Total, Less, "system calls of the server per received update",
        |t| t.server.syscalls_per_update;
    "server.allocations_per_update", "count", Cost, Total, Less, "heap allocations of the server per received update",
        |t| t.server.allocations_per_update;
    "server.allocated_bytes_per_update", "bytes", Cost, Total, Less, "their bytes", |t| t.server.allocated_bytes_per_update;
    "loadgen.cpu_seconds", "s", Cost, Timed, Less, "processor time of the load generator in the window", |t| t.loadgen.cpu_seconds;
    "loadgen.cpu_us_per_update", "us", Cost, Timed, Less, "the same per received update", |t| t.loadgen.cpu_us_per_update;
    "loadgen.rss_per_client_bytes", "bytes", Cost, Timed, Less, "growth of its resident memory per client", |t| t.loadgen.rss_per_client_bytes;
    "kernel.bytes_per_client", "bytes", Cost, Timed, Less, "what the kernel holds for a client, both ends where both are here",
        |t| Some(t.kernel_memory.as_ref()?.bytes_per_client);
    "server.heap_left_bytes", "bytes", Counts, Total, Less, "what the server holds when all clients have gone, above what it held before the first",
        |t| t.server_memory.map(|memory| memory.heap_end as f64 - memory.heap_start as f64);
    "server.heap_growth_bytes", "bytes", Counts, Total, Less, "growth of what the server holds in the window",
        |t| t.server_memory.map(|memory| memory.heap_to as f64 - memory.heap_from as f64);
];

fn p50(histogram: Option<&Histogram>) -> Option<f64> {
    histogram?.p50_us
}

fn p99(histogram: Option<&Histogram>) -> Option<f64> {
    histogram?.p99_us
}

fn client_seconds(trial: &Trial) -> Option<f64> {
    let seconds = trial.clients.connected as f64 * trial.window_s;
    (seconds > 0.0).then_some(seconds)
}

fn bytes_per_client_second(trial: &Trial) -> Option<f64> {
    Some(both_ways(trial, |layers| layers.socket_total) as f64 / client_seconds(trial)?)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn per_second(trial: &Trial, value: f64) -> Option<f64> {
    ratio(value, trial.window_s)
}

fn both_ways(trial: &Trial, layer: fn(&Layers) -> u64) -> u64 {
    layer(&trial.bytes.received) + layer(&trial.bytes.sent)
}

/// What went through the sockets and the heads of the packets that carried it; `None` where the kernel did not count them.
fn with_packet_heads(trial: &Trial) -> Option<u64> {
    let quic = trial.bytes.quic.as_ref().map(|quic| quic.udp_ip_estimate);
    Some(both_ways(trial, |layers| layers.socket_total) + trial.bytes.tcp_ip_estimate.or(quic)?)
}

/// Divided by receptions in the window, as everything per update is.
fn per_update(trial: &Trial, value: u64) -> Option<f64> {
    let received = trial.updates.received_in_window;
    (received > 0).then(|| value as f64 / received as f64)
}

fn layer_per_update(trial: &Trial, layer: fn(&Layers) -> u64) -> Option<f64> {
    per_update(trial, both_ways(trial, layer))
}

fn per_client(trial: &Trial, bytes: u64) -> Option<f64> {
    let clients = trial.clients.connected;
    (clients > 0 && bytes > 0).then(|| bytes as f64 / clients as f64)
}

#[cfg(test)]
mod tests {
    use crate::{
        metrics,
        result::{Bytes, Clients, Layers, Process, Quic, Requests, Trial, Updates},
    };

    /// Ten clients in a window of two seconds.
    fn trial() -> Trial {
        let layers = |payload, transport_framing, headers| Layers {
            payload,
            transport_framing,
            headers,
            socket_total: payload + transport_framing + headers,
            ..Layers::default()
        };
        Trial {
            window_s: 2.0,
            clients: Clients { asked: 10, connected: 10, ..Clients::default() },
            updates: Updates {
                generated: Some(10),
                expected: Some(100),
                delivered_once: 75,
                coalesced: Some(25),
                received_in_window: 80,
                ..Updates::default()
            },
            requests: Some(Requests { sent: 40, useful: 30, empty: 10, useless_share: 0.25 }),
            bytes: Bytes {
                received: layers(8_000, 400, 4_000),
                sent: layers(0, 40, 16_000),
                tcp_ip_estimate: Some(4_000),
                window_segments: Some(100),
                ..Bytes::default()
            },
            server: Process { cpu_seconds: Some(0.5), ..Process::default() },
            ..Trial::default()
        }
    }

    fn read(trial: &Trial, name: &str) -> Option<f64> {
        metrics::find(name).unwrap_or_else(|| panic!("no metric {name}")).of(trial)
    }

    #[test]
    fn rates_and_shares_are_of_the_window() {
        let check = |name, expected| assert_eq!(read(&trial(), name), Some(expected), "{name}");
        check("updates.generated", 10.0);
        check("updates.delivered_share", 0.75);
        check("updates.coalesced_share", 0.25);
        check("updates.received_per_second", 40.0);
        check("requests.empty", 10.0);
        check("requests.per_second", 20.0);
        check("bytes.per_second", 14_220.0);
        check("bytes.received.per_second", 6_200.0);
        check("bytes.sent.per_second", 8_020.0);
        check("bytes.headers_per_second", 10_000.0);
        check("bytes.transport_framing_per_second", 220.0);
        check("bytes.header_overhead_per_second", 10_220.0);
        check("bytes.per_client_second", 1_422.0);
        check("bytes.socket_total_per_update", 355.5);
        check("bytes.sent.headers_per_request", 400.0);
        check("bytes.received.headers_per_request", 100.0);
        check("segments_per_second", 50.0);
        check("bytes.with_packet_heads_per_second", 16_220.0);
        check("bytes.with_packet_heads_per_update", 405.5);
        check("bytes.with_packet_heads_per_client_second", 1_622.0);
        check("server.cpu_seconds_per_second", 0.25);
    }

    #[test]
    fn what_a_trial_cannot_tell_is_none() {
        for metric in metrics::ALL {
            let value = (metric.read)(&Trial::default());
            assert!(value.is_none_or(f64::is_finite), "{}: {value:?}", metric.name);
        }
        let mut trial = trial();
        trial.bytes.tcp_ip_estimate = None;
        assert_eq!(read(&trial, "bytes.with_packet_heads_per_second"), None);
        trial.bytes.quic = Some(Quic { udp_ip_estimate: 1_560, ..Quic::default() });
        assert_eq!(read(&trial, "bytes.with_packet_heads_per_second"), Some(15_000.0));
        trial.requests = None;
        assert_eq!(read(&trial, "bytes.sent.headers_per_request"), None);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = metrics::ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
