//! What a pre-training left is measured through the binaries: linear and semi-supervised evaluation, kNN, lists of images.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{
    Finished, losses, metrics, pack, packed, run, start, text, tiny_trainer, until,
};

/// Images of the training split, 4 classes of 8.
const NUM_TRAIN: usize = 32;

/// A network after two steps, on 32 generated images.
fn pre_trained(dir: &Path) -> (PathBuf, PathBuf) {
    let shards = packed(dir, 4, 8, 32);
    let out = dir.join("pre-trained");
    let more = [
        "TRAIN.MAX_STEPS",
        "2",
        "MODEL.BACKBONE_ARCH",
        "mobilenet_v2",
    ];
    let done = run("trainer", &tiny_trainer(&shards, &out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    (shards, out)
}

/// Arguments of an evaluation of it.
fn evaluation<'a>(
    recipe: &'a str,
    shards: &'a Path,
    weights: &'a Path,
    out: &'a Path,
    more: &[&'a str],
) -> Vec<&'a str> {
    let mut args = vec!["--cfg", recipe, "DATA.PATH_TO_DATA_DIR", text(shards)];
    args.extend([
        "OUTPUT_DIR",
        text(out),
        "MODEL.PRE_TRAINED_PATH",
        text(weights),
    ]);
    args.extend([
        "MODEL.BACKBONE_ARCH",
        "mobilenet_v2",
        "TRAIN.BATCH_SIZE",
        "12",
    ]);
    args.extend(["MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE", "32"]);
    args.extend(["DINOHead.HIDDEN_SIZE", "32", "SOLVER.TOTAL_EPOCHS", "2"]);
    args.extend(more);
    args
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[track_caller]
fn succeed(args: &[&str]) -> Finished {
    let done = run("trainer", args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    done
}

/// Names of the training images as the reference's lists have them: `index,label,class,file`.
fn rows(shards: &Path) -> Vec<String> {
    let done = run("shard-tool", &["list", text(shards), "--split", "train"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let keys = done
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let rows = keys.map(|key| {
        let (class, name) = key.split_once('/').unwrap();
        format!("7,0,{class},{name}.JPEG")
    });
    rows.collect()
}

fn list(dir: &Path, name: &str, rows: &[String]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, rows.join("\n") + "\n").unwrap();
    path
}

#[test]
fn a_pre_training_is_evaluated_by_a_linear_classifier_and_by_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, weights) = pre_trained(dir.path());
    let out = dir.path().join("linear");
    let done = succeed(&evaluation(
        "configs/linear/cnn.yaml",
        &shards,
        &weights,
        &out,
        &[],
    ));
    for told in ["weights: the backbone; from", "Linear evaluation on"] {
        assert!(done.stdout.contains(told), "{}", done.stdout);
    }
    let lines = metrics(&out);
    assert_eq!(
        losses(&out).len(),
        2 * 3,
        "the last batch of an epoch has 8 images"
    );
    let rates: Vec<f64> = lines
        .iter()
        .filter_map(|line| line["lr"].as_f64())
        .collect();
    assert!(
        rates[0] == rates[2] && rates[3] == rates[5] && rates[0] > rates[3],
        "{rates:?}"
    );
    let result = json(&out.join("result.json"));
    for which in ["best", "last"] {
        let (top1, top5) = (&result[which]["top1"], &result[which]["top5"]);
        assert!(
            top1.as_f64() <= top5.as_f64() && top5.is_number(),
            "{result}"
        );
    }
    for (weights, which) in [
        (&weights, "student"),
        (&weights, "teacher"),
        (&out, "student"),
    ] {
        let args = [
            "eval",
            text(weights),
            "--data",
            text(&shards),
            "--json",
            "--knn-k",
            "3",
        ];
        let done = succeed(&[&args[..], &["--which", which, "--size", "32"]].concat());
        let found: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(found["arch"], "mobilenet_v2", "{found}");
        let train = &found["train_to_val"];
        assert_eq!(train["num_neighbours"], NUM_TRAIN, "{found}");
        assert!(train["top1"].as_f64().unwrap() <= train["top5"].as_f64().unwrap());
        assert_eq!(found["leave_one_out"]["num_samples"], train["num_samples"]);
    }
    let args = [
        "eval",
        text(&weights),
        "--data",
        text(&shards),
        "--size",
        "32",
    ];
    let table = succeed(&args).stdout;
    assert!(table.contains("kNN, training -> validation"), "{table}");
}

/// The frozen backbone leaves an evaluation as it came: its kNN is that of the pre-training, to the last digit.
#[test]
fn a_linear_evaluation_leaves_the_backbone_as_it_was_and_a_semi_supervised_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, weights) = pre_trained(dir.path());
    let [linear, semi] = ["linear", "semi"].map(|name| dir.path().join(name));
    succeed(&evaluation(
        "configs/linear/cnn.yaml",
        &shards,
        &weights,
        &linear,
        &[],
    ));
    let some = list(dir.path(), "some.txt", &rows(&shards)[..20]);
    let more = ["TRAIN.SUBSET_FILE_PATH", text(&some), "SOLVER.BASE_LR", "3"];
    let recipe = "configs/semi/1percent.yaml";
    let done = succeed(&evaluation(recipe, &shards, &weights, &semi, &more));
    assert!(
        done.stdout.contains("20 training images"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout
            .contains("the backbone and head.mlp.0, head.mlp.1, head.mlp.3, head.mlp.4"),
        "{}",
        done.stdout
    );
    assert_eq!(losses(&semi).len(), 2 * 2, "20 images in batches of 12");
    let measured = |weights: &Path| {
        let args = [
            "eval",
            text(weights),
            "--data",
            text(&shards),
            "--json",
            "--size",
            "32",
        ];
        let mut found: Value = serde_json::from_str(&succeed(&args).stdout).unwrap();
        found["weights"].take();
        found
    };
    let wanted = measured(&weights);
    assert_eq!(measured(&linear), wanted);
    let state = |run: &Path| fs::read(latest(run).join("state.safetensors")).unwrap();
    assert_ne!(state(&semi), state(&linear));
}

fn latest(run: &Path) -> PathBuf {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("step-")
    });
    paths.sort();
    paths.pop().unwrap()
}

#[test]
fn a_killed_evaluation_goes_on_as_if_nothing_had_been() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, weights) = pre_trained(dir.path());
    let [whole, killed] = ["whole", "killed"].map(|name| dir.path().join(name));
    let recipe = "configs/linear/cnn.yaml";
    let more = ["SOLVER.TOTAL_EPOCHS", "8"];
    succeed(&evaluation(recipe, &shards, &weights, &whole, &more));
    let mut first = start(
        "trainer",
        &evaluation(recipe, &shards, &weights, &killed, &more),
    );
    until("a checkpoint", || {
        assert!(!first.has_ended(), "{}", first.stderr());
        killed.join("checkpoints/step-00000003").is_dir()
    });
    first.kill();
    let resume = [&more[..], &["--resume"]].concat();
    let done = succeed(&evaluation(recipe, &shards, &weights, &killed, &resume));
    assert!(done.stdout.contains("continuing from"), "{}", done.stdout);
    assert_eq!(losses(&killed), losses(&whole));
    assert_eq!(
        json(&killed.join("result.json")),
        json(&whole.join("result.json"))
    );
}

#[test]
fn a_validation_on_a_list_is_of_its_images_alone() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let names = run("shard-tool", &["list", text(&shards), "--split", "val"]);
    let names = names.stdout.lines().step_by(2).take(5);
    let names: Vec<String> = names
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    let listed = list(dir.path(), "val.txt", &names);
    let out = dir.path().join("run");
    let more = [
        "TRAIN.MAX_STEPS",
        "1",
        "VAL.PERIOD",
        "1",
        "VAL.SUBSET_FILE_PATH",
    ];
    let more = [&more[..], &[text(&listed)]].concat();
    succeed(&tiny_trainer(&shards, &out, &more));
    let lines = metrics(&out);
    let validations: Vec<_> = lines
        .iter()
        .filter(|line| line.get("knn_split").is_some())
        .collect();
    assert_eq!(validations.len(), 2);
    for line in validations {
        assert_eq!(
            (&line["knn_samples"], &line["knn_split"]),
            (&json!(5), &json!("val"))
        );
    }
}

#[test]
fn lists_and_weights_that_do_not_fit_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, weights) = pre_trained(dir.path());
    let out = dir.path().join("out");
    let refused = |recipe: &str, code: i32, more: &[&str]| {
        let done = run(
            "trainer",
            &evaluation(recipe, &shards, &weights, &out, more),
        );
        assert_eq!(done.code, Some(code), "{}", done.stderr);
        done.stderr
    };
    let linear = "configs/linear/cnn.yaml";
    let unknown = ["n01/none_1.JPEG".to_owned(), "none_2".to_owned()];
    let unknown = list(
        dir.path(),
        "unknown.txt",
        &[&rows(&shards)[..2], &unknown].concat(),
    );
    for key in ["TRAIN.SUBSET_FILE_PATH", "VAL.SUBSET_FILE_PATH"] {
        let told = refused(linear, 3, &[key, text(&unknown), "--overwrite"]);
        assert!(
            told.contains("2 of the 4 images of the subset are not in the data set"),
            "{told}"
        );
        assert!(told.contains("n01/none_1.JPEG, none_2"), "{told}");
    }
    let other = ["MODEL.BACKBONE_ARCH", "resnet18", "--overwrite"];
    let told = refused(linear, 2, &other);
    assert!(told.contains("weights of another network"), "{told}");
    let few = list(dir.path(), "few.txt", &rows(&shards)[..20]);
    let wide = [
        "DINOHead.HIDDEN_SIZE",
        "64",
        "TRAIN.SUBSET_FILE_PATH",
        text(&few),
        "--overwrite",
    ];
    let told = refused("configs/semi/1percent.yaml", 2, &wide);
    assert!(told.contains("the head in it has other layers"), "{told}");
    let lonely = list(dir.path(), "lonely.txt", &rows(&shards)[..13]);
    let told = refused(
        linear,
        2,
        &["TRAIN.SUBSET_FILE_PATH", text(&lonely), "--overwrite"],
    );
    assert!(told.contains("has one image of 13"), "{told}");
}

#[test]
fn images_without_a_label_are_told_with_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let labelled = packed(dir.path(), 4, 8, 32);
    let (images, flat) = (dir.path().join("images/train"), dir.path().join("flat"));
    fs::create_dir(&flat).unwrap();
    for class in fs::read_dir(images).unwrap() {
        let image = fs::read_dir(class.unwrap().path()).unwrap().next();
        let image = image.unwrap().unwrap();
        fs::copy(image.path(), flat.join(image.file_name())).unwrap();
    }
    let unlabelled = pack(&flat, &dir.path().join("unlabelled"));
    let data = format!("['{}', '{}']", text(&labelled), text(&unlabelled));
    let (out, first) = (dir.path().join("linear"), Path::new(""));
    let recipe = "configs/linear/cnn.yaml";
    let done = succeed(&evaluation(recipe, Path::new(&data), first, &out, &[]));
    let told =
        "data: 36 training images (4 have no label: nothing is learnt from them) of 4 classes";
    assert!(done.stdout.contains(told), "{}", done.stdout);
    let list = list(dir.path(), "all.txt", &rows(&labelled));
    let of_list = [
        "TRAIN.SUBSET_FILE_PATH",
        text(&list),
        "TRAIN.MAX_STEPS",
        "1",
    ];
    let out = dir.path().join("of-list");
    let done = succeed(&evaluation(recipe, Path::new(&data), first, &out, &of_list));
    let told = "data: 32 training images of 4 classes";
    assert!(done.stdout.contains(told), "{}", done.stdout);
    let eval = [
        "eval",
        text(&out),
        "--data",
        text(&labelled),
        "--data",
        text(&unlabelled),
        "--size",
        "32",
    ];
    let told = "train: features of 32 labelled images; 4 without a label are left out";
    let done = succeed(&eval);
    assert!(done.stderr.contains(told), "{}", done.stderr);
}
