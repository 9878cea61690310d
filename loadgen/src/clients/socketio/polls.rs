//! The polls of a session: a GET that is held, and POSTs on a second connection, so that no quote waits for one.

use std::{future::pending, pin::Pin};

use bytes::Bytes;
use ticker::clock;

use super::{
    HANG_UP, PATH, clients_chat,
    line::{Answer, Line},
    packets::{self, Open, Packet, SEPARATOR},
};
use crate::worker::{Client, ClientError};

type Asking<'a> = Pin<Box<dyn Future<Output = Result<(Line, Answer), ClientError>> + 'a>>;

/// One connection's part: nothing yet, at rest, or a request under way.
enum Turn<'a> {
    Unopened,
    Idle(Line),
    Asking(Asking<'a>),
}

/// A session over polls.
pub(super) struct Polls<'a> {
    client: &'a Client,
    sid: String,
    gets: Turn<'a>,
    posts: Turn<'a>,
    /// Packets that go out with the next POST, and how much of them is payload.
    outbox: Vec<String>,
    payload: u64,
}

impl<'a> Polls<'a> {
    /// The handshake.
    pub(super) async fn open(client: &'a Client) -> Result<(Self, Open), ClientError> {
        let line = Line::open(client).await?;
        let (line, answer) = line.ask(client, &path(client, "polling", None), None).await?;
        let text = String::from_utf8_lossy(&answer.body);
        match packets::read(&text) {
            Ok(Packet::Open(open)) => {
                let gets = Turn::Idle(line);
                let sid = open.sid.clone();
                Ok((Self { client, sid, gets, posts: Turn::Unopened, outbox: Vec::new(), payload: 0 }, open))
            }
            Ok(_) | Err(_) => {
                line.close(client).await;
                Err(ClientError::Refused(text.into_owned()))
            }
        }
    }

    /// Posts a packet, with others that wait for the same turn.
    pub(super) fn say(&mut self, packet: &str) {
        self.outbox.push(packet.to_owned());
    }

    /// Posts a packet that says something as a member of a room.
    pub(super) fn publish(&mut self, packet: String, payload: u64) {
        self.outbox.push(packet);
        self.payload += payload;
    }

    /// Asks for what is new, unless that is under way.
    pub(super) fn poll(&mut self) {
        if !matches!(self.gets, Turn::Asking(_)) {
            self.gets = self.begin(Turn::Unopened, None);
        }
    }

    /// The answer to the poll. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Result<Answer, ClientError> {
        loop {
            if let Some(answer) = self.step().await? {
                return Ok(answer);
            }
        }
    }

    /// Whether there is something to wait for.
    pub(super) fn is_busy(&self) -> bool {
        let asking = |turn: &Turn<'_>| matches!(turn, Turn::Asking(_));
        asking(&self.gets) || asking(&self.posts) || !self.outbox.is_empty()
    }

    /// Waits for the poll's answer, or for a POST's, which is none of interest.
    pub(super) async fn step(&mut self) -> Result<Option<Answer>, ClientError> {
        if !self.outbox.is_empty() && !matches!(self.posts, Turn::Asking(_)) {
            let body = self.outbox.join(&SEPARATOR.to_string());
            self.outbox.clear();
            let turn = std::mem::replace(&mut self.posts, Turn::Unopened);
            let payload = std::mem::take(&mut self.payload);
            self.posts = self.begin(turn, Some((body.into(), payload)));
        }
        tokio::select! {
            biased;
            answer = self.gets.answer() => answer.map(Some),
            posted = self.posts.answer() => posted.map(|_| None),
        }
    }

    fn begin(&mut self, turn: Turn<'a>, body: Option<(Bytes, u64)>) -> Turn<'a> {
        let turn = if body.is_none() { std::mem::replace(&mut self.gets, Turn::Unopened) } else { turn };
        let client = self.client;
        let path = path(client, "polling", Some(&self.sid));
        Turn::Asking(Box::pin(async move {
            let line = match turn {
                Turn::Idle(line) => line,
                Turn::Unopened | Turn::Asking(_) => Line::open(client).await?,
            };
            line.ask(client, &path, body).await
        }))
    }

    /// Closes both connections in order.
    pub(super) async fn close(self) {
        for turn in [self.gets, self.posts] {
            let line = match turn {
                Turn::Idle(line) => Some(line),
                Turn::Unopened => None,
                // After an error: the request is given up unless it ends soon.
                Turn::Asking(asking) => {
                    let asked = tokio::time::timeout(HANG_UP, asking).await;
                    asked.ok().and_then(Result::ok).map(|(line, _)| line)
                }
            };
            if let Some(line) = line {
                line.close(self.client).await;
            }
        }
    }
}

impl Turn<'_> {
    /// The answer to the request under way; waits for ever without one.
    async fn answer(&mut self) -> Result<Answer, ClientError> {
        let Self::Asking(asking) = self else { return pending().await };
        let asked = asking.await;
        *self = Turn::Unopened;
        let (line, answer) = asked?;
        *self = Turn::Idle(line);
        Ok(answer)
    }
}

/// Path and query as the official client writes them; over HTTP with a word that no cache has seen yet, of a fixed
/// length and with a letter before it, so that it is never a number.
pub(super) fn path(client: &Client, carrier: &str, sid: Option<&str>) -> String {
    let given = client.endpoint().path.as_deref().unwrap_or(PATH);
    let given = clients_chat::in_place(client, given);
    let mark = if given.contains('?') { '&' } else { '?' };
    let mut path = format!("{given}{mark}EIO=4&transport={carrier}");
    if carrier == "polling" {
        path.push_str(&format!("&t=t{:08x}", clock::now_ns() as u32));
    }
    if let Some(sid) = sid {
        path.push_str(&format!("&sid={sid}"));
    }
    path
}
