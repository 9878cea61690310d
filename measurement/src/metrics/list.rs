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
    "rearm_gap.p50", "us", Timing, Timed, Less, "from a held answer to the client's next question", |t| p50(t.rearm_gap.as_ref());
    "closing.handshake.p50", "us", Timing, Timed, Less, "from the client's close frame to the server's",
        |t| p50(t.closing.as_ref()?.handshake.as_ref());
    "first_update.p50", "us", Timing, Timed, Less, "from the established stream to the first update", |t| p50(t.first_update.as_ref());
    "fairness.jain", "", Timing, Timed, More, "1 when all clients wait equally long", |t| Some(t.fairness.as_ref()?.jain);
    "updates.expected", "count", Counts, Constant, More, "updates due in the window, over all clients", |t| Some(t.updates.expected? as f64);
    "updates.delivered_once", "count", Counts, Total, More, "of them, received", |t| Some(t.updates.delivered_once as f64);
    "updates.coalesced", "count", Counts, Total, Less, "of them, replaced by a newer one by design", |t| Some(t.updates.coalesced? as f64);
    "updates.lost", "count", Counts, Constant, Less, "of them, never received", |t| Some(t.updates.lost? as f64);
    "updates.duplicated", "count", Counts, Constant, Less, "receptions beyond the first", |t| Some(t.updates.duplicated? as f64);
    "clients.disconnected", "count", Counts, Constant, Less, "connections lost unexpectedly", |t| Some(t.clients.disconnected as f64);
    "requests.sent", "count", Counts, Total, Less, "requests of the window", |t| Some(t.requests?.sent as f64);
    "requests.per_update", "count", Counts, Total, Less, "requests of the window per received update", |t| per_update(t, t.requests?.sent);
    "requests.useless_share", "share", Counts, Total, Less, "requests that brought nothing new", |t| Some(t.requests?.useless_share);
    "bytes.received.socket_total", "bytes", Bytes, Total, Less, "server to client, measure phase", |t| Some(t.bytes.received.socket_total as f64);
    "bytes.sent.socket_total", "bytes", Bytes, Total, Less, "client to server, measure phase", |t| Some(t.bytes.sent.socket_total as f64);
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
    "server.cpu_seconds", "s", Cost, Timed, Less, "processor time of the server in the window", |t| t.server.cpu_seconds;
    "server.cpu_us_per_update", "us", Cost, Timed, Less, "the same per received update", |t| t.server.cpu_us_per_update;
    "server.cpu_seconds_per_client_second", "", Cost, Timed, Less, "cores the server needs for each client",
        |t| Some(t.server.cpu_seconds? / client_seconds(t)?);
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
    let bytes = trial.bytes.received.socket_total + trial.bytes.sent.socket_total;
    Some(bytes as f64 / client_seconds(trial)?)
}

/// Divided by receptions in the window, as everything per update is.
fn per_update(trial: &Trial, value: u64) -> Option<f64> {
    let received = trial.updates.received_in_window;
    (received > 0).then(|| value as f64 / received as f64)
}

fn layer_per_update(trial: &Trial, layer: fn(&Layers) -> u64) -> Option<f64> {
    per_update(trial, layer(&trial.bytes.received) + layer(&trial.bytes.sent))
}

fn per_client(trial: &Trial, bytes: u64) -> Option<f64> {
    let clients = trial.clients.connected;
    (clients > 0 && bytes > 0).then(|| bytes as f64 / clients as f64)
}
