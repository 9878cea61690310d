//! Whether a series of values rises or falls: Kendall's test with its exact distribution. Pure.

/// A series against chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Pairs that rise less pairs that fall.
    pub s: i64,
    /// Probability of an |S| as large in a series without trend.
    pub p: f64,
}

/// Kendall's S of values in order; `None` with fewer than two.
///
/// Exact for values without ties (Kendall, "Rank Correlation Methods", chapter 4); ties make it cautious.
pub fn kendall(values: &[f64]) -> Option<Trend> {
    if values.len() < 2 {
        return None;
    }
    let pairs = values.iter().enumerate().flat_map(|(i, a)| values[i + 1..].iter().map(move |b| (a, b)));
    let s: i64 = pairs.map(|(a, b)| i64::from(b > a) - i64::from(b < a)).sum();
    let most = (values.len() * (values.len() - 1) / 2) as i64;
    let shares = inversions(values.len());
    let as_large = |&(k, _): &(usize, f64)| (most - 2 * k as i64).abs() >= s.abs();
    let p = shares.into_iter().enumerate().filter(as_large).map(|(_, share)| share).sum::<f64>();
    Some(Trend { s, p: p.min(1.0) })
}

/// Share of the permutations of `n` things that have 0, 1, 2 … inversions (the Mahonian numbers over n!).
fn inversions(n: usize) -> Vec<f64> {
    let mut shares = vec![1.0];
    for size in 2..=n {
        let mut next = vec![0.0; shares.len() + size - 1];
        for (inversions, share) in shares.iter().enumerate() {
            (0..size).for_each(|more| next[inversions + more] += share / size as f64);
        }
        shares = next;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_distribution_is_that_of_the_tables() {
        // Kendall's table: n = 10, P(S ≥ 29) = 0.0046 and P(S ≥ 27) = 0.0083; n = 4, P(S ≥ 6) = 1/24.
        let upper = |n: usize, s: usize| -> f64 {
            let most = n * (n - 1) / 2;
            inversions(n).iter().take((most - s) / 2 + 1).sum()
        };
        assert!((upper(10, 29) - 0.0046).abs() < 0.000_05);
        assert!((upper(10, 27) - 0.0083).abs() < 0.000_05);
        assert!((upper(4, 6) - 1.0 / 24.0).abs() < 1e-12);
        assert!((inversions(10).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_rise_is_told_from_chance() {
        let check = |values: &[f64], s: i64, trend: bool| {
            let found = kendall(values).unwrap();
            assert_eq!((found.s, found.p < 0.01), (s, trend), "{values:?} {found:?}");
        };
        check(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 45, true);
        check(&[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], -45, true);
        check(&[5.0; 10], 0, false);
        check(&[3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.5, 3.5], 15, false);
        // Five slices cannot tell at this level, six can.
        check(&[1.0, 2.0, 3.0, 4.0, 5.0], 10, false);
        check(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 15, true);
        assert_eq!(kendall(&[1.0]), None);
    }
}
