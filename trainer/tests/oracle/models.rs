//! Backbones against torchvision and timm, the head against its description.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor, no_grad};
use trainer::machine::Machine;
use trainer::model::backbone::{Arch, Backbone, BackboneConfig};
use trainer::model::head::dino::{DinoHead, HeadConfig};
use trainer::model::init::channels_last;
use trainer::model::layers::drop_path;
use trainer::model::mlp::MlpConfig;
use trainer::model::parameters::Parameters;

use crate::oracle::{Oracle, alone_with_the_generator, assert_close, difference};

/// Both sides compute in double precision, so that a difference is a mistake and not rounding.
const TOLERANCE: f64 = 1e-9;
/// In single precision only the sums' order differs; batch statistics of few pixels amplify it.
const SINGLE: f64 = 2e-4;

fn set(parameters: &Parameters, values: &HashMap<String, Tensor>) {
    assert_eq!(parameters.entries().len(), values.len(), "the same names");
    no_grad(|| {
        for entry in parameters.entries() {
            let value = values.get(&entry.name);
            let value = value.unwrap_or_else(|| panic!("no value for {}", entry.name));
            entry.tensor.shallow_clone().copy_(value);
        }
    });
}

/// Gradients of `sum(out * coefficients)` by name.
fn gradients(
    parameters: &Parameters,
    out: &Tensor,
    coefficients: &Tensor,
) -> Vec<(String, Tensor)> {
    let tensors: Vec<&Tensor> = parameters.trainable().map(|entry| &entry.tensor).collect();
    let total = (out * coefficients).sum(Kind::Double);
    let found = Tensor::run_backward(&[total], &tensors, false, false);
    let names = parameters.trainable().map(|entry| entry.name.clone());
    names.zip(found).collect()
}

fn backbone(arch: Arch, drop_path: f64) -> (Backbone, Parameters) {
    let config = BackboneConfig {
        arch,
        patch_size: 16,
        drop_path,
    };
    let mut parameters = Parameters::new();
    let backbone = Backbone::new(&config, &mut parameters.scope(&Machine::cpu()));
    (backbone, parameters)
}

fn check_backbone(oracle: &Oracle, name: &str, arch: Arch) {
    let (backbone, mut parameters) = backbone(arch, 0.0);
    set(&parameters, &oracle.below(&format!("{name}/state/")));
    let images = channels_last(oracle.get("images"));
    for (mode, train) in [("eval", false), ("train", true)] {
        let features = no_grad(|| backbone.forward(&images.to_kind(Kind::Float), train));
        let wanted = oracle.get(&format!("{name}/{mode}/features"));
        let what = format!("{name}, {mode}, single precision");
        assert_close(&what, &features, wanted, SINGLE);
    }
    set(&parameters, &oracle.below(&format!("{name}/state/")));
    parameters.convert(Kind::Double);
    let coefficients = oracle.get(&format!("coefficients/{name}"));
    let mut worst = 0f64;
    for (mode, train) in [("eval", false), ("train", true)] {
        let features = backbone.forward(&images, train);
        let wanted = oracle.get(&format!("{name}/{mode}/features"));
        assert_close(&format!("{name} {mode}"), &features, wanted, TOLERANCE);
        let wanted = oracle.below(&format!("{name}/{mode}/grad/"));
        let largest = wanted
            .values()
            .map(|tensor| tensor.abs().max().double_value(&[]));
        let floor = 1e-4 * largest.fold(0.0, f64::max);
        for (parameter, gradient) in gradients(&parameters, &features, coefficients) {
            if let Some(wanted) = wanted.get(&parameter) {
                let off = difference(&gradient, wanted, floor);
                assert!(
                    off <= TOLERANCE,
                    "{name}, {mode}, gradient of {parameter}: {off:.1e}"
                );
                worst = worst.max(off);
            }
        }
    }
    for (buffer, wanted) in oracle.below(&format!("{name}/buffers_after/")) {
        assert_close(
            &buffer,
            parameters.get(&buffer).unwrap(),
            &wanted,
            TOLERANCE,
        );
    }
    println!("{name}: largest difference of a gradient {worst:.1e}");
}

#[test]
fn backbones_agree_with_torchvision_and_timm_in_both_modes_with_gradients_and_statistics() {
    let _alone = alone_with_the_generator();
    let oracle = Oracle::run("train_models");
    check_backbone(&oracle, "mobilenet_v2", Arch::MobilenetV2);
    check_backbone(&oracle, "resnet18", Arch::Resnet18);
    check_backbone(&oracle, "resnet34", Arch::Resnet34);
    check_backbone(&oracle, "resnet50", Arch::Resnet50);
    check_backbone(&oracle, "vit_tiny", Arch::VitTiny);
    check_sizes_of_images(&oracle);
    check_head(&oracle, "cnn", true, true);
    check_head(&oracle, "vit", false, false);
}

fn check_sizes_of_images(oracle: &Oracle) {
    let (vit, mut parameters) = backbone(Arch::VitTiny, 0.0);
    set(&parameters, &oracle.below("vit_tiny/state/"));
    parameters.convert(Kind::Double);
    for height in ["96", "224"] {
        let key = |what: &str| format!("vit_tiny/{height}/{what}");
        let features = vit.forward(oracle.get(&key("images")), false);
        assert_close(height, &features, oracle.get(&key("features")), TOLERANCE);
    }
}

#[test]
fn widths_of_transformers_are_those_of_the_paper() {
    let _alone = alone_with_the_generator();
    for (arch, width, num_million) in [
        (Arch::VitTiny, 192, 5),
        (Arch::VitSmall, 384, 21),
        (Arch::VitBase, 768, 85),
    ] {
        let (vit, parameters) = backbone(arch, 0.1);
        assert_eq!(vit.width(), width);
        assert_eq!(parameters.num_trainable() / 1_000_000, num_million);
    }
}

#[test]
fn drop_path_keeps_the_mean_in_training_and_is_off_in_evaluation() {
    let _alone = alone_with_the_generator();
    let rows = Tensor::ones([20_000, 2, 3], (Kind::Double, Device::Cpu));
    let dropped = drop_path(rows.shallow_clone(), 0.3);
    let per_row = dropped.view([20_000, 6]);
    let is_whole = per_row.eq_tensor(&per_row.narrow(1, 0, 1)).all();
    assert_eq!(is_whole.int64_value(&[]), 1, "a row is dropped as a whole");
    let mean = dropped.mean(Kind::Double).double_value(&[]);
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
    let (vit, _) = backbone(Arch::VitTiny, 0.5);
    let images = Tensor::randn([8, 3, 32, 32], (Kind::Float, Device::Cpu));
    let twice = |train: bool| no_grad(|| [0; 2].map(|_| vit.forward(&images, train)));
    let [one, other] = twice(false);
    assert!(one == other);
    let [one, other] = twice(true);
    assert!(one != other);
}

fn check_head(oracle: &Oracle, variant: &str, use_batch_norm: bool, fix_last_norm: bool) {
    let config = HeadConfig {
        mlp: MlpConfig {
            num_layers: 3,
            hidden_dim: 48,
            out_dim: 24,
            use_batch_norm,
        },
        out_dim: 56,
        fix_last_norm,
    };
    let mut parameters = Parameters::new();
    let head = DinoHead::new(40, &config, &mut parameters.scope(&Machine::cpu()));
    let mut values = oracle.below(&format!("head/{variant}/state/"));
    for entry in parameters.entries() {
        // Running statistics play no part in training mode; the script does not list them.
        let value = || entry.tensor.copy();
        values.entry(entry.name.clone()).or_insert_with(value);
    }
    parameters.convert(Kind::Double);
    set(&parameters, &values);
    let logits = head.forward(oracle.get("head/features"), true);
    let wanted = oracle.get(&format!("head/{variant}/logits"));
    assert_close(&format!("head {variant}"), &logits, wanted, TOLERANCE);
    let coefficients = oracle.get("head/coefficients");
    let found = gradients(&parameters, &logits, coefficients);
    let wanted = oracle.below(&format!("head/{variant}/grad/"));
    assert_eq!(found.len(), wanted.len(), "the same parameters learn");
    for (name, gradient) in found {
        // The bias before a batch normalisation has no effect: its gradient is rounding alone.
        let is_void = use_batch_norm && (name == "mlp.0.bias" || name == "mlp.3.bias");
        if !is_void {
            assert_close(
                &format!("head {variant} {name}"),
                &gradient,
                &wanted[&name],
                1e-4,
            );
        }
    }
}
