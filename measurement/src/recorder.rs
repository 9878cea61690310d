//! What one worker records of its clients: receptions in, mergeable sums out. No lock, log or allocation per quote.
//!
//! The caller stamps first and parses after; all instants come in as CLOCK_MONOTONIC nanoseconds.

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};
use ticker::Timetable;

use crate::{
    delivery::{DeliveryLog, Reception},
    histogram::Recorder as Durations,
    result,
    series::Series,
    slices::Slices,
    staleness::{Shown, Staleness},
};

mod frame;
mod parts;
mod recording;

pub use frame::{Frame, Phases};
pub use parts::Parts;
pub use recording::{Recording, Totals};

const LONGEST_TRACE: usize = 2_000;
const TRACED_SYMBOL: u32 = 0;

struct Client {
    /// Among all clients of the trial.
    number: u32,
    log: DeliveryLog,
    shown: Vec<Shown>,
    /// The oldest quote that is neither received nor overtaken, and since when it is the oldest.
    frontier: u64,
    frontier_since_ns: u64,
    delay_sum_ns: u128,
    delays: u64,
    waits_for_first_since_ns: Option<u64>,
    waits_for_fresh_since_ns: Option<u64>,
    last_message_ns: Option<u64>,
}

/// The counts of a worker's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Receptions of quotes due in the window, by kind.
    pub delivered_once: u64,
    /// See [`result::Updates`].
    pub duplicated: u64,
    /// See [`result::Updates`].
    pub reordered: u64,
    /// See [`result::Updates`].
    pub snapshot: u64,
    /// Receptions of any quote at an instant in the window.
    pub received_in_window: u64,
    /// Requests answered in the window.
    pub requests: u64,
    /// Of them, with at least one new quote.
    pub useful: u64,
    /// Polls sent after their planned instant because the one before was under way.
    pub late_polls: u64,
    /// Quotes that are not in the schedule.
    pub unknown: u64,
}

/// One worker's recorder.
pub struct Recorder {
    frame: Frame,
    seqs: Range<u64>,
    clients: Vec<Client>,
    sums: Sums,
}

/// What recorders add up to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// r − g.
    pub delay: Durations,
    /// r − a.
    pub transit: Durations,
    /// Until this or a newer quote of the symbol.
    pub reflection: Durations,
    /// Between messages with updates at one client.
    pub inter_arrival: Durations,
    /// Requests from the planned instant.
    pub response: Durations,
    /// Lag of the generator's planned actions.
    pub action_lag: Durations,
    /// Connection set-up.
    pub connect: Durations,
    /// From the stream, or t0, to the first update.
    pub first_update: Durations,
    /// From our close frame to the server's.
    pub close: Durations,
    /// From an answer to the next question of a client that asks again at once.
    pub rearm: Durations,
    /// From the beginning of a connection that takes an earlier one's place to its stream.
    pub reconnect: Durations,
    /// From a connection's planned end to the first update due after it.
    pub fresh: Durations,
    /// Integrals of staleness.
    pub staleness: Staleness,
    /// Rows by second.
    pub series: Series,
    /// Tenths of the window.
    pub slices: Slices,
    /// Counts.
    pub counts: Counts,
    /// Publisher lag + 1 in microseconds by quote of the window; 0 where the quote was not delivered.
    publisher_lag_us: Vec<u64>,
    trace: Option<result::Trace>,
}

impl Recorder {
    /// A recorder for `clients` clients; with `trace`, the first one's receptions are kept.
    pub fn new(frame: Frame, clients: usize, trace: bool) -> Self {
        let seqs = frame.seqs();
        let symbols = frame.table.symbols() as usize;
        let client = |number: usize| Client {
            number: number as u32,
            log: DeliveryLog::default(),
            shown: vec![Shown::default(); symbols],
            frontier: 1,
            frontier_since_ns: 0,
            delay_sum_ns: 0,
            delays: 0,
            waits_for_first_since_ns: None,
            waits_for_fresh_since_ns: None,
            last_message_ns: None,
        };
        let sums = Sums {
            delay: Durations::default(),
            transit: Durations::default(),
            reflection: Durations::default(),
            inter_arrival: Durations::default(),
            response: Durations::default(),
            action_lag: Durations::default(),
            connect: Durations::default(),
            first_update: Durations::default(),
            close: Durations::default(),
            rearm: Durations::default(),
            reconnect: Durations::default(),
            fresh: Durations::default(),
            staleness: Staleness::default(),
            series: Series::new(frame.window.end - frame.window.start),
            slices: Slices::new(frame.window.end - frame.window.start),
            counts: Counts::default(),
            publisher_lag_us: vec![0; (seqs.end - seqs.start) as usize],
            trace: trace.then(result::Trace::default),
        };
        Self { clients: (0..clients).map(client).collect(), frame, seqs, sums }
    }

    /// The first of its clients is number `first` of the trial, not 0.
    #[must_use]
    pub fn numbered_from(mut self, first: u32) -> Self {
        for client in &mut self.clients {
            client.number += first;
        }
        self
    }

    /// The schedule and the window.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The feed's zero is known: until then, with t0 at its maximum, all instants count as before it.
    pub fn start(&mut self, t0_ns: u64) {
        self.frame.t0_ns = t0_ns;
    }

    /// The window ends early, at `end_ns` after t0: quotes due later are no longer expected.
    ///
    /// To be called before a quote due after `end_ns` is received.
    pub fn cut(&mut self, end_ns: u64) {
        let window = &mut self.frame.window;
        window.end = end_ns.clamp(window.start, window.end);
        self.seqs = self.frame.seqs();
    }

    /// Nanoseconds after the begin of the client's feed; 0 for what was before.
    #[inline]
    fn own_offset(&self, client: usize, at_ns: u64) -> u64 {
        let at = self.frame.offset(at_ns);
        if self.frame.phases.is_none() {
            return at;
        }
        at.saturating_sub(self.frame.phase(self.clients[client].number))
    }

    /// A client's stream stands; it began to connect at `from_ns`.
    pub fn connected(&mut self, client: usize, from_ns: u64, at_ns: u64) {
        self.sums.connect.record(at_ns.saturating_sub(from_ns));
        self.clients[client].waits_for_first_since_ns = Some(at_ns);
    }

    /// A client's connection ends by plan, to be opened again.
    pub fn cut_off(&mut self, client: usize, at_ns: u64) {
        self.clients[client].waits_for_fresh_since_ns = Some(at_ns);
    }

    /// A client's stream stands again; it began to connect at `from_ns`.
    pub fn reconnected(&mut self, from_ns: u64, at_ns: u64) {
        self.sums.reconnect.record(at_ns.saturating_sub(from_ns));
    }

    /// The newest sequence number that a client has or knows to have been skipped; `None` before its first message.
    pub fn newest(&self, client: usize) -> Option<u64> {
        let log = &self.clients[client].log;
        log.subscribed_after().map(|after| after.max(log.newest()))
    }

    /// A snapshot up to sequence number `last` with the quotes `seqs`: shown, but not a delivery.
    pub fn snapshot(&mut self, client: usize, last: u64, seqs: impl Iterator<Item = u64>, at_ns: u64) {
        let at = self.own_offset(client, at_ns);
        for seq in seqs {
            self.sums.counts.snapshot += 1;
            self.show(client, seq, at);
        }
        let state = &mut self.clients[client];
        if state.log.subscribed_after().is_none() {
            state.frontier = last + 1;
            state.frontier_since_ns = at;
        }
        let (frame, number) = (&self.frame, state.number);
        state.log.snapshot(last, |seq| frame.wants(number, seq));
        self.advance_screen(client, at);
    }

    /// Quote `seq`, published at `sent_ns` (to the microsecond), was received whole at `at_ns`.
    ///
    /// Call [`Self::batch_end`] after the last quote of one read or answer.
    #[inline]
    pub fn quote(&mut self, client: usize, seq: u64, sent_ns: u64, at_ns: u64) -> Reception {
        // The window of bytes is the trial's, delays are by the client's own clock.
        let (at, own) = (self.frame.offset(at_ns), self.own_offset(client, at_ns));
        let Some(due) = self.frame.table.offset_ns(seq) else {
            self.sums.counts.unknown += 1;
            return Reception::Duplicate;
        };
        let (frame, state) = (&self.frame, &mut self.clients[client]);
        let number = state.number;
        let reception = state.log.receive(seq, |seq| frame.wants(number, seq));
        self.show(client, seq, own);
        let in_window = self.seqs.contains(&seq);
        self.sums.counts.received_in_window += u64::from(self.frame.window.contains(&at));
        match reception {
            Reception::Duplicate => {
                self.sums.counts.duplicated += u64::from(in_window);
                return reception;
            }
            Reception::Late => self.sums.counts.reordered += u64::from(in_window),
            Reception::Fresh => {}
        }
        let delay = own.saturating_sub(due);
        self.note_first(client, at_ns);
        self.note_fresh(client, due, (at_ns, own));
        if self.frame.window.contains(&at) {
            let at_ns = at - self.frame.window.start;
            self.sums.series.delivered(at_ns, delay);
            self.sums.slices.delivered(at_ns, delay);
        }
        if in_window {
            self.sums.counts.delivered_once += 1;
            self.sums.delay.record(delay);
            self.sums.transit.record(at_ns.saturating_sub(sent_ns));
            let state = &mut self.clients[client];
            state.delay_sum_ns += u128::from(delay);
            state.delays += 1;
            let lag_us = self.own_offset(client, sent_ns).saturating_sub(due) / 1_000;
            self.sums.publisher_lag_us[(seq - self.seqs.start) as usize] = lag_us + 1;
        }
        reception
    }

    /// The first update due after a connection's end has come. `at` is the receipt on the clock and after the client's t0.
    fn note_fresh(&mut self, client: usize, due: u64, (at_ns, own): (u64, u64)) {
        let state = &mut self.clients[client];
        let Some(since_ns) = state.waits_for_fresh_since_ns else { return };
        if (at_ns + due).saturating_sub(own) > since_ns {
            state.waits_for_fresh_since_ns = None;
            self.sums.fresh.record(at_ns.saturating_sub(since_ns));
        }
    }

    /// One quote of a snapshot that is still to end with [`Self::snapshot`].
    pub fn snapshot_part(&mut self, client: usize, seq: u64, at_ns: u64) {
        self.sums.counts.snapshot += 1;
        self.show(client, seq, self.own_offset(client, at_ns));
    }

    /// An update without a number, due at `due_ns`, was received at `at_ns`: only times can be told of it.
    pub fn unnumbered(&mut self, client: usize, due_ns: u64, at_ns: u64) {
        let (due, at) = (self.frame.offset(due_ns), self.frame.offset(at_ns));
        let delay = at.saturating_sub(due);
        self.note_first(client, at_ns);
        if self.frame.window.contains(&at) {
            self.sums.counts.received_in_window += 1;
            self.sums.series.delivered(at - self.frame.window.start, delay);
        }
        if self.frame.window.contains(&due) {
            self.sums.counts.delivered_once += 1;
            self.sums.delay.record(delay);
            let state = &mut self.clients[client];
            state.delay_sum_ns += u128::from(delay);
            state.delays += 1;
        }
    }

    /// The delays so far.
    pub fn delay(&self) -> &Durations {
        &self.sums.delay
    }

    /// Quotes of the window that were received, over all clients.
    pub fn delivered(&self) -> u64 {
        self.sums.counts.delivered_once
    }

    /// All quotes of one read or answer are recorded.
    #[inline]
    pub fn batch_end(&mut self, client: usize, at_ns: u64) {
        self.message(client, at_ns);
        self.advance_screen(client, self.own_offset(client, at_ns));
    }

    /// A message with at least one update came whole at `at_ns`.
    #[inline]
    pub fn message(&mut self, client: usize, at_ns: u64) {
        let before = self.clients[client].last_message_ns.replace(at_ns);
        if let Some(before) = before.filter(|_| self.frame.window.contains(&self.frame.offset(at_ns))) {
            self.sums.inter_arrival.record(at_ns.saturating_sub(before));
        }
    }

    /// A request planned for `planned_ns` was sent at `sent_ns` and answered whole at `done_ns`.
    pub fn request(&mut self, planned_ns: u64, done_ns: u64, new_quotes: usize) {
        if !self.frame.window.contains(&self.frame.offset(planned_ns)) || planned_ns < self.frame.t0_ns {
            return;
        }
        self.sums.response.record(done_ns.saturating_sub(planned_ns));
        self.sums.counts.requests += 1;
        self.sums.counts.useful += u64::from(new_quotes > 0);
    }

    /// A close handshake took so long.
    pub fn closed(&mut self, took_ns: u64) {
        self.sums.close.record(took_ns);
    }

    /// After an answer that was whole at `done_ns` the next question went out at `asked_ns`: nobody could be told
    /// anything in between.
    pub fn rearmed(&mut self, done_ns: u64, asked_ns: u64) {
        if self.frame.window.contains(&self.frame.offset(done_ns)) && done_ns >= self.frame.t0_ns {
            self.sums.rearm.record(asked_ns.saturating_sub(done_ns));
        }
    }

    /// An action planned for `planned_ns` happened at `at_ns`; `late` if an unfinished one before held it up.
    pub fn action(&mut self, planned_ns: u64, at_ns: u64, late: bool) {
        let planned = self.frame.offset(planned_ns);
        if !self.frame.window.contains(&planned) || planned_ns < self.frame.t0_ns {
            return;
        }
        let lag = at_ns.saturating_sub(planned_ns);
        self.sums.action_lag.record(lag);
        self.sums.counts.late_polls += u64::from(late);
        self.sums.series.lag(planned - self.frame.window.start, lag);
    }

    /// `bytes` moved either way in that second of the window.
    pub fn moved(&mut self, second: u64, bytes: u64) {
        self.sums.series.moved(second * 1_000_000_000, bytes);
    }

    fn note_first(&mut self, client: usize, at_ns: u64) {
        if let Some(since) = self.clients[client].waits_for_first_since_ns.take() {
            self.sums.first_update.record(at_ns.saturating_sub(since.max(self.frame.t0_ns)));
        }
    }

    fn show(&mut self, client: usize, seq: u64, at: u64) {
        let table = &self.frame.table;
        let (Some(symbol), Some(position)) = (table.symbol(seq), table.position(seq)) else {
            return;
        };
        let state = &mut self.clients[client];
        let shown = &mut state.shown[symbol as usize];
        let first = shown.covered() == 0;
        let covered = self.sums.staleness.receive(table, &self.frame.window, shown, (symbol, position), at);
        let after = state.log.subscribed_after().unwrap_or(u64::MAX);
        for &covered_seq in &table.of_symbol(symbol)[covered.start as usize..covered.end as usize] {
            if covered_seq > after && self.seqs.contains(&covered_seq) {
                let due = table.offset_ns(covered_seq).unwrap_or(at);
                self.sums.reflection.record(at.saturating_sub(due));
            }
        }
        if client == 0 && symbol == TRACED_SYMBOL && (first || !covered.is_empty()) {
            self.trace(seq, at);
        }
    }

    fn trace(&mut self, seq: u64, at: u64) {
        let Some(trace) = &mut self.sums.trace else { return };
        let from_window = |offset: u64| (offset as f64 - self.frame.window.start as f64) / 1e3;
        let due_us = from_window(self.frame.table.offset_ns(seq).unwrap_or(at));
        if at > self.frame.window.end || trace.receptions.len() >= LONGEST_TRACE {
            return;
        }
        let reception = result::Reception { at_us: from_window(at), due_us };
        // What was shown when the window opened is enough of the time before it.
        if at < self.frame.window.start {
            trace.receptions.clear();
        }
        trace.receptions.push(reception);
    }

    /// Moves the frontier over everything that is received or overtaken.
    fn advance_screen(&mut self, client: usize, at: u64) {
        let (frame, table) = (&self.frame, &self.frame.table);
        let state = &mut self.clients[client];
        let mut frontier = state.frontier;
        while let (Some(symbol), Some(position)) = (table.symbol(frontier), table.position(frontier)) {
            if state.shown[symbol as usize].covered() <= position
                && frame.subscriptions.wants(state.number, symbol)
            {
                break;
            }
            frontier += 1;
        }
        if frontier != state.frontier {
            let due = table.offset_ns(state.frontier);
            self.sums.staleness.close_screen(&self.frame.window, state.frontier_since_ns, due, at);
            state.frontier = frontier;
            state.frontier_since_ns = at;
        }
    }

    /// Closes all open intervals at the end of the window and settles what never came.
    pub fn finish(mut self) -> Recording {
        let (window, table) = (self.frame.window.clone(), Arc::clone(&self.frame.table));
        let mut totals = Totals::default();
        let mut client_means_ns = Vec::with_capacity(self.clients.len());
        for client in &self.clients {
            for (symbol, shown) in client.shown.iter().enumerate() {
                self.sums.staleness.close(&table, &window, shown, symbol as u32, window.end);
            }
            if client.log.subscribed_after().is_some() {
                let due = table.offset_ns(client.frontier);
                self.sums.staleness.close_screen(&window, client.frontier_since_ns, due, window.end);
            }
            totals.expected += self.frame.wanted(client.number, &client.log.expected(&self.seqs));
            totals.pending += self.frame.wanted(client.number, &client.log.pending(&self.seqs));
            for seq in client.log.missing(&self.seqs) {
                if self.frame.coalesces && overtaken(&table, client, seq) {
                    totals.coalesced += 1;
                } else {
                    totals.lost += 1;
                }
            }
            if client.delays > 0 {
                client_means_ns.push(client.delay_sum_ns as f64 / client.delays as f64);
            }
        }
        if let Some(trace) = &mut self.sums.trace {
            complete_trace(trace, &self.frame);
        }
        Recording { sums: self.sums, totals, client_means_ns, frame: self.frame, distinct: None }
    }
}

fn overtaken(table: &Timetable, client: &Client, seq: u64) -> bool {
    let (Some(symbol), Some(position)) = (table.symbol(seq), table.position(seq)) else { return false };
    client.shown[symbol as usize].covered() > position
}

fn complete_trace(trace: &mut result::Trace, frame: &Frame) {
    let first_shown = trace.receptions.first().map_or(0.0, |reception| reception.due_us);
    trace.symbol = ticker::symbol_name(TRACED_SYMBOL);
    trace.due_us = frame
        .table
        .of_symbol(TRACED_SYMBOL)
        .iter()
        .filter_map(|&seq| frame.table.offset_ns(seq))
        .filter(|&due| due < frame.window.end)
        .map(|due| (due as f64 - frame.window.start as f64) / 1e3)
        .filter(|&due_us| due_us >= first_shown)
        .take(2 * LONGEST_TRACE)
        .collect();
}

#[cfg(test)]
mod tests;
