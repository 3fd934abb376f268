//! Memory of `verify` on a set that is larger than what it may take.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{folder, jpeg, pack};

/// What `verify` may take at any size of the set.
const MOST_KIB: u64 = 200 << 10;

/// The most memory that `verify` has had when it was last asked before its end, KiB. The system keeps the peak, so that only what
/// came after that is missed.
fn peak_kib(set: &Path) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .arg("verify")
        .arg(set)
        .stdout(Stdio::null())
        .spawn()
        .expect("shard-tool starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("asked").is_none() {
        let told = fs::read_to_string(&status).unwrap_or_default();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = number.unwrap_or(peak).max(peak);
    }
    assert!(child.wait().expect("it ends").success());
    peak
}

#[test]
fn a_shard_larger_than_the_memory_it_may_take_is_verified_within_that() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    fs::create_dir_all(src.join("cat")).expect("made");
    for number in 0..320u32 {
        let path = src.join(format!("cat/{number}.jpg"));
        fs::write(&path, jpeg(number as u8)).expect("written");
        let file = File::options().write(true).open(&path).expect("opens");
        file.set_len(1 << 20).expect("grows");
    }
    pack(&src, &set, &["--shard-size", "400"], 0);
    let shard = fs::metadata(set.join("train-000000.tar")).expect("a shard");
    assert!(shard.len() >> 10 > MOST_KIB + (100 << 10));
    let peak = peak_kib(&set);
    println!("peak {} MiB", peak >> 10);
    assert!((1..MOST_KIB).contains(&peak), "{peak} KiB");
}
