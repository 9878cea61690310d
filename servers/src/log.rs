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

use tokio::sync::watch;

use crate::{
    conditions::MOST_WAITING,
    encoded::{Encoded, Envelope},
    selection::Selection,
    settings::Settings,
    stats::Gaps,
};

/// What a log keeps.
pub(crate) trait Entry: Send + Sync + 'static {
    /// The index of the symbol that it is about.
    fn symbol(&self) -> u32;

    /// Whether no reader may see it.
    fn is_withheld(&self) -> bool {
        false
    }
}

impl Entry for Encoded {
    fn symbol(&self) -> u32 {
        self.symbol
    }

    fn is_withheld(&self) -> bool {
        self.is_withheld()
    }
}

/// The published quotes, newest last.
pub(crate) struct Log<E = Encoded> {
    shelf: Mutex<Shelf<E>>,
    head: watch::Sender<Head>,
    replay_window: usize,
    most_at_once: usize,
    gaps: AtomicU64,
    lost: AtomicU64,
    /// Told of every round and of the end, besides the subscribers.
    wakers: Mutex<Vec<Waker>>,
}

/// Wakes somebody who reads the log without a subscription.
pub(crate) type Waker = Box<dyn Fn() + Send + Sync>;

/// What subscribers wait on.
#[derive(Clone, Copy)]
struct Head {
    last: u64,
    closed: bool,
}

struct Shelf<E> {
    last: u64,
    /// The quotes `last - len + 1 ..= last`.
    recent: VecDeque<Arc<E>>,
    /// The newest quote of every symbol by sequence number, and the sequence number by symbol.
    newest: BTreeMap<u64, Arc<E>>,
    newest_of: Vec<u64>,
}

/// What a subscription gets: quotes that follow its cursor without a hole, or a new beginning.
pub(crate) enum Update<T, E = Encoded> {
    /// The chosen view of each quote, ascending.
    Quotes(Vec<T>),
    /// The newest quote of every symbol, to a new reader or one that was out of the replay window.
    Snapshot(Envelope<E>),
}

impl<E: Entry> Log<E> {
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
            most_at_once: (MOST_WAITING / settings.feed.quote_bytes as usize).max(1),
            gaps: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            wakers: Mutex::default(),
        }
    }

    /// Calls `waker` after every round from here on, and at the end.
    pub(crate) fn wakes(&self, waker: Waker) {
        self.wakers().push(waker);
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().expect("waking does not panic")
    }

    fn wake(&self) {
        self.wakers().iter().for_each(|wake| wake());
    }

    /// Appends the quotes of one round in sequence, and wakes all subscriptions once.
    pub(crate) fn append(&self, round: Vec<E>) {
        let last = {
            let mut shelf = self.shelf();
            for quote in round {
                shelf.push(quote, self.replay_window);
            }
            shelf.last
        };
        self.head.send_modify(|head| head.last = last);
        self.wake();
    }

    /// Ends all subscriptions.
    pub(crate) fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
        self.wake();
    }

    /// Whether all subscriptions have ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.head.borrow().closed
    }

    /// The newest sequence number; 0 before the first quote.
    pub(crate) fn last(&self) -> u64 {
        self.head.borrow().last
    }

    /// The newest sequence number of the selection; 0 before its first quote.
    pub(crate) fn last_of(&self, selection: &Selection) -> u64 {
        if selection.is_all() {
            return self.last();
        }
        let shelf = self.shelf();
        let newest = shelf.newest.iter().rev().find(|(_, quote)| selection.wants(quote.symbol()));
        newest.map_or(0, |(seq, _)| *seq)
    }

    /// How often a reader was told of a gap, and of how many quotes.
    pub(crate) fn gaps(&self) -> Gaps {
        Gaps { served: self.gaps.load(Relaxed), quotes: self.lost.load(Relaxed) }
    }

    /// The newest quote of every symbol of the selection.
    pub(crate) fn snapshot(&self, selection: &Selection) -> Envelope<E> {
        self.shelf().snapshot(0, selection)
    }

    /// What one write may carry: quotes of the selection after the cursor, and the cursor behind them; `None` when the
    /// window no longer reaches back to it.
    pub(crate) fn portion(&self, after: u64, selection: &Selection) -> Option<(Vec<Arc<E>>, u64)> {
        self.shelf().after(after, self.most_at_once, selection, Arc::clone)
    }

    /// All quotes of the selection after `after`, or a snapshot when the window no longer reaches back to it.
    pub(crate) fn since(&self, after: u64, selection: &Selection) -> Envelope<E> {
        let shelf = self.shelf();
        match shelf.after(after, usize::MAX, selection, Arc::clone) {
            Some((quotes, last)) => Envelope { last, gap: 0, snapshot: false, quotes },
            None => self.missed(&shelf, after, selection),
        }
    }

    /// The newest quote of every symbol of the selection that has one after `after`. Older ones are left out on
    /// purpose, so there is never a gap.
    pub(crate) fn latest(&self, after: u64, selection: &Selection) -> Envelope<E> {
        let shelf = self.shelf();
        let quotes = shelf.newest_after(after, selection).cloned().collect();
        Envelope { last: shelf.last, gap: 0, snapshot: false, quotes }
    }

    /// For a selection the gap is an upper bound: of what has left the window nobody knows the symbols.
    fn missed(&self, shelf: &Shelf<E>, after: u64, selection: &Selection) -> Envelope<E> {
        let gap = shelf.last - after - shelf.newest_after(after, selection).count() as u64;
        self.gaps.fetch_add(1, Relaxed);
        self.lost.fetch_add(gap, Relaxed);
        shelf.snapshot(gap, selection)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<E>> {
        self.shelf.lock().expect("nothing panics while it holds the shelf")
    }
}

impl<E: Entry> Shelf<E> {
    fn push(&mut self, quote: E, replay_window: usize) {
        self.last += 1;
        let quote = Arc::new(quote);
        if !quote.is_withheld() {
            let before = std::mem::replace(&mut self.newest_of[quote.symbol() as usize], self.last);
            self.newest.remove(&before);
            self.newest.insert(self.last, Arc::clone(&quote));
        }
        if self.recent.len() == replay_window {
            self.recent.pop_front();
        }
        self.recent.push_back(quote);
    }

    /// Up to `most` quotes of the selection after `after`, and the cursor behind them; `None` when the first one
    /// after it is no longer kept.
    fn after<T>(
        &self,
        after: u64,
        most: usize,
        selection: &Selection,
        view: impl Fn(&Arc<E>) -> T,
    ) -> Option<(Vec<T>, u64)> {
        let before_first = self.last - self.recent.len() as u64;
        let from = after.checked_sub(before_first)?.min(self.recent.len() as u64) as usize;
        if selection.is_all() {
            let to = self.recent.len().min(from.saturating_add(most));
            let quotes = self.recent.range(from..to).filter(|quote| !quote.is_withheld()).map(view).collect();
            return Some((quotes, before_first + to as u64));
        }
        let (mut quotes, mut to) = (Vec::new(), from);
        for quote in self.recent.range(from..) {
            if quotes.len() == most {
                break;
            }
            to += 1;
            if selection.wants(quote.symbol()) && !quote.is_withheld() {
                quotes.push(view(quote));
            }
        }
        Some((quotes, before_first + to as u64))
    }

    fn newest_after<'a>(&'a self, after: u64, selection: &'a Selection) -> impl Iterator<Item = &'a Arc<E>> {
        let newer = self.newest.range(after.saturating_add(1)..).map(|(_, quote)| quote);
        newer.filter(|quote| selection.wants(quote.symbol()))
    }

    fn snapshot(&self, gap: u64, selection: &Selection) -> Envelope<E> {
        let quotes = self.newest_after(0, selection).cloned().collect();
        Envelope { last: self.last, gap, snapshot: true, quotes }
    }
}

/// One reader of the log: a cursor, and a place in the queue of those to wake.
pub(crate) struct Subscription<E = Encoded> {
    log: Arc<Log<E>>,
    head: watch::Receiver<Head>,
    cursor: Option<u64>,
    selection: Selection,
}

impl<E: Entry> Subscription<E> {
    /// Reads on after `cursor` what is of the selection; without a cursor, it begins with a snapshot.
    pub(crate) fn new(log: &Arc<Log<E>>, cursor: Option<u64>, selection: Selection) -> Self {
        Self { log: Arc::clone(log), head: log.head.subscribe(), cursor, selection }
    }

    /// The newest sequence number that was read or passed over; 0 before the first.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor.unwrap_or(0)
    }

    /// How many entries follow the cursor; 0 without one.
    pub(crate) fn behind(&self) -> u64 {
        self.cursor.map_or(0, |cursor| self.head.borrow().last.saturating_sub(cursor))
    }

    /// Reads another selection from here on, beginning with its snapshot.
    pub(crate) fn select(&mut self, selection: Selection) {
        self.selection = selection;
        self.cursor = None;
    }

    /// Waits for what follows the cursor and moves the cursor past it; `None` once the log is closed.
    ///
    /// Safe to drop while it waits: the cursor moves only together with the return.
    pub(crate) async fn next<T>(&mut self, view: impl Fn(&Arc<E>) -> T) -> Option<Update<T, E>> {
        loop {
            let cursor = self.cursor;
            let news = |head: &Head| head.closed || cursor.is_none_or(|cursor| head.last > cursor);
            // The sender lives in the log, which this subscription keeps alive: waiting cannot fail.
            if self.head.wait_for(news).await.ok()?.closed {
                return None;
            }
            if let Some(update) = self.read(cursor, &view) {
                return Some(update);
            }
        }
    }

    /// What there is now; `None` if nothing of it is of the selection.
    fn read<T>(&mut self, cursor: Option<u64>, view: impl Fn(&Arc<E>) -> T) -> Option<Update<T, E>> {
        let shelf = self.log.shelf();
        let Some(cursor) = cursor else {
            self.cursor = Some(shelf.last);
            return Some(Update::Snapshot(shelf.snapshot(0, &self.selection)));
        };
        match shelf.after(cursor, self.log.most_at_once, &self.selection, view) {
            Some((quotes, cursor)) => {
                self.cursor = Some(cursor);
                (!quotes.is_empty()).then_some(Update::Quotes(quotes))
            }
            None => {
                self.cursor = Some(shelf.last);
                Some(Update::Snapshot(self.log.missed(&shelf, cursor, &self.selection)))
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
            Encoded::new(&Quote { due, symbol: "ACME", due_us: 0, sent_us: 0 }, 120)
        };
        log.append(seqs.map(quote).collect());
    }

    #[tokio::test]
    async fn what_a_fault_withholds_nobody_sees_and_the_numbers_go_on() {
        let log = log(50, 2);
        let mut subscription = Subscription::new(&log, Some(2), Selection::default());
        let quote = |seq: u64, withheld| {
            let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_000, quantity: 100 };
            let quote = Quote { due, symbol: "ACME", due_us: 0, sent_us: 0 };
            Encoded::new(&quote, 120).withheld(withheld)
        };
        log.append(vec![quote(3, true)]);
        assert_eq!(shape(&log.since(2, &Selection::default())), (3, 0, false, vec![]));
        assert_eq!(shape(&log.snapshot(&Selection::default())), (3, 0, true, vec![1, 2]));
        log.append(vec![quote(4, false), quote(5, true), quote(6, false)]);
        assert_eq!(next(&mut subscription).await, Some((0, 0, false, vec![4, 6])));
        assert_eq!(shape(&log.latest(2, &Selection::default())), (6, 0, false, vec![6]));
        let acme = Selection::of_list(Some("ACME"), 4).unwrap();
        assert_eq!(shape(&log.since(2, &acme)), (6, 0, false, vec![4, 6]));
    }

    fn seq(json: &[u8]) -> u64 {
        serde_json::from_slice::<serde_json::Value>(json).unwrap()["seq"].as_u64().unwrap()
    }

    fn shape(envelope: &Envelope) -> (u64, u64, bool, Vec<u64>) {
        let seqs = envelope.quotes.iter().map(|quote| seq(&quote.json)).collect();
        (envelope.last, envelope.gap, envelope.snapshot, seqs)
    }

    #[test]
    fn reading_since_a_cursor() {
        let log = log(5, 10);
        let check = |after, expected| assert_eq!(shape(&log.since(after, &Selection::default())), expected);
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
        let check = |after, expected| assert_eq!(shape(&log.latest(after, &Selection::default())), expected);
        check(0, (10, 0, false, vec![7, 8, 9, 10]));
        check(8, (10, 0, false, vec![9, 10]));
        check(10, (10, 0, false, vec![]));
        check(u64::MAX, (10, 0, false, vec![]));
    }

    #[test]
    fn a_log_without_quotes_has_an_empty_snapshot() {
        let log = log(5, 0);
        assert_eq!(shape(&log.snapshot(&Selection::default())), (0, 0, true, vec![]));
        assert_eq!(shape(&log.since(0, &Selection::default())), (0, 0, false, vec![]));
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
        let mut subscription = Subscription::new(&log, None, Selection::default());
        assert_eq!(next(&mut subscription).await, Some((2, 0, true, vec![1, 2])));
        publish(&log, 3..=5);
        assert_eq!(next(&mut subscription).await, Some((0, 0, false, vec![3, 4, 5])));
        publish(&log, 6..=12);
        assert_eq!(next(&mut subscription).await, Some((12, 3, true, vec![9, 10, 11, 12])));
        log.close();
        assert_eq!(next(&mut subscription).await, None);
    }

    #[test]
    fn a_selection_leaves_the_rest_out() {
        let log = log(5, 10);
        let of = |names: &str| Selection::of_list(Some(names), 4).unwrap();
        // Symbols take turns: ACME has 1, 5, 9 and BOLT 2, 6, 10.
        assert_eq!(shape(&log.snapshot(&of("ACME,BOLT"))), (10, 0, true, vec![9, 10]));
        assert_eq!(shape(&log.since(5, &of("ACME"))), (10, 0, false, vec![9]));
        assert_eq!(shape(&log.since(9, &of("ACME"))), (10, 0, false, vec![]));
        assert_eq!(shape(&log.latest(9, &of("ACME,BOLT"))), (10, 0, false, vec![10]));
        assert_eq!(shape(&log.since(0, &of("ACME"))), (10, 9, true, vec![9]));
        assert_eq!(
            (log.last_of(&of("ACME")), log.last_of(&of("")), log.last_of(&Selection::default())),
            (9, 0, 10)
        );
        assert_eq!(shape(&log.snapshot(&of(""))), (10, 0, true, vec![]));
    }

    #[tokio::test]
    async fn a_subscription_passes_over_what_is_not_selected() {
        let log = log(50, 4);
        let selection = Selection::of_list(Some("CRUX"), 4).unwrap();
        let mut subscription = Subscription::new(&log, Some(4), selection);
        publish(&log, 5..=6);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), next(&mut subscription));
        assert!(waiting.await.is_err());
        assert_eq!(subscription.cursor(), 6);
        publish(&log, 7..=11);
        assert_eq!(next(&mut subscription).await, Some((0, 0, false, vec![7, 11])));
        subscription.select(Selection::of_list(Some("ACME"), 4).unwrap());
        assert_eq!(next(&mut subscription).await, Some((11, 0, true, vec![9])));
    }

    #[tokio::test]
    async fn a_subscription_takes_bounded_pieces() {
        let log = log(4_000, 0);
        let mut subscription = Subscription::new(&log, Some(0), Selection::default());
        publish(&log, 1..=2_000);
        let Some(Update::Quotes(quotes)) = subscription.next(|quote| quote.json.clone()).await else {
            panic!()
        };
        assert_eq!(quotes.len(), MOST_WAITING / 120);
        let (.., rest) = next(&mut subscription).await.unwrap();
        assert_eq!(rest[0] as usize, quotes.len() + 1);
    }
}
