//! Statistics of paired differences: estimate, exact test, interval, and correction for many tests.
//!
//! Differences are logarithms of ratios of one pair of trials that ran beside each other. It does not know what was
//! measured, nor when a difference matters.

/// The median of all pairwise means, each difference with itself included (Hodges and Lehmann, 1963); `None` of nothing.
pub fn hodges_lehmann(differences: &[f64]) -> Option<f64> {
    let means = walsh(differences);
    let n = means.len();
    let upper = *means.get(n / 2)?;
    Some(if n % 2 == 1 { upper } else { f64::midpoint(means[n / 2 - 1], upper) })
}

/// Probability of so large a sum of positive ranks, or a larger one, if differences were as often below zero as above
/// (exact one-sided signed-rank test; Wilcoxon, 1945). Zeros are left out, ties share their mean rank; 1 of nothing.
pub fn signed_rank_above(differences: &[f64]) -> f64 {
    let mut found: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    found.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&found);
    let positive: usize =
        ranks.iter().zip(&found).filter(|(_, difference)| **difference > 0.0).map(|(rank, _)| rank).sum();
    let ways = ways_by_sum(&ranks);
    let total: f64 = ways.iter().sum();
    ways[positive.min(ways.len())..].iter().sum::<f64>() / total
}

/// The same for sums so small.
pub fn signed_rank_below(differences: &[f64]) -> f64 {
    let turned: Vec<f64> = differences.iter().map(|difference| -difference).collect();
    signed_rank_above(&turned)
}

/// The smallest p that so many pairs can reach: all of one sign.
pub fn smallest_p(pairs: usize) -> f64 {
    0.5_f64.powi(i32::try_from(pairs).unwrap_or(i32::MAX))
}

/// The interval of the Hodges–Lehmann estimate that the signed-rank test at `1 − confidence`, two-sided, does not
/// reject (Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", section 3.3). `None` where so few
/// differences reach no such confidence.
pub fn interval(differences: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let n = differences.len();
    let ranks: Vec<usize> = (1..=n).map(|rank| 2 * rank).collect();
    let ways = ways_by_sum(&ranks);
    let total: f64 = ways.iter().sum();
    // The largest c with P(W < c) ≤ α/2; sums are doubled.
    let mut below = 0.0;
    let mut c = 0;
    for count in ways.iter().step_by(2) {
        below += count / total;
        if below > (1.0 - confidence) / 2.0 {
            break;
        }
        c += 1;
    }
    let means = walsh(differences);
    (c > 0 && n > 0).then(|| (means[c - 1], means[means.len() - c]))
}

/// The intervals that are told with estimates.
pub const CONFIDENCE: f64 = 0.95;

/// Whether the differences are a change above `share`, at a level for this one test: a small p, and an interval that lies
/// beyond the share as a whole.
pub fn is_above(differences: &[f64], share: f64, level: f64) -> bool {
    signed_rank_above(differences) < level
        && interval(differences, CONFIDENCE).is_some_and(|(low, _)| low > share.ln_1p())
}

/// Holm's step-down correction (1979): p-values in their order, each as large as it must be for all tests together.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
    let mut adjusted = vec![1.0; ps.len()];
    let mut largest: f64 = 0.0;
    for (place, &index) in order.iter().enumerate() {
        largest = largest.max((ps[index] * (ps.len() - place) as f64).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// All means of two, each with itself included, in order.
fn walsh(differences: &[f64]) -> Vec<f64> {
    let mut means = Vec::with_capacity(differences.len() * (differences.len() + 1) / 2);
    for (index, first) in differences.iter().enumerate() {
        means.extend(differences[index..].iter().map(|second| f64::midpoint(*first, *second)));
    }
    means.sort_by(f64::total_cmp);
    means
}

/// Twice the rank of each by its size, equal ones sharing: whole numbers. `sorted` is in order of size.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let same = |size: f64| {
        let first = sorted.partition_point(|other| other.abs() < size);
        first..sorted.partition_point(|other| other.abs() <= size)
    };
    sorted
        .iter()
        .map(|difference| {
            let ties = same(difference.abs());
            // Ranks first + 1 to end, whose mean doubled is this.
            ties.start + 1 + ties.end
        })
        .collect()
}

/// In how many of the 2ⁿ ways of signs the positive ranks have each sum.
fn ways_by_sum(ranks: &[usize]) -> Vec<f64> {
    let mut ways = vec![0.0; ranks.iter().sum::<usize>() + 1];
    ways[0] = 1.0;
    let mut reached = 0;
    for &rank in ranks {
        for sum in (0..=reached).rev() {
            ways[sum + rank] += ways[sum];
        }
        reached += rank;
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_median_of_pairwise_means() {
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(hodges_lehmann(&[2.0]), Some(2.0));
        assert_eq!(hodges_lehmann(&[1.0, 2.0, 9.0]), Some(3.5));
    }

    /// Figures of R's `wilcox.test(d, alternative = "greater")` where there are no ties.
    #[test]
    fn the_test_is_exact() {
        let check = |differences: &[f64], expected: f64| {
            let p = signed_rank_above(differences);
            assert!((p - expected).abs() < 1e-12, "{differences:?}: {p}");
        };
        check(&[], 1.0);
        check(&[0.0, 0.0], 1.0);
        check(&[1.0, 2.0, 3.0], 1.0 / 8.0);
        check(&[-1.0, 2.0, 3.0], 2.0 / 8.0);
        check(&[1.0, -2.0, 3.0], 3.0 / 8.0);
        check(&[-1.0, -2.0, -3.0], 1.0);
        check(&(1..=10).map(f64::from).collect::<Vec<_>>(), smallest_p(10));
        // Ties: two of size one share rank 1.5; the sums 1.5 and 3 are reached by three of four.
        check(&[1.0, -1.0], 3.0 / 4.0);
        assert_eq!(signed_rank_below(&[-1.0, -2.0, -3.0]), 1.0 / 8.0);
    }

    #[test]
    fn the_interval_is_what_the_test_does_not_reject() {
        let differences: Vec<f64> = (1..=10).map(|n| f64::from(n) / 10.0).collect();
        let (low, high) = interval(&differences, 0.95).unwrap();
        assert!(
            low < 0.55 && high > 0.55 && (low - 0.3).abs() < 1e-9 && (high - 0.8).abs() < 1e-9,
            "{low} {high}"
        );
        let two_sided = |shift: f64| {
            let moved: Vec<f64> = differences.iter().map(|difference| difference - shift).collect();
            2.0 * signed_rank_above(&moved).min(signed_rank_below(&moved))
        };
        assert!(two_sided(low + 0.01) > 0.05 && two_sided(low - 0.011) <= 0.05, "{}", two_sided(low - 0.011));
        assert_eq!(interval(&differences[..5], 0.95), None);
        assert!(interval(&differences[..6], 0.95).is_some());
    }

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_falls() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
