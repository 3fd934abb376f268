//! Defects of whole files, and of the manifest.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use shard_format::{Fault, ShardSet};

use super::{
    INDEX, TAR, assert_defects, assert_repairable, defects, edit, edit_manifest, offset, packed,
    packed_in_shards, reindex, report, verify,
};
use crate::harness::{Outcome, cats_and_dogs, folder, jpeg, pack, put, tree};

#[test]
fn a_sound_set_is_told_with_its_tables() {
    let (_dir, set) = packed();
    let text = verify(&set, &["--decode"], 0).stdout;
    for told in [
        "train: 6 images",
        "6 jpeg-baseline",
        "6 ycbcr",
        "min 12, median 12, max 12",
        "7 side under 32 pixels",
        "sound; 7 images decoded in 2 shards",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(report(&set, &["--repair"], 0)["repaired"], Value::Null);
}

#[test]
fn a_flipped_byte_of_an_index_is_found_and_the_index_made_anew() {
    let (_dir, set) = packed();
    let before = fs::read(set.join(INDEX)).expect("read");
    edit(set.join(INDEX), |bytes| bytes[100] ^= 1);
    assert_defects(
        &set,
        &[],
        &["index train-000000.idx -: the body of the index is damaged"],
    );
    assert_repairable(&set, 7);
    assert_eq!(fs::read(set.join(INDEX)).expect("read"), before);
    fs::remove_file(set.join(INDEX)).expect("removed");
    assert_defects(
        &set,
        &[],
        &["file train-000000.idx -: a file of the set is missing"],
    );
    assert_repairable(&set, 7);
}

#[test]
fn a_truncated_tar_is_told_with_every_sample_that_it_lost() {
    let (_dir, set) = packed();
    let (last, length, before) = {
        let train = ShardSet::open(&set, "train").expect("the set opens");
        let sample = train.sample(5).expect("a sample");
        let before = train.sample(4).expect("a sample").key.to_owned();
        let length = sample.image().expect("is there").len();
        let last = (sample.key.to_owned(), sample.offset as usize);
        (last, length, before)
    };
    edit(set.join(TAR), |bytes| bytes.truncate(last.1 + 100));
    assert_defects(
        &set,
        &[],
        &[
            &format!("bytes {TAR} {}: the image lies beyond the end", last.0),
            "size train-000000.tar -: the file is cut short",
            &format!(
                "tar train-000000.tar -: it is cut short: 100 of {length} bytes of a member are there, \
                 last good member {before}.cls at offset {}",
                last.1 - 1536
            ),
        ],
    );
    let header = last.1 as u64 - 512;
    let told = verify(&set, &[], 3).stdout;
    assert!(
        told.contains(&format!("bad: {TAR} offset {header}: it is cut short: ")),
        "{told}"
    );
    assert_repairable(&set, 6);
}

#[test]
fn a_missing_shard_is_one_defect_and_the_others_are_looked_at() {
    let (_dir, set) = packed_in_shards();
    fs::remove_file(set.join(TAR)).expect("removed");
    edit(set.join("train-000002.tar"), |bytes| bytes[2_000] ^= 1);
    let found = defects(&set, &[]);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("bytes train-000002.tar cat/"));
    assert!(found[1].starts_with("digest train-000002.tar -"));
    assert!(found[2].starts_with("file train-000000.tar -: a file of the set is missing"));
    assert_eq!(
        report(&set, &["--repair"], 0)["repaired"]["num_samples_left"],
        2
    );
    let after = verify(&set, &[], 0).stdout;
    assert!(after.contains("note: train-000000.idx is in the folder and not in the manifest"));
    assert_eq!(
        ShardSet::open(&set, "train").expect("opens").num_samples(),
        2
    );
}

#[test]
fn a_changed_tar_header_is_told_and_what_follows_is_still_seen() {
    let (_dir, set) = packed();
    let header = offset(&set, "dog/0") - 512;
    edit(set.join(TAR), |bytes| bytes[header + 100] ^= 1);
    assert_defects(
        &set,
        &[],
        &[
            "digest train-000000.tar",
            "member train-000000.tar dog/0: no sound member of the tar starts here",
            "tar train-000000.tar -: the checksum of a header differs",
        ],
    );
    assert_repairable(&set, 6);
}

#[test]
fn an_index_that_was_made_for_another_tar_is_told() {
    let (_dir, set) = packed();
    reindex(&set, |_| (), |(_, digest)| *digest ^= 1);
    assert_defects(
        &set,
        &[],
        &["index train-000000.idx -: the index was made for another tar than the manifest states"],
    );
    assert_repairable(&set, 7);
}

#[test]
fn a_set_is_not_repaired_while_another_process_writes_into_its_folder() {
    let (_dir, set) = packed();
    fs::remove_file(set.join(INDEX)).expect("removed");
    let before = tree(&set);
    let lock = shard_format::folder::lock_folder(&set).expect("the lock");
    let outcome = verify(&set, &["--repair"], 4);
    assert!(
        outcome
            .stderr
            .contains("another process writes into this folder"),
        "{outcome:#?}"
    );
    assert_eq!(outcome.stdout, "", "it is not even looked at");
    assert_eq!(tree(&set), before);
    verify(&set, &[], 3);
    drop(lock);
    assert_repairable(&set, 7);
}

#[test]
fn counts_in_the_manifest_that_lie_are_told() {
    let (_dir, set) = packed();
    edit_manifest(&set, |manifest| {
        manifest["splits"]["train"]["num_samples"] = 5.into();
    });
    assert_defects(
        &set,
        &[],
        &["manifest manifest.json -: the shards of `train` do not sum to its number of samples"],
    );
    edit_manifest(&set, |manifest| {
        let train = &mut manifest["splits"]["train"];
        train["shards"][0]["num_samples"] = 5.into();
        train["kinds"] = serde_json::json!({"png": 6});
    });
    assert_defects(
        &set,
        &[],
        &[
            "manifest manifest.json -: the table of kinds of `train`",
            "manifest train-000000.idx -: the manifest says 5 samples, the index has 6",
        ],
    );
    assert_repairable(&set, 7);
}

#[test]
fn a_manifest_that_leads_out_of_the_folder_is_not_followed() {
    let (dir, set) = packed();
    fs::copy(set.join(TAR), dir.path().join(TAR)).expect("copied");
    edit_manifest(&set, |manifest| {
        manifest["splits"]["train"]["shards"][0]["file"] = "../train-000000.tar".into();
    });
    let report = report(&set, &[], 3);
    assert_eq!(report["num_images"], 1);
    assert_eq!(
        report["defects"][0]["reason"],
        "shard 0 of `train` is called `../train-000000.tar` and its index `train-000000.idx`"
    );
}

#[test]
fn a_set_without_a_good_sample_is_left_as_it_is() {
    let (_dir, set) = packed_in_shards();
    for number in 0..4 {
        fs::remove_file(set.join(format!("train-00000{number}.tar"))).expect("removed");
    }
    let before = tree(&set);
    let outcome = verify(&set, &["--repair"], 3);
    assert!(
        outcome
            .stderr
            .contains("the set cannot be repaired: no sample is good"),
        "{outcome:#?}"
    );
    assert_eq!(tree(&set), before);
}

#[test]
fn a_folder_that_is_no_set_is_told() {
    let dir = folder();
    let outcome = verify(dir.path(), &[], 3);
    assert!(
        outcome
            .stderr
            .starts_with("error[3]: there is no manifest.json")
    );
}

#[test]
fn several_defects_are_all_told_and_repaired_at_once() {
    let (_dir, set) = packed();
    let [bytes_at, header] = [offset(&set, "cat/1"), offset(&set, "dog/0") - 512];
    let label = offset(&set, "cat/2") + jpeg(2).len().next_multiple_of(512) + 512;
    edit(set.join(TAR), |bytes| {
        bytes[bytes_at + 300] ^= 1;
        bytes[header] ^= 1;
        bytes[label] ^= 4;
    });
    edit(set.join("val-000000.idx"), |bytes| bytes.truncate(90));
    assert_defects(
        &set,
        &["--decode"],
        &[
            "bytes train-000000.tar cat/1",
            "digest train-000000.tar -",
            "index val-000000.idx -",
            "label train-000000.tar cat/2",
            "member train-000000.tar dog/0",
            "tar train-000000.tar -",
        ],
    );
    assert_repairable(&set, 4);
}

#[test]
fn a_repair_that_was_cut_off_before_its_manifest_is_completed_by_the_next() {
    let (_dir, set) = packed();
    let at = offset(&set, "cat/1");
    edit(set.join(TAR), |bytes| bytes[at + 300] ^= 1);
    let old_manifest = fs::read(set.join("manifest.json")).expect("read");
    verify(&set, &["--repair"], 0);
    let repaired = tree(&set);
    edit(set.join("manifest.json"), |bytes| *bytes = old_manifest);
    verify(&set, &[], 3);
    assert_repairable(&set, 6);
    assert_eq!(tree(&set), repaired);
}

#[test]
fn what_a_repair_has_dropped_does_not_come_back_with_a_lost_index() {
    let (_dir, set) = packed();
    let sample = offset(&set, "cat/1");
    edit(set.join(TAR), |bytes| bytes[sample + 300] ^= 1);
    assert_repairable(&set, 6);
    let sound = tree(&set);
    edit(set.join(INDEX), |bytes| bytes[100] ^= 1);
    let refused = verify(&set, &["--repair"], 3).stderr;
    assert!(
        refused
            .contains("train-000000.idx is of no use, and listed other samples than its tar has"),
        "{refused}"
    );
    put(set.join(INDEX), &sound[Path::new(INDEX)]);
    assert_eq!(tree(&set), sound);
}

#[test]
fn a_shard_that_cannot_be_read_is_not_dropped() {
    let (_dir, set) = packed();
    let tar = fs::read(set.join(TAR)).expect("read");
    fs::remove_file(set.join(TAR)).expect("removed");
    fs::create_dir(set.join(TAR)).expect("made");
    let refused = verify(&set, &["--repair"], 3).stderr;
    assert!(
        refused.contains("train-000000.tar cannot be read"),
        "{refused}"
    );
    fs::remove_dir(set.join(TAR)).expect("removed");
    put(set.join(TAR), &tar);
    verify(&set, &[], 0);
}

#[test]
fn no_room_to_unpack_is_no_defect_of_the_set() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    pack(&src, &set, &["--compress", "zstd"], 0);
    let before = tree(&set);
    let line = "trap '' XFSZ; ulimit -f 1; exec \"$0\" verify --repair \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_shard-tool")]);
    let outcome: Outcome = command.arg(&set).output().expect("a shell").into();
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert_eq!(tree(&set), before);
}

#[test]
fn a_manifest_that_was_changed_is_told_and_not_repaired() {
    let (_dir, set) = packed();
    edit(set.join("manifest.json"), |bytes| {
        let at = bytes
            .windows(5)
            .position(|word| word == b"\"cat\"")
            .expect("the class");
        bytes[at + 1] = b'b';
    });
    let told = "manifest manifest.json -: it is damaged, or was changed by hand";
    assert_defects(&set, &[], &[told]);
    let opened = ShardSet::open(&set, "train");
    assert!(opened.is_err_and(|error| error.fault() == Fault::Manifest));
    let before = tree(&set);
    let refused = verify(&set, &["--repair"], 3).stderr;
    assert!(
        refused.contains("manifest.json is damaged, or was changed by hand"),
        "{refused}"
    );
    assert_eq!(tree(&set), before);
}
