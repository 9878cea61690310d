//! One long answer on the direct engine: what event streams and lines have in common.

use std::io;

use wire::HeadKind;

use super::{
    answer::{self, Answer},
    prepared::{self, Prepared},
};
use crate::{
    direct::{self, Dialogue, Setup, Turn},
    worker::{ClientError, Found},
};

/// A transport whose messages come in one answer.
pub(super) struct Streaming {
    /// The reference server's path.
    pub(super) path: &'static str,
    /// What the answer has to be.
    pub(super) media_type: &'static str,
    /// The text of a message; its second argument is room for one that is in several pieces.
    pub(super) text: for<'a> fn(&'a [u8], &'a mut Vec<u8>) -> Option<&'a [u8]>,
}

impl Streaming {
    /// Runs a worker's clients; `own` are fields besides the profile's.
    pub(super) fn run(self, setup: Setup, own: &[(&'static str, String)]) -> io::Result<Found> {
        let prepared = Prepared::new(&setup.job, own).map_err(io::Error::other)?;
        direct::run(setup, Stream { transport: self, prepared, joined: Vec::new() })
    }
}

struct Stream {
    transport: Streaming,
    prepared: Prepared,
    joined: Vec<u8>,
}

/// One client.
#[derive(Default)]
struct Reader {
    answer: Answer,
    media: Media,
}

/// What the head says that the body is.
#[derive(Default)]
enum Media {
    #[default]
    Untold,
    Right,
    Wrong(Box<str>),
}

impl Dialogue for Stream {
    type Client = Reader;
    const ON_TIME: bool = false;

    fn open(&mut self, _reader: &mut Reader, turn: &mut Turn<'_>) {
        let symbols = turn.desk.job.symbols(turn.index).map(|symbols| symbols.join(","));
        let path = turn.desk.job.endpoint.path.clone();
        let path = path.as_deref().unwrap_or(self.transport.path);
        prepared::target(turn.out, (path, None), "", symbols.as_deref());
        self.prepared.end(turn.out);
    }

    fn status(&mut self, reader: &mut Reader, status: u16) {
        reader.answer.status(status);
    }

    fn field(&mut self, reader: &mut Reader, name: &[u8], value: &[u8]) {
        reader.answer.field(name, value);
        if name.eq_ignore_ascii_case(b"content-type") {
            let expected = self.transport.media_type.as_bytes();
            let found = value.get(..expected.len()).unwrap_or_default();
            let right = found.eq_ignore_ascii_case(expected);
            reader.media = if right { Media::Right } else { Media::Wrong(answer::text(value)) };
        }
    }

    fn head(
        &mut self,
        reader: &mut Reader,
        _kind: HeadKind,
        _turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        if !reader.answer.is_final() {
            return Ok(());
        }
        reader.answer.check(&[200], "200")?;
        let found = match std::mem::take(&mut reader.media) {
            Media::Right => return Ok(()),
            Media::Untold => "none".to_owned(),
            Media::Wrong(found) => found.into(),
        };
        Err(ClientError::Type { found, expected: self.transport.media_type })
    }

    #[inline]
    fn message(
        &mut self,
        _reader: &mut Reader,
        text: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<u64, ClientError> {
        let text = (self.transport.text)(text, &mut self.joined).ok_or(ClientError::Unscanned)?;
        let took = turn.take(text)?;
        // With its first message, the snapshot, the stream stands.
        turn.stands = true;
        Ok(took.payload)
    }
}
