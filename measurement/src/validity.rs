//! What can be trusted: rules of METRICS as findings, each with its class, figure, limit and remedy.
//!
//! A pure function of a trial and of what only the runner saw. Noise voids timing and cost, never counts and bytes.

mod peer;

pub use peer::PeerEvidence;

use crate::result::{Class, Classes, Finding, Histogram, Process, Severity, Trial, Validity, Verdict};

/// The generator's lag may be this much whatever the delays are.
const LAG_FLOOR_US: f64 = 500.0;
/// Share of a delay that a lag may be.
const LAG_SHARE: f64 = 0.1;
/// Share of its cores that the generator may use.
const CPU_SHARE: f64 = 0.7;
/// Share of the window that the generator may wait for a processor before its tails are in doubt.
const RUN_DELAY_SHARE: f64 = 0.02;
/// The same, before everything timed is in doubt.
const RUN_DELAY_SHARE_INVALID: f64 = 0.1;

/// What the runner knows beside the trial's own figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Quotes that the schedule has in the window.
    pub scheduled: u64,
    /// Phases, directions in which layers and socket differ, in words.
    pub unbalanced: Vec<String>,
    /// Client connections compared with the kernel, and those that differ.
    pub client_identity: (u64, u64),
    /// Server connections compared with the kernel, and those that differ.
    pub server_identity: (u64, u64),
    /// Messages whose bytes no decoded message claimed, or the other way round.
    pub unclaimed_messages: u64,
    /// Bytes that the server wrote and that clients received, and the other way round, where both know.
    pub ends: Option<Ends>,
    /// Samples that no histogram could hold.
    pub clipped: u64,
    /// Quotes received that are not in the schedule.
    pub unknown_quotes: u64,
    /// Cores the generator may use.
    pub loadgen_cores: u64,
    /// Connections that the server's listener refused or failed to accept.
    pub refused: u64,
    /// What the first client that failed said.
    pub first_error: Option<String>,
    /// What was learned of somebody else's feed.
    pub peer: Option<PeerEvidence>,
}

/// The two ends' totals over the connections' lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Server's written and clients' read bytes.
    pub down: (u64, u64),
    /// Clients' written and server's read bytes.
    pub up: (u64, u64),
}

/// Judges a trial; marks unresolved percentiles in its histograms.
pub fn judge(trial: &mut Trial, evidence: &Evidence) {
    let mut findings = Findings::default();
    connections(&mut findings, trial, evidence);
    updates(&mut findings, trial, evidence);
    bytes(&mut findings, trial, evidence);
    generator(&mut findings, trial, evidence);
    lags(&mut findings, trial);
    if let Some(evidence) = &evidence.peer {
        peer::judge(&mut findings, trial, evidence);
    }
    trial.validity = findings.verdict();
}

#[derive(Default)]
struct Findings(Vec<Finding>);

struct Entry<'a> {
    code: &'a str,
    class: Class,
    severity: Severity,
    message: String,
    figure: String,
    limit: &'a str,
    advice: &'a str,
}

impl Findings {
    fn add(&mut self, entry: Entry<'_>) {
        self.0.push(Finding {
            code: entry.code.to_owned(),
            class: entry.class,
            severity: entry.severity,
            message: entry.message,
            figure: entry.figure,
            limit: entry.limit.to_owned(),
            advice: entry.advice.to_owned(),
        });
    }

    fn invalid(
        &mut self,
        code: &str,
        class: Class,
        (message, figure): (&str, String),
        limit: &str,
        advice: &str,
    ) {
        let message = message.to_owned();
        self.add(Entry { code, class, severity: Severity::Invalid, message, figure, limit, advice });
    }

    fn note(
        &mut self,
        code: &str,
        class: Class,
        (message, figure): (&str, String),
        limit: &str,
        advice: &str,
    ) {
        let message = message.to_owned();
        self.add(Entry { code, class, severity: Severity::Note, message, figure, limit, advice });
    }

    fn verdict(self) -> Validity {
        let of = |class| {
            let severities =
                self.0.iter().filter(|finding| finding.class == class).map(|finding| finding.severity);
            match severities.max() {
                None | Some(Severity::Note) => Verdict::Ok,
                Some(Severity::Unresolved) => Verdict::Unresolved,
                Some(Severity::Invalid) => Verdict::Invalid,
            }
        };
        let mut classes = Classes {
            counts: of(Class::Counts),
            bytes: of(Class::Bytes),
            timing: of(Class::Timing),
            cost: of(Class::Cost),
        };
        // A count that does not add up says that something unknown happened: nothing stands.
        if self
            .0
            .iter()
            .any(|finding| finding.code.ends_with(".identity") && finding.severity == Severity::Invalid)
        {
            let invalid = Verdict::Invalid;
            classes = Classes { counts: invalid, bytes: invalid, timing: invalid, cost: invalid };
        }
        let valid = [classes.counts, classes.bytes, classes.timing, classes.cost]
            .iter()
            .all(|&v| v < Verdict::Invalid);
        Validity { valid, classes, findings: self.0 }
    }
}

fn connections(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    let clients = &trial.clients;
    if clients.connected != clients.asked {
        findings.invalid(
            "clients.missing",
            Class::Counts,
            (
                "Fewer clients were connected than asked for.",
                format!("{} of {}", clients.connected, clients.asked),
            ),
            "all",
            "Raise load.connect_over, lower load.clients, or see the server's standard error for refusals.",
        );
    }
    if clients.disconnected > 0 {
        findings.invalid(
            "clients.disconnected",
            Class::Counts,
            ("Clients lost their connection unexpectedly.", format!("{}", clients.disconnected)),
            "0",
            "See the server's standard error; a server that died or closed slow readers is the usual cause.",
        );
    }
    if let Some(error) = &evidence.first_error {
        findings.note(
            "clients.error",
            Class::Counts,
            ("A client met an error; this is the first.", error.clone()),
            "none",
            "See what it says; counts of lost connections are beside it.",
        );
    }
    if evidence.refused > 0 {
        findings.invalid(
            "server.refused",
            Class::Counts,
            ("The server's listener refused connections.", format!("{}", evidence.refused)),
            "0",
            "Lower load.clients, or raise the server's limits.",
        );
    }
}

fn updates(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    let updates = &trial.updates;
    if !updates.add_up() {
        findings.invalid(
            "updates.identity",
            Class::Counts,
            (
                "Expected updates are not the sum of delivered, coalesced, lost and pending ones.",
                format!("{updates:?}"),
            ),
            "equal",
            "This is a defect of the load generator: please report it with the result file.",
        );
    }
    if let Some(generated) = updates.generated.filter(|&generated| generated != evidence.scheduled) {
        findings.invalid(
            "schedule.generated",
            Class::Counts,
            (
                "The server published another number of quotes in the window than the schedule has.",
                format!("{generated} against {}", evidence.scheduled),
            ),
            "equal",
            "The server was too slow or died; lower feed.updates_per_second.",
        );
    }
    if evidence.unknown_quotes > 0 {
        findings.invalid(
            "updates.unknown",
            Class::Counts,
            ("Quotes arrived that are not in the schedule.", format!("{}", evidence.unknown_quotes)),
            "0",
            "Server and generator run with different feed settings.",
        );
    }
    if let Some(lost @ 1..) = updates.lost {
        findings.note(
            "updates.lost",
            Class::Counts,
            ("Updates never arrived.", format!("{lost} of {}", updates.expected.unwrap_or_default())),
            "0",
            match &evidence.peer {
                None => "A client that falls out of the server's replay window gets a snapshot instead of what it missed.",
                Some(_) => "Numbers are missing in what the server sent; it dropped updates, or leaves some out for this client.",
            },
        );
    }
    if let Some(pending @ 1..) = updates.pending_at_end {
        findings.note(
            "updates.pending",
            Class::Counts,
            ("Updates had not arrived when the drain ended.", format!("{pending}")),
            "0",
            "They are in no delay histogram; a longer run has a smaller share of them.",
        );
    }
}

fn bytes(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    if !evidence.unbalanced.is_empty() {
        findings.invalid(
            "ledger.identity",
            Class::Bytes,
            (
                "Layers do not add up to the bytes that moved through the sockets.",
                evidence.unbalanced.join("; "),
            ),
            "equal in each phase and direction",
            "This is a defect of a scanner: please report it with the result file.",
        );
    }
    for (code, end, (checked, mismatched)) in [
        ("kernel.client.identity", "client", evidence.client_identity),
        ("kernel.server.identity", "server", evidence.server_identity),
    ] {
        if mismatched > 0 {
            findings.add(Entry {
                code,
                class: Class::Bytes,
                severity: Severity::Invalid,
                message: format!("Bytes counted at the {end}'s sockets differ from the kernel's count."),
                figure: format!("{mismatched} of {checked} connections"),
                limit: "0",
                advice: "This is a defect of the byte counter: please report it with the result file.",
            });
        } else if checked == 0 && trial.clients.connected > 0 && (evidence.peer.is_none() || end == "client")
        {
            findings.add(Entry {
                code: "kernel.unchecked",
                class: Class::Bytes,
                severity: Severity::Note,
                message: format!("No {end} connection could be held against the kernel's count."),
                figure: "0 connections".to_owned(),
                limit: "all",
                advice: "TCP_INFO is told on Linux only, and not where a pooled client owns the socket.",
            });
        }
    }
    if evidence.unclaimed_messages > 0 {
        findings.invalid(
            "ledger.messages.identity",
            Class::Bytes,
            (
                "Messages seen in the byte stream and messages decoded differ in number.",
                format!("{}", evidence.unclaimed_messages),
            ),
            "0",
            "This is a defect of a scanner or a client: please report it with the result file.",
        );
    }
    if let Some(Ends { down, up }) =
        evidence.ends.filter(|ends| ends.down.0 != ends.down.1 || ends.up.0 != ends.up.1)
    {
        findings.invalid(
            "ends.identity",
            Class::Bytes,
            (
                "Server and clients counted different numbers of bytes.",
                format!("down {} against {}, up {} against {}", down.0, down.1, up.0, up.1),
            ),
            "equal",
            "Bytes that one end never read; see whether clients were disconnected.",
        );
    }
    let kernel = &trial.bytes.kernel;
    if kernel.retransmitted > 0 {
        findings.note(
            "kernel.retransmitted",
            Class::Bytes,
            ("Segments were retransmitted.", format!("{}", kernel.retransmitted)),
            "0",
            "They are not in the byte ledger; delays may hold retransmission timeouts.",
        );
    }
}

fn generator(findings: &mut Findings, trial: &mut Trial, evidence: &Evidence) {
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
    }
    let Some(share) = run_delay_share.filter(|&share| share > RUN_DELAY_SHARE) else { return };
    let invalid = share > RUN_DELAY_SHARE_INVALID;
    findings.add(Entry {
        code: "loadgen.run_delay",
        class: Class::Timing,
        severity: if invalid { Severity::Invalid } else { Severity::Unresolved },
        message: "The load generator waited for a processor.".to_owned(),
        figure: format!("{:.1} % of the window", share * 100.0),
        limit: if invalid { "10 %" } else { "2 %" },
        advice: "Something else uses the machine: stop it, or measure on a machine with more cores.",
    });
    if let Some(delay) = &mut trial.delivery_delay {
        // A receipt that waited as long as the worst share of the time lies in that share of the tail.
        let doubtful = PERCENTILES.iter().zip(QUANTILES).filter(|(_, q)| 1.0 - q < share);
        doubtful.for_each(|((name, _), _)| leave_unresolved(delay, name));
    }
}

fn leave_unresolved(histogram: &mut Histogram, percentile: &str) {
    if !histogram.unresolved.iter().any(|known| known == percentile) {
        histogram.unresolved.push(percentile.to_owned());
    }
}

/// The generator's and the publisher's lag against the delivery delay, at the median and at each percentile.
fn lags(findings: &mut Findings, trial: &mut Trial) {
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
        for (quantile, read) in PERCENTILES {
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
}

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

type Percentile = (&'static str, fn(&Histogram) -> Option<f64>);

const PERCENTILES: [Percentile; 4] =
    [("p50", |h| h.p50_us), ("p90", |h| h.p90_us), ("p99", |h| h.p99_us), ("p999", |h| h.p999_us)];

#[cfg(test)]
mod tests;
