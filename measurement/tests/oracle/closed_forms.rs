//! The closed forms of METHODOLOGY.md, "Oracles". Times in seconds, rates per second.
//!
//! λ is one symbol's rate for delay, age, excess age, sync lag, versions and out-of-sync; the feed's rate for polls and
//! for the whole screen, which is wrong when any symbol is.

/// A client that asks every `period`; the answer arrives `delay` after the server read its state.
#[derive(Clone, Copy)]
pub(crate) struct Polling {
    pub(crate) rate: f64,
    pub(crate) period: f64,
    pub(crate) delay: f64,
}

impl Polling {
    /// D = P/2 + d: a quote falls evenly into the interval.
    pub(crate) fn mean_delay(self) -> f64 {
        self.period / 2.0 + self.delay
    }

    /// The q-quantile of D is qP + d.
    pub(crate) fn delay_quantile(self, q: f64) -> f64 {
        q * self.period + self.delay
    }

    /// A = 1/λ + P/2 + d: the feed's own mean gap and the delay.
    pub(crate) fn mean_age(self) -> f64 {
        1.0 / self.rate + self.mean_delay()
    }

    /// X = P/2 + d.
    pub(crate) fn mean_excess_age(self) -> f64 {
        self.mean_delay()
    }

    /// 1 − e^(−λd) (1 − e^(−λP)) / (λP).
    pub(crate) fn out_of_sync(self) -> f64 {
        1.0 - (-self.rate * self.delay).exp() * self.quiet_poll() / (self.rate * self.period)
    }

    /// L = P/2 + d − 1/λ + e^(−λd) (1 − e^(−λP)) / (λ²P).
    pub(crate) fn mean_lag(self) -> f64 {
        let back = (-self.rate * self.delay).exp() * self.quiet_poll();
        self.mean_delay() - 1.0 / self.rate + back / (self.rate * self.rate * self.period)
    }

    /// Share of time with a sync lag above x. Derived like the mean: what is shown was read s ago, s even over
    /// d to d + P, and L > x if anything was due between s and x ago: the mean over s of 1 − e^(−λ(s − x)⁺).
    fn lag_above(self, x: f64) -> f64 {
        if x <= self.delay {
            return Self { delay: self.delay - x, ..self }.out_of_sync();
        }
        let rest = (self.delay + self.period - x).max(0.0);
        (rest - (1.0 - (-self.rate * rest).exp()) / self.rate) / self.period
    }

    /// The time-weighted q-quantile of L; 0 where the price is right for that share of the time.
    pub(crate) fn lag_quantile(self, q: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.delay + self.period);
        if self.lag_above(0.0) <= 1.0 - q {
            return 0.0;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if self.lag_above(middle) > 1.0 - q { low = middle } else { high = middle }
        }
        high
    }

    /// V = λ (P/2 + d) (Little's law).
    pub(crate) fn mean_versions(self) -> f64 {
        self.rate * self.mean_delay()
    }

    /// Empty polls: e^(−λP), λ of the feed.
    pub(crate) fn empty_polls(self) -> f64 {
        (-self.rate * self.period).exp()
    }

    /// Updates per poll: λP, λ of the feed.
    pub(crate) fn updates_per_poll(self) -> f64 {
        self.rate * self.period
    }

    /// Where only the newest quote of a symbol is answered: D of those, the age of the newest of an interval that is
    /// not empty, an exponential cut at P: 1/λ − P e^(−λP) / (1 − e^(−λP)) + d. λ of one symbol.
    pub(crate) fn mean_delay_of_latest(self) -> f64 {
        1.0 / self.rate - self.period * self.empty_polls() / self.quiet_poll() + self.delay
    }

    /// Where only the newest is answered: the share of quotes that is, (1 − e^(−λP)) / (λP). λ of one symbol.
    pub(crate) fn share_of_latest(self) -> f64 {
        self.quiet_poll() / self.updates_per_poll()
    }

    fn quiet_poll(self) -> f64 {
        1.0 - self.empty_polls()
    }
}

/// Each quote arrives `delay` after it was due.
#[derive(Clone, Copy)]
pub(crate) struct Push {
    pub(crate) rate: f64,
    pub(crate) delay: f64,
}

impl Push {
    /// A = 1/λ + d.
    pub(crate) fn mean_age(self) -> f64 {
        1.0 / self.rate + self.delay
    }

    /// 1 − e^(−λd).
    pub(crate) fn out_of_sync(self) -> f64 {
        1.0 - (-self.rate * self.delay).exp()
    }

    /// L = d − (1 − e^(−λd)) / λ: the limit of polling's for P → 0.
    pub(crate) fn mean_lag(self) -> f64 {
        self.delay - self.out_of_sync() / self.rate
    }

    /// V = λd (Little's law).
    pub(crate) fn mean_versions(self) -> f64 {
        self.rate * self.delay
    }

    /// The q-quantile of the peak age: a gap, which is exponential, and d.
    pub(crate) fn peak_age_quantile(self, q: f64) -> f64 {
        self.delay - (1.0 - q).ln() / self.rate
    }
}

/// A request is held until there is news; between an answer and the next request the server cannot tell any.
#[derive(Clone, Copy)]
pub(crate) struct LongPoll {
    pub(crate) rate: f64,
    pub(crate) dead_time: f64,
    pub(crate) delay: f64,
}

impl LongPoll {
    /// x = λR, λ of the feed: what comes in the dead time.
    fn x(self) -> f64 {
        self.rate * self.dead_time
    }

    /// D = d + (x / (x + e^(−x))) R/2: of a response's updates, x came in the dead time.
    pub(crate) fn mean_delay(self) -> f64 {
        self.delay + self.x() / self.updates_per_response() * self.dead_time / 2.0
    }

    /// x + e^(−x): those of the dead time, or one that is waited for.
    pub(crate) fn updates_per_response(self) -> f64 {
        self.x() + (-self.x()).exp()
    }
}
