//! Questions to a server on a connection of their own, in no ledger: ready? what time is it? is this the protocol?

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::{endpoint::Endpoint, plan::Http};

const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A connection for questions.
pub struct Control {
    requests: SendRequest<Full<Bytes>>,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
    authority: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

impl Answer {
    /// A header field's value, empty if there is none.
    pub fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Control {
    /// Connects.
    pub async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let stream = endpoint.connect(Http::H1).await?;
        let (requests, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { requests, connection: tokio::spawn(connection), authority: endpoint.authority.clone() })
    }

    /// Asks for a path with some header fields; returns when the head is here.
    pub async fn begin(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Response<Incoming>> {
        self.send(Request::get(path), headers, Bytes::new()).await
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> io::Result<Response<Incoming>> {
        let mut request = request.header(http::header::HOST, &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        let head = async {
            self.requests.ready().await?;
            self.requests.send_request(request).await
        };
        let head = timeout(ANSWER_TIME, head).await;
        head.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(io::Error::other)
    }

    /// Asks for a path with some header fields.
    pub async fn ask(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        whole(self.begin(path, headers).await?).await
    }

    /// Posts text to a path.
    pub async fn post(&mut self, path: &str, text: &str) -> io::Result<Answer> {
        let kind = [("content-type", "text/plain;charset=UTF-8")];
        whole(self.send(Request::post(path), &kind, text.to_owned().into()).await?).await
    }
}

async fn whole(response: Response<Incoming>) -> io::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = timeout(ANSWER_TIME, body.collect()).await;
    let body = body.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(io::Error::other)?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

impl Drop for Control {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
