//! Change points of a series by E-divisive: where the distribution of its values changed. Pure functions, seeded.
//!
//! Matteson and James, "A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data" (JASA 2014, arXiv
//! 1306.4933), in one dimension with exponent 1. It does not know what the values are, nor whether a change is good.

use std::ops::Range;

use ticker::random;

/// Below this many values no split reaches [`ALPHA`]: a series is too short to tell.
pub const FEWEST: usize = 10;
/// Values on either side of a change. Fewer would make every outlier a change.
pub const SHORTEST_SIDE: usize = 3;
/// A change is told when chance alone makes one as clear with at most this probability.
pub const ALPHA: f64 = 0.01;
/// Random orders that a candidate is held against.
pub const PERMUTATIONS: u32 = 499;
/// Longer series are looked at from here on back: the time grows with the square of the length.
pub const MOST: usize = 500;

/// Permutations are the same in every run.
const SEED: u64 = 1;

/// A place at which the distribution changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Index of the first value after it.
    pub index: usize,
    /// Share of random orders that split as clearly, their own order included (Phipson and Smyth 2010).
    pub p: f64,
    /// Median from the change before, or the beginning.
    pub before: f64,
    /// Median up to the next change, or the end.
    pub after: f64,
}

/// All changes in order; none in a series shorter than [`FEWEST`]. Values must be finite.
pub fn changes(values: &[f64]) -> Vec<Change> {
    let start = values.len().saturating_sub(MOST);
    let series = &values[start..];
    if series.len() < FEWEST || series.iter().any(|value| !value.is_finite()) {
        return Vec::new();
    }
    let mut found: Vec<(usize, f64)> = Vec::new();
    loop {
        let segments = segments(found.iter().map(|(index, _)| *index), series.len());
        let Some(candidate) = best(series, &segments) else { break };
        let Some(p) = significance(series, &segments, candidate.clearness, found.len() as u64) else { break };
        found.push((candidate.index, p));
        found.sort_by_key(|(index, _)| *index);
    }
    let segments = segments(found.iter().map(|(index, _)| *index), series.len());
    let sides = segments.iter().zip(segments.iter().skip(1));
    let changes = found.iter().zip(sides).map(|((index, p), (before, after))| Change {
        index: start + index,
        p: *p,
        before: median(&series[before.clone()]),
        after: median(&series[after.clone()]),
    });
    changes.collect()
}

/// The pieces between changes, which come in order.
fn segments(changes: impl Iterator<Item = usize>, length: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut segments = Vec::new();
    for end in changes.chain([length]) {
        segments.push(start..end);
        start = end;
    }
    segments
}

#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    clearness: f64,
}

/// The clearest split of any segment.
fn best(series: &[f64], segments: &[Range<usize>]) -> Option<Candidate> {
    let of = |segment: &Range<usize>| {
        let split = split(&series[segment.clone()])?;
        Some(Candidate { index: segment.start + split.index, ..split })
    };
    segments.iter().filter_map(of).max_by(|a, b| a.clearness.total_cmp(&b.clearness))
}

/// The τ, with some κ, that makes Q(τ, κ) = mn/(m+n) · E(X, Y) largest, X = [..τ] of n values, Y = [τ..κ] of m, where E is
/// 2 · mean |x − y| less the mean distances of all pairs within X and within Y (equations 5 to 7).
///
/// Sums of distances within an interval grow by a value at a time, so all (τ, κ) take quadratic time.
fn split(values: &[f64]) -> Option<Candidate> {
    let length = values.len();
    // within[a]: sum of distances of all pairs in a..kappa.
    let mut within = vec![0.0; length];
    // head[tau]: the same in ..tau.
    let mut head = vec![0.0; length + 1];
    let mut best: Option<Candidate> = None;
    for last in 0..length {
        let kappa = last + 1;
        let mut to_last = 0.0;
        for from in (0..last).rev() {
            to_last += (values[from] - values[last]).abs();
            within[from] += to_last;
        }
        head[kappa] = within[0];
        if kappa < 2 * SHORTEST_SIDE {
            continue;
        }
        for tau in SHORTEST_SIDE..=kappa - SHORTEST_SIDE {
            let (left, right) = (head[tau], within[tau]);
            let across = within[0] - left - right;
            let (n, m) = (tau as f64, (kappa - tau) as f64);
            let energy =
                2.0 * across / (n * m) - left / (n * (n - 1.0) / 2.0) - right / (m * (m - 1.0) / 2.0);
            let clearness = n * m / (n + m) * energy;
            if best.is_none_or(|best| clearness > best.clearness) {
                best = Some(Candidate { index: tau, clearness });
            }
        }
    }
    best
}

/// The p-value of the clearest split, values shuffled within their segments (section 2.3); `None` if above [`ALPHA`], which
/// is known as soon as too many random orders are as clear.
fn significance(series: &[f64], segments: &[Range<usize>], clearness: f64, step: u64) -> Option<f64> {
    let orders = f64::from(PERMUTATIONS) + 1.0;
    // Sums in another order differ in their last digits: what is equal must count as equal.
    let as_clear = clearness - 1e-9 * clearness.abs();
    let mut shuffled = series.to_vec();
    let mut extreme = 0;
    for permutation in 0..u64::from(PERMUTATIONS) {
        for segment in segments {
            random::shuffle(&mut shuffled[segment.clone()], SEED + step, permutation);
        }
        extreme += u32::from(best(&shuffled, segments).is_some_and(|found| found.clearness >= as_clear));
        if (f64::from(extreme) + 1.0) / orders > ALPHA {
            return None;
        }
    }
    Some((f64::from(extreme) + 1.0) / orders)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal noise by the sum of twelve uniforms: mean 0, deviation 1.
    fn noise(seed: u64, n: usize) -> f64 {
        (0..12).map(|part| random::unit(seed, part, n as u64)).sum::<f64>() - 6.0
    }

    fn series(seed: u64, length: usize, level: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..length).map(|n| level(n) * (1.0 + 0.02 * noise(seed, n))).collect()
    }

    /// Slow and plain: Q(τ, κ) by its definition.
    fn by_definition(values: &[f64]) -> (usize, f64) {
        let mean = |xs: &[f64], ys: &[f64]| {
            let sum: f64 = xs.iter().flat_map(|x| ys.iter().map(move |y| (x - y).abs())).sum();
            sum / (xs.len() * ys.len()) as f64
        };
        let inner = |xs: &[f64]| mean(xs, xs) * xs.len() as f64 / (xs.len() as f64 - 1.0);
        let mut best = (0, f64::NEG_INFINITY);
        for kappa in 2 * SHORTEST_SIDE..=values.len() {
            for tau in SHORTEST_SIDE..=kappa - SHORTEST_SIDE {
                let (x, y) = (&values[..tau], &values[tau..kappa]);
                let (n, m) = (x.len() as f64, y.len() as f64);
                let q = n * m / (n + m) * (2.0 * mean(x, y) - inner(x) - inner(y));
                if q > best.1 {
                    best = (tau, q);
                }
            }
        }
        best
    }

    #[test]
    fn the_fast_sums_are_the_definition() {
        for seed in 0..20 {
            let values = series(seed, 12 + seed as usize, |n| if n < 8 { 1.0 } else { 1.03 });
            let (index, q) = by_definition(&values);
            let fast = split(&values).unwrap();
            assert_eq!(fast.index, index, "seed {seed}");
            assert!((fast.clearness - q).abs() < 1e-9, "{} and {q}", fast.clearness);
        }
    }

    #[test]
    fn a_step_of_eight_per_cent_is_found_where_it_is() {
        let mut off = 0;
        for seed in 0..20 {
            let found = changes(&series(seed, 60, |n| if n < 35 { 100.0 } else { 108.0 }));
            assert_eq!(found.len(), 1, "seed {seed}: {found:?}");
            assert!(found[0].index.abs_diff(35) <= 1 && found[0].p <= ALPHA, "seed {seed}: {found:?}");
            assert!((found[0].after / found[0].before - 1.08).abs() < 0.02, "seed {seed}: {found:?}");
            off += usize::from(found[0].index != 35);
        }
        assert!(off <= 4, "{off} of 20 are off by one");
    }

    #[test]
    fn two_steps_are_two_changes() {
        let level = |n| match n {
            0..25 => 100.0,
            25..50 => 112.0,
            _ => 95.0,
        };
        let found: Vec<usize> = changes(&series(3, 80, level)).iter().map(|change| change.index).collect();
        assert!(found.len() == 2 && found[0].abs_diff(25) <= 1 && found[1].abs_diff(50) <= 1, "{found:?}");
    }

    #[test]
    fn a_count_that_changes_for_good_is_found() {
        let values: Vec<f64> = (0..24).map(|n| if n < 14 { 491.0 } else { 531.0 }).collect();
        let found = changes(&values);
        assert_eq!(found.iter().map(|change| change.index).collect::<Vec<_>>(), [14]);
        assert_eq!((found[0].before, found[0].after), (491.0, 531.0));
    }

    #[test]
    fn noise_alone_alarms_about_as_often_as_alpha_says() {
        let series = |seed: u64| -> Vec<f64> { (0..40).map(|n| (0.5 * noise(seed, n)).exp()).collect() };
        let alarms = (0..2_000).filter(|seed| !changes(&series(1_000 + seed)).is_empty()).count();
        // Of 2,000 at 1 %: fewer than 8 or more than 34 come with a probability of 0.2 % each (binomial).
        assert!((8..=34).contains(&alarms), "{alarms} of 2,000");
    }

    #[test]
    fn one_outlier_is_no_change_nor_is_a_constant() {
        let outlier: Vec<f64> = (0..40).map(|n| if n == 30 { 500.0 } else { 100.0 + noise(5, n) }).collect();
        assert_eq!(changes(&outlier), []);
        assert_eq!(changes(&[7.0; 40]), []);
    }

    #[test]
    fn short_and_broken_series_tell_nothing_and_long_ones_are_looked_at_from_their_end() {
        assert_eq!(changes(&[]), []);
        assert_eq!(changes(&[1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0, 9.0]), []);
        assert_eq!(changes(&[f64::NAN; 40]), []);
        let long: Vec<f64> = (0..MOST + 50).map(|n| if n < MOST { 1.0 } else { 2.0 }).collect();
        assert_eq!(changes(&long).iter().map(|change| change.index).collect::<Vec<_>>(), [MOST]);
    }
}
