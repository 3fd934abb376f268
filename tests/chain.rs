//! From images to a trained network.

use crate::harness::{losses, metrics, packed, run, text, tiny_trainer};

#[test]
fn the_same_seed_gives_the_same_losses_and_another_seed_others() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let losses_of = |name: &str, seed: &str| {
        let out = dir.path().join(name);
        let more = ["TRAIN.MAX_STEPS", "4", "SEED", seed];
        let done = run("trainer", &tiny_trainer(&shards, &out, &more));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        losses(&out)
    };
    let first = losses_of("a", "1");
    assert_eq!(first.len(), 4);
    assert_eq!(losses_of("b", "1"), first);
    assert_ne!(losses_of("c", "2"), first);
}

/// A few epochs of the demo: kNN of the random backbone is near chance (10 %), for these images differ in everything but what
/// makes a class; training must find that.
#[test]
fn training_beats_the_random_backbone_by_a_margin() {
    const MARGIN: f64 = 8.0;
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 10, 100, 96);
    let out = dir.path().join("run");
    let args = [
        "--cfg",
        "configs/demo.yaml",
        "DATA.PATH_TO_DATA_DIR",
        text(&shards),
        "OUTPUT_DIR",
        text(&out),
        "SOLVER.TOTAL_EPOCHS",
        "8",
        "VAL.PERIOD",
        "8",
    ];
    let done = run("trainer", &args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let lines = metrics(&out);
    let knn: Vec<f64> = lines
        .iter()
        .filter_map(|line| line["knn_top1"].as_f64())
        .collect();
    println!("kNN top-1 before and after: {knn:?}");
    assert_eq!(knn.len(), 2);
    assert!(knn[1] > knn[0] + MARGIN, "{knn:?}");
    let is_warned = done.stderr.contains("collapse");
    assert!(!is_warned, "a healthy run: {}", done.stderr);
}

#[test]
fn a_run_leaves_metrics_recipe_curves_and_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let out = dir.path().join("run");
    let more = [
        "SOLVER.TOTAL_EPOCHS",
        "2",
        "SOLVER.WARMUP_EPOCHS",
        "0",
        "VAL.PERIOD",
        "1",
    ];
    let done = run("trainer", &tiny_trainer(&shards, &out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let lines = metrics(&out);
    let steps: Vec<_> = lines
        .iter()
        .filter(|line| line.get("loss").is_some())
        .collect();
    assert_eq!(steps.len(), 8, "two epochs of 32 images in batches of 8");
    for key in [
        "step",
        "epoch",
        "loss",
        "lr",
        "images_per_s",
        "data_wait_ms",
    ] {
        assert!(steps.iter().all(|line| line[key].is_number()), "{key}");
    }
    let validations: Vec<_> = lines
        .iter()
        .filter(|line| line.get("knn_top1").is_some())
        .collect();
    assert_eq!(
        validations.len(),
        3,
        "before the first epoch and after each"
    );
    for key in ["epoch", "knn_top1", "knn_top5", "probe_top1"] {
        assert!(
            validations.iter().all(|line| line[key].is_number()),
            "{key}"
        );
    }
    assert!(
        std::fs::read(out.join("curves.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    assert!(out.join("recipe.json").exists());
    let last = out.join("checkpoints/step-00000008");
    assert!(
        last.is_dir(),
        "{} holds the state after the last step",
        last.display()
    );
}
