//! The rules of `GET /quotes/wait`.

use std::io;

use super::Findings;
use crate::{control::Control, endpoint::Endpoint};

const SECTION: &str = "GET /quotes/wait: long polling";
const PATH: &str = "/quotes/wait";
const QUOTES: u64 = 3;
/// Answers without news that are taken for a feed that pauses.
const EMPTY: usize = 3;

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    let mut control = Control::open(endpoint).await?;
    let first = control.ask(&path, &[]).await?;
    findings.hold("long-polling.status", SECTION, first.status == 200, first.status, "200 OK");
    let Some(from) = findings.snapshot(&first.text()) else { return Ok(()) };
    let (mut last, mut empty) = (from, 0);
    while last < from + QUOTES && empty < EMPTY {
        let answer = control.ask(&format!("{path}?after={last}"), &[]).await?;
        let caching = answer.header("cache-control");
        findings.hold(
            "long-polling.cache-control",
            SECTION,
            caching.contains("no-store"),
            caching,
            "no-store",
        );
        let text = answer.text();
        let Some(envelope) = findings.envelope(&text) else { return Ok(()) };
        let newest = findings.follow(last, &envelope.texts());
        findings.hold("long-polling.last", SECTION, envelope.last == newest, envelope.last, newest);
        empty += usize::from(newest == last);
        last = newest;
    }
    let told = format!("{empty} empty answers");
    findings.hold("long-polling.held", SECTION, empty < EMPTY, told, "an answer that waits for news");
    for (rule, query) in [
        ("long-polling.junk-cursor", "after=junk".to_owned()),
        ("long-polling.cursor-ahead", format!("after={}", last + 1_000_000)),
    ] {
        let answer = control.ask(&format!("{path}?{query}"), &[]).await?;
        findings.hold(rule, SECTION, answer.status == 400, format!("{} for ?{query}", answer.status), "400");
    }
    Ok(())
}
