//! kill -9 and Ctrl-C, on either side.

use std::fs;
use std::path::Path;

use loader_ipc::{Client, ErrorKind, Subscription};

use crate::harness::{
    Running, WATCHDOG, losses, metrics, one_epoch_in_order, packed, run, serve, start, start_with,
    status, text, tiny_trainer, until,
};

/// Shared segments of the project that a process holds.
pub(crate) fn num_segments(pid: i32) -> usize {
    let held = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = held.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    targets
        .filter(|target| target.to_string_lossy().contains("memfd:sslight"))
        .count()
}

pub(crate) fn num_subscribers(socket: &Path) -> usize {
    status(socket).expect("the loader lives")["subscribers"]
        .as_array()
        .unwrap()
        .len()
}

pub(crate) fn training(shards: &Path, out: &Path, socket: &Path) -> Running {
    let more = [
        "LOADER.SOCKET",
        text(socket),
        "SOLVER.TOTAL_EPOCHS",
        "100000",
    ];
    let trainer = start("trainer", &tiny_trainer(shards, out, &more));
    until("the first steps", || losses(out).len() >= 2);
    trainer
}

#[test]
fn a_killed_trainer_leaves_no_shared_memory_and_the_daemon_serving() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    let trainer = training(&shards, &dir.path().join("a"), &socket);
    assert_eq!(num_subscribers(&socket), 1);
    assert_eq!(num_segments(loader.pid()), 2, "control and views");
    trainer.kill();
    until("the subscriber to be forgotten", || {
        num_subscribers(&socket) == 0
    });
    until("its shared memory to be freed", || {
        num_segments(loader.pid()) == 0
    });
    let out = dir.path().join("b");
    let more = ["LOADER.SOCKET", text(&socket), "TRAIN.MAX_STEPS", "2"];
    let next = run("trainer", &tiny_trainer(&shards, &out, &more));
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    assert_eq!(losses(&out).len(), 2);
}

#[test]
fn a_killed_daemon_ends_the_trainer_with_6_and_the_next_daemon_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    let pid = loader.pid().to_string();
    let trainer = training(&shards, &dir.path().join("a"), &socket);
    loader.kill();
    let ended = trainer.finish();
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("error[6]") && ended.stderr.contains(&pid),
        "{}",
        ended.stderr
    );
    assert!(socket.exists(), "kill -9 leaves the socket behind");
    let next = serve(&shards, &socket, &[]);
    assert!(
        next.stderr()
            .contains("removed the socket of a dead loader"),
        "{}",
        next.stderr()
    );
}

#[test]
fn whoever_is_connected_to_a_daemon_that_is_interrupted_is_told_so_be_it_before_or_after_he_subscribed()
 {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 4, 32);
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    let connect = || Client::connect(&socket, WATCHDOG).unwrap();
    let (idle, asking) = (connect(), connect());
    let endless = Subscription {
        num_epochs: 100_000,
        ..one_epoch_in_order(2)
    };
    let mut stream = connect().subscribe(&endless).unwrap();
    loader.interrupt();
    let lost = loop {
        match stream.receive(WATCHDOG) {
            Ok(batch) => drop(batch.expect("the stream is not over")),
            Err(error) => break error,
        }
    };
    drop(stream);
    let ended = loader.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let refused = idle.subscribe(&endless).unwrap_err();
    let unanswered = asking.status().unwrap_err();
    for error in [lost, refused, unanswered] {
        assert_eq!(error.kind(), ErrorKind::PeerLost, "{error}");
        let told = error.to_string();
        assert!(
            told.contains("the loader was stopped by a signal"),
            "{told}"
        );
    }
}

#[test]
fn an_interrupted_daemon_leaves_nothing_and_exits_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 4, 32);
    let runtime = dir.path().join("runtime");
    fs::create_dir(&runtime).unwrap();
    let num_left = || fs::read_dir(&runtime).unwrap().count();
    let start = || {
        let env = [("XDG_RUNTIME_DIR", runtime.as_path())];
        let loader = start_with("loader", &["serve", text(&shards)], &env);
        until("the loader to serve", || {
            loader.stderr().contains("serving")
        });
        loader
    };
    start().kill();
    assert_eq!(num_left(), 1, "kill -9 leaves the socket's folder");
    let loader = start();
    loader.interrupt();
    let ended = loader.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(num_left(), 0);
}

#[test]
fn an_interrupted_trainer_saves_exits_with_75_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let out = dir.path().join("run");
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &[]);
    let trainer = training(&shards, &out, &socket);
    trainer.interrupt();
    let ended = trainer.finish();
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("--resume"), "{}", ended.stderr);
    let done = losses(&out).len();
    let steps = (done + 2).to_string();
    let more = [
        "LOADER.SOCKET",
        text(&socket),
        "SOLVER.TOTAL_EPOCHS",
        "100000",
        "TRAIN.MAX_STEPS",
        &steps,
        "--resume",
    ];
    let resumed = run("trainer", &tiny_trainer(&shards, &out, &more));
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    let steps: Vec<_> = metrics(&out)
        .iter()
        .filter_map(|line| line["step"].as_u64())
        .collect();
    assert!(steps.iter().copied().eq(1..=done as u64 + 2), "{steps:?}");
}
