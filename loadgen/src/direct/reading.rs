//! The ticker's own messages, read in place: the fixed form first, the JSON parser where that does not fit, and both now
//! and then, which must agree.

use std::sync::atomic::Ordering;

use ticker::{QuoteView, binary, scan};

use super::Desk;
use crate::{
    clients::envelope::{self, Envelope},
    worker::ClientError,
};

/// Every so many quotes of a worker one message is read by the parser too.
const CHECK_EVERY: u64 = 64;

/// What was taken of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Took {
    /// Its bytes that are payload.
    pub(crate) payload: u64,
    /// New updates.
    pub(crate) updates: usize,
    /// The feed's newest number, where the message tells it.
    pub(crate) last: Option<u64>,
}

impl Desk {
    /// Reads and records a message that was whole at `at_ns`.
    #[inline]
    pub(crate) fn take(&mut self, index: usize, text: &[u8], at_ns: u64) -> Result<Took, ClientError> {
        // JSON begins with a brace, the binary layout with the number of its kind.
        if text.first() != Some(&b'{') {
            return self.binary(index, text, at_ns);
        }
        if envelope::is_envelope(text) {
            return self.envelope(index, text, at_ns);
        }
        let quote = match scan::quote(text) {
            Some((quote, length)) if length == text.len() => {
                if self.is_checked(1) {
                    check(text, &quote)?;
                }
                quote
            }
            Some(_) | None => envelope::parse_quote(text)?,
        };
        self.quote(index, quote.seq, quote.sent, at_ns);
        self.batch_end(index, at_ns);
        Ok(Took { payload: text.len() as u64, updates: 1, last: None })
    }

    /// Counts quotes read; whether one of them is to be read again.
    #[inline]
    fn is_checked(&mut self, quotes: u64) -> bool {
        let before = self.read;
        self.read += quotes;
        before / CHECK_EVERY != self.read / CHECK_EVERY
    }

    #[inline]
    fn quote(&mut self, index: usize, seq: u64, sent_us: u64, at_ns: u64) {
        let sent_ns = self.job.anchor.mono_ns_of(sent_us);
        self.recorder.quote(index, seq, sent_ns, at_ns);
    }

    #[inline]
    fn batch_end(&mut self, index: usize, at_ns: u64) {
        self.recorder.batch_end(index, at_ns);
        self.live.delivered.store(self.recorder.delivered(), Ordering::Relaxed);
    }

    fn envelope(&mut self, index: usize, text: &[u8], at_ns: u64) -> Result<Took, ClientError> {
        let mut quotes = std::mem::take(&mut self.quotes);
        quotes.clear();
        let mut payload = 0;
        let scanned = scan::envelope(text, |quote, length| {
            payload += length as u64;
            quotes.push((quote.seq, quote.sent));
        });
        let (last, snapshot) = match scanned {
            Some(head) if !self.is_checked(quotes.len() as u64) => (head.last, head.snapshot),
            scanned => {
                let parsed = Envelope::parse(text)?;
                let views = parsed.quotes()?;
                let read: Vec<(u64, u64)> = views.iter().map(|quote| (quote.seq, quote.sent)).collect();
                let same = (parsed.last, parsed.snapshot, parsed.payload_bytes());
                if let Some(head) = scanned
                    && ((head.last, head.snapshot, payload) != same || read != quotes)
                {
                    return Err(disagree(text));
                }
                payload = parsed.payload_bytes();
                quotes = read;
                (parsed.last, parsed.snapshot)
            }
        };
        let mut took = Took { payload, updates: quotes.len(), last: Some(last) };
        if snapshot {
            took.updates = 0;
            self.recorder.snapshot(index, last, quotes.iter().map(|(seq, _)| *seq), at_ns);
        } else if !quotes.is_empty() {
            quotes.iter().for_each(|(seq, sent)| self.quote(index, *seq, *sent, at_ns));
            self.batch_end(index, at_ns);
        }
        self.quotes = quotes;
        Ok(took)
    }

    fn binary(&mut self, index: usize, bytes: &[u8], at_ns: u64) -> Result<Took, ClientError> {
        match binary::decode(bytes)? {
            binary::Message::Quote(quote) => {
                self.quote(index, quote.seq, quote.sent, at_ns);
                self.batch_end(index, at_ns);
                // Its kind is before it; padding is of it.
                Ok(Took { payload: bytes.len() as u64 - 1, updates: 1, last: None })
            }
            binary::Message::Snapshot { last, quotes, .. } => {
                self.recorder.snapshot(index, last, quotes.iter().map(|quote| quote.seq), at_ns);
                let payload = (quotes.len() * binary::RECORD_BYTES) as u64;
                Ok(Took { payload, updates: 0, last: Some(last) })
            }
        }
    }
}

/// Reads a quote by the parser, too.
#[cold]
fn check(text: &[u8], quote: &QuoteView<'_>) -> Result<(), ClientError> {
    if envelope::parse_quote(text)? == *quote { Ok(()) } else { Err(disagree(text)) }
}

fn disagree(text: &[u8]) -> ClientError {
    ClientError::Disagree(String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned())
}
