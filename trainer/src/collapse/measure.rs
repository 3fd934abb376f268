//! Signs of collapse in one step. The numbers stay on the device; nothing is waited for.
//!
//! Shapes: `b` images, `d` features, `n` targets, `k` prototypes. A rank measures its own part of the batch.

use tch::{Kind, Tensor, no_grad};

use crate::loss::parts::{Choices, LossParts};
use crate::model::layers::normalize;

/// Standard deviation of features of length 1 over the batch, mean over features, times `sqrt(d)`: about 1 where they point everywhere, 0
/// where all are the same.
pub const FEATURE_STD: &str = "feature_std";
/// Number of directions in which features of length 1 vary: participation ratio of their covariance, at most `b - 1`.
pub const EFFECTIVE_RANK: &str = "effective_rank";
/// `loss_global` over that of a uniform prediction, `ln k` (for MoCo, `k` is the queue and the key).
pub const LOSS_OVER_LN_K: &str = "loss_over_ln_k";
/// Entropy of a target (DINO's teacher, SwAV's codes) in nats, mean over targets: `ln k` where they are uniform, 0 where each is one prototype.
pub const TARGET_ENTROPY: &str = "target_entropy";
/// Divergence of the batch's mean target from the uniform distribution, in nats: 0 where all prototypes are used alike, `ln k` where one is.
pub const KL_TO_UNIFORM: &str = "kl_to_uniform";
/// What a target says about its image, in nats: entropy of the mean target less the mean entropy. 0 where all targets are the same.
pub const TARGET_INFORMATION: &str = "target_information";
/// Prototypes that are the largest of at least one target of the batch; at most `n`.
pub const PROTOTYPES_USED: &str = "prototypes_used";

/// Everything that this step's loss and the features `[b, d]` of one view tell.
pub fn signs(losses: &LossParts, features_bd: &Tensor) -> Vec<(&'static str, Tensor)> {
    no_grad(|| {
        let ln_k = (losses.choices.count() as f64).ln();
        let mut signs = Vec::from(of_features(&features_bd.detach()));
        signs.push((LOSS_OVER_LN_K, losses.global.detach() / ln_k));
        if let Choices::Targets(targets_nk) = &losses.choices {
            signs.extend(of_targets(targets_nk));
        }
        signs
    })
}

fn of_features(features_bd: &Tensor) -> [(&'static str, Tensor); 2] {
    let unit_bd = normalize(&features_bd.to_kind(Kind::Float));
    let centred_bd = &unit_bd - unit_bd.mean_dim([0].as_slice(), true, None::<Kind>);
    let width = centred_bd.size()[1] as f64;
    let variance_d = centred_bd
        .square()
        .mean_dim([0].as_slice(), false, None::<Kind>);
    let spread = variance_d.sqrt().mean(None::<Kind>) * width.sqrt();
    // The covariance's eigenvalues are those of the smaller matrix of products: their sum squared over the sum of their squares.
    let sum = centred_bd.square().sum(None::<Kind>);
    let squares = centred_bd.mm(&centred_bd.tr()).square().sum(None::<Kind>);
    let rank = sum.square() / squares.clamp_min(f64::from(f32::MIN_POSITIVE));
    [(FEATURE_STD, spread), (EFFECTIVE_RANK, rank)]
}

fn of_targets(targets_nk: &Tensor) -> [(&'static str, Tensor); 4] {
    let targets_nk = targets_nk.to_kind(Kind::Float);
    let (n, k) = targets_nk.size2().expect("targets are a matrix");
    let entropy_of = |p: &Tensor| p.special_entr().sum(None::<Kind>);
    let entropy = entropy_of(&targets_nk) / n;
    let of_mean = entropy_of(&targets_nk.mean_dim([0].as_slice(), false, None::<Kind>));
    let largest_n = targets_nk.argmax(-1, false);
    let is_used_k = Tensor::zeros([k], (Kind::Float, targets_nk.device()));
    let is_used_k = is_used_k.index_fill(0, &largest_n, 1.0);
    [
        (KL_TO_UNIFORM, (k as f64).ln() - &of_mean),
        (TARGET_INFORMATION, &of_mean - &entropy),
        (TARGET_ENTROPY, entropy),
        (PROTOTYPES_USED, is_used_k.sum(None::<Kind>)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<const N: usize>(signs: &[(&'static str, Tensor); N], name: &str) -> f64 {
        let (_, value) = signs.iter().find(|(known, _)| *known == name).unwrap();
        value.double_value(&[])
    }

    #[test]
    fn features_along_every_axis_have_full_spread_and_rank_and_equal_ones_none() {
        let both_ways = Tensor::cat(
            &[
                Tensor::eye(8, (Kind::Float, tch::Device::Cpu)),
                -Tensor::eye(8, (Kind::Float, tch::Device::Cpu)),
            ],
            0,
        );
        let found = of_features(&(both_ways * 3.0));
        assert!((value(&found, FEATURE_STD) - 1.0).abs() < 1e-6);
        assert!((value(&found, EFFECTIVE_RANK) - 8.0).abs() < 1e-4);
        let same = Tensor::ones([16, 8], (Kind::Float, tch::Device::Cpu));
        for features in [&same, &(same.zeros_like())] {
            let found = of_features(features);
            assert!(value(&found, FEATURE_STD) < 1e-6);
            assert!(value(&found, EFFECTIVE_RANK).is_finite());
        }
    }

    #[test]
    fn targets_tell_their_sharpness_from_their_spread_over_prototypes() {
        let ln_4 = 4f64.ln();
        let each_its_own = Tensor::eye(4, (Kind::Float, tch::Device::Cpu));
        let one_for_all = each_its_own.narrow(0, 0, 1).expand([4, 4], true);
        let uniform = Tensor::full([4, 4], 0.25, (Kind::Float, tch::Device::Cpu));
        for (targets, wanted) in [
            (each_its_own.shallow_clone(), [0.0, 0.0, ln_4, 4.0]),
            (one_for_all, [0.0, ln_4, 0.0, 1.0]),
            (uniform, [ln_4, 0.0, 0.0, 1.0]),
        ] {
            let found = of_targets(&targets);
            let names = [
                TARGET_ENTROPY,
                KL_TO_UNIFORM,
                TARGET_INFORMATION,
                PROTOTYPES_USED,
            ];
            for (name, wanted) in names.into_iter().zip(wanted) {
                assert!((value(&found, name) - wanted).abs() < 1e-6, "{name}");
            }
        }
    }
}
