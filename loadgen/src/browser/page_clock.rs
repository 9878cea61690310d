//! A page's clock on ours: `performance.now()` counts milliseconds from an instant of CLOCK_MONOTONIC. Pure.

/// The last digit of `performance.now()` in a page that is isolated from other origins, and in one that is not (High
/// Resolution Time, section 7). Chromium rounds up or down to it, as chance has it.
const RESOLUTION_NS: [f64; 2] = [5e3, 100e3];
/// The browser tells the instant as seconds with six digits.
const TOLD_TO_NS: f64 = 1e3;

/// One question for the time: asked and answered by our clock, and what the page said in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exchange {
    pub(super) asked_ns: u64,
    pub(super) page_ms: f64,
    pub(super) answered_ns: u64,
}

/// The zero of a page's clock, in CLOCK_MONOTONIC nanoseconds, and by how much it may be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PageClock {
    zero_ns: f64,
    pub(super) error_ns: f64,
    resolution_ns: f64,
    pub(super) exchanges: u64,
}

impl PageClock {
    /// The zero that all exchanges allow: each says that it lies within a round trip. Where the browser tells it
    /// (`told_s`, seconds of the same clock) and no exchange speaks against it, that is taken.
    pub(super) fn new(exchanges: &[Exchange], told_s: Option<f64>, is_isolated: bool) -> Self {
        let resolution_ns = RESOLUTION_NS[usize::from(!is_isolated)];
        let (from_ns, to_ns) = bounds(exchanges, resolution_ns);
        let told_ns = told_s.map(|told_s| told_s * 1e9);
        let told_ns = told_ns.filter(|told| (from_ns - TOLD_TO_NS..=to_ns + TOLD_TO_NS).contains(told));
        let exchanges = exchanges.len() as u64;
        match told_ns {
            Some(zero_ns) => Self { zero_ns, error_ns: TOLD_TO_NS + resolution_ns, resolution_ns, exchanges },
            None => {
                let error_ns = (to_ns - from_ns).abs() / 2.0 + resolution_ns;
                Self { zero_ns: f64::midpoint(from_ns, to_ns), error_ns, resolution_ns, exchanges }
            }
        }
    }

    /// Later exchanges: what they do not allow is one more error.
    pub(super) fn check(&mut self, exchanges: &[Exchange]) {
        let (from_ns, to_ns) = bounds(exchanges, self.resolution_ns);
        let beyond_ns = (from_ns - self.zero_ns).max(self.zero_ns - to_ns);
        self.error_ns = self.error_ns.max(beyond_ns + self.resolution_ns);
        self.exchanges += exchanges.len() as u64;
    }

    /// An instant of the page in CLOCK_MONOTONIC nanoseconds.
    pub(super) fn ns(&self, page_ms: f64) -> u64 {
        (self.zero_ns + page_ms * 1e6).max(0.0) as u64
    }

    /// An instant of ours as the page says it.
    pub(super) fn page_ms(&self, at_ns: u64) -> f64 {
        (at_ns as f64 - self.zero_ns) / 1e6
    }
}

/// The first and the last zero that all exchanges allow.
fn bounds(exchanges: &[Exchange], resolution_ns: f64) -> (f64, f64) {
    exchanges.iter().fold((f64::MIN, f64::MAX), |(from, to), exchange| {
        let page_ns = exchange.page_ms * 1e6;
        let first = exchange.asked_ns as f64 - page_ns - resolution_ns;
        (from.max(first), to.min(exchange.answered_ns as f64 - page_ns + resolution_ns))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock with its zero at 7 ms, asked with these delays to and fro in nanoseconds.
    fn exchanges(delays: &[(u64, u64)]) -> Vec<Exchange> {
        let at = |index: usize| 10_000_000 + 1_000_000 * index as u64;
        let of = |(index, (to, fro)): (usize, &(u64, u64))| Exchange {
            asked_ns: at(index) - to,
            page_ms: (at(index) - 7_000_000) as f64 / 1e6,
            answered_ns: at(index) + fro,
        };
        delays.iter().enumerate().map(of).collect()
    }

    #[test]
    fn the_fastest_way_of_each_direction_bounds_the_zero() {
        let clock = PageClock::new(&exchanges(&[(20_000, 900_000), (500_000, 40_000)]), None, true);
        assert_eq!(clock.ns(0.0), 7_010_000);
        assert_eq!(clock.error_ns, 40_000.0);
        assert!((clock.page_ms(clock.ns(3.25)) - 3.25).abs() < 1e-6);
    }

    #[test]
    fn what_the_browser_tells_is_taken_unless_an_exchange_speaks_against_it() {
        let exchanges = exchanges(&[(20_000, 900_000), (500_000, 40_000)]);
        let check = |told_s, expected| {
            let clock = PageClock::new(&exchanges, Some(told_s), true);
            assert_eq!((clock.ns(0.0), clock.error_ns), expected);
        };
        check(0.007, (7_000_000, 6_000.0));
        check(0.009, (7_010_000, 40_000.0));
    }

    #[test]
    fn a_clock_that_has_moved_is_less_certain() {
        let mut clock = PageClock::new(&exchanges(&[(1_000, 1_000)]), Some(0.007), true);
        clock.check(&exchanges(&[(1_000, 1_000)]));
        assert_eq!((clock.error_ns, clock.exchanges), (6_000.0, 2));
        let late = exchanges(&[(1_000, 1_000)]).into_iter().map(|exchange| Exchange {
            asked_ns: exchange.asked_ns + 100_000,
            answered_ns: exchange.answered_ns + 100_000,
            ..exchange
        });
        clock.check(&late.collect::<Vec<_>>());
        assert_eq!(clock.error_ns, 99_000.0);
    }
}
