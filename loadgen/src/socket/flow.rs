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

/// Who hears what the scanner tells of one direction, beside the ledger.
pub(crate) trait Messages {
    /// A message has ended. Returns how many of its bytes are payload, if that is known at once; the rest is application
    /// framing. Otherwise somebody [claims](Sums::claim) it later.
    fn ended(&mut self, unit: Unit) -> Option<u64>;
    /// See [`Sink::body`].
    fn body(&mut self, _piece: &[u8]) {}
    /// See [`Sink::dropped`].
    fn dropped(&mut self) {}
    /// See [`Sink::status`].
    fn status(&mut self, _status: u16) {}
    /// See [`Sink::field`].
    fn field(&mut self, _name: &[u8], _value: &[u8]) {}
    /// See [`Sink::head`].
    fn head(&mut self, _kind: HeadKind) {}
    /// See [`Sink::control`].
    fn control(&mut self, _piece: &[u8]) {}
    /// See [`Sink::control_end`].
    fn control_end(&mut self, _opcode: u8) {}
}

/// Messages are noted, to be claimed when a library has decoded them.
impl Messages for VecDeque<Unit> {
    #[inline]
    fn ended(&mut self, unit: Unit) -> Option<u64> {
        self.push_back(unit);
        None
    }
}

/// Bytes of one direction, of a connection or of many: sums that each connection's [`Flow`] adds to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) bytes: Direction,
    /// Heads and framing without the digits that grow.
    pub(crate) steady: Steady,
    /// Reads or writes of the measure phase that moved bytes.
    pub(crate) calls: u64,
}

impl Sums {
    /// `payload_bytes` of a message are payload; the rest is application framing.
    #[inline]
    pub(crate) fn claim(&mut self, unit: &Unit, payload_bytes: u64) {
        let layers = self.bytes.phase_mut(unit.phase);
        layers.payload += payload_bytes;
        layers.app_framing += unit.body_bytes - payload_bytes;
    }
}

/// Where one direction of one connection stands; what it has counted is in [`Sums`].
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Bytes that moved.
    pub(crate) total: u64,
    /// Bytes moved that no layer has yet: what follows in this read, and an event whose end is still to come.
    uncounted: u64,
    /// Instant of the current call.
    pub(crate) stamp_ns: u64,
    /// Body bytes of a message that has not ended.
    open_body: u64,
    /// Messages since the last boundary, and the transport framing around them.
    messages_here: u32,
    framing_here: u32,
    pub(crate) phase: Phase,
    /// The phase of the current call.
    current: Phase,
    /// Whether a head was seen.
    opened: bool,
    /// Whether nothing is half-way, so that the phase may change.
    at_boundary: bool,
}

impl Flow {
    pub(crate) fn new() -> Self {
        Self { at_boundary: true, ..Self::default() }
    }

    /// A call has moved so many bytes.
    #[inline]
    pub(crate) fn moved(&mut self, sums: &mut Sums, bytes: usize, at_ns: u64, phase: Phase) {
        sums.calls += u64::from(phase == Phase::Measure);
        self.stamp_ns = at_ns;
        self.current = phase;
        self.uncounted += bytes as u64;
        self.total += bytes as u64;
        if self.at_boundary {
            self.phase = phase;
        }
        sums.bytes.phase_mut(self.phase).socket_total += bytes as u64;
        self.at_boundary = false;
    }

    /// A call has moved bytes below this one and none here: a phase may have begun with it.
    pub(super) fn touched(&mut self, at_ns: u64, phase: Phase) {
        if self.at_boundary {
            self.phase = phase;
            self.current = phase;
            self.stamp_ns = at_ns;
        }
    }

    /// A message that was cut off by the close is nobody's payload.
    pub(crate) fn cut_off(&mut self, sums: &mut Sums) {
        sums.bytes.phase_mut(self.phase).app_framing += std::mem::take(&mut self.open_body);
    }
}

/// One direction while it is scanned.
pub(crate) struct Counting<'a, M> {
    pub(crate) flow: &'a mut Flow,
    pub(crate) sums: &'a mut Sums,
    pub(crate) messages: &'a mut M,
}

impl<M: Messages> Sink for Counting<'_, M> {
    #[inline]
    fn count(&mut self, part: Part, bytes: usize) {
        let (flow, added) = (&mut *self.flow, bytes as u64);
        flow.uncounted = flow.uncounted.saturating_sub(added);
        let layers = self.sums.bytes.phase_mut(flow.phase);
        match part {
            Part::Headers => layers.headers += added,
            Part::TransportFraming => {
                layers.transport_framing += added;
                flow.framing_here += bytes as u32;
            }
            Part::AppFraming => layers.app_framing += added,
            // Claimed as payload and framing when the message is decoded.
            Part::Body => flow.open_body += added,
        }
    }

    #[inline]
    fn message(&mut self, body_bytes: u64) {
        self.flow.open_body = 0;
        self.flow.messages_here += 1;
        let unit = Unit { stamp_ns: self.flow.stamp_ns, phase: self.flow.phase, body_bytes };
        if let Some(payload_bytes) = self.messages.ended(unit) {
            self.sums.claim(&unit, payload_bytes);
        }
    }

    #[inline]
    fn boundary(&mut self) {
        let flow = &mut *self.flow;
        // Framing without a message is a heartbeat's or an acknowledgement's.
        if flow.messages_here > 0 && flow.phase == Phase::Measure {
            self.sums.steady.messages.add(flow.messages_here.into(), flow.framing_here.into());
        }
        (flow.messages_here, flow.framing_here) = (0, 0);
        if flow.uncounted == 0 {
            flow.at_boundary = true;
        } else if flow.phase != flow.current {
            // The rest of this read begins with a new message: it belongs to the new phase.
            let bytes = &mut self.sums.bytes;
            bytes.phase_mut(flow.phase).socket_total -= flow.uncounted;
            flow.phase = flow.current;
            bytes.phase_mut(flow.phase).socket_total += flow.uncounted;
        }
    }

    #[inline]
    fn head(&mut self, kind: HeadKind, bytes: u64) {
        let first = !std::mem::replace(&mut self.flow.opened, true);
        let steady = &mut self.sums.steady;
        if first && self.flow.phase == Phase::Connect {
            match kind {
                HeadKind::Get | HeadKind::OtherRequest => steady.opening_requests.add(1, bytes),
                HeadKind::Content | HeadKind::NoContent | HeadKind::OtherResponse => {
                    steady.opening_responses.add(1, bytes);
                }
            }
        }
        if self.flow.phase == Phase::Measure {
            match kind {
                HeadKind::Get => steady.requests.add(1, bytes),
                HeadKind::Content => steady.responses.add(1, bytes),
                HeadKind::NoContent => steady.empty_responses.add(1, bytes),
                HeadKind::OtherRequest | HeadKind::OtherResponse => {}
            }
        }
        self.messages.head(kind);
    }

    #[inline]
    fn length_digits(&mut self, digits: usize) {
        self.flow.framing_here -= digits as u32;
    }

    #[inline]
    fn body(&mut self, piece: &[u8]) {
        self.messages.body(piece);
    }

    #[inline]
    fn dropped(&mut self) {
        self.messages.dropped();
    }

    #[inline]
    fn status(&mut self, status: u16) {
        self.messages.status(status);
    }

    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.messages.field(name, value);
    }

    #[inline]
    fn control(&mut self, piece: &[u8]) {
        self.messages.control(piece);
    }

    #[inline]
    fn control_end(&mut self, opcode: u8) {
        self.messages.control_end(opcode);
    }
}
