//! The server's processor time and memory: notes on what is in them. What voids them is found with timing.

use super::{Evidence, Findings};
use crate::result::{Class, SharedServer, Trial};

/// Share of the window that the server may wait for a processor unmentioned.
const RUN_DELAY_SHARE: f64 = 0.02;
/// Growth in the window that is mentioned: this share, and this many bytes.
const GROWTH: (f64, u64) = (0.1, 4 << 20);

/// The server process in the window.
pub(super) fn server(findings: &mut Findings, trial: &Trial, evidence: &Evidence) {
    if let Some(share) = trial.server.run_delay_share.filter(|&share| share > RUN_DELAY_SHARE) {
        findings.note(
            "server.run_delay",
            Class::Cost,
            ("The server waited for a processor.", format!("{:.1} % of the window", share * 100.0)),
            "2 %",
            "It shares its core or needs more of them; a server that waits batches more and costs less for each update.",
        );
    }
    if let Some(SharedServer { variants, clients, .. }) = trial.shared_server {
        findings.note(
            "server.shared",
            Class::Cost,
            (
                "Other variants ran at the same time against the one server.",
                format!("{variants} variants, {clients} clients"),
            ),
            "1 variant",
            "Cost and memory are those of whole processes, by the updates and clients of all variants; bytes and counts are the \
             variant's own.",
        );
    }
    let Some((from, to)) = evidence.server_rss else { return };
    let growth = to.saturating_sub(from);
    if growth > GROWTH.1 && growth as f64 > GROWTH.0 * from as f64 {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        findings.note(
            "window.memory",
            Class::Cost,
            (
                "The server's memory grew in the window: queues that fill, or a leak.",
                format!("from {:.1} MiB to {:.1} MiB", mib(from), mib(to)),
            ),
            "10 % and 4 MiB",
            "Raise load.warmup; if it still grows, clients are slower than the feed.",
        );
    }
}
