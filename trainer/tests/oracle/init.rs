//! First values of weights: their distribution is PyTorch's.

use tch::{Device, Kind, Tensor};
use trainer::model::init::{kaiming_normal_fan_out, truncated_normal, uniform_fan_in};

use crate::oracle::alone_with_the_generator;

fn mean_and_std(values: &Tensor) -> (f64, f64) {
    let values = values.to_kind(Kind::Double);
    let mean = values.mean(Kind::Double).double_value(&[]);
    (mean, values.std(true).double_value(&[]))
}

#[test]
fn the_truncated_normal_has_its_moments_and_its_edges() {
    let _alone = alone_with_the_generator();
    let narrow = truncated_normal(&[1000, 400], 0.02, Device::Cpu);
    let (mean, std) = mean_and_std(&narrow);
    assert!(
        mean.abs() < 2e-4 && (std - 0.02).abs() < 2e-4,
        "{mean} {std}"
    );
    // A standard normal cut at -2 and 2 has variance 1 - 4 pdf(2) / (cdf(2) - cdf(-2)), that is a deviation of .8796.
    let wide = truncated_normal(&[1000, 400], 1.0, Device::Cpu);
    let (mean, std) = mean_and_std(&wide);
    assert!(
        mean.abs() < 6e-3 && (std - 0.87962).abs() < 4e-3,
        "{mean} {std}"
    );
    let largest = wide.abs().max().double_value(&[]);
    assert!((1.99..=2.0).contains(&largest), "{largest}");
    let inside = wide.abs().lt(1.0).to_kind(Kind::Float).mean(Kind::Float);
    assert!((inside.double_value(&[]) - 0.71523).abs() < 4e-3);
}

#[test]
fn convolutions_start_with_the_fan_out_of_all_channels_and_lie_channels_last() {
    let _alone = alone_with_the_generator();
    let weight = kaiming_normal_fan_out([256, 64, 3, 3], Device::Cpu);
    let (mean, std) = mean_and_std(&weight);
    let wanted = (2.0f64 / (256.0 * 9.0)).sqrt();
    assert!(
        mean.abs() < wanted * 0.02 && (std / wanted - 1.0).abs() < 0.02,
        "{mean} {std}"
    );
    assert_eq!(weight.stride(), [64 * 9, 1, 3 * 64, 64]);
}

#[test]
fn linear_layers_start_uniform_within_the_inverse_root_of_the_fan_in() {
    let _alone = alone_with_the_generator();
    let weight = uniform_fan_in(&[300, 100], 100, Device::Cpu);
    let (mean, std) = mean_and_std(&weight);
    assert!(
        mean.abs() < 2e-3 && (std - 0.1 / 3f64.sqrt()).abs() < 1e-3,
        "{mean} {std}"
    );
    assert!(weight.abs().max().double_value(&[]) <= 0.1);
}
