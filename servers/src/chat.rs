//! A chat room: who is in it, and what everybody is told. It knows no transport.
//!
//! One room for all of a server's chatters, whatever they came over: so two tabs with two transports talk to each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// Longest nickname, characters.
const LONGEST_NAME: usize = 20;
/// Longest text, characters.
const LONGEST_TEXT: usize = 500;
/// Most people in it.
const MOST_ONLINE: usize = 500;
/// Events that may wait for one who does not read; beyond them it is told that it is too slow.
const MOST_WAITING: usize = 256;

/// What a chatter says: `{"join":"ann"}`, then `{"say":"hello"}`, perhaps `{"leave":{}}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Word {
    Join(String),
    Say(String),
    Leave {},
}

/// What everybody in the room is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// Somebody came, or you did: the first that you hear is your own.
    Joined { name: String, online: Vec<String> },
    /// Somebody went.
    Left { name: String, online: Vec<String> },
    /// Somebody spoke.
    Said { name: String, text: String },
    /// To one chatter only: why what it said was not done.
    Refused { error: String },
}

impl Event {
    /// The event's name, as Socket.IO has it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::Said { .. } => "said",
            Self::Refused { .. } => "refused",
        }
    }
}

impl Event {
    /// What it says without its name, as an event of Socket.IO carries it.
    pub(crate) fn argument(&self) -> serde_json::Value {
        let named = serde_json::to_value(self).unwrap_or_default();
        named.get(self.name()).cloned().unwrap_or_default()
    }
}

/// The room.
pub(crate) struct Room {
    online: Mutex<Vec<String>>,
    events: broadcast::Sender<Event>,
}

impl Default for Room {
    fn default() -> Self {
        Self { online: Mutex::default(), events: broadcast::channel(MOST_WAITING).0 }
    }
}

impl Room {
    /// Somebody at the door.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        Visitor { room: self, name: None }
    }

    /// What everybody in it is told from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn tell(&self, event: Event) {
        // Nobody may be there.
        let _ = self.events.send(event);
    }

    fn online(&self) -> MutexGuard<'_, Vec<String>> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One chatter; it leaves the room with this value.
pub(crate) struct Visitor<'a> {
    room: &'a Room,
    name: Option<String>,
}

impl Visitor<'_> {
    /// Whether it is in the room: who is not is told nothing.
    pub(crate) fn is_in(&self) -> bool {
        self.name.is_some()
    }

    /// Does what it says; `Err` is for it alone.
    pub(crate) fn hear(&mut self, word: Word) -> Result<(), Event> {
        let refuse = |error: String| Err(Event::Refused { error });
        match (word, self.name.clone()) {
            (Word::Join(_), Some(name)) => refuse(format!("you are {name} already")),
            (Word::Join(name), None) => self.join(name.trim()),
            (Word::Say(_), None) => refuse("join first, with a nickname".to_owned()),
            (Word::Say(text), Some(name)) => {
                let length = text.chars().count();
                if !(1..=LONGEST_TEXT).contains(&length) {
                    return refuse(format!("the text has {length} characters, expected 1 to {LONGEST_TEXT}"));
                }
                self.room.tell(Event::Said { name, text });
                Ok(())
            }
            (Word::Leave {}, _) => {
                self.leave();
                Ok(())
            }
        }
    }

    fn join(&mut self, name: &str) -> Result<(), Event> {
        let refuse = |error: String| Err(Event::Refused { error });
        let length = name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) {
            return refuse(format!("the nickname has {length} characters, expected 1 to {LONGEST_NAME}"));
        }
        let mut online = self.room.online();
        if online.iter().any(|other| other == name) {
            return refuse(format!("somebody is called {name} already"));
        }
        if online.len() >= MOST_ONLINE {
            return refuse(format!("the room is full: {MOST_ONLINE}"));
        }
        online.push(name.to_owned());
        self.name = Some(name.to_owned());
        // Told under the lock, so that the lists come in the order of their making.
        self.room.tell(Event::Joined { name: name.to_owned(), online: online.clone() });
        Ok(())
    }

    fn leave(&mut self) {
        let Some(name) = self.name.take() else { return };
        let mut online = self.room.online();
        online.retain(|other| *other != name);
        self.room.tell(Event::Left { name, online: online.clone() });
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joins_speaks_and_leaves_is_told_to_all() {
        let room = Room::default();
        let mut events = room.events();
        let mut ann = room.visitor();
        assert!(matches!(ann.hear(Word::Say("hi".into())), Err(Event::Refused { .. })));
        ann.hear(Word::Join(" ann ".into())).unwrap();
        let mut bob = room.visitor();
        assert!(matches!(bob.hear(Word::Join("ann".into())), Err(Event::Refused { .. })));
        bob.hear(Word::Join("bob".into())).unwrap();
        bob.hear(Word::Say("hello".into())).unwrap();
        assert!(bob.hear(Word::Say(String::new())).is_err() && bob.hear(Word::Join("x".into())).is_err());
        drop(ann);
        bob.hear(Word::Leave {}).unwrap();
        assert!(!bob.is_in());
        let texts: Vec<String> = std::iter::from_fn(|| events.try_recv().ok())
            .map(|event| serde_json::to_string(&event).unwrap())
            .collect();
        assert_eq!(
            texts,
            [
                r#"{"joined":{"name":"ann","online":["ann"]}}"#,
                r#"{"joined":{"name":"bob","online":["ann","bob"]}}"#,
                r#"{"said":{"name":"bob","text":"hello"}}"#,
                r#"{"left":{"name":"ann","online":["bob"]}}"#,
                r#"{"left":{"name":"bob","online":[]}}"#,
            ]
        );
    }
}
