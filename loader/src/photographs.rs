//! Photographs for tests. The repository holds none: one comes with the crate that writes the tests' JPEGs, others lie below the folder that
//! `SSLIGHT_DATA` names.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};

/// Files of `SSLIGHT_DATA` at most.
const MOST: usize = 40;

/// A file, and what the CPU decodes it to.
pub(crate) struct Photograph {
    pub(crate) file: Vec<u8>,
    pub(crate) pixels: RgbImage,
}

/// All that are there; where that is none, a line says that a test is skipped.
pub(crate) fn photographs() -> Vec<Photograph> {
    let of_crate = turbojpeg_folder().map(|folder| folder.join("examples/parrots.jpg"));
    let of_crate = of_crate.filter(|path| path.is_file());
    let of_data = env::var_os("SSLIGHT_DATA").map(files_below);
    let paths = of_crate.into_iter().chain(of_data.into_iter().flatten());
    let found: Vec<_> = paths.map(|path| Photograph::read(&path)).collect();
    if found.is_empty() {
        say(
            "SKIPPED: no photograph: cargo does not tell where the crate turbojpeg lies, and SSLIGHT_DATA is not set",
        );
    }
    found
}

impl Photograph {
    fn read(path: &Path) -> Photograph {
        let file = fs::read(path).expect("the file can be read");
        let mut pixels = RgbImage::new();
        let decoded = Decoder::new(DEFAULT_PIXEL_LIMIT).decode(&file, &mut pixels);
        decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Photograph { file, pixels }
    }
}

/// Where cargo has unpacked the crate.
fn turbojpeg_folder() -> Option<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let told = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).ok()?;
    let mut packages = told["packages"].as_array()?.iter();
    let package = packages.find(|package| package["name"] == "turbojpeg")?;
    let manifest = Path::new(package["manifest_path"].as_str()?);
    manifest.parent().map(Path::to_owned)
}

fn files_below(folder: OsString) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![PathBuf::from(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).expect("the folder can be listed");
        let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
        let (below, here): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
        folders.extend(below);
        files.extend(here);
    }
    files.sort();
    files.truncate(MOST);
    files
}

/// Past the test harness, which keeps what `eprintln` says to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}
