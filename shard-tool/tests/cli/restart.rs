//! `shard-tool pack` killed, and what the next one makes of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{folder, jpeg, names_in, pack, put, tree};

/// Small shards, so that a kill finds some of them finished.
const OPTIONS: [&str; 2] = ["--samples-per-shard", "40"];

fn many_images(src: &Path) {
    for number in 0..600u32 {
        let mut image = jpeg(number as u8);
        // Bytes behind the end of a JPEG are kept and make the images differ.
        image.extend((0..20_000).map(|byte| (byte as u32 ^ number) as u8));
        put(
            src.join(format!("class {}/{number}.JPEG", number % 7)),
            &image,
        );
    }
    put(src.join("class 0/text.JPEG"), b"text");
}

/// Starts packing and kills it after this time; says whether it was still running.
fn pack_and_kill(src: &Path, out: &Path, after: Duration) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .arg("pack")
        .args([src, "--out".as_ref(), out])
        .args(OPTIONS)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("shard-tool starts");
    let started = Instant::now();
    while started.elapsed() < after {
        std::hint::spin_loop();
    }
    child.kill().expect("it is killed or has ended");
    !child.wait().expect("it ends").success()
}

#[test]
fn killed_at_any_moment_the_next_packing_ends_with_the_same_bytes() {
    const NUM_KILLS: u32 = 50;
    let dir = folder();
    let (src, whole) = (dir.path().join("src"), dir.path().join("whole"));
    many_images(&src);
    let started = Instant::now();
    pack(&src, &whole, &OPTIONS, 0);
    let duration = started.elapsed();
    let expected = tree(&whole);
    let (mut num_killed, mut num_resumed) = (0, 0);
    for kill in 0..NUM_KILLS {
        let out = dir.path().join(format!("killed-{kill}"));
        // Spread over the whole packing, and a little beyond.
        let was_killed = pack_and_kill(&src, &out, duration.mul_f64(f64::from(kill + 1) / 45.0));
        if was_killed && !out.join("manifest.json").exists() {
            num_killed += 1;
            let outcome = pack(&src, &out, &OPTIONS, 0);
            num_resumed += u32::from(outcome.stderr.contains("going on after"));
            assert!(outcome.stderr.contains("1 file skipped"), "{outcome:?}");
        }
        fs::remove_file(out.join(".packing.jsonl")).ok();
        assert!(tree(&out) == expected, "killed at {kill} of {NUM_KILLS}");
        fs::remove_dir_all(&out).expect("removed");
    }
    println!("{num_killed} of {NUM_KILLS} were killed in time, {num_resumed} went on");
    assert!(
        num_killed > 10 && num_resumed > 0,
        "{num_killed} {num_resumed}"
    );
}

/// Packs all of it, then takes the names away again, as if it had been killed before the end.
fn unfinished(src: &Path, out: &Path) {
    let mut duration = Duration::from_millis(2);
    loop {
        let was_killed = pack_and_kill(src, out, duration);
        let journal = fs::read_to_string(out.join(".packing.jsonl")).unwrap_or_default();
        if was_killed && journal.lines().count() > 3 {
            return;
        }
        assert!(
            duration < Duration::from_secs(60),
            "no kill left finished shards"
        );
        fs::remove_dir_all(out).ok();
        duration = if was_killed {
            duration.mul_f64(1.3)
        } else {
            duration.mul_f64(0.7)
        };
    }
}

#[test]
fn a_source_that_changed_since_is_packed_as_it_is_now() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    many_images(&src);
    unfinished(&src, &out);
    for number in 0..600 {
        let path = src.join(format!("class {}/{number}.JPEG", number % 7));
        fs::write(path, jpeg(7)).expect("written");
    }
    pack(&src, &out, &OPTIONS, 0);
    let fresh = dir.path().join("fresh");
    pack(&src, &fresh, &OPTIONS, 0);
    assert!(tree(&out) == tree(&fresh));
}

#[test]
fn ctrl_c_ends_with_75_and_the_same_command_goes_on() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    many_images(&src);
    let mut child = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .arg("pack")
        .args([src.as_path(), "--out".as_ref(), out.as_path()])
        .args(OPTIONS)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("shard-tool starts");
    while !out.join(".packing.jsonl").exists() && child.try_wait().expect("asked").is_none() {
        std::hint::spin_loop();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).ok();
    let outcome = crate::harness::Outcome::from(child.wait_with_output().expect("it ends"));
    assert!(matches!(outcome.code, 0 | 75), "{outcome:?}");
    if outcome.code == 75 {
        assert!(
            outcome.stderr.contains("run the same command again"),
            "{outcome:?}"
        );
        pack(&src, &out, &OPTIONS, 0);
    }
    let fresh = dir.path().join("fresh");
    pack(&src, &fresh, &OPTIONS, 0);
    assert!(tree(&out) == tree(&fresh));
}

#[test]
fn other_options_start_anew() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    many_images(&src);
    unfinished(&src, &out);
    let outcome = pack(&src, &out, &["--samples-per-shard", "41"], 0);
    assert!(!outcome.stderr.contains("going on after"), "{outcome:?}");
    let fresh = dir.path().join("fresh");
    pack(&src, &fresh, &["--samples-per-shard", "41"], 0);
    assert!(tree(&out) == tree(&fresh));
    assert!(names_in(&out).iter().all(|name| !name.starts_with('.')));
}
