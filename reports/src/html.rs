//! The page: one self-contained file, from the overview, the plots and the result's own counts.
//!
//! askama escapes every text; only the drawings, whose labels are escaped where they are made, go in as they are.

use askama::Template;
use measurement::result::{Histogram, Layers, RunResult, Status, Trial, Variant};
use serde_json::Value;

use crate::{
    ReportError, format,
    overview::{self, COLUMNS, Column, NOT_DECIDED, Overview},
    plots::{Plot, Table},
    terminal,
};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    result: &'a RunResult,
    overview: Overview,
    columns: &'a [Column],
    not_decided: &'static str,
    findings: Vec<String>,
    plots: &'a [Plot],
    tables: Vec<Section>,
    manifest: Vec<(&'static str, Table)>,
    plan: String,
}

/// A table with its heading and a word on how to read it.
struct Section {
    title: &'static str,
    caption: &'static str,
    table: Table,
}

/// The whole page.
pub(crate) fn page(result: &RunResult, plots: &[Plot]) -> Result<String, ReportError> {
    let page = Page {
        result,
        overview: overview::overview(result),
        columns: &COLUMNS,
        not_decided: NOT_DECIDED,
        findings: terminal::findings(result).into_iter().map(|(_, text)| text).collect(),
        plots,
        tables: vec![
            bytes(result),
            updates(result),
            delays(result),
            requests(result),
            cost(result),
            trials(result),
        ],
        manifest: manifest(result),
        plan: serde_json::to_string_pretty(&result.scenario.plan).unwrap_or_default(),
    };
    Ok(page.render()?)
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { head: head.iter().map(|&title| title.to_owned()).collect(), rows }
}

/// Rows of every trial: the variant's name, the trial's number, then what `cells` says.
fn per_trial(
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
            updates.delivered_once,
            updates.coalesced,
            updates.lost,
            updates.pending_at_end,
            updates.duplicated,
            updates.reordered,
            updates.snapshot,
        ];
        (trial.status != Status::Failed).then(|| figures.into_iter().map(format::count).collect())
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
        "fairness (Jain)",
    ];
    let p50 = |histogram: &Option<Histogram>| figure(histogram.as_ref(), |h| h.p50_us);
    let cells = |_: &Variant, trial: &Trial| {
        let delivery = trial.delivery_delay.as_ref()?;
        let resolved = |name: &str, value: Option<f64>| {
            let value = value.filter(|_| !delivery.unresolved.iter().any(|known| known == name));
            format::or_none(value, format::duration)
        };
        Some(vec![
            p50(&trial.publisher_lag),
            p50(&trial.transit),
            resolved("p50", delivery.p50_us),
            resolved("p90", delivery.p90_us),
            resolved("p99", delivery.p99_us),
            figure(Some(delivery), |h| h.max_us),
            p50(&trial.action_lag),
            format::or_none(trial.fairness, |fairness| format!("{:.3}", fairness.jain)),
        ])
    };
    Section {
        title: "Where the delay comes from",
        caption: "Delivery delay counts from the scheduled instant: a server that publishes late shows it here. A dash \
                  is a percentile without ten distinct events above it, or one that the generator's own lag hides.",
        table: table(&head, per_trial(result, cells)),
    }
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
            figure(trial.response_time.as_ref(), |h| h.p50_us),
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
        "server memory",
        "generator CPU (s)",
        "generator waited",
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
            format::or_none(server.rss_bytes, |bytes| format::bytes(bytes as f64)),
            seconds(loadgen.cpu_seconds),
            format::or_none(loadgen.run_delay_share, format::share),
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

fn manifest(result: &RunResult) -> Vec<(&'static str, Table)> {
    let manifest = &result.manifest;
    [
        ("Must match in any comparison", &manifest.must_match),
        ("Must match where times and cost are compared", &manifest.timed_must_match),
        ("Recorded", &manifest.recorded),
    ]
    .map(|(title, facts)| {
        let text = |value: &Value| match value {
            Value::Null => format::NONE.to_owned(),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        let rows = facts.iter().map(|(key, value)| vec![key.clone(), text(value)]).collect();
        (title, table(&["fact", "value"], rows))
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plots, testing};

    fn rendered(result: &RunResult) -> String {
        page(result, &plots::all(result).unwrap()).unwrap()
    }

    #[test]
    fn the_page_loads_nothing_from_anywhere() {
        let html = rendered(&testing::result()).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=\"", "<link", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_text_of_the_result_is_escaped() {
        let html = rendered(&testing::result());
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "not escaped");
        assert!(html.matches("alert(1)").count() > 5);
    }

    #[test]
    fn what_was_asked_is_on_the_page_in_order() {
        let html = rendered(&testing::result());
        let mut from = 0;
        for part in [
            "<h1>Stock ticker",
            "On loopback",
            "price wrong",
            "server CPU per 1,000 users",
            "Which is best?",
            "Traffic that goes both ways",
            "The load generator was overloaded",
            "Delivery delay by percentile",
            "Every byte by layer",
            "loadgen run ticker",
        ] {
            let at = html[from..].find(part);
            assert!(at.is_some(), "{part} is missing or out of order");
            from += at.unwrap();
        }
    }

    #[test]
    fn a_partial_run_says_so_first() {
        let html = rendered(&testing::without_figures());
        assert!(html.contains("This result is partial: stream, trial 1: no server."));
    }
}
