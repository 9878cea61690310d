//! A connection of either version of HTTP: one type for those who hold a socket and do not care which.

use crate::{Bodies, Http1, Http2, ScanError, Sink};

/// Scans both directions of one connection.
#[derive(Debug)]
pub enum Connection {
    /// HTTP/1.1, and what it is upgraded to.
    Http1(Box<Http1>),
    /// HTTP/2.
    Http2(Box<Http2>),
}

impl Connection {
    /// HTTP/1.1: its heads tell what the bodies are.
    pub fn http1() -> Self {
        Self::Http1(Box::default())
    }

    /// HTTP/2, whose heads are compressed: the caller tells what the bodies are.
    pub fn http2(bodies: Bodies) -> Self {
        Self::Http2(Box::new(Http2::new(bodies)))
    }

    /// Scans bytes from client to server. After an error it fails for good, in both directions.
    pub fn up(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        match self {
            Self::Http1(connection) => connection.up(bytes, sink),
            Self::Http2(connection) => connection.up(bytes, sink),
        }
    }

    /// Scans bytes from server to client. After an error it fails for good, in both directions.
    pub fn down(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        match self {
            Self::Http1(connection) => connection.down(bytes, sink),
            Self::Http2(connection) => connection.down(bytes, sink),
        }
    }

    /// Both directions have closed; see [`Http1::settle`].
    pub fn settle(&mut self, up: &mut impl Sink, down: &mut impl Sink) {
        match self {
            Self::Http1(connection) => connection.settle(up, down),
            Self::Http2(connection) => connection.settle(up, down),
        }
    }
}
