//! The log of published quotes: a bounded ring that every reader walks with a cursor of its own.
//!
//! The ring is every client's queue at once: a client costs a number, not a buffer, so a thousand slow readers
//! hold no more memory than one. A reader that falls out of the ring gets a snapshot and is told how many
//! quotes it lost. The log knows neither sockets nor encodings: the reader picks the view it wants.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    encoded::{Encoded, Envelope},
    settings::Settings,
    stats::Gaps,
};

/// Most bytes of quotes that a subscription takes at once: the bound of what a stalled client holds besides
/// its cursor.
const MOST_BYTES_AT_ONCE: usize = 64 * 1024;

/// The published quotes, newest last.
pub(crate) struct Log {
    shelf: Mutex<Shelf>,
    head: watch::Sender<Head>,
    replay_window: usize,
    most_at_once: usize,
    gaps: AtomicU64,
    lost: AtomicU64,
}

/// What subscribers wait on.
#[derive(Clone, Copy)]
struct Head {
    last: u64,
    closed: bool,
}

struct Shelf {
    last: u64,
    /// The quotes `last - len + 1 ..= last`.
    recent: VecDeque<Encoded>,
    /// The newest quote of every symbol by sequence number, and the sequence number by symbol.
    newest: BTreeMap<u64, Bytes>,
    newest_of: Vec<u64>,
}

/// What a subscription gets: quotes that follow its cursor without a hole, or a new beginning.
pub(crate) enum Update<T> {
    /// The chosen view of each quote, ascending.
    Quotes(Vec<T>),
    /// The newest quote of every symbol, to a new reader or one that was out of the replay window.
    Snapshot(Envelope),
}

impl Log {
    /// An empty log for checked settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let shelf = Shelf {
            last: 0,
            recent: VecDeque::with_capacity(settings.replay_window),
            newest: BTreeMap::new(),
            newest_of: vec![0; settings.feed.symbols as usize],
        };
        Self {
            shelf: Mutex::new(shelf),
            head: watch::Sender::new(Head { last: 0, closed: false }),
            replay_window: settings.replay_window,
            most_at_once: (MOST_BYTES_AT_ONCE / settings.feed.quote_bytes as usize).max(1),
            gaps: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Appends the quotes of one round, as (symbol index, quote) in sequence, and wakes all subscriptions once.
    pub(crate) fn append(&self, round: Vec<(u32, Encoded)>) {
        let last = {
            let mut shelf = self.shelf();
            for (symbol, quote) in round {
                shelf.push(symbol, quote, self.replay_window);
            }
            shelf.last
        };
        self.head.send_modify(|head| head.last = last);
    }

    /// Ends all subscriptions.
    pub(crate) fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
    }

    /// The newest sequence number; 0 before the first quote.
    pub(crate) fn last(&self) -> u64 {
        self.head.borrow().last
    }

    /// How often a reader was told of a gap, and of how many quotes.
    pub(crate) fn gaps(&self) -> Gaps {
        Gaps { served: self.gaps.load(Relaxed), quotes: self.lost.load(Relaxed) }
    }

    /// The newest quote of every symbol.
    pub(crate) fn snapshot(&self) -> Envelope {
        self.shelf().snapshot(0)
    }

    /// All quotes after `after`, or a snapshot when the window no longer reaches back to it.
    pub(crate) fn since(&self, after: u64) -> Envelope {
        let shelf = self.shelf();
        match shelf.after(after, usize::MAX, |quote| quote.json.clone()) {
            Some(quotes) => Envelope { last: shelf.last, gap: 0, snapshot: false, quotes },
            None => self.missed(&shelf, after),
        }
    }

    /// The newest quote of every symbol that has one after `after`. Older ones are left out on purpose, so
    /// there is never a gap.
    pub(crate) fn latest(&self, after: u64) -> Envelope {
        let shelf = self.shelf();
        Envelope {
            last: shelf.last,
            gap: 0,
            snapshot: false,
            quotes: shelf.newest_after(after).cloned().collect(),
        }
    }

    fn missed(&self, shelf: &Shelf, after: u64) -> Envelope {
        let gap = shelf.last - after - shelf.newest_after(after).count() as u64;
        self.gaps.fetch_add(1, Relaxed);
        self.lost.fetch_add(gap, Relaxed);
        shelf.snapshot(gap)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("nothing panics while it holds the shelf")
    }
}

impl Shelf {
    fn push(&mut self, symbol: u32, quote: Encoded, replay_window: usize) {
        self.last += 1;
        let before = std::mem::replace(&mut self.newest_of[symbol as usize], self.last);
        self.newest.remove(&before);
        self.newest.insert(self.last, quote.json.clone());
        if self.recent.len() == replay_window {
            self.recent.pop_front();
        }
        self.recent.push_back(quote);
    }

    /// Up to `most` quotes after `after`; `None` when the first of them is no longer kept.
    fn after<T>(&self, after: u64, most: usize, view: impl Fn(&Encoded) -> T) -> Option<Vec<T>> {
        let before_first = self.last - self.recent.len() as u64;
        let from = after.checked_sub(before_first)?.min(self.recent.len() as u64) as usize;
        let to = self.recent.len().min(from.saturating_add(most));
        Some(self.recent.range(from..to).map(view).collect())
    }

    fn newest_after(&self, after: u64) -> impl Iterator<Item = &Bytes> {
        self.newest.range(after.saturating_add(1)..).map(|(_, quote)| quote)
    }

    fn snapshot(&self, gap: u64) -> Envelope {
        Envelope { last: self.last, gap, snapshot: true, quotes: self.newest.values().cloned().collect() }
    }
}

/// One reader of the log: a cursor, and a place in the queue of those to wake.
pub(crate) struct Subscription {
    log: Arc<Log>,
    head: watch::Receiver<Head>,
    cursor: Option<u64>,
}

impl Subscription {
    /// Reads on after `cursor`; without one, it begins with a snapshot.
    pub(crate) fn new(log: &Arc<Log>, cursor: Option<u64>) -> Self {
        Self { log: Arc::clone(log), head: log.head.subscribe(), cursor }
    }

    /// Waits for what follows the cursor and moves the cursor past it; `None` once the log is closed.
    ///
    /// Safe to drop while it waits: the cursor moves only together with the return.
    pub(crate) async fn next<T>(&mut self, view: impl Fn(&Encoded) -> T) -> Option<Update<T>> {
        let cursor = self.cursor;
        let news = |head: &Head| head.closed || cursor.is_none_or(|cursor| head.last > cursor);
        // The sender lives in the log, which this subscription keeps alive: waiting cannot fail.
        if self.head.wait_for(news).await.ok()?.closed {
            return None;
        }
        let shelf = self.log.shelf();
        let Some(cursor) = cursor else {
            self.cursor = Some(shelf.last);
            return Some(Update::Snapshot(shelf.snapshot(0)));
        };
        match shelf.after(cursor, self.log.most_at_once, view) {
            Some(quotes) => {
                self.cursor = Some(cursor + quotes.len() as u64);
                Some(Update::Quotes(quotes))
            }
            None => {
                self.cursor = Some(shelf.last);
                Some(Update::Snapshot(self.log.missed(&shelf, cursor)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ticker::{Due, FeedSettings, Quote};

    use super::*;

    /// A log of `window` quotes after `published` ones over 4 symbols that take turns.
    fn log(window: usize, published: u64) -> Arc<Log> {
        let feed = FeedSettings { symbols: 4, ..FeedSettings::default() };
        let log = Log::new(&Settings { feed, replay_window: window, ..Settings::default() });
        publish(&log, 1..=published);
        Arc::new(log)
    }

    fn publish(log: &Log, seqs: impl Iterator<Item = u64>) {
        let quote = |seq| {
            let symbol = ((seq - 1) % 4) as u32;
            let due = Due { seq, symbol, offset_ns: 0, cents: 10_000, quantity: 100 };
            (symbol, Encoded::new(&Quote { due, symbol: "ACME", due_us: 0, sent_us: 0 }, 120))
        };
        log.append(seqs.map(quote).collect());
    }

    fn seq(json: &[u8]) -> u64 {
        serde_json::from_slice::<serde_json::Value>(json).unwrap()["seq"].as_u64().unwrap()
    }

    fn shape(envelope: &Envelope) -> (u64, u64, bool, Vec<u64>) {
        let seqs = envelope.quotes.iter().map(|quote| seq(quote)).collect();
        (envelope.last, envelope.gap, envelope.snapshot, seqs)
    }

    #[test]
    fn reading_since_a_cursor() {
        let log = log(5, 10);
        let check = |after, expected| assert_eq!(shape(&log.since(after)), expected);
        check(10, (10, 0, false, vec![]));
        check(8, (10, 0, false, vec![9, 10]));
        check(5, (10, 0, false, vec![6, 7, 8, 9, 10]));
        // 5 to 10 are wanted, the snapshot brings 7 to 10: 5 and 6 are lost.
        check(4, (10, 2, true, vec![7, 8, 9, 10]));
        check(0, (10, 6, true, vec![7, 8, 9, 10]));
        assert_eq!(log.gaps(), Gaps { served: 2, quotes: 8 });
    }

    #[test]
    fn reading_the_latest_after_a_cursor() {
        let log = log(2, 10);
        let check = |after, expected| assert_eq!(shape(&log.latest(after)), expected);
        check(0, (10, 0, false, vec![7, 8, 9, 10]));
        check(8, (10, 0, false, vec![9, 10]));
        check(10, (10, 0, false, vec![]));
        check(u64::MAX, (10, 0, false, vec![]));
    }

    #[test]
    fn a_log_without_quotes_has_an_empty_snapshot() {
        let log = log(5, 0);
        assert_eq!(shape(&log.snapshot()), (0, 0, true, vec![]));
        assert_eq!(shape(&log.since(0)), (0, 0, false, vec![]));
    }

    async fn next(subscription: &mut Subscription) -> Option<(u64, u64, bool, Vec<u64>)> {
        Some(match subscription.next(|quote| quote.json.clone()).await? {
            Update::Quotes(quotes) => (0, 0, false, quotes.iter().map(|quote| seq(quote)).collect()),
            Update::Snapshot(envelope) => shape(&envelope),
        })
    }

    #[tokio::test]
    async fn a_subscription_gets_a_snapshot_then_quotes_then_a_gap_then_the_end() {
        let log = log(4, 2);
        let mut subscription = Subscription::new(&log, None);
        assert_eq!(next(&mut subscription).await, Some((2, 0, true, vec![1, 2])));
        publish(&log, 3..=5);
        assert_eq!(next(&mut subscription).await, Some((0, 0, false, vec![3, 4, 5])));
        publish(&log, 6..=12);
        assert_eq!(next(&mut subscription).await, Some((12, 3, true, vec![9, 10, 11, 12])));
        log.close();
        assert_eq!(next(&mut subscription).await, None);
    }

    #[tokio::test]
    async fn a_subscription_takes_bounded_pieces() {
        let log = log(4_000, 0);
        let mut subscription = Subscription::new(&log, Some(0));
        publish(&log, 1..=2_000);
        let Some(Update::Quotes(quotes)) = subscription.next(|quote| quote.json.clone()).await else {
            panic!()
        };
        assert_eq!(quotes.len(), MOST_BYTES_AT_ONCE / 120);
        let (.., rest) = next(&mut subscription).await.unwrap();
        assert_eq!(rest[0] as usize, quotes.len() + 1);
    }
}
