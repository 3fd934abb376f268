//! What the system refuses is told in words, and a daemon outlives it.

use std::fs::{self, File};
use std::io::pipe;
use std::path::{Path, PathBuf};

use loader_ipc::{Client, ErrorKind, IpcError};
use rustix::process::{Resource, Signal};

use crate::harness::{
    Running, WATCHDOG, one_epoch_in_order, packed, run, serve, start, start_as, start_with, status,
    text, until,
};

fn socket_and_loader(dir: &Path) -> (PathBuf, Running) {
    let shards = packed(dir, 2, 2, 32);
    let socket = dir.join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    (socket, loader)
}

/// Connects and subscribes.
fn subscribe(socket: &Path) -> Result<u64, IpcError> {
    let stream = Client::connect(socket, WATCHDOG)?.subscribe(&one_epoch_in_order(2))?;
    Ok(stream.info().num_batches)
}

/// Holds that a subscriber is refused with `words` while the limit is in force, and served again afterwards.
fn assert_refused_and_outlived(
    loader: &Running,
    socket: &Path,
    (resource, most): (Resource, u64),
    words: &str,
) {
    let refused = loader.with_limit(resource, most, || subscribe(socket));
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Resources, "{refused}");
    assert!(refused.to_string().contains(words), "{refused}");
    assert_eq!(subscribe(socket).unwrap(), 2, "{}", loader.stderr());
    assert!(!loader.stderr().contains("panicked"), "{}", loader.stderr());
}

/// A number from the kernel's account of a process.
fn number(loader: &Running, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", loader.pid())).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_daemon_without_descriptors_refuses_subscribers_and_lives() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, loader) = socket_and_loader(dir.path());
    let num_held = fs::read_dir(format!("/proc/{}/fd", loader.pid()))
        .unwrap()
        .count() as u64;
    for num_left in [1, 4, 12] {
        let limit = (Resource::Nofile, num_held + num_left);
        assert_refused_and_outlived(&loader, &socket, limit, "ulimit -n");
    }
}

#[test]
fn a_daemon_without_threads_refuses_subscribers_and_lives() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let socket = dir.path().join("loader.sock");
    let args = [
        "serve",
        text(&shards),
        "--socket",
        text(&socket),
        "--workers",
        "1",
    ];
    let loader = start("loader", &args);
    // Signals, lost bytes, worker, accepting, and the one that waits. Nobody has connected: the stack of a thread that ended would serve another.
    until("all threads", || number(&loader, "Threads:") == 5);
    // Far below what it has already: nothing more can be mapped, so there is no stack for a thread.
    let limit = (Resource::As, 1 << 20);
    assert_refused_and_outlived(&loader, &socket, limit, "cannot start a thread");
}

#[test]
fn a_ring_beyond_the_limit_of_file_sizes_is_refused_and_the_daemon_lives() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, loader) = socket_and_loader(dir.path());
    assert_refused_and_outlived(&loader, &socket, (Resource::Fsize, 4096), "ulimit -f");
}

#[test]
fn a_daemon_without_descriptors_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, loader) = socket_and_loader(dir.path());
    loader.with_limit(Resource::Nofile, 0, || loader.interrupt());
    assert_eq!(loader.finish().code, Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_loader_that_gets_no_thread_at_its_start_says_so_and_exits_with_4() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let socket = dir.path().join("loader.sock");
    let args = ["serve", text(&shards), "--socket", text(&socket)];
    // No address space holds such a stack.
    let done = start_with(
        "loader",
        &args,
        &[("RUST_MIN_STACK", Path::new("100000000000000"))],
    )
    .finish();
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    for words in ["error[4]: cannot start a thread", "ulimit -u"] {
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}

#[test]
fn a_path_that_no_socket_can_have_is_refused_with_its_length_and_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let name = |len: usize| "s".repeat(len - dir.path().as_os_str().len() - 1);
    let longest = dir.path().join(name(107));
    drop(serve(&shards, &longest, &[]));
    let in_long_folder = dir.path().join(name(95)).join("loader.sock");
    for (path, words) in [
        (dir.path().join(name(108)), "108 bytes"),
        (in_long_folder, "95 bytes"),
    ] {
        let done = run("loader", &["serve", text(&shards), "--socket", text(&path)]);
        assert_eq!(done.code, Some(2), "{}", done.stderr);
        for words in [words, "107", text(path.parent().unwrap())] {
            assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_ends_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let closed = pipe().unwrap().1;
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (name, log) in [
        ("closed", closed.into()),
        ("full", std::process::Stdio::from(full)),
    ] {
        let socket = dir.path().join(name);
        let args = ["serve", text(&shards), "--socket", text(&socket)];
        let loader = start_as("loader", &args, |command| command.stderr(log));
        until("the loader's socket", || status(&socket).is_some());
        assert_eq!(subscribe(&socket).unwrap(), 2, "{name}");
        loader.interrupt();
        assert_eq!(loader.finish().code, Some(0), "{name}");
    }
}

#[test]
fn a_picture_that_may_not_grow_is_told_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let script = format!(
        "ulimit -f 1; exec {} preview {} --out {}",
        text(&crate::harness::binary("loader")),
        text(&shards),
        text(&dir.path().join("views.png"))
    );
    let ended = crate::harness::start_program("sh", &["-c", &script]).finish();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    for words in ["File too large", "ulimit -f"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn a_reader_that_is_gone_ends_a_command_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, _loader) = socket_and_loader(dir.path());
    let closed = pipe().unwrap().1;
    let args = ["status", "--socket", text(&socket)];
    let done = start_as("loader", &args, |command| command.stdout(closed)).finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_terminal_that_closes_and_a_scheduler_drain_the_daemon_unless_it_was_started_with_nohup() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 2, 32);
    let socket = dir.path().join("loader.sock");
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        let loader = serve(&shards, &socket, &[]);
        loader.signal(signal);
        loader.signal(signal);
        let ended = loader.finish();
        assert_eq!(ended.code, Some(0), "{signal:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("stopped by") && !socket.exists(),
            "{signal:?}: {}",
            ended.stderr
        );
    }

    let script = format!(
        "trap '' HUP; exec {} serve {} --socket {}",
        text(&crate::harness::binary("loader")),
        text(&shards),
        text(&socket)
    );
    let kept = crate::harness::start_program("sh", &["-c", &script]);
    until("the loader's socket", || status(&socket).is_some());
    kept.signal(Signal::HUP);
    assert_eq!(subscribe(&socket).unwrap(), 2);
    kept.interrupt();
    assert_eq!(kept.finish().code, Some(0));
}
