//! What the system does not allow is told before a run begins, with the limit to raise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Resource;

use crate::harness::{Finished, losses, packed, start, tiny_trainer, trainer_after, until};

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
