//! What `driver = "chromium"` cannot be had with, and why.

use ticker::Transport;

use crate::{
    clients,
    plan::{Http, Processes, Workload},
};

use super::{error::Problem, sweep::Draft};

/// More tabs than this are no longer a browser's load but the machine's: each is a process of its own.
const MOST_TABS: u32 = 64;

/// Why tabs of a browser cannot be the clients of this variant.
pub(super) fn problem(
    kind: Transport,
    draft: &Draft,
    of_others: bool,
    workload: Workload,
) -> Option<Problem> {
    let conflict = |what: &str, why: &str| {
        let what = format!("`driver = \"chromium\"`{what}");
        Some(Problem::Conflict { kind: kind.to_string(), what, advice: why.to_owned() })
    };
    let Some(page) = clients::page(kind) else {
        let able: Vec<_> = Transport::ALL
            .into_iter()
            .filter(|kind| clients::page(*kind).is_some())
            .map(Transport::name)
            .collect();
        return conflict("", &format!("no page of ours speaks it, but {}", able.join(", ")));
    };
    let plain = "tabs speak plain HTTP/1.1 to the reference server: leave one of the two out";
    if of_others {
        return conflict(" and `url`", plain);
    }
    if draft.options.tls {
        return conflict(" and `tls = true`", plain);
    }
    if draft.options.http != Http::H1 {
        return conflict(" and another `http` than \"1.1\"", plain);
    }
    if workload != Workload::Ticker {
        return conflict(" and another workload than the ticker", "tabs listen, they publish nothing");
    }
    if draft.load.processes != Processes::Auto {
        let why = "one browser holds all tabs: leave `load.processes` out";
        return conflict(" and a number of `load.processes`", why);
    }
    if let Some(clients::Conflict { what, why }) = (page.conflict)(&draft.options) {
        return conflict(&format!(" and {what}"), why);
    }
    (draft.load.clients > MOST_TABS).then(|| Problem::OutOfRange {
        key: "load.clients".to_owned(),
        found: draft.load.clients.to_string(),
        expected: format!("1 to {MOST_TABS} with `driver = \"chromium\"`"),
        advice: "each client is a tab with a process of its own: browsers are heavy".to_owned(),
    })
}
