//! Starts the real binaries, gives them small data, and never waits without a deadline.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loader_ipc::{Order, Recipe, Subscription};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::Value;

/// A deadline for anything that might hang; reached only by a bug.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(600);
/// How long a loader may take for an answer or a batch.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running process whose output goes to files; killed when dropped.
pub(crate) struct Running {
    child: Child,
    dir: tempfile::TempDir,
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
}

/// What cargo knows of the workspace and of everything that it builds.
pub(crate) fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{told}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A binary beside this test's own folder.
pub(crate) fn binary(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its path");
    let path = exe
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing; build it first: cargo build --release --workspace --bins --examples",
        path.display()
    );
    path
}

/// Starts `name` with `args`.
pub(crate) fn start(name: &str, args: &[&str]) -> Running {
    start_with(name, args, &[])
}

/// As [`start`], with variables in its environment.
pub(crate) fn start_with(name: &str, args: &[&str], environment: &[(&str, &Path)]) -> Running {
    start_as(name, args, |command| {
        command.envs(environment.iter().copied())
    })
}

/// As [`start`], after `change` to the command: its environment, or where its output goes.
pub(crate) fn start_as(
    name: &str,
    args: &[&str],
    change: impl FnOnce(&mut Command) -> &mut Command,
) -> Running {
    spawn(Command::new(binary(name)), args, change)
}

/// Starts a program of the system.
pub(crate) fn start_program(name: &str, args: &[&str]) -> Running {
    start_program_as(name, args, |command| command)
}

/// As [`start_program`], after `change` to the command.
pub(crate) fn start_program_as(
    name: &str,
    args: &[&str],
    change: impl FnOnce(&mut Command) -> &mut Command,
) -> Running {
    spawn(Command::new(name), args, change)
}

fn spawn(
    mut command: Command,
    args: &[&str],
    change: impl FnOnce(&mut Command) -> &mut Command,
) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let log = |name: &str| File::create(dir.path().join(name)).unwrap();
    command
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(log("stdout"))
        .stderr(log("stderr"));
    change(&mut command);
    let child = command.spawn().unwrap();
    Running { child, dir }
}

/// Starts the trainer behind a shell that changes something first.
pub(crate) fn trainer_after(prelude: &str, args: &[&str]) -> Running {
    let trainer = binary("trainer");
    let script = format!("{prelude}; exec \"$0\" \"$@\"");
    start_program(
        "bash",
        &[&["-c", &script, text(&trainer)][..], args].concat(),
    )
}

/// Runs `name` with `args` to its end.
pub(crate) fn run(name: &str, args: &[&str]) -> Finished {
    start(name, args).finish()
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.dir.path().join("stdout")).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the process to end by itself.
    pub(crate) fn finish(mut self) -> Finished {
        let mut code = None;
        let name = format!("the end of pid {}", self.pid());
        until(&name, || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        let stdout = fs::read_to_string(self.dir.path().join("stdout")).unwrap();
        Finished {
            code: code.and_then(|status| status.code()),
            stdout,
            stderr: self.stderr(),
        }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Gives the process another limit of `resource` until the end of `during`.
    pub(crate) fn with_limit<T>(
        &self,
        resource: Resource,
        most: u64,
        during: impl FnOnce() -> T,
    ) -> T {
        let pid = Some(Pid::from_child(&self.child));
        let limit = Rlimit {
            current: Some(most),
            // As it is: only the superuser may raise it.
            maximum: rustix::process::getrlimit(resource).maximum,
        };
        let before = rustix::process::prlimit(pid, resource, limit).unwrap();
        let done = during();
        rustix::process::prlimit(pid, resource, before).unwrap();
        done
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until `condition` holds; panics naming `what` after the watchdog's time.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < WATCHDOG, "waited in vain for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Generates and packs a data set; returns the folder of the shards.
pub(crate) fn packed(dir: &Path, classes: u32, images: u32, px: u32) -> PathBuf {
    let source = dir.join("images");
    synth(&source, classes, images, px);
    pack(&source, &dir.join("shards"))
}

/// `shard-tool synth`.
pub(crate) fn synth(out: &Path, classes: u32, images: u32, px: u32) {
    let (classes, images, px) = (classes.to_string(), images.to_string(), px.to_string());
    let args = [
        "synth",
        text(out),
        "--classes",
        &classes,
        "--images",
        &images,
        "--px",
        &px,
        "--seed",
        "1",
    ];
    let done = run("shard-tool", &args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

/// `shard-tool pack`.
pub(crate) fn pack(source: &Path, out: &Path) -> PathBuf {
    let done = run("shard-tool", &["pack", text(source), "--out", text(out)]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    out.to_owned()
}

/// `loader serve`, once it answers.
pub(crate) fn serve(shards: &Path, socket: &Path, more: &[&str]) -> Running {
    serve_with(shards, socket, more, &[])
}

/// As [`serve`], with variables in its environment.
pub(crate) fn serve_with(
    shards: &Path,
    socket: &Path,
    more: &[&str],
    environment: &[(&str, &Path)],
) -> Running {
    let mut args = vec!["serve", text(shards), "--socket", text(socket)];
    args.extend(more);
    let mut loader = start_with("loader", &args, environment);
    until("the loader's socket", || {
        if let Some(status) = loader.child.try_wait().unwrap() {
            panic!("the loader ended with {status}: {}", loader.stderr());
        }
        status(socket).is_some()
    });
    loader
}

/// `loader status --json`; `None` when nobody answers.
pub(crate) fn status(socket: &Path) -> Option<Value> {
    let done = run("loader", &["status", "--socket", text(socket), "--json"]);
    (done.code == Some(0)).then(|| serde_json::from_str(&done.stdout).unwrap())
}

/// The training split once, in order, as 8 pixels wide evaluation views.
pub(crate) fn one_epoch_in_order(batch_size: u32) -> Subscription {
    Subscription {
        name: "test".into(),
        order: Order::Sequential,
        drop_last: false,
        ..Subscription::new("train", Recipe::evaluation(8, 8), batch_size)
    }
}

/// Arguments of a trainer that makes small steps: demo.yaml, smaller still, without validation.
pub(crate) fn tiny_trainer<'a>(shards: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "--cfg",
        "configs/demo.yaml",
        "DATA.PATH_TO_DATA_DIR",
        text(shards),
    ];
    args.extend([
        "OUTPUT_DIR",
        text(out),
        "TRAIN.BATCH_SIZE",
        "8",
        "VAL.PERIOD",
        "0",
    ]);
    args.extend(["MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE", "32"]);
    args.extend(["MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE", "16"]);
    args.extend([
        "DINOHead.OUTPUT_DIM",
        "64",
        "DINOHead.HIDDEN_SIZE",
        "32",
        "DINOHead.BOTTLENECK_DIM",
        "16",
    ]);
    args.extend(more);
    args
}

/// The lines of a run's metrics.jsonl, whole lines only.
pub(crate) fn metrics(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The losses of a run, step by step.
pub(crate) fn losses(out: &Path) -> Vec<f64> {
    metrics(out)
        .iter()
        .filter_map(|line| line["loss"].as_f64())
        .collect()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}
