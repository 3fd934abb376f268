//! Defects of single samples.

use super::{TAR, assert_defects, assert_repairable, edit, offset, packed, verify};
use crate::harness::{cats_and_dogs, folder, jpeg, pack, put};

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
fn a_jpeg_that_cannot_be_decoded_is_told_though_its_checksum_holds() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let frame_only = [
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, 40, 0, 40, 3, 1, 17, 0, 2, 17, 0, 3, 17, 0,
    ];
    put(src.join("cat/frame.JPEG"), &frame_only);
    pack(&src, &set, &[], 0);
    let without = verify(&set, &[], 0).stdout;
    assert!(
        without.contains("1 no end marker (cut short?)"),
        "{without}"
    );
    assert_defects(
        &set,
        &["--decode"],
        &["undecodable train-000000.tar cat/frame: cannot be decoded: "],
    );
    assert_repairable(&set, 6);
}

#[test]
fn the_same_bytes_in_two_classes_are_told_for_each_copy() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("dog/cat.JPEG"), &jpeg(1));
    put(src.join("dog/again.JPEG"), &jpeg(100));
    pack(&src, &set, &[], 0);
    assert_defects(
        &set,
        &[],
        &[
            "duplicate-in-classes train-000000.tar cat/1: the same bytes are in class dog: train-000000.tar dog/cat",
            "duplicate-in-classes train-000000.tar dog/cat: the same bytes are in class cat: train-000000.tar cat/1",
        ],
    );
    let text = verify(&set, &[], 3).stdout;
    assert!(
        text.contains("note: exact copies within a class and split: "),
        "{text}"
    );
    assert_repairable(&set, 6);
}

#[test]
fn the_same_bytes_in_train_and_val_are_told_for_train() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    put(src.join("val/cat/seen.JPEG"), &jpeg(2));
    pack(&src, &set, &[], 0);
    assert_defects(
        &set,
        &[],
        &[
            "duplicate-in-splits train-000000.tar cat/2: the same bytes are in split val: val-000000.tar cat/seen",
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
