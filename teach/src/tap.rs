//! What was said last on each lane, for the page to show. It listens at the lane's relay.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use relay::{Ears, Listener, Way};
use servers::Start;
use ticker::clock;

use crate::anatomy::{Anatomist, Specimen};

/// Messages that are kept.
const MOST_KEPT: usize = 60;

/// The newest messages of one lane, and all its bytes.
pub(crate) struct Tap {
    start: Start,
    shared: Arc<Mutex<Heard>>,
}

/// What a tap has heard.
#[derive(Default)]
pub(crate) struct Heard {
    newest: VecDeque<Specimen>,
    count: u64,
    /// Connections that clients opened.
    pub(crate) connections: u64,
    /// From browser to server.
    pub(crate) up_bytes: u64,
    /// From server to browser.
    pub(crate) down_bytes: u64,
}

impl Tap {
    pub(crate) fn new(start: Start) -> Self {
        Self { start, shared: Arc::default() }
    }

    /// The messages after that number, oldest first.
    pub(crate) fn after(&self, id: u64) -> Vec<Specimen> {
        let heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        heard.newest.iter().filter(|specimen| specimen.id > id).cloned().collect()
    }

    /// (connections, bytes up, bytes down) so far.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        let heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        (heard.connections, heard.up_bytes, heard.down_bytes)
    }
}

impl Listener for Tap {
    fn opened(&self) -> Box<dyn Ears> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
        let (start, shared) = (self.start, Arc::clone(&self.shared));
        Box::new(OneConnection { start, shared, anatomist: Anatomist::default() })
    }
}

struct OneConnection {
    start: Start,
    shared: Arc<Mutex<Heard>>,
    anatomist: Anatomist,
}

impl Ears for OneConnection {
    fn heard(&mut self, way: Way, bytes: &[u8]) {
        let at_us = self.start.anchor.unix_us(clock::now_ns());
        let messages = self.anatomist.take(way, bytes);
        let mut heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match way {
            Way::Up => heard.up_bytes += bytes.len() as u64,
            Way::Down => heard.down_bytes += bytes.len() as u64,
        }
        for message in messages {
            heard.count += 1;
            let id = heard.count;
            heard.newest.push_back(Specimen { id, at_us, ..message });
            if heard.newest.len() > MOST_KEPT {
                heard.newest.pop_front();
            }
        }
    }
}
