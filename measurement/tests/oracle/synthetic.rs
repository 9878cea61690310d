//! Feeds and transports in virtual time: instants are computed and handed to the recorder that real clients use.
//!
//! All instants are nanoseconds after t0. A server publishes each quote at its due time unless a test says otherwise.

use std::{iter, ops::Range, sync::Arc};

use measurement::{
    recorder::{Frame, Recorder, Recording},
    result,
};
use ticker::{Arrivals, FeedSettings, Timetable, random};

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Any instant will do; not 0, so that one taken for the other is seen.
const T0_NS: u64 = 77 * SECOND;
const STREAM_PHASES: u64 = 21;

/// A feed and the window in which it is observed.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) table: Arc<Timetable>,
    pub(crate) window: Range<u64>,
    /// Quotes per second: of the feed, and of one symbol.
    pub(crate) rate: f64,
    pub(crate) symbol_rate: f64,
}

impl Feed {
    pub(crate) fn new(arrivals: Arrivals, symbols: u32, rate: f64, window: Range<u64>) -> Self {
        let settings =
            FeedSettings { symbols, updates_per_second: rate, arrivals, seed: 7, ..FeedSettings::default() };
        let table = Timetable::new(&settings, window.end + SECOND).expect("a feed within the limits");
        Self { table: Arc::new(table), window, rate, symbol_rate: rate / f64::from(symbols) }
    }

    /// About `quotes` quotes of a Poisson process.
    pub(crate) fn poisson(symbols: u32, rate: f64, quotes: u64) -> Self {
        let length = (quotes as f64 / rate * 1e9) as u64;
        Self::new(Arrivals::Poisson, symbols, rate, SECOND..SECOND + length)
    }

    pub(crate) fn recorder(&self, clients: usize, coalesces: bool) -> Recorder {
        let frame = Frame {
            table: Arc::clone(&self.table),
            t0_ns: T0_NS,
            window: self.window.clone(),
            coalesces,
            asked: false,
            subscriptions: Default::default(),
            phases: None,
        };
        Recorder::new(frame, clients, false)
    }

    pub(crate) fn due(&self, seq: u64) -> u64 {
        self.table.offset_ns(seq).expect("a quote of the feed")
    }

    /// The sequence numbers due in the window.
    pub(crate) fn in_window(&self) -> Range<u64> {
        self.table.due_between(self.window.start, self.window.end)
    }

    /// The newest quote that is published at `at`.
    fn newest(&self, at: u64) -> u64 {
        self.table.due_between(0, at + 1).end - 1
    }
}

/// A quote on its way: which, and when the server says that it published it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    pub(crate) seq: u64,
    pub(crate) sent: u64,
}

/// What a client reads at one instant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) at: u64,
    pub(crate) quotes: Vec<Quote>,
    /// The quotes are a snapshot up to this sequence number.
    pub(crate) snapshot: Option<u64>,
    pub(crate) request: Option<Request>,
}

/// What the message answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) late: bool,
}

/// Plays `messages` to one client's part of the recorder, in the order and with the calls of a real client.
pub(crate) fn play(recorder: &mut Recorder, client: usize, messages: impl IntoIterator<Item = Message>) {
    recorder.connected(client, T0_NS - 2 * MS, T0_NS - MS);
    recorder.snapshot(client, 0, iter::empty(), T0_NS - MS);
    for message in messages {
        let at_ns = T0_NS + message.at;
        if let Some(request) = message.request {
            recorder.action(T0_NS + request.planned, T0_NS + request.sent, request.late);
        }
        if let Some(last) = message.snapshot {
            recorder.snapshot(client, last, message.quotes.iter().map(|quote| quote.seq), at_ns);
        } else {
            for quote in &message.quotes {
                recorder.quote(client, quote.seq, T0_NS + quote.sent, at_ns);
            }
            recorder.batch_end(client, at_ns);
        }
        if let Some(request) = message.request {
            recorder.request(T0_NS + request.planned, at_ns, message.quotes.len());
        }
    }
}

/// One message for each quote, `delay` after it was due.
pub(crate) fn push(feed: &Feed, delay: u64) -> impl Iterator<Item = Message> {
    (1..=feed.table.last_seq()).map(move |seq| {
        let due = feed.due(seq);
        Message { at: due + delay, quotes: vec![Quote { seq, sent: due }], ..Message::default() }
    })
}

/// When a client asks next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// On a timetable of its own: late when it must, never skipping.
    Timetable,
    /// The period after the answer.
    AfterAnswer,
}

/// A polling client and its server. The server reads its state `service` after a request came in.
#[derive(Clone, Copy)]
pub(crate) struct Poller {
    pub(crate) period: u64,
    pub(crate) pace: Pace,
    /// The server answers the newest quote of each symbol only.
    pub(crate) latest: bool,
    /// Flight of the request, and the response's: the one-way delay d.
    pub(crate) request: u64,
    pub(crate) service: u64,
    pub(crate) delay: u64,
    /// How long after the planned instant the generator acts, at each poll of that many.
    pub(crate) pacer_lag: u64,
    pub(crate) lag_each: u64,
}

impl Poller {
    pub(crate) fn new(period: u64, delay: u64) -> Self {
        Self {
            period,
            pace: Pace::Timetable,
            latest: false,
            request: delay,
            service: 0,
            delay,
            pacer_lag: 0,
            lag_each: 1,
        }
    }

    /// The stratified phase of one client of several, (i + u)/N of the period, as the real clients have it.
    fn phase(&self, client: usize, clients: usize) -> u64 {
        let drawn = random::unit(7, STREAM_PHASES, client as u64);
        ((client as f64 + drawn) / clients as f64 * self.period as f64) as u64
    }

    /// One client's answers until the window and what was due in it are over. `frozen` is when the server stands still.
    pub(crate) fn answers<'a>(
        &self,
        feed: &'a Feed,
        (client, clients): (usize, usize),
        frozen: Range<u64>,
    ) -> impl Iterator<Item = Message> + 'a {
        let poller = *self;
        let (mut planned, mut free, mut after) = (poller.phase(client, clients), 0, 0);
        let mut number = 0;
        iter::from_fn(move || {
            number += 1;
            let lag = if number % poller.lag_each == 0 { poller.pacer_lag } else { 0 };
            let sent = planned.max(free) + lag;
            let mut read = sent + poller.request + poller.service;
            if frozen.contains(&read) {
                read = frozen.end;
            }
            let newest = feed.newest(read);
            let at = read + poller.delay;
            let message = Message {
                at,
                quotes: answer(feed, after + 1..newest + 1, poller.latest),
                request: Some(Request { planned, sent, late: free > planned }),
                snapshot: None,
            };
            (after, free) = (newest, at);
            planned = match poller.pace {
                Pace::Timetable => planned + poller.period,
                Pace::AfterAnswer => at + poller.period,
            };
            (read < feed.window.end + SECOND / 2).then_some(message)
        })
    }

    /// All clients' answers in one recording.
    pub(crate) fn record(&self, feed: &Feed, clients: usize) -> Recording {
        let mut recorder = feed.recorder(clients, self.latest);
        for client in 0..clients {
            play(&mut recorder, client, self.answers(feed, (client, clients), 0..0));
        }
        recorder.finish()
    }
}

fn answer(feed: &Feed, seqs: Range<u64>, latest: bool) -> Vec<Quote> {
    let end = seqs.end;
    let overtaken = |seq| {
        let symbol = feed.table.symbol(seq);
        (seq + 1..end).any(|newer| feed.table.symbol(newer) == symbol)
    };
    let told = seqs.filter(|&seq| !(latest && overtaken(seq)));
    told.map(|seq| Quote { seq, sent: feed.due(seq) }).collect()
}

/// Long polling: the next request is at the server `dead_time` after an answer left it.
pub(crate) fn held(feed: &Feed, dead_time: u64, delay: u64) -> impl Iterator<Item = Message> {
    let (mut asked, mut after) = (0, 0);
    iter::from_fn(move || {
        let answered = asked.max(feed.table.offset_ns(after + 1)?);
        let newest = feed.newest(answered);
        let message = Message {
            at: answered + delay,
            quotes: answer(feed, after + 1..newest + 1, false),
            request: Some(Request { planned: asked, sent: asked, late: false }),
            snapshot: None,
        };
        (asked, after) = (answered + dead_time, newest);
        Some(message)
    })
}

/// Figures of a recording in seconds, or as shares and counts.
pub(crate) struct Figures {
    pub(crate) per_symbol: result::PerSymbol,
    pub(crate) whole_screen: result::WholeScreen,
    pub(crate) delay: result::Histogram,
    pub(crate) reflection: result::Histogram,
}

impl Figures {
    pub(crate) fn of(recording: &Recording) -> Self {
        // The rule for percentiles is tested elsewhere: here all of them are told.
        let distinct = u64::MAX;
        let sums = &recording.sums;
        assert_eq!(recording.clipped(), 0);
        Self {
            per_symbol: sums.staleness.per_symbol(distinct).expect("something was shown"),
            whole_screen: sums.staleness.whole_screen(distinct).expect("something was shown"),
            delay: sums.delay.finish(distinct).expect("something was delivered"),
            reflection: sums.reflection.finish(distinct).expect("something was delivered"),
        }
    }
}

/// Microseconds of the result file as seconds; a figure that was not told is NaN and equals nothing.
pub(crate) fn seconds(us: impl Into<Option<f64>>) -> f64 {
    us.into().unwrap_or(f64::NAN) / 1e6
}

/// Within 2 % of the closed form.
#[track_caller]
pub(crate) fn check(what: &str, found: f64, formula: f64) {
    let off = (found - formula).abs();
    assert!(off <= 0.02 * formula.abs(), "{what}: found {found}, the closed form says {formula}");
}

/// expected = delivered once + coalesced + lost + pending, exactly (METHODOLOGY, counts).
#[track_caller]
pub(crate) fn check_identity(recording: &Recording) {
    let (counts, totals) = (&recording.sums.counts, &recording.totals);
    let parts = counts.delivered_once + totals.coalesced + totals.lost + totals.pending;
    assert_eq!(totals.expected, parts, "{counts:?} {totals:?}");
    assert_eq!(counts.unknown, 0);
}
