//! The commands of `configs/README.md` are sound, as a reader would type them.

use std::fs;

use serde_json::Value;

use crate::harness::{losses, packed, root, run, text};

const ROWS_OF_THE_TABLE: usize = 14;

/// Every `trainer` command: in a row of a table, or in a block, where a backslash continues a line.
fn commands() -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string(root().join("configs/README.md")).unwrap();
    let in_row = |line: &str| {
        let (_, rest) = line.strip_prefix('|')?.split_once("`trainer ")?;
        Some(rest.split('`').next()?.to_owned())
    };
    let rows = text.lines().filter_map(in_row).collect();
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.map(|block| block.replace("\\\n", " "));
    let lines: Vec<String> = lines
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let in_blocks = lines
        .iter()
        .filter_map(|line| line.strip_prefix("trainer "));
    (rows, in_blocks.map(str::to_owned).collect())
}

fn assert_sound(command: &str) {
    let mut args: Vec<&str> = command.split_whitespace().collect();
    args.push("--check");
    let done = run("trainer", &args);
    assert_eq!(done.code, Some(0), "{command}: {}", done.stderr);
    assert!(
        done.stdout.contains("check: the configuration is sound\n"),
        "{command}: {}",
        done.stdout
    );
    assert!(
        !done.stdout.contains("note: "),
        "{command}: {}",
        done.stdout
    );
}

#[test]
fn every_row_of_the_papers_table_and_every_evaluation_has_a_command_that_checks() {
    let (rows, in_blocks) = commands();
    assert_eq!(rows.len(), ROWS_OF_THE_TABLE);
    let mut distinct = rows.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), rows.len());
    let configured: Vec<&String> = in_blocks
        .iter()
        .filter(|line| line.starts_with("--cfg"))
        .collect();
    assert!(configured.len() >= 5, "{in_blocks:?}");
    rows.iter()
        .chain(configured)
        .for_each(|command| assert_sound(command));
}

/// Views, heads and queues small enough for a step in a second.
const SMALL: [&str; 18] = [
    "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE",
    "64",
    "MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE",
    "32",
    "DINOHead.OUTPUT_DIM",
    "64",
    "DINOHead.HIDDEN_SIZE",
    "64",
    "SWAV.NMB_PROTOTYPES",
    "32",
    "SWAV.QUEUE_LENGTH",
    "8",
    "MOCO.QUEUE_LENGTH",
    "16",
    "TRAIN.BATCH_SIZE",
    "4",
    "DEVICE",
    "cpu",
];

const ARCHS: [&str; 7] = [
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "vit_tiny",
    "vit_small",
    "vit_base",
];

/// The reference's eight recipes, each with a backbone of the paper.
const RECIPES: [(&str, &str); 8] = [
    ("dino/dino_cnn_baseline", "mobilenet_v2"),
    ("dino/dino_cnn_sslight", "resnet18"),
    ("dino/dino_vit_baseline", "vit_tiny"),
    ("dino/dino_vit_sslight", "vit_tiny"),
    ("swav/swav_cnn_baseline", "mobilenet_v2"),
    ("swav/swav_cnn_sslight", "mobilenet_v2"),
    ("moco/moco_cnn_baseline", "mobilenet_v2"),
    ("moco/moco_cnn_sslight", "mobilenet_v2"),
];

#[test]
fn every_recipe_trains() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 8, 64);
    for (recipe, arch) in RECIPES {
        let (cfg, out) = (format!("configs/{recipe}.yaml"), dir.path().join(recipe));
        let run_of = [
            "--cfg",
            &cfg,
            "MODEL.BACKBONE_ARCH",
            arch,
            "DATA.PATH_TO_DATA_DIR",
            text(&shards),
            "OUTPUT_DIR",
            text(&out),
            "TRAIN.MAX_STEPS",
            "2",
            "TRAIN.JOINT_LINEAR_PROBE",
            "True",
            "VAL.PERIOD",
            "0",
        ];
        let done = run("trainer", &[&run_of[..], &SMALL].concat());
        assert_eq!(done.code, Some(0), "{recipe}: {}", done.stderr);
        assert_eq!(losses(&out).len(), 2, "{recipe}");
    }
}

#[test]
fn every_method_steps_on_every_backbone() {
    for method in ["dino", "swav", "moco"] {
        let cfg = format!("configs/{method}/{method}_cnn_sslight.yaml");
        for arch in ARCHS {
            let bench = [
                "bench",
                "--cfg",
                &cfg,
                "--steps",
                "1",
                "--json",
                "MODEL.BACKBONE_ARCH",
                arch,
            ];
            let of_vit = ["SOLVER.OPTIMIZING_METHOD", "AdamW"];
            let of_vit = if arch.starts_with("vit_") {
                &of_vit[..]
            } else {
                &[]
            };
            let done = run("trainer", &[&bench[..], &SMALL, of_vit].concat());
            assert_eq!(done.code, Some(0), "{method}, {arch}: {}", done.stderr);
            let found: Value = serde_json::from_str(&done.stdout).unwrap();
            assert_eq!(found["arch"], arch);
            for time in [
                "s_per_step",
                "images_per_s",
                "forward_s",
                "backward_s",
                "optimiser_s",
                "average_s",
            ] {
                assert!(found[time].is_number(), "{time}: {found}");
            }
        }
    }
}

#[test]
fn every_evaluation_is_sound_for_every_backbone() {
    for recipe in [
        "linear/cnn",
        "linear/vit",
        "semi/1percent",
        "semi/10percent",
    ] {
        for arch in ARCHS {
            let cfg = format!("configs/{recipe}.yaml");
            let args = ["--cfg", &cfg, "--check", "MODEL.BACKBONE_ARCH", arch];
            let done = run("trainer", &args);
            assert_eq!(done.code, Some(0), "{recipe}, {arch}: {}", done.stderr);
        }
    }
}
