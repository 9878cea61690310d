//! A QUIC connection's bytes by phase: the library's counters, read with each message, and what the messages say of them.
//!
//! It knows no library and no protocol. UDP payload is the socket's total; messages name their payload and
//! their framing, and all the rest is transport framing: QUIC's packets, TLS inside them, HTTP/3's frames and fields
//! are sealed together, so nobody outside can tell them apart.

use std::rc::Rc;

use measurement::{
    ledger::{Direction, Phase},
    result::{Quic, QuicEnd},
};

use crate::{socket::Books, timeline::Timeline};

/// The counters of one connection, as the client's end has them.
pub type Counts = QuicEnd;

/// Bytes of IP's and UDP's heads (RFC 791, RFC 768).
pub const UDP_IP_HEADS: [u64; 2] = [20 + 8, 40 + 8];
/// The datagram that opens a connection has this length (RFC 9000 section 14.1); a server's library reads it
/// before there is a connection to count it on.
pub const OPENING_DATAGRAM: u16 = 1_200;

/// One connection's count.
#[derive(Debug)]
pub struct Meter {
    timeline: Rc<Timeline>,
    last: Counts,
    phase: Phase,
    down: Direction,
    up: Direction,
    window_datagrams: u64,
}

impl Meter {
    /// For a connection that has not moved anything.
    pub fn new(timeline: Rc<Timeline>) -> Self {
        Self {
            timeline,
            last: Counts::default(),
            phase: Phase::Connect,
            down: Direction::default(),
            up: Direction::default(),
            window_datagrams: 0,
        }
    }

    /// What moved since the last call moved in the phase of `at_ns`, the receipt of a message.
    pub fn moved(&mut self, at_ns: u64, now: &Counts) {
        let received = now.received_bytes - self.last.received_bytes;
        let sent = now.sent_bytes - self.last.sent_bytes;
        if received > 0 {
            // A message that was in before the last receipt belongs to that phase.
            self.phase = self.timeline.phase(at_ns);
        }
        self.timeline.moved(at_ns, received, sent);
        self.down.phase_mut(self.phase).socket_total += received;
        self.up.phase_mut(self.phase).socket_total += sent;
        if self.phase == Phase::Measure {
            let datagrams = |counts: &Counts| counts.received_datagrams + counts.sent_datagrams;
            self.window_datagrams += datagrams(now) - datagrams(&self.last);
        }
        self.last = *now;
    }

    /// A message was decoded: so many bytes of it are payload, and so many framing.
    pub fn message(&mut self, payload: u64, framing: u64) {
        let layers = self.down.phase_mut(self.phase);
        layers.payload += payload;
        layers.app_framing += framing;
    }

    /// The connection is over.
    pub fn finish(mut self, at_ns: u64, end: &Counts, ipv6: bool) -> Books {
        self.moved(at_ns, end);
        for direction in [&mut self.down, &mut self.up] {
            remainder(direction);
        }
        let quic = Quic {
            connections: 1,
            client: self.last,
            server: None,
            opening_bytes: u64::from(OPENING_DATAGRAM),
            udp_ip_estimate: self.window_datagrams * UDP_IP_HEADS[usize::from(ipv6)],
        };
        Books { received: self.down, sent: self.up, quic: Some(quic), ..Books::default() }
    }
}

/// Fills in what no message accounts for. A phase with less than its messages borrows from the one before, in
/// which their bytes came.
fn remainder(direction: &mut Direction) {
    for index in (0..Phase::ALL.len()).rev() {
        let layers = direction.phase_mut(Phase::ALL[index]);
        let named = layers.payload + layers.app_framing;
        let debt = named.saturating_sub(layers.socket_total);
        layers.socket_total += debt;
        layers.transport_framing = layers.socket_total - named;
        if debt > 0 && index > 0 {
            let before = direction.phase_mut(Phase::ALL[index - 1]);
            before.socket_total = before.socket_total.saturating_sub(debt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(received_bytes: u64, sent_bytes: u64) -> Counts {
        Counts { received_bytes, sent_bytes, received_datagrams: received_bytes / 100, ..Counts::default() }
    }

    #[test]
    fn every_byte_has_its_phase_and_its_layer() {
        let timeline = Rc::new(Timeline::default());
        let mut meter = Meter::new(Rc::clone(&timeline));
        meter.moved(5, &counts(1_000, 800));
        meter.message(500, 50);
        timeline.start(100, &(0..100));
        meter.moved(110, &counts(1_400, 840));
        meter.message(120, 4);
        meter.message(120, 4);
        // Nothing came since: the message was in with the ones before.
        meter.moved(205, &counts(1_400, 840));
        meter.message(120, 4);
        let books = meter.finish(210, &counts(1_430, 900), false);
        let layers = |phase| {
            let layers = books.received.phase(phase);
            (layers.payload, layers.app_framing, layers.transport_framing, layers.socket_total)
        };
        assert_eq!(layers(Phase::Connect), (500, 50, 450, 1_000));
        assert_eq!(layers(Phase::Measure), (360, 12, 28, 400));
        assert_eq!(layers(Phase::Drain), (0, 0, 30, 30));
        assert_eq!(books.sent.phase(Phase::Drain).transport_framing, 60);
        assert!(books.received.balanced() && books.sent.balanced());
        assert_eq!(books.quic.unwrap().udp_ip_estimate, 4 * 28);
    }

    #[test]
    fn a_message_whose_bytes_came_with_the_phase_before_borrows_them() {
        let timeline = Rc::new(Timeline::default());
        timeline.start(100, &(0..100));
        let mut meter = Meter::new(timeline);
        meter.moved(110, &counts(400, 0));
        meter.message(120, 4);
        meter.moved(205, &counts(420, 0));
        meter.message(120, 4);
        let books = meter.finish(206, &counts(420, 0), false);
        assert_eq!(
            (books.received.phase(Phase::Drain).socket_total, books.received.socket_total()),
            (124, 420)
        );
        assert!(books.received.balanced());
    }
}
