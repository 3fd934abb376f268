//! Bad input ends in one readable line and the right exit code.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;

use loader_ipc::{Client, ErrorKind, Recipe, Subscription};

use crate::harness::{Finished, one_epoch_in_order, packed, run, serve, text, tiny_trainer};

fn assert_refused(done: &Finished, code: i32, words: &[&str]) {
    assert_eq!(done.code, Some(code), "{}", done.stderr);
    assert!(
        done.stderr.contains(&format!("error[{code}]: ")),
        "{}",
        done.stderr
    );
    for word in words {
        assert!(done.stderr.contains(word), "`{word}` in: {}", done.stderr);
    }
}

#[test]
fn a_missing_folder_is_named_by_packer_and_loader() {
    assert_refused(
        &run("shard-tool", &["pack", "/nonexistent/images"]),
        3,
        &["/nonexistent/images"],
    );
    assert_refused(
        &run("loader", &["serve", "/nonexistent/shards"]),
        3,
        &["/nonexistent/shards"],
    );
}

#[test]
fn an_unpacked_folder_gets_the_line_to_pack_it() {
    let dir = tempfile::tempdir().unwrap();
    crate::harness::synth(dir.path(), 2, 1, 32);
    assert_refused(
        &run("loader", &["serve", text(dir.path())]),
        3,
        &["shard-tool pack"],
    );
    let out = dir.path().join("run");
    let done = run("trainer", &tiny_trainer(dir.path(), &out, &[]));
    assert_refused(&done, 2, &["shard-tool pack", "DATA.PATH_TO_DATA_DIR"]);
}

#[test]
fn a_file_that_is_no_image_is_skipped_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("images");
    crate::harness::synth(&source, 2, 2, 32);
    let class = fs::read_dir(source.join("train"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(class.join("notes.JPEG"), "these are my notes").unwrap();
    let done = run("shard-tool", &["pack", text(&source)]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stderr.contains("notes.JPEG") && done.stderr.contains("text"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_second_daemon_on_one_socket_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let socket = dir.path().join("loader.sock");
    let first = serve(&shards, &socket, &[]);
    let second = run(
        "loader",
        &["serve", text(&shards), "--socket", text(&socket)],
    );
    assert_refused(&second, 4, &[&format!("pid {}", first.pid())]);
}

#[test]
fn fewer_samples_than_a_batch_are_told_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let out = dir.path().join("run");
    let done = run("trainer", &tiny_trainer(&shards, &out, &[]));
    assert_refused(&done, 3, &["8 needed", "4 found"]);
}

#[test]
fn every_wrong_key_is_named_at_once_with_the_nearest_right_one() {
    let args = [
        "--cfg",
        "configs/demo.yaml",
        "TRAIN.BATCH_SIZ",
        "8",
        "SOLVER.BASE_LR",
        "fast",
    ];
    assert_refused(
        &run("trainer", &args),
        2,
        &["TRAIN.BATCH_SIZ", "TRAIN.BATCH_SIZE", "SOLVER.BASE_LR"],
    );
}

#[test]
fn too_little_shared_memory_says_what_is_needed_and_what_shrinks_it() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &[]);
    let huge = Subscription {
        recipe: Recipe::evaluation(4096, 4096),
        num_slots: Some(4),
        ..one_epoch_in_order(65_536)
    };
    let client = Client::connect(&socket, crate::harness::WATCHDOG).unwrap();
    let error = client.subscribe(&huge).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resources, "{error}");
    for word in ["MiB needed", "MiB free", "fewer slots", "memory limit"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn nobody_at_the_socket_is_an_error_of_status() {
    assert_refused(
        &run("loader", &["status", "--socket", "/nonexistent/s"]),
        6,
        &["loader serve"],
    );
}

/// Greets one subscriber, in another version of the protocol, from this process.
fn older_loader(socket: &Path) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut hello = [0; 12];
        peer.read_exact(&mut hello).unwrap();
        hello[8..].copy_from_slice(&1u32.to_le_bytes());
        peer.write_all(&hello).unwrap();
    })
}

fn assert_other_version(done: &Finished) {
    let (ours, pid) = (loader_ipc::PROTOCOL_VERSION, std::process::id());
    let words = format!(
        "error[2]: protocol mismatch; this side speaks version {ours}, process {pid} version 1 (kill {pid} ends it); use binaries of one release"
    );
    assert_refused(done, 2, &[&words]);
}

#[test]
fn a_loader_of_another_version_is_named_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("loader.sock");
    let older = older_loader(&socket);
    let done = run("loader", &["status", "--socket", text(&socket)]);
    older.join().unwrap();
    assert_other_version(&done);
}

#[test]
fn a_trainer_that_meets_a_loader_of_another_version_names_it_and_starts_none() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 8, 32);
    let socket = dir.path().join("loader.sock");
    let out = dir.path().join("run");
    let older = older_loader(&socket);
    let more = ["LOADER.SOCKET", text(&socket)];
    let done = run("trainer", &tiny_trainer(&shards, &out, &more));
    older.join().unwrap();
    assert_other_version(&done);
    assert!(!out.join("loader.log").exists(), "nothing was started");
}
