//! Seeded random numbers by position: the n-th number of a stream is a pure function of (seed, stream, n).
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014). It is
//! written out here because the schedule is a contract: a library may change its stream in any version.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Number `n` of `stream`, uniform over all 64-bit values.
pub fn bits(seed: u64, stream: u64, n: u64) -> u64 {
    let start = finalise(seed ^ finalise(stream.wrapping_mul(GOLDEN_GAMMA)));
    finalise(start.wrapping_add(n.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA)))
}

/// Number `n` of `stream`, uniform in the open interval (0, 1).
pub fn unit(seed: u64, stream: u64, n: u64) -> f64 {
    ((bits(seed, stream, n) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Number `n` of `stream`, uniform in `0..below`; the bias is under `below` / 2^64.
pub fn below(seed: u64, stream: u64, n: u64, below: u64) -> u64 {
    ((u128::from(bits(seed, stream, n)) * u128::from(below)) >> 64) as u64
}

/// Puts `items` into a seeded random order (Fisher–Yates).
pub fn shuffle<T>(items: &mut [T], seed: u64, stream: u64) {
    for last in (1..items.len()).rev() {
        let other = below(seed, stream, last as u64, last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_spread_evenly() {
        let mean = (0..10_000).map(|n| unit(7, 1, n)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "mean {mean}");
        assert!((0..10_000).all(|n| (0.0..1.0).contains(&unit(7, 2, n))));
    }

    #[test]
    fn streams_and_seeds_differ_and_repeat() {
        assert_eq!(bits(1, 2, 3), bits(1, 2, 3));
        assert_ne!(bits(1, 2, 3), bits(1, 3, 3));
        assert_ne!(bits(1, 2, 3), bits(2, 2, 3));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut items, 3, 9);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
