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
    /// A snapshot up to `last` was received: the first one starts the subscription, a later one leaves a gap.
    pub fn snapshot(&mut self, last: u64) {
        match self.subscribed_after {
            None => {
                self.subscribed_after = Some(last);
                self.newest = last;
            }
            Some(_) => self.skip_to(last + 1),
        }
    }

    /// Quote `seq` was received. Without a snapshot before it the subscription starts just before it.
    pub fn receive(&mut self, seq: u64) -> Reception {
        self.subscribed_after.get_or_insert_with(|| {
            self.newest = seq - 1;
            seq - 1
        });
        if seq > self.newest {
            self.skip_to(seq);
            self.newest = seq;
            return Reception::Fresh;
        }
        if self.fill(seq) { Reception::Late } else { Reception::Duplicate }
    }

    /// Everything before `seq` that is newer than the newest is missing.
    fn skip_to(&mut self, seq: u64) {
        let first = self.newest + 1;
        if first >= seq {
            return;
        }
        match self.missing.last_mut() {
            Some(range) if range.end == first => range.end = seq,
            Some(_) | None => self.missing.push(first..seq),
        }
        self.newest = seq - 1;
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

    /// How many of `seqs` were expected: those newer than the start of the subscription.
    pub fn expected(&self, seqs: &Range<u64>) -> u64 {
        let Some(after) = self.subscribed_after else { return 0 };
        seqs.end.saturating_sub(seqs.start.max(after + 1))
    }

    /// How many of the expected `seqs` are newer than anything received.
    pub fn pending(&self, seqs: &Range<u64>) -> u64 {
        if self.subscribed_after.is_none() {
            return 0;
        }
        seqs.end.saturating_sub(seqs.start.max(self.newest + 1))
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
        log.snapshot(last);
        let receptions = seqs.iter().map(|&seq| log.receive(seq)).collect();
        (log, receptions)
    }

    #[test]
    fn faults_are_told_apart() {
        use Reception::{Duplicate, Fresh, Late};
        let (log, receptions) = after(10, &[11, 12, 15, 14, 14, 12, 10]);
        assert_eq!(receptions, [Fresh, Fresh, Fresh, Late, Duplicate, Duplicate, Duplicate]);
        assert_eq!(log.missing(&(1..100)).collect::<Vec<_>>(), [13]);
        assert_eq!((log.expected(&(1..20)), log.pending(&(1..20))), (9, 4));
    }

    #[test]
    fn a_later_snapshot_leaves_a_gap() {
        let (mut log, _) = after(0, &[1, 2]);
        log.snapshot(5);
        assert_eq!(log.missing(&(1..9)).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(log.receive(6), Reception::Fresh);
        assert_eq!(log.newest(), 6);
    }

    #[test]
    fn before_any_message_nothing_is_expected() {
        let log = DeliveryLog::default();
        assert_eq!((log.expected(&(1..9)), log.pending(&(1..9))), (0, 0));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(seqs in proptest::collection::vec(1_u64..60, 0..120)) {
            let (mut log, mut seen) = (DeliveryLog::default(), BTreeSet::new());
            log.snapshot(0);
            for &seq in &seqs {
                let newest = seen.last().copied().unwrap_or(0);
                let expected = if seen.contains(&seq) {
                    Reception::Duplicate
                } else if seq < newest {
                    Reception::Late
                } else {
                    Reception::Fresh
                };
                prop_assert_eq!(log.receive(seq), expected);
                seen.insert(seq);
            }
            let newest = seen.last().copied().unwrap_or(0);
            let missing: Vec<u64> = (1..newest).filter(|seq| !seen.contains(seq)).collect();
            prop_assert_eq!(log.missing(&(1..1_000)).collect::<Vec<_>>(), missing.clone());
            let window = 1..61;
            prop_assert_eq!(log.expected(&window), seen.len() as u64 + missing.len() as u64 + log.pending(&window));
        }
    }
}
