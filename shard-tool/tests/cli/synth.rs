//! `shard-tool synth`, alone and packed.

use std::path::Path;
use std::process::{Command, Stdio};

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use shard_format::ShardSet;

use crate::harness::{Outcome, folder, names_in, pack, shard_tool, tree};

fn synth(out: &Path, more: &[&str]) -> i32 {
    let mut arguments = vec!["synth".as_ref(), out.as_os_str()];
    arguments.extend(more.iter().map(|argument| std::ffi::OsStr::new(*argument)));
    shard_tool(&arguments).code
}

#[test]
fn a_synthetic_set_is_deterministic_and_can_be_packed() {
    let dir = folder();
    let (first, second, out) = (
        dir.path().join("a"),
        dir.path().join("b"),
        dir.path().join("out"),
    );
    let options = [
        "--classes",
        "3",
        "--images",
        "4",
        "--px",
        "32",
        "--seed",
        "9",
    ];
    assert_eq!(synth(&first, &options), 0);
    assert_eq!(synth(&second, &options), 0);
    assert_eq!(tree(&first), tree(&second));
    assert_eq!(tree(&first).len(), 24);
    pack(&first, &out, &["--strict"], 0);
    for split in ["train", "val"] {
        let set = ShardSet::open(&out, split).expect("the set opens");
        assert_eq!((set.num_samples(), set.classes().len()), (12, 3));
        let sample = set.sample(0).expect("the sample is there");
        let mut image = RgbImage::new();
        let jpeg = sample.image().expect("is there");
        let outcome = Decoder::new(DEFAULT_PIXEL_LIMIT).decode(jpeg, &mut image);
        assert_eq!(outcome, Ok(image_decode::Outcome::Clean));
        assert_eq!((image.width(), image.height()), (32, 32));
    }
}

#[test]
fn too_many_classes_and_a_folder_in_use_are_usage_errors() {
    let dir = folder();
    let out = dir.path().join("out");
    assert_eq!(synth(&out, &["--classes", "61"]), 2);
    let small = ["--classes", "1", "--images", "1", "--px", "16"];
    assert_eq!(synth(&out, &small), 0);
    assert_eq!(synth(&out, &small), 2);
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let dir = folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .args(["synth", "out", "--images", "100000", "--px", "16"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("shard-tool starts");
    let first = dir.path().join(".out.partial/train");
    while !first.exists() && child.try_wait().expect("asked").is_none() {
        std::hint::spin_loop();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
    assert_eq!(outcome.code, 75, "{outcome:?}");
    assert!(
        outcome.stderr.contains("error[75]: stopped on request; "),
        "{outcome:?}"
    );
    assert_eq!(names_in(dir.path()), [""; 0]);
}
