//! Whether the signs of a run mean collapse: numbers in, at most one finding out. It knows no tensor, no method and no screen.
//!
//! A network that has learnt nothing yet looks much like one that never will. So signs are averaged over stretches of steps, and what is
//! still on its way from one stretch to the next is no collapse.

use std::fmt;

use super::measure::{
    EFFECTIVE_RANK, FEATURE_STD, KL_TO_UNIFORM, LOSS_OVER_LN_K, PROTOTYPES_USED, TARGET_ENTROPY,
    TARGET_INFORMATION,
};
use crate::scalars::Scalars;

/// Steps of a stretch: half an epoch, within these bounds.
const STRETCH: (u64, u64) = (50, 500);
/// Targets that say less than this about their image, in nats, are all the same.
const LEAST_INFORMATION: f64 = 0.02;
/// Features whose standard deviation is below this are all the same.
const LEAST_STD: f64 = 0.02;
/// A loss this near to `ln k`, relatively, is a guess.
const NEAR_CHANCE: f64 = 0.01;
/// A sign that rises by this share from one stretch to the next is on its way.
const RISE: f64 = 0.1;
/// Stretches with the loss of a guess, one after another, until it is called one: a slow start has some.
const GUESSES: u32 = 3;
/// A loss that falls by this share of `ln k` from one stretch to the next is on its way.
const FALL: f64 = 0.001;

/// How a network can have collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collapse {
    /// Every image has the same target, of few prototypes.
    Dominated,
    /// Every image has the same target, of all prototypes alike.
    Uniform,
    /// Every image has the same features.
    ConstantFeatures,
    /// The loss stays that of a guess.
    AtChance,
}

/// What was found, and from what.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The kind.
    pub collapse: Collapse,
    means: Means,
    num_steps: u64,
}

/// Watches the signs of a run; finds something once.
#[derive(Debug)]
pub struct Judge {
    stretch: u64,
    sums: Means,
    num_steps: u64,
    earlier: Option<Means>,
    num_guesses: u32,
    has_found: bool,
}

/// The signs, each with its name; NaN where a method has no such sign.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Means([f64; SIGNS.len()]);

const SIGNS: [&str; 7] = [
    FEATURE_STD,
    EFFECTIVE_RANK,
    LOSS_OVER_LN_K,
    TARGET_INFORMATION,
    TARGET_ENTROPY,
    KL_TO_UNIFORM,
    PROTOTYPES_USED,
];

impl Judge {
    /// A judge of a run with epochs of so many steps.
    pub fn new(steps_per_epoch: u64) -> Judge {
        Judge {
            stretch: (steps_per_epoch / 2).clamp(STRETCH.0, STRETCH.1),
            sums: Means::default(),
            num_steps: 0,
            earlier: None,
            num_guesses: 0,
            has_found: false,
        }
    }

    /// Takes in one step; gives the first finding at the end of its stretch.
    pub fn see(&mut self, step: &Scalars) -> Option<Finding> {
        for (sum, name) in self.sums.0.iter_mut().zip(SIGNS) {
            *sum += step.get(name).unwrap_or(f64::NAN);
        }
        self.num_steps += 1;
        if self.num_steps < self.stretch || self.has_found {
            return None;
        }
        let now = Means(self.sums.0.map(|sum| sum / self.num_steps as f64));
        let (earlier, num_steps) = (self.earlier.replace(now), self.num_steps);
        (self.sums, self.num_steps) = (Means::default(), 0);
        let earlier = earlier?;
        self.num_guesses = match is_guess(&earlier, &now) {
            true => self.num_guesses + 1,
            false => 0,
        };
        let is_pinned = self.num_guesses >= GUESSES;
        let collapse = alike(&earlier, &now).or(is_pinned.then_some(Collapse::AtChance))?;
        self.has_found = true;
        Some(Finding {
            collapse,
            means: now,
            num_steps,
        })
    }
}

/// Whether all images look the same. Comparisons with NaN are false, so a sign that a method lacks finds nothing.
fn alike(earlier: &Means, now: &Means) -> Option<Collapse> {
    let is_low =
        |name, least: f64| now.of(name) < least && now.of(name) <= earlier.of(name) * (1.0 + RISE);
    if is_low(TARGET_INFORMATION, LEAST_INFORMATION) {
        let is_uniform = now.of(KL_TO_UNIFORM) < now.of(TARGET_ENTROPY);
        return Some(match is_uniform {
            true => Collapse::Uniform,
            false => Collapse::Dominated,
        });
    }
    is_low(FEATURE_STD, LEAST_STD).then_some(Collapse::ConstantFeatures)
}

/// Whether the loss is that of a guess and does not fall.
fn is_guess(earlier: &Means, now: &Means) -> bool {
    let loss = now.of(LOSS_OVER_LN_K);
    (loss - 1.0).abs() < NEAR_CHANCE && earlier.of(LOSS_OVER_LN_K) - loss < FALL
}

impl Means {
    fn of(&self, name: &str) -> f64 {
        let at = SIGNS.iter().position(|known| *known == name);
        self.0[at.expect("a sign that is watched")]
    }
}

impl fmt::Display for Collapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Collapse::Dominated => "all images have the same target, of one or few prototypes",
            Collapse::Uniform => "all images have the same target, uniform over the prototypes",
            Collapse::ConstantFeatures => "all images have the same features",
            Collapse::AtChance => "the loss stays at ln K, that of a guess",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this looks like collapse: {}; means of the last {} steps:",
            self.collapse, self.num_steps
        )?;
        let known = SIGNS.iter().zip(self.means.0);
        let words = known
            .filter(|(_, mean)| !mean.is_nan())
            .map(|(name, mean)| format!(" {name} {mean:.3}"));
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: [f64; 7] = [0.5, 20.0, 0.8, 2.0, 1.0, 0.5, 30.0];

    fn scalars(signs: [f64; 7]) -> Scalars {
        let named = SIGNS.into_iter().zip(signs);
        Scalars::from_iter(named.filter(|(_, value)| !value.is_nan()))
    }

    /// What is found in a stretch of steps with these signs and several with those.
    fn judged(first: [f64; 7], second: [f64; 7]) -> Option<Collapse> {
        let mut judge = Judge::new(10);
        let steps = [first, second].map(scalars);
        let mut findings = Vec::new();
        for (step, num_steps) in steps.iter().zip([50, 400]) {
            findings.extend((0..num_steps).filter_map(|_| judge.see(step)));
        }
        assert!(findings.len() <= 1, "what goes on is told once");
        findings.pop().map(|finding| finding.collapse)
    }

    fn with(changes: &[(&str, f64)]) -> [f64; 7] {
        let mut signs = HEALTHY;
        for (name, value) in changes {
            signs[SIGNS.iter().position(|known| known == name).unwrap()] = *value;
        }
        signs
    }

    #[test]
    fn each_kind_is_told_from_the_others() {
        assert_eq!(judged(HEALTHY, HEALTHY), None);
        let same = (TARGET_INFORMATION, 0.001);
        let dominated = with(&[same, (TARGET_ENTROPY, 0.01), (KL_TO_UNIFORM, 4.1)]);
        assert_eq!(judged(dominated, dominated), Some(Collapse::Dominated));
        let uniform = with(&[same, (TARGET_ENTROPY, 4.1), (KL_TO_UNIFORM, 0.01)]);
        assert_eq!(judged(uniform, uniform), Some(Collapse::Uniform));
        let constant = with(&[(FEATURE_STD, 0.001)]);
        assert_eq!(judged(constant, constant), Some(Collapse::ConstantFeatures));
        let guess = with(&[(LOSS_OVER_LN_K, 1.0)]);
        assert_eq!(judged(guess, guess), Some(Collapse::AtChance));
    }

    #[test]
    fn a_slow_start_is_no_collapse() {
        for (name, values) in [
            (TARGET_INFORMATION, [0.005, 0.01, 0.015, 0.03]),
            (FEATURE_STD, [0.005, 0.01, 0.015, 0.03]),
            (LOSS_OVER_LN_K, [1.0, 1.0, 0.999, 0.98]),
        ] {
            let mut judge = Judge::new(10);
            for value in values {
                let step = scalars(with(&[(name, value)]));
                assert!(
                    (0..50).all(|_| judge.see(&step).is_none()),
                    "{name} {value}"
                );
            }
        }
    }

    #[test]
    fn a_method_without_targets_is_judged_by_its_features_and_loss() {
        let targets = [
            TARGET_INFORMATION,
            TARGET_ENTROPY,
            KL_TO_UNIFORM,
            PROTOTYPES_USED,
        ];
        let none = targets.map(|name| (name, f64::NAN));
        assert_eq!(judged(with(&none), with(&none)), None);
        let guess = with(&[&none[..], &[(LOSS_OVER_LN_K, 1.001)]].concat());
        assert_eq!(judged(guess, guess), Some(Collapse::AtChance));
    }
}
