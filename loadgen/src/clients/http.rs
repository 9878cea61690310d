//! One counted connection that speaks either version of HTTP: what polls, streams and extended handshakes go out on.
//!
//! It knows no transport, and closes in order: whatever hyper runs beside the connection ends before its socket.

use std::{cell::RefCell, future::Future, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use ticker::clock;
use tokio::task::{JoinHandle, JoinSet};
use wire::Bodies;

use crate::{
    conditions::{HTTP_READ_BUFFER, HTTP2_WINDOW},
    plan::Http as Version,
    socket::Socket,
    worker::{Client, ClientError},
};

/// How long a server may take to send its settings, and how often we look.
const SETTINGS_TIME: Duration = Duration::from_secs(5);
const SETTINGS_EVERY: Duration = Duration::from_micros(100);

/// Bodies of requests: most are empty.
pub(super) type Body = Full<Bytes>;

/// A connection.
pub(super) struct Http {
    requests: Requests,
    socket: Rc<Socket>,
    connection: JoinHandle<hyper::Result<()>>,
    tasks: Tasks,
}

enum Requests {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

/// Tasks of one connection.
#[derive(Clone, Default)]
struct Tasks(Rc<RefCell<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        self.0.borrow_mut().spawn_local(async {
            task.await;
        });
    }
}

impl Http {
    /// Connects with the version that the plan says.
    pub(super) async fn open(client: &Client, bodies: Bodies) -> Result<Self, ClientError> {
        let socket = client.connect(bodies).await.map_err(ClientError::Connect)?;
        let tasks = Tasks::default();
        let io = TokioIo::new(socket.wire());
        let (requests, connection) = match client.plan().options.http {
            Version::H1 => {
                let builder = &mut http1::Builder::new();
                let (requests, connection) = builder.max_buf_size(HTTP_READ_BUFFER).handshake(io).await?;
                (Requests::H1(requests), tokio::task::spawn_local(connection))
            }
            Version::H2 | Version::H3 => {
                let mut builder = http2::Builder::new(tasks.clone());
                builder.initial_stream_window_size(HTTP2_WINDOW).initial_connection_window_size(HTTP2_WINDOW);
                let (requests, connection) = builder.handshake(io).await?;
                (Requests::H2(requests), tokio::task::spawn_local(connection))
            }
        };
        Ok(Self { requests, socket, connection, tasks })
    }

    /// The socket below.
    pub(super) fn socket(&self) -> &Rc<Socket> {
        &self.socket
    }

    /// Waits until the server's settings are here: an extended CONNECT must not go out before it allows it
    /// (RFC 8441 section 3). A server that does not, refuses it.
    pub(super) async fn await_extended_connect(&self, client: &Client) -> Result<(), ClientError> {
        let until_ns = clock::now_ns() + SETTINGS_TIME.as_nanos() as u64;
        while self.socket.last_read_ns() == 0 {
            if clock::now_ns() > until_ns {
                return Err(ClientError::Handshake("did not begin with settings in 5 s".to_owned()));
            }
            client.worker.pacer.at(clock::now_ns() + SETTINGS_EVERY.as_nanos() as u64).await;
        }
        Ok(())
    }

    /// Sends a request; `None` if the connection was closed before anything of the answer came.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Option<Response<Incoming>>, ClientError> {
        let sent = match &mut self.requests {
            Requests::H1(requests) => {
                if requests.ready().await.is_err() {
                    return Ok(None);
                }
                requests.send_request(request).await
            }
            Requests::H2(requests) => {
                if requests.ready().await.is_err() {
                    return Ok(None);
                }
                requests.send_request(request).await
            }
        };
        match sent {
            Ok(response) => Ok(Some(response)),
            // The server's close and our request have crossed.
            Err(error) if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request, on a fresh connection if the server has closed this one between two (RFC 9112 section 9.3.1).
    pub(super) async fn send_on(
        &mut self,
        client: &Client,
        request: impl Fn() -> Result<Request<Body>, ClientError>,
    ) -> Result<Response<Incoming>, ClientError> {
        if let Some(response) = self.send(request()?).await? {
            return Ok(response);
        }
        let fresh = Self::open(client, Bodies::Whole).await?;
        std::mem::replace(self, fresh).close(client).await;
        let response = self.send(request()?).await?.ok_or(ClientError::Closed)?;
        // Not before: a link that is down takes connections and resets them, and who is not answered has not come back.
        client.reconnected();
        Ok(response)
    }

    /// Closes in order, giving up an answer that is still under way.
    pub(super) async fn close(self, client: &Client) {
        let Self { requests, socket, connection, tasks } = self;
        drop(requests);
        // With the last sender gone hyper ends by itself, unless an answer is still held: then it is given up.
        if !connection.is_finished() {
            tokio::task::yield_now().await;
        }
        connection.abort();
        let _ = connection.await;
        // Two readers of one socket would take each other's wake-ups.
        let mut tasks = tasks.0.take();
        tasks.shutdown().await;
        client.finish(socket).await;
    }
}
