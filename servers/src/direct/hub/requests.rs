//! Questions and answers: request heads in, whole answers out, and answers that are held.

use std::sync::Arc;

use ticker::clock;

use super::Hub;
use crate::{
    conditions::HTTP_BUFFER,
    direct::{
        Then, Wait,
        fanout::Place,
        head::{self, Answer, Parsed},
        peer::{Following, State},
        timers::NEVER,
    },
    encoded::{Encoded, Envelope},
    registry::Class,
    transports,
};

impl Hub {
    /// Answers the requests that `bytes` begins with, after what was read before.
    pub(super) fn asked(&mut self, slot: u32, bytes: &mut [u8]) {
        let Some(peer) = self.peer(slot) else { return };
        if peer.unread.is_empty() {
            return self.answer_all(slot, bytes);
        }
        let mut all = std::mem::take(&mut peer.unread);
        all.extend_from_slice(bytes);
        self.answer_all(slot, &all);
    }

    fn answer_all(&mut self, slot: u32, bytes: &[u8]) {
        let mut left = bytes;
        loop {
            let Some(peer) = self.peers[slot as usize].as_mut() else { return };
            let asks = matches!(peer.state, State::Asks);
            if left.is_empty() && asks {
                peer.unread = Vec::new();
                return self.timers.set(slot, &mut peer.deadline, NEVER);
            }
            // One answer after the other: the rest waits until this one is out.
            if !asks || peer.is_blocked() || peer.closes {
                // Those who follow have nothing more to ask.
                let kept = if matches!(peer.state, State::Follows(_)) { &[] } else { left };
                peer.unread = kept.to_vec();
                return;
            }
            let mut room = head::room();
            match head::parse(left, &mut room) {
                Parsed::Partial if left.len() <= HTTP_BUFFER => return self.wait_for_more(slot, left),
                Parsed::Partial | Parsed::Other => return self.hand_over(slot, left),
                Parsed::Whole(request, length) => {
                    self.out.clear();
                    let mut answer = Answer {
                        app: &self.app,
                        out: &mut self.out,
                        body: &mut self.body,
                        date: self.date.at(self.now_ns, clock::unix_ns),
                        closes: request.closes,
                    };
                    let Some(then) = transports::direct(&mut answer, &request) else {
                        return self.hand_over(slot, left);
                    };
                    let closes = request.closes;
                    left = &left[length..];
                    peer.record.request(Class::Data);
                    peer.closes = closes && matches!(then, Then::Asks);
                    if peer.say(slot, &self.out, &mut self.lates).is_err() {
                        return self.close(slot);
                    }
                    self.then(slot, then, closes, left);
                }
            }
        }
    }

    /// The head's end is still to come.
    fn wait_for_more(&mut self, slot: u32, begun: &[u8]) {
        let limit = self.app.settings.header_timeout.as_nanos() as u64;
        let until_ns = self.now_ns + limit;
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        if peer.deadline.is_off() {
            self.timers.set(slot, &mut peer.deadline, until_ns);
        }
        peer.unread = begun.to_vec();
    }

    fn then(&mut self, slot: u32, then: Then, closes: bool, left: &[u8]) {
        let epoch = self.crowd.next_epoch();
        let heartbeat_ns = self.now_ns + self.app.settings.heartbeat.as_nanos() as u64;
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        match then {
            Then::Asks => {
                self.timers.set(slot, &mut peer.deadline, NEVER);
                if peer.closes && !peer.is_blocked() {
                    self.finish(slot);
                }
            }
            // A hold as long as the others' heartbeat keeps proxies from taking the quiet connection for a dead one.
            Then::Waits(wait) => {
                peer.state = State::Waits(Box::new(Held { wait, closes, epoch }));
                self.crowd.waiting.push(Place { slot, epoch });
                self.timers.set(slot, &mut peer.deadline, heartbeat_ns);
                // What came since the hub looked last is no news for the others, but for this one.
                self.answer_news(slot, None);
            }
            Then::Follows(follow) => {
                // Some clients speak before they have heard that they may.
                let mut early = left.to_vec();
                peer.state = State::Follows(Following {
                    stream: follow.stream,
                    selection: follow.selection,
                    ear: follow.ear,
                    cursor: follow.cursor,
                    behind: true,
                    epoch,
                    parcel: (0, 0),
                    spoke_ns: self.now_ns,
                });
                self.timers.set(slot, &mut peer.deadline, heartbeat_ns);
                self.enlist(slot);
                self.catch_up(slot);
                if !early.is_empty() {
                    self.said(slot, &mut early);
                }
            }
        }
    }

    /// Answers those whose answers were held and who want one of `quotes`.
    pub(super) fn answer_waiting(&mut self, quotes: &[Arc<Encoded>]) {
        if self.crowd.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.crowd.waiting);
        let mut shared = None;
        for place in waiting {
            let Some(peer) = self.peer(place.slot) else { continue };
            let State::Waits(held) = &peer.state else { continue };
            if held.epoch != place.epoch {
                continue;
            }
            if quotes.iter().any(|quote| held.wait.selection.wants(quote.symbol)) {
                self.answer_news(place.slot, Some(&mut shared));
            }
            // Still there: nothing of it was to be told.
            if matches!(self.peer(place.slot).map(|peer| &peer.state), Some(State::Waits(held)) if held.epoch == place.epoch)
            {
                self.crowd.waiting.push(place);
            }
        }
    }

    /// Answers a held question if there is something to tell. Who has the same cursor and wants everything gets the same
    /// bytes.
    fn answer_news(&mut self, slot: u32, shared: Option<&mut Option<Shared>>) {
        let Some(State::Waits(held)) = self.peer(slot).map(|peer| &peer.state) else { return };
        let (after, closes, wait) = (held.wait.after, held.closes, held.wait.clone());
        let Wait { selection, transport, answer, .. } = wait;
        let all = selection.is_all();
        if let Some(Some(shared)) = &shared
            && all
            && (shared.after, shared.closes) == (after, closes)
        {
            self.app.counters(transport).quotes(shared.quotes);
            let bytes = std::mem::take(&mut self.out);
            self.answer_held(slot, &bytes, closes);
            self.out = bytes;
            return;
        }
        let envelope = match self.app.log.portion(after, &selection) {
            Some((quotes, _)) if quotes.is_empty() => return,
            Some((quotes, last)) => Envelope { last, gap: 0, snapshot: false, quotes },
            None => self.app.log.since(after, &selection),
        };
        let quotes = if envelope.snapshot { 0 } else { envelope.quotes.len() };
        self.app.counters(transport).quotes(quotes);
        self.write_held(closes, answer, &envelope);
        if let Some(shared) = shared {
            *shared = all.then_some(Shared { after, closes, quotes });
        }
        let bytes = std::mem::take(&mut self.out);
        self.answer_held(slot, &bytes, closes);
        self.out = bytes;
    }

    /// Those who wait, after the hub lost its place.
    pub(super) fn answer_waiting_anew(&mut self) {
        for place in self.crowd.waiting.clone() {
            self.answer_news(place.slot, None);
        }
    }

    /// Nothing came in time, or the server stops: the client asks again, or finds nobody.
    pub(super) fn answer_silence(&mut self, slot: u32) {
        let stops = self.stops_ns.is_some();
        let Some(State::Waits(held)) = self.peer(slot).map(|peer| &peer.state) else { return };
        let (closes, wait) = (held.closes || stops, held.wait.clone());
        let envelope = Envelope { last: wait.after, gap: 0, snapshot: false, quotes: Vec::new() };
        self.write_held(closes, wait.answer, &envelope);
        let bytes = std::mem::take(&mut self.out);
        self.answer_held(slot, &bytes, closes);
        self.out = bytes;
    }

    fn write_held(&mut self, closes: bool, write: fn(&mut Answer<'_>, &Envelope), envelope: &Envelope) {
        self.out.clear();
        let mut answer = Answer {
            app: &self.app,
            out: &mut self.out,
            body: &mut self.body,
            date: self.date.at(self.now_ns, clock::unix_ns),
            closes,
        };
        write(&mut answer, envelope);
    }

    fn answer_held(&mut self, slot: u32, bytes: &[u8], closes: bool) {
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        peer.state = State::Asks;
        peer.closes = closes;
        self.timers.set(slot, &mut peer.deadline, NEVER);
        if peer.say(slot, bytes, &mut self.lates).is_err() {
            return self.close(slot);
        }
        if closes && !peer.is_blocked() {
            return self.finish(slot);
        }
        if !peer.unread.is_empty() && !peer.is_blocked() {
            let unread = std::mem::take(&mut peer.unread);
            self.answer_all(slot, &unread);
        }
        self.listen(slot);
    }
}

/// An answer in `out` that others may get, too.
struct Shared {
    after: u64,
    closes: bool,
    quotes: usize,
}

/// A question that waits.
pub(in crate::direct) struct Held {
    wait: Wait,
    closes: bool,
    epoch: u32,
}
