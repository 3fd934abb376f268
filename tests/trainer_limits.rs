//! What the system does not allow is told before a run begins, with the limit to raise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Resource;

use crate::harness::{
    Finished, losses, packed, serve, start, text, tiny_trainer, trainer_after, until,
};

fn assert_told(ended: &Finished, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with(&format!("error[{code}]: ")),
        "{}",
        ended.stderr
    );
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` in: {}", ended.stderr);
    }
}

#[test]
fn too_few_descriptors_are_told_and_enough_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let more = ["TRAIN.MAX_STEPS", "5", "VAL.PERIOD", "1"];
    let out = dir.path().join("run");
    let args = tiny_trainer(&shards, &out, &more);
    for limit in ["8", "20", "40"] {
        let ended = trainer_after(&format!("ulimit -n {limit}"), &args).finish();
        assert_told(&ended, 4, &["too few open files", "ulimit -n"]);
    }
    let ended = trainer_after("ulimit -n 64", &args).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_run_without_descriptors_goes_on_and_saves_once_there_are_some() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 4, 32);
    let out = dir.path().join("run");
    let more = [
        "SOLVER.TOTAL_EPOCHS",
        "100000",
        "MODEL.BACKBONE_ARCH",
        "mobilenet_v2",
    ];
    let trainer = start("trainer", &tiny_trainer(&shards, &out, &more));
    until("the first steps", || losses(&out).len() >= 2);
    trainer.with_limit(Resource::Nofile, 0, || {
        until("a save that fails", || {
            trainer
                .stderr()
                .contains("training goes on without this checkpoint")
        });
    });
    let num_steps = losses(&out).len();
    until("more steps", || losses(&out).len() > num_steps + 1);
    trainer.interrupt();
    let ended = trainer.finish();
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
}

#[test]
fn a_run_without_memory_tells_who_has_it_and_goes_on_from_its_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 12, 32);
    let (out, socket) = (dir.path().join("run"), dir.path().join("loader.sock"));
    let _loader = serve(&shards, &socket, &[]);
    let until_step = |prelude: &str, step: &str, more: &[&str]| {
        let usual = ["LOADER.SOCKET", text(&socket), "TRAIN.MAX_STEPS", step];
        let args = [&usual[..], more].concat();
        trainer_after(prelude, &tiny_trainer(&shards, &out, &args)).finish()
    };
    assert_eq!(until_step("true", "2", &[]).code, Some(0));
    // The first layer alone makes 3 GiB of these views.
    let large = [
        "--resume",
        "TRAIN.BATCH_SIZE",
        "48",
        "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE",
        "704",
        "LOADER.SLOTS",
        "2",
    ];
    let ended = until_step("ulimit -v 4000000", "4", &large);
    let checkpoint = out.join("checkpoints/step-00000002");
    let words = [
        "memory ran out; step 3, 48 images with views of each: 2 of 704, 2 of 16 pixels; libtorch: ",
        "  model: networks, averages, probe, queues\n",
        "  optimiser\n",
        "  views of the batch\n",
        "  activations, gradients, libraries and the rest\n",
        "TRAIN.BATCH_SIZE 24 (now 48)",
        "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE",
        &format!(
            "the last checkpoint is whole: {}; continue, with what helps, by: ",
            checkpoint.display()
        ),
    ];
    assert_told(&ended, 4, &words);
    let done = until_step("true", "4", &["--resume"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(losses(&out).len(), 4);
}

/// The limit of processes does not hold for root, so root lets somebody else run into it.
#[test]
fn too_few_threads_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let limit = "ulimit -u 1";
    let prelude = match is_root {
        true => format!(
            "{limit}; set -- --reuid=54321 --regid=54321 --clear-groups \"$0\" \"$@\"; set -- setpriv \"$@\"; exec \"$@\""
        ),
        false => limit.to_owned(),
    };
    let out = dir.path().join("run");
    let args = tiny_trainer(Path::new("/nonexistent"), &out, &[]);
    let ended = trainer_after(&prelude, &args).finish();
    assert_told(&ended, 4, &["too few threads", "ulimit -u"]);
}
