//! An HTTP/1.1 connection (RFC 9112), seen from either side, until it closes or becomes a WebSocket.
//!
//! It joins the two directions: which request a response answers, and when both switch to frames. It does not
//! know time, phases or what a body means.

use std::collections::VecDeque;

use crate::body::{Body, Framing};
use crate::chunked::Chunked;
use crate::content::{Bodies, Content};
use crate::fields::Coding;
use crate::head::{Head, HeadReader, Method, Side, Start};
use crate::websocket::Frames;
use crate::{HeadKind, Part, ScanError, Sink};

/// Scans both directions of one connection.
///
/// Feed it in the order in which this side saw the bytes: a request before its response. It allocates only
/// while its buffers grow to the longest header line that was split, and to the most requests on their way.
///
/// ```
/// let (mut up, mut down) = (wire::Tally::default(), wire::Tally::default());
/// let mut connection = wire::Http1::new();
/// connection.up(b"GET /quotes HTTP/1.1\r\nHost: x\r\n\r\n", &mut up)?;
/// connection.down(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", &mut down)?;
/// assert_eq!((up.headers, down.headers, down.body, down.messages), (33, 38, 2, 1));
/// # Ok::<(), wire::ScanError>(())
/// ```
#[derive(Debug)]
pub struct Http1 {
    up: Direction,
    down: Direction,
    /// Methods of the requests that have no response yet, oldest first.
    asked: VecDeque<Method>,
    failed: Option<ScanError>,
}

/// One direction of a connection.
#[derive(Debug)]
struct Direction {
    side: Side,
    stage: Stage,
}

/// What comes next in one direction.
#[derive(Debug)]
enum Stage {
    Head(HeadReader),
    Body(Body),
    Frames(Frames),
    Closed,
}

/// What a head says comes after it.
enum Next {
    Head,
    Body(Framing),
    Frames,
}

impl Default for Http1 {
    fn default() -> Self {
        Self::new()
    }
}

impl Http1 {
    /// A connection on which nothing was sent yet.
    pub fn new() -> Self {
        let (up, down) = (Direction::new(Side::Client), Direction::new(Side::Server));
        Self { up, down, asked: VecDeque::new(), failed: None }
    }

    /// Scans bytes from client to server. After an error it fails for good, in both directions.
    pub fn up(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        self.not_failed()?;
        let result = self.scan_up(bytes, sink);
        self.keep_failure(result)
    }

    /// Counts a GET request without a body that differs from one scanned before in growing digits only: `bytes` long,
    /// `steady_bytes` without them. Returns false, and does nothing, where no request may begin.
    ///
    /// A client that polls says the same each time: reading it again tells nothing new.
    pub fn up_same_get(&mut self, bytes: usize, steady_bytes: u64, sink: &mut impl Sink) -> bool {
        if !self.up.is_between_heads() || self.failed.is_some() {
            return false;
        }
        sink.count(Part::Headers, bytes);
        self.asked.push_back(Method::Get);
        sink.head(HeadKind::Get, steady_bytes);
        sink.boundary();
        true
    }

    /// Scans bytes from server to client. After an error it fails for good, in both directions.
    pub fn down(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        self.not_failed()?;
        let result = self.scan_down(bytes, sink);
        self.keep_failure(result)
    }

    /// Bytes from server to client that were fed but not counted yet: an SSE block without its end.
    ///
    /// Bytes fed are bytes counted and this, at any moment unless the scan failed. From client to server
    /// nothing is ever pending.
    pub fn pending(&self) -> u64 {
        self.down.pending()
    }

    /// Both directions have closed: counts what is pending as app framing and ends a body that lasts until
    /// close. After that nothing is pending, and more bytes are an error. A second call does nothing.
    pub fn settle(&mut self, up: &mut impl Sink, down: &mut impl Sink) {
        if self.failed.is_none() {
            self.up.close(up);
            self.down.close(down);
        }
    }

    fn not_failed(&self) -> Result<(), ScanError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn keep_failure(&mut self, result: Result<(), ScanError>) -> Result<(), ScanError> {
        self.failed = result.as_ref().err().cloned();
        result
    }

    fn scan_up(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            let (used, head) = self.up.scan(bytes, sink)?;
            bytes = &bytes[used..];
            if let Some(head) = head {
                if let Start::Request(method) = head.start {
                    self.asked.push_back(method);
                    let get = method == Method::Get;
                    sink.head(if get { HeadKind::Get } else { HeadKind::OtherRequest }, head.steady_bytes);
                }
                self.up.go_on(after_request(&head)?, &head, sink);
            }
        }
        Ok(())
    }

    fn scan_down(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            let (used, head) = self.down.scan(bytes, sink)?;
            bytes = &bytes[used..];
            if let Some(head) = head {
                let (next, kind) = self.after_response(&head)?;
                sink.head(kind, head.steady_bytes);
                self.down.go_on(next, &head, sink);
            }
        }
        Ok(())
    }

    /// What follows a response's head (RFC 9112 section 6.3, in its order).
    fn after_response(&mut self, head: &Head) -> Result<(Next, HeadKind), ScanError> {
        let status = match head.start {
            Start::Response { status } => status,
            Start::Request(_) => return Ok((Next::Head, HeadKind::OtherResponse)),
        };
        if matches!(status, 100 | 102..=199) {
            return Ok((Next::Head, HeadKind::OtherResponse));
        }
        // A response that no request asked for, a 408 say, is read as one to GET.
        let method = self.asked.pop_front().unwrap_or(Method::Other);
        let next = self.after_status(head, status, method)?;
        let kind = match (&next, method) {
            (Next::Body(_), Method::Get) => HeadKind::Content,
            (Next::Head, Method::Get) => HeadKind::NoContent,
            (Next::Frames, _) | (_, Method::Head | Method::Connect | Method::Other) => {
                HeadKind::OtherResponse
            }
        };
        Ok((next, kind))
    }

    fn after_status(&mut self, head: &Head, status: u16, method: Method) -> Result<Next, ScanError> {
        match (status, method) {
            (101, _) => self.switch_up(head).map(|()| Next::Frames),
            (200..=299, Method::Connect) => Err(ScanError::Tunnel),
            (204 | 304, _) | (_, Method::Head) => Ok(Next::Head),
            (_, Method::Connect | Method::Get | Method::Other) => {
                Ok(match (head.fields.coding, head.fields.content_length) {
                    (Some(Coding::Chunked), _) => Next::Body(Framing::Chunked(Chunked::default())),
                    (Some(Coding::Other), _) | (None, None) => Next::Body(Framing::UntilClose),
                    (None, Some(0)) => Next::Head,
                    (None, Some(length)) => Next::Body(Framing::Length(length)),
                })
            }
        }
    }

    /// Makes the client's direction a WebSocket, too.
    fn switch_up(&mut self, head: &Head) -> Result<(), ScanError> {
        if !head.fields.upgrades_to_websocket {
            return Err(ScanError::OtherProtocol);
        }
        if !self.up.is_between_heads() {
            return Err(ScanError::SwitchedEarly);
        }
        self.up.stage = Stage::Frames(Frames::default());
        Ok(())
    }
}

/// What follows a request's head (RFC 9112 section 6.3): never a body until close.
fn after_request(head: &Head) -> Result<Next, ScanError> {
    match (head.fields.coding, head.fields.content_length) {
        (Some(Coding::Chunked), _) => Ok(Next::Body(Framing::Chunked(Chunked::default()))),
        (Some(Coding::Other), _) => Err(ScanError::RequestCoding),
        (None, None | Some(0)) => Ok(Next::Head),
        (None, Some(length)) => Ok(Next::Body(Framing::Length(length))),
    }
}

impl Direction {
    fn new(side: Side) -> Self {
        Self { side, stage: Stage::Head(HeadReader::new(side)) }
    }

    /// Whether the next byte begins a head.
    fn is_between_heads(&self) -> bool {
        matches!(&self.stage, Stage::Head(heads) if heads.is_at_rest())
    }

    /// Returns how many bytes it took, and a head if one ends with them.
    fn scan(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(usize, Option<Head>), ScanError> {
        match &mut self.stage {
            Stage::Head(heads) => heads.feed(bytes, sink),
            Stage::Body(body) => {
                let used = body.feed(bytes, sink)?;
                if body.is_done() {
                    body.end(sink);
                    self.stage = Stage::Head(HeadReader::new(self.side));
                }
                Ok((used, None))
            }
            Stage::Frames(frames) => frames.feed(bytes, sink).map(|()| (bytes.len(), None)),
            Stage::Closed => Err(ScanError::AfterEnd { bytes: bytes.len() }),
        }
    }

    fn go_on(&mut self, next: Next, head: &Head, sink: &mut impl Sink) {
        let stage = match next {
            Next::Body(framing) => {
                // Only responses are read by event source clients.
                let answers = matches!(head.start, Start::Response { .. });
                let bodies = if answers { head.fields.bodies() } else { Bodies::Whole };
                Some(Stage::Body(Body::new(framing, Content::of_response(bodies))))
            }
            Next::Head => None,
            Next::Frames => Some(Stage::Frames(Frames::default())),
        };
        // A reader of heads that goes on with the next one keeps its room.
        if let Some(stage) = stage {
            self.stage = stage;
        }
        // Before its first event an event stream is between messages, too.
        let rests = if let Stage::Body(body) = &self.stage { body.is_between_messages() } else { true };
        if rests {
            sink.boundary();
        }
    }

    fn pending(&self) -> u64 {
        match &self.stage {
            Stage::Body(body) => body.pending(),
            Stage::Head(_) | Stage::Frames(_) | Stage::Closed => 0,
        }
    }

    fn close(&mut self, sink: &mut impl Sink) {
        if let Stage::Body(body) = &mut self.stage {
            body.close(sink);
        }
        self.stage = Stage::Closed;
    }
}

#[cfg(test)]
mod tests;
