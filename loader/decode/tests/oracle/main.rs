//! Pixels equal to the bit to Pillow's `convert("RGB")` over a matrix of files, and the table of it in the README.
//!
//! Python is the one that `SSLIGHT_PYTHON` names, else `.venv/bin/python` of the repository; without either the tests fail.

mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use image_decode::{DEFAULT_PIXEL_LIMIT, DecodeError, Decoder, RgbImage};
use serde_json::Value;

use table::{Row, Table};

/// Kinds that Pillow reads and we do not, by what was changed, with the reason that the README gives.
const REFUSED_BY_US: [(&str, &str); 2] = [
    (
        "palette-of-47-bytes.png",
        "a palette that ends within a colour makes the PNG library panic, which costs the file",
    ),
    ("rgb.tiff", "no TIFF decoder is built in"),
];

/// Kinds whose pixels differ, with the reason that the README gives.
const DIFFERENT: [(&str, &str); 1] = [(
    "grey-16-bit.png",
    "the high byte is kept, as with 16-bit colours; Pillow clips grey values at 255, which leaves a white image",
)];

/// How a file fared with us and with Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Both read the same pixels.
    Equal,
    /// Both read it, and the largest difference is this.
    Differs(u8),
    /// Both refuse it.
    Refused,
    /// We read what Pillow refuses.
    OnlyOurs,
    /// Pillow reads what we refuse.
    OnlyTheirs,
}

#[test]
fn every_file_that_both_read_has_pillows_pixels_and_the_readme_tells_the_rest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    let others = other_tables();
    let mut table = Table::default();
    let mut wrong = Vec::new();
    for line in pillows(folder.path()).lines() {
        let file: Value = serde_json::from_str(line).expect("a line of JSON");
        let (fate, error) = fate(&mut decoder, &others, folder.path(), &file);
        let change = file["kinds"]["change"].as_str().expect("a word");
        if !is_expected(fate, change) {
            wrong.push(format!("{fate:?} {error:?} {file}"));
        }
        table.add(Row::of(&file["kinds"]), fate);
    }
    assert!(table.num_files() > 1_000, "the reference made its files");
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    table.assert_in_readme(&REFUSED_BY_US, &DIFFERENT);
}

fn is_expected(fate: Fate, change: &str) -> bool {
    let stands_in = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == change);
    match fate {
        Fate::Differs(_) => stands_in(&DIFFERENT),
        Fate::OnlyTheirs => stands_in(&REFUSED_BY_US),
        Fate::OnlyOurs => change.starts_with("no end marker"),
        Fate::Equal | Fate::Refused => true,
    }
}

/// A JPEG whose quantisation is its own, and none of the usual.
fn other_tables() -> Vec<u8> {
    let pixels: Vec<u8> = (0..64 * 64 * 3).map(|at| (at * at % 251) as u8).collect();
    let picture = turbojpeg::Image {
        pixels: &pixels[..],
        width: 64,
        pitch: 64 * 3,
        height: 64,
        format: turbojpeg::PixelFormat::RGB,
    };
    let mut compressor = turbojpeg::Compressor::new().expect("the library starts");
    compressor.set_quality(11).expect("a quality");
    compressor.set_optimize(true).expect("tables of its own");
    compressor
        .compress_to_vec(picture)
        .expect("noise compresses")
}

/// Files come to a decoder that has just read another one: nothing of that one may stay.
fn fate(
    decoder: &mut Decoder,
    others: &[u8],
    folder: &Path,
    file: &Value,
) -> (Fate, Option<DecodeError>) {
    let path = folder.join(file["number"].to_string());
    let bytes = std::fs::read(&path).expect("the file was written");
    let mut image = RgbImage::new();
    decoder.decode(others, &mut image).expect("a sound file");
    let decoded = decoder.decode(&bytes, &mut image);
    let theirs = std::fs::read(path.with_extension("rgb")).ok();
    let fate = match (&decoded, theirs) {
        (Err(_), None) => Fate::Refused,
        (Ok(_), None) => Fate::OnlyOurs,
        (Err(_), Some(_)) => Fate::OnlyTheirs,
        (Ok(_), Some(theirs)) => {
            let size = [image.width(), image.height()].map(u64::from);
            let stated = ["width", "height"].map(|side| file[side].as_u64().expect("a side"));
            assert_eq!(size, stated, "{file}");
            let pairs = image.pixels().iter().zip(&theirs);
            match pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max() {
                None | Some(0) => Fate::Equal,
                Some(worst) => Fate::Differs(worst),
            }
        }
    };
    (fate, decoded.err())
}

/// What the reference prints, a line a file.
fn pillows(folder: &Path) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("SSLIGHT_PYTHON")
        .map_or_else(|| repository.join(".venv/bin/python"), PathBuf::from);
    let output = Command::new(&python)
        .arg(repository.join("scripts/reference/decode.py"))
        .arg(folder)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error}; run ./scripts/setup --tests or set SSLIGHT_PYTHON",
                python.display()
            )
        });
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "decode.py failed: {told}");
    String::from_utf8(output.stdout).expect("the script prints text")
}
