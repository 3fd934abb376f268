//! Nobody reads what the trainer shows: training goes on, and commands that only print end quietly.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{binary, losses, packed, root, tiny_trainer};

/// The writing end of a pipe that nobody reads.
fn dead_pipe() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

fn full_disk() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn code(args: &[&str], stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let mut trainer = Command::new(binary("trainer"));
    let trainer = trainer.args(args).current_dir(root());
    let ended = trainer.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    ended.status().unwrap().code()
}

fn count_told(log: &Path) -> usize {
    let log = fs::read_to_string(log).unwrap();
    log.matches("standard output takes no more lines").count()
}

#[test]
fn training_ends_well_without_readers_and_tells_it_once_where_that_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let more = ["TRAIN.MAX_STEPS", "3", "LOG_STEP", "1"];
    let stderr = dir.path().join("stderr");
    let out = dir.path().join("full");
    let args = tiny_trainer(&shards, &out, &more);
    let file = File::create(&stderr).unwrap();
    assert_eq!(code(&args, full_disk(), file.into()), Some(0));
    assert_eq!((losses(&out).len(), count_told(&stderr)), (3, 1));

    for (name, end) in [
        ("dead", dead_pipe as fn() -> Stdio),
        ("full_both", full_disk),
    ] {
        let out = dir.path().join(name);
        let args = tiny_trainer(&shards, &out, &more);
        assert_eq!(code(&args, end(), end()), Some(0));
        assert_eq!(losses(&out).len(), 3);
        assert_eq!(count_told(&out.join("trainer.log")), 1);
    }
}

#[test]
fn commands_that_only_print_end_quietly_without_a_reader_and_tell_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let stderr = dir.path().join("stderr");
    for args in [&["--keys"][..], &["--check", "--cfg", "configs/demo.yaml"]] {
        let file = || File::create(&stderr).unwrap().into();
        assert_eq!(code(args, dead_pipe(), file()), Some(0));
        assert_eq!(fs::read_to_string(&stderr).unwrap(), "");
        assert_eq!(code(args, full_disk(), file()), Some(4));
        assert!(fs::read_to_string(&stderr).unwrap().contains("error[4]"));
    }
}
