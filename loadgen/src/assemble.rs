//! From what workers, server and kernel told to one trial of the result file. Pure: it asks nobody.

mod bytes;

use std::{ops::Range, time::Duration};

use measurement::{
    recorder::Recording,
    result::{
        Clients, ClockReport, Closing, Process, Requests, ScheduleReport, ServerMemory, SlowReaders, Status,
        Trial,
    },
    validity::{self, Machine},
};

use crate::{
    crew::Sizes,
    judged, kernel_memory,
    peers::{self, Lesson},
    plan::VariantPlan,
    process::{Cores, Usage},
    target::stats::Stats,
    trial::{Mark, Marks, Totals},
    worker::{Found, PageTimes},
};

/// The kind of a clock that is a page's.
const PAGE: &str = "page";

/// What the trial knows beside the workers' findings.
pub struct Evidence {
    /// Readings at the edges of the window.
    pub marks: Marks,
    /// The server before its first connection.
    pub before: Option<Usage>,
    /// The server's counters before its first connection.
    pub first_stats: Option<Stats>,
    /// The server when all clients have gone.
    pub after: Option<Usage>,
    /// The whole machine, from before the first connection to after the last.
    pub machine: Machine,
    /// The server's counters after its last connection; `None` if it could not be asked.
    pub last_stats: Option<Stats>,
    /// The window as it was, in nanoseconds after t0.
    pub window_ns: Range<u64>,
    /// Which cores each side ran on.
    pub cores: Cores,
    /// Why the trial did not go to its planned end.
    pub error: Option<String>,
    /// Whether the connections were IPv6.
    pub ipv6: bool,
    /// What was learned of somebody else's feed.
    pub learned: Option<Lesson>,
    /// How many processes each side was.
    pub sizes: Sizes,
    /// What all parts of the trial add up to.
    pub totals: Totals,
}

/// RFC 3339 in UTC, to the millisecond.
pub fn date(unix_ns: u64) -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_nanos(unix_ns);
    humantime::format_rfc3339_millis(time).to_string()
}

/// A trial without figures.
pub fn failed(variant: &VariantPlan, started_at: String, error: String) -> Trial {
    let clients = Clients { asked: u64::from(variant.load.clients), ..Clients::default() };
    Trial { status: Status::Failed, error: Some(error), started_at, clients, ..Trial::default() }
}

/// A trial with its figures and verdict.
pub fn trial(variant: &VariantPlan, started_at: String, found: &Found, evidence: &Evidence) -> Trial {
    let complete = evidence.error.is_none();
    let recording = &found.recording;
    let scheduled = recording.frame().seqs();
    let scheduled = scheduled.end - scheduled.start;
    // A cut window is not the one that the server counts for, and of what clients publish it knows nothing.
    let publishes = complete && variant.workload.server_publishes();
    let counted = evidence.last_stats.as_ref().filter(|_| publishes).map(|stats| stats.published_in_window);
    let window_s = (evidence.window_ns.end - evidence.window_ns.start) as f64 / 1e9;
    let mut trial = Trial {
        status: if complete { Status::Complete } else { Status::Partial },
        error: evidence.error.clone(),
        started_at,
        window_s,
        clients: Clients {
            asked: u64::from(variant.load.clients),
            connected: found.connected,
            disconnected: found.disconnected,
            reconnected: found.reconnected,
        },
        updates: recording.updates(counted.unwrap_or(scheduled)),
        schedule: ScheduleReport {
            wanted_per_second: scheduled as f64 / window_s,
            achieved_per_second: counted.unwrap_or(scheduled) as f64 / window_s,
            late_polls: recording.sums.counts.late_polls,
            dropped_polls: 0,
        },
        requests: requests(recording),
        bytes: bytes::bytes(variant, found, evidence),
        ..Trial::default()
    };
    delays(&mut trial, recording);
    if let Some(lesson) = &evidence.learned {
        peers::withhold(&mut trial, lesson);
    }
    if let Some(times) = &found.page {
        of_pages(&mut trial, times);
    }
    if variant.workload.clients_publish() {
        of_clients(&mut trial, variant, recording);
    }
    if variant.workload.has_rooms() {
        trial.publisher_lag = None;
        trial
            .unavailable
            .insert("publisher_lag".to_owned(), "the members publish, see action_lag".to_owned());
    }
    trial.shared_server = evidence.totals.shared();
    trial.closing = closing(found);
    trial.slow_readers = slow_readers(found, evidence.last_stats.as_ref());
    cost(&mut trial, found, evidence);
    trial.server_memory = server_memory(evidence);
    explain_nulls(&mut trial, evidence);
    trial.sockets = judged::sockets(found, evidence.last_stats.as_ref());
    let judged = judged::evidence(
        found,
        evidence,
        variant,
        scheduled,
        bytes::Phases::of(variant, found, evidence).unbalanced,
    );
    validity::judge(&mut trial, &judged);
    trial
}

fn delays(trial: &mut Trial, recording: &Recording) {
    let sums = &recording.sums;
    let distinct = recording.distinct_events();
    let polls = sums.response.count();
    trial.delivery_delay = sums.delay.finish(distinct);
    trial.publisher_lag = recording.publisher_lag();
    trial.transit = sums.transit.finish(distinct);
    trial.reflection_delay = sums.reflection.finish(distinct);
    trial.inter_arrival = sums.inter_arrival.finish(distinct);
    trial.response_time = sums.response.finish(polls);
    trial.action_lag = sums.action_lag.finish(sums.action_lag.count());
    trial.reconnect = sums.reconnect.finish(sums.reconnect.count());
    trial.reconnect_to_fresh = sums.fresh.finish(sums.fresh.count());
    trial.rearm_gap = sums.rearm.finish(sums.rearm.count());
    trial.connect = sums.connect.finish(sums.connect.count());
    trial.first_update = sums.first_update.finish(sums.first_update.count());
    trial.per_symbol = sums.staleness.per_symbol(distinct);
    trial.whole_screen = sums.staleness.whole_screen(distinct);
    trial.fairness = recording.fairness();
    trial.series = sums.series.finish();
    trial.trace = recording.trace();
}

/// Instants that pages told are as good as their clocks are known: what is not much longer than that is not told.
fn of_pages(trial: &mut Trial, times: &PageTimes) {
    let clock = ClockReport {
        kind: PAGE.to_owned(),
        error_us: times.error_ns / 1e3,
        samples: times.exchanges,
        ..ClockReport::default()
    };
    peers::refuse_percentiles(trial, clock.error_us);
    trial.clock = Some(clock);
}

/// What clients published themselves: the server's figures are none, and nobody sees a price too late.
fn of_clients(trial: &mut Trial, variant: &VariantPlan, recording: &Recording) {
    (trial.per_symbol, trial.whole_screen, trial.reflection_delay) = (None, None, None);
    (trial.trace, trial.first_update, trial.publisher_lag) = (None, None, None);
    trial.updates.generated = None;
    let sent = recording.sums.action_lag.count() as f64;
    trial.schedule.achieved_per_second = sent / f64::from(variant.load.clients) / trial.window_s;
    let screens = ["per_symbol", "whole_screen", "reflection_delay", "trace", "first_update"];
    let server = ["publisher_lag", "updates.generated"];
    for (fields, why) in [
        (screens.as_slice(), "the clients publish, and get back what they said themselves"),
        (&server, "the clients publish, see action_lag"),
    ] {
        for field in fields {
            trial.unavailable.insert((*field).to_owned(), why.to_owned());
        }
    }
}

/// What the server held, where it tells and was there to the end.
fn server_memory(evidence: &Evidence) -> Option<ServerMemory> {
    let held = |mark: &Option<Mark>| Some(mark.as_ref()?.stats.as_ref()?.heap.held());
    Some(ServerMemory {
        heap_start: evidence.first_stats.as_ref()?.heap.held(),
        heap_from: held(&evidence.marks.from)?,
        heap_to: held(&evidence.marks.to)?,
        heap_end: evidence.last_stats.as_ref()?.heap.held(),
        rss_start: evidence.before.as_ref()?.rss_bytes,
        rss_end: evidence.after.as_ref()?.rss_bytes,
    })
}

/// What slow readers had of what was published: where they stand is known of each only as a sum.
fn slow_readers(found: &Found, last: Option<&Stats>) -> Option<SlowReaders> {
    let slow = found.slow;
    let published = last?.published * slow.clients;
    (slow.clients > 0).then(|| SlowReaders {
        expected: published.saturating_sub(slow.expected),
        pending: published.saturating_sub(slow.pending),
        ..slow
    })
}

/// Connections with a close handshake tell how they ended.
fn closing(found: &Found) -> Option<Closing> {
    let handshake = &found.recording.sums.close;
    let codes = found.closes.iter().map(|(code, count)| (code.to_string(), *count)).collect();
    (!found.closes.is_empty()).then(|| Closing { codes, handshake: handshake.finish(handshake.count()) })
}

fn requests(recording: &Recording) -> Option<Requests> {
    let counts = &recording.sums.counts;
    (counts.requests > 0).then(|| Requests {
        sent: counts.requests,
        useful: counts.useful,
        empty: counts.requests - counts.useful,
        useless_share: (counts.requests - counts.useful) as f64 / counts.requests as f64,
    })
}

/// Both processes are those of all parts: what they cost is divided by what all parts received.
fn cost(trial: &mut Trial, found: &Found, evidence: &Evidence) {
    let received = evidence.totals.received_in_window as f64;
    let per_update = |value: f64| (received > 0.0).then(|| value / received);
    let own = trial.updates.received_in_window as f64;
    let per_own_update = |value: f64| (own > 0.0).then(|| value / own);
    let (Some(from), Some(to)) = (&evidence.marks.from, &evidence.marks.to) else { return };
    let clients = evidence.totals.connected.max(1) as f64;
    let window_ns = (to.at_ns - from.at_ns) as f64;
    let process = |from: &Usage, to: &Usage, cores: &[u32], processes: u32| {
        let cpu_seconds = to.cpu_ns.saturating_sub(from.cpu_ns) as f64 / 1e9;
        let switches = to.voluntary_switches.saturating_sub(from.voluntary_switches);
        let delay_ns = to.run_delay_ns.saturating_sub(from.run_delay_ns) as f64;
        Process {
            cpu_seconds: Some(cpu_seconds),
            cpu_us_per_update: per_update(cpu_seconds * 1e6),
            rss_bytes: Some(to.rss_bytes),
            rss_peak_bytes: Some(to.rss_peak_bytes),
            voluntary_switches_per_update: per_update(switches as f64),
            run_delay_share: Some(delay_ns / window_ns / cores.len().max(1) as f64),
            cores: cores.to_vec(),
            processes: Some(u64::from(processes)),
            ..Process::default()
        }
    };
    if let (Some(first), Some(last)) = (&from.server, &to.server) {
        let mut server = process(first, last, &evidence.cores.server, evidence.sizes.servers);
        server.publisher_cpu_seconds =
            Some(last.publisher_cpu_ns.saturating_sub(first.publisher_cpu_ns) as f64 / 1e9);
        let idle = evidence.before.as_ref();
        server.rss_per_client_bytes =
            idle.map(|idle| last.rss_bytes.saturating_sub(idle.rss_bytes) as f64 / clients);
        if let (Some(first), Some(last)) = (from.syscalls, to.syscalls) {
            server.syscalls_per_update = per_update(last.saturating_sub(first) as f64);
        }
        if let (Some(first), Some(last)) = (&from.stats, &to.stats) {
            let calls = |stats: &Stats| stats.bytes.read_calls + stats.bytes.write_calls;
            server.socket_calls_per_update =
                trial.bytes.quic.is_none().then(|| per_update((calls(last) - calls(first)) as f64)).flatten();
            server.allocations_per_update = per_update((last.heap.count - first.heap.count) as f64);
            server.allocated_bytes_per_update = per_update((last.heap.bytes - first.heap.bytes) as f64);
        }
        trial.server = server;
    }
    if let (Some(first), Some(last)) = (&from.loadgen, &to.loadgen) {
        let mut loadgen = process(first, last, &evidence.cores.loadgen, evidence.sizes.generators.max(1));
        let fresh = evidence.marks.fresh_loadgen.as_ref();
        loadgen.rss_per_client_bytes =
            fresh.map(|fresh| last.rss_bytes.saturating_sub(fresh.rss_bytes) as f64 / clients);
        loadgen.socket_calls_per_update =
            if found.books.calls > 0 { per_own_update(found.books.calls as f64) } else { None };
        trial.loadgen = loadgen;
    }
}

fn explain_nulls(trial: &mut Trial, evidence: &Evidence) {
    let mut because = |field: &str, reason: &str| {
        trial.unavailable.insert(field.to_owned(), reason.to_owned());
    };
    because("floor", "no floor test was run beside this trial");
    if trial.reconnect_to_fresh.is_none() {
        because("reconnect_to_fresh", "no connection was cut on purpose");
    }
    because("loadgen.allocations_per_update", "only the server's heap is watched");
    if let Some(why) = &evidence.marks.uncounted {
        because("server.syscalls_per_update", why);
    }
    because("loadgen.publisher_cpu_seconds", "the publisher is a thread of the server");
    if trial.clock.as_ref().is_some_and(|clock| clock.kind == PAGE) {
        trial.loadgen.socket_calls_per_update = None;
        because("loadgen.socket_calls_per_update", "a browser does not tell its calls");
    }
    if trial.loadgen.rss_per_client_bytes.is_none() {
        let why = "earlier trials of the same process leave memory behind: write load.processes = 1";
        because("loadgen.rss_per_client_bytes", why);
    }
    let [before, after] = evidence.marks.kernel;
    match kernel_memory::growth(before, after, evidence.totals.connected) {
        Ok(memory) => trial.kernel_memory = Some(memory),
        Err(why) => because("kernel_memory", why),
    }
    if evidence.marks.to.is_none() {
        because("server", "the window ended before the second reading");
        because("loadgen", "the window ended before the second reading");
    }
    if evidence.marks.to.is_some() && trial.server.cpu_seconds.is_none() {
        because("server", "the server's process is not known: no command and no pid, or it has gone");
    }
    if trial.server.allocations_per_update.is_none() {
        because("server.allocations_per_update", "the server does not tell what it asks the heap for");
    }
    if trial.bytes.steady.is_none() {
        because("bytes.steady", "fields are compressed or sealed, or the connections are not ours to count");
    }
    if trial.rearm_gap.is_none() {
        because("rearm_gap", "the clients do not ask again at once");
    }
    if trial.server_memory.is_none() {
        because("server_memory", "the server does not tell, or did not live to the end");
    }
    if trial.closing.is_none() {
        because("closing", "the transport has no close handshake of its own");
    }
    if trial.requests.is_none() {
        trial
            .unavailable
            .insert("requests".to_owned(), "the clients made no requests in the window".to_owned());
        trial
            .unavailable
            .insert("response_time".to_owned(), "the clients made no requests in the window".to_owned());
    }
    let mut because = |field: &str, reason: &str| {
        trial.unavailable.insert(field.to_owned(), reason.to_owned());
    };
    if trial.bytes.quic.is_some() {
        for field in ["bytes.kernel", "bytes.tcp_ip_estimate", "bytes.window_segments"] {
            because(field, "UDP has no TCP_INFO: bytes.quic holds what both ends of QUIC counted");
        }
        for field in ["server.socket_calls_per_update", "loadgen.socket_calls_per_update"] {
            because(field, "a call moves several datagrams, of several sessions");
        }
    } else if trial.bytes.tcp_ip_estimate.is_none() {
        for field in ["bytes.tcp_ip_estimate", "bytes.window_segments"] {
            because(field, "TCP_INFO was not told for the clients' sockets");
        }
    }
}
