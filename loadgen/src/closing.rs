//! What a manifest can tell only when the run has ended: the machine afterwards, floors, socket options, findings.

use std::collections::{BTreeMap, BTreeSet};

use measurement::result::{Manifest, SocketOptions, Trial};
use serde_json::{Value, json};

use crate::{floor::Floors, machine::Snapshot};

/// Entries of [`Manifest::recorded`] that are null until then.
const ENTRIES: [&str; 5] = ["after", "findings", "floor", "sockets", "tls_suite"];
const UNAVAILABLE: &str = "unavailable";

/// Puts the entries into a manifest that is written before the first trial, with the reason why they are null.
pub fn announce(manifest: &mut Manifest) {
    for entry in ENTRIES {
        manifest.recorded.insert(entry.to_owned(), Value::Null);
        if let Some(reasons) = manifest.recorded.get_mut(UNAVAILABLE).and_then(Value::as_object_mut) {
            reasons.insert(entry.to_owned(), "the run did not end".into());
        }
    }
}

/// Gathers them from trial to trial.
#[derive(Default)]
pub struct Closing {
    findings: BTreeMap<String, u64>,
    servers: BTreeSet<String>,
    clients: BTreeSet<String>,
    suites: BTreeSet<String>,
}

impl Closing {
    /// A trial has ended.
    pub fn trial(&mut self, trial: &Trial) {
        let codes: BTreeSet<&String> = trial.validity.findings.iter().map(|finding| &finding.code).collect();
        for code in codes {
            *self.findings.entry(code.clone()).or_default() += 1;
        }
        self.servers.extend(trial.sockets.server.as_ref().map(words));
        self.clients.extend(trial.sockets.clients.as_ref().map(words));
        self.suites.extend(trial.sockets.tls.clone());
    }

    /// The entries, and the reasons for nulls without theirs.
    pub fn recorded(&self, head: &Manifest, floors: &Floors) -> BTreeMap<String, Value> {
        let mut unavailable = head.recorded.get(UNAVAILABLE).cloned().unwrap_or_default();
        if let Some(reasons) = unavailable.as_object_mut() {
            ENTRIES.iter().for_each(|entry| drop(reasons.remove(*entry)));
            if self.suites.is_empty() {
                reasons.insert("tls_suite".to_owned(), "no connection over TCP was encrypted".into());
            }
        }
        BTreeMap::from([
            ("after".to_owned(), json!(Snapshot::now())),
            ("findings".to_owned(), json!(self.findings)),
            ("floor".to_owned(), floors.facts()),
            ("sockets".to_owned(), json!({ "server": self.servers, "clients": self.clients })),
            ("tls_suite".to_owned(), self.suite()),
            (UNAVAILABLE.to_owned(), unavailable),
        ])
    }
}

impl Closing {
    fn suite(&self) -> Value {
        let suites: Vec<&str> = self.suites.iter().map(String::as_str).collect();
        if suites.is_empty() { Value::Null } else { suites.join(", ").into() }
    }
}

fn words(options: &SocketOptions) -> String {
    let nodelay = if options.nodelay { "TCP_NODELAY" } else { "TCP_NODELAY missing" };
    format!("{nodelay}, {}", options.congestion_control.as_deref().unwrap_or("congestion control not told"))
}

#[cfg(test)]
mod tests {
    use measurement::result::{Class, Finding, Severity, Sockets, Validity};

    use super::*;

    #[test]
    fn what_was_announced_is_known_at_the_end() {
        let mut head = Manifest::default();
        head.recorded.insert(UNAVAILABLE.to_owned(), json!({ "governor": "no file" }));
        announce(&mut head);
        assert_eq!(head.recorded["floor"], Value::Null);
        assert_eq!(head.recorded[UNAVAILABLE]["floor"], "the run did not end");

        let finding = Finding {
            code: "clients.error".to_owned(),
            class: Class::Counts,
            also: Vec::new(),
            severity: Severity::Note,
            message: String::new(),
            figure: String::new(),
            limit: String::new(),
            advice: String::new(),
        };
        let server = Some(SocketOptions { nodelay: true, congestion_control: Some("cubic".to_owned()) });
        let trial = Trial {
            validity: Validity { findings: vec![finding.clone(), finding], ..Validity::default() },
            sockets: Sockets {
                server,
                clients: None,
                tls: Some("TLSv1.3 TLS13_AES_256_GCM_SHA384".to_owned()),
            },
            ..Trial::default()
        };
        let mut closing = Closing::default();
        closing.trial(&trial);
        closing.trial(&trial);
        let recorded = closing.recorded(&head, &Floors::default());
        assert_eq!(recorded["findings"], json!({ "clients.error": 2 }));
        assert_eq!(recorded["sockets"], json!({ "server": ["TCP_NODELAY, cubic"], "clients": [] }));
        assert_eq!(recorded[UNAVAILABLE], json!({ "governor": "no file" }));
        assert!(ENTRIES.iter().all(|entry| !recorded[*entry].is_null()));
    }
}
