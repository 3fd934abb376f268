//! The trainer's own binary, and what it leaves behind.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The program with a configuration, on the CPU; settings follow as pairs.
pub(crate) fn command(cfg: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.arg("--cfg").arg(cfg).args(more);
    command.args(["DEVICE", "cpu", "OUTPUT_DIR"]).arg(out);
    command
}

/// Runs it to its end.
pub(crate) fn run(cfg: &Path, out: &Path, more: &[&str]) -> Output {
    command(cfg, out, more).output().unwrap()
}

/// Runs it to the end of its training and returns what it showed.
#[track_caller]
pub(crate) fn trained(cfg: &Path, out: &Path, more: &[&str]) -> String {
    let done = run(cfg, out, more);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {errors}", done.status);
    String::from_utf8(done.stdout).unwrap()
}

/// The lines of `metrics.jsonl` so far.
pub(crate) fn metrics(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap_or_default();
    let lines = text
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    lines.collect()
}
