//! Which backbone weights are of, told from names and shapes. It looks at as few as tell the known ones apart; whether all the others fit
//! is seen when they are copied.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::model::backbone::{Arch, BackboneConfig};

/// The backbone that `backbone.*` are weights of.
pub(super) fn of(tensors: &BTreeMap<String, Tensor>) -> Option<BackboneConfig> {
    let has = |name: &str| tensors.contains_key(&format!("backbone.{name}"));
    let size = |name: &str, dim: usize| {
        let tensor = tensors.get(&format!("backbone.{name}"))?;
        tensor.size().get(dim).copied()
    };
    let arch = if has("features.0.0.weight") {
        Arch::MobilenetV2
    } else if has("layer1.0.conv3.weight") {
        Arch::Resnet50
    } else if has("layer1.2.conv1.weight") {
        Arch::Resnet34
    } else if has("layer1.0.conv1.weight") {
        Arch::Resnet18
    } else {
        match size("cls_token", 2)? {
            192 => Arch::VitTiny,
            384 => Arch::VitSmall,
            768 => Arch::VitBase,
            _ => return None,
        }
    };
    Some(BackboneConfig {
        arch,
        patch_size: size("patch_embed.proj.weight", 2).unwrap_or(16),
        drop_path: 0.0,
    })
}
