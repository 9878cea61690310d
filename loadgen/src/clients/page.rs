//! What a transport says of pages that speak it with the browser's own interfaces.

use serde_json::{Value, json};

use super::Conflict;
use crate::{plan::TransportOptions, worker::Job};

/// How a page speaks a transport.
#[derive(Clone, Copy)]
pub struct Page {
    /// An expression of JavaScript, `(task, tell) => ({ start, close })`: see `browser/page.js`.
    pub script: &'static str,
    /// What the tab of the worker's client `index` is told.
    pub task: fn(&Job, usize) -> Value,
    /// Options that no page has.
    pub conflict: fn(&TransportOptions) -> Option<Conflict>,
}

/// Names of the symbols that the client wants, as queries have them; null for all.
pub(super) fn symbols(job: &Job, index: usize) -> Value {
    json!(job.symbols(index).map(|symbols| symbols.join(",")))
}

/// No option is beyond a page.
pub(super) fn any(_options: &TransportOptions) -> Option<Conflict> {
    None
}
