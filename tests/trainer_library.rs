//! Where libtorch is missing or another one, the trainer says so before it starts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::{Finished, binary, run, start_as, start_program, text};

/// `trainer --version`, with this LIBTORCH or none.
fn version_with(libtorch: Option<&Path>) -> Finished {
    let running = start_as("trainer", &["--version"], |command| match libtorch {
        Some(folder) => command.env("LIBTORCH", folder),
        None => command.env_remove("LIBTORCH"),
    });
    running.finish()
}

fn assert_unusable(done: &Finished, words: &[&str]) {
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    for word in ["error[5]: ", "LIBTORCH", "./scripts/setup"]
        .iter()
        .chain(words)
    {
        assert!(done.stderr.contains(word), "`{word}` in: {}", done.stderr);
    }
}

#[test]
fn libtorch_is_found_where_it_was_built_with_and_where_libtorch_says() {
    let built_with = version_with(None);
    assert!(
        built_with.stdout.starts_with("trainer "),
        "{}",
        built_with.stderr
    );
    let torch = std::env::var_os("LIBTORCH").expect("cargo sets it");
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    symlink(fs::canonicalize(torch).unwrap(), &elsewhere).unwrap();
    assert_eq!(version_with(Some(&elsewhere)).code, Some(0));
}

#[test]
fn a_missing_libtorch_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let done = version_with(Some(dir.path()));
    let lib = dir.path().join("lib");
    assert_unusable(&done, &["is not there", "libtorch_cpu.so", text(&lib)]);
}

#[test]
fn another_version_of_libtorch_is_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("lib")).unwrap();
    fs::write(dir.path().join("lib/libtorch_cpu.so"), "").unwrap();
    let words = ["2.11 is needed", "2.10.0+cu130 was found"];
    let of_archive = dir.path().join("build-version");
    fs::write(&of_archive, "2.10.0+cu130\n").unwrap();
    assert_unusable(&version_with(Some(dir.path())), &words);
    fs::remove_file(of_archive).unwrap();
    let of_package = "from typing import Optional\n__version__ = '2.10.0+cu130'\n";
    fs::write(dir.path().join("version.py"), of_package).unwrap();
    assert_unusable(&version_with(Some(dir.path())), &words);
}

#[test]
fn a_trainer_that_was_copied_without_its_other_half_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("trainer");
    fs::copy(binary("trainer"), &copy).unwrap();
    let done = start_program(text(&copy), &["--version"]).finish();
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert!(done.stderr.contains("trainer-torch"), "{}", done.stderr);
}

#[test]
fn the_doctor_tells_what_a_run_would_compute_with() {
    let done = run("trainer", &["doctor"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let torch = std::env::var_os("LIBTORCH").expect("cargo sets it");
    let torch = fs::canonicalize(torch).unwrap();
    let line = |what: &str| {
        let line = done.stdout.lines().find(|line| line.starts_with(what));
        line.unwrap_or_else(|| panic!("`{what}` in: {}", done.stdout))
    };
    let loaded = line("libtorch ");
    assert!(loaded.contains(" 2.11."), "{loaded}");
    assert!(loaded.contains(text(&torch)), "{loaded}");
    assert!(line("loader ").ends_with("/loader"), "{}", done.stdout);
    // Which half of libtorch is there depends on what was installed; which is loaded, on the driver.
    let has_cuda_half = torch.join("lib/libtorch_cuda.so").exists();
    let has_driver =
        fs::exists("/proc/driver/nvidia").unwrap() || fs::exists("/dev/nvidiactl").unwrap();
    let wanted = match (has_cuda_half, has_driver) {
        (false, _) => "for CPUs alone",
        (true, false) => "is there and not loaded",
        (true, true) => "is loaded",
    };
    assert!(line("CUDA libraries").contains(wanted), "{}", done.stdout);
}
