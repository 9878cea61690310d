//! Requests and answers on a connection of one's own, or on an ordinary pooled client: what polls have in common.

use std::rc::Rc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use ticker::clock;

use super::{
    message::{self, Incoming as Message},
    request,
};
use crate::{
    socket::Socket,
    worker::{Client, ClientError},
};

const READ_BUFFER: usize = 8192;

/// What requests go out on.
pub(super) struct Exchange {
    line: Line,
    /// The entity tag of the newest answer.
    tag: Option<String>,
}

enum Line {
    Counted(Box<Counted>),
    Pooled(reqwest::Client),
}

/// A connection whose every byte is counted.
struct Counted {
    requests: SendRequest<Empty<Bytes>>,
    socket: Rc<Socket>,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

/// What one answer brought.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the next question says; `None` for "not modified" and for an answer without one.
    pub(super) cursor: Option<String>,
    /// New updates.
    pub(super) updates: usize,
    /// When it was whole.
    pub(super) done_ns: u64,
}

/// A question.
pub(super) struct Question<'a> {
    /// Path and query.
    pub(super) path: &'a str,
    /// Whether it may be answered with "not modified".
    pub(super) conditional: bool,
    /// Whether it is the client's first: its answer is where the client stands.
    pub(super) opening: bool,
}

impl Exchange {
    /// Connects.
    pub(super) async fn open(client: &Client) -> Result<Self, ClientError> {
        let line = match &client.worker.http {
            Some(pool) => Line::Pooled(pool.clone()),
            None => Line::Counted(Box::new(Counted::open(client).await?)),
        };
        Ok(Self { line, tag: None })
    }

    /// Asks once. A connection that the server closed between two questions is opened again, as browsers do
    /// (RFC 9112 section 9.3.1).
    pub(super) async fn ask(
        &mut self,
        client: &Client,
        question: &Question<'_>,
    ) -> Result<Answer, ClientError> {
        let tag = self.tag.take().filter(|_| question.conditional);
        let own: Vec<(&'static str, String)> =
            tag.clone().map(|tag| ("if-none-match", tag)).into_iter().collect();
        let (status, head, body) = match &mut self.line {
            Line::Counted(counted) => {
                let mut response = counted.send(client, question.path, &own).await?;
                if response.is_none() {
                    let fresh = Counted::open(client).await?;
                    std::mem::replace(&mut **counted, fresh).close(client).await;
                    client.reconnected();
                    response = counted.send(client, question.path, &own).await?;
                }
                let (head, body) = response.ok_or(ClientError::Closed)?.into_parts();
                (head.status, head.headers, body.collect().await?.to_bytes())
            }
            Line::Pooled(pool) => {
                let url = format!("{}{}", client.endpoint().origin(), question.path);
                let (head, ()) = request::get(client, &url, &own, ())?.into_parts();
                let response = pool.get(url).headers(head.headers).send().await?;
                (response.status(), response.headers().clone(), response.bytes().await?)
            }
        };
        request::refuse_coding(&head)?;
        let told = head.get(http::header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        self.tag = told.or(tag);
        self.take(client, question, status, &body)
    }

    fn take(
        &self,
        client: &Client,
        question: &Question<'_>,
        status: StatusCode,
        body: &[u8],
    ) -> Result<Answer, ClientError> {
        match status {
            StatusCode::OK if !body.is_empty() => {}
            StatusCode::OK | StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT => {
                return Ok(Answer { done_ns: self.last_read_ns(), ..Answer::default() });
            }
            found => return Err(ClientError::Status { found, expected: "200, 204 or 304" }),
        }
        let incoming = Message { text: body, event: None, opening: question.opening };
        let took = message::take(client, &incoming, |payload| match &self.line {
            Line::Counted(counted) => counted.socket.claim(payload).map(|unit| unit.stamp_ns),
            Line::Pooled(_) => {
                let stamp_ns = clock::now_ns();
                client.unsocketed_payload(payload, stamp_ns);
                Some(stamp_ns)
            }
        })?;
        Ok(Answer { cursor: took.cursor, updates: took.updates, done_ns: took.stamp_ns })
    }

    fn last_read_ns(&self) -> u64 {
        match &self.line {
            Line::Counted(counted) => counted.socket.last_read_ns(),
            Line::Pooled(_) => clock::now_ns(),
        }
    }

    /// Closes in order.
    pub(super) async fn close(self, client: &Client) {
        if let Line::Counted(counted) = self.line {
            counted.close(client).await;
        }
    }
}

impl Counted {
    async fn open(client: &Client) -> Result<Self, ClientError> {
        let socket = client.connect().await.map_err(ClientError::Connect)?;
        let builder = &mut http1::Builder::new();
        let (requests, connection) =
            builder.max_buf_size(READ_BUFFER).handshake(TokioIo::new(socket.wire())).await?;
        Ok(Self { requests, socket, connection: tokio::task::spawn_local(connection) })
    }

    /// Sends a request; `None` if the connection was closed before anything of the answer came.
    async fn send(
        &mut self,
        client: &Client,
        path: &str,
        own: &[(&'static str, String)],
    ) -> Result<Option<Response<Incoming>>, ClientError> {
        if self.requests.ready().await.is_err() {
            return Ok(None);
        }
        let request = request::get(client, path, own, Empty::new())?;
        match self.requests.send_request(request).await {
            Ok(response) => Ok(Some(response)),
            // The server's close and our request have crossed.
            Err(error) if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn close(self, client: &Client) {
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
