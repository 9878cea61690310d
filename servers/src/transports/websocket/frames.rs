//! A client's frames, read without a library: heads, masks, fragments, UTF-8 (RFC 6455 section 5). It does no I/O.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Bytes of a frame's mask.
const MASK: usize = 4;
/// Longest payload of a control frame (RFC 6455 section 5.5).
const LONGEST_CONTROL: u64 = 125;

/// What a client said.
#[derive(Debug, PartialEq)]
pub(super) enum Said<'b> {
    /// A whole message.
    Message {
        /// Text, or binary.
        text: bool,
        /// Its payload.
        bytes: &'b [u8],
    },
    /// To be answered with the same payload.
    Ping(&'b [u8]),
    Pong,
    /// With the code, if there is one.
    Close(Option<u16>),
}

/// The client broke the rules, which our close frame has to say.
#[derive(Debug, PartialEq)]
pub(super) struct Broken(pub(super) CloseCode, pub(super) &'static str);

const FRAME: Broken = Broken(CloseCode::Protocol, "broken frame");
const UTF8: Broken = Broken(CloseCode::Invalid, "text is not UTF-8");
const SIZE: Broken = Broken(CloseCode::Size, "message too long");

/// What is known of a client's frames. Empty, it holds no memory.
#[derive(Default)]
pub(super) struct Frames {
    /// The beginning of a frame.
    begun: Vec<u8>,
    message: Option<Message>,
}

/// A message whose last fragment is still to come.
struct Message {
    text: bool,
    bytes: Vec<u8>,
    /// How far it is known to be UTF-8.
    checked: usize,
}

struct Head {
    last: bool,
    opcode: u8,
    payload: usize,
    /// Bytes before the payload, the mask included.
    length: usize,
}

impl Frames {
    /// Takes what came and calls `each` with what was said in it, which may end the reading. `bytes` is unmasked in place.
    pub(super) fn read(
        &mut self,
        bytes: &mut [u8],
        longest: usize,
        mut each: impl FnMut(Said<'_>) -> bool,
    ) -> Result<(), Broken> {
        if self.begun.is_empty() {
            let taken = self.take(bytes, longest, &mut each)?;
            self.begun.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let taken = self.take(&mut all, longest, &mut each)?;
        if taken < all.len() {
            all.drain(..taken);
            self.begun = all;
        }
        Ok(())
    }

    /// Takes whole frames and returns how many bytes they were.
    fn take(
        &mut self,
        bytes: &mut [u8],
        longest: usize,
        each: &mut impl FnMut(Said<'_>) -> bool,
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        loop {
            let rest = &mut bytes[taken..];
            let Some(head) = self.head(rest, longest)? else { return Ok(taken) };
            let end = head.length + head.payload;
            if rest.len() < end {
                return Ok(taken);
            }
            let (front, payload) = rest[..end].split_at_mut(head.length);
            unmask(payload, front[head.length - MASK..].try_into().expect("a mask has four bytes"));
            taken += end;
            if !self.frame(&head, payload, each)? {
                return Ok(bytes.len());
            }
        }
    }

    fn head(&self, bytes: &[u8], longest: usize) -> Result<Option<Head>, Broken> {
        let &[first, second, ..] = bytes else { return Ok(None) };
        let (last, opcode) = (first & 0x80 != 0, first & 0x0F);
        let known = match opcode {
            0 => self.message.is_some(),
            1 | 2 => self.message.is_none(),
            8..=10 => last,
            _ => false,
        };
        if !known || first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(FRAME);
        }
        let extended = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(digits) = bytes.get(2..2 + extended) else { return Ok(None) };
        let payload = match extended {
            0 => u64::from(second & 0x7F),
            _ => digits.iter().fold(0, |sum, &digit| sum << 8 | u64::from(digit)),
        };
        if opcode >= 8 && payload > LONGEST_CONTROL {
            return Err(FRAME);
        }
        let before = self.message.as_ref().map_or(0, |message| message.bytes.len() as u64);
        if payload.saturating_add(before) > longest as u64 {
            return Err(SIZE);
        }
        Ok(Some(Head { last, opcode, payload: payload as usize, length: 2 + extended + MASK }))
    }

    /// False if nothing more is to be read.
    fn frame(
        &mut self,
        head: &Head,
        payload: &[u8],
        each: &mut impl FnMut(Said<'_>) -> bool,
    ) -> Result<bool, Broken> {
        match head.opcode {
            8 => Ok(each(Said::Close(close_code(payload)?))),
            9 => Ok(each(Said::Ping(payload))),
            10 => Ok(each(Said::Pong)),
            1 | 2 if head.last => {
                let text = head.opcode == 1;
                if text && std::str::from_utf8(payload).is_err() {
                    return Err(UTF8);
                }
                Ok(each(Said::Message { text, bytes: payload }))
            }
            _ => self.fragment(head, payload, each),
        }
    }

    fn fragment(
        &mut self,
        head: &Head,
        payload: &[u8],
        each: &mut impl FnMut(Said<'_>) -> bool,
    ) -> Result<bool, Broken> {
        let begun = || Message { text: head.opcode == 1, bytes: Vec::new(), checked: 0 };
        let message = self.message.get_or_insert_with(begun);
        message.bytes.extend_from_slice(payload);
        if message.text {
            match std::str::from_utf8(&message.bytes[message.checked..]) {
                Ok(_) => message.checked = message.bytes.len(),
                // Cut within a character: fine unless it was the last fragment.
                Err(error) if error.error_len().is_none() && !head.last => {
                    message.checked += error.valid_up_to();
                }
                Err(_) => return Err(UTF8),
            }
        }
        if !head.last {
            return Ok(true);
        }
        let Message { text, bytes, .. } = self.message.take().expect("it was just put there");
        Ok(each(Said::Message { text, bytes: &bytes }))
    }
}

/// The code of a close frame; the reason behind it has to be text (RFC 6455 sections 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Broken> {
    let &[high, low, ref reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(FRAME) };
    };
    let code = u16::from_be_bytes([high, low]);
    if !CloseCode::from(code).is_allowed() {
        return Err(FRAME);
    }
    std::str::from_utf8(reason).map(|_| Some(code)).map_err(|_| UTF8)
}

/// RFC 6455 section 5.3.
fn unmask(payload: &mut [u8], mask: [u8; MASK]) {
    let (words, rest) = payload.as_chunks_mut::<MASK>();
    let key = u32::from_ne_bytes(mask);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    rest.iter_mut().zip(mask).for_each(|(byte, key)| *byte ^= key);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASKED: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::encoded::frame(first, &[], &mut bytes);
        bytes.clear();
        crate::encoded::frame(first, payload, &mut bytes);
        let head = bytes.len() - payload.len();
        bytes[1] |= 0x80;
        let mut masked = payload.to_vec();
        unmask(&mut masked, MASKED);
        [&bytes[..head], &MASKED, &masked].concat()
    }

    /// What is said in `bytes`, read in pieces of `step` bytes.
    fn read(bytes: &[u8], step: usize) -> (Vec<String>, Result<(), Broken>) {
        let (mut frames, mut said) = (Frames::default(), Vec::new());
        for piece in bytes.chunks(step) {
            let read = frames.read(&mut piece.to_vec(), 1_000, |what| {
                said.push(format!("{what:?}"));
                true
            });
            if read.is_err() {
                return (said, read);
            }
        }
        assert!(frames.begun.is_empty(), "all frames are whole");
        (said, Ok(()))
    }

    #[test]
    fn what_is_said_does_not_depend_on_how_it_comes() {
        let bytes = [
            frame(0x81, b"one"),
            frame(0x01, "t\u{e9}".as_bytes()),
            frame(0x89, b"ping"),
            frame(0x00, &"\u{e9}".as_bytes()[..1]),
            frame(0x80, &"\u{e9}".as_bytes()[1..]),
            frame(0x82, &[7; 300]),
            frame(0x8A, b""),
            frame(0x88, &[3, 232, b'o', b'k']),
        ];
        let bytes = bytes.concat();
        let (whole, end) = read(&bytes, bytes.len());
        assert_eq!(end, Ok(()));
        assert_eq!(whole.len(), 6);
        assert!(whole[0].contains("text: true, bytes: [111, 110, 101]"), "{}", whole[0]);
        assert!(whole[1].starts_with("Ping("));
        assert!(whole[2].contains("[116, 195, 169, 195, 169]"));
        assert!(whole[3].contains("text: false"));
        assert_eq!(whole[4..], ["Pong", "Close(Some(1000))"]);
        for step in 1..20 {
            assert_eq!(read(&bytes, step).0, whole, "in pieces of {step}");
        }
    }

    #[test]
    fn rules_are_kept() {
        let check = |bytes: &[u8], expected: Broken| {
            assert_eq!(read(bytes, bytes.len()).1, Err(expected), "{bytes:?}");
        };
        check(&[0x81, 0x01, b'x'], FRAME);
        check(&frame(0xC1, b"x"), FRAME);
        check(&frame(0x83, b"x"), FRAME);
        check(&frame(0x80, b"x"), FRAME);
        check(&[frame(0x01, b"x"), frame(0x81, b"y")].concat(), FRAME);
        check(&frame(0x09, b"x"), FRAME);
        check(&frame(0x89, &[0; 126]), FRAME);
        check(&frame(0x82, &[0; 1_001]), SIZE);
        check(&[frame(0x02, &[0; 600]), frame(0x80, &[0; 401])].concat(), SIZE);
        check(&frame(0x81, &[0xFF]), UTF8);
        check(&[frame(0x01, &[0xC3]), frame(0x80, &[])].concat(), UTF8);
        check(&frame(0x88, &[3]), FRAME);
        check(&frame(0x88, &1005_u16.to_be_bytes()), FRAME);
        check(&frame(0x88, &[3, 232, 0xFF]), UTF8);
    }
}
