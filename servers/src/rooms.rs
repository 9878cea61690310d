//! Rooms: who is in which, and what is said in them. They know no transport.
//!
//! A room is a bounded ring of events that all its members read with cursors of their own, as the feed's log is: a message
//! is kept once for all of them, and one that does not read costs no memory. It is told that it was too slow.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

/// Longest name of a room, characters.
const LONGEST_NAME: usize = 64;
/// Most rooms of a server.
const MOST_ROOMS: usize = 10_000;
/// Most members of all rooms together.
const MOST_MEMBERS: usize = 10_000;
/// Events that a room keeps for members that are behind, and the most bytes of them.
const MOST_KEPT: usize = 4096;
const MOST_KEPT_BYTES: usize = 1024 * 1024;
/// Events that a member takes at a time.
const MOST_TAKEN: usize = 64;

/// Why somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Without a name, or with one that is too long.
    #[error("a room's name has 1 to {LONGEST_NAME} characters, none of them a control character")]
    Name,
    /// There are too many rooms.
    #[error("there are {MOST_ROOMS} rooms already")]
    Rooms,
    /// There are too many members.
    #[error("there are {MOST_MEMBERS} members already")]
    Members,
}

/// A member did not read for as long as its room keeps what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a member said.
    Said,
    /// Somebody came or went: how many there are.
    Online(usize),
}

/// What all members are told, in every form, each made once.
pub(crate) struct Event {
    pub(crate) kind: Kind,
    /// As it was said; of a count `{"online":N}`.
    pub(crate) text: Utf8Bytes,
    block: OnceLock<Bytes>,
    json: OnceLock<Box<RawValue>>,
}

impl Event {
    fn said(text: Utf8Bytes) -> Self {
        Self { kind: Kind::Said, text, block: OnceLock::new(), json: OnceLock::new() }
    }

    fn online(members: usize) -> Self {
        let text = format!("{{\"online\":{members}}}").into();
        Self { kind: Kind::Online(members), text, block: OnceLock::new(), json: OnceLock::new() }
    }

    /// As a block of an event stream (WHATWG HTML section 9.2): each line of the text is one of `data`.
    pub(crate) fn block(&self) -> Bytes {
        let block = || {
            let mut block = String::with_capacity(self.text.len() + 16);
            if matches!(self.kind, Kind::Online(_)) {
                block.push_str("event: online\n");
            }
            for line in self.text.replace("\r\n", "\n").split(['\r', '\n']) {
                block.push_str("data: ");
                block.push_str(line);
                block.push('\n');
            }
            block.push('\n');
            Bytes::from(block)
        };
        self.block.get_or_init(block).clone()
    }

    /// As a value of JSON: a text that is an object or an array as it is, any other as a string.
    pub(crate) fn json(&self) -> &RawValue {
        self.json.get_or_init(|| {
            let text = self.text.trim();
            let raw =
                text.starts_with(['{', '[']).then(|| RawValue::from_string(text.to_owned()).ok()).flatten();
            raw.or_else(|| to_raw_value(self.text.as_str()).ok()).unwrap_or_default()
        })
    }
}

/// All rooms of a server.
#[derive(Default)]
pub(crate) struct Rooms {
    books: Mutex<Books>,
    /// Members without a connection that lasts, by a number that nobody can guess.
    visitors: Mutex<HashMap<u64, Visitor>>,
}

#[derive(Default)]
struct Books {
    open: HashMap<Arc<str>, Arc<Room>>,
    members: usize,
}

/// A member that asks from time to time.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) room: Arc<Room>,
    /// When it asked last, in CLOCK_MONOTONIC nanoseconds.
    pub(crate) seen_ns: Arc<AtomicU64>,
    /// Cancelled when it says that it leaves.
    pub(crate) leaves: CancellationToken,
}

impl Rooms {
    /// A new member of a room, which opens with its first; everybody in it is told, the new one included.
    pub(crate) fn join(self: &Arc<Self>, name: &str) -> Result<Member, Refused> {
        let length = name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) {
            return Err(Refused::Name);
        }
        let mut books = lock(&self.books);
        if books.members >= MOST_MEMBERS {
            return Err(Refused::Members);
        }
        let room = match books.open.get(name) {
            Some(room) => Arc::clone(room),
            None if books.open.len() >= MOST_ROOMS => return Err(Refused::Rooms),
            None => {
                let room = Arc::new(Room::new(name));
                books.open.insert(Arc::clone(&room.name), Arc::clone(&room));
                room
            }
        };
        books.members += 1;
        let cursor = room.comes();
        Ok(Member { newest: room.newest.subscribe(), rooms: Arc::clone(self), room, cursor })
    }

    /// The room of that name, if anybody is in it.
    pub(crate) fn room(&self, name: &str) -> Option<Arc<Room>> {
        lock(&self.books).open.get(name).cloned()
    }

    /// A number for a member that asks from time to time.
    pub(crate) fn visit(&self, visitor: Visitor) -> u64 {
        use std::hash::{BuildHasher as _, RandomState};
        let number = RandomState::new().hash_one(visitor.seen_ns.load(Relaxed));
        lock(&self.visitors).insert(number, visitor);
        number
    }

    /// The visitor of that number.
    pub(crate) fn visitor(&self, number: u64) -> Option<Visitor> {
        lock(&self.visitors).get(&number).cloned()
    }

    /// A visitor is gone.
    pub(crate) fn forget(&self, number: u64) {
        lock(&self.visitors).remove(&number);
    }

    fn leave(&self, room: &Room) {
        let mut books = lock(&self.books);
        books.members -= 1;
        if room.goes() == 0 {
            books.open.remove(&room.name);
        }
    }
}

/// One room.
pub(crate) struct Room {
    name: Arc<str>,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    members: usize,
    /// Number of the newest event, from 1.
    last: u64,
    bytes: usize,
    kept: VecDeque<Arc<Event>>,
}

/// What a member that asks from time to time has not heard yet.
pub(crate) struct Missed {
    /// Number of the newest event.
    pub(crate) last: u64,
    /// Events that are no longer kept.
    pub(crate) gap: u64,
    pub(crate) online: usize,
    /// What was said.
    pub(crate) messages: Vec<Arc<Event>>,
}

impl Ring {
    fn append(&mut self, event: Event) -> u64 {
        self.last += 1;
        self.bytes += event.text.len();
        self.kept.push_back(Arc::new(event));
        while self.kept.len() > MOST_KEPT || (self.bytes > MOST_KEPT_BYTES && self.kept.len() > 1) {
            self.bytes -= self.kept.pop_front().map_or(0, |event| event.text.len());
        }
        self.last
    }

    /// Number of the newest event that is no longer kept.
    fn forgotten(&self) -> u64 {
        self.last - self.kept.len() as u64
    }
}

impl Room {
    fn new(name: &str) -> Self {
        Self { name: name.into(), ring: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// Whether that is its name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        *self.name == *name
    }

    /// Tells all members what one of them says.
    pub(crate) fn say(&self, text: Utf8Bytes) {
        let mut ring = lock(&self.ring);
        let last = ring.append(Event::said(text));
        self.newest.send_replace(last);
    }

    /// What was said after that event.
    pub(crate) fn since(&self, after: u64) -> Missed {
        let ring = lock(&self.ring);
        let gap = ring.forgotten().saturating_sub(after);
        let skipped = after.saturating_sub(ring.forgotten()) as usize;
        let kept = ring.kept.iter().skip(skipped).filter(|event| event.kind == Kind::Said);
        Missed { last: ring.last, gap, online: ring.members, messages: kept.cloned().collect() }
    }

    /// One more; the cursor of who reads everything from its own coming on.
    fn comes(&self) -> u64 {
        let mut ring = lock(&self.ring);
        ring.members += 1;
        let members = ring.members;
        let last = ring.append(Event::online(members));
        self.newest.send_replace(last);
        last - 1
    }

    /// One less; how many are left.
    fn goes(&self) -> usize {
        let mut ring = lock(&self.ring);
        ring.members -= 1;
        let members = ring.members;
        let last = ring.append(Event::online(members));
        self.newest.send_replace(last);
        members
    }
}

/// Somebody in a room; it leaves with this value.
pub(crate) struct Member {
    rooms: Arc<Rooms>,
    room: Arc<Room>,
    cursor: u64,
    newest: watch::Receiver<u64>,
}

impl Member {
    /// Its room.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// What has happened since, the oldest first; waits until something has. Safe to drop while it waits.
    pub(crate) async fn next(&mut self) -> Result<Vec<Arc<Event>>, TooSlow> {
        loop {
            {
                let ring = lock(&self.room.ring);
                let forgotten = ring.forgotten();
                if self.cursor < forgotten {
                    return Err(TooSlow);
                }
                if self.cursor < ring.last {
                    let skipped = (self.cursor - forgotten) as usize;
                    let events: Vec<_> = ring.kept.iter().skip(skipped).take(MOST_TAKEN).cloned().collect();
                    self.cursor += events.len() as u64;
                    return Ok(events);
                }
            }
            // The sender is the room's, which is there as long as its members.
            let _ = self.newest.changed().await;
        }
    }

    /// Number of the newest event that it has taken.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.rooms.leave(&self.room);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(member: &mut Member) -> Vec<String> {
        member.next().await.unwrap().iter().map(|event| event.text.to_string()).collect()
    }

    #[tokio::test]
    async fn what_is_said_reaches_all_members_of_the_room_and_nobody_else() {
        let rooms = Arc::new(Rooms::default());
        let mut ann = rooms.join("a").unwrap();
        let mut bob = rooms.join("a").unwrap();
        let mut eve = rooms.join("b").unwrap();
        ann.room().say("hi".into());
        assert_eq!(heard(&mut ann).await, [r#"{"online":1}"#, r#"{"online":2}"#, "hi"]);
        assert_eq!(heard(&mut bob).await, [r#"{"online":2}"#, "hi"]);
        assert_eq!(heard(&mut eve).await, [r#"{"online":1}"#]);
        drop(ann);
        assert_eq!(heard(&mut bob).await, [r#"{"online":1}"#]);
        assert!(rooms.room("a").is_some());
        drop(bob);
        assert!(rooms.room("a").is_none() && rooms.room("b").is_some());
    }

    #[tokio::test]
    async fn who_does_not_read_is_too_slow_and_costs_no_memory() {
        let rooms = Arc::new(Rooms::default());
        let mut slow = rooms.join("a").unwrap();
        let room = Arc::clone(slow.room());
        for _ in 0..MOST_KEPT {
            room.say("x".into());
        }
        assert_eq!(slow.next().await.err(), Some(TooSlow));
        assert_eq!(room.since(0).gap, 1);
        for _ in 0..3 {
            room.say("x".repeat(MOST_KEPT_BYTES / 2).into());
        }
        assert_eq!(lock(&room.ring).kept.len(), 2);
        let Missed { last, gap, online, messages } = room.since(0);
        assert_eq!((last, gap, online, messages.len()), (MOST_KEPT as u64 + 4, MOST_KEPT as u64 + 2, 1, 2));
    }

    #[test]
    fn names_rooms_and_members_have_bounds() {
        let rooms = Arc::new(Rooms::default());
        let refused = |name: &str| rooms.join(name).err();
        assert_eq!([refused(""), refused("a\nb"), refused(&"x".repeat(65))], [Some(Refused::Name); 3]);
        assert_eq!(refused(&"ü".repeat(64)), None);
        let all: Vec<_> = (0..MOST_MEMBERS).map(|_| rooms.join("a").unwrap()).collect();
        assert_eq!(refused("a"), Some(Refused::Members));
        drop(all);
        assert_eq!(refused("a"), None);
        let all: Vec<_> = (0..MOST_ROOMS).map(|number| rooms.join(&number.to_string()).unwrap()).collect();
        lock(&rooms.books).members = 0;
        assert_eq!(refused("a"), Some(Refused::Rooms));
        lock(&rooms.books).members = all.len();
    }

    #[test]
    fn a_text_has_a_form_for_every_stream() {
        let check = |text: &str, block: &str, json: &str| {
            let event = Event::said(text.into());
            assert_eq!((&event.block()[..], event.json().get()), (block.as_bytes(), json));
        };
        check(r#"{"a":1}"#, "data: {\"a\":1}\n\n", r#"{"a":1}"#);
        check("hi", "data: hi\n\n", r#""hi""#);
        check("5", "data: 5\n\n", r#""5""#);
        check("{broken", "data: {broken\n\n", r#""{broken""#);
        check("a\r\nb\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n", r#""a\r\nb\nc\rd""#);
        assert_eq!(&Event::online(3).block()[..], b"event: online\ndata: {\"online\":3}\n\n");
    }
}
