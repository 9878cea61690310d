//! Does a server speak docs/PROTOCOL.md? Each transport's rules in a file of their own; here is what they share.

use std::{collections::BTreeMap, io};

use serde::Deserialize;
use serde_json::value::RawValue;
use ticker::{QuoteView, Transport, clock};

use crate::{control::Control, endpoint::Endpoint};

#[cfg(feature = "grpc")]
mod grpc;
mod long_polling;
mod ndjson;
mod polling;
mod socketio;
mod sse;
mod websocket;
#[cfg(feature = "quic")]
mod webtransport;

const DAY_US: u64 = 86_400_000_000;

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server keeps it.
    Kept,
    /// It does not.
    Broken {
        /// What it does.
        found: String,
        /// What the protocol says.
        expected: String,
    },
    /// It is optional, and absent.
    Absent,
}

/// A rule of the protocol, held against a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Short name.
    pub rule: &'static str,
    /// Heading of docs/PROTOCOL.md.
    pub section: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What was found out about a server.
#[derive(Debug, Default)]
pub struct Findings {
    /// In the order in which they were looked at.
    pub checks: Vec<Check>,
    /// Each quote's text by its number: it is the same wherever it comes from.
    quotes: BTreeMap<u64, String>,
}

impl Findings {
    #[expect(clippy::needless_pass_by_value, reason = "what is found is text here, a number there")]
    fn hold(
        &mut self,
        rule: &'static str,
        section: &'static str,
        kept: bool,
        found: impl ToString,
        expected: impl ToString,
    ) {
        const SHOWN: usize = 200;
        let outcome = if kept {
            Outcome::Kept
        } else {
            let found: String = found.to_string().chars().take(SHOWN).collect();
            Outcome::Broken { found, expected: expected.to_string() }
        };
        // A rule that is looked at often is told once: as broken if it ever is.
        match self.checks.iter_mut().find(|check| check.rule == rule) {
            None => self.checks.push(Check { rule, section, outcome }),
            Some(known) if known.outcome == Outcome::Kept => known.outcome = outcome,
            Some(_) => {}
        }
    }

    /// Holds a quote's text against the protocol; its number.
    fn quote(&mut self, text: &str) -> Option<u64> {
        const SECTION: &str = "The quote";
        let quote = match serde_json::from_str::<QuoteView<'_>>(text) {
            Ok(quote) => quote,
            Err(error) => {
                self.hold("quote.json", SECTION, false, format!("{error}: {text}"), "the keys of a quote");
                return None;
            }
        };
        let canonical = canonical(&quote, text.len());
        self.hold("quote.canonical", SECTION, canonical == text, text, &canonical);
        let named = quote.sym.len() == 4 && quote.sym.bytes().all(|byte| byte.is_ascii_uppercase());
        self.hold("quote.symbol", SECTION, named, quote.sym, "four capital letters");
        let hundreds = quote.qty.is_multiple_of(100) && (100..=900).contains(&quote.qty);
        self.hold("quote.quantity", SECTION, hundreds, quote.qty, "a multiple of 100 from 100 to 900");
        let now_us = clock::unix_ns() / 1_000;
        let near = |us: u64| us.abs_diff(now_us) < DAY_US;
        let times = format!("due {}, sent {}", quote.due, quote.sent);
        self.hold(
            "quote.times",
            SECTION,
            near(quote.due) && near(quote.sent) && quote.sent >= quote.due,
            times,
            "Unix microseconds, due before sent",
        );
        let length = self.quotes.values().next().map_or(text.len(), String::len);
        self.hold(
            "quote.length",
            SECTION,
            length == text.len(),
            text.len(),
            format!("{length} bytes, as the others"),
        );
        let known = self.quotes.entry(quote.seq).or_insert_with(|| text.to_owned()).clone();
        self.hold("quote.same", SECTION, known == text, text, format!("the same text everywhere: {known}"));
        Some(quote.seq)
    }

    /// Quotes that follow `after` without a hole; the newest number.
    fn follow(&mut self, after: u64, texts: &[&str]) -> u64 {
        let mut newest = after;
        for text in texts {
            let Some(seq) = self.quote(text) else { continue };
            self.hold("quote.sequence", "The quote", seq == newest + 1, seq, newest + 1);
            newest = seq;
        }
        newest
    }

    /// Holds an envelope's text against the protocol.
    fn envelope<'a>(&mut self, text: &'a str) -> Option<Envelope<'a>> {
        const SECTION: &str = "The envelope";
        let envelope = match serde_json::from_str::<Envelope<'a>>(text) {
            Ok(envelope) => envelope,
            Err(error) => {
                let expected = "{\"last\":N,\"gap\":G,\"snapshot\":B,\"quotes\":[…]}";
                self.hold("envelope.json", SECTION, false, format!("{error}: {text}"), expected);
                return None;
            }
        };
        let quotes: Vec<&str> = envelope.quotes.iter().map(|quote| quote.get()).collect();
        let Envelope { last, gap, snapshot, .. } = &envelope;
        let canonical = format!(
            "{{\"last\":{last},\"gap\":{gap},\"snapshot\":{snapshot},\"quotes\":[{}]}}",
            quotes.join(",")
        );
        self.hold("envelope.canonical", SECTION, canonical == text, text, &canonical);
        Some(envelope)
    }

    /// A snapshot: what a client without a cursor gets; its `last`.
    fn snapshot(&mut self, text: &str) -> Option<u64> {
        const SECTION: &str = "The envelope";
        let envelope = self.envelope(text)?;
        let told = format!("snapshot {}, gap {}", envelope.snapshot, envelope.gap);
        self.hold(
            "envelope.snapshot",
            SECTION,
            envelope.snapshot && envelope.gap == 0,
            told,
            "snapshot true, gap 0",
        );
        let mut before = 0;
        for text in envelope.texts() {
            let seq = self.quote(text)?;
            let kept = seq > before && seq <= envelope.last;
            self.hold(
                "envelope.ascending",
                SECTION,
                kept,
                seq,
                format!("above {before}, at most {}", envelope.last),
            );
            before = seq;
        }
        Some(envelope.last)
    }
}

/// `{"last":N,"gap":G,"snapshot":B,"quotes":[…]}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    last: u64,
    gap: u64,
    snapshot: bool,
    #[serde(borrow)]
    quotes: Vec<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn texts(&self) -> Vec<&'a str> {
        self.quotes.iter().map(|quote| quote.get()).collect()
    }
}

/// The one way to write a quote of that length.
fn canonical(quote: &QuoteView<'_>, length: usize) -> String {
    let QuoteView { seq, sym, px, qty, due, sent } = quote;
    let head = format!(
        "{{\"seq\":{seq},\"sym\":\"{sym}\",\"px\":{px:.2},\"qty\":{qty},\"due\":{due},\"sent\":{sent},\"pad\":\""
    );
    let pad = length.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", ".".repeat(pad))
}

/// Holds a server against the rules of one transport. An error is a connection that failed, not a rule.
pub async fn verify(kind: Transport, endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    match kind {
        Transport::Polling => polling::verify(endpoint, findings).await,
        Transport::LongPolling => long_polling::verify(endpoint, findings).await,
        Transport::Sse => sse::verify(endpoint, findings).await,
        Transport::Ndjson => ndjson::verify(endpoint, findings).await,
        Transport::WebSocket => websocket::verify(endpoint, findings).await,
        #[cfg(feature = "grpc")]
        Transport::Grpc => grpc::verify(endpoint, findings).await,
        #[cfg(not(feature = "grpc"))]
        Transport::Grpc => Err(io::Error::other("this build leaves gRPC out")),
        Transport::SocketIo => socketio::verify(endpoint, findings).await,
        #[cfg(feature = "quic")]
        Transport::WebTransport => webtransport::verify(endpoint, findings).await,
        #[cfg(not(feature = "quic"))]
        Transport::WebTransport => Ok(()),
    }
}

/// The endpoints that a server may have besides.
pub async fn verify_control(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    const SECTION: &str = "Control endpoints";
    for (rule, path) in
        [("control.healthz", "/healthz"), ("control.clock", "/clock"), ("control.stats", "/stats")]
    {
        let answer = Control::open(endpoint).await?.ask(path, &[]).await?;
        if !answer.status.is_success() {
            findings.checks.push(Check { rule, section: SECTION, outcome: Outcome::Absent });
            continue;
        }
        let json: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let now_us = clock::unix_ns() / 1_000;
        let (kept, expected) = match path {
            "/healthz" => (true, "success"),
            "/clock" => {
                let told = json.as_ref().and_then(|json| json.get("unix_us")?.as_u64());
                (told.is_some_and(|us| us.abs_diff(now_us) < DAY_US), "unix_us, near now")
            }
            _ => (json.is_some_and(|json| json.is_object()), "a JSON object"),
        };
        findings.hold(rule, SECTION, kept, answer.text(), expected);
    }
    Ok(())
}
