//! Runs that read their batches and first weights from files, through the program: what does not fit is told, what is not used too, and a run is the
//! same to the bit however often it is killed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::{Kind, Tensor};
use trainer::checkpoint::{self, Tensors};

use crate::program::{command, metrics};
use crate::replay_files::{Files, Named, STEPS, batches, write};

fn without(name: &str) -> Named {
    let kept = batches().into_iter().filter(|(found, _)| found != name);
    kept.collect()
}

fn with_another() -> Named {
    let another = ("extra".to_owned(), Tensor::from(0i64));
    batches().into_iter().chain([another]).collect()
}

fn state(out: &Path) -> Tensors {
    let (path, _) = checkpoint::latest(&out.join("checkpoints")).unwrap();
    checkpoint::load(&path).unwrap()
}

fn last_bytes(out: &Path) -> Vec<u8> {
    let (path, _) = checkpoint::latest(&out.join("checkpoints")).unwrap();
    fs::read(path.join("state.safetensors")).unwrap()
}

fn losses(out: &Path) -> Vec<f64> {
    let lines = metrics(out).into_iter();
    lines.map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn a_replay_needs_no_data_and_its_lines_have_every_number_in_full() {
    let files = Files::new();
    let shown = files.trained("run", &["DATA.PATH_TO_DATA_DIR", "/no/such/folder"]);
    assert!(
        shown.contains("3 classes (the largest label + 1)"),
        "{shown}"
    );
    assert!(shown.contains("validation: none"), "{shown}");
    let lines = metrics(&files.out("run"));
    assert_eq!(lines.len(), STEPS);
    for key in [
        "step",
        "epoch",
        "loss",
        "loss_global",
        "loss_local",
        "probe_loss",
        "lr",
        "weight_decay",
        "momentum",
        "teacher_temp",
        "grad_norm",
        "images_per_s",
        "data_wait_ms",
    ] {
        assert!(lines[0][key].is_number(), "{key}: {}", lines[0]);
    }
    let parts = |line: &Value, name: &str| line[name].as_f64().unwrap();
    for line in &lines {
        let (near, far) = (parts(line, "loss_global"), parts(line, "loss_local"));
        let whole = 0.142857 * near + 0.857143 * far;
        assert!((parts(line, "loss") - whole).abs() < 1e-6, "{line}");
    }
    let two = [
        "SSL_METHOD",
        "MOCO",
        "MOCO.GLOBAL_ONLY",
        "True",
        "TRAIN.JOINT_LINEAR_PROBE",
        "False",
    ];
    let shown = files.trained("two", &two);
    assert!(
        shown.contains("6 views of the file are not read, step0.view2 the first"),
        "{shown}"
    );
    let line = &metrics(&files.out("two"))[0];
    assert!(line["loss_local"].is_null() && line["probe_loss"].is_null());
    assert!(line.get("loss_local").is_some() && line.get("probe_loss").is_some());
}

#[test]
fn the_probe_rests_in_a_step_without_any_label() {
    let unlabelled = |(name, tensor): (String, Tensor)| match name.as_str() {
        "step1.labels" => (name, tensor.full_like(-1)),
        _ => (name, tensor),
    };
    let files = Files::with(batches().into_iter().map(unlabelled).collect());
    files.trained("run", &[]);
    let lines = metrics(&files.out("run"));
    let loss_of = |step: usize| lines[step]["probe_loss"].as_f64().unwrap();
    assert_eq!(loss_of(1), 0.0);
    assert!(loss_of(0) > 0.0 && loss_of(2) > 0.0, "{lines:?}");
}

#[test]
fn batches_that_do_not_fit_end_a_run_with_3_before_its_first_step() {
    let renamed = |from: &str, to: &str| {
        let mut tensors = batches();
        let found = tensors.iter_mut().find(|(name, _)| name == from);
        found.unwrap().0 = to.to_owned();
        tensors
    };
    for (tensors, told) in [
        (without("step4.view2"), "it has no step4.view2"),
        (without("step0.labels"), "it has no step0.labels"),
        (
            renamed("step5.view2", "step5.view7"),
            "it has no step5.view2",
        ),
        (with_another(), "extra has no place"),
    ] {
        let (code, found) = Files::with(tensors).refused(&[]);
        assert_eq!(code, Some(3), "{found}");
        assert!(
            found.contains(told) && found.contains("NMB_CROPS"),
            "{found}"
        );
    }
    let files = Files::new();
    for (more, told) in [
        (
            ["TRAIN.BATCH_SIZE", "4"],
            "step0.labels is I64 [8] instead of I64 [4]",
        ),
        (
            ["MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE", "24"],
            "step0.view2 is U8 [8, 48, 48, 3] instead of U8 [8, 24, 24, 3]",
        ),
    ] {
        let (code, found) = files.refused(&more);
        assert_eq!(code, Some(3), "{found}");
        assert!(found.contains(told), "{found}");
    }
    let (code, found) = files.refused(&["TRAIN.NUM_CLASSES", "2"]);
    assert_eq!(code, Some(2), "{found}");
    assert!(found.contains("less than the 3 classes"), "{found}");
}

#[test]
fn an_epoch_of_a_replay_is_its_length_or_as_configured_and_its_steps_come_again() {
    let files = Files::new();
    // Without a rate every step's loss is that of its batch, but for the rounding of prototypes that are normalised once more.
    let more = [
        "TRAIN.STEPS_PER_EPOCH",
        "4",
        "SOLVER.TOTAL_EPOCHS",
        "2",
        "SSL_METHOD",
        "SWAV",
        "SOLVER.BASE_LR",
        "0",
    ];
    files.trained("run", &[&more[..], &["SWAV.QUEUE_LENGTH", "0"]].concat());
    let lines = metrics(&files.out("run"));
    let epochs: Vec<_> = lines
        .iter()
        .map(|line| line["epoch"].as_u64().unwrap())
        .collect();
    assert_eq!(epochs, [1, 1, 1, 1, 2, 2, 2, 2]);
    let losses = losses(&files.out("run"));
    for (late, early) in losses[6..].iter().zip(&losses) {
        assert!((late / early - 1.0).abs() < 1e-6, "{losses:?}");
    }
    assert!((losses[0] / losses[1] - 1.0).abs() > 1e-5, "{losses:?}");
}

/// The first weights of a run, by the names that it may be given.
fn first_weights(files: &Files, seed: &str) -> Named {
    files.trained(
        seed,
        &[
            "TRAIN.MAX_STEPS",
            "1",
            "SOLVER.BASE_LR",
            "0",
            "MODEL.MODEL_MOMENTUM",
            "1.0",
            "SEED",
            seed,
        ],
    );
    let given = |(name, tensor): (String, Tensor)| {
        let name = name
            .strip_prefix("student.")
            .or(name.strip_prefix("probe."));
        name.map(|name| (name.to_owned(), tensor))
    };
    let state = state(&files.out(seed)).into_iter();
    let mut weights: Named = state.filter_map(given).collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    weights
}

#[test]
fn given_weights_are_those_of_student_and_teacher_and_what_is_absent_is_told() {
    let files = Files::new();
    let weights = first_weights(&files, "7");
    let still = [
        "TRAIN.MAX_STEPS",
        "1",
        "SOLVER.BASE_LR",
        "0",
        "MODEL.MODEL_MOMENTUM",
        "1.0",
        "TRAIN.INIT_WEIGHTS",
    ];
    let halves = weights
        .iter()
        .filter(|(name, _)| !name.starts_with("classifier"));
    let mut halves: Named = halves
        .map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::Half)))
        .collect();
    halves.push((
        "backbone.features.0.1.num_batches_tracked".to_owned(),
        Tensor::from(3i64),
    ));
    let file = write(files.dir.path(), "halves", &halves);
    let shown = files.trained("given", &[&still[..], &[&file]].concat());
    let num = weights.len();
    let line = format!(
        "weights: {} of {num} tensors from {file}; converted to F32 from F16; 2 start as usual: classifier.weight, classifier.bias",
        num - 2
    );
    assert!(shown.contains(&line), "{shown}");
    let found = state(&files.out("given"));
    for (name, half) in &halves[..num - 2] {
        let is_statistic = name.contains("running");
        for part in ["student", "teacher"] {
            let is_given = found[&format!("{part}.{name}")] == half.to_kind(Kind::Float);
            // Both networks have seen the step's views since.
            assert_eq!(is_given, !is_statistic, "{part}.{name}");
        }
    }
    let resume = [
        "--resume",
        "SOLVER.TOTAL_EPOCHS",
        "1",
        "TRAIN.INIT_WEIGHTS",
        "/no/such/file",
    ];
    let shown = files.trained("given", &resume);
    assert!(shown.contains("TRAIN.INIT_WEIGHTS is not read"), "{shown}");
}

#[test]
fn weights_without_a_place_end_a_run_with_2_and_a_table_of_differences() {
    let files = Files::new();
    let tensors: Named = vec![
        (
            "backbone.features.0.0.weight".to_owned(),
            Tensor::zeros([32, 3, 1, 1], (Kind::Float, tch::Device::Cpu)),
        ),
        (
            "backbone.features.0.1.bias".to_owned(),
            Tensor::zeros([32], (Kind::Int64, tch::Device::Cpu)),
        ),
        (
            "backbone.conv1.weight".to_owned(),
            Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)),
        ),
    ];
    let file = write(files.dir.path(), "weights", &tensors);
    let (code, found) = files.refused(&["TRAIN.INIT_WEIGHTS", &file]);
    assert_eq!(code, Some(2), "{found}");
    for row in [
        "3 of 3 tensors do not fit this model",
        "\n  backbone.conv1.weight: [1] in the file, not in the model",
        "\n  backbone.features.0.0.weight: [32, 3, 1, 1] in the file, [32, 3, 3, 3] in the model",
        "\n  backbone.features.0.1.bias: I64 in the file, a floating-point kind is needed",
    ] {
        assert!(found.contains(row), "{found}");
    }
    let none = write(files.dir.path(), "none", &vec![]);
    let (code, found) = files.refused(&["TRAIN.INIT_WEIGHTS", &none]);
    assert_eq!(code, Some(2), "{found}");
    assert!(found.contains("holds no weights"), "{found}");
}

/// Runs on one thread, is killed as soon as it has written so many lines, and goes on until it is done.
fn killed_after(files: &Files, name: &str, more: &[&str], kills: &[usize]) -> PathBuf {
    let out = files.out(name);
    let pairs = files.pairs(more);
    for (at, lines) in kills.iter().enumerate() {
        let mut running = command(&files.cfg, &out, &pairs);
        running
            .args((at > 0).then_some("--resume"))
            .env("OMP_NUM_THREADS", "1");
        let mut child = running.stdout(std::process::Stdio::null()).spawn().unwrap();
        while metrics(&out).len() < *lines {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut last = command(&files.cfg, &out, &pairs);
    last.args((!kills.is_empty()).then_some("--resume"))
        .env("OMP_NUM_THREADS", "1");
    let done = last.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    out
}

#[test]
fn two_runs_and_one_that_was_killed_again_and_again_end_in_the_same_bytes() {
    let files = Files::new();
    for method in ["DINO", "SWAV", "MOCO"] {
        let more = [
            "SSL_METHOD",
            method,
            "TRAIN.STEPS_PER_EPOCH",
            "2",
            "SOLVER.TOTAL_EPOCHS",
            "8",
            "SOLVER.FREEZE_LAST_LAYER",
            "1",
        ];
        let whole = killed_after(&files, &format!("{method}-whole"), &more, &[]);
        let again = killed_after(&files, &format!("{method}-again"), &more, &[]);
        let killed = killed_after(&files, &format!("{method}-killed"), &more, &[3, 6, 9, 10]);
        for other in [&again, &killed] {
            assert_eq!(losses(other), losses(&whole), "{method}");
            assert!(
                last_bytes(other) == last_bytes(&whole),
                "{method}: {}",
                other.display()
            );
        }
    }
}
