//! A member of a room in a session: what it says, as packets of the namespace of rooms.

use std::future::pending;

use super::{Ran, clients_chat};
use crate::{
    clients::chat::Speaker,
    worker::{Client, ClientError},
};

/// The packets that join the namespace and leave it.
pub(super) const JOIN: &str = "40/room,";
pub(super) const LEAVE: &str = "41/room,";

/// A session's part in its room; none where the workload has none.
pub(super) struct Member<'a>(Option<(Speaker<'a>, String)>);

impl<'a> Member<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        let rooms = client.plan().workload.has_rooms();
        Self(rooms.then(|| (Speaker::new(client), clients_chat::room(client))))
    }

    /// Whether there is a room.
    pub(super) fn is_one(&self) -> bool {
        self.0.is_some()
    }

    /// The packet that enters it.
    pub(super) fn enters(&self) -> Option<String> {
        let (_, room) = self.0.as_ref()?;
        Some(format!("42/room,[\"join\",\"{room}\"]"))
    }

    /// Waits until something is to be said; for ever without a room. Safe to drop while it waits.
    pub(super) async fn due(&mut self) -> Ran {
        match &mut self.0 {
            Some((speaker, _)) => speaker.due().await,
            None => pending().await,
        }
    }

    /// The packet that says what is due, and how much of it is payload.
    pub(super) fn say(&mut self, due: Ran) -> Result<(String, u64), ClientError> {
        due?;
        let Some((speaker, _)) = &mut self.0 else { return Err(ClientError::Unscanned) };
        let (text, _) = speaker.say()?;
        Ok((format!("42/room,[\"say\",{text}]"), text.len() as u64))
    }
}
