//! Chunked transfer coding (RFC 9112 section 7.1): chunk heads, the line ends after chunks, trailers.
//!
//! It does not know what the chunks carry: data goes to a [`Content`]. A bare LF is taken as a line end.

use memchr::memchr;

use crate::content::Content;
use crate::head::LONGEST_HEAD;
use crate::{Part, ScanError, Sink};

/// Scans one chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// Bytes of the chunk head, or of the trailers, so far.
    head_len: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLineFeed { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataLineFeed,
    Trailer { line_len: usize, after_cr: bool },
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl State {
    /// What follows a chunk head; a size of 0 is the last chunk's.
    fn after_head(size: u64) -> Self {
        if size == 0 { Self::Trailer { line_len: 0, after_cr: false } } else { Self::Data { left: size } }
    }
}

impl Chunked {
    /// Returns how many bytes it took; fewer than all of them only at the end of the body.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        content: &mut Content,
        sink: &mut impl Sink,
    ) -> Result<usize, ScanError> {
        let mut used = 0;
        while used < bytes.len() && !self.is_done() {
            let rest = &bytes[used..];
            used += match self.state {
                State::Data { left } => {
                    let take = left.min(rest.len() as u64);
                    let left = left - take;
                    content.feed(&rest[..take as usize], left == 0, sink)?;
                    self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                    take as usize
                }
                State::DataEnd | State::DataLineFeed => {
                    self.data_end(rest[0])?;
                    sink.count(Part::TransportFraming, 1);
                    if let State::Size { .. } = self.state
                        && content.is_between_messages()
                    {
                        sink.boundary();
                    }
                    1
                }
                State::Trailer { line_len, after_cr } => self.trailer(line_len, after_cr, rest, sink)?,
                State::Size { .. } | State::Extension { .. } | State::SizeLineFeed { .. } => {
                    self.head(rest, sink)?
                }
                State::Done => 0,
            };
        }
        Ok(used)
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Scans a chunk head up to its end or that of the bytes.
    fn head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, ScanError> {
        let (mut used, mut digits) = (0, 0);
        while used < bytes.len() {
            // An extension may be long: up to its LF no byte of it matters.
            let taken = if let State::Extension { .. } = self.state {
                memchr(b'\n', &bytes[used..]).unwrap_or(bytes.len() - used).max(1)
            } else {
                1
            };
            self.lengthen(taken)?;
            let byte = bytes[used + taken - 1];
            digits += usize::from(matches!(self.state, State::Size { .. }) && byte.is_ascii_hexdigit());
            self.state = next_of_head(self.state, byte)?;
            used += taken;
            if matches!(self.state, State::Data { .. } | State::Trailer { .. }) {
                self.head_len = 0;
                break;
            }
        }
        sink.count(Part::TransportFraming, used);
        sink.length_digits(digits);
        Ok(used)
    }

    fn data_end(&mut self, byte: u8) -> Result<(), ScanError> {
        self.state = match (self.state, byte) {
            (_, b'\n') => State::default(),
            (State::DataEnd, b'\r') => State::DataLineFeed,
            (_, found) => return Err(ScanError::ChunkEnd { found }),
        };
        Ok(())
    }

    /// Scans one line of trailers, or what there is of it; a blank one ends the body.
    fn trailer(
        &mut self,
        line_len: usize,
        after_cr: bool,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<usize, ScanError> {
        let found = memchr(b'\n', bytes);
        let piece = &bytes[..found.unwrap_or(bytes.len())];
        let line_len = line_len + piece.len();
        let after_cr = piece.last().map_or(after_cr, |&byte| byte == b'\r');
        let used = piece.len() + usize::from(found.is_some());
        self.lengthen(used)?;
        self.state = match found {
            None => State::Trailer { line_len, after_cr },
            Some(_) if line_len == usize::from(after_cr) => State::Done,
            Some(_) => State::Trailer { line_len: 0, after_cr: false },
        };
        sink.count(Part::Headers, used);
        Ok(used)
    }

    fn lengthen(&mut self, bytes: usize) -> Result<(), ScanError> {
        self.head_len += bytes;
        if self.head_len > LONGEST_HEAD {
            return Err(ScanError::HeadTooLong { limit: LONGEST_HEAD });
        }
        Ok(())
    }
}

/// The state after `byte` of a chunk head.
fn next_of_head(state: State, byte: u8) -> Result<State, ScanError> {
    let wrong = Err(ScanError::ChunkHead { found: byte });
    match state {
        State::Size { size, digits } => match (byte, char::from(byte).to_digit(16)) {
            (_, Some(_)) if size >> 60 != 0 => wrong,
            (_, Some(digit)) => Ok(State::Size { size: size << 4 | u64::from(digit), digits: 1 }),
            _ if digits == 0 => wrong,
            (b'\n', None) => Ok(State::after_head(size)),
            (b'\r', None) => Ok(State::SizeLineFeed { size }),
            (b';' | b' ' | b'\t', None) => Ok(State::Extension { size }),
            (_, None) => wrong,
        },
        State::Extension { size } if byte == b'\n' => Ok(State::after_head(size)),
        State::SizeLineFeed { size } if byte == b'\n' => Ok(State::after_head(size)),
        State::SizeLineFeed { .. } => wrong,
        State::Extension { .. }
        | State::Data { .. }
        | State::DataEnd
        | State::DataLineFeed
        | State::Trailer { .. }
        | State::Done => Ok(state),
    }
}
