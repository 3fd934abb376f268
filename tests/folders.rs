//! Several folders of shards are one data set.

use std::path::Path;

use loader_ipc::Client;

use crate::harness::{
    WATCHDOG, metrics, one_epoch_in_order, packed, run, start, status, text, tiny_trainer, until,
};

#[test]
fn several_folders_are_served_as_one_set_whose_classes_go_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (two, three) = (dir.path().join("two"), dir.path().join("three"));
    let (two, three) = (packed(&two, 2, 4, 32), packed(&three, 3, 4, 32));
    let socket = dir.path().join("loader.sock");
    // The folder with more classes first: the labels of the second are others there.
    let serve = ["serve", text(&three), text(&two), "--socket", text(&socket)];
    let mut loader = start("loader", &serve);
    until("the loader's socket", || {
        assert!(!loader.has_ended(), "{}", loader.stderr());
        status(&socket).is_some()
    });
    let shown = status(&socket).unwrap()["data"].clone();
    assert_eq!(shown, serde_json::json!([text(&three), text(&two)]));
    let client = Client::connect(&socket, WATCHDOG).unwrap();
    let mut subscriber = client.subscribe(&one_epoch_in_order(5)).unwrap();
    assert_eq!(subscriber.info().num_samples, 20);
    assert_eq!(subscriber.info().classes.len(), 3);
    let mut counts = [0; 3];
    let mut ids = Vec::new();
    while let Some(lease) = subscriber.receive(WATCHDOG).unwrap() {
        let labels = lease.labels();
        labels.iter().for_each(|label| counts[*label as usize] += 1);
        ids.extend(lease.sample_ids());
    }
    counts.sort_unstable();
    assert_eq!(counts, [4, 8, 8], "two classes are in both");
    assert!(ids.into_iter().eq(0..20));
    drop(loader);

    let out = dir.path().join("run");
    let folders = format!("['{}', '{}']", text(&two), text(&three));
    let more = [
        "TRAIN.MAX_STEPS",
        "2",
        "DATA.PATH_TO_DATA_DIR",
        &folders,
        "VAL.PERIOD",
        "1",
    ];
    let done = run("trainer", &tiny_trainer(&two, &out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let told = "data: 20 training images of 3 classes, 2 steps per epoch";
    assert!(done.stdout.contains(told), "{}", done.stdout);
    let num_val = |folder: &Path| {
        let done = run("shard-tool", &["list", text(folder), "--split", "val"]);
        done.stdout.lines().count()
    };
    let validation = metrics(&out).pop().unwrap();
    assert_eq!(validation["knn_samples"], num_val(&two) + num_val(&three));

    let sheet = dir.path().join("views.png");
    let args = ["preview", text(&two), text(&three), "--ids", "1,9,19"];
    let done = run("loader", &[&args[..], &["--out", text(&sheet)]].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let name_of = |line: usize| {
        let folder = if line < 8 {
            (&two, line)
        } else {
            (&three, line - 8)
        };
        let done = run("shard-tool", &["list", text(folder.0), "--split", "train"]);
        let line = done.stdout.lines().nth(folder.1).unwrap().to_owned();
        line.split_whitespace().next().unwrap().to_owned()
    };
    for id in [1, 9, 19] {
        let told = format!("sample {id}: {}, shard", name_of(id));
        assert!(done.stdout.contains(&told), "{told} in: {}", done.stdout);
    }
}
