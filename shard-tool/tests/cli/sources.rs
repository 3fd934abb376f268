//! Sources of other kinds, and what holds for all of them.

use std::fs;
use std::process::{Command, Stdio};

use crate::harness::{
    Outcome, cats_and_dogs, classes_and_keys, folder, jpeg, pack, put, python, repository, samples,
    shard_tool, tree,
};

#[test]
fn hdf5_files_of_the_reference_are_streamed_in() {
    let dir = folder();
    let (src, file) = (dir.path().join("src"), dir.path().join("train.h5"));
    cats_and_dogs(&src.join("train"));
    let script = "
import sys, pathlib, h5py, numpy
source = pathlib.Path(sys.argv[1])
with h5py.File(sys.argv[2], 'w') as file:
    for image in sorted(source.glob('*/*')):
        group = file.require_group(image.parent.name)
        group.create_dataset(image.name, data=numpy.frombuffer(image.read_bytes(), dtype='uint8'))";
    let arguments = [src.join("train"), file.clone()];
    let written = Command::new(python())
        .args(["-c", script])
        .args(arguments)
        .status();
    assert!(written.expect("python runs").success());
    let script = repository().join("scripts/hdf5-to-tar");
    let mut stream = Command::new(python())
        .arg(script)
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script starts");
    let packed = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .args(["pack", "-", "--out"])
        .arg(dir.path().join("stream"))
        .stdin(stream.stdout.take().expect("a pipe"))
        .output()
        .expect("shard-tool runs");
    assert!(
        packed.status.success() && stream.wait().expect("it ends").success(),
        "{packed:?}"
    );
    pack(&src, &dir.path().join("folders"), &[], 0);
    assert!(tree(&dir.path().join("stream")) == tree(&dir.path().join("folders")));
}

#[test]
fn compressed_shards_give_the_samples_of_plain_ones() {
    let dir = folder();
    let (src, plain, small) = (
        dir.path().join("src"),
        dir.path().join("plain"),
        dir.path().join("small"),
    );
    for number in 0..20u8 {
        let mut image = jpeg(number);
        image.extend(vec![number; 30_000]);
        put(src.join(format!("cat/{number}.JPEG")), &image);
    }
    pack(&src, &plain, &[], 0);
    pack(
        &src,
        &small,
        &["--compress", "zstd:9", "--samples-per-shard", "7"],
        0,
    );
    assert_eq!(samples(&small, "train"), samples(&plain, "train"));
    let shard = small.join("train-000001.tar.zst");
    assert!(fs::metadata(&shard).expect("is there").len() < 40_000);
    let check = |code: i32| {
        let outcome = shard_tool(&["verify".as_ref(), small.as_os_str()]);
        assert_eq!(outcome.code, code, "{outcome:?}");
        outcome
    };
    check(0);
    let mut bytes = fs::read(&shard).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    put(&shard, &bytes);
    assert!(check(3).stdout.contains("train-000001.tar.zst"));
    for from_indexes_alone in ["stat", "list"] {
        let outcome = shard_tool(&[from_indexes_alone.as_ref(), small.as_os_str()]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
    }
    let copies = dir.path().join("copies");
    let unpack = ["unpack".as_ref(), small.as_os_str(), copies.as_os_str()];
    let outcome = shard_tool(&unpack);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(
        outcome.stderr.contains("the compressed shard is damaged"),
        "{outcome:?}"
    );
}

#[test]
fn no_room_to_unpack_is_a_lack_of_resources_and_not_a_damaged_shard() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    pack(&src, &out, &["--compress", "zstd"], 0);
    // The signal for a file beyond the limit is ignored, so that writing fails as on a full disk.
    let line = "trap '' XFSZ; ulimit -f 1; exec \"$0\" cat \"$1\" cat/1";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_shard-tool")]);
    let outcome: Outcome = command.arg(&out).output().expect("a shell").into();
    assert_eq!(outcome.code, 4, "{outcome:?}");
    for words in ["bytes needed", "free", "TMPDIR", "File too large"] {
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
}

#[test]
fn a_dry_run_tells_what_packing_then_does() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("cat/text.JPEG"), b"text");
    let more = ["--dry-run", "--json", "--samples-per-shard", "4"];
    let forecast = pack(&src, &out, &more, 0);
    assert!(!out.exists());
    let forecast: serde_json::Value = serde_json::from_str(&forecast.stdout).expect("JSON");
    let packed = pack(&src, &out, &more[1..], 0);
    let packed: serde_json::Value = serde_json::from_str(&packed.stdout).expect("JSON");
    for field in ["num_samples", "num_shards", "num_bytes"] {
        assert_eq!(
            forecast["splits"]["train"][field], packed["splits"]["train"][field],
            "{field}"
        );
    }
    assert_eq!(forecast["num_skipped"], 1);
}

#[test]
fn several_sources_become_one_set_and_a_name_that_occurs_twice_is_refused() {
    let dir = folder();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    put(one.join("cat/a.JPEG"), &jpeg(1));
    put(two.join("cat/b.JPEG"), &jpeg(2));
    put(two.join("dog/a.JPEG"), &jpeg(3));
    let run = |out: &str| {
        let out = dir.path().join(out);
        let arguments = [
            "pack".as_ref(),
            one.as_os_str(),
            two.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ];
        (shard_tool(&arguments), out)
    };
    let (outcome, out) = run("out");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(classes_and_keys(&out, "train").len(), 3);
    put(two.join("cat/a.JPEG"), &jpeg(4));
    let (outcome, _) = run("again");
    assert!(
        outcome.code == 3 && outcome.stderr.contains("two/cat/a.JPEG"),
        "{outcome:?}"
    );
}
