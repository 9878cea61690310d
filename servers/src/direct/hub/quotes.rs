//! What flows without being asked for: rounds of quotes, what those behind are owed, heartbeats, and farewells.

use std::sync::Arc;

use super::{FAREWELL_TIME, Hub};
use crate::{
    direct::{
        Attitude,
        fanout::{Batch, Crowd, Place},
        peer::{Following, Gone, Lates, Peer, State},
    },
    encoded::{Encoded, Framing},
    selection::Selection,
};

/// Portions that one client is given before others have their turn.
const PORTIONS: usize = 4;

/// The client that a place is for, while it is there and wants the same.
fn follower(peers: &mut [Option<Peer>], place: Place) -> Option<&mut Peer> {
    let peer = peers[place.slot as usize].as_mut()?;
    match &peer.state {
        State::Follows(following) if following.epoch == place.epoch => Some(peer),
        State::Follows(_) | State::Asks | State::Waits(_) | State::Leaves(_) | State::Lingers => None,
    }
}

/// Sends what of `batch` the client does not have, and returns how many quotes that were and whether it took them all:
/// if not, it is behind from there on.
fn deliver(
    (peer, slot): (&mut Peer, u32),
    batch: &Batch,
    before: u64,
    last: u64,
    lates: &mut Lates,
) -> Result<(usize, bool), Gone> {
    let State::Follows(following) = &peer.state else { return Ok((0, true)) };
    let cursor = following.cursor.unwrap_or(0).max(before);
    let (skipped, from) = if cursor > before { batch.past(cursor) } else { (0, 0) };
    if from == batch.bytes.len() {
        return Ok((0, true));
    }
    let sent = peer.send(slot, &batch.bytes[from..], lates)?;
    let State::Follows(following) = &mut peer.state else { return Ok((0, true)) };
    following.spoke_ns = lates.now_ns;
    if from + sent == batch.bytes.len() {
        following.cursor = Some(last.max(cursor));
        return Ok((batch.len() - skipped, true));
    }
    following.behind = true;
    following.cursor = Some(cursor);
    if sent == 0 {
        return Ok((0, false));
    }
    let (count, seq, end) = batch.cut(from + sent);
    following.cursor = Some(seq);
    peer.rest.extend_from_slice(&batch.bytes[from + sent..end]);
    Ok((count - skipped, false))
}

impl Hub {
    /// Puts a client into the lists that its quotes are sent by.
    pub(super) fn enlist(&mut self, slot: u32) {
        let Some(State::Follows(following)) = self.peers[slot as usize].as_ref().map(|peer| &peer.state)
        else {
            return;
        };
        let place = Place { slot, epoch: following.epoch };
        match following.selection.symbols() {
            None => self.crowd.all[following.stream.framing as usize].push(place),
            Some(symbols) => {
                symbols.iter().for_each(|&symbol| self.crowd.by_symbol[symbol as usize].push(place));
            }
        }
    }

    /// Sends what the log has got since the last round.
    pub(super) fn fan_out(&mut self) {
        loop {
            match self.app.log.portion(self.cursor, &Selection::default()) {
                // The hub itself came too late: everybody begins anew from where they stand.
                None => {
                    let before = std::mem::replace(&mut self.cursor, self.app.log.last());
                    self.everybody_is_behind(before);
                }
                Some((_, last)) if last == self.cursor => return,
                Some((quotes, last)) => {
                    let before = std::mem::replace(&mut self.cursor, last);
                    self.round += 1;
                    self.send_to_all(&quotes, before);
                    self.send_by_symbol(&quotes, before);
                    self.answer_waiting(&quotes);
                }
            }
        }
    }

    fn send_to_all(&mut self, quotes: &[Arc<Encoded>], before: u64) {
        let (mut stuck, mut gone) = (Vec::new(), Vec::new());
        for framing in Framing::ALL {
            let Self { crowd: Crowd { all, .. }, batches, peers, lates, app, cursor, .. } = self;
            let places = &mut all[framing as usize];
            if places.is_empty() {
                continue;
            }
            let batch = &mut batches[framing as usize];
            batch.fill(quotes, framing);
            let (mut index, mut delivered, mut transport) = (0, 0, None);
            while let Some(&place) = places.get(index) {
                let Some(peer) = follower(peers, place) else {
                    places.swap_remove(index);
                    continue;
                };
                index += 1;
                let State::Follows(Following { behind: false, stream, .. }) = &peer.state else { continue };
                transport = Some(stream.transport);
                match deliver((peer, place.slot), batch, before, *cursor, lates) {
                    Ok((count, true)) => delivered += count,
                    Ok((count, false)) => {
                        delivered += count;
                        stuck.push(place.slot);
                    }
                    Err(Gone) => gone.push(place.slot),
                }
            }
            if let Some(transport) = transport {
                app.counters(transport).quotes(delivered);
            }
        }
        self.settle(stuck, gone);
    }

    /// A client of some symbols gets what of the round is for it, in one write.
    fn send_by_symbol(&mut self, quotes: &[Arc<Encoded>], before: u64) {
        let mut parcelled: Vec<Place> = Vec::new();
        for quote in quotes {
            let Self { crowd: Crowd { by_symbol, .. }, parcels, peers, round, .. } = self;
            let places = &mut by_symbol[quote.symbol as usize];
            let mut index = 0;
            while let Some(&place) = places.get(index) {
                let Some(peer) = follower(peers, place) else {
                    places.swap_remove(index);
                    continue;
                };
                index += 1;
                let State::Follows(following) = &mut peer.state else { continue };
                if following.behind || following.cursor.is_some_and(|cursor| cursor >= quote.seq) {
                    continue;
                }
                if following.parcel.0 != *round {
                    following.parcel = (*round, parcelled.len() as u32);
                    if parcels.len() == parcelled.len() {
                        parcels.push(Batch::default());
                    }
                    parcels[parcelled.len()].clear();
                    parcelled.push(place);
                }
                parcels[following.parcel.1 as usize].push(quote, following.stream.framing);
            }
        }
        let (mut stuck, mut gone) = (Vec::new(), Vec::new());
        for (index, place) in parcelled.into_iter().enumerate() {
            let Self { parcels, peers, lates, app, cursor, .. } = self;
            let Some(peer) = follower(peers, place) else { continue };
            let State::Follows(Following { stream, .. }) = &peer.state else { continue };
            let transport = stream.transport;
            match deliver((peer, place.slot), &parcels[index], before, *cursor, lates) {
                Ok((count, whole)) => {
                    app.counters(transport).quotes(count);
                    if !whole {
                        stuck.push(place.slot);
                    }
                }
                Err(Gone) => gone.push(place.slot),
            }
        }
        self.settle(stuck, gone);
    }

    /// Some cannot take more now, others have gone.
    fn settle(&mut self, stuck: Vec<u32>, gone: Vec<u32>) {
        stuck.into_iter().for_each(|slot| self.listen(slot));
        gone.into_iter().for_each(|slot| self.close(slot));
    }

    fn everybody_is_behind(&mut self, before: u64) {
        for slot in 0..self.peers.len() as u32 {
            let Some(State::Follows(following)) = self.peer(slot).map(|peer| &mut peer.state) else {
                continue;
            };
            if !following.behind {
                following.behind = true;
                following.cursor = following.cursor.map(|cursor| cursor.max(before));
                self.catch_up(slot);
                self.listen(slot);
            }
        }
        self.answer_waiting_anew();
    }

    /// Writes what a client is owed, until it has all or can take no more.
    pub(super) fn catch_up(&mut self, slot: u32) {
        for _ in 0..PORTIONS {
            let Self { peers, lates, app, out, cursor: newest, .. } = self;
            let Some(peer) = peers[slot as usize].as_mut() else { return };
            if peer.is_blocked() {
                return;
            }
            let State::Follows(following) = &mut peer.state else { return };
            let stream = following.stream;
            let portion = match following.cursor {
                Some(cursor) if cursor >= *newest => {
                    following.behind = false;
                    return;
                }
                Some(cursor) => app.log.portion(cursor, &following.selection).ok_or(Some(cursor)),
                None => Err(None),
            };
            following.spoke_ns = lates.now_ns;
            let written = match portion {
                Ok((quotes, last)) => {
                    let cursor = following.cursor.unwrap_or(0);
                    let mut batch = Batch::default();
                    batch.fill(&quotes, stream.framing);
                    if quotes.is_empty() {
                        following.cursor = Some(last);
                        continue;
                    }
                    match deliver((peer, slot), &batch, cursor, last, lates) {
                        Ok((count, whole)) => {
                            app.counters(stream.transport).quotes(count);
                            if !whole {
                                return;
                            }
                            Ok(())
                        }
                        Err(Gone) => Err(Gone),
                    }
                }
                Err(cursor) => {
                    let envelope = match cursor {
                        Some(cursor) => app.log.since(cursor, &following.selection),
                        None => app.log.snapshot(&following.selection),
                    };
                    following.cursor = Some(envelope.last);
                    out.clear();
                    (stream.snapshot)(&envelope, out);
                    peer.say(slot, out, lates)
                }
            };
            if written.is_err() {
                return self.close(slot);
            }
        }
    }

    /// A client that gets quotes has spoken.
    pub(super) fn said(&mut self, slot: u32, bytes: &mut [u8]) {
        let epoch = self.crowd.next_epoch();
        let Self { peers, app, out, lates, .. } = self;
        let Some(peer) = peers[slot as usize].as_mut() else { return };
        let State::Follows(following) = &mut peer.state else { return };
        // Without an ear nothing that it says matters.
        let Some(ear) = &mut following.ear else { return };
        out.clear();
        let heard = ear.hear(bytes, app, out);
        if let Some(selection) = heard.wish {
            following.selection = selection;
            following.cursor = None;
            following.behind = true;
            following.epoch = epoch;
        }
        if peer.say(slot, out, lates).is_err() {
            return self.close(slot);
        }
        match heard.attitude {
            Attitude::Open => {
                if let State::Follows(Following { behind: true, epoch: now, .. }) = &peer.state {
                    if *now == epoch {
                        self.enlist(slot);
                    }
                    self.catch_up(slot);
                }
                self.listen(slot);
            }
            attitude @ (Attitude::Leaving | Attitude::Over) => self.leave(slot, attitude),
        }
    }

    /// A heartbeat period has passed, in silence perhaps.
    pub(super) fn beat(&mut self, slot: u32) {
        let period = self.app.settings.heartbeat.as_nanos() as u64;
        let Self { peers, out, lates, timers, now_ns, .. } = self;
        let Some(peer) = peers[slot as usize].as_mut() else { return };
        let blocked = peer.is_blocked();
        let State::Follows(following) = &mut peer.state else { return };
        out.clear();
        let attitude = match &mut following.ear {
            Some(ear) => ear.beat(out),
            None => Attitude::Open,
        };
        let silent_ns = *now_ns - following.spoke_ns;
        let mut next_ns = *now_ns + period;
        if following.ear.is_none() {
            if silent_ns < period {
                next_ns = following.spoke_ns + period;
            } else if !blocked {
                out.extend_from_slice(following.stream.silence);
                following.spoke_ns = *now_ns;
            }
        }
        timers.set(slot, &mut peer.deadline, next_ns);
        if peer.say(slot, out, lates).is_err() {
            return self.close(slot);
        }
        match attitude {
            Attitude::Open => self.listen(slot),
            attitude @ (Attitude::Leaving | Attitude::Over) => self.leave(slot, attitude),
        }
    }

    /// The server stops.
    pub(super) fn end_stream(&mut self, slot: u32) {
        let Self { peers, out, lates, .. } = self;
        let Some(peer) = peers[slot as usize].as_mut() else { return };
        let State::Follows(following) = &mut peer.state else { return };
        out.clear();
        let attitude = match &mut following.ear {
            Some(ear) => {
                ear.end(out);
                Attitude::Leaving
            }
            None => {
                out.extend_from_slice(following.stream.farewell);
                Attitude::Over
            }
        };
        if peer.say(slot, out, lates).is_err() {
            return self.close(slot);
        }
        self.leave(slot, attitude);
    }

    /// Our farewell is written or on its way: waits for the client's, or ends once it is out.
    fn leave(&mut self, slot: u32, attitude: Attitude) {
        let until_ns = self.now_ns + FAREWELL_TIME.as_nanos() as u64;
        let Some(peer) = self.peers[slot as usize].as_mut() else { return };
        let ear = match std::mem::replace(&mut peer.state, State::Asks) {
            State::Follows(Following { ear, .. }) => ear,
            State::Asks | State::Waits(_) | State::Leaves(_) | State::Lingers => None,
        };
        self.timers.set(slot, &mut peer.deadline, until_ns);
        match ear {
            Some(ear) if attitude == Attitude::Leaving => peer.state = State::Leaves(ear),
            Some(_) | None if peer.is_blocked() => peer.closes = true,
            Some(_) | None => return self.finish(slot),
        }
        self.listen(slot);
    }
}
