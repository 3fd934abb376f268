//! Runs the binary and makes the files it is run on.

use std::ffi::OsString;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{DynamicImage, ImageFormat};
use shard_format::ShardSet;

/// What a run left: exit code, stdout, stderr.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the program ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

/// Runs `shard-tool` with these arguments.
pub(crate) fn shard_tool<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shard-tool"));
    command
        .args(arguments)
        .output()
        .expect("shard-tool runs")
        .into()
}

/// Runs `shard-tool pack SRC --out OUT` with more arguments, and expects this exit code.
pub(crate) fn pack(src: &Path, out: &Path, more: &[&str], code: i32) -> Outcome {
    let mut arguments = vec![
        "pack".as_ref(),
        src.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
    ];
    arguments.extend(more.iter().map(|argument| std::ffi::OsStr::new(*argument)));
    let outcome = shard_tool(&arguments);
    assert_eq!(outcome.code, code, "{outcome:#?}");
    outcome
}

/// A folder that is removed at the end of the test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Writes a file and the folders it is in.
pub(crate) fn put(path: impl AsRef<Path>, bytes: &[u8]) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders are made");
    fs::write(path, bytes).expect("the file is written");
}

/// A real image of one tone.
pub(crate) fn encoded(tone: u8, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(12, 8, image::Rgb([tone, 90, 30]));
    DynamicImage::ImageRgb8(pixels)
        .write_to(&mut bytes, format)
        .expect("encodes");
    bytes.into_inner()
}

pub(crate) fn jpeg(tone: u8) -> Vec<u8> {
    compressed(&image::RgbImage::from_pixel(
        12,
        8,
        image::Rgb([tone, 90, 30]),
    ))
}

/// A JPEG of 192 units of noise.
pub(crate) fn large_jpeg() -> Vec<u8> {
    let noise = |x: u32, y: u32| (x.wrapping_mul(31) ^ y.wrapping_mul(17) ^ (x * y)) as u8;
    compressed(&image::RgbImage::from_fn(128, 96, |x, y| {
        image::Rgb([noise(x, y), noise(y, x), noise(x, x)])
    }))
}

fn compressed(pixels: &image::RgbImage) -> Vec<u8> {
    let picture = turbojpeg::Image {
        pixels: pixels.as_raw().as_slice(),
        width: pixels.width() as usize,
        pitch: pixels.width() as usize * 3,
        height: pixels.height() as usize,
        format: turbojpeg::PixelFormat::RGB,
    };
    let jpeg = turbojpeg::compress(picture, 90, turbojpeg::Subsamp::None);
    jpeg.expect("encodes").to_vec()
}

/// A source with classes `cat` and `dog`, three images each, in train.
pub(crate) fn cats_and_dogs(src: &Path) {
    for (class, first) in [("cat", 0), ("dog", 100)] {
        (0..3).for_each(|number| {
            put(
                src.join(format!("{class}/{number}.JPEG")),
                &jpeg(first + number),
            )
        });
    }
}

/// Names of the files in a folder, sorted; hidden ones too.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a UTF-8 name")
    };
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("the folder is listed")
        .map(name)
        .collect();
    names.sort();
    names
}

/// All files below a folder with their content, by path.
pub(crate) fn tree(dir: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(dir).expect("it is below").to_owned();
                files.insert(below, fs::read(path).expect("the file is read"));
            }
        }
    }
    files
}

/// A tar of these members, of plain headers.
pub(crate) fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).expect("added");
    }
    tar.into_inner().expect("ended")
}

/// Runs `shard-tool index DIR/PATTERN` with more arguments, and expects this exit code.
pub(crate) fn index(dir: &Path, pattern: &str, more: &[&str], code: i32) -> Outcome {
    let mut arguments: Vec<OsString> = vec!["index".into(), dir.join(pattern).into()];
    arguments.extend(more.iter().map(OsString::from));
    let outcome = shard_tool(&arguments);
    assert_eq!(outcome.code, code, "{outcome:#?}");
    outcome
}

/// Key and label of each sample, after its checksum was compared.
pub(crate) fn keys_and_labels(dir: &Path, split: &str) -> Vec<(String, Option<u32>)> {
    let set = ShardSet::open(dir, split).expect("the set opens");
    let of = |id| {
        let sample = set.sample(id).expect("the sample is there");
        sample.check().expect("the bytes are sound");
        (sample.key.to_owned(), sample.label)
    };
    (0..set.num_samples()).map(of).collect()
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The interpreter with the oracles.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os("SSLIGHT_PYTHON")
        .map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    let name = python.display();
    assert!(
        python.exists(),
        "{name} is missing; run ./scripts/setup --tests or set SSLIGHT_PYTHON"
    );
    python
}

/// `(class, key, image)` of every sample, sorted.
pub(crate) fn samples(out: &Path, split: &str) -> Vec<(Option<String>, String, Vec<u8>)> {
    let set = ShardSet::open(out, split).expect("the set opens");
    let sample = |id| {
        let sample = set.sample(id).expect("the sample is there");
        let class = sample
            .label
            .map(|label| set.classes()[label as usize].clone());
        (
            class,
            sample.key.to_owned(),
            sample.image().expect("is there").to_vec(),
        )
    };
    let mut samples: Vec<_> = (0..set.num_samples()).map(sample).collect();
    samples.sort();
    samples
}

pub(crate) fn classes_and_keys(out: &Path, split: &str) -> Vec<(Option<String>, String)> {
    samples(out, split)
        .into_iter()
        .map(|(class, key, _)| (class, key))
        .collect()
}

pub(crate) fn labelled(pairs: &[(&str, &str)]) -> Vec<(Option<String>, String)> {
    let owned = |(class, key): &(&str, &str)| (Some((*class).to_owned()), (*key).to_owned());
    pairs.iter().map(owned).collect()
}

/// `tar cf ARCHIVE -C DIR members...`
pub(crate) fn tar(archive: &Path, dir: &Path, members: &[&str]) {
    let status = Command::new("tar")
        .arg("cf")
        .arg(archive)
        .arg("-C")
        .arg(dir)
        .args(members)
        .status();
    assert!(status.expect("tar runs").success());
}
