//! What the surface of an object looks like: how much of its second colour is seen at a point.

use super::random::smooth_noise;

/// The pattern of a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texture {
    Plain,
    Striped,
    Checked,
    Dotted,
    Ringed,
    Speckled,
}

/// Half the width of the transition between the two colours, in periods.
const SOFTNESS: f32 = 0.05;

impl Texture {
    pub(super) const ALL: [Self; 6] = [
        Self::Plain,
        Self::Striped,
        Self::Checked,
        Self::Dotted,
        Self::Ringed,
        Self::Speckled,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Striped => "striped",
            Self::Checked => "checked",
            Self::Dotted => "dotted",
            Self::Ringed => "ringed",
            Self::Speckled => "speckled",
        }
    }

    /// Share of the second colour at a point, in `[0, 1]`. Coordinates are in periods of the pattern,
    /// `(0, 0)` is the centre of the object; `phase` shifts the pattern against it.
    pub(super) fn share(self, point: (f32, f32), phase: (f32, f32), seed: u64) -> f32 {
        let (x, y) = (point.0 + phase.0, point.1 + phase.1);
        match self {
            Self::Plain => 0.0,
            Self::Striped => band(y),
            Self::Checked => {
                let (a, b) = (band(0.5 * x), band(0.5 * y));
                a + b - 2.0 * a * b
            }
            Self::Dotted => step(0.31 - from_whole(x).hypot(from_whole(y))),
            // Rings are shifted outwards, so that they stay around the centre.
            Self::Ringed => band(point.0.hypot(point.1) + phase.0),
            Self::Speckled => {
                let noise = smooth_noise(seed, 3.0 * x, 3.0 * y);
                step(0.5 * (noise - 0.56))
            }
        }
    }
}

/// 0 and 1 by turns, half a period each.
fn band(position: f32) -> f32 {
    step(0.25 - from_whole(position).abs())
}

/// Signed distance from the nearest whole number.
fn from_whole(value: f32) -> f32 {
    value - value.round()
}

/// A soft step from 0 to 1 where `distance` changes its sign.
fn step(distance: f32) -> f32 {
    (0.5 + distance / (2.0 * SOFTNESS)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_share(texture: Texture) -> f32 {
        let at = |cell: i32| {
            texture.share(
                ((cell % 100) as f32 * 0.05, (cell / 100) as f32 * 0.05),
                (0.0, 0.0),
                1,
            )
        };
        (0..10_000).map(at).sum::<f32>() / 10_000.0
    }

    #[test]
    fn patterns_show_both_colours_in_similar_parts() {
        for texture in Texture::ALL
            .into_iter()
            .filter(|texture| *texture != Texture::Plain)
        {
            let share = mean_share(texture);
            assert!(
                (0.25..0.6).contains(&share),
                "{} shows {share}",
                texture.name()
            );
        }
    }

    #[test]
    fn shares_stay_between_nothing_and_all() {
        for texture in Texture::ALL {
            for cell in 0..1_000 {
                let share = texture.share(
                    (cell as f32 * 0.013 - 5.0, cell as f32 * 0.007),
                    (0.3, 1.7),
                    9,
                );
                assert!((0.0..=1.0).contains(&share));
            }
        }
    }
}
