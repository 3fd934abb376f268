//! What settings do to a run, through the program.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::program::metrics;
use crate::replay_files::Files;

#[test]
fn a_multistep_rate_warms_up_and_falls_to_a_tenth_at_its_epochs() {
    let files = Files::new();
    let more = [
        "TRAIN.STEPS_PER_EPOCH",
        "2",
        "SOLVER.TOTAL_EPOCHS",
        "4",
        "SOLVER.SCHEDULER",
        "multistep",
        "SOLVER.MILESTONES",
        "[2, 3]",
        "SOLVER.WARMUP_EPOCHS",
        "1",
        "SOLVER.START_WARMUP",
        "0.004",
        // For 256 images: .01 for 8.
        "SOLVER.BASE_LR",
        "0.32",
    ];
    files.trained("run", &more);
    let lines = metrics(&files.out("run"));
    let found = lines.iter().map(|line| line["lr"].as_f64().unwrap());
    let wanted = [0.004, 0.01, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001];
    assert_eq!(lines.len(), wanted.len());
    for (found, wanted) in found.zip(wanted) {
        assert!((found / wanted - 1.0).abs() < 1e-12, "{found} {wanted}");
    }
}

#[test]
fn the_names_of_weights_are_lines_or_json_and_those_of_the_settings() {
    let files = Files::new();
    let names = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.args(["names", "--cfg"]).arg(&files.cfg).args(more);
        let done = command.output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    };
    let lines = names(&["TRAIN.NUM_CLASSES", "7"]);
    for line in [
        "backbone.features.0.0.weight [32, 3, 3, 3]",
        "backbone.features.0.1.running_mean [32]",
        "head.mlp.0.weight [16, 1280]",
        // Layers are counted as PyTorch does, batch norms and activations too.
        "head.mlp.3.weight [16, 16]",
        "head.mlp.6.weight [8, 16]",
        "head.last_layer.weight_v [32, 8]",
        "classifier.weight [7, 1280]",
    ] {
        assert!(lines.lines().any(|found| found == line), "{line}:\n{lines}");
    }
    let swav = [
        "--json",
        "SSL_METHOD",
        "SWAV",
        "MODEL.BACKBONE_ARCH",
        "resnet18",
    ];
    let shapes: Value = serde_json::from_str(&names(&swav)).unwrap();
    let shape = |name: &str| shapes[name].to_string();
    assert_eq!(shape("backbone.layer4.1.conv2.weight"), "[512,512,3,3]");
    assert_eq!(shape("head.projection.0.weight"), "[16,512]");
    assert_eq!(shape("head.prototypes.weight"), "[32,8]");
    let moco: Value = serde_json::from_str(&names(&["--json", "SSL_METHOD", "MOCO"])).unwrap();
    assert_eq!(moco["queue"].to_string(), "[8,16]");
}

#[test]
fn the_last_checkpoints_and_those_of_every_period_stay() {
    let files = Files::new();
    let more = [
        "TRAIN.STEPS_PER_EPOCH",
        "1",
        "SOLVER.TOTAL_EPOCHS",
        "7",
        "TRAIN.CHECKPOINTS_KEPT",
        "1",
        "TRAIN.CHECKPOINT_PERIOD",
        "3",
    ];
    files.trained("run", &more);
    let left = fs::read_dir(files.out("run/checkpoints")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = left.collect();
    left.sort();
    let wanted = ["latest", "step-00000003", "step-00000006", "step-00000007"];
    assert_eq!(left, wanted);
}
