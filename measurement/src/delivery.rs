//! Which quotes one client received: once, twice, late, never. Sequence numbers only; no times, no symbols.

use std::ops::Range;

/// What the reception of a sequence number was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// The first, in order.
    Fresh,
    /// The first, after a newer one.
    Late,
    /// Not the first.
    Duplicate,
}

/// One client's record of sequence numbers. In order without gaps it holds two numbers and no heap memory.
#[derive(Clone, Debug, Default)]
pub struct DeliveryLog {
    /// The newest sequence number of the first snapshot: what is newer is expected.
    subscribed_after: Option<u64>,
    newest: u64,
    /// Ascending, disjoint; every number in them is below `newest` and was not received.
    missing: Vec<Range<u64>>,
}

impl DeliveryLog {
    /// A snapshot up to `last` was received: the first one starts the subscription, a later one leaves a gap of the
    /// quotes that the client wants.
    pub fn snapshot(&mut self, last: u64, wants: impl Fn(u64) -> bool) {
        match self.subscribed_after {
            None => {
                self.subscribed_after = Some(last);
                self.newest = last;
            }
            Some(_) => self.skip_to(last + 1, wants),
        }
    }

    /// Quote `seq` was received. Without a snapshot before it the subscription starts just before it.
    ///
    /// `wants` is asked about quotes that were passed over.
    #[inline]
    pub fn receive(&mut self, seq: u64, wants: impl Fn(u64) -> bool) -> Reception {
        self.subscribed_after.get_or_insert_with(|| {
            self.newest = seq - 1;
            seq - 1
        });
        if seq > self.newest {
            self.skip_to(seq, wants);
            self.newest = seq;
            return Reception::Fresh;
        }
        if self.fill(seq) { Reception::Late } else { Reception::Duplicate }
    }

    /// Everything before `seq` that is newer than the newest, and wanted, is missing.
    fn skip_to(&mut self, seq: u64, wants: impl Fn(u64) -> bool) {
        for missing in (self.newest + 1..seq).filter(|&seq| wants(seq)) {
            match self.missing.last_mut() {
                Some(range) if range.end == missing => range.end = missing + 1,
                Some(_) | None => self.missing.push(missing..missing + 1),
            }
        }
        self.newest = self.newest.max(seq.saturating_sub(1));
    }

    fn fill(&mut self, seq: u64) -> bool {
        let at = self.missing.partition_point(|range| range.end <= seq);
        let Some(range) = self.missing.get_mut(at).filter(|range| range.contains(&seq)) else {
            return false;
        };
        let after = seq + 1..range.end;
        range.end = seq;
        let keep_before = !range.is_empty();
        if !after.is_empty() {
            self.missing.insert(at + 1, after);
        }
        if !keep_before {
            self.missing.remove(at);
        }
        true
    }

    /// The newest sequence number before the subscription; `None` before the first message.
    pub fn subscribed_after(&self) -> Option<u64> {
        self.subscribed_after
    }

    /// The newest sequence number that was received or skipped; 0 before the first message.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Those of `seqs` that were expected: newer than the start of the subscription.
    pub fn expected(&self, seqs: &Range<u64>) -> Range<u64> {
        let Some(after) = self.subscribed_after else { return seqs.end..seqs.end };
        seqs.start.max(after + 1).min(seqs.end)..seqs.end
    }

    /// Those of the expected `seqs` that are newer than anything received.
    pub fn pending(&self, seqs: &Range<u64>) -> Range<u64> {
        let expected = self.expected(seqs);
        expected.start.max(self.newest + 1).min(expected.end)..expected.end
    }

    /// The expected `seqs` that were skipped and never received.
    pub fn missing(&self, seqs: &Range<u64>) -> impl Iterator<Item = u64> {
        let (start, end) = (seqs.start, seqs.end);
        self.missing.iter().flat_map(move |range| range.start.max(start)..range.end.min(end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn after(last: u64, seqs: &[u64]) -> (DeliveryLog, Vec<Reception>) {
        let mut log = DeliveryLog::default();
        log.snapshot(last, |_| true);
        let receptions = seqs.iter().map(|&seq| log.receive(seq, |_| true)).collect();
        (log, receptions)
    }

    #[test]
    fn faults_are_told_apart() {
        use Reception::{Duplicate, Fresh, Late};
        let (log, receptions) = after(10, &[11, 12, 15, 14, 14, 12, 10]);
        assert_eq!(receptions, [Fresh, Fresh, Fresh, Late, Duplicate, Duplicate, Duplicate]);
        assert_eq!(log.missing(&(1..100)).collect::<Vec<_>>(), [13]);
        assert_eq!((log.expected(&(1..20)), log.pending(&(1..20))), (11..20, 16..20));
    }

    #[test]
    fn a_later_snapshot_leaves_a_gap() {
        let (mut log, _) = after(0, &[1, 2]);
        log.snapshot(5, |_| true);
        assert_eq!(log.missing(&(1..9)).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(log.receive(6, |_| true), Reception::Fresh);
        assert_eq!(log.newest(), 6);
    }

    #[test]
    fn what_is_not_wanted_is_not_missing() {
        let mut log = DeliveryLog::default();
        let odd = |seq: u64| seq % 2 == 1;
        log.snapshot(0, odd);
        assert_eq!([1, 3, 9].map(|seq| log.receive(seq, odd)), [Reception::Fresh; 3]);
        assert_eq!(log.missing(&(1..20)).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(log.receive(7, odd), Reception::Late);
        log.snapshot(14, odd);
        assert_eq!(log.missing(&(1..20)).collect::<Vec<_>>(), [5, 11, 13]);
    }

    #[test]
    fn before_any_message_nothing_is_expected() {
        let log = DeliveryLog::default();
        assert_eq!((log.expected(&(1..9)), log.pending(&(1..9))), (9..9, 9..9));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(seqs in proptest::collection::vec(1_u64..60, 0..120)) {
            let (mut log, mut seen) = (DeliveryLog::default(), BTreeSet::new());
            log.snapshot(0, |_| true);
            for &seq in &seqs {
                let newest = seen.last().copied().unwrap_or(0);
                let expected = if seen.contains(&seq) {
                    Reception::Duplicate
                } else if seq < newest {
                    Reception::Late
                } else {
                    Reception::Fresh
                };
                prop_assert_eq!(log.receive(seq, |_| true), expected);
                seen.insert(seq);
            }
            let newest = seen.last().copied().unwrap_or(0);
            let missing: Vec<u64> = (1..newest).filter(|seq| !seen.contains(seq)).collect();
            prop_assert_eq!(log.missing(&(1..1_000)).collect::<Vec<_>>(), missing.clone());
            let window = 1..61;
            let count = |range: Range<u64>| range.end - range.start;
            prop_assert_eq!(
                count(log.expected(&window)),
                seen.len() as u64 + missing.len() as u64 + count(log.pending(&window))
            );
        }
    }
}
