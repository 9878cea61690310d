//! What tabs told becomes figures: the same messages, read by the same code, in the same recorder as those of clients of
//! ours. It knows no transport.

use std::sync::atomic::Ordering;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    page_clock::PageClock,
    relay::Relay,
    told::{Batch, Told},
};
use crate::{
    direct::Desk,
    plan::{Compression, Deflate},
    worker::ClientError,
};

/// One client, as far as its tab has told.
pub(super) struct Hearing {
    index: usize,
    relay: Relay,
    /// Batches that came.
    pub(super) batches: u64,
    /// When it began to connect.
    from_ns: u64,
    stands: bool,
    is_lost: bool,
    /// When the newest answer with news was whole, of a client that asks again at once.
    before_ns: Option<u64>,
}

/// Which message, and when.
#[derive(Clone, Copy)]
struct Receipt {
    at_ns: u64,
    updates: usize,
}

impl Hearing {
    pub(super) fn new(index: usize, relay: Relay) -> Self {
        Self { index, relay, batches: 0, from_ns: 0, stands: false, is_lost: false, before_ns: None }
    }

    pub(super) fn into_relay(self) -> Relay {
        self.relay
    }

    /// Takes a batch. A record that cannot be taken is an error of its client, and its bytes stay unclaimed.
    pub(super) fn take(&mut self, desk: &mut Desk, clock: &PageClock, payload: &str) {
        let batch: Batch = match serde_json::from_str(payload) {
            Ok(batch) => batch,
            Err(error) => return self.lost(desk, &error.into()),
        };
        self.batches += 1;
        for told in batch.records {
            if let Err(error) = self.told(desk, clock, told) {
                self.lost(desk, &error);
            }
        }
    }

    /// Its stream came to an end, or never stood. Told once.
    pub(super) fn lost(&mut self, desk: &mut Desk, error: &ClientError) {
        if !std::mem::replace(&mut self.is_lost, true) {
            desk.failed(self.index, self.stands, error);
        }
    }

    fn told(&mut self, desk: &mut Desk, clock: &PageClock, told: Told) -> Result<(), ClientError> {
        match told {
            Told::Opened { from } => self.from_ns = clock.ns(from),
            Told::Message { at, text, binary } => {
                let bytes = match binary {
                    Some(binary) => {
                        STANDARD.decode(binary).map_err(|error| ClientError::Page(error.to_string()))?
                    }
                    None => text.unwrap_or_default().into_bytes(),
                };
                let at_ns = clock.ns(at);
                self.message(desk, &bytes, at_ns)?;
                self.stand(desk, at_ns);
            }
            Told::Aside {} => {
                self.relay.claim(0, None).ok_or(ClientError::Unscanned)?;
            }
            Told::Answer { planned, sent, at, text, late } => {
                let at_ns = clock.ns(at);
                let updates = if text.is_empty() { 0 } else { self.message(desk, text.as_bytes(), at_ns)? };
                let asked = (planned.map(|planned| clock.ns(planned)), clock.ns(sent));
                self.answered(desk, asked, late, Receipt { at_ns, updates });
            }
            Told::Closed { code, took } => {
                desk.recorder.closed((took * 1e6) as u64);
                desk.notes.closed(Some(code));
            }
            Told::Lost { why } => self.lost(desk, &ClientError::Page(why)),
        }
        Ok(())
    }

    /// Reads and records a message. Returns how many updates were new.
    fn message(&self, desk: &mut Desk, bytes: &[u8], at_ns: u64) -> Result<usize, ClientError> {
        let took = desk.take(self.index, bytes, at_ns)?;
        let options = &desk.job.variant.options;
        let is_compressed = options.compression != Compression::None || options.deflate != Deflate::Off;
        let decoded_bytes = is_compressed.then_some(bytes.len() as u64);
        self.relay.claim(took.payload, decoded_bytes).ok_or(ClientError::Unscanned)?;
        Ok(took.updates)
    }

    fn answered(
        &mut self,
        desk: &mut Desk,
        (planned_ns, sent_ns): (Option<u64>, u64),
        late: bool,
        receipt: Receipt,
    ) {
        let Receipt { at_ns, updates } = receipt;
        if self.stands {
            if let Some(planned_ns) = planned_ns {
                desk.recorder.action(planned_ns, sent_ns, late);
            } else if let Some(before_ns) = self.before_ns {
                desk.recorder.rearmed(before_ns, sent_ns);
            }
            desk.recorder.request(planned_ns.unwrap_or(sent_ns), at_ns, updates);
        }
        self.stand(desk, at_ns);
        self.before_ns = (updates > 0).then_some(at_ns);
    }

    /// With its first message it stands.
    fn stand(&mut self, desk: &mut Desk, at_ns: u64) {
        if !std::mem::replace(&mut self.stands, true) {
            desk.recorder.connected(self.index, self.from_ns, at_ns);
            desk.live.connected.fetch_add(1, Ordering::Relaxed);
        }
    }
}
