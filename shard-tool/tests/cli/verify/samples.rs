//! Defects of single samples.

use shard_format::Entry;

use super::{
    TAR, assert_defects, assert_repairable, edit, edit_manifest, offset, packed, reindex, report,
    verify,
};
use crate::harness::jpeg;

#[test]
fn a_flipped_byte_of_an_image_is_named_and_dropped() {
    let (_dir, set) = packed();
    let at = offset(&set, "cat/1");
    edit(set.join(TAR), |bytes| bytes[at + 300] ^= 1);
    assert_defects(
        &set,
        &[],
        &[
            "bytes train-000000.tar cat/1: the image bytes are damaged",
            "digest train-000000.tar -: bytes have changed",
        ],
    );
    let text = verify(&set, &[], 3);
    assert!(
        text.stdout
            .contains(&format!("bad: {TAR} cat/1 offset {at}: ")),
        "{text:#?}"
    );
    assert!(text.stderr.contains("error[3]: 2 defects, 1 bad sample; "));
    assert_repairable(&set, 6);
    let notes = verify(&set, &[], 0).stdout;
    assert!(
        notes.contains("note: train-000000.tar: 2 members of the tar are not in the index"),
        "{notes}"
    );
}

#[test]
fn a_label_that_differs_from_the_index_is_told() {
    let (_dir, set) = packed();
    let (image, cls) = (offset(&set, "cat/1"), b'1');
    let label = image + jpeg(1).len().next_multiple_of(512) + 512;
    edit(set.join(TAR), |bytes| {
        assert_eq!(bytes[label], b'0');
        bytes[label] = cls;
    });
    assert_defects(
        &set,
        &[],
        &[
            "digest train-000000.tar",
            "label train-000000.tar cat/1: the tar says label \"1\", the index 0",
        ],
    );
    assert_repairable(&set, 6);
}

#[test]
fn a_member_of_another_name_is_told() {
    let (_dir, set) = packed();
    let header = offset(&set, "dog/0") - 512;
    edit(set.join(TAR), |bytes| {
        let mut changed = tar::Header::new_gnu();
        changed
            .as_mut_bytes()
            .copy_from_slice(&bytes[header..header + 512]);
        changed.set_path("dog/9.jpg").expect("a name");
        changed.set_cksum();
        bytes[header..header + 512].copy_from_slice(changed.as_bytes());
    });
    assert_defects(
        &set,
        &[],
        &[
            "digest train-000000.tar",
            "member train-000000.tar dog/0: the tar calls this member `dog/9.jpg`",
        ],
    );
    assert_repairable(&set, 6);
}

#[test]
fn an_image_of_another_size_than_the_index_says_is_told() {
    let (_dir, set) = packed();
    let stretch = |entries: &mut Vec<(Entry, String)>| {
        let (entry, _) = entries
            .iter_mut()
            .find(|(_, key)| key == "cat/2")
            .expect("the key");
        entry.header.width += 1;
    };
    reindex(&set, stretch, |_| ());
    assert_defects(
        &set,
        &[],
        &[
            "header train-000000.tar cat/2: the index says jpeg-baseline ycbcr 8 bits 13x8, \
             the image is jpeg-baseline ycbcr 8 bits 12x8",
        ],
    );
    assert_repairable(&set, 6);
}

#[test]
fn a_label_without_class_is_told_for_each_sample() {
    let (_dir, set) = packed();
    edit_manifest(&set, |manifest| {
        manifest["classes"] = serde_json::json!(["cat"]);
    });
    assert_defects(
        &set,
        &[],
        &[
            "label train-000000.tar dog/0: label 1 has no class",
            "label train-000000.tar dog/1: label 1 has no class",
            "label train-000000.tar dog/2: label 1 has no class",
            "label val-000000.tar dog/7: label 1 has no class",
        ],
    );
    let repaired = report(&set, &["--repair"], 0);
    assert_eq!(repaired["repaired"]["num_samples_left"], 3);
    assert_eq!(report(&set, &["--decode"], 0)["num_images"], 3);
}
