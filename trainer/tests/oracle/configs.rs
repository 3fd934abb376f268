//! Every configuration in `configs/` is sound, and the recipes hold the paper's values.

use std::fs;
use std::path::PathBuf;

use trainer::config::{RawConfig, Resolved, Settings, resolve};
use trainer::method::MethodConfig;

use crate::oracle::root;

fn files() -> Vec<PathBuf> {
    let configs = root().join("configs");
    let mut files = Vec::new();
    let folders = ["", "dino", "swav", "moco", "linear", "semi"].map(|name| configs.join(name));
    for folder in folders {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let yaml = entries.flatten().map(|entry| entry.path()).filter(|path| {
            path.extension().is_some_and(|ext| ext == "yaml") && !path.ends_with("loader.yaml")
        });
        files.extend(yaml);
    }
    files
}

fn load(path: &str) -> (RawConfig, Resolved) {
    let text = fs::read_to_string(root().join("configs").join(path)).unwrap();
    let raw = RawConfig::parse(path, &text, &[]).unwrap();
    let resolved = resolve(&raw).unwrap();
    (raw, resolved)
}

fn runnable(path: &str) -> Settings {
    match load(path).1 {
        Resolved::Runnable(settings) => *settings,
        Resolved::Unavailable(what) => panic!("{path} is not runnable: {what:?}"),
    }
}

#[test]
fn every_configuration_is_sound_and_sets_no_key_in_vain() {
    let files = files();
    assert!(files.len() >= 9, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.display().to_string();
        let raw = RawConfig::parse(&shown, &text, &[]).unwrap_or_else(|e| panic!("{e}"));
        resolve(&raw).unwrap_or_else(|e| panic!("{shown}: {e}"));
        assert_eq!(raw.notes(), [""; 0], "{shown}");
    }
}

#[test]
fn all_eight_recipes_are_runnable() {
    for recipe in ["baseline", "sslight"] {
        for method in [
            "dino/dino_cnn",
            "dino/dino_vit",
            "swav/swav_cnn",
            "moco/moco_cnn",
        ] {
            runnable(&format!("{method}_{recipe}.yaml"));
        }
    }
}

#[test]
fn the_sslight_recipe_has_the_papers_values() {
    let settings = runnable("dino/dino_cnn_sslight.yaml");
    let MethodConfig::Dino(dino) = &settings.method else {
        panic!("{:?}", settings.method)
    };
    assert_eq!(dino.loss.weights, [0.4, 0.6]);
    assert_eq!((dino.loss.num_global, dino.loss.num_local), (2, 6));
    let sizes: Vec<u32> = settings.views.views.iter().map(|view| view.size).collect();
    assert_eq!(sizes, [224, 224, 128, 128, 128, 128, 128, 128]);
    let solver = &settings.schedules.solver;
    assert_eq!(
        (solver.base_lr, solver.min_lr),
        (0.48 * 128.0 / 256.0, 0.0048)
    );
    assert_eq!(settings.schedules.teacher_temp.warmup_epochs, 50);
    assert_eq!(dino.freeze_last_layer_epochs, 1);
    assert!(dino.head.mlp.use_batch_norm && dino.head.fix_last_norm);
    let baseline = runnable("dino/dino_cnn_baseline.yaml");
    assert_eq!(baseline.views.views[7].size, 96);
    let MethodConfig::Dino(dino) = &baseline.method else {
        panic!("{:?}", baseline.method)
    };
    assert_eq!(dino.loss.weights, [0.142857, 0.857143]);
}
