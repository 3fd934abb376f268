//! Views and pixels against Pillow and torchvision, through the scripts in `scripts/reference`.
//!
//! Python is the one that `SSLIGHT_PYTHON` names, else `.venv/bin/python` of the repository; without either the tests fail.

mod draw;
mod views;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn python() -> PathBuf {
    let python = std::env::var_os("SSLIGHT_PYTHON")
        .map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    let name = python.display();
    assert!(
        python.exists(),
        "{name} is missing; run ./scripts/setup or set SSLIGHT_PYTHON"
    );
    python
}

/// Runs a script of `scripts/reference`; gives what it printed.
fn run_reference(script: &str, argument: Option<&Path>, input: &str) -> String {
    let mut child = Command::new(python())
        .arg(repository().join("scripts/reference").join(script))
        .args(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    stdin
        .write_all(input.as_bytes())
        .expect("the script reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    assert!(
        output.status.success(),
        "{script} failed, see its message above"
    );
    String::from_utf8(output.stdout).expect("the script prints text")
}
