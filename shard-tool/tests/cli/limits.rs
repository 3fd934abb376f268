//! Threads, descriptors and file sizes that the system refuses.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Outcome, cats_and_dogs, folder, pack, put, tar_of};

/// Runs the tool as a user who has no other process, within a limit.
fn limited(limit: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
        "prlimit",
        limit,
    ]);
    command
        .arg(env!("CARGO_BIN_EXE_shard-tool"))
        .args(arguments);
    command.output().expect("setpriv runs").into()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: only root may run as another user");
    }
    is_root
}

/// A folder that every user may write into.
fn open_folder() -> tempfile::TempDir {
    let dir = folder();
    set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("set");
    dir
}

#[test]
fn threads_that_cannot_be_had_are_a_lack_of_resources() {
    if !is_root() {
        return;
    }
    let dir = open_folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("set"));
    cats_and_dogs(&src);
    pack(&src, &set, &[], 0);
    let (out, unpacked) = (dir.path().join("out"), dir.path().join("unpacked"));
    for arguments in [
        &["pack", text(&src), "--out", text(&out)][..],
        &["verify", text(&set)],
        &["unpack", text(&set), text(&unpacked)],
    ] {
        let outcome = limited("--nproc=1:1", arguments);
        assert_eq!(outcome.code, 4, "{outcome:#?}");
        let told = "error[4]: no thread can be started: ";
        assert!(outcome.stderr.starts_with(told), "{outcome:#?}");
    }
    assert!(!out.exists() && !unpacked.exists());
}

#[test]
fn descriptors_that_run_out_are_a_lack_of_resources() {
    if !is_root() {
        return;
    }
    let dir = open_folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    for number in 0..20 {
        let member = ("cat/a.JPEG", &b"x"[..]);
        put(src.join(format!("{number}.tar")), &tar_of(&[member]));
    }
    let outcome = limited("--nofile=12:12", &["pack", text(&src), "--out", text(&out)]);
    assert_eq!(outcome.code, 4, "{outcome:#?}");
    assert!(outcome.stderr.contains("ulimit -n"), "{outcome:#?}");
}

#[test]
fn a_file_that_may_grow_no_further_is_a_write_that_fails() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let run = Command::new("prlimit")
        .args(["--fsize=2048:2048", env!("CARGO_BIN_EXE_shard-tool")])
        .args(["pack", text(&src), "--out", text(&out)])
        .output();
    let outcome = Outcome::from(run.expect("prlimit runs"));
    assert_eq!(outcome.code, 4, "{outcome:#?}");
    let told = "error[4]: cannot write: File too large";
    assert!(outcome.stderr.contains(told), "{outcome:#?}");
    assert!(outcome.stderr.contains("ulimit -f"), "{outcome:#?}");
    pack(&src, &out, &[], 0);
}
