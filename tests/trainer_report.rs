//! `trainer report`: a page that needs nothing but itself.

use std::fs;
use std::path::Path;

use crate::harness::{Finished, packed, run, text, tiny_trainer};

fn trained(shards: &Path, out: &Path, more: &[&str]) {
    let steps = ["TRAIN.MAX_STEPS", "3", "SOLVER.TOTAL_EPOCHS", "2"];
    let more = [&steps[..], &["SOLVER.WARMUP_EPOCHS", "0"], more].concat();
    let done = run("trainer", &tiny_trainer(shards, out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

fn page(done: &Finished, to: &Path) -> String {
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    fs::read_to_string(to.join("index.html")).unwrap()
}

#[test]
fn several_runs_are_on_one_page_with_what_differs_and_pictures_for_who_has_data() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    trained(&shards, &first, &["VAL.PERIOD", "1"]);
    let vit = ["MODEL.BACKBONE_ARCH", "vit_tiny", "SEED", "5"];
    trained(&shards, &second, &vit);
    let mut damaged = fs::read_to_string(second.join("metrics.jsonl")).unwrap();
    damaged.insert_str(0, "{\"step\": nonsense}\n");
    fs::write(second.join("metrics.jsonl"), damaged).unwrap();

    let to = dir.path().join("report");
    let args = ["report", text(&first), text(&second), "--to", text(&to)];
    let html = page(&run("trainer", &args), &to);
    for word in [
        "first",
        "vit_tiny",
        "SEED",
        "cannot be read are left out: 1 ",
        "Nearest neighbours",
        "Attention",
    ] {
        assert!(html.contains(word), "{word}");
    }
    assert!(!html.contains("TRAIN.BATCH_SIZE"), "it does not differ");
    for outside in ["http:", "https:", "<script", "src=\"/"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let mut num_files = 0;
    for name in [
        "loss.png",
        "knn_top1.png",
        "probe_top1.png",
        "images_per_s.png",
        "data_wait_ms.png",
        "feature_std.png",
        "neighbours-1.png",
        "attention-2.png",
    ] {
        let png = fs::read(to.join(name)).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{name}");
        num_files += 1;
    }
    let embedded = html
        .matches("src=\"data:image/png;base64,iVBORw0KGgo")
        .count();
    assert_eq!(embedded, html.matches("<img").count());
    assert!(embedded >= num_files, "{embedded} pictures on the page");
    assert!(!to.join("attention-1.png").exists(), "a ResNet has none");

    fs::remove_dir_all(&shards).unwrap();
    let html = page(
        &run("trainer", &["report", text(&first)]),
        &first.join("report"),
    );
    assert!(html.contains("No pictures: no such folder"), "{html}");
    assert!(html.contains("Keys with another value than the default"));
}

#[test]
fn a_folder_that_is_no_run_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let done = run("trainer", &["report", text(dir.path())]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("this is no run"), "{}", done.stderr);
    assert!(done.stderr.contains(text(dir.path())), "{}", done.stderr);
}
