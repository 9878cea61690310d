//! A counted HTTP connection of a session: a GET or a POST, and its body. It knows no packets.

use std::rc::Rc;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use wire::Bodies;

use super::request;
use crate::{
    conditions::HTTP_READ_BUFFER,
    plan::Compression,
    socket::{Socket, Unit},
    worker::{Client, ClientError},
};

/// One connection, open until it is closed in order.
pub(super) struct Line {
    requests: SendRequest<Full<Bytes>>,
    socket: Rc<Socket>,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
    /// Whether it has brought an answer: if not, there is no reason to try again.
    answered: bool,
}

/// A whole answer, its body claimed as framing.
pub(super) struct Answer {
    /// The body.
    pub(super) body: Bytes,
    /// Its message in the byte stream; `None` without a body.
    pub(super) unit: Option<Unit>,
    /// The connection it came on.
    pub(super) socket: Rc<Socket>,
}

impl Line {
    /// Connects.
    pub(super) async fn open(client: &Client) -> Result<Self, ClientError> {
        let socket = client.connect(Bodies::Whole).await.map_err(ClientError::Connect)?;
        let builder = &mut http1::Builder::new();
        let (requests, connection) =
            builder.max_buf_size(HTTP_READ_BUFFER).handshake(TokioIo::new(socket.wire())).await?;
        let connection = tokio::task::spawn_local(connection);
        Ok(Self { requests, socket, connection, answered: false })
    }

    /// Asks once: a POST with a body, of which so much is payload, a GET without. The line comes back with the answer, another one if the
    /// server had closed it since its last answer (RFC 9112 section 9.3.1).
    pub(super) async fn ask(
        mut self,
        client: &Client,
        path: &str,
        body: Option<(Bytes, u64)>,
    ) -> Result<(Self, Answer), ClientError> {
        let mut sent = self.send(client, path, body.clone()).await;
        if matches!(sent, Ok(None)) {
            let fresh = Self::open(client).await?;
            std::mem::replace(&mut self, fresh).close(client).await;
            sent = self.send(client, path, body).await;
            if matches!(sent, Ok(Some(_))) {
                client.reconnected();
            }
        }
        match sent {
            Ok(Some(answer)) => Ok((self, answer)),
            failed => {
                self.close(client).await;
                Err(failed.err().unwrap_or(ClientError::Closed))
            }
        }
    }

    /// `None` if the connection was closed before anything of the answer came.
    async fn send(
        &mut self,
        client: &Client,
        path: &str,
        body: Option<(Bytes, u64)>,
    ) -> Result<Option<Answer>, ClientError> {
        if self.requests.ready().await.is_err() {
            return Ok(None);
        }
        let (method, own) = match &body {
            None => (Method::GET, Vec::new()),
            Some(_) => (Method::POST, posted(client)),
        };
        let posts = body.as_ref().map(|(_, payload)| *payload);
        let body = body.map(|(body, _)| body);
        let fields = &client.plan().headers;
        let request = request::of(client, method, path, (fields, &own), Full::new(body.unwrap_or_default()))?;
        let response = self.requests.send_request(request).await;
        // A body that was cut off by the server's close is no message.
        let claimed = posts.is_none_or(|payload| self.socket.claim_sent_payload(payload).is_some());
        let response = match response {
            Ok(response) => response,
            Err(error) if self.answered && crossed(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !claimed {
            return Err(ClientError::Unscanned);
        }
        self.answered = true;
        let (head, body) = response.into_parts();
        request::is_gzip(&head.headers, Compression::None)?;
        let body = body.collect().await?.to_bytes();
        let unit = if body.is_empty() { None } else { self.socket.claim(0) };
        if unit.is_none() && !body.is_empty() {
            return Err(ClientError::Unscanned);
        }
        match head.status {
            StatusCode::OK => Ok(Some(Answer { body, unit, socket: Rc::clone(&self.socket) })),
            found => Err(ClientError::Status { found, expected: "200" }),
        }
    }

    /// Closes in order.
    pub(super) async fn close(self, client: &Client) {
        drop(self.requests);
        // With the last sender gone hyper ends by itself, unless an answer is still held: then it is given up.
        if !self.connection.is_finished() {
            tokio::task::yield_now().await;
        }
        self.connection.abort();
        let _ = self.connection.await;
        client.finish(self.socket).await;
    }
}

impl Answer {
    /// When it was whole; the last read without a body.
    pub(super) fn stamp_ns(&self) -> u64 {
        self.unit.map_or_else(|| self.socket.last_read_ns(), |unit| unit.stamp_ns)
    }
}

/// Whether the server's close and our request have crossed: an end without an answer, or a reset.
fn crossed(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    let kinds = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io.is_some_and(|io| kinds.contains(&io.kind()))
}

/// What the official client, in a page, adds to the profile's fields of a POST.
fn posted(client: &Client) -> Vec<(&'static str, String)> {
    let mut own = vec![("content-type", "text/plain;charset=UTF-8".to_owned())];
    if request::is_of_a_page(client) && !client.plan().sets_origin() {
        own.push(("origin", client.endpoint().origin()));
    }
    own
}
