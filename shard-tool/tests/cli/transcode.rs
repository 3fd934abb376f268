//! What is changed in images on their way into a shard.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::ImageFormat;
use shard_format::{ImageKind, Manifest, ShardSet};

use crate::harness::{encoded, folder, jpeg, large_jpeg, pack, put, python, samples};

#[test]
fn transcoding_changes_what_is_no_ordinary_jpeg_and_nothing_else() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("cat/a.JPEG"), &encoded(9, ImageFormat::Png));
    put(src.join("cat/b.JPEG"), &encoded(9, ImageFormat::Gif));
    put(src.join("cat/c.JPEG"), &jpeg(3));
    pack(&src, &out, &["--transcode"], 0);
    let manifest = Manifest::load(&out).expect("loads");
    assert_eq!(manifest.splits["train"].kinds["jpeg-baseline"], 3);
    assert_eq!(samples(&out, "train")[2].2, jpeg(3));
    let small = dir.path().join("small");
    pack(&src, &small, &["--resize-short", "4"], 0);
    let set = ShardSet::open(&small, "train").expect("opens");
    for id in 0..set.num_samples() {
        let sample = set.sample(id).expect("the sample");
        assert_eq!(
            (
                sample.header.kind,
                sample.header.width,
                sample.header.height
            ),
            (ImageKind::JpegBaseline, 6, 4)
        );
    }
}

/// A JPEG whose frame says that it is hierarchical, which nothing decodes.
fn hierarchical(tone: u8) -> Vec<u8> {
    let mut bytes = jpeg(tone);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]);
    bytes[frame.expect("a frame header") + 1] = 0xc5;
    bytes
}

#[test]
fn what_cannot_be_decoded_keeps_its_bytes_unless_it_must_shrink() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("cat/a.JPEG"), &hierarchical(3));
    put(src.join("cat/b.JPEG"), &jpeg(4));
    let outcome = pack(
        &src,
        &out,
        &["--transcode", "--max-side", "12", "--strict"],
        0,
    );
    assert!(
        outcome
            .stderr
            .contains("in spite of --transcode: 1 jpeg-hierarchical\n"),
        "{outcome:?}"
    );
    assert_eq!(samples(&out, "train")[0].2, hierarchical(3));
    let small = pack(&src, &dir.path().join("small"), &["--max-side", "6"], 0);
    assert!(
        small
            .stderr
            .contains("1 file skipped: cannot be changed: the jpeg cannot be decoded"),
        "{small:?}"
    );
}

#[test]
fn a_quality_that_nothing_needs_is_told() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("cat/a.JPEG"), &jpeg(3));
    let told = |more: &[&str]| {
        let outcome = pack(&src, &out, &[more, &["--overwrite"]].concat(), 0);
        outcome.stderr.contains("--quality has no effect")
    };
    assert!(told(&["--quality", "80"]));
    assert!(!told(&["--quality", "80", "--transcode"]));
    assert!(!told(&[]));
}

/// Writes CMYK JPEGs with Pillow: as it makes them, with Adobe's marker, and without the marker; and YCCK by its marker.
fn four_inks(dir: &Path) {
    let script = "
import io, pathlib, sys
from PIL import Image
image = Image.new('CMYK', (32, 16), (200, 30, 60, 10))
image.paste((10, 180, 90, 70), (16, 0, 32, 16))
file = io.BytesIO()
image.save(file, 'JPEG', quality=95, subsampling=0)
marked = file.getvalue()
at = marked.index(b'Adobe') - 4
length = int.from_bytes(marked[at + 2:at + 4], 'big')
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / 'marked.JPEG').write_bytes(marked)
(folder / 'unmarked.JPEG').write_bytes(marked[:at] + marked[at + 2 + length:])
transform = at + 4 + 11
(folder / 'ycck.JPEG').write_bytes(marked[:transform] + b'\\2' + marked[transform + 1:])";
    let written = Command::new(python())
        .args(["-c", script])
        .arg(dir)
        .status();
    assert!(written.expect("python runs").success());
}

#[test]
fn four_inks_become_the_colours_that_pillow_gives_with_and_without_adobes_marker() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    four_inks(&src.join("cat"));
    pack(&src, &out, &["--transcode", "--quality", "100"], 0);
    let manifest = Manifest::load(&out).expect("loads");
    assert_eq!(manifest.splits["train"].colours["ycbcr"], 3);
    let script = "
import sys
from PIL import Image
for path in sys.argv[1:]:
    image = Image.open(path).convert('RGB')
    print(*image.getpixel((4, 8)), *image.getpixel((28, 8)))";
    let colours = |paths: &[&Path]| -> Vec<Vec<i32>> {
        let printed = Command::new(python())
            .args(["-c", script])
            .args(paths)
            .output();
        let printed = String::from_utf8(printed.expect("python runs").stdout).expect("text");
        let number = |word: &str| word.parse().expect("a number");
        let lines = printed.lines();
        lines
            .map(|line| line.split(' ').map(number).collect())
            .collect()
    };
    let packed = samples(&out, "train");
    assert_eq!(packed.len(), 3);
    for (_, key, image) in packed {
        let (ours, theirs) = (dir.path().join("ours.jpg"), src.join(format!("{key}.JPEG")));
        fs::write(&ours, image).expect("written");
        let colours = colours(&[&ours, &theirs]);
        let differences = colours[0]
            .iter()
            .zip(&colours[1])
            .map(|(a, b)| (a - b).abs());
        assert!(
            differences.max().expect("colours") <= 4,
            "{key}: {colours:?}"
        );
    }
}

#[test]
fn an_image_that_is_cut_short_is_not_made_a_whole_one() {
    let dir = folder();
    let src = dir.path().join("src");
    let whole = large_jpeg();
    put(src.join("cat/whole.JPEG"), &whole);
    put(src.join("cat/cut.JPEG"), &whole[..whole.len() / 2]);
    let out = dir.path().join("out");
    let outcome = pack(&src, &out, &["--resize-short", "32", "--json"], 0);
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(summary["num_skipped"], 1, "{outcome:?}");
    let reasons = summary["skipped"].as_object().expect("an object");
    assert!(
        reasons
            .keys()
            .all(|reason| reason.starts_with("cannot be changed") && reason.contains("truncated"))
    );
}
