//! Tables of counts: updates, requests, trials, and what the processes spent.
//!
//! It knows no time of delivery.

use measurement::result::{RunResult, Status, Trial, Variant};

use super::{Section, delays::percentile, per_trial, table};
use crate::format;

/// Every update accounted for.
pub(in crate::html) fn updates(result: &RunResult) -> Section {
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

/// Requests of variants whose clients ask.
pub(in crate::html) fn requests(result: &RunResult) -> Section {
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

/// What both processes spent.
pub(in crate::html) fn cost(result: &RunResult) -> Section {
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
        "of it a client",
        "generator CPU (s)",
        "generator memory of a client",
        "kernel memory of a client",
        "generator waited",
        "server waited",
    ];
    let seconds = |value: Option<f64>| format::or_none(value, |s| format!("{s:.3}"));
    let figure = |value: Option<f64>| format::or_none(value, format::significant);
    let cells = |_: &Variant, trial: &Trial| {
        let (server, loadgen) = (&trial.server, &trial.loadgen);
        let kernel = trial.kernel_memory.as_ref().map(|memory| memory.bytes_per_client);
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
            format::or_none(server.rss_per_client_bytes, format::bytes),
            seconds(loadgen.cpu_seconds),
            format::or_none(loadgen.rss_per_client_bytes, format::bytes),
            format::or_none(kernel, format::bytes),
            format::or_none(loadgen.run_delay_share, format::share),
            format::or_none(server.run_delay_share, format::share),
        ])
    };
    Section {
        title: "Processor time and memory",
        caption: "Of the measure phase, by the kernel's scheduler statistics. What one side spends is not in the \
                  other's figures: they are processes of their own. What the kernel holds for a client is that of both ends, where \
                  both are on this machine, and in neither side's memory.",
        table: table(&head, per_trial(result, cells)),
    }
}

/// The trials in the order of the run.
pub(in crate::html) fn trials(result: &RunResult) -> Section {
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
