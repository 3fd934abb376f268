//! However a trainer ends, its state is saved where it can be, and nothing of its own loader stays behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    Finished, Running, binary, losses, packed, start, start_program, start_with, text,
    tiny_trainer, trainer_after, until,
};

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

/// A trainer that may not write where modes forbid it, even if this is the superuser's.
fn trainer_that_obeys_modes(args: &[&str]) -> Finished {
    let trainer = binary("trainer");
    let weaker = [
        "--inh-caps=-all",
        "--bounding-set=-dac_override,-dac_read_search",
        text(&trainer),
    ];
    let running = match rustix::process::geteuid().is_root() {
        true => start_program("setpriv", &[&weaker[..], args].concat()),
        false => start("trainer", args),
    };
    running.finish()
}

fn forbid_writing(folder: &Path, forbids: bool) {
    let mode = if forbids { 0o555 } else { 0o755 };
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_takes_no_files_is_told_before_a_run_begins() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let folder = dir.path().join("read-only");
    fs::create_dir(&folder).unwrap();
    forbid_writing(&folder, true);
    let ended = trainer_that_obeys_modes(&tiny_trainer(&shards, &folder.join("run"), &[]));
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    for words in ["making OUTPUT_DIR failed: Permission denied", text(&folder)] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn checkpoints_that_cannot_be_written_end_training_only_at_its_end_and_the_last_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let out = dir.path().join("run");
    let checkpoints = out.join("checkpoints");
    let until_step = |step: &'static str, more: &[&'static str]| {
        let more = [&["TRAIN.MAX_STEPS", step], more].concat();
        trainer_that_obeys_modes(&tiny_trainer(&shards, &out, &more))
    };
    let first = until_step("4", &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    forbid_writing(&checkpoints, true);
    let second = until_step("12", &["--resume"]);
    forbid_writing(&checkpoints, false);
    assert_eq!(second.code, Some(4), "{}", second.stderr);
    for words in [
        "training goes on without this checkpoint",
        "error[4]: saving failed: Permission denied",
    ] {
        assert!(second.stderr.contains(words), "{}", second.stderr);
    }
    assert_eq!(losses(&out).len(), 12, "{}", second.stderr);
    let third = until_step("12", &["--resume"]);
    assert_eq!(third.code, Some(0), "{}", third.stderr);
    assert!(third.stdout.contains("of step 4,"), "{}", third.stdout);
    assert_eq!(losses(&out).len(), 12);
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
