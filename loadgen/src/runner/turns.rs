//! In which order trials are run: a pure function of the seed.

use ticker::random;

const STREAM_ORDER: u64 = 31;
/// Far from the streams of blocks, which are numbered from the one above.
const STREAM_COINS: u64 = 1 << 40;

/// One trial to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its block, from 0: each holds every variant once, of every side.
    pub block: u32,
    /// The place of its variants in [`Plan::together`](crate::plan::Plan::together).
    pub group: usize,
    /// Its side's place.
    pub side: usize,
}

/// Blocks of one side: each holds every variant once, shuffled; those that run at the same time are one group.
pub fn blocks(groups: usize, blocks: u32, seed: u64) -> Vec<Turn> {
    let block = |block| shuffled(groups, block, seed).into_iter();
    (0..blocks)
        .flat_map(|number| block(number).map(move |group| Turn { block: number, group, side: 0 }))
        .collect()
}

/// Blocks of two sides: the variants shuffled, each run by both sides one after the other, so that as little time as
/// can be lies between the two. Which side is first is a coin's fall, one for each block ([`first_sides`]).
pub fn pairs(groups: usize, pairs: u32, seed: u64) -> Vec<Turn> {
    let first = first_sides(pairs, seed);
    let mut turns = Vec::new();
    for (block, first) in (0..pairs).zip(first) {
        for group in shuffled(groups, block, seed) {
            turns.extend([first, 1 - first].map(|side| Turn { block, group, side }));
        }
    }
    turns
}

/// The side that is first in each pair.
pub fn first_sides(pairs: u32, seed: u64) -> Vec<usize> {
    (0..u64::from(pairs)).map(|pair| random::below(seed, STREAM_COINS, pair, 2) as usize).collect()
}

fn shuffled(groups: usize, block: u32, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..groups).collect();
    random::shuffle(&mut indices, seed, STREAM_ORDER + u64::from(block));
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_holds_every_variant_once_in_an_order_of_its_own() {
        let order: Vec<usize> = blocks(5, 4, 1).iter().map(|turn| turn.group).collect();
        let mut blocks: Vec<Vec<usize>> = order.chunks(5).map(<[usize]>::to_vec).collect();
        assert!(blocks.windows(2).any(|pair| pair[0] != pair[1]));
        blocks.iter_mut().for_each(|block| block.sort_unstable());
        assert!(blocks.iter().all(|block| *block == [0, 1, 2, 3, 4]));
    }

    #[test]
    fn the_sides_of_a_pair_are_neighbours_and_a_coin_says_which_is_first() {
        let turns = pairs(3, 40, 7);
        assert_eq!(turns.len(), 3 * 40 * 2);
        let mut heads = 0;
        for (pair, block) in turns.chunks(6).enumerate() {
            let first = block[0].side;
            heads += first;
            let mut seen = Vec::new();
            for both in block.chunks(2) {
                assert_eq!((both[0].block, both[0].group), (pair as u32, both[1].group));
                assert_eq!((both[0].side, both[1].side), (first, 1 - first));
                seen.push(both[0].group);
            }
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2]);
        }
        assert!((10..=30).contains(&heads), "{heads} of 40");
        assert_ne!(first_sides(40, 7), first_sides(40, 8));
    }
}
