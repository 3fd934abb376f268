//! Exported backbones in torchvision's and timm's models: loaded strictly, they compute the same features.

use std::path::Path;

use tch::{Tensor, no_grad};
use trainer::machine::Machine;
use trainer::model::backbone::{Arch, Backbone, BackboneConfig};
use trainer::model::parameters::{Parameters, Role};
use trainer::pretrained::{self, layout::Layout, names::Which};

use crate::oracle::{Oracle, alone_with_the_generator, assert_close};

/// Single precision on both sides; sums differ in their order.
const SINGLE: f64 = 2e-4;

fn backbone(arch: Arch) -> (Backbone, Parameters) {
    let config = BackboneConfig {
        arch,
        patch_size: 16,
        drop_path: 0.0,
    };
    let mut parameters = Parameters::new();
    let machine = Machine::cpu();
    let mut root = parameters.scope(&machine);
    let backbone = Backbone::new(&config, &mut root.child("backbone"));
    (backbone, parameters)
}

/// Running statistics that no fresh network has.
fn with_statistics(parameters: &Parameters) {
    let entries = parameters.entries().iter();
    no_grad(|| {
        for entry in entries.filter(|entry| entry.role == Role::Buffer) {
            let values = entry.tensor.rand_like() + 0.5;
            entry.tensor.shallow_clone().copy_(&values);
        }
    });
}

fn export(arch: Arch, dir: &Path) -> Backbone {
    let (backbone, parameters) = backbone(arch);
    with_statistics(&parameters);
    let tensors: Vec<(String, Tensor)> = parameters
        .handles()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.detach().contiguous()))
        .collect();
    let saved = dir.join("saved");
    Tensor::write_safetensors(&tensors, &saved).unwrap();
    let weights = pretrained::load(&saved, Which::Student).unwrap();
    std::fs::remove_file(saved).unwrap();
    assert_eq!(weights.check_backbone(None).unwrap(), arch);
    for layout in [Layout::own(arch), Layout::Detectron2] {
        if layout.knows(arch) {
            let suffix = if layout == Layout::Detectron2 {
                ".detectron2"
            } else {
                ""
            };
            let path = dir.join(format!("{}{suffix}.safetensors", arch.name()));
            weights.write_backbone(layout, &path, false).unwrap();
            let first = std::fs::read(&path).unwrap();
            weights.write_backbone(layout, &path, true).unwrap();
            assert!(
                first == std::fs::read(&path).unwrap(),
                "the same bytes again"
            );
        }
    }
    backbone
}

#[test]
fn every_exported_backbone_loads_strictly_and_computes_the_same_features() {
    let _alone = alone_with_the_generator();
    let dir = tempfile::tempdir().unwrap();
    let backbones = Arch::ALL.map(|arch| (arch, export(arch, dir.path())));
    let oracle = Oracle::run_with("exports", &[&*dir.path().to_string_lossy()]);
    let images = oracle.get("images");
    for (arch, backbone) in backbones {
        let features = no_grad(|| backbone.forward(images, false));
        let wanted = oracle.get(&format!("{}/features", arch.name()));
        assert_close(arch.name(), &features, wanted, SINGLE);
    }
}
