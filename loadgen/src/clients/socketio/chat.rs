//! A member of a room in a session: what it says, as packets of the namespace that has the rooms.

use std::future::pending;

use serde_json::json;

use super::{Ran, clients_chat};
use crate::{
    clients::chat::{Speaker, Speech},
    worker::{Client, ClientError},
};

/// The packets that join the namespace of the reference server's rooms and leave it.
pub(super) const JOIN: &str = "40/room,";
pub(super) const LEAVE: &str = "41/room,";

/// A session's part in its room; none where the workload has none.
pub(super) struct Member<'a>(Option<Part<'a>>);

struct Part<'a> {
    speaker: Speaker<'a>,
    /// The packet that enters the room; somebody else's server is told what the scenario says.
    enters: Option<String>,
    /// What a packet begins with that says something.
    says: String,
    /// The event that others' messages come in.
    hears: &'a str,
}

impl<'a> Member<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        if !client.plan().workload.has_rooms() {
            return Self(None);
        }
        let speaker = Speaker::new(client);
        let part = match client.plan().rooms_of_others() {
            None => Part {
                speaker,
                enters: Some(format!("42/room,[\"join\",\"{}\"]", clients_chat::room(client))),
                says: "42/room,[\"say\",".to_owned(),
                hears: "said",
            },
            Some(peer) => {
                let event = peer.say.as_ref().and_then(|say| say.event.as_deref());
                Part {
                    speaker,
                    enters: None,
                    says: format!("42[{},", json!(event.unwrap_or_default())),
                    hears: peer.message.event.as_deref().unwrap_or_default(),
                }
            }
        };
        Self(Some(part))
    }

    /// Whether there is a room.
    pub(super) fn is_one(&self) -> bool {
        self.0.is_some()
    }

    /// The packet that enters it.
    pub(super) fn enters(&self) -> Option<String> {
        self.0.as_ref()?.enters.clone()
    }

    /// Whether an event is what somebody said.
    pub(super) fn hears(&self, event: &str) -> bool {
        self.0.as_ref().is_some_and(|part| part.hears == event)
    }

    /// Waits until something is to be said; for ever without a room. Safe to drop while it waits.
    pub(super) async fn due(&mut self) -> Ran {
        match &mut self.0 {
            Some(part) => part.speaker.due().await,
            None => pending().await,
        }
    }

    /// The packet that says what is due, and how much of it is payload.
    pub(super) fn say(&mut self, due: Ran) -> Result<(String, u64), ClientError> {
        due?;
        let Some(Part { speaker, says, .. }) = &mut self.0 else { return Err(ClientError::Unscanned) };
        let Speech { text, payload, .. } = speaker.say()?;
        Ok((format!("{says}{text}]"), payload))
    }
}
