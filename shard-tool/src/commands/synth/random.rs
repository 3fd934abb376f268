//! Random numbers that depend on nothing but what they are drawn for.

/// A stream of random numbers (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The stream for these numbers, in this order.
    pub(super) fn new(numbers: &[u64]) -> Self {
        let start = numbers.len() as u64;
        let state = numbers
            .iter()
            .fold(start, |state, number| mix(mix(state) ^ number));
        Self { state }
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in `[low, high)`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.bits())
    }

    /// Uniform in `low..=high`.
    pub(super) fn whole(&mut self, low: u32, high: u32) -> u32 {
        low + (self.bits() % u64::from(high - low + 1)) as u32
    }

    /// Approximately normal with mean 0 and deviation 1 (a sum of four uniform numbers).
    pub(super) fn normal(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        (sum as f32 / 65_536.0 - 2.0) * 3.0f32.sqrt()
    }
}

/// A random number in `[0, 1)` for a point of a lattice.
pub(super) fn lattice(seed: u64, x: i32, y: i32) -> f32 {
    unit(mix(
        seed ^ mix(u64::from(x as u32) << 32 | u64::from(y as u32))
    ))
}

/// Smooth noise in `[0, 1)`: random at whole coordinates, interpolated between.
pub(super) fn smooth_noise(seed: u64, x: f32, y: f32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(x - x0), ease(y - y0));
    let corner = |dx: i32, dy: i32| lattice(seed, x0 as i32 + dx, y0 as i32 + dy);
    let row = |dy: i32| corner(0, dy) * (1.0 - tx) + corner(1, dy) * tx;
    row(0) * (1.0 - ty) + row(1) * ty
}

fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u32 << 24) as f32
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_stated_range_mean_and_deviation() {
        let mut random = Random::new(&[1, 2]);
        let uniform: Vec<f32> = (0..10_000).map(|_| random.between(-1.0, 3.0)).collect();
        assert!(uniform.iter().all(|value| (-1.0..3.0).contains(value)));
        let mean = uniform.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        let variance = (0..10_000).map(|_| random.normal().powi(2)).sum::<f32>() / 10_000.0;
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn streams_of_different_numbers_differ() {
        let first = |numbers: &[u64]| Random::new(numbers).bits();
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[0]), first(&[0, 0]));
    }
}
