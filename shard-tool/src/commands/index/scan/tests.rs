use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::commands::index::options::IndexOptions;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x05\0\0\0\x04\x08\x02\0\0\0";

fn tar_of(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_slice())
            .expect("added");
    }
    tar.into_inner().expect("ended")
}

fn scan(tar: &[u8], allow_damaged: bool) -> Result<(Scanned, String), ToolError> {
    let options = IndexOptions {
        pattern: None,
        split: Vec::new(),
        classes: None,
        label_field: None,
        allow_damaged,
        overwrite: false,
        again: None,
        json: false,
    };
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(tar).expect("written");
    let mut notes = Reasons::default();
    let scanned = Scan {
        dir: Path::new("set"),
        file: "a.tar",
        bytes_before: 0,
        allow_damaged,
        labels: &mut Labels::new(&options)?,
        notes: &mut notes,
        progress: &mut Progress::over_bytes("indexing", tar.len() as u64),
    }
    .run(&MappedFile::open(file.path())?)?;
    Ok((
        scanned,
        notes.to_text(|number, reason| format!("{reason}: {number}")),
    ))
}

fn sample(key: usize) -> [(String, Vec<u8>); 2] {
    [
        (format!("{key}.png"), PNG.to_vec()),
        (format!("{key}.cls"), b"1".to_vec()),
    ]
}

#[test]
fn the_digest_is_that_of_the_whole_tar_even_if_it_is_damaged() {
    let tar = tar_of(&[sample(0), sample(1)].concat());
    let digest = |tar: &[u8]| scan(tar, true).expect("scanned").0.digest.digest();
    for length in [tar.len(), 2_500, 1_000, 0] {
        let expected = xxhash_rust::xxh3::xxh3_64(&tar[..length]);
        assert_eq!(digest(&tar[..length]), expected, "{length}");
    }
}

#[test]
fn a_sample_of_very_many_members_takes_no_time() {
    let member = |number: usize| (format!("key.{number}"), Vec::new());
    let mut members: Vec<_> = (0..100_000).map(member).collect();
    members.extend(sample(0));
    let (scanned, notes) = scan(&tar_of(&members), false).expect("scanned");
    assert_eq!(scanned.num_samples, 1);
    assert!(
        notes.contains("without image: 1\n    a.tar key at offset 0"),
        "{notes}"
    );
}

proptest! {
    #[test]
    fn a_damaged_tar_never_makes_it_panic(
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut tar = tar_of(&[sample(0), sample(1), sample(2)].concat());
        tar.truncate(cut.index(tar.len()) + 1);
        for (at, byte) in flips {
            let at = at.index(tar.len());
            tar[at] = byte;
        }
        let strict = scan(&tar, false).map(|(scanned, _)| scanned.num_samples);
        if let Ok((accepted, _)) = scan(&tar, true) {
            prop_assert!(accepted.num_samples <= 3);
            prop_assert!(strict.is_err() || strict.is_ok_and(|strict| strict == accepted.num_samples));
        }
    }

    #[test]
    fn every_image_is_found_with_its_label_whatever_lies_between(
        members in prop::collection::vec(("[a-c]{1,3}", prop::sample::select(vec!["txt", "seg.png", "webp"])), 0..8)
    ) {
        let mut all = Vec::new();
        for (number, (key, extension)) in members.iter().enumerate() {
            all.push((format!("{key}.{extension}"), b"text".to_vec()));
            all.extend(sample(number));
        }
        let (scanned, _) = scan(&tar_of(&all), false).expect("scanned");
        prop_assert_eq!(scanned.num_samples, members.len() as u64);
    }
}
