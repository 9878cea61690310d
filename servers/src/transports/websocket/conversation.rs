//! One client's conversation from the upgrade to the close: entries of a log go out, pings and closing are kept.
//!
//! What the entries are, and what the client's words mean, is the [`Topic`]'s business.

use std::{sync::Arc, time::Duration};

use hyper::upgrade::OnUpgrade;
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    negotiation::Extension,
    socket::{Broken, Came, Limits, Payload, Socket},
};
use crate::{
    app::App,
    encoded::Envelope,
    log::{Entry, Subscription, Update},
    selection::Selection,
};

/// Pings without an answer after which the client counts as gone.
pub(super) const MOST_UNANSWERED: u32 = 2;
/// Messages of a client within one heartbeat period after which the connection ends with code 1008.
pub(super) const MOST_MESSAGES: u32 = 1_000;
/// Longest wait for the client's answer to our close frame.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a conversation is about: the feed, or what the client itself says.
pub(super) trait Topic: Send + Sync + 'static {
    type Entry: Entry;
    /// The message that carries an entry.
    fn message(&self, entry: &Arc<Self::Entry>) -> Payload;
    /// The message that carries a snapshot.
    fn snapshot(&self, envelope: &Envelope<Self::Entry>) -> Payload;
    /// Takes a message of the client.
    fn hear(&self, said: Payload) -> Heard;
    /// Whether the client may say more while so many entries wait to be sent.
    fn listens(&self, behind: u64) -> bool;
    /// So many entries go out.
    fn pushed(&self, count: usize);
}

/// What a message of the client was.
pub(super) enum Heard {
    /// Nothing that matters here.
    Nothing,
    /// It is answered, so that the client pays for it by reading.
    Answered,
    /// It wants these symbols.
    Wish(Selection),
    /// It cannot be understood, for that reason.
    Nonsense(&'static str),
}

/// One client's connection from the upgrade to its end.
pub(super) async fn converse<T: Topic>(
    upgrade: OnUpgrade,
    (limits, extension): (Limits, Option<Extension>),
    topic: T,
    subscription: Subscription<T::Entry>,
    app: Arc<App>,
) {
    // It fails when the client hung up in the middle of the handshake.
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(socket) = Socket::over(upgraded, limits, extension.as_ref()).await else { return };
    let mut client = Client { socket, topic, subscription, unanswered: 0, messages: 0, app };
    let end = client.push().await;
    client.close(end).await;
}

struct Client<T: Topic> {
    app: Arc<App>,
    socket: Socket,
    topic: T,
    subscription: Subscription<T::Entry>,
    unanswered: u32,
    messages: u32,
}

/// Why a conversation is over.
enum End {
    /// With a close frame of ours.
    Closing(CloseCode, &'static str),
    /// With a close frame that the library still has to write.
    Answering,
    /// The connection broke: there is no one left to talk to.
    Gone,
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Rules(code, reason) => Self::Closing(code, reason),
            Broken::Told => Self::Answering,
            Broken::Gone => Self::Gone,
        }
    }
}

impl<T: Topic> Client<T> {
    /// Pushes what the log brings until something ends it.
    async fn push(&mut self) -> End {
        let mut heartbeat = interval(self.app.settings.heartbeat);
        heartbeat.reset();
        loop {
            let listens = self.topic.listens(self.subscription.behind());
            let end = tokio::select! {
                update = self.subscription.next(|entry| self.topic.message(entry)) => match update {
                    Some(update) => self.send(update).await.err().map(End::from),
                    None => Some(End::Closing(CloseCode::Away, "the server stops")),
                },
                came = self.socket.next(), if listens => self.receive(came),
                _ = heartbeat.tick() => self.ping().await,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Writes all messages of an update, then flushes once: one system call for all of them.
    ///
    /// A client that does not read holds up its own task only. Its cursor stays, and the kernel drops the
    /// connection when it has taken nothing for `stall_timeout`.
    async fn send(&mut self, update: Update<Payload, T::Entry>) -> Result<(), Broken> {
        match update {
            Update::Quotes(messages) => {
                self.topic.pushed(messages.len());
                for message in messages {
                    self.socket.feed(message).await?;
                }
            }
            Update::Snapshot(envelope) => self.socket.feed(self.topic.snapshot(&envelope)).await?,
        }
        self.socket.flush().await
    }

    /// The libraries answer pings and close frames while we read. What else a client says is the topic's.
    fn receive(&mut self, came: Result<Came, Broken>) -> Option<End> {
        match came {
            Ok(Came::Pong) => self.unanswered = 0,
            Ok(Came::Message(said)) => match self.topic.hear(said) {
                Heard::Answered => return None,
                Heard::Wish(selection) => self.subscription.select(selection),
                Heard::Nonsense(reason) => return Some(End::Closing(CloseCode::Policy, reason)),
                Heard::Nothing => {}
            },
            Ok(Came::Ping) => {}
            // The answer is written with the next read. A quote must not come before it.
            Ok(Came::Close) => return Some(End::Answering),
            Err(broken) => return Some(broken.into()),
        }
        self.messages += 1;
        (self.messages > MOST_MESSAGES).then_some(End::Closing(CloseCode::Policy, "too many messages"))
    }

    async fn ping(&mut self) -> Option<End> {
        if self.unanswered == MOST_UNANSWERED {
            return Some(End::Closing(CloseCode::Policy, "no pong"));
        }
        self.unanswered += 1;
        self.messages = 0;
        self.socket.ping().await.err().map(End::from)
    }

    /// Sends the close frame or the answer to one and reads to the end, so that the client sees the code and no
    /// reset.
    async fn close(mut self, end: End) {
        let farewell = match end {
            End::Closing(code, reason) => Some((code, reason)),
            End::Answering => None,
            End::Gone => return,
        };
        let _ = timeout(CLOSE_TIMEOUT, async {
            if let Some((code, reason)) = farewell
                && self.socket.close(code, reason).await.is_err()
            {
                return;
            }
            self.socket.read_out().await;
        })
        .await;
    }
}
