//! What can be trusted: rules of METRICS as findings, each with its class, figure, limit and remedy.
//!
//! A pure function of a trial and of what only the runner saw. Noise voids timing and cost, never counts and bytes.
//! One file for each class of figures; [`rules`] lists all codes.

use crate::result::{Class, Classes, Finding, Severity, Trial, Validity, Verdict};

mod bytes;
mod cost;
mod counts;
mod evidence;
mod peer;
pub mod rules;
mod timing;

pub use evidence::{Ends, Evidence, Exhausted, Machine};
pub use peer::PeerEvidence;

/// Judges a trial; marks unresolved percentiles in its histograms.
pub fn judge(trial: &mut Trial, evidence: &Evidence) {
    let mut findings = Findings::default();
    counts::connections(&mut findings, trial, evidence);
    counts::updates(&mut findings, trial, evidence);
    counts::machine(&mut findings, evidence);
    bytes::bytes(&mut findings, trial, evidence);
    timing::sockets(&mut findings, trial, evidence);
    timing::generator(&mut findings, trial, evidence);
    timing::machine(&mut findings, trial, evidence);
    timing::lags(&mut findings, trial);
    timing::steady_state(&mut findings, evidence);
    cost::server(&mut findings, trial, evidence);
    if let Some(evidence) = &evidence.peer {
        peer::judge(&mut findings, trial, evidence);
    }
    trial.validity = verdict(findings.0);
}

/// Judges a trial that has no window: only its connections can be told, and it is never valid.
pub fn judge_unmeasured(trial: &mut Trial, evidence: &Evidence) {
    let mut findings = Findings::default();
    counts::connections(&mut findings, trial, evidence);
    counts::machine(&mut findings, evidence);
    trial.validity = Validity { valid: false, ..verdict(findings.0) };
}

/// Holds a judged trial against the floor test that [`Trial::floor`] has, or against its absence.
pub fn judge_floor(trial: &mut Trial) {
    let mut findings = Findings(std::mem::take(&mut trial.validity.findings));
    timing::floor(&mut findings, trial);
    trial.validity = verdict(findings.0);
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
            also: Vec::new(),
            severity: entry.severity,
            message: entry.message,
            figure: entry.figure,
            limit: entry.limit.to_owned(),
            advice: entry.advice.to_owned(),
        });
    }

    /// The newest finding voids cost as well.
    fn voids_cost(&mut self) {
        if let Some(finding) = self.0.last_mut() {
            finding.also.push(Class::Cost);
        }
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
}

/// Each class is as bad as the worst finding about it.
fn verdict(findings: Vec<Finding>) -> Validity {
    let of = |class| {
        let about = findings.iter().filter(|finding| finding.concerns(class));
        match about.map(|finding| finding.severity).max() {
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
    if findings
        .iter()
        .any(|finding| finding.code.ends_with(".identity") && finding.severity == Severity::Invalid)
    {
        let invalid = Verdict::Invalid;
        classes = Classes { counts: invalid, bytes: invalid, timing: invalid, cost: invalid };
    }
    let valid =
        [classes.counts, classes.bytes, classes.timing, classes.cost].iter().all(|&v| v < Verdict::Invalid);
    Validity { valid, classes, findings }
}

#[cfg(test)]
mod tests;
