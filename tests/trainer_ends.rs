//! However a trainer ends, its state is saved where it can be, and nothing of its own loader stays behind.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Running, losses, packed, start_with, tiny_trainer, trainer_after, until};

const ENDLESS: [&str; 2] = ["SOLVER.TOTAL_EPOCHS", "100000"];

/// A trainer with a loader of its own, after its first steps; its folder for sockets is `dir/tmp`.
fn training(dir: &Path, shards: &Path, name: &str) -> (Running, PathBuf) {
    let (tmp, out) = (dir.join("tmp"), dir.join(name));
    fs::create_dir_all(&tmp).unwrap();
    let args = tiny_trainer(shards, &out, &ENDLESS);
    let trainer = start_with("trainer", &args, &[("XDG_RUNTIME_DIR", &tmp)]);
    until("the first steps", || losses(&out).len() >= 2);
    assert!(num_files(&tmp) > 0, "a loader of its own has a socket");
    (trainer, tmp)
}

fn num_files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// The process of the trainer's own loader.
fn loader_of(trainer: &Running) -> Pid {
    let shown = trainer.stdout();
    let (_, rest) = shown.split_once("loader: started pid ").unwrap();
    let pid = rest.split_whitespace().next().unwrap();
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}

#[test]
fn every_signal_of_a_terminal_or_scheduler_saves_and_ends_with_75() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    for (name, signal) in [
        ("hup", Signal::HUP),
        ("usr1", Signal::USR1),
        ("usr2", Signal::USR2),
        ("term", Signal::TERM),
    ] {
        let (trainer, tmp) = training(dir.path(), &shards, name);
        trainer.signal(signal);
        let ended = trainer.finish();
        assert_eq!(ended.code, Some(75), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains("--resume"), "{}", ended.stderr);
        until("the loader to clean up", || num_files(&tmp) == 0);
    }
}

#[test]
fn a_signal_to_the_whole_job_is_a_stop_also_where_the_loader_is_gone_first() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let (trainer, _) = training(dir.path(), &shards, "run");
    trainer.signal(Signal::USR1);
    kill_process(loader_of(&trainer), Signal::KILL).unwrap();
    let ended = trainer.finish();
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
}

#[test]
fn a_killed_trainer_leaves_nothing_behind_and_a_killed_loader_what_the_next_one_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let (trainer, tmp) = training(dir.path(), &shards, "a");
    trainer.kill();
    until("the loader to clean up", || num_files(&tmp) == 0);

    let (trainer, tmp) = training(dir.path(), &shards, "b");
    trainer.signal(Signal::TERM);
    trainer.signal(Signal::TERM);
    assert_eq!(trainer.finish().code, Some(75));
    until("the loader to clean up", || num_files(&tmp) == 0);

    let (trainer, tmp) = training(dir.path(), &shards, "c");
    kill_process(loader_of(&trainer), Signal::KILL).unwrap();
    let ended = trainer.finish();
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert!(num_files(&tmp) > 0, "nobody is left to clean up");
    let (trainer, tmp) = training(dir.path(), &shards, "d");
    trainer.interrupt();
    assert_eq!(trainer.finish().code, Some(75));
    until("the next loader to clean up", || num_files(&tmp) == 0);
}

#[test]
fn a_hang_up_that_is_ignored_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let out = dir.path().join("run");
    let trainer = trainer_after("trap '' HUP", &tiny_trainer(&shards, &out, &ENDLESS));
    until("the first steps", || losses(&out).len() >= 2);
    trainer.signal(Signal::HUP);
    let num_steps = losses(&out).len();
    until("more steps", || losses(&out).len() > num_steps + 1);
    trainer.interrupt();
    assert_eq!(trainer.finish().code, Some(75));
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk_and_ends_training_only_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let out = dir.path().join("run");
    let more = ["TRAIN.MAX_STEPS", "8"];
    let args = tiny_trainer(&shards, &out, &more);
    // 16 MiB are enough for the ring in shared memory, and not for a checkpoint.
    let ended = trainer_after("ulimit -f 16384", &args).finish();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert_eq!(losses(&out).len(), 8, "{}", ended.stderr);
    let goes_on = "training goes on without this checkpoint";
    assert!(ended.stderr.contains(goes_on), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("error[4]: saving failed: File too large")
            && ended.stderr.contains("ulimit -f"),
        "{}",
        ended.stderr
    );
    assert_eq!(num_files(&out.join("checkpoints")), 0);
}
