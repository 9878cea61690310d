//! A few questions to somebody else's server on a connection of their own: ready? what time is it?

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::endpoint::Endpoint;

const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A connection for questions. Its bytes are in no ledger.
pub(super) struct Control {
    requests: SendRequest<Empty<Bytes>>,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
    authority: String,
}

impl Control {
    /// Connects.
    pub(super) async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let stream = endpoint.connect().await?;
        let (requests, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { requests, connection: tokio::spawn(connection), authority: endpoint.authority.clone() })
    }

    /// Asks for a path.
    pub(super) async fn get(&mut self, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let request = Request::get(path).header(http::header::HOST, &self.authority).body(Empty::new());
        let request = request.map_err(io::Error::other)?;
        let exchange = async {
            self.requests.ready().await?;
            let response = self.requests.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = timeout(ANSWER_TIME, exchange).await;
        answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(io::Error::other)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
