//! Pixels equal to the bit to Pillow's `convert("RGB")`, and the same files refused.

use std::path::Path;

use loader::decode::{CpuDecoder, DEFAULT_PIXEL_LIMIT, DecodeError, Decoder, Outcome, RgbImage};
use serde_json::Value;

use crate::run_reference;

/// Files that decode although something about them is wrong.
const RECOVERED: [&str; 2] = [NO_END, "bytes-in-the-header.jpg"];
/// All pixels are there, so it is used; Pillow refuses it.
const NO_END: &str = "no-end-marker.jpg";
/// The high byte is kept, as with 16-bit colours; Pillow clips grey values at 255, which leaves a white image.
const GREY_16_BIT: &str = "grey-16-bit.png";

#[test]
fn pixels_and_refusals_equal_those_of_pillow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let found = run_reference("decode.py", Some(folder.path()), "");
    let mut decoder = CpuDecoder::new(DEFAULT_PIXEL_LIMIT).expect("the JPEG library starts");
    let mut image = RgbImage::new();
    let mut wrong = Vec::new();
    for line in found.lines() {
        let file: Value = serde_json::from_str(line).expect("a line of JSON");
        let name = file["name"].as_str().expect("every file has a name");
        let bytes = std::fs::read(folder.path().join(name)).expect("the file was written");
        let decoded = decoder.decode(&bytes, &mut image);
        wrong.extend(complaint(&file, name, folder.path(), decoded, &image));
    }
    assert!(found.lines().count() > 60, "the reference made its files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What differs from the reference, if anything.
fn complaint(
    file: &Value,
    name: &str,
    folder: &Path,
    decoded: Result<Outcome, DecodeError>,
    image: &RgbImage,
) -> Option<String> {
    let Some(width) = file["width"].as_u64() else {
        let taken = decoded.is_ok() != (name == NO_END);
        return taken.then(|| format!("{name}: {decoded:?}, Pillow refuses it"));
    };
    let expected = if RECOVERED.contains(&name) {
        Outcome::Recovered
    } else {
        Outcome::Clean
    };
    match decoded {
        Err(error) => return Some(format!("{name}: {error}")),
        Ok(outcome) if outcome != expected => return Some(format!("{name}: {outcome:?}")),
        Ok(_) => (),
    }
    let theirs = std::fs::read(folder.join(format!("{name}.rgb"))).expect("Pillow's pixels");
    let size = (u64::from(image.width()), u64::from(image.height()));
    if size != (width, file["height"].as_u64()?) {
        return Some(format!("{name}: of {size:?} pixels"));
    }
    let pairs = image.pixels().iter().zip(&theirs);
    let worst = pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max()?;
    (worst > 0 && name != GREY_16_BIT).then(|| format!("{name}: differs by {worst}"))
}
