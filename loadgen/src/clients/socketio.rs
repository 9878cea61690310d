//! Socket.IO: what the official client does in a page, by hand. Polls, a WebSocket, or polls until a WebSocket stands.

use std::{pin::pin, time::Duration};

use measurement::result::{Model, ModelKind};
use ticker::clock;

use super::{
    Conflict, Ran, chat as clients_chat,
    message::{self, Incoming},
    page::Page,
    request,
};
use crate::{
    plan::{Carrier, Http, TransportOptions, Workload},
    scenario::headers::Initiator,
    worker::{Client, ClientError},
};

mod chat;
mod frames;
mod line;
pub(super) mod packets;
mod polls;

use chat::Member;
use frames::Frames;
use line::Answer;
use packets::Packet;
use polls::Polls;

pub(super) use super::library::{direct, library_only};

pub(super) const INITIATOR: Initiator = Initiator::Fetch;
pub(super) const KEYS: &[&str] = &["carrier", "tls"];
pub(super) const HTTP: &[Http] = &[Http::H1];
/// The cargo feature that it needs.
pub(super) const FEATURE: Option<&str> = None;
pub(super) const CARRIERS: &[Carrier] = &[Carrier::Upgrade, Carrier::Socket, Carrier::Polling];
pub(super) const WORKLOADS: &[Workload] =
    &[Workload::Ticker, Workload::Chat, Workload::Idle, Workload::Burst, Workload::Mixed];
pub(super) const SCHEMES: &[&str] = &["http", "https", "ws", "wss"];
pub(super) const PEER_KEYS: &[&str] = &["send", "event"];
/// No page of ours speaks it.
pub(super) const PAGE: Option<Page> = None;
/// `2` in a frame of the server, `3` in a masked one of ours. Over polls a pong is a whole request besides.
pub(super) const HEARTBEAT_BYTES: u64 = 10;
pub(super) const ACTS_ON_A_TIMETABLE: bool = false;

const PATH: &str = "/socket.io/";
/// How long the last answers may take when a session is ended.
const HANG_UP: Duration = Duration::from_secs(1);

pub(super) fn conflict(_options: &TransportOptions) -> Option<Conflict> {
    None
}

pub(super) fn label(options: &TransportOptions) -> String {
    let label = match carrier(options) {
        Carrier::Polling => "socketio polling",
        Carrier::Socket => "socketio websocket",
        Carrier::Upgrade | Carrier::Stream | Carrier::Datagrams => "socketio",
    };
    label.to_owned() + &super::connection(options)
}

pub(super) fn model(options: &TransportOptions) -> Model {
    let kind = if carrier(options) == Carrier::Polling { ModelKind::Held } else { ModelKind::Push };
    Model { kind, period_us: None, expected_delay_us: Some(0.0) }
}

pub(super) fn drain(_options: &TransportOptions) -> Duration {
    Duration::from_secs(1)
}

pub(super) fn coalesces(_options: &TransportOptions) -> bool {
    false
}

/// A poll that is held, a POST beside it, and the WebSocket that takes over.
pub(super) fn connections(options: &TransportOptions) -> u32 {
    match carrier(options) {
        Carrier::Socket => 1,
        Carrier::Polling => 2,
        Carrier::Upgrade | Carrier::Stream | Carrier::Datagrams => 3,
    }
}

fn carrier(options: &TransportOptions) -> Carrier {
    options.carrier.unwrap_or(CARRIERS[0])
}

pub(super) fn loses(_options: &TransportOptions) -> bool {
    false
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut session = Session {
        client,
        from_ns,
        stands,
        joined: false,
        shown: false,
        unsaid: Vec::new(),
        greeted: false,
        member: Member::of(client),
    };
    match carrier(&client.plan().options) {
        Carrier::Polling => session.over_polls().await,
        Carrier::Socket => session.over_frames().await,
        Carrier::Upgrade | Carrier::Stream | Carrier::Datagrams => session.over_both().await,
    }
}

/// The packet that joins the namespace, with the symbols that the client wants.
fn join(client: &Client) -> String {
    if has_own_rooms(client) {
        return chat::JOIN.to_owned();
    }
    match client.symbols() {
        Some(symbols) => format!("40{}", serde_json::json!({ "symbols": symbols })),
        None => "40".to_owned(),
    }
}

/// The packet that leaves it.
fn leave(client: &Client) -> &'static str {
    if has_own_rooms(client) { chat::LEAVE } else { "41" }
}

/// Whether the rooms are those of the reference server, which have a namespace of their own.
fn has_own_rooms(client: &Client) -> bool {
    client.plan().workload.has_rooms() && client.plan().rooms_of_others().is_none()
}

/// One client's session, whatever carries it.
struct Session<'a> {
    client: &'a Client,
    from_ns: u64,
    stands: &'a mut bool,
    /// Whether it is in the namespace.
    joined: bool,
    /// Whether it got its snapshot.
    shown: bool,
    /// Answers to packets that are still to be sent.
    unsaid: Vec<String>,
    /// Whether it said what the scenario wants to be said first.
    greeted: bool,
    /// What it says as a member of a room, if it is one.
    member: Member<'a>,
}

impl Session<'_> {
    /// Polls from the handshake to the end.
    async fn over_polls(&mut self) -> Ran {
        let (mut polls, _) = Polls::open(self.client).await?;
        let ran = self.poll(&mut polls).await;
        polls.close().await;
        ran
    }

    async fn poll(&mut self, polls: &mut Polls<'_>) -> Ran {
        polls.say(&join(self.client));
        let mut closing = pin!(self.client.closing());
        loop {
            let asked_ns = clock::now_ns();
            polls.poll();
            let answer = tokio::select! {
                biased;
                answer = polls.next() => answer?,
                () = &mut closing, if *self.stands => return self.hang_up(polls).await,
                due = self.member.due(), if *self.stands => {
                    let (packet, payload) = self.member.say(due)?;
                    polls.publish(packet, payload);
                    continue;
                }
            };
            let updates = self.take_body(&answer, |text| polls.say(text))?;
            let done_ns = answer.stamp_ns();
            if *self.stands {
                self.client.worker.recorder.borrow_mut().request(asked_ns, done_ns, updates);
            }
            self.stand(done_ns);
        }
    }

    /// Leaves the namespace and closes; the poll that is held is then answered.
    async fn hang_up(&mut self, polls: &mut Polls<'_>) -> Ran {
        polls.say(leave(self.client));
        polls.say("1");
        let last = async {
            while polls.is_busy() {
                let Some(answer) = polls.step().await? else { continue };
                match self.take_body(&answer, |_| {}) {
                    Ok(_) | Err(ClientError::Closed) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(HANG_UP, last).await {
            Ok(Ok(())) => Ok(()),
            // A defect of ours, whenever it shows.
            Ok(Err(ClientError::Unscanned)) => Err(ClientError::Unscanned),
            // The session was to end, and it has: only its last answer is missing.
            Ok(Err(_)) | Err(_) => {
                self.client.unclosed();
                Ok(())
            }
        }
    }

    /// A WebSocket from the beginning.
    async fn over_frames(&mut self) -> Ran {
        let mut frames = Frames::open(self.client, None).await?;
        let ran = self.converse(&mut frames, async {}).await;
        frames.finish(self.client).await;
        ran
    }

    /// Polls at first; a WebSocket takes the session over as soon as it is known to work.
    async fn over_both(&mut self) -> Ran {
        let (mut polls, open) = Polls::open(self.client).await?;
        let mut frames = match self.upgrade(&mut polls, &open).await {
            Ok(frames) => frames,
            Err(error) => {
                polls.close().await;
                return Err(error);
            }
        };
        // The connections of the polls are closed while quotes come on the new one.
        let ran = self.converse(&mut frames, polls.close()).await;
        frames.finish(self.client).await;
        ran
    }

    /// The probe of Engine.IO 4: `2probe`, `3probe`, the last poll, `5`.
    async fn upgrade(&mut self, polls: &mut Polls<'_>, open: &packets::Open) -> Result<Frames, ClientError> {
        if !open.upgrades.iter().any(|carrier| carrier == "websocket") {
            return Err(ClientError::Refused("no upgrade to a WebSocket is offered".to_owned()));
        }
        polls.say(&join(self.client));
        polls.poll();
        let mut probing = pin!(Frames::probe(self.client, &open.sid));
        let mut frames = loop {
            tokio::select! {
                biased;
                answer = polls.next() => {
                    self.take_body(&answer?, |text| polls.say(text))?;
                    polls.poll();
                }
                frames = &mut probing => break frames?,
            }
        };
        let mut unsaid = Vec::new();
        while polls.is_busy() {
            if let Some(answer) = polls.step().await? {
                self.take_body(&answer, |text| unsaid.push(text.to_owned()))?;
            }
        }
        frames.say("5").await?;
        for text in unsaid {
            frames.say(&text).await?;
        }
        self.stand(frames.last_read_ns());
        Ok(frames)
    }

    /// Frames to the end. Meanwhile what was before is closed.
    async fn converse(&mut self, frames: &mut Frames, before: impl Future<Output = ()>) -> Ran {
        let mut before = pin!(before);
        let mut closed = false;
        let mut closing = pin!(self.client.closing());
        let ran = loop {
            let message = tokio::select! {
                biased;
                () = &mut closing, if *self.stands => break frames.hang_up(self).await,
                due = self.member.due(), if *self.stands => {
                    match self.speak(frames, due).await {
                        Ok(()) => continue,
                        Err(error) => break Err(error),
                    }
                }
                message = frames.next() => message,
                () = &mut before, if !closed => {
                    closed = true;
                    continue;
                }
            };
            if let Err(error) = self.answer(frames, message).await {
                break Err(error);
            }
        };
        if !closed {
            before.await;
        }
        ran
    }

    async fn speak(&mut self, frames: &mut Frames, due: Ran) -> Ran {
        let (packet, payload) = self.member.say(due)?;
        frames.publish(&packet, payload).await
    }

    async fn answer(&mut self, frames: &mut Frames, message: Result<frames::Message, ClientError>) -> Ran {
        let mut said = Vec::new();
        let at_ns = self.take_message(frames, &message?, |text| said.push(text.to_owned()))?;
        for text in said {
            frames.say(&text).await?;
        }
        self.stand(at_ns);
        Ok(())
    }

    /// Takes all packets of a poll's answer; the number of updates in them.
    fn take_body(&mut self, answer: &Answer, say: impl FnMut(&str)) -> Result<usize, ClientError> {
        // A session that is gone answers the poll that was held with nothing.
        let unit = answer.unit.ok_or(ClientError::Closed)?;
        let body = std::str::from_utf8(&answer.body)
            .map_err(|_| ClientError::Refused("a body that is no text".to_owned()))?;
        let mut updates = 0;
        for packet in body.split(packets::SEPARATOR) {
            updates += self.take(packet, |payload| {
                answer.socket.claim_part(&unit, payload);
                Some(unit.stamp_ns)
            })?;
        }
        self.say(say);
        Ok(updates)
    }

    /// Takes a WebSocket message, which is one packet; the instant it was received.
    fn take_message(
        &mut self,
        frames: &Frames,
        message: &frames::Message,
        say: impl FnMut(&str),
    ) -> Result<u64, ClientError> {
        match message {
            frames::Message::Text(packet) => {
                self.take(packet, |payload| frames.claim(payload))?;
                self.say(say);
            }
            // An attachment of an event that is not read.
            frames::Message::Binary => {
                frames.claim(0).ok_or(ClientError::Unscanned)?;
            }
            frames::Message::Control => {}
        }
        Ok(frames.last_read_ns())
    }

    /// Takes one packet; the number of updates in it.
    fn take(&mut self, packet: &str, claim: impl FnOnce(u64) -> Option<u64>) -> Result<usize, ClientError> {
        let packet = packets::read(packet)?;
        if let Packet::Event(name, argument) = &packet
            && self.is_read(name)
        {
            if self.member.is_one() {
                return clients_chat::take(self.client, argument.as_bytes(), claim).map(|()| 1);
            }
            self.shown |= name == "snapshot";
            let incoming = Incoming { event: Some(name), ..Incoming::of(argument.as_bytes()) };
            return Ok(message::take(self.client, &incoming, claim)?.updates);
        }
        claim(0).ok_or(ClientError::Unscanned)?;
        if let Packet::Event(name, _) = &packet
            && self.client.plan().rooms_of_others().is_some()
        {
            self.client.unread(name);
        }
        match packet {
            Packet::Ping => self.unsaid.push("3".to_owned()),
            // Over polls the handshake has read it.
            Packet::Open(_) => self.unsaid.push(join(self.client)),
            Packet::Joined => {
                self.joined = true;
                self.unsaid.extend(self.member.enters());
            }
            Packet::Event(name, _) if name == "online" && self.member.is_one() => self.shown = true,
            Packet::Close => return Err(ClientError::Closed),
            Packet::Refused(why) => return Err(ClientError::Refused(why.to_owned())),
            Packet::ProbeAnswer | Packet::Event(..) | Packet::Other => {}
        }
        Ok(0)
    }

    /// Says what is due: answers, and once the namespace is joined what the scenario wants to be said first.
    fn say(&mut self, mut say: impl FnMut(&str)) {
        self.unsaid.drain(..).for_each(|text| say(&text));
        if self.joined && !std::mem::replace(&mut self.greeted, true) {
            clients_chat::greetings(self.client).for_each(|event| say(&format!("42{event}")));
        }
    }

    /// Notes that the session stands if it does: joined, and shown where it is.
    fn stand(&mut self, at_ns: u64) {
        // Somebody else's session stands once it was told what is wanted.
        let shown = self.shown || self.client.plan().peer.is_some();
        if self.joined && shown && !*self.stands {
            if self.member.is_one() {
                return clients_chat::joined(self.client, self.stands, (self.from_ns, at_ns));
            }
            *self.stands = true;
            self.client.connected(self.from_ns, at_ns);
        }
    }

    /// Of the ticker's own events two carry quotes; of somebody else's the scenario knows.
    fn is_read(&self, event: &str) -> bool {
        let worker = &self.client.worker;
        if self.member.is_one() {
            return self.member.hears(event);
        }
        worker.mapping.is_some() || worker.listening.is_some() || matches!(event, "quote" | "snapshot")
    }
}
