//! Delays and staleness: what noise, an overloaded generator or a socket option can void, or blur in one percentile.

use super::{Entry, Evidence, Findings};
use crate::{
    result::{Class, Histogram, Process, Severity, Trial},
    trend,
};

/// The generator's lag may be this much whatever the delays are.
const LAG_FLOOR_US: f64 = 500.0;
/// Share of a delay that a lag may be.
const LAG_SHARE: f64 = 0.1;
/// Share of the delay's p99 that the event loop's own p99 may be.
const PROBE_SHARE: f64 = 0.2;
/// Share of its cores that the generator may use.
const CPU_SHARE: f64 = 0.7;
/// Share of the window that may be lost (waiting, stolen) before that share of the tail is in doubt.
const LOST_SHARE: f64 = 0.02;
/// The same, before everything timed is in doubt.
const LOST_SHARE_INVALID: f64 = 0.1;
/// Share of the window in which something may wait for a processor, and for memory.
const PRESSURE_SHARES: (f64, f64) = (0.1, 0.01);
/// Retransmissions up to this many, or this share of our segments, are isolated ones.
const ISOLATED: (u64, f64) = (3, 0.001);
/// What both ends are set to.
const CONGESTION_CONTROL: &str = "cubic";
/// A delay is resolved from this many times the floor on.
const FLOOR_FACTOR: f64 = 3.0;
/// Chance below which a trend is told.
const TREND_CHANCE: f64 = 0.01;

type Percentile = (&'static str, f64, fn(&Histogram) -> Option<f64>);

const PERCENTILES: [Percentile; 4] = [
    ("p50", 0.5, |h| h.p50_us),
    ("p90", 0.9, |h| h.p90_us),
    ("p99", 0.99, |h| h.p99_us),
    ("p999", 0.999, |h| h.p999_us),
];

/// Options, drops and retransmissions of our own sockets.
pub(super) fn sockets(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    options(findings, trial);
    if evidence.listen_drops > 0 {
        findings.invalid(
            "server.listen_drops",
            Class::Timing,
            (
                "The server's accept queue was full: the kernel dropped connections, which come again a second later.",
                evidence.listen_drops.to_string(),
            ),
            "0",
            "Raise load.connect_over or the sysctl net.core.somaxconn.",
        );
    }
    let kernel = &trial.bytes.kernel;
    let retransmitted = kernel.retransmitted + evidence.server_retransmitted;
    if retransmitted > 0 {
        let segments = kernel.segments_in + kernel.segments_out;
        let isolated = evidence.emulated
            || retransmitted <= ISOLATED.0
            || (retransmitted as f64) <= ISOLATED.1 * segments as f64;
        findings.add(Entry {
            code: "kernel.retransmitted",
            class: Class::Timing,
            severity: if isolated { Severity::Note } else { Severity::Invalid },
            message: "Segments of our connections were sent again; delays hold retransmission timeouts.".to_owned(),
            figure: format!("{retransmitted} of {segments} segments"),
            limit: if isolated { "0" } else { "3 and 0.1 %" },
            advice: if evidence.emulated {
                "They are not in the byte ledger. The emulated network loses or delays what is sent again."
            } else {
                "They are not in the byte ledger. On a loopback they mean full buffers or a starved kernel: lower the load."
            },
        });
    }
}

/// Both ends are held to TCP_NODELAY and to one congestion control.
fn options(findings: &mut Findings, trial: &Trial) {
    let ends = [("server", &trial.sockets.server), ("client", &trial.sockets.clients)];
    let told = ends.into_iter().filter_map(|(end, options)| Some((end, options.as_ref()?)));
    let slow: Vec<&str> = told.clone().filter(|(_, options)| !options.nodelay).map(|(end, _)| end).collect();
    if !slow.is_empty() {
        findings.invalid(
            "sockets.nodelay",
            Class::Timing,
            (
                "Sockets lacked TCP_NODELAY: Nagle's algorithm holds small messages back for some 40 ms.",
                slow.join(", "),
            ),
            "every socket of both ends",
            "Set TCP_NODELAY on every accepted and connected socket.",
        );
    }
    let others = told.filter_map(|(end, options)| Some((end, options.congestion_control.as_ref()?)));
    let others: Vec<String> = others
        .filter(|(_, name)| *name != CONGESTION_CONTROL)
        .map(|(end, name)| format!("{end}: {name}"))
        .collect();
    if !others.is_empty() {
        findings.note(
            "sockets.congestion_control",
            Class::Timing,
            ("The congestion control in force is not the stated one.", others.join("; ")),
            CONGESTION_CONTROL,
            "Load the kernel module tcp_cubic; compare only with runs under the same congestion control.",
        );
    }
}

/// What the load generator did to itself.
pub(super) fn generator(findings: &mut Findings, trial: &mut Trial, evidence: &Evidence) {
    if evidence.clipped > 0 {
        findings.invalid(
            "histogram.clipped",
            Class::Timing,
            ("Durations were longer than the histograms hold.", format!("{}", evidence.clipped)),
            "0",
            "The longest duration is 20 minutes; something hung.",
        );
    }
    let Process { cpu_seconds, run_delay_share, .. } = &trial.loadgen;
    let share = cpu_seconds.map(|cpu| cpu / (trial.window_s * evidence.loadgen_cores.max(1) as f64));
    if let Some(share) = share.filter(|&share| share > CPU_SHARE) {
        findings.invalid(
            "loadgen.cpu",
            Class::Timing,
            (
                "The load generator was overloaded: it measured itself.",
                format!("{:.0} % of its cores", share * 100.0),
            ),
            "70 %",
            "Lower load.clients or feed.updates_per_second, or use a machine with more cores.",
        );
        findings.voids_cost();
    }
    if let Some(share) = *run_delay_share {
        lost_time(
            findings,
            trial,
            share,
            (
                "loadgen.run_delay",
                "The load generator waited for a processor.",
                "Something else uses the machine: stop it, or measure on a machine with more cores.",
            ),
        );
    }
}

/// What the machine did to both sides.
pub(super) fn machine(findings: &mut Findings, trial: &mut Trial, evidence: &Evidence) {
    let Some(machine) = evidence.machine else { return };
    if let Some(share) = machine.steal_share {
        lost_time(
            findings,
            trial,
            share,
            (
                "machine.steal",
                "The host took processor time away from this virtual machine.",
                "Measure at a quieter time or on a machine of your own.",
            ),
        );
    }
    if machine.oom_kills > 0 {
        findings.invalid(
            "machine.oom_kills",
            Class::Timing,
            ("The kernel killed processes for want of memory.", machine.oom_kills.to_string()),
            "0",
            "Lower load.clients or give the machine more memory.",
        );
        findings.voids_cost();
    }
    let (cpu, memory) =
        (machine.cpu_pressure_share.unwrap_or(0.0), machine.memory_pressure_share.unwrap_or(0.0));
    if cpu > PRESSURE_SHARES.0 || memory > PRESSURE_SHARES.1 {
        findings.note(
            "machine.pressure",
            Class::Timing,
            (
                "Programs of this machine, ours among them, had to wait.",
                format!(
                    "for a processor {:.0} %, for memory {:.1} % of the window",
                    cpu * 100.0,
                    memory * 100.0
                ),
            ),
            "10 %, 1 %",
            "What the waiting did to the generator is judged apart (loadgen.run_delay).",
        );
    }
}

/// Time that was lost to the generator: a share of the window, and so of the tail.
fn lost_time(
    findings: &mut Findings,
    trial: &mut Trial,
    share: f64,
    (code, message, advice): (&str, &str, &str),
) {
    if share <= LOST_SHARE {
        return;
    }
    let invalid = share > LOST_SHARE_INVALID;
    findings.add(Entry {
        code,
        class: Class::Timing,
        severity: if invalid { Severity::Invalid } else { Severity::Unresolved },
        message: message.to_owned(),
        figure: format!("{:.1} % of the window", share * 100.0),
        limit: if invalid { "10 %" } else { "2 %" },
        advice,
    });
    if invalid {
        findings.voids_cost();
    }
    // A receipt that waited as long as the worst share of the time lies in that share of the tail.
    let doubtful = PERCENTILES.iter().filter(|(_, q, _)| 1.0 - q < share);
    for (name, _, _) in doubtful {
        let histograms = [
            &mut trial.delivery_delay,
            &mut trial.transit,
            &mut trial.reflection_delay,
            &mut trial.response_time,
        ];
        histograms.into_iter().flatten().for_each(|histogram| leave_unresolved(histogram, name));
    }
}

fn leave_unresolved(histogram: &mut Histogram, percentile: &str) {
    if !histogram.unresolved.iter().any(|known| known == percentile) {
        histogram.unresolved.push(percentile.to_owned());
    }
}

/// The generator's and the publisher's lag against the delivery delay, at the median and at each percentile.
pub(super) fn lags(findings: &mut Findings, trial: &mut Trial) {
    let Some(delay) = &mut trial.delivery_delay else { return };
    let lags = [
        (
            "loadgen.lag",
            "The load generator acted late",
            "Use fewer clients, or a quieter machine.",
            &trial.action_lag,
        ),
        (
            "publisher.lag",
            "The server published late",
            "Use a quieter machine; the server's own stall is in this.",
            &trial.publisher_lag,
        ),
    ];
    for (code, what, advice, lag) in lags {
        let Some(lag) = lag else { continue };
        for (quantile, _, read) in PERCENTILES {
            let (Some(late), Some(delayed)) = (read(lag), read(delay)) else { continue };
            let limit = LAG_FLOOR_US.max(LAG_SHARE * delayed);
            if late <= limit {
                continue;
            }
            let median = quantile == "p50";
            if !median {
                leave_unresolved(delay, quantile);
            }
            findings.add(Entry {
                code: &format!("{code}.{quantile}"),
                class: Class::Timing,
                severity: if median { Severity::Invalid } else { Severity::Unresolved },
                message: format!("{what}, at {quantile}."),
                figure: format!("{late:.0} µs at a delay of {delayed:.0} µs"),
                limit: &format!("{limit:.0} µs"),
                advice,
            });
        }
    }
    probe(findings, delay, trial.action_lag.as_ref());
    publisher_tail(findings, delay, trial.publisher_lag.as_ref());
}

/// The event loop's own lateness. Where clients poll, their polls are the probe: they wait in the same loop.
fn probe(findings: &mut Findings, delay: &mut Histogram, lag: Option<&Histogram>) {
    let (Some(late), Some(delayed)) = (lag.and_then(|lag| lag.p99_us), delay.p99_us) else { return };
    let said = findings.0.iter().any(|finding| finding.code == "loadgen.lag.p99");
    if said || late <= PROBE_SHARE * delayed {
        return;
    }
    leave_unresolved(delay, "p99");
    findings.add(Entry {
        code: "loadgen.probe.p99",
        class: Class::Timing,
        severity: Severity::Unresolved,
        message: "The generator's event loop is itself a good part of the delay, at p99.".to_owned(),
        figure: format!("{late:.0} µs at a delay of {delayed:.0} µs"),
        limit: &format!("{:.0} µs", PROBE_SHARE * delayed),
        advice: "Such short delays need a quieter machine or fewer clients for each core of the generator.",
    });
}

fn publisher_tail(findings: &mut Findings, delay: &mut Histogram, lag: Option<&Histogram>) {
    let (Some(late), Some(median)) = (lag.and_then(|lag| lag.p999_us), delay.p50_us) else { return };
    let limit = LAG_FLOOR_US.max(LAG_SHARE * median);
    if late <= limit {
        return;
    }
    leave_unresolved(delay, "p999");
    findings.add(Entry {
        code: "publisher.tail",
        class: Class::Timing,
        severity: Severity::Unresolved,
        message: "One quote in a thousand was published late by a good part of the median delay.".to_owned(),
        figure: format!("{late:.0} µs at a median of {median:.0} µs"),
        limit: &format!("{limit:.0} µs"),
        advice: "Use a quieter machine; the server's own stall is in this.",
    });
}

/// Whether the window's tenths look alike.
pub(super) fn steady_state(findings: &mut Findings, evidence: &Evidence) {
    let medians = &evidence.slices_us;
    let (Some(first), Some(last), Some(trend)) = (medians.first(), medians.last(), trend::kendall(medians))
    else {
        return;
    };
    if trend.p >= TREND_CHANCE {
        return;
    }
    let slices = medians.len();
    findings.note(
        "window.trend",
        Class::Timing,
        (
            "The delay rose or fell all through the window: no steady state, or a queue that grows.",
            format!("median from {first:.0} µs to {last:.0} µs over {slices} slices, p = {:.4}", trend.p),
        ),
        "p ≥ 0.01",
        "Raise load.warmup. One trial in a hundred says so by chance.",
    );
}

/// Delays against the smallest that the same workers can tell, from a raw loopback connection.
pub(super) fn floor(findings: &mut Findings, trial: &mut Trial) {
    let Some(floor) = &trial.floor else {
        let reason = trial.unavailable.get("floor").cloned().unwrap_or_default();
        findings.note(
            "floor.missing",
            Class::Timing,
            ("The floor test could not be run.", reason),
            "one for each number of clients",
            "Small delays may be the machine's own.",
        );
        return;
    };
    let Some(delay) = &mut trial.delivery_delay else { return };
    for (quantile, _, read) in PERCENTILES {
        let (Some(least), Some(delayed)) = (read(floor), read(delay)) else { continue };
        if delayed >= FLOOR_FACTOR * least {
            continue;
        }
        leave_unresolved(delay, quantile);
        findings.add(Entry {
            code: &format!("floor.{quantile}"),
            class: Class::Timing,
            severity: Severity::Unresolved,
            message: format!("The delay is below what this machine resolves, at {quantile}."),
            figure: format!("{delayed:.0} µs at a floor of {least:.0} µs"),
            limit: &format!("{:.0} µs", FLOOR_FACTOR * least),
            advice: "Take it as \"at most\"; a quieter machine resolves more.",
        });
    }
}
