//! The rules of `GET /quotes`.

use std::{io, time::Duration};

use super::Findings;
use crate::{
    control::{Answer, Control},
    endpoint::Endpoint,
};

const SECTION: &str = "GET /quotes: polling";
const PATH: &str = "/quotes";
/// How often, 50 ms apart, a feed is asked before it counts as silent.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    let mut control = Control::open(endpoint).await?;
    let first = control.ask(&path, &[]).await?;
    head(findings, &first);
    let Some(mut last) = findings.snapshot(&first.text()) else { return Ok(()) };
    let from = last;

    // All on the one connection: a server that closes it is found by the next question.
    let (mut fresh, mut symbols, mut repeated) = (false, Vec::new(), false);
    for tried in 0..TRIES {
        let answer = match control.ask(&format!("{path}?after={last}"), &[]).await {
            Ok(answer) => answer,
            Err(error) => {
                findings.hold("polling.keep-alive", SECTION, false, error, "a connection that stays open");
                return Ok(());
            }
        };
        head(findings, &answer);
        let text = answer.text();
        let Some(envelope) = findings.envelope(&text) else { return Ok(()) };
        findings.hold(
            "polling.since",
            SECTION,
            !envelope.snapshot,
            "a snapshot",
            "all quotes after the cursor",
        );
        let newest = findings.follow(last, &envelope.texts());
        findings.hold(
            "polling.last",
            SECTION,
            envelope.last == newest,
            envelope.last,
            format!("{newest}, the newest quote"),
        );
        last = envelope.last;
        for quote in envelope.texts() {
            let symbol =
                serde_json::from_str::<ticker::QuoteView<'_>>(quote).map(|quote| quote.sym.to_owned());
            repeated |= symbol.as_ref().is_ok_and(|symbol| symbols.contains(symbol));
            symbols.extend(symbol);
        }
        // Only where a symbol has two new quotes does `mode=latest` leave one out.
        fresh = last >= from + 3;
        if fresh && (repeated || tried > TRIES / 2) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    findings.hold("polling.keep-alive", SECTION, true, "", "");
    findings.hold("polling.news", SECTION, fresh, "no three quotes in 10 s", "a feed with updates");
    not_modified(&mut control, findings, &path, last).await?;
    latest(&mut control, findings, &path, from).await?;
    let far = last + 1_000_000;
    for (rule, query) in [
        ("polling.junk-cursor", "after=junk".to_owned()),
        ("polling.cursor-ahead", format!("after={far}")),
        ("polling.unknown-mode", format!("after={from}&mode=nonsense")),
        ("polling.unknown-key", "nonsense=1".to_owned()),
    ] {
        let answer = control.ask(&format!("{path}?{query}"), &[]).await?;
        let told = format!("{} for ?{query}: {}", answer.status, answer.text());
        let refused = answer.status == 400 && answer.text().starts_with("{\"error\":");
        findings.hold(rule, SECTION, refused, told, "400 with {\"error\":\"…\"}");
    }
    // The same quotes once more: their text may not have changed.
    let again = control.ask(&format!("{path}?after={from}"), &[]).await?.text();
    if let Some(envelope) = findings.envelope(&again) {
        findings.follow(from, &envelope.texts());
    }
    Ok(())
}

fn head(findings: &mut Findings, answer: &Answer) {
    findings.hold("polling.status", SECTION, answer.status == 200, answer.status, "200 OK");
    let kind = answer.header("content-type");
    findings.hold(
        "polling.content-type",
        SECTION,
        kind.starts_with("application/json"),
        kind,
        "application/json",
    );
    let caching = answer.header("cache-control");
    findings.hold("polling.cache-control", SECTION, caching.contains("no-cache"), caching, "no-cache");
    let text = answer.text();
    if let Ok(envelope) = serde_json::from_str::<super::Envelope<'_>>(&text) {
        let (tag, expected) = (answer.header("etag"), format!("\"{}\"", envelope.last));
        findings.hold("polling.etag", SECTION, tag == expected, tag, expected);
    }
}

/// A quote may come between the two questions: then it is asked again.
async fn not_modified(
    control: &mut Control,
    findings: &mut Findings,
    path: &str,
    mut last: u64,
) -> io::Result<()> {
    let mut found = String::new();
    for _ in 0..TRIES {
        let tag = format!("\"{last}\"");
        let answer = control.ask(&format!("{path}?after={last}"), &[("if-none-match", &tag)]).await?;
        if answer.status == 304 {
            let told = format!("etag {}, {} bytes of body", answer.header("etag"), answer.body.len());
            let kept = answer.header("etag") == tag && answer.body.is_empty();
            findings.hold(
                "polling.not-modified",
                SECTION,
                kept,
                told,
                format!("304 with etag {tag} and no body"),
            );
            return Ok(());
        }
        let text = answer.text();
        found = format!("{} {text}", answer.status);
        match serde_json::from_str::<super::Envelope<'_>>(&text) {
            Ok(envelope) if envelope.last > last => last = envelope.last,
            Ok(_) | Err(_) => break,
        }
    }
    findings.hold("polling.not-modified", SECTION, false, found, "304 for the tag of the newest quote");
    Ok(())
}

async fn latest(control: &mut Control, findings: &mut Findings, path: &str, from: u64) -> io::Result<()> {
    let answer = control.ask(&format!("{path}?after={from}&mode=latest"), &[]).await?;
    let text = answer.text();
    let Some(envelope) = findings.envelope(&text) else { return Ok(()) };
    let mut symbols: Vec<String> = Vec::new();
    for quote in envelope.texts() {
        findings.quote(quote);
        if let Ok(view) = serde_json::from_str::<ticker::QuoteView<'_>>(quote) {
            symbols.push(view.sym.to_owned());
        }
    }
    let count = symbols.len();
    symbols.sort();
    symbols.dedup();
    let kept = symbols.len() == count && envelope.gap == 0 && !envelope.snapshot;
    findings.hold("polling.latest", SECTION, kept, &text, "each symbol once, gap 0, no snapshot");
    Ok(())
}
