//! The search for the largest value that holds: doubling, bisection, confirmation. A pure state machine of outcomes.
//!
//! It knows neither what a value means nor what makes it hold. Outcomes may be noisy: the search ends all the same, and the
//! smaller value stands wherever a repetition says something else.

/// Values closer than this share of the one that holds are the same.
const RESOLUTION: f64 = 0.05;

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The first value.
    pub from: f64,
    /// None below is tried.
    pub least: f64,
    /// None above is tried.
    pub most: f64,
    /// Whether values are whole numbers.
    pub whole: bool,
}

/// How often each value is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Trials of each value while searching.
    pub trials: u32,
    /// Trials that confirm the last value that holds and the first that does not; 0 for no confirmation.
    pub confirm: u32,
}

/// What to try next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Try {
    /// The value.
    pub value: f64,
    /// How often.
    pub trials: u32,
    /// Whether it was tried before.
    pub confirms: bool,
}

/// A search on its way.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: Bounds,
    effort: Effort,
    /// Rising.
    held: Vec<f64>,
    failed: Option<f64>,
    held_is_sure: bool,
    failed_is_sure: bool,
    contradicted: Vec<f64>,
}

impl Search {
    /// A search that has tried nothing.
    pub fn new(bounds: Bounds, effort: Effort) -> Self {
        let sure = effort.confirm <= effort.trials;
        let from = bounds.from.clamp(bounds.least, bounds.most);
        Self {
            bounds: Bounds { from, ..bounds },
            effort,
            held: Vec::new(),
            failed: None,
            held_is_sure: sure,
            failed_is_sure: sure,
            contradicted: Vec::new(),
        }
    }

    /// The largest value that held.
    pub fn held(&self) -> Option<f64> {
        self.held.last().copied()
    }

    /// The smallest value that did not.
    pub fn failed(&self) -> Option<f64> {
        self.failed
    }

    /// Values of which a repetition said something else.
    pub fn contradicted(&self) -> &[f64] {
        &self.contradicted
    }

    /// What to try next; `None` when the search is over.
    pub fn next(&self) -> Option<Try> {
        if let Some(value) = self.unknown() {
            return Some(Try { value, trials: self.effort.trials, confirms: false });
        }
        let again = |value| Try { value, trials: self.effort.confirm, confirms: true };
        match (self.held(), self.failed) {
            (Some(value), _) if !self.held_is_sure => Some(again(value)),
            (_, Some(value)) if !self.failed_is_sure => Some(again(value)),
            _ => None,
        }
    }

    /// A value that was never tried and would narrow the answer.
    fn unknown(&self) -> Option<f64> {
        let Bounds { from, least, most, whole } = self.bounds;
        let round = |value: f64| if whole { value.floor() } else { value };
        match (self.held(), self.failed) {
            (None, None) => Some(from),
            (Some(held), None) => (held < most).then(|| (held * 2.0).min(most)),
            (None, Some(failed)) => (failed > least).then(|| round(failed / 2.0).max(least)),
            // What repetitions contradict is not to be known any closer.
            (Some(_), Some(_)) if !self.contradicted.is_empty() => None,
            (Some(held), Some(failed)) => {
                let same = (held * RESOLUTION).max(if whole { 1.0 } else { 0.0 });
                (failed - held > same).then(|| round(f64::midpoint(held, failed)))
            }
        }
    }

    /// Takes what became of the value that [`Self::next`] named.
    pub fn take(&mut self, tried: Try, held: bool) {
        match (tried.confirms, held) {
            (false, true) => self.held.push(tried.value),
            (false, false) => self.failed = Some(tried.value),
            (true, true) if self.held() == Some(tried.value) => self.held_is_sure = true,
            (true, false) if self.failed == Some(tried.value) => self.failed_is_sure = true,
            // It failed once and held when repeated: the smaller value stands.
            (true, true) => {
                self.contradicted.push(tried.value);
                self.failed_is_sure = true;
            }
            // It held once and failed when repeated: the next smaller one is confirmed.
            (true, false) => {
                self.contradicted.push(tried.value);
                self.held.pop();
                self.failed = Some(tried.value);
                self.failed_is_sure = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: Bounds = Bounds { from: 10.0, least: 1.0, most: 100_000.0, whole: true };
    const ONCE: Effort = Effort { trials: 1, confirm: 3 };

    /// Runs a search to its end; the values that it tried.
    fn run(bounds: Bounds, effort: Effort, mut holds: impl FnMut(Try) -> bool) -> (Search, Vec<Try>) {
        let mut search = Search::new(bounds, effort);
        let mut tried = Vec::new();
        while let Some(step) = search.next() {
            assert!(tried.len() < 200, "it does not end: {tried:?}");
            assert!((bounds.least..=bounds.most).contains(&step.value), "{step:?}");
            assert!(!bounds.whole || step.value.fract() == 0.0, "{step:?}");
            tried.push(step);
            search.take(step, holds(step));
        }
        (search, tried)
    }

    #[test]
    fn any_capacity_is_found_within_a_client_or_a_twentieth() {
        for capacity in (1..60).chain([99, 100, 1_234, 33_333, 99_999]) {
            let limit = f64::from(capacity);
            let (search, tried) = run(CLIENTS, ONCE, |step| step.value <= limit);
            let (held, failed) = (search.held().unwrap(), search.failed().unwrap());
            assert!(held <= limit && limit < failed, "{capacity}: {held}, {failed}");
            assert!(failed - held <= (held * 0.05).max(1.0), "{capacity}: {held}, {failed}");
            assert!(capacity > 20 || held == limit, "{capacity}: {held}");
            let again: Vec<f64> = tried.iter().filter(|step| step.confirms).map(|step| step.value).collect();
            assert_eq!(again, [held, failed], "{capacity}");
            assert!(tried.len() < 35, "{capacity}: {} steps", tried.len());
        }
    }

    #[test]
    fn what_never_fails_ends_at_the_most_and_what_never_holds_at_the_least() {
        let (search, tried) = run(CLIENTS, ONCE, |_| true);
        assert_eq!((search.held(), search.failed()), (Some(100_000.0), None));
        assert!(tried.last().unwrap().confirms);
        let (search, tried) = run(CLIENTS, ONCE, |_| false);
        assert_eq!((search.held(), search.failed()), (None, Some(1.0)));
        let values: Vec<f64> = tried.iter().map(|step| step.value).collect();
        assert_eq!(values, [10.0, 5.0, 2.0, 1.0, 1.0]);
    }

    #[test]
    fn a_limit_at_the_first_value_and_a_first_value_above_the_most() {
        let (search, _) = run(CLIENTS, ONCE, |step| step.value < 10.0);
        assert_eq!((search.held(), search.failed()), (Some(9.0), Some(10.0)));
        let (search, _) = run(CLIENTS, ONCE, |step| step.value <= 10.0);
        assert_eq!((search.held(), search.failed()), (Some(10.0), Some(11.0)));
        let few = Bounds { most: 4.0, ..CLIENTS };
        let (search, tried) = run(few, ONCE, |_| true);
        assert_eq!((search.held(), tried.len()), (Some(4.0), 2));
    }

    #[test]
    fn rates_need_not_be_whole() {
        let rates = Bounds { from: 0.5, least: 0.0005, most: 1e6, whole: false };
        let (search, _) = run(rates, ONCE, |step| step.value < 0.317);
        let (held, failed) = (search.held().unwrap(), search.failed().unwrap());
        assert!(held < 0.317 && failed >= 0.317 && failed - held <= held * 0.05, "{held}, {failed}");
    }

    #[test]
    fn the_smaller_value_stands_where_a_repetition_contradicts() {
        // 16 holds by luck.
        let (search, _) = run(CLIENTS, ONCE, |step| step.value <= if step.confirms { 12.0 } else { 16.0 });
        assert_eq!((search.held(), search.contradicted()), (Some(10.0), &[16.0, 15.0][..]));
        // 15 fails by bad luck: what holds is confirmed.
        let (search, _) = run(CLIENTS, ONCE, |step| step.confirms || step.value < 15.0);
        assert_eq!((search.held(), search.contradicted()), (Some(14.0), &[15.0][..]));
        // The only value that held does so no more: further down.
        let (search, _) = run(CLIENTS, ONCE, |step| step.value <= if step.confirms { 4.0 } else { 10.0 });
        assert_eq!(search.contradicted(), [10.0, 5.0]);
        assert_eq!(search.held(), Some(2.0));
    }

    #[test]
    fn noise_of_any_kind_comes_to_an_end() {
        for seed in 0..200 {
            let mut draw = 0;
            let (search, _) = run(CLIENTS, ONCE, |_| {
                draw += 1;
                ticker::random::below(seed, 1, draw, 3) > 0
            });
            let (held, failed) = (search.held(), search.failed());
            assert!(held.is_none_or(|held| failed.is_none_or(|failed| held < failed)), "{held:?} {failed:?}");
        }
    }

    #[test]
    fn with_trials_enough_nothing_is_repeated() {
        let (_, tried) = run(CLIENTS, Effort { trials: 3, confirm: 3 }, |step| step.value < 50.0);
        assert!(tried.iter().all(|step| !step.confirms && step.trials == 3));
    }
}
