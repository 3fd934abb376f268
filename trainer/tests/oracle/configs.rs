//! Every configuration in `configs/` is sound, and the recipes hold the paper's values.

use std::fs;
use std::path::PathBuf;

use trainer::config::{RawConfig, Resolved, Settings, resolve};
use trainer::method::MethodConfig;
use trainer::method::classifier::Learns;
use trainer::optim::OptimizerKind;

use crate::oracle::root;

fn files() -> Vec<PathBuf> {
    let configs = root().join("configs");
    let mut files = Vec::new();
    let folders =
        ["", "dino", "swav", "moco", "linear", "semi", "imagenette"].map(|name| configs.join(name));
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
        let notes = raw.notes().into_iter();
        let in_vain: Vec<String> = notes.filter(|note| note.contains("no effect")).collect();
        assert_eq!(in_vain, [""; 0], "{shown}");
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

/// Every key of the reference's second tree of settings, as its semi-supervised recipe for transformers would set them.
const EVALUATION: &str = "\
TRAIN: {DATASET: imagenet1k, SUBSET_FILE_PATH: ./data/list.txt, BATCH_SIZE: 128, FILE_NAME: train.h5, NUM_CLASSES: 1000,
  CHECKPOINT_PERIOD: 10, CHECKPOINT_FILE_PATH: ''}
VAL: {DATASET: imagenet1k, BATCH_SIZE: 128, FILE_NAME: val.h5, SUBSET_FILE_PATH: ''}
DATA: {MEAN: [0.485, 0.456, 0.406], STD: [0.229, 0.224, 0.225], PATH_TO_DATA_DIR: ./datasets/imagenet1k/}
MODEL: {BACKBONE_ARCH: vit_tiny, BACKBONE_WIDTH_MULT: 1.0, BACKBONE_GROUP_FACTOR: 1, PRE_TRAINED_SUP: False, PRE_TRAINED_PATH: ''}
VIT: {PATCH_SIZE: 16, NUM_LAST_BLOCKS: 1}
SOLVER: {OPTIMIZING_METHOD: SGD, NESTEROV: True, LR_FACTOR: 1.0, WEIGHT_DECAY: 0.0, WEIGHT_DECAY_END: 0.0, TOTAL_EPOCHS: 60,
  WARMUP_EPOCHS: 0, START_WARMUP: 0.0, BASE_LR: 0.03, MIN_LR: 1.0e-6, MOMENTUM: 0.9, CLIP_GRAD: 0.0, SCHEDULER: cos, MILESTONES: [36, 48]}
LOG_STEP: 10
SSL_METHOD: DINO
EVAL_METHOD: Semi
STAGE: TRAIN
DISTRIBUTED: True
SEED: 0
DIST_BACKEND: 'nccl'
N_NODES: 1
WORLD_SIZE: 1
NODE_RANK: 0
DIST_URL: 'env://'
WORKERS: 8
NUM_GPUS_PER_NODE: 8
TENSORBOARD_PATH: /tensorboard
OUTPUT_DIR: ./logs/semi
";

#[test]
fn an_evaluation_file_of_the_reference_loads_unchanged() {
    let raw = RawConfig::parse("semi.yaml", EVALUATION, &[]).unwrap();
    let idle = "SOLVER.MILESTONES has no effect: SOLVER.SCHEDULER is cos";
    assert_eq!(raw.notes(), [idle]);
    let Resolved::Runnable(settings) = resolve(&raw).unwrap() else {
        panic!("it asks for nothing that is lacking");
    };
    assert!(settings.method.is_classifier() && !settings.drop_last);
    assert_eq!(settings.train_subset, Some("./data/list.txt".into()));
    assert_eq!(settings.schedules.solver.base_lr, 0.03 * 128.0 / 256.0);
    let text = EVALUATION.replace("PRE_TRAINED_SUP: False", "PRE_TRAINED_SUP: True");
    let raw = RawConfig::parse("semi.yaml", &text, &[]).unwrap();
    let resolved = resolve(&raw).unwrap();
    assert!(matches!(resolved, Resolved::Unavailable(_)), "{resolved:?}");
}

#[test]
fn the_evaluations_have_the_references_values() {
    let linear = runnable("linear/cnn.yaml");
    let MethodConfig::Classifier(classifier) = &linear.method else {
        panic!("{:?}", linear.method)
    };
    assert_eq!(classifier.optimizer.kind, OptimizerKind::Lars);
    assert_eq!(linear.schedules.solver.base_lr, 0.05 * 512.0 / 256.0);
    assert_eq!(linear.schedules.total_epochs, 100);
    let vit = runnable("linear/vit.yaml");
    let MethodConfig::Classifier(classifier) = &vit.method else {
        panic!("{:?}", vit.method)
    };
    assert_eq!(classifier.learns, Learns::Linear { num_last_blocks: 4 });
    assert_eq!(vit.schedules.solver.base_lr, 0.01 * 128.0 / 256.0);
    for (recipe, epochs) in [("semi/1percent.yaml", 60), ("semi/10percent.yaml", 30)] {
        let semi = runnable(recipe);
        let MethodConfig::Classifier(classifier) = &semi.method else {
            panic!("{:?}", semi.method)
        };
        assert!(classifier.optimizer.nesterov && classifier.lr_factor == 1.0);
        assert_eq!(semi.schedules.total_epochs, epochs);
        assert_eq!(semi.schedules.solver.base_lr, 0.03 * 128.0 / 256.0);
    }
}
