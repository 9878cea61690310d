//! One direction of a connection: what the scanner tells goes into the ledger, by the phase of each message's first byte.
//!
//! It moves no bytes and knows no socket.

use std::collections::VecDeque;

use measurement::{
    ledger::{Direction, Phase},
    result::Steady,
};
use wire::{HeadKind, Part, Sink};

/// One whole message in the byte stream, before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// CLOCK_MONOTONIC nanoseconds after the read that completed it.
    pub stamp_ns: u64,
    /// The phase that its bytes are counted in.
    pub phase: Phase,
    /// Its bytes, payload and application framing.
    pub body_bytes: u64,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) bytes: Direction,
    pub(super) phase: Phase,
    /// Heads and framing without the digits that grow.
    pub(super) steady: Steady,
    /// Whether a head was seen.
    opened: bool,
    /// Messages since the last boundary, and the transport framing around them.
    messages_here: u64,
    framing_here: u64,
    /// Whether nothing is half-way, so that the phase may change.
    at_boundary: bool,
    pub(super) units: VecDeque<Unit>,
    /// Bytes moved that no layer has yet: what follows in this read, and an event whose end is still to come.
    uncounted: u64,
    /// Instant of the current call and the phase it falls in.
    pub(super) stamp_ns: u64,
    current: Phase,
    pub(super) calls: u64,
    /// Body bytes of a message that has not ended.
    pub(super) open_body: u64,
    /// Bytes below TLS less bytes above it, by phase. Below zero where a record was read in the phase before.
    records: [i64; 4],
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { at_boundary: true, ..Self::default() }
    }

    pub(super) fn moved(&mut self, bytes: usize, at_ns: u64, phase: Phase) {
        self.calls += u64::from(phase == Phase::Measure);
        self.stamp_ns = at_ns;
        self.current = phase;
        self.uncounted += bytes as u64;
        if self.at_boundary {
            self.phase = phase;
        }
        self.bytes.phase_mut(self.phase).socket_total += bytes as u64;
        self.at_boundary = false;
    }

    /// Under TLS: `below` bytes moved where `above` bytes did.
    pub(super) fn sealed(&mut self, below: u64, above: usize, at_ns: u64, phase: Phase) {
        if above == 0 && self.at_boundary {
            self.phase = phase;
            self.current = phase;
            self.stamp_ns = at_ns;
        }
        self.records[self.phase as usize] += below as i64 - above as i64;
    }

    /// Puts what TLS added into its layer. Bytes taken in one phase of a record that was read in the phase
    /// before are a debt of that phase.
    pub(super) fn unseal(&mut self) {
        for index in (1..self.records.len()).rev() {
            let debt = self.records[index].min(0);
            self.records[index] -= debt;
            self.records[index - 1] += debt;
        }
        for (phase, records) in Phase::ALL.into_iter().zip(std::mem::take(&mut self.records)) {
            // The handshake makes the first phase's sum positive; if not, the kernel's count will differ.
            let layers = self.bytes.phase_mut(phase);
            layers.tls += records.max(0).unsigned_abs();
            layers.socket_total += records.max(0).unsigned_abs();
        }
    }

    /// A decoded message says how much of its body is payload; the rest is application framing.
    pub(super) fn claim(&mut self, payload_bytes: u64) -> Option<Unit> {
        // More payload than body: what was decoded is not the message that was scanned.
        let unit = self.units.pop_front_if(|unit| payload_bytes <= unit.body_bytes)?;
        let layers = self.bytes.phase_mut(unit.phase);
        layers.payload += payload_bytes;
        layers.app_framing += unit.body_bytes - payload_bytes;
        Some(unit)
    }
}

impl Sink for Flow {
    #[inline]
    fn count(&mut self, part: Part, bytes: usize) {
        let bytes = bytes as u64;
        self.uncounted = self.uncounted.saturating_sub(bytes);
        let layers = self.bytes.phase_mut(self.phase);
        match part {
            Part::Headers => layers.headers += bytes,
            Part::TransportFraming => {
                layers.transport_framing += bytes;
                self.framing_here += bytes;
            }
            Part::AppFraming => layers.app_framing += bytes,
            // Claimed as payload and framing when the message is decoded.
            Part::Body => self.open_body += bytes,
        }
    }

    #[inline]
    fn message(&mut self, body_bytes: u64) {
        self.open_body = 0;
        self.messages_here += 1;
        self.units.push_back(Unit { stamp_ns: self.stamp_ns, phase: self.phase, body_bytes });
    }

    #[inline]
    fn boundary(&mut self) {
        // Framing without a message is a heartbeat's or an acknowledgement's.
        if self.messages_here > 0 && self.phase == Phase::Measure {
            self.steady.messages.add(self.messages_here, self.framing_here);
        }
        (self.messages_here, self.framing_here) = (0, 0);
        if self.uncounted == 0 {
            self.at_boundary = true;
        } else if self.phase != self.current {
            // The rest of this read begins with a new message: it belongs to the new phase.
            self.bytes.phase_mut(self.phase).socket_total -= self.uncounted;
            self.phase = self.current;
            self.bytes.phase_mut(self.phase).socket_total += self.uncounted;
        }
    }

    #[inline]
    fn head(&mut self, kind: HeadKind, bytes: u64) {
        let first = !std::mem::replace(&mut self.opened, true);
        let steady = &mut self.steady;
        if first && self.phase == Phase::Connect {
            match kind {
                HeadKind::Get | HeadKind::OtherRequest => steady.opening_requests.add(1, bytes),
                HeadKind::Content | HeadKind::NoContent | HeadKind::OtherResponse => {
                    steady.opening_responses.add(1, bytes);
                }
            }
        }
        if self.phase == Phase::Measure {
            match kind {
                HeadKind::Get => steady.requests.add(1, bytes),
                HeadKind::Content => steady.responses.add(1, bytes),
                HeadKind::NoContent => steady.empty_responses.add(1, bytes),
                HeadKind::OtherRequest | HeadKind::OtherResponse => {}
            }
        }
    }

    #[inline]
    fn length_digits(&mut self, digits: usize) {
        self.framing_here -= digits as u64;
    }
}
