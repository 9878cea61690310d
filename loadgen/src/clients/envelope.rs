//! The ticker's own messages: one quote, or the envelope of snapshots and polling answers.

use serde::Deserialize;
use serde_json::value::RawValue;
use ticker::QuoteView;

/// `{"last":N,"gap":G,"snapshot":B,"quotes":[…]}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    pub last: u64,
    pub snapshot: bool,
    #[serde(borrow)]
    quotes: Vec<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    /// Bytes of the quotes themselves.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.quotes.iter().map(|quote| quote.get().len() as u64).sum()
    }

    /// Each quote.
    pub(crate) fn quotes(&self) -> serde_json::Result<Vec<QuoteView<'a>>> {
        self.quotes.iter().map(|quote| parse_quote(quote.get().as_bytes())).collect()
    }
}

/// One quote.
pub(crate) fn parse_quote(text: &[u8]) -> serde_json::Result<QuoteView<'_>> {
    serde_json::from_slice(text)
}

/// Whether a message of a push stream is an envelope and not a quote.
pub(crate) fn is_envelope(text: &[u8]) -> bool {
    text.starts_with(br#"{"last":"#)
}
