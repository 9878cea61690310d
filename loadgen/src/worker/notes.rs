//! What a worker notes besides figures: what went wrong with clients, and how streams were closed.

use std::collections::BTreeMap;

use measurement::validity::Exhausted;

use super::ClientError;
use crate::exhaustion;

/// Errors that are kept; those of the other clients are the same, mostly.
const KEPT: usize = 5;
/// Characters of a message that are shown.
const SHOWN: usize = 200;

/// Notes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The first few errors.
    pub(crate) errors: Vec<String>,
    /// Clients that could not get what they needed from the system.
    pub(crate) exhausted: Exhausted,
    /// The first message in a room that was nothing a member said: told where nothing else was heard.
    unread: Option<String>,
    /// Close frames of the server by their code.
    pub(crate) closes: BTreeMap<u16, u64>,
}

impl Notes {
    /// Something went wrong.
    pub(crate) fn error(&mut self, error: String) {
        if self.errors.len() < KEPT {
            self.errors.push(error);
        }
    }

    /// Something went wrong with that client.
    pub(crate) fn client(&mut self, number: u32, error: &ClientError) {
        self.exhausted.merge(exhaustion::of(error));
        self.error(format!("client {number}: {error}"));
    }

    /// A message in a room was nothing that a member said.
    pub(crate) fn unread(&mut self, text: &str) {
        self.unread.get_or_insert_with(|| text.chars().take(SHOWN).collect());
    }

    /// The worker's end: who heard no member at all may have been told where to find what they say, and wrongly.
    pub(crate) fn heard(&mut self, updates: u64) {
        if let Some(first) = self.unread.take().filter(|_| updates == 0) {
            self.error(format!("nothing that a member said was found in what came; the first was {first:?}"));
        }
    }

    /// The server's close frame came. One without a code counts as 1005 (RFC 6455 section 7.1.5).
    pub(crate) fn closed(&mut self, code: Option<u16>) {
        *self.closes.entry(code.unwrap_or(1005)).or_default() += 1;
    }

    /// A stream ended without a close frame: code 1006 (RFC 6455 section 7.1.5).
    pub(crate) fn unclosed(&mut self) {
        *self.closes.entry(1006).or_default() += 1;
    }
}
