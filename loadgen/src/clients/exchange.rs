//! Requests and answers on a connection of one's own, or on an ordinary pooled client: what polls have in common.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use ticker::clock;
use wire::Bodies;

use super::{
    http::{Body, Http},
    message::{self, Incoming as Message},
    request,
};
use crate::{
    plan::Compression,
    worker::{Client, ClientError},
};

/// What requests go out on.
pub(super) struct Exchange {
    line: Line,
    /// The entity tag of the newest answer.
    tag: Option<String>,
}

enum Line {
    /// A connection of one's own; none before the first question, and between questions without keep-alive.
    Counted(Option<Http>),
    Pooled(reqwest::Client),
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
            None => Line::Counted(Some(Http::open(client, Bodies::Whole).await?)),
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
        let own = fields(client, tag.clone());
        let (status, head, body) = match &mut self.line {
            Line::Counted(line) => counted(client, line, question.path, &own).await?,
            Line::Pooled(pool) => {
                let url = format!("{}{}", client.endpoint().origin(), question.path);
                let (head, ()) = request::get(client, &url, &own, ())?.into_parts();
                let response = pool.get(url).headers(head.headers).send().await?;
                (response.status(), response.headers().clone(), response.bytes().await?)
            }
        };
        let told = head.get(http::header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        self.tag = told.or(tag);
        let coded = request::is_gzip(&head, client.plan().options.compression)?;
        let answer = self.take(client, question, status, (&body, coded));
        if !client.plan().options.keep_alive
            && let Line::Counted(line) = &mut self.line
            && let Some(line) = line.take()
        {
            line.close(client).await;
        }
        answer
    }

    fn take(
        &self,
        client: &Client,
        question: &Question<'_>,
        status: StatusCode,
        (body, coded): (&[u8], bool),
    ) -> Result<Answer, ClientError> {
        match status {
            StatusCode::OK if !body.is_empty() => {}
            StatusCode::OK | StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT => {
                return Ok(Answer { done_ns: self.last_read_ns(), ..Answer::default() });
            }
            found => return Err(ClientError::Status { found, expected: "200, 204 or 304" }),
        }
        let inflated = if coded { Some(request::inflated(body)?) } else { None };
        let text = inflated.as_deref().unwrap_or(body);
        let incoming = Message { text, event: None, opening: question.opening };
        let took = message::take(client, &incoming, |payload| {
            let payload = share(payload, body.len(), text.len());
            match &self.line {
                Line::Counted(line) => line.as_ref()?.socket().claim(payload).map(|unit| unit.stamp_ns),
                Line::Pooled(_) => {
                    let stamp_ns = clock::now_ns();
                    client.unsocketed_payload(payload, stamp_ns);
                    Some(stamp_ns)
                }
            }
        })?;
        Ok(Answer { cursor: took.cursor, updates: took.updates, done_ns: took.stamp_ns })
    }

    fn last_read_ns(&self) -> u64 {
        match &self.line {
            Line::Counted(Some(line)) => line.socket().last_read_ns(),
            Line::Counted(None) | Line::Pooled(_) => clock::now_ns(),
        }
    }

    /// When the last question was written.
    pub(super) fn asked_ns(&self) -> u64 {
        match &self.line {
            Line::Counted(Some(line)) => line.socket().last_write_ns(),
            Line::Counted(None) | Line::Pooled(_) => clock::now_ns(),
        }
    }

    /// Closes in order.
    pub(super) async fn close(self, client: &Client) {
        if let Line::Counted(Some(line)) = self.line {
            line.close(client).await;
        }
    }
}

/// Payload as it is on the wire: of a compressed body the share that it has of the whole.
fn share(payload: u64, on_the_wire: usize, decoded: usize) -> u64 {
    if on_the_wire == decoded || decoded == 0 {
        return payload;
    }
    (payload as f64 * on_the_wire as f64 / decoded as f64).round() as u64
}

/// What a poll says beside the profile.
fn fields(client: &Client, tag: Option<String>) -> Vec<(&'static str, String)> {
    let options = &client.plan().options;
    let mut own = Vec::new();
    own.extend(tag.map(|tag| ("if-none-match", tag)));
    if !options.keep_alive {
        own.push(("connection", "close".to_owned()));
    }
    if options.compression == Compression::Gzip {
        let profile =
            client.plan().headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        if profile.is_none_or(|(_, value)| !value.contains("gzip")) {
            own.push(("accept-encoding", "gzip".to_owned()));
        }
    }
    own
}

/// Asks on a connection of one's own, opening it first where there is none, and again where it was closed meanwhile.
async fn counted(
    client: &Client,
    line: &mut Option<Http>,
    path: &str,
    own: &[(&'static str, String)],
) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
    let request = || request::get(client, path, own, Body::default());
    let response = match line {
        Some(line) => line.send_on(client, request).await?,
        None => {
            let line = line.insert(Http::open(client, Bodies::Whole).await?);
            line.send(request()?).await?.ok_or(ClientError::Closed)?
        }
    };
    let (head, body) = response.into_parts();
    Ok((head.status, head.headers, body.collect().await?.to_bytes()))
}
