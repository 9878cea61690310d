//! One direction of a connection that a protocol library reads or writes: its messages wait to be claimed.
//!
//! It moves no bytes and knows no socket.

use std::collections::VecDeque;

use measurement::ledger::Phase;
use wire::{HeadKind, Part, Sink};

use super::flow::{Counting, Flow, Sums, Unit};

/// One direction with its sums.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) flow: Flow,
    pub(super) sums: Sums,
    pub(super) units: VecDeque<Unit>,
    /// Bytes below TLS less bytes above it, by phase. Below zero where a record was read in the phase before.
    records: [i64; 4],
}

impl Side {
    pub(super) fn new() -> Self {
        Self { flow: Flow::new(), sums: Sums::default(), units: VecDeque::new(), records: [0; 4] }
    }

    pub(super) fn moved(&mut self, bytes: usize, at_ns: u64, phase: Phase) {
        self.flow.moved(&mut self.sums, bytes, at_ns, phase);
    }

    /// Under TLS: `below` bytes moved where `above` bytes did.
    pub(super) fn sealed(&mut self, below: u64, above: usize, at_ns: u64, phase: Phase) {
        if above == 0 {
            self.flow.touched(at_ns, phase);
        }
        self.records[self.flow.phase as usize] += below as i64 - above as i64;
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
            let layers = self.sums.bytes.phase_mut(phase);
            layers.tls += records.max(0).unsigned_abs();
            layers.socket_total += records.max(0).unsigned_abs();
        }
    }

    /// A decoded message says how much of its body is payload; the rest is application framing.
    pub(super) fn claim(&mut self, payload_bytes: u64) -> Option<Unit> {
        // More payload than body: what was decoded is not the message that was scanned.
        let unit = self.units.pop_front_if(|unit| payload_bytes <= unit.body_bytes)?;
        self.sums.claim(&unit, payload_bytes);
        Some(unit)
    }

    fn counting(&mut self) -> Counting<'_, VecDeque<Unit>> {
        Counting { flow: &mut self.flow, sums: &mut self.sums, messages: &mut self.units }
    }
}

impl Sink for Side {
    #[inline]
    fn count(&mut self, part: Part, bytes: usize) {
        self.counting().count(part, bytes);
    }

    #[inline]
    fn message(&mut self, body_bytes: u64) {
        self.counting().message(body_bytes);
    }

    #[inline]
    fn boundary(&mut self) {
        self.counting().boundary();
    }

    #[inline]
    fn head(&mut self, kind: HeadKind, bytes: u64) {
        self.counting().head(kind, bytes);
    }

    #[inline]
    fn length_digits(&mut self, digits: usize) {
        self.counting().length_digits(digits);
    }
}
