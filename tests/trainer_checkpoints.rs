//! kill -9 at any moment leaves a newest checkpoint that a run continues from.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Running, packed, run, serve, start, text, tiny_trainer, until};

const NUM_KILLS: u64 = 16;

/// The step that a continued run says it continues from.
fn continued_from(stdout: &str) -> Option<u64> {
    let (_, rest) = stdout.split_once("continuing from ")?;
    let name = rest.lines().next()?.rsplit_once("step-")?.1;
    name.split('.').next()?.parse().ok()
}

fn has_checkpoint(out: &Path) -> bool {
    let entries = fs::read_dir(out.join("checkpoints")).into_iter().flatten();
    let mut names = entries.map(|entry| entry.unwrap().file_name());
    names.any(|name| name.to_string_lossy().starts_with("step-"))
}

fn wait_for_a_step(trainer: &mut Running) {
    until("a step", || {
        assert!(!trainer.has_ended(), "{}", trainer.stderr());
        trainer.stdout().contains("\nstep ")
    });
}

/// A run that saves after every step, since an epoch is one batch; half of the kills come while a signal has it save the same
/// step again.
#[test]
fn a_trainer_killed_at_any_moment_continues_from_its_newest_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 4, 32);
    let (out, socket) = (dir.path().join("run"), dir.path().join("loader.sock"));
    let _loader = serve(&shards, &socket, &[]);
    let settings = [
        "LOADER.SOCKET",
        text(&socket),
        "MODEL.BACKBONE_ARCH",
        "mobilenet_v2",
        "SOLVER.TOTAL_EPOCHS",
        "100000",
        "LOG_STEP",
        "1",
    ];
    let first = start("trainer", &tiny_trainer(&shards, &out, &settings));
    until("a checkpoint", || has_checkpoint(&out));
    first.kill();
    let resume = [&settings[..], &["--resume"]].concat();
    let mut newest = 1;
    for round in 0..NUM_KILLS {
        let mut trainer = start("trainer", &tiny_trainer(&shards, &out, &resume));
        wait_for_a_step(&mut trainer);
        let from = continued_from(&trainer.stdout()).unwrap();
        assert!(from >= newest, "from {from}, though {newest} was saved");
        newest = from;
        // Moments of a save, a step and a removal: the wait is what is tested, nothing depends on its end.
        std::thread::sleep(Duration::from_millis(round * 37 % 150));
        if round % 2 == 1 {
            trainer.signal(Signal::TERM);
            std::thread::sleep(Duration::from_millis(round * 23 % 90));
        }
        trainer.kill();
    }
    let last = (newest + 40).to_string();
    let more = [&resume[..], &["TRAIN.MAX_STEPS", &last]].concat();
    let done = run("trainer", &tiny_trainer(&shards, &out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let left = fs::read_dir(out.join("checkpoints")).unwrap();
    let hidden = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(hidden.count(), 0, "what the kills left is gone");
}

#[test]
fn a_run_goes_on_from_what_it_names_and_a_changed_model_is_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 8, 32);
    let out = dir.path().join("run");
    let base = ["MODEL.BACKBONE_ARCH", "mobilenet_v2"];
    let saved = |more: &[&str]| {
        let settings = [&base[..], more].concat();
        run("trainer", &tiny_trainer(&shards, &out, &settings))
    };
    let first = saved(&["TRAIN.MAX_STEPS", "2", "TRAIN.CHECKPOINTS_KEPT", "3"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let link = fs::read_link(out.join("checkpoints/latest")).unwrap();
    assert_eq!(link, Path::new("step-00000002"));
    let refused = saved(&["--resume", "TRAIN.NUM_CLASSES", "7"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let row = "probe.classifier.weight has shape [2, 1280] instead of [7, 1280]";
    assert!(refused.stderr.contains(row), "{}", refused.stderr);
    let bias = "probe.classifier.bias has shape [2] instead of [7]";
    assert!(refused.stderr.contains(bias), "{}", refused.stderr);
    let more = saved(&["--resume", "TRAIN.MAX_STEPS", "3"]);
    assert_eq!(more.code, Some(0), "{}", more.stderr);
    let parts = "took center, optimizer, probe, student, teacher (";
    assert!(more.stdout.contains(parts), "{}", more.stdout);
    assert!(
        more.stdout.contains("of step 2, in epoch"),
        "{}",
        more.stdout
    );
}
