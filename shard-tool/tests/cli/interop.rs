//! Stock `tar` and the Python library `webdataset` read what is packed here, and what that library
//! writes is indexed here.
//!
//! Python is the one that `SSLIGHT_PYTHON` names, else `.venv/bin/python` of the repository; without
//! either the tests fail.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use shard_format::{ShardSet, grouping, pattern};

use crate::harness::{encoded, folder, index, jpeg, pack, put, python, repository};

/// Runs a command of `scripts/reference/webdataset_io.py`; gives what it printed.
pub(crate) fn webdataset_io(command: &str, argument: Option<&Path>, input: &str) -> String {
    let mut child = Command::new(python())
        .arg(repository().join("scripts/reference/webdataset_io.py"))
        .arg(command)
        .args(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    stdin
        .write_all(input.as_bytes())
        .expect("the script reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "see its message above");
    String::from_utf8(output.stdout).expect("the script prints text")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Image in hexadecimal and label, by key.
type Samples = BTreeMap<String, (String, Option<String>)>;

fn samples_of_ours(dir: &Path) -> Samples {
    let set = ShardSet::open(dir, "train").expect("the set opens");
    let sample = |id| {
        let sample = set.sample(id).expect("the sample is there");
        sample.check().expect("the bytes are sound");
        let label = sample.label.map(|label| label.to_string());
        (
            sample.key.to_owned(),
            (hex(sample.image().expect("is there")), label),
        )
    };
    let samples: Samples = (0..set.num_samples()).map(sample).collect();
    assert_eq!(samples.len() as u64, set.num_samples(), "keys are unique");
    samples
}

fn samples_of_python(pattern: &Path) -> Samples {
    let sample = |line: &str| {
        let sample: Value = serde_json::from_str(line).expect("JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let fields = &sample["fields"];
        let image = text(&fields["jpg"]).or_else(|| text(&fields["png"]));
        let label = text(&fields["cls"]).map(|hex| unhex(&hex));
        (
            text(&sample["key"]).expect("a key"),
            (image.expect("an image"), label),
        )
    };
    let printed = webdataset_io("read", Some(pattern), "");
    printed.lines().map(sample).collect()
}

fn unhex(hex: &str) -> String {
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(digits, 16).expect("hexadecimal")
    };
    String::from_utf8(hex.as_bytes().chunks(2).map(byte).collect()).expect("text")
}

/// Packs 48 images, most of them with names that are hard on some part of the chain.
fn pack_hard_names(dir: &Path) -> PathBuf {
    let (src, out) = (dir.join("src"), dir.join("out"));
    let (long_class, long_stem) = ("c".repeat(200), "s".repeat(200));
    put(src.join("v1.2 cats/img.final.v2.jpg"), &jpeg(1));
    put(src.join("v1.2 cats/a.jpg"), &jpeg(2));
    put(src.join("v1.2 cats/a.JPEG"), &jpeg(3));
    put(
        src.join(format!("{long_class}/sub.dir/{long_stem}.jpg")),
        &jpeg(4),
    );
    put(src.join("__meta__/b.jpg"), &jpeg(5));
    put(src.join("\u{732b}/\u{e9}\n\\ \"x\" 100%.jpg"), &jpeg(6));
    put(
        src.join(OsStr::from_bytes(b"caf\xe9"))
            .join(OsStr::from_bytes(b"\xff\x01.jpg")),
        &jpeg(7),
    );
    put(src.join("png/p.JPEG"), &encoded(8, image::ImageFormat::Png));
    for number in 0..40 {
        put(src.join(format!("many/{number}.jpg")), &jpeg(100 + number));
    }
    pack(&src, &out, &[], 0);
    out
}

#[test]
fn stock_tar_lists_and_extracts_every_member() {
    let dir = folder();
    let out = pack_hard_names(dir.path());
    let shard = out.join("train-000000.tar");
    let tar = |mode: &str| {
        let mut command = Command::new("tar");
        command.arg(mode).arg(&shard).arg("-C").arg(dir.path());
        let output = command.output().expect("tar runs");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stderr, b"", "{output:?}");
        output.stdout
    };
    let listing = tar("-tf");
    assert_eq!(listing.split(|byte| *byte == b'\n').count(), 2 * 48 + 1);
    tar("-xf");
    for (key, (image, label)) in samples_of_ours(&out) {
        let read = |extension: &str| std::fs::read(dir.path().join(format!("{key}.{extension}")));
        let extracted = read("jpg").or_else(|_| read("png")).expect("extracted");
        assert_eq!(hex(&extracted), image, "{key}");
        let extracted = String::from_utf8(read("cls").expect("extracted"));
        assert_eq!(extracted.ok(), label, "{key}");
    }
}

#[test]
fn python_reads_every_key_image_and_label_of_a_packed_set() {
    let dir = folder();
    let out = pack_hard_names(dir.path());
    let ours = samples_of_ours(&out);
    assert_eq!(ours.len(), 48);
    assert_eq!(
        samples_of_python(&out.join("train-{000000..000000}.tar")),
        ours
    );
}

/// What Python is asked to write.
struct Asked {
    shard: &'static str,
    format: &'static str,
    key: String,
    image: Vec<u8>,
    /// The field of the label and its content.
    field: &'static str,
    content: String,
    label: usize,
}

impl Asked {
    fn to_json(&self) -> Value {
        let fields = json!({"jpg": hex(&self.image), self.field: hex(self.content.as_bytes())});
        json!({"shard": self.shard, "format": self.format, "key": self.key, "fields": fields})
    }
}

fn asked_of_python() -> Vec<Asked> {
    let long = "k".repeat(300);
    let keys = [
        "plain".to_owned(),
        "n01440764/n01440764_10026".to_owned(),
        "v1.0/dotted folder".to_owned(),
        format!("{long}/{long}"),
        "caf\u{e9}/\u{732b}\u{1f408}".to_owned(),
        "line\nend".to_owned(),
        format!("\u{732b}{long}\n{long}"),
    ];
    let mut all = Vec::new();
    for (shard, format) in [("set-00.tar", "pax"), ("set-01.tar", "gnu")] {
        for (label, key) in keys.iter().enumerate() {
            let (field, content) = match label % 3 {
                0 => ("cls", label.to_string()),
                1 => ("json", format!(r#"{{"label": {label}, "text": "é"}}"#)),
                _ => ("json", format!(r#"{{"cls": "{label}"}}"#)),
            };
            all.push(Asked {
                shard,
                format,
                key: format!("{key}-{format}"),
                image: jpeg(all.len() as u8),
                field,
                content,
                label,
            });
        }
    }
    all
}

#[test]
fn what_python_writes_is_indexed_with_the_same_keys_images_and_labels() {
    let dir = folder();
    let asked = asked_of_python();
    let lines: Vec<String> = asked.iter().map(|one| one.to_json().to_string()).collect();
    webdataset_io("write", Some(dir.path()), &lines.join("\n"));
    let outcome = index(dir.path(), "set-{00..01}.tar", &[], 0);
    assert_eq!(outcome.stderr, "", "nothing is odd");
    let expected: Samples = asked
        .into_iter()
        .map(|one| (one.key, (hex(&one.image), Some(one.label.to_string()))))
        .collect();
    assert_eq!(samples_of_ours(dir.path()), expected);
}

#[test]
fn shards_of_pythons_shard_writer_with_its_own_encoders_are_indexed() {
    let dir = folder();
    let images: Vec<Vec<u8>> = (0..5).map(jpeg).collect();
    let lines: Vec<String> = images.iter().map(|image| hex(image)).collect();
    webdataset_io("write_sharded", Some(dir.path()), &lines.join("\n"));
    index(dir.path(), "numbered-{000000..000002}.tar", &[], 0);
    let expected: Samples = images
        .iter()
        .enumerate()
        .map(|(number, image)| {
            (
                format!("sample{number:04}"),
                (hex(image), Some(number.to_string())),
            )
        })
        .collect();
    assert_eq!(samples_of_ours(dir.path()), expected);
}

#[test]
fn names_are_split_as_python_splits_them() {
    let mut names: Vec<String> = Vec::new();
    // Every name of up to six of these characters.
    for length in 1..=6u32 {
        for number in 0..4u32.pow(length) {
            let digit = |place: u32| ["a", ".", "/", "\n"][(number >> (2 * place)) as usize % 4];
            names.push((0..length).map(digit).collect());
        }
    }
    let printed = webdataset_io("names", None, &json!(names).to_string());
    let theirs: Vec<Option<(String, String)>> = serde_json::from_str(&printed).expect("JSON");
    for (name, theirs) in names.iter().zip(theirs) {
        let ours = grouping::split_member_name(name);
        let ours = ours.map(|(key, extension)| (key.to_owned(), extension.to_owned()));
        assert_eq!(ours, theirs, "{name:?}");
    }
}

#[test]
fn braces_are_expanded_as_python_expands_them() {
    let patterns = [
        "train-{000000..000146}.tar",
        "{train,val}-{0..12..5}.tar",
        "{a,b{1..3},{x,y}z}-{03..1}",
        "{-3..03..2}{c..Y}{z..p..4}",
        "{-0..1}{0..-0}{00..1}{1..2..-1}{1..2..0}",
        "{{1..2}}{}{,}{a}{a..}{1..a}{é..z}{1..2..x}",
        r"\{1..2\}{\,,\}}\\{1..2}\",
        "a,b..c",
        "",
    ];
    let printed = webdataset_io("braces", None, &json!(patterns).to_string());
    let theirs: Vec<Vec<String>> = serde_json::from_str(&printed).expect("JSON");
    for (pattern, theirs) in patterns.iter().zip(theirs) {
        assert_eq!(pattern::expand(pattern), Ok(theirs), "{pattern}");
    }
}
