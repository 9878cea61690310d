//! The head of an answer as the direct engine keeps it: its status, and what is wrong with its fields.

use http::StatusCode;

use super::Conflict;
use crate::{
    plan::{Compression, TransportOptions},
    worker::ClientError,
};

/// One answer's head.
#[derive(Debug, Default)]
pub(super) struct Answer {
    status: u16,
    /// Whether anything of it came.
    pub(super) begun: bool,
    /// A content coding that was not asked for.
    coding: Option<Box<str>>,
}

impl Answer {
    /// It begins.
    pub(super) fn status(&mut self, status: u16) {
        *self = Self { status, begun: true, coding: None };
    }

    /// Takes in a field.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"content-encoding") && value != b"identity" {
            self.coding = Some(text(value));
        }
    }

    /// Its status, unless it only announces the answer (RFC 9110 section 15.2).
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.status, 100 | 102..=199)
    }

    /// An error unless its status is one of `expected`, and its body is as it is.
    pub(super) fn check(&mut self, taken: &[u16], expected: &'static str) -> Result<(), ClientError> {
        if !taken.contains(&self.status) {
            let found = StatusCode::from_u16(self.status).unwrap_or_default();
            return Err(ClientError::Status { found, expected });
        }
        match self.coding.take() {
            Some(coding) => Err(ClientError::Coding(coding.into())),
            None => Ok(()),
        }
    }
}

/// A field's value, to be shown.
pub(super) fn text(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value).into()
}

/// Compressed answers are the libraries' matter.
pub(super) fn gzip(options: &TransportOptions) -> Option<Conflict> {
    (options.compression == Compression::Gzip).then_some(Conflict {
        what: "`engine = \"direct\"` and `compression = \"gzip\"`",
        why: "the direct engine inflates nothing: leave one of the two out",
    })
}
