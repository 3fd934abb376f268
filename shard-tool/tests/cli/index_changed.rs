//! Tars that are not as they were when they were indexed are refused, with the command that indexes them again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use shard_format::Manifest;

use crate::harness::{
    Outcome, cats_and_dogs, folder, index, jpeg, keys_and_labels, names_in, pack, put, shard_tool,
    tar_of,
};

/// Two samples, labelled by a field of their `.json`, in a tar with padding after its end, as stock tar writes it.
fn shard(first: u8) -> Vec<u8> {
    let (one, two) = (jpeg(first), jpeg(first + 1));
    let (one_key, two_key) = (format!("{first:03}"), format!("{:03}", first + 1));
    let mut tar = tar_of(&[
        (&format!("{one_key}.jpg"), &one),
        (&format!("{one_key}.json"), br#"{"id": 1}"#),
        (&format!("{two_key}.jpg"), &two),
        (&format!("{two_key}.json"), br#"{"id": 0}"#),
    ]);
    tar.resize(20 * 512, 0);
    tar
}

/// A set whose folder, list and field are hard on a shell and on patterns.
struct Set {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Set {
    fn indexed() -> Self {
        let dir = folder();
        let path = dir.path().join("it's {a,b} set");
        put(path.join("in-0.tar"), &shard(10));
        put(path.join("in-1.tar"), &shard(20));
        put(path.join("v.tar"), &shard(30));
        put(path.join("the names.txt"), b"cat\ndog\n");
        let place = path.to_str().expect("UTF-8").replace("{a,b}", r"\{a,b\}");
        let names = path.join("the names.txt");
        let outcome = shard_tool(&[
            "index",
            "--split",
            &format!("train={place}/in-{{0..1}}.tar"),
            "--split",
            &format!("val={place}/v.tar"),
            "--classes",
            names.to_str().expect("UTF-8"),
            "--label-field",
            "id",
        ]);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        let set = Self { _dir: dir, path };
        set.opens();
        set
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn stat(&self) -> Outcome {
        shard_tool(&["stat".as_ref(), self.path.as_os_str()])
    }

    fn opens(&self) {
        let outcome = self.stat();
        assert_eq!(outcome.code, 0, "{outcome:#?}");
    }

    /// Expects that the set is refused for this reason, and gives the command in the message.
    fn refused(&self, reason: &str) -> String {
        let outcome = self.stat();
        assert_eq!(outcome.code, 3, "{outcome:#?}");
        assert!(outcome.stderr.contains(reason), "{outcome:#?}");
        command_in(&outcome.stderr)
    }

    /// Expects that the set is refused for this reason, and that the command in the message makes it whole.
    fn is_refused_and_repaired_by_the_command(&self, reason: &str) {
        let outcome = shell(&self.refused(reason));
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        self.opens();
    }
}

fn command_in(stderr: &str) -> String {
    let (_, command) = stderr
        .split_once("index the set again: ")
        .expect("a command");
    command.trim_end().to_owned()
}

/// Runs a line as a user would, with the binary in the path.
fn shell(line: &str) -> Outcome {
    let binary = Path::new(env!("CARGO_BIN_EXE_shard-tool"));
    let mut path = binary.parent().expect("a folder").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("PATH", path);
    command.output().expect("a shell").into()
}

/// Gives the file another time, whatever the clock's resolution.
fn touch(path: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let file = File::options().write(true).open(path).expect("opens");
    file.set_modified(long_ago).expect("has another time");
}

fn cut(path: &Path, num_bytes: u64) {
    let file = File::options().write(true).open(path).expect("opens");
    file.set_len(num_bytes).expect("is cut");
}

#[test]
fn a_tar_that_was_touched_is_refused() {
    let set = Set::indexed();
    let before = fs::read(set.file("manifest.json")).expect("read");
    touch(&set.file("in-1.tar"));
    set.is_refused_and_repaired_by_the_command(
        "the shard was changed since it was indexed: modified at 1000000000.123456789, then at ",
    );
    let now = Manifest::load(&set.path).expect("loads");
    let mut was = Manifest::parse(&before, Path::new("before")).expect("parses");
    assert_ne!(now, was, "the time is another");
    let times = |manifest: &Manifest| {
        let in_place = manifest.indexed_in_place.as_ref();
        in_place.expect("indexed in place").modified_ns.clone()
    };
    was.indexed_in_place.as_mut().expect("is").modified_ns = times(&now);
    assert_eq!(now, was, "splits, classes and field are the same");
    assert_eq!(times(&now)["in-1.tar"], 1_000_000_000_123_456_789);
}

#[test]
fn a_tar_that_was_overwritten_with_the_same_size_is_refused() {
    let set = Set::indexed();
    put(set.file("in-0.tar"), &shard(40));
    touch(&set.file("in-0.tar"));
    set.is_refused_and_repaired_by_the_command("in-0.tar; ");
    let keys = keys_and_labels(&set.path, "train");
    assert_eq!(keys[0], ("040".to_owned(), Some(1)));
}

#[test]
fn a_tar_without_the_padding_that_it_had_is_refused() {
    let set = Set::indexed();
    cut(&set.file("v.tar"), 19 * 512);
    set.is_refused_and_repaired_by_the_command(
        "v.tar has 9728 of 10240 bytes, and 2 of its 2 samples",
    );
}

#[test]
fn a_tar_that_was_cut_through_a_sample_is_refused_by_the_command_too() {
    let set = Set::indexed();
    let whole = shard(20);
    let second = (0..whole.len())
        .step_by(512)
        .find(|at| whole[*at..].starts_with(b"021.jpg"));
    let second = second.expect("a header") as u64;
    cut(&set.file("in-1.tar"), second + 600);
    let command = set.refused("and 1 of its 2 samples, the last good one 020 at offset 512");
    let outcome = shell(&command);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert!(outcome.stderr.contains("it is cut short"), "{outcome:#?}");
    set.refused("and 1 of its 2 samples");
    let outcome = shell(&format!("{command} --allow-damaged"));
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert_eq!(keys_and_labels(&set.path, "train").len(), 3);
    touch(&set.file("in-1.tar"));
    set.is_refused_and_repaired_by_the_command("in-1.tar; ");
}

#[test]
fn a_tar_that_grew_is_refused() {
    let set = Set::indexed();
    put(set.file("v.tar"), &[shard(30), vec![0; 512]].concat());
    set.is_refused_and_repaired_by_the_command("it has 10752 bytes, the manifest says 10240");
}

#[test]
fn an_index_of_another_shard_a_damaged_and_a_missing_one_are_refused() {
    let set = Set::indexed();
    fs::copy(set.file("in-1.idx"), set.file("in-0.idx")).expect("copied");
    set.is_refused_and_repaired_by_the_command("it describes another shard than the manifest");
    put(set.file("in-0.idx"), b"what");
    set.is_refused_and_repaired_by_the_command("this is not a shard index");
    let mut bytes = fs::read(set.file("v.idx")).expect("read");
    *bytes.last_mut().expect("a byte") ^= 1;
    put(set.file("v.idx"), &bytes);
    set.is_refused_and_repaired_by_the_command("the body of the index is damaged");
    fs::remove_file(set.file("v.idx")).expect("removed");
    set.is_refused_and_repaired_by_the_command("a file of the set is missing");
}

#[test]
fn a_missing_tar_is_to_be_copied_again() {
    let set = Set::indexed();
    fs::remove_file(set.file("v.tar")).expect("removed");
    let outcome = set.stat();
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert!(
        outcome.stderr.trim_end().ends_with("v.tar; copy it again"),
        "{outcome:#?}"
    );
}

#[test]
fn a_set_that_was_moved_is_still_good_and_the_command_names_its_new_place() {
    let mut set = Set::indexed();
    let moved = set.path.with_file_name("moved: here");
    fs::rename(&set.path, &moved).expect("moved");
    set.path = moved;
    set.opens();
    touch(&set.file("v.tar"));
    set.is_refused_and_repaired_by_the_command("v.tar; ");
}

#[test]
fn a_repair_takes_the_tars_as_they_are_now() {
    let dir = folder();
    let (one, two) = (jpeg(1), jpeg(2));
    let mut tar = tar_of(&[
        ("a.jpg", &one),
        ("a.cls", b"0"),
        ("b.jpg", &two),
        ("b.cls", b"1"),
    ]);
    put(dir.path().join("a.tar"), &tar);
    index(dir.path(), "a.tar", &[], 0);
    tar[512 + 40] ^= 1;
    put(dir.path().join("a.tar"), &tar);
    touch(&dir.path().join("a.tar"));
    let outcome = shard_tool(&[
        "verify".as_ref(),
        "--repair".as_ref(),
        dir.path().as_os_str(),
    ]);
    assert!(outcome.stdout.contains("a.tar"), "{outcome:#?}");
    assert_eq!(
        keys_and_labels(dir.path(), "train"),
        [("b".to_owned(), Some(1))]
    );
}

#[test]
fn a_pattern_that_cannot_be_kept_is_replaced_by_the_names() {
    let dir = folder();
    put(dir.path().join("x.tar"), &shard(1));
    put(dir.path().join("y.tar"), &shard(5));
    let pattern = format!("{{{0}/y,{0}/x}}.tar", dir.path().display());
    let outcome = shard_tool(&["index", &pattern]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    let before = keys_and_labels(dir.path(), "train");
    touch(&dir.path().join("x.tar"));
    let outcome = shard_tool(&["stat".as_ref(), dir.path().as_os_str()]);
    assert_eq!(shell(&command_in(&outcome.stderr)).code, 0, "{outcome:#?}");
    assert_eq!(keys_and_labels(dir.path(), "train"), before);
}

#[test]
fn a_packed_set_keeps_no_times_and_is_packed_or_copied_again() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    pack(&src, &out, &[], 0);
    assert_eq!(Manifest::load(&out).expect("loads").indexed_in_place, None);
    let stat = || shard_tool(&["stat".as_ref(), out.as_os_str()]);
    for file in names_in(&out) {
        touch(&out.join(file));
    }
    assert_eq!(stat().code, 0);
    let tar = out.join("train-000000.tar");
    cut(&tar, fs::metadata(&tar).expect("is there").len() - 1024);
    let outcome = stat();
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    let advice = "copy it again or pack the set again";
    assert!(outcome.stderr.trim_end().ends_with(advice), "{outcome:#?}");
    fs::remove_file(&tar).expect("removed");
    let outcome = stat();
    assert!(outcome.stderr.trim_end().ends_with(advice), "{outcome:#?}");
}

#[test]
fn a_tar_written_to_while_it_is_indexed_cannot_pass_for_the_one_that_was() {
    let dir = folder();
    put(dir.path().join("a.tar"), &shard(1));
    touch(&dir.path().join("a.tar"));
    index(dir.path(), "a.tar", &[], 0);
    let noted = Manifest::load(dir.path()).expect("loads").indexed_in_place;
    let time = noted.expect("indexed in place").modified_ns["a.tar"];
    assert_eq!(time, 1_000_000_000_123_456_789);
}
