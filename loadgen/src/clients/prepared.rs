//! Requests of the direct engine: formed once by the library that the other engine uses, then written again and again
//! with only the target and the tag replaced.

use http::{Method, Request};
use wire::{HeadKind, Http1, Part, Sink};

use super::request;
use crate::{
    plan::Http,
    worker::{ClientError, Job},
};

/// A tag that no server gives, to be replaced.
const TAG: &str = "\"tag to be replaced\"";

/// GET requests of one worker's clients: all fields as they are sent.
pub(super) struct Prepared {
    /// What follows the target.
    rest: Vec<u8>,
    /// The same with a tag to be sent between the two.
    tagged: (Vec<u8>, Vec<u8>),
    /// Digits of `rest` that grow, ports say.
    digits: u64,
}

impl Prepared {
    /// Requests with the profile's fields and those that the transport adds or replaces.
    pub(super) fn new(job: &Job, own: &[(&'static str, String)]) -> Result<Self, ClientError> {
        let rest = rest(job, own)?;
        let mut tagged_own = own.to_vec();
        tagged_own.push(("if-none-match", TAG.to_owned()));
        let with_tag = rest_of(&formed(job, &tagged_own)?);
        let at = with_tag.windows(TAG.len()).position(|window| window == TAG.as_bytes());
        let at = at.unwrap_or(with_tag.len() - TAG.len());
        let (before, after) = (with_tag[..at].to_vec(), with_tag[at + TAG.len()..].to_vec());
        let whole = [b"GET /".as_slice(), &rest].concat();
        let mut steady = Steady(0);
        Http1::new().up(&whole, &mut steady)?;
        Ok(Self { rest, tagged: (before, after), digits: whole.len() as u64 - steady.0 })
    }

    /// Ends a request that was begun in `out` with `GET ` and its target.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rest);
    }

    /// The same with a tag.
    pub(super) fn end_tagged(&self, tag: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tagged.0);
        out.extend_from_slice(tag);
        out.extend_from_slice(&self.tagged.1);
    }

    /// Length of a whole request without the digits that grow; `digits` are those of its cursor and its tag.
    pub(super) fn steady(&self, request: &[u8], digits: usize) -> u64 {
        request.len() as u64 - self.digits - digits as u64
    }
}

/// A request with a cursor: its target is the path and the query.
pub(super) fn target(
    out: &mut Vec<u8>,
    (path, cursor): (&str, Option<u64>),
    more: &str,
    symbols: Option<&str>,
) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(path.as_bytes());
    if let Some(cursor) = cursor {
        out.extend_from_slice(b"?after=");
        number(out, cursor);
        out.extend_from_slice(more.as_bytes());
    }
    if let Some(symbols) = symbols {
        out.push(if cursor.is_some() { b'&' } else { b'?' });
        out.extend_from_slice(b"symbols=");
        out.extend_from_slice(symbols.as_bytes());
    }
}

/// Appends a number; returns nothing and allocates nothing.
fn number(out: &mut Vec<u8>, number: u64) {
    use std::io::Write as _;
    // Writing to a Vec does not fail.
    let _ = write!(out, "{number}");
}

/// Digits of a cursor.
pub(super) fn digits(cursor: Option<u64>) -> usize {
    cursor.map_or(0, |cursor| cursor.checked_ilog10().unwrap_or(0) as usize + 1)
}

/// A request as bytes: fields in the order and the case in which hyper writes them.
pub(super) fn bytes(request: &Request<()>) -> Vec<u8> {
    let mut out = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn formed(job: &Job, own: &[(&'static str, String)]) -> Result<Request<()>, ClientError> {
    let fields = (job.variant.headers.as_slice(), own);
    request::formed((&job.endpoint, Http::H1), Method::GET, "/", fields, ())
}

/// What follows the target of a GET request.
pub(super) fn rest(job: &Job, own: &[(&'static str, String)]) -> Result<Vec<u8>, ClientError> {
    Ok(rest_of(&formed(job, own)?))
}

fn rest_of(request: &Request<()>) -> Vec<u8> {
    bytes(request).split_off("GET /".len())
}

/// The length of a head without digits that grow.
struct Steady(u64);

impl Sink for Steady {
    fn count(&mut self, _part: Part, _bytes: usize) {}
    fn message(&mut self, _body_bytes: u64) {}
    fn boundary(&mut self) {}
    fn head(&mut self, _kind: HeadKind, bytes: u64) {
        self.0 = bytes;
    }
}
