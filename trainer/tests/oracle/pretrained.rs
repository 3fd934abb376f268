//! Files that PyTorch wrote, as the reference, DINO, SwAV and MoCo save them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use tch::Tensor;
use trainer::machine::Machine;
use trainer::model::backbone::{Arch, Backbone};
use trainer::model::parameters::Parameters;
use trainer::pretrained::{self, Pretrained, names::Which};

use crate::oracle::{alone_with_the_generator, run_script};

const FILES: [(&str, Arch); 8] = [
    ("reference_dino", Arch::Resnet18),
    ("reference_swav", Arch::MobilenetV2),
    ("reference_moco", Arch::Resnet18),
    ("dino", Arch::VitTiny),
    ("dino_backbone", Arch::VitTiny),
    ("swav", Arch::Resnet50),
    ("moco_legacy", Arch::Resnet18),
    ("odd", Arch::Resnet18),
];

fn load(dir: &Path, name: &str) -> Result<Pretrained, String> {
    let found = pretrained::load(&dir.join(format!("{name}.pth")), Which::Student);
    found.map_err(|error| error.to_string())
}

fn check(dir: &Path, name: &str, arch: Arch) -> Pretrained {
    let wanted = Tensor::read_npz(dir.join(format!("{name}.npz"))).unwrap();
    let wanted: HashMap<String, Tensor> = wanted.into_iter().collect();
    let found = load(dir, name).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        found.tensors.len(),
        wanted.len(),
        "{name}: {:?}",
        found.notes
    );
    for (tensor, value) in &found.tensors {
        let wanted = wanted.get(tensor);
        let wanted = wanted.unwrap_or_else(|| panic!("{name}: {tensor} is not expected"));
        assert!(value == wanted, "{name}: {tensor} has other values");
    }
    let config = found.backbone().unwrap();
    assert_eq!(config.arch, arch, "{name}");
    let mut parameters = Parameters::new();
    let machine = Machine::cpu();
    let mut root = parameters.scope(&machine);
    Backbone::new(&config, &mut root.child("backbone"));
    found
        .copy_backbone(&parameters)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    found
}

#[test]
fn files_of_the_reference_dino_swav_and_moco_are_read_to_the_bit() {
    let _alone = alone_with_the_generator();
    let dir = tempfile::tempdir().unwrap();
    let names = FILES.map(|(name, _)| name);
    run_script(
        "checkpoints",
        dir.path(),
        &[&names[..], &["malicious"]].concat(),
    );
    let found: HashMap<&str, Pretrained> = FILES
        .into_iter()
        .map(|(name, arch)| (name, check(dir.path(), name, arch)))
        .collect();
    let notes = |name: &str| found[name].notes.join("\n");
    let dino = notes("reference_dino");
    for told in [
        "left out config: an object of yacs.config.CfgNode, which is not built here",
        "left out classifier.* (2 tensors): a classifier",
        "left out loss.*: the centre of DINO's loss",
        "left out optimizer.* (2 tensors): what an optimiser keeps",
        "left out teacher.* (",
        "left out *.num_batches_tracked (",
    ] {
        assert!(dino.contains(told), "{told}:\n{dino}");
    }
    assert!(notes("dino").contains("left out args: an object of argparse.Namespace"));
    assert!(notes("moco_legacy").contains("left out queue: a queue of earlier images"));
    let called = &found["reference_dino"].called["backbone.layer1.0.conv1.weight"];
    assert_eq!(
        called,
        "state_dict.module.student.backbone.encoder.4.0.conv1.weight"
    );
    check_damage(dir.path());
}

/// Nothing that a file says is believed, and nothing that it asks for is done.
fn check_damage(dir: &Path) {
    let error = load(dir, "malicious").unwrap_err();
    assert!(error.contains("asks Python to run posix.system"), "{error}");
    assert!(!dir.join("was-run").exists());
    for (name, every) in [("dino_backbone", 400_009), ("moco_legacy", 1_500_007)] {
        let bytes = fs::read(dir.join(format!("{name}.pth"))).unwrap();
        for len in (0..bytes.len()).step_by(every) {
            fs::write(dir.join("cut.pth"), &bytes[..len]).unwrap();
            let error = load(dir, "cut").unwrap_err();
            assert!(error.contains("cut.pth; give a checkpoint"), "{error}");
        }
    }
    let mut bytes = fs::read(dir.join("dino_backbone.pth")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(dir.join("flipped.pth"), bytes).unwrap();
    let error = load(dir, "flipped").unwrap_err();
    assert!(error.contains("Invalid checksum"), "{error}");
}
