//! The order of an epoch: a seeded permutation of all samples that needs no memory.
//!
//! A Feistel network over the smallest even number of bits that holds `num_samples` permutes that range; values that fall
//! outside are permuted again until they fall inside (cycle walking, Black and Rogaway 2002). Any position can be looked up
//! on its own, so resuming in the middle of an epoch costs nothing and every rank computes the same order.

/// Rounds of the network; four already make it pseudorandom for a random round function (Luby and Rackoff 1988).
const NUM_ROUNDS: u64 = 6;

/// A permutation of `0..num_samples`, fixed by seed and epoch.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    num_samples: u64,
    half_bits: u32,
    keys: [u64; NUM_ROUNDS as usize],
}

impl Permutation {
    /// The order of `epoch` under `seed`.
    pub fn new(seed: u64, epoch: u64, num_samples: u64) -> Permutation {
        let bits = u64::BITS - num_samples.saturating_sub(1).leading_zeros();
        let stream = mix(mix(seed) ^ epoch);
        let keys = std::array::from_fn(|round| mix(stream ^ (round as u64 + 1)));
        Permutation {
            num_samples,
            half_bits: bits.div_ceil(2).max(1),
            keys,
        }
    }

    /// The sample at `position`; panics unless `position < num_samples`.
    pub fn sample(&self, position: u64) -> u64 {
        assert!(position < self.num_samples, "a position within the epoch");
        let mut value = self.permute(position);
        while value >= self.num_samples {
            value = self.permute(value);
        }
        value
    }

    fn permute(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half_bits | right
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(seed: u64, epoch: u64, num_samples: u64) -> Vec<u64> {
        let permutation = Permutation::new(seed, epoch, num_samples);
        (0..num_samples)
            .map(|position| permutation.sample(position))
            .collect()
    }

    proptest! {
        #[test]
        fn every_sample_comes_exactly_once(seed: u64, epoch: u64, num_samples in 1u64..3000) {
            let mut seen = order(seed, epoch, num_samples);
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..num_samples));
        }
    }

    #[test]
    fn epochs_and_seeds_give_other_orders() {
        let first = order(1, 0, 1000);
        for other in [order(1, 1, 1000), order(2, 0, 1000)] {
            let in_place = first.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(
                in_place < 10,
                "{in_place} samples stay where they were; chance leaves 1"
            );
        }
    }

    #[test]
    fn samples_of_a_shard_are_spread_over_the_whole_epoch() {
        // Mean position of the first tenth of the samples, over many epochs, has mean (n - 1) / 2; a local shuffle would not.
        let num_samples = 1000;
        for epoch in 0..20 {
            let order = order(7, epoch, num_samples);
            let positions: Vec<u64> = (0..num_samples)
                .filter(|p| order[*p as usize] < num_samples / 10)
                .collect();
            let mean = positions.iter().sum::<u64>() as f64 / positions.len() as f64;
            // Standard error 28 for 100 of 1000 positions; 5 of them.
            assert!(
                (mean - 499.5).abs() < 140.0,
                "epoch {epoch}: mean position {mean}"
            );
        }
    }

    #[test]
    fn neighbours_do_not_stay_neighbours() {
        let order = order(3, 0, 10_000);
        let adjacent = order
            .windows(2)
            .filter(|w| w[0].abs_diff(w[1]) == 1)
            .count();
        assert!(adjacent < 15, "{adjacent} adjacent pairs; chance leaves 2");
    }
}
