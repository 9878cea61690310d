//! What a link does to the packets of one way: a function of a seed, their sizes and the instants at which they come.
//!
//! It has no clock and no sockets, and does not see what is in a packet.

use std::time::Duration;

use ticker::random;

/// The least default of a bottleneck's queue, in bytes.
const LEAST_QUEUE: u64 = 64 * 1024;
/// Parts of a second whose bytes the default queue holds.
const QUEUES_PER_SECOND: u64 = 10;
/// The streams of random numbers.
const LOSSES: u64 = 1;
const JITTERS: u64 = 2;

/// What the link does to the packets of one way. The default is a link that does nothing to them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Path {
    /// From one end to the other.
    pub delay: Duration,
    /// Each packet takes up to so much longer, uniformly. Packets do not overtake each other: one that would waits for
    /// the one before it.
    pub jitter: Duration,
    /// Bytes of IP packets a second, at least 1; `None` for as many as come.
    pub bytes_per_second: Option<u64>,
    /// Share of packets that are lost, from 0 to 1. They go when they have left the queue, so they take their time on
    /// the bottleneck.
    pub loss: f64,
    /// Mean length of a run of losses in packets (Gilbert's model: E. N. Gilbert, "Capacity of a burst-noise channel",
    /// 1960, with all packets lost in the bad state). Independent losses come in runs of `1 / (1 - loss)`; a smaller
    /// value, such as 1, means them.
    pub loss_burst: f64,
    /// Most bytes that wait for a slow link, with the packet that it moves; what comes then is dropped. An idle link
    /// takes any packet. `None` for what comes in 100 ms at the rate, at least 64 KiB.
    pub queue_bytes: Option<u64>,
}

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub packets: u64,
    /// Their bytes, with their IP headers.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
    }
}

/// What became of the packets of one way. Those that are under way are in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// At the other end.
    pub delivered: Count,
    /// Lost by chance.
    pub lost: Count,
    /// Dropped because a queue was full.
    pub overflowed: Count,
    /// Gone in a partition.
    pub partitioned: Count,
}

/// The times of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Of the packet.
    pub bytes: u64,
    /// When all of it has left the queue.
    pub leaves_ns: u64,
    /// When it is at the other end.
    pub at_ns: u64,
}

/// The fate of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets there.
    Deliver(Crossing),
    /// It is lost by chance.
    Lost,
    /// The queue is full.
    Overflow,
}

/// One way of a link.
#[derive(Clone, Debug)]
pub struct Model {
    seed: u64,
    path: Path,
    /// Packets whose loss has been drawn.
    drawn: u64,
    /// Whether the last of them was lost.
    is_in_run: bool,
    /// When the bottleneck has moved all that it has taken.
    free_ns: u64,
    /// What whole nanoseconds leave of that, in nanoseconds divided by the rate.
    remainder: u64,
    /// The latest arrival so far.
    latest_ns: u64,
    counts: Counts,
}

impl Model {
    /// The same seed gives the same fates.
    pub fn new(seed: u64, path: Path) -> Self {
        Self {
            seed,
            path,
            drawn: 0,
            is_in_run: false,
            free_ns: 0,
            remainder: 0,
            latest_ns: 0,
            counts: Counts::default(),
        }
    }

    /// What becomes of a packet that comes at `now_ns`; to be called in the order in which they come.
    pub fn take(&mut self, now_ns: u64, bytes: u64) -> Verdict {
        if self.is_full(now_ns, bytes) {
            self.overflowed(bytes);
            return Verdict::Overflow;
        }
        let leaves_ns = self.move_out(now_ns, bytes);
        let jitter_ns = random::unit(self.seed, JITTERS, self.drawn) * self.path.jitter.as_nanos() as f64;
        if self.is_lost() {
            self.counts.lost.add(bytes);
            return Verdict::Lost;
        }
        let at_ns = leaves_ns + self.path.delay.as_nanos() as u64 + jitter_ns as u64;
        self.latest_ns = self.latest_ns.max(at_ns);
        Verdict::Deliver(Crossing { bytes, leaves_ns, at_ns: self.latest_ns })
    }

    /// Changes the path for packets that come from now on. A new rate counts for those that wait for the old one, too:
    /// they are the ones of `under_way`, all that have not arrived, that have not left.
    pub fn set<'a>(
        &mut self,
        now_ns: u64,
        path: Path,
        under_way: impl IntoIterator<Item = &'a mut Crossing>,
    ) {
        let has_new_rate = self.path.bytes_per_second != path.bytes_per_second;
        self.path = path;
        if !has_new_rate {
            return;
        }
        (self.free_ns, self.remainder, self.latest_ns) = (now_ns, 0, 0);
        for crossing in under_way {
            if crossing.leaves_ns > now_ns {
                let flight_ns = crossing.at_ns - crossing.leaves_ns;
                crossing.leaves_ns = self.move_out(now_ns, crossing.bytes);
                crossing.at_ns = crossing.leaves_ns + flight_ns;
            }
            self.latest_ns = self.latest_ns.max(crossing.at_ns);
            crossing.at_ns = self.latest_ns;
        }
    }

    /// Forgets what is under way: the bottleneck is free.
    pub fn clear(&mut self) {
        (self.free_ns, self.remainder, self.latest_ns) = (0, 0, 0);
    }

    /// Counts a packet that has arrived.
    pub fn arrived(&mut self, bytes: u64) {
        self.counts.delivered.add(bytes);
    }

    /// Counts a packet that an end had no room for.
    pub fn overflowed(&mut self, bytes: u64) {
        self.counts.overflowed.add(bytes);
    }

    /// Counts a packet that a partition has swallowed.
    pub fn partitioned(&mut self, bytes: u64) {
        self.counts.partitioned.add(bytes);
    }

    /// What became of the packets so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn rate(&self) -> Option<u64> {
        self.path.bytes_per_second.map(|rate| rate.max(1))
    }

    /// Whether the queue has no room for so many bytes.
    fn is_full(&self, now_ns: u64, bytes: u64) -> bool {
        let Some(rate) = self.rate() else { return false };
        let limit = self.path.queue_bytes.unwrap_or(LEAST_QUEUE.max(rate / QUEUES_PER_SECOND));
        let left_ns = self.free_ns.saturating_sub(now_ns);
        let waiting = u128::from(left_ns) * u128::from(rate) / 1_000_000_000;
        waiting > 0 && waiting + u128::from(bytes) > u128::from(limit)
    }

    /// When the bottleneck has moved a packet that comes now.
    fn move_out(&mut self, now_ns: u64, bytes: u64) -> u64 {
        let Some(rate) = self.rate() else { return now_ns };
        if self.free_ns <= now_ns {
            (self.free_ns, self.remainder) = (now_ns, 0);
        }
        let taken = u128::from(bytes) * 1_000_000_000 + u128::from(self.remainder);
        self.free_ns += (taken / u128::from(rate)) as u64;
        self.remainder = (taken % u128::from(rate)) as u64;
        self.free_ns
    }

    /// Draws whether the next packet is lost.
    fn is_lost(&mut self) -> bool {
        let loss = self.path.loss.clamp(0.0, 1.0);
        let run = self.path.loss_burst.max(1.0 / (1.0 - loss));
        // The chances that keep both the share and the mean run; all of 1 for a loss of 1.
        let chance = match (self.drawn, self.is_in_run) {
            _ if loss >= 1.0 => 1.0,
            (0, _) => loss,
            (_, true) if loss > 0.0 => 1.0 - 1.0 / run,
            (_, true) => 0.0,
            (_, false) => loss / ((1.0 - loss) * run),
        };
        self.is_in_run = random::unit(self.seed, LOSSES, self.drawn) < chance;
        self.drawn += 1;
        self.is_in_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Deliver(crossing) => crossing.at_ns,
            Verdict::Lost | Verdict::Overflow => panic!("{verdict:?}"),
        }
    }

    fn losses(path: Path, packets: u64) -> Vec<bool> {
        let mut model = Model::new(11, path);
        (0..packets).map(|n| model.take(n * MS, 1_500) == Verdict::Lost).collect()
    }

    fn share(losses: &[bool]) -> f64 {
        losses.iter().filter(|&&is_lost| is_lost).count() as f64 / losses.len() as f64
    }

    fn mean_run(losses: &[bool]) -> f64 {
        let runs = losses.split(|&is_lost| !is_lost).filter(|run| !run.is_empty());
        let lengths: Vec<_> = runs.map(|run| run.len() as f64).collect();
        lengths.iter().sum::<f64>() / lengths.len() as f64
    }

    #[test]
    fn a_delay_is_exact_and_nothing_else_happens() {
        let mut model = Model::new(1, Path { delay: Duration::from_millis(40), ..Path::default() });
        for n in 0..1_000 {
            assert_eq!(at(model.take(n * 7, 1_500)), n * 7 + 40 * MS);
        }
        assert_eq!(model.counts(), Counts::default());
    }

    #[test]
    fn jitter_is_uniform_and_does_not_reorder() {
        let path =
            Path { delay: Duration::from_millis(5), jitter: Duration::from_millis(10), ..Path::default() };
        let mut model = Model::new(3, path);
        // Far enough apart that none waits for another.
        let extra: Vec<_> =
            (0..20_000).map(|n| at(model.take(n * 20 * MS, 100)) - n * 20 * MS - 5 * MS).collect();
        assert!(extra.iter().all(|&extra| extra < 10 * MS));
        let mean = extra.iter().sum::<u64>() as f64 / extra.len() as f64 / MS as f64;
        // Five standard errors of 20000 uniform draws from 10 ms.
        assert!((mean - 5.0).abs() < 5.0 * 10.0 / 12_f64.sqrt() / 20_000_f64.sqrt(), "{mean}");
        let mut model = Model::new(3, path);
        let arrivals: Vec<_> = (0..1_000).map(|n| at(model.take(n * MS, 100))).collect();
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn losses_have_their_share_and_their_runs() {
        for (loss, loss_burst, expected_run) in [
            (0.02, 0.0, 1.0 / 0.98),
            (0.02, 1.0, 1.0 / 0.98),
            (0.02, 4.0, 4.0),
            (0.3, 10.0, 10.0),
            (0.6, 1.0, 2.5),
        ] {
            let losses = losses(Path { loss, loss_burst, ..Path::default() }, 200_000);
            // Five standard deviations of a binomial share, wider by what runs make packets alike.
            let alike = f64::sqrt(2.0 * expected_run);
            let bound = 5.0 * alike * f64::sqrt(loss * (1.0 - loss) / 200_000.0);
            assert!((share(&losses) - loss).abs() < bound, "{loss} {loss_burst}: {}", share(&losses));
            let run = mean_run(&losses);
            assert!((run / expected_run - 1.0).abs() < 0.05, "{loss} {loss_burst}: {run}");
        }
        assert_eq!(share(&losses(Path { loss: 1.0, loss_burst: 3.0, ..Path::default() }, 100)), 1.0);
        assert_eq!(share(&losses(Path { loss_burst: 3.0, ..Path::default() }, 100)), 0.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let path = Path { loss: 0.2, loss_burst: 3.0, jitter: Duration::from_millis(9), ..Path::default() };
        let fates = |seed| {
            let mut model = Model::new(seed, path);
            (0..500).map(|n| model.take(n * MS, 1_000)).collect::<Vec<_>>()
        };
        assert_eq!(fates(5), fates(5));
        assert_ne!(fates(5), fates(6));
    }

    #[test]
    fn a_rate_takes_each_packet_its_bytes_to_the_nanosecond() {
        // 1500 bytes at 7 MB/s are no whole number of nanoseconds.
        let path = Path {
            bytes_per_second: Some(7_000_000),
            queue_bytes: Some(u64::MAX),
            delay: Duration::from_millis(3),
            ..Path::default()
        };
        let mut model = Model::new(1, path);
        let last = (0..7_000).map(|_| at(model.take(MS, 1_500))).last().unwrap();
        assert_eq!(last, MS + 3 * MS + 1_500_000_000);
        // A link that was idle owes nothing.
        assert_eq!(at(model.take(9_000 * MS, 7_000)), 9_000 * MS + MS + 3 * MS);
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_empties_at_the_rate() {
        let path = Path { bytes_per_second: Some(1_000_000), queue_bytes: Some(4_500), ..Path::default() };
        let mut model = Model::new(1, path);
        let fates: Vec<_> = (0..10).map(|_| model.take(0, 1_500)).collect();
        assert!(fates[..3].iter().all(|fate| matches!(fate, Verdict::Deliver(_))));
        assert!(fates[3..].iter().all(|&fate| fate == Verdict::Overflow));
        assert_eq!(model.counts().overflowed, Count { packets: 7, bytes: 10_500 });
        // After 1.5 ms one has left.
        assert_eq!(at(model.take(1_500_000, 1_500)), 6_000_000);
        assert_eq!(model.take(1_500_000, 1_500), Verdict::Overflow);
        // The default holds 100 ms of a fast link and 64 KiB of a slow one.
        for (rate, packets) in [(15_000_000, 1_000), (1_000, 43)] {
            let mut model = Model::new(1, Path { bytes_per_second: Some(rate), ..Path::default() });
            let is_taken = |_: &u64| model.take(0, 1_500) != Verdict::Overflow;
            assert_eq!((0..2_000).filter(is_taken).count(), packets, "{rate}");
        }
    }

    #[test]
    fn a_new_rate_counts_for_what_waits_and_not_for_what_has_left() {
        let slow =
            Path { bytes_per_second: Some(1_000), delay: Duration::from_millis(500), ..Path::default() };
        let mut model = Model::new(1, slow);
        let taken = |verdict| match verdict {
            Verdict::Deliver(crossing) => crossing,
            Verdict::Lost | Verdict::Overflow => panic!("{verdict:?}"),
        };
        let mut under_way: Vec<_> = (0..3).map(|_| taken(model.take(0, 1_000))).collect();
        let times = |under_way: &[Crossing]| under_way.iter().map(|it| it.at_ns / MS).collect::<Vec<_>>();
        assert_eq!(times(&under_way), [1_500, 2_500, 3_500]);
        model.set(1_200 * MS, Path { loss: 1.0, ..slow }, &mut under_way);
        assert_eq!(times(&under_way), [1_500, 2_500, 3_500]);
        model.set(1_200 * MS, Path { bytes_per_second: Some(10_000), ..slow }, &mut under_way);
        assert_eq!(times(&under_way), [1_500, 1_800, 1_900]);
        assert_eq!(at(model.take(1_200 * MS, 1_000)), 2_000 * MS);
        model.set(1_250 * MS, Path::default(), &mut under_way);
        assert_eq!(times(&under_way), [1_500, 1_750, 1_750]);
        // The first has a delay ahead of it that the next has not, and is not overtaken.
        assert_eq!(at(model.take(1_250 * MS, 1_000)), 1_750 * MS);
    }
}
