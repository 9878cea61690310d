//! Messages in a stream's bytes: each after its length, four bytes, big-endian. It reads no stream.

/// Bytes of the length.
pub(in crate::clients) const HEAD: usize = 4;
/// A longer message is none.
const LONGEST: usize = 16 << 20;

/// Bytes that came, up to the messages that were taken.
#[derive(Debug, Default)]
pub(in crate::clients) struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// More came.
    pub(in crate::clients) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message; the length of one that is too long as an error.
    pub(in crate::clients) fn next(&mut self) -> Result<Option<&[u8]>, usize> {
        let rest = &self.bytes[self.taken..];
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > LONGEST {
            return Err(length);
        }
        let Some(text) = rest.get(..length) else { return Ok(None) };
        self.taken += HEAD + length;
        Ok(Some(text))
    }

    /// Whether a message is cut off.
    pub(in crate::clients) fn open(&self) -> bool {
        self.taken < self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let stream = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03cde";
        for size in 1..=stream.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for part in stream.chunks(size) {
                frames.push(part);
                while let Some(text) = frames.next().unwrap() {
                    found.push(text.to_vec());
                }
            }
            assert_eq!(found, [b"ab".to_vec(), Vec::new(), b"cde".to_vec()], "in pieces of {size}");
            assert!(!frames.open());
        }
        let mut frames = Frames::default();
        frames.push(&[0xff; 5]);
        assert_eq!(frames.next(), Err(0xffff_ffff));
    }
}
