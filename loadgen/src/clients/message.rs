//! One message of any transport: read, its bytes claimed, its updates recorded. The receipt is the read that completed it.

use std::collections::HashMap;

use measurement::tape::Heard;
use ticker::binary;

use super::{
    envelope,
    mapping::{Mapping, Reading, Update},
};
use crate::worker::{Client, ClientError};

/// What came.
pub(super) struct Incoming<'a> {
    /// The message, decoded from the transport.
    pub(super) text: &'a [u8],
    /// Its type, where the transport has one.
    pub(super) event: Option<&'a str>,
    /// Whether it is the first answer of a poller: where the client stands, not a delivery.
    pub(super) opening: bool,
}

impl<'a> Incoming<'a> {
    /// A message without a type in the middle of a stream.
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { text, event: None, opening: false }
    }
}

/// What was taken of a message.
#[derive(Debug, Default)]
pub(super) struct Took {
    /// New updates.
    pub(super) updates: usize,
    /// What the next poll says.
    pub(super) cursor: Option<String>,
    /// The receipt.
    pub(super) stamp_ns: u64,
}

/// Reads and records a message. `claim` is told how many of its bytes are payload and says when it was received.
pub(super) fn take(
    client: &Client,
    incoming: &Incoming<'_>,
    claim: impl FnOnce(u64) -> Option<u64>,
) -> Result<Took, ClientError> {
    if let Some(heard) = &client.worker.listening {
        let stamp_ns = claim(0).ok_or(ClientError::Unscanned)?;
        heard(incoming.text, incoming.event);
        return Ok(Took { updates: 1, cursor: None, stamp_ns });
    }
    match &client.worker.mapping {
        None => own(client, incoming.text, claim),
        Some(mapping) => mapped(client, mapping, incoming, claim),
    }
}

/// The ticker's own messages.
fn own(client: &Client, text: &[u8], claim: impl FnOnce(u64) -> Option<u64>) -> Result<Took, ClientError> {
    // JSON begins with a brace, the binary layout with the number of its kind.
    if text.first() != Some(&b'{') {
        return binary(client, text, claim);
    }
    if !envelope::is_envelope(text) {
        let quote = envelope::parse_quote(text)?;
        let stamp_ns = claim(text.len() as u64).ok_or(ClientError::Unscanned)?;
        client.quotes(std::iter::once(quote), stamp_ns);
        return Ok(Took { updates: 1, cursor: None, stamp_ns });
    }
    let envelope = envelope::Envelope::parse(text)?;
    let stamp_ns = claim(envelope.payload_bytes()).ok_or(ClientError::Unscanned)?;
    let quotes = envelope.quotes()?;
    let mut took = Took { updates: quotes.len(), cursor: Some(envelope.last.to_string()), stamp_ns };
    if envelope.snapshot {
        took.updates = 0;
        client.snapshot(envelope.last, quotes.into_iter(), stamp_ns);
    } else if !quotes.is_empty() {
        client.quotes(quotes.into_iter(), stamp_ns);
    }
    Ok(took)
}

/// The ticker's own messages in the binary layout.
fn binary(
    client: &Client,
    bytes: &[u8],
    claim: impl FnOnce(u64) -> Option<u64>,
) -> Result<Took, ClientError> {
    let message = binary::decode(bytes)?;
    let payload = match &message {
        // Its kind is before it; padding is of it.
        binary::Message::Quote(_) => bytes.len() - 1,
        binary::Message::Snapshot { quotes, .. } => quotes.len() * binary::RECORD_BYTES,
    };
    let stamp_ns = claim(payload as u64).ok_or(ClientError::Unscanned)?;
    match message {
        binary::Message::Quote(quote) => {
            client.quotes(std::iter::once(quote), stamp_ns);
            Ok(Took { updates: 1, cursor: None, stamp_ns })
        }
        binary::Message::Snapshot { last, quotes, .. } => {
            client.snapshot(last, quotes.into_iter(), stamp_ns);
            Ok(Took { updates: 0, cursor: Some(last.to_string()), stamp_ns })
        }
    }
}

/// Somebody else's messages.
fn mapped(
    client: &Client,
    mapping: &Mapping,
    incoming: &Incoming<'_>,
    claim: impl FnOnce(u64) -> Option<u64>,
) -> Result<Took, ClientError> {
    let text = std::str::from_utf8(incoming.text).ok();
    let reading = text.and_then(|text| mapping.read(text, incoming.event));
    let Some(Reading { mut updates, cursor }) = reading else {
        let stamp_ns = claim(0).ok_or(ClientError::Unscanned)?;
        client.skipped(&String::from_utf8_lossy(incoming.text));
        return Ok(Took { updates: 0, cursor: None, stamp_ns });
    };
    let newest = updates.iter().filter_map(|update| update.sequence).max();
    if mapping.rules().snapshot {
        let mut seen = client.seen.borrow_mut();
        updates.retain(|update| seen.is_new(update));
    }
    let payload = updates.iter().map(|update| update.text.len() as u64).sum();
    let stamp_ns = claim(payload).ok_or(ClientError::Unscanned)?;
    let heard = updates.iter().map(|update| Heard {
        sequence: update.sequence,
        symbol: update.symbol.as_deref(),
        due_ns: update.sent_ns,
        sent_ns: None,
        step_ns: update.step_ns,
    });
    let feed_wide = mapping.numbers().0;
    client.heard(heard, newest.filter(|_| feed_wide), incoming.opening, stamp_ns);
    let count = if incoming.opening { 0 } else { updates.len() };
    let cursor = cursor.or_else(|| newest.map(|newest| newest.to_string()));
    Ok(Took { updates: count, cursor, stamp_ns })
}

/// What a client has of a server that sends the whole state each time, by symbol.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<String, (Option<u64>, String)>);

impl Seen {
    fn is_new(&mut self, update: &Update<'_>) -> bool {
        let symbol = update.symbol.as_deref().unwrap_or_default();
        let now = (update.sequence, update.text);
        match self.0.get_mut(symbol) {
            None => {
                self.0.insert(symbol.to_owned(), (now.0, now.1.to_owned()));
                true
            }
            Some(before) => {
                let new = match (now.0, before.0) {
                    (Some(now), Some(before)) => now > before,
                    (Some(_), None) | (None, _) => now.1 != before.1,
                };
                if new {
                    *before = (now.0, now.1.to_owned());
                }
                new
            }
        }
    }
}
