//! NDJSON on the direct engine: a message is its line without the end.

use std::io;

use super::{super::streaming::Streaming, MEDIA_TYPE, PATH};
use crate::{direct::Setup, worker::Found};

pub(in crate::clients) fn direct(setup: Setup) -> io::Result<Found> {
    Streaming { path: PATH, media_type: MEDIA_TYPE, text: line }.run(setup, &[])
}

fn line<'a>(line: &'a [u8], _joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}
