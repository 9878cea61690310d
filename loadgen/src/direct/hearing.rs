//! One read of one connection: what the scanner tells of it is put together and handed to the dialogue, in place where
//! a message lies within the read, from the carry-over where it was split.

use std::ops::Range;

use wire::HeadKind;

use super::{Dialogue, Turn};
use crate::{
    socket::{Unit, flow::Messages},
    worker::ClientError,
};

/// Carry-over that may stay allocated between messages: a quote's.
const KEPT: usize = 512;

/// Bytes of a message and of a control frame that were split.
#[derive(Debug, Default)]
pub(super) struct Carry {
    message: Vec<u8>,
    control: Vec<u8>,
}

/// A read being heard.
pub(super) struct Hearing<'a, D: Dialogue> {
    pub(super) dialogue: &'a mut D,
    pub(super) client: &'a mut D::Client,
    pub(super) turn: Turn<'a>,
    /// Whether the client has left: what comes is counted and not listened to.
    pub(super) deaf: bool,
    /// What ended the client's listening.
    pub(super) error: Option<ClientError>,
    read: &'a [u8],
    /// The piece of the message at hand that lies in this read.
    piece: Range<usize>,
    carry: &'a mut Carry,
}

impl<'a, D: Dialogue> Hearing<'a, D> {
    pub(super) fn new(
        dialogue: &'a mut D,
        client: &'a mut D::Client,
        turn: Turn<'a>,
        read: &'a [u8],
        carry: &'a mut Carry,
        deaf: bool,
    ) -> Self {
        Self { dialogue, client, turn, deaf, error: None, read, piece: 0..0, carry }
    }

    fn listens(&self) -> bool {
        !self.deaf && self.error.is_none()
    }

    fn note(&mut self, result: Result<(), ClientError>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    /// The read is over: keeps what is half-way.
    pub(super) fn end(self) -> (Turn<'a>, Option<ClientError>) {
        self.carry.message.extend_from_slice(&self.read[self.piece]);
        (self.turn, self.error)
    }

    /// Where `piece` lies in the read.
    fn place(&self, piece: &[u8]) -> Option<Range<usize>> {
        let from = piece.as_ptr().addr().checked_sub(self.read.as_ptr().addr())?;
        let to = from + piece.len();
        (to <= self.read.len()).then_some(from..to)
    }

    fn forget(&mut self) {
        self.piece = 0..0;
        if self.carry.message.capacity() > KEPT {
            self.carry.message = Vec::new();
        }
        self.carry.message.clear();
    }
}

impl<D: Dialogue> Messages for Hearing<'_, D> {
    #[inline]
    fn ended(&mut self, unit: Unit) -> Option<u64> {
        let listens = self.listens();
        let piece = &self.read[self.piece.clone()];
        let text = if self.carry.message.is_empty() {
            piece
        } else {
            self.carry.message.extend_from_slice(piece);
            &self.carry.message
        };
        let result = if listens { self.dialogue.message(self.client, text, &mut self.turn) } else { Ok(0) };
        let payload = match result {
            Ok(payload) if payload <= unit.body_bytes => {
                if !listens {
                    self.turn.desk.unread(&unit);
                }
                payload
            }
            // More payload than body: what was decoded is not the message that was scanned.
            result => {
                self.turn.desk.unread(&unit);
                self.error = Some(result.err().unwrap_or(ClientError::Unscanned));
                0
            }
        };
        self.forget();
        Some(payload)
    }

    #[inline]
    fn body(&mut self, piece: &[u8]) {
        match self.place(piece) {
            Some(place) if self.piece.is_empty() => self.piece = place,
            Some(place) if self.piece.end == place.start => self.piece.end = place.end,
            // Framing lies between, a chunk's head say.
            place => {
                self.carry.message.extend_from_slice(&self.read[self.piece.clone()]);
                self.piece = place.unwrap_or_else(|| {
                    self.carry.message.extend_from_slice(piece);
                    0..0
                });
            }
        }
    }

    #[inline]
    fn dropped(&mut self) {
        self.forget();
    }

    #[inline]
    fn status(&mut self, status: u16) {
        if self.listens() {
            self.dialogue.status(self.client, status);
        }
    }

    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.listens() {
            self.dialogue.field(self.client, name, value);
        }
    }

    #[inline]
    fn head(&mut self, kind: HeadKind) {
        if self.listens() {
            let result = self.dialogue.head(self.client, kind, &mut self.turn);
            self.note(result);
        }
    }

    fn control(&mut self, piece: &[u8]) {
        self.carry.control.extend_from_slice(piece);
    }

    fn control_end(&mut self, opcode: u8) {
        if self.listens() {
            let frame = (opcode, self.carry.control.as_slice());
            let result = self.dialogue.control(self.client, frame, &mut self.turn);
            self.note(result);
        }
        self.carry.control = Vec::new();
    }
}
