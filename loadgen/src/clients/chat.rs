//! Members of a room, whatever carries them: what each says and when, and what all of them hear.
//!
//! Members are as many as the feed has symbols. What the schedule says of a symbol its member says at the due instant, late
//! when it must, never skipping; and every member hears it, the one that said it included.

use std::{future::pending, iter};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use ticker::{Due, FeedError, Quote, Schedule, Transport, clock, symbol_name};

use super::{
    Ran, envelope,
    http::{Body, Http},
    mapping,
    message::{self, Incoming},
    request,
};
use crate::{
    plan::peer::Say,
    socket::{Socket, Unit},
    worker::{Client, ClientError, Job},
};

/// The path that messages are posted to.
const SAY_PATH: &str = "/say";
/// What a count of members begins with.
const ONLINE: &[u8] = br#"{"online":"#;

/// Connections beyond those of a listener that a member needs to speak.
pub(crate) fn connections(kind: Transport) -> u32 {
    match kind {
        Transport::Polling | Transport::LongPolling | Transport::Sse | Transport::Ndjson => 1,
        Transport::WebSocket | Transport::SocketIo | Transport::Grpc | Transport::WebTransport => 0,
    }
}

/// What members say, by symbol, each in order.
pub(crate) fn schedule(job: &Job) -> Result<Vec<Vec<Due>>, FeedError> {
    let feed = &job.variant.feed;
    let mut said = vec![Vec::new(); feed.symbols as usize];
    for due in Schedule::new(feed)?.take(job.frame.table.last_seq() as usize) {
        said[due.symbol as usize].push(due);
    }
    Ok(said)
}

/// The name of the client's room.
pub(super) fn room(client: &Client) -> String {
    format!("room-{}", client.number() / client.plan().feed.symbols)
}

/// What the scenario says is to be said first, in the client's room.
pub(super) fn greetings(client: &Client) -> impl Iterator<Item = String> {
    let greetings = client.plan().peer.iter().flat_map(|peer| &peer.open.send);
    greetings.map(|text| in_place(client, &text.filled))
}

/// A text of the scenario, with the client's place in it where rooms are somebody else's.
pub(super) fn in_place(client: &Client, text: &str) -> String {
    if client.plan().rooms_of_others().is_none() {
        return text.to_owned();
    }
    let member = client.number() % client.plan().feed.symbols;
    text.replace("{room}", &room(client)).replace("{member}", &member.to_string())
}

/// Somebody heard how many there are, first of all itself: from now on it is told everything.
pub(super) fn joined(client: &Client, stands: &mut bool, (from_ns, at_ns): (u64, u64)) {
    if !std::mem::replace(stands, true) {
        client.snapshot(0, iter::empty(), at_ns);
        client.connected(from_ns, at_ns);
    }
}

/// Whether a message tells how many there are, and is nothing that anybody said.
pub(super) fn is_count(text: &[u8]) -> bool {
    text.starts_with(ONLINE)
}

/// Takes what somebody said. Of what somebody else's server tells besides nothing is read.
pub(super) fn take(client: &Client, text: &[u8], claim: impl FnOnce(u64) -> Option<u64>) -> Ran {
    let Some(peer) = client.plan().rooms_of_others() else {
        return message::take(client, &Incoming::of(text), claim).map(drop);
    };
    let said = std::str::from_utf8(text).ok().and_then(|text| mapping::said(&peer.message, text));
    match said.filter(|(said, _)| envelope::parse_quote(said.as_bytes()).is_ok()) {
        Some((said, bytes)) => {
            message::take(client, &Incoming::of(said.as_bytes()), |_| claim(bytes)).map(drop)
        }
        None => {
            claim(0).ok_or(ClientError::Unscanned)?;
            client.unread(&String::from_utf8_lossy(text));
            Ok(())
        }
    }
}

/// What one member says.
pub(super) struct Speaker<'a> {
    client: &'a Client,
    symbol: u32,
    name: String,
    /// How many it has said.
    said: usize,
    /// Of the connection before, nothing is said again, and what was due while there was none is lost.
    from_ns: u64,
    t0_ns: Option<u64>,
    /// What is before and after it, to somebody else's server.
    around: (String, String),
    text: Vec<u8>,
}

/// What a member says.
pub(super) struct Speech<'a> {
    /// The message, with what is around it.
    pub(super) text: &'a str,
    /// Bytes of it that are the update.
    pub(super) payload: u64,
    /// When it was due.
    pub(super) due_ns: u64,
}

impl<'a> Speaker<'a> {
    /// The client as it comes into its room.
    pub(super) fn new(client: &'a Client) -> Self {
        let symbol = client.number() % client.plan().feed.symbols;
        let from_ns = if client.before.get() > 0 { clock::now_ns() } else { 0 };
        let say = client.plan().peer.as_ref().and_then(|peer| peer.say.as_ref());
        let around = say.map_or_else(String::new, |say| in_place(client, &say.message.filled));
        let (before, after) = around.split_once(Say::MESSAGE).unwrap_or_default();
        Self {
            client,
            symbol,
            name: symbol_name(symbol),
            said: 0,
            from_ns,
            t0_ns: None,
            around: (before.to_owned(), after.to_owned()),
            text: Vec::new(),
        }
    }

    fn next(&self) -> Result<Option<Due>, ClientError> {
        let all = self.client.worker.said()?;
        Ok(all.get(self.symbol as usize).and_then(|dues| dues.get(self.said)).copied())
    }

    /// Waits until something is to be said. Safe to drop while it waits.
    pub(super) async fn due(&mut self) -> Ran {
        let t0_ns = match self.t0_ns {
            Some(t0_ns) => t0_ns,
            None => match self.client.started().await {
                Some(t0_ns) => *self.t0_ns.insert(t0_ns),
                None => return pending().await,
            },
        };
        loop {
            let Some(due) = self.next()? else { return pending().await };
            let due_ns = t0_ns + due.offset_ns;
            if due_ns >= self.from_ns {
                self.client.worker.pacer.at(due_ns).await;
                return Ok(());
            }
            self.said += 1;
        }
    }

    /// What is due, as it is said.
    pub(super) fn say(&mut self) -> Result<Speech<'_>, ClientError> {
        let due = self.next()?.ok_or(ClientError::Unscanned)?;
        let due_ns = self.t0_ns.unwrap_or_default() + due.offset_ns;
        let at_ns = clock::now_ns();
        let anchor = self.client.worker.job.anchor;
        let (due_us, sent_us) = (anchor.unix_us(due_ns), anchor.unix_us(at_ns));
        self.said += 1;
        self.text.clear();
        self.text.extend_from_slice(self.around.0.as_bytes());
        let quote = Quote { due, symbol: &self.name, due_us, sent_us };
        quote.encode(self.client.plan().feed.quote_bytes, &mut self.text);
        let payload = (self.text.len() - self.around.0.len()) as u64;
        self.text.extend_from_slice(self.around.1.as_bytes());
        self.client.worker.recorder.borrow_mut().action(due_ns, at_ns, false);
        let text = std::str::from_utf8(&self.text).map_err(|_| ClientError::Unscanned)?;
        Ok(Speech { text, payload, due_ns })
    }
}

/// The message that was written last is so long and has so much payload. In a stream of HTTP/2 the connection's own task writes it.
pub(super) async fn claim_said(client: &Client, socket: &Socket, (payload, length): (u64, usize)) -> Unit {
    loop {
        if let Some(unit) = socket.claim_published(payload, length as u64) {
            return unit;
        }
        client.worker.pacer.at(clock::now_ns() + super::publishing::LOOK_AGAIN_NS).await;
    }
}

/// Posts what is due, on a connection of its own, until the trial closes.
pub(super) async fn post(client: &Client, http: &mut Http) -> Ran {
    let mut speaker = Speaker::new(client);
    let path = format!("{SAY_PATH}?room={}", room(client));
    let own = own(client);
    loop {
        tokio::select! {
            biased;
            () = client.closing() => return Ok(()),
            due = speaker.due() => due?,
        }
        let Speech { text, payload, due_ns } = speaker.say()?;
        let body = Bytes::copy_from_slice(text.as_bytes());
        let message = || request::build(client, Method::POST, &path, &own, Body::new(body.clone()));
        let response = http.send_on(client, message).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Err(ClientError::Status { found: response.status(), expected: "204" });
        }
        response.into_body().collect().await?;
        claim_said(client, http.socket(), (payload, payload as usize)).await;
        let done_ns = http.socket().last_read_ns();
        client.worker.recorder.borrow_mut().request(due_ns, done_ns, 1);
    }
}

/// What a page's fetch adds to the profile's fields of a POST.
fn own(client: &Client) -> Vec<(&'static str, String)> {
    let mut own = vec![("content-type", "text/plain;charset=UTF-8".to_owned())];
    if request::is_of_a_page(client) && !client.plan().sets_origin() {
        own.push(("origin", client.endpoint().origin()));
    }
    own
}
