//! WebSocket frames (RFC 6455 section 5): heads and control frames are framing, data frames make messages.
//!
//! It neither unmasks nor inflates, checks no UTF-8 and takes masked and bare frames from either side.

use crate::{Part, ScanError, Sink};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// First byte, length of up to 9 bytes, mask (RFC 6455 section 5.2).
const LONGEST_HEAD: usize = 14;

/// Scans one direction of a WebSocket connection.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; LONGEST_HEAD],
    head_len: usize,
    /// The frame whose payload is under way.
    frame: Option<Frame>,
    /// Body bytes so far of a message that has not had its last frame.
    message: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Control { opcode: u8 },
    Data { last: bool },
}

impl Frames {
    pub(crate) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            let used = match self.frame {
                None => self.read_head(bytes, sink)?,
                Some(frame) => self.read_payload(frame, bytes, sink),
            };
            bytes = &bytes[used..];
            if let Some(Frame { kind, left: 0 }) = self.frame {
                self.frame = None;
                self.end_frame(kind, sink);
            }
        }
        Ok(())
    }

    /// Whether neither a frame nor a message is half-way.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    fn read_head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, ScanError> {
        let mut used = 0;
        while self.head_len < self.head_needs() {
            let take = (self.head_needs() - self.head_len).min(bytes.len() - used);
            if take == 0 {
                sink.count(Part::TransportFraming, used);
                return Ok(used);
            }
            self.head[self.head_len..self.head_len + take].copy_from_slice(&bytes[used..used + take]);
            self.head_len += take;
            used += take;
        }
        self.frame = Some(self.begin_frame()?);
        self.head_len = 0;
        sink.count(Part::TransportFraming, used);
        Ok(used)
    }

    /// Length of the head, as far as its first two bytes tell.
    fn head_needs(&self) -> usize {
        if self.head_len < 2 {
            return 2;
        }
        let length = match self.head[1] & !MASKED {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        2 + length + if self.head[1] & MASKED == 0 { 0 } else { 4 }
    }

    fn begin_frame(&mut self) -> Result<Frame, ScanError> {
        let (first, short_length) = (self.head[0], self.head[1] & !MASKED);
        // The first reserved bit marks a compressed message, on its first frame only (RFC 7692 section 6).
        let free = if matches!(first & 0x0f, 1 | 2) { RSV1 } else { 0 };
        if first & RESERVED & !free != 0 {
            return Err(ScanError::ReservedBits { found: first });
        }
        let last = first & FIN != 0;
        let kind = match first & 0x0f {
            0 if self.message.is_none() => return Err(ScanError::StrayContinuation),
            1 | 2 if self.message.is_some() => return Err(ScanError::InterleavedMessage),
            0..=2 => {
                self.message.get_or_insert(0);
                Kind::Data { last }
            }
            opcode @ 8..=10 if !last => return Err(ScanError::FragmentedControl { opcode }),
            opcode @ 8..=10 if short_length > 125 => return Err(ScanError::LongControl { opcode }),
            opcode @ 8..=10 => Kind::Control { opcode },
            found => return Err(ScanError::Opcode { found }),
        };
        Ok(Frame { kind, left: self.payload_length(short_length)? })
    }

    fn payload_length(&self, short_length: u8) -> Result<u64, ScanError> {
        let extended = &self.head[2..10];
        let length = match short_length {
            127 => extended.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
            126 => u64::from(extended[0]) << 8 | u64::from(extended[1]),
            length => u64::from(length),
        };
        if length >> 63 != 0 {
            return Err(ScanError::FrameLength { found: length });
        }
        Ok(length)
    }

    fn read_payload(&mut self, frame: Frame, bytes: &[u8], sink: &mut impl Sink) -> usize {
        let take = frame.left.min(bytes.len() as u64);
        self.frame = Some(Frame { left: frame.left - take, ..frame });
        match frame.kind {
            Kind::Control { .. } => {
                sink.count(Part::TransportFraming, take as usize);
                sink.control(&bytes[..take as usize]);
            }
            Kind::Data { .. } => {
                sink.count(Part::Body, take as usize);
                sink.body(&bytes[..take as usize]);
                self.message = self.message.map(|sum| sum + take);
            }
        }
        take as usize
    }

    fn end_frame(&mut self, kind: Kind, sink: &mut impl Sink) {
        match kind {
            Kind::Control { opcode } => sink.control_end(opcode),
            Kind::Data { last: true } => {
                if let Some(body_bytes) = self.message.take() {
                    sink.message(body_bytes);
                }
            }
            Kind::Data { last: false } => {}
        }
        if self.message.is_none() {
            sink.boundary();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        crate::testing::check(Frames::default, Frames::feed, bytes, Ok(expected));
    }

    fn check_fails(bytes: &[u8], expected: ScanError) {
        crate::testing::check(Frames::default, Frames::feed, bytes, Err(expected));
    }

    fn padded(head: &[u8], length: usize) -> Vec<u8> {
        let mut bytes = head.to_vec();
        bytes.resize(head.len() + length, b'.');
        bytes
    }

    #[test]
    fn a_data_frame_is_a_head_and_a_message() {
        check(b"\x81\x05hello", "T2 B5 m5 |");
        check(b"\x82\x01x\x82\x01y", "T2 B1 m1 | T2 B1 m1 |");
        check(b"\x81\x85maskHELLO", "T6 B5 m5 |");
        check(b"\xc1\x02zz", "T2 B2 m2 |");
        check(b"\x41\x01z\x80\x01z", "T2 B1 T2 B1 m2 |");
    }

    #[test]
    fn an_empty_message_is_a_message() {
        check(b"\x81\x00", "T2 m0 |");
        check(b"\x81\x80mask", "T6 m0 |");
        check(b"\x01\x00\x80\x00", "T4 m0 |");
    }

    #[test]
    fn lengths_have_three_widths() {
        check(&padded(b"\x82\x7d", 125), "T2 B125 m125 |");
        check(&padded(b"\x82\x7e\x00\x7e", 126), "T4 B126 m126 |");
        check(&padded(b"\x82\xfe\x01\x00mask", 256), "T8 B256 m256 |");
        check(&padded(b"\x82\x7f\0\0\0\0\0\x01\0\0", 65_536), "T10 B65536 m65536 |");
        check(&padded(b"\x82\xff\0\0\0\0\0\x01\0\0mask", 65_536), "T14 B65536 m65536 |");
    }

    #[test]
    fn control_frames_are_framing() {
        check(b"\x89\x00\x8a\x02hi\x88\x82mask\x03\xe8", "T2 | T4 | T8 |");
    }

    #[test]
    fn fragments_make_one_message_and_control_frames_may_come_between() {
        check(b"\x01\x03abc\x80\x02de", "T2 B3 T2 B2 m5 |");
        check(b"\x02\x01a\x89\x01p\x00\x01b\x80\x00", "T2 B1 T5 B1 T2 m2 |");
    }

    #[test]
    fn what_the_rfc_forbids_fails() {
        check_fails(b"\x83\x00", ScanError::Opcode { found: 3 });
        check_fails(b"\x8b\x00", ScanError::Opcode { found: 11 });
        check_fails(b"\xa1\x00", ScanError::ReservedBits { found: 0xa1 });
        check_fails(b"\x91\x00", ScanError::ReservedBits { found: 0x91 });
        check_fails(b"\xc9\x00", ScanError::ReservedBits { found: 0xc9 });
        check_fails(b"\x41\x00\xc0\x00", ScanError::ReservedBits { found: 0xc0 });
        check_fails(b"\x09\x00", ScanError::FragmentedControl { opcode: 9 });
        check_fails(&padded(b"\x89\x7e\x00\x7e", 126), ScanError::LongControl { opcode: 9 });
        check_fails(b"\x82\x7f\x80\0\0\0\0\0\0\0", ScanError::FrameLength { found: 1 << 63 });
        check_fails(b"\x80\x00", ScanError::StrayContinuation);
        check_fails(b"\x81\x00\x80\x00", ScanError::StrayContinuation);
        check_fails(b"\x01\x00\x81\x00", ScanError::InterleavedMessage);
    }
}
