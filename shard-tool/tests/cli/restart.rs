//! `shard-tool pack` killed, and what the next one makes of it.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Outcome, folder, jpeg, names_in, pack, put, tree};

/// Small shards, so that a kill finds some of them finished.
const OPTIONS: [&str; 2] = ["--samples-per-shard", "40"];

fn many_images(src: &Path) {
    for number in 0..600u32 {
        let mut image = jpeg(number as u8);
        // Bytes after the end of a JPEG are kept and make the images differ.
        image.extend((0..20_000).map(|byte| (byte as u32 ^ number) as u8));
        put(
            src.join(format!("class {}/{number}.JPEG", number % 7)),
            &image,
        );
    }
    put(src.join("class 0/text.JPEG"), b"text");
}

/// What is packed, and how.
struct Job {
    src: PathBuf,
    /// Given on standard input.
    stream: Option<PathBuf>,
    options: Vec<&'static str>,
}

impl Job {
    fn new(src: &Path, more: &[&'static str]) -> Self {
        Self {
            src: src.to_owned(),
            stream: None,
            options: [&OPTIONS, more].concat(),
        }
    }

    fn command(&self, out: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shard-tool"));
        command
            .arg("pack")
            .args([&self.src, Path::new("--out"), out])
            .args(&self.options);
        command.stdin(match &self.stream {
            Some(path) => File::open(path).expect("it is there").into(),
            None => Stdio::null(),
        });
        command
    }

    /// Packs to the end.
    fn finish(&self, out: &Path) -> Outcome {
        let outcome: Outcome = self.command(out).output().expect("shard-tool runs").into();
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        outcome
    }

    /// Starts packing and kills it after this time; says whether it was still running.
    fn kill(&self, out: &Path, after: Duration) -> bool {
        let mut command = self.command(out);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().expect("shard-tool starts");
        let started = Instant::now();
        while started.elapsed() < after {
            std::hint::spin_loop();
        }
        child.kill().expect("it is killed or has ended");
        !child.wait().expect("it ends").success()
    }

    /// Kills `num_kills` packings, each at a random moment, and lets the same command end each of them: the files must be those of
    /// a packing that was not killed.
    fn survives(&self, num_kills: u32, dir: &Path) {
        let whole = dir.join("whole");
        let started = Instant::now();
        self.finish(&whole);
        let duration = started.elapsed();
        let expected = tree(&whole);
        let (mut num_killed, mut num_resumed) = (0, 0);
        for attempt in 0.. {
            let out = dir.join(format!("killed-{attempt}"));
            let moment = duration.mul_f64(random());
            let was_running = self.kill(&out, moment);
            // Without a journal it had finished, and only its process was left to end.
            if was_running && (journal(&out).exists() || !out.join("manifest.json").exists()) {
                num_killed += 1;
                let outcome = self.finish(&out);
                num_resumed += u32::from(outcome.stderr.contains("going on after"));
                assert!(outcome.stderr.contains("1 file skipped"), "{outcome:?}");
            }
            assert!(
                tree(&out) == expected,
                "killed after {moment:?} of {duration:?}"
            );
            fs::remove_dir_all(&out).expect("removed");
            if num_killed == num_kills {
                break;
            }
            assert!(attempt < 10 * num_kills, "{num_killed} were killed in time");
        }
        println!("{num_resumed} of {num_kills} went on");
        assert!(num_resumed > 0, "none went on");
    }
}

/// At least 0 and below 1, another number in every run.
fn random() -> f64 {
    let hash = RandomState::new().build_hasher().finish();
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn killed_at_any_moment_the_next_packing_ends_with_the_same_bytes() {
    let dir = folder();
    let src = dir.path().join("src");
    many_images(&src);
    Job::new(&src, &["--val-fraction", "0.2"]).survives(50, dir.path());
}

#[test]
fn what_was_skipped_does_not_make_the_next_packing_start_anew() {
    let dir = folder();
    let src = dir.path().join("src");
    many_images(&src);
    let mut lines: Vec<String> = tree(&src)
        .into_keys()
        .map(|path| format!("src/{}\tclass", path.display()))
        .collect();
    // What is no file lies in every shard, about.
    for number in 0..20 {
        let pipe = format!("{number}.JPEG");
        mknodat(CWD, dir.path().join(&pipe), FileType::Fifo, Mode::RUSR, 0).expect("made");
        lines.push(format!("{pipe}\tclass"));
    }
    let list = dir.path().join("files.tsv");
    put(&list, lines.join("\n").as_bytes());
    Job::new(&list, &["--list"]).survives(6, dir.path());
}

#[test]
fn so_does_the_packing_of_an_archive_into_compressed_shards() {
    let dir = folder();
    let job = Job::new(
        &archive_of_many_images(dir.path()),
        &["--compress", "zstd:1"],
    );
    job.survives(12, dir.path());
}

#[test]
fn so_does_the_packing_of_a_stream() {
    let dir = folder();
    let archive = archive_of_many_images(dir.path());
    let job = Job {
        stream: Some(archive),
        ..Job::new(Path::new("-"), &[])
    };
    job.survives(12, dir.path());
}

fn archive_of_many_images(dir: &Path) -> PathBuf {
    let (src, archive) = (dir.join("src"), dir.join("src.tar"));
    many_images(&src);
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&archive).arg("-C").arg(&src).arg(".");
    assert!(tar.status().expect("tar runs").success());
    archive
}

/// Where the journal of a packing into `out` lies.
fn journal(out: &Path) -> PathBuf {
    out.join(".packing.jsonl")
}

/// Starts packing, and does something to it as soon as it has a journal; `None` if it was too late for that.
fn at_the_start<R>(
    job: &Job,
    out: &Path,
    act: impl FnOnce(&Child) -> Option<R>,
) -> Option<(R, Output)> {
    let mut command = job.command(out);
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("shard-tool starts");
    while !journal(out).exists() && child.try_wait().expect("asked").is_none() {
        std::hint::spin_loop();
    }
    let acted = act(&child);
    let output = child.wait_with_output().expect("it ends");
    acted.map(|acted| (acted, output))
}

/// Tries until it was early enough, into a fresh folder each time; gives that folder too.
fn early_enough<R>(dir: &Path, mut attempt: impl FnMut(&Path) -> Option<R>) -> (PathBuf, R) {
    let outs = (0..50).map(|number| dir.join(format!("attempt-{number}")));
    let found = outs
        .into_iter()
        .find_map(|out| attempt(&out).map(|done| (out, done)));
    found.expect("one of 50 attempts is early enough")
}

/// A packing that was killed when some of its shards were finished.
fn unfinished(job: &Job, dir: &Path) -> PathBuf {
    let kill_when_some_are_finished = |out: &Path| {
        let (num_lines, _) = at_the_start(job, out, |child| {
            let num_lines = || {
                let text = fs::read_to_string(journal(out)).unwrap_or_default();
                text.lines().count()
            };
            while (1..4).contains(&num_lines()) {
                std::hint::spin_loop();
            }
            let pid = Pid::from_child(child);
            kill_process(pid, Signal::KILL).expect("killed");
            Some(num_lines())
        })?;
        (num_lines > 3 && !out.join("manifest.json").exists()).then_some(())
    };
    early_enough(dir, kill_when_some_are_finished).0
}

#[test]
fn a_packing_that_was_killed_when_only_its_journal_was_left_has_finished() {
    let dir = folder();
    let (src, kept) = (dir.path().join("src"), dir.path().join("kept"));
    many_images(&src);
    let job = Job::new(&src, &[]);
    // The second name of the journal stays when the first is removed at the end.
    let keep_the_journal = |out: &Path| {
        fs::remove_file(&kept).ok();
        let link = |_: &Child| fs::hard_link(journal(out), &kept).ok();
        at_the_start(&job, out, link)
    };
    let (out, (_, output)) = early_enough(dir.path(), keep_the_journal);
    assert!(output.status.success(), "{output:?}");
    let expected = tree(&out);
    fs::copy(&kept, journal(&out)).expect("put back");
    let outcome = job.finish(&out);
    assert!(
        outcome.stderr.contains("nothing was left to do"),
        "{outcome:?}"
    );
    assert!(
        outcome.stdout.starts_with("packed 600 images"),
        "{outcome:?}"
    );
    assert!(tree(&out) == expected);
    // Without its journal it is a set like any other.
    pack(&src, &out, &OPTIONS, 2);
}

#[test]
fn a_source_that_changed_since_is_packed_as_it_is_now() {
    let dir = folder();
    let src = dir.path().join("src");
    many_images(&src);
    let out = unfinished(&Job::new(&src, &[]), dir.path());
    for number in 0..600 {
        let path = src.join(format!("class {}/{number}.JPEG", number % 7));
        fs::write(path, jpeg(7)).expect("written");
    }
    pack(&src, &out, &OPTIONS, 0);
    let fresh = dir.path().join("fresh");
    pack(&src, &fresh, &OPTIONS, 0);
    assert!(tree(&out) == tree(&fresh));
}

#[test]
fn every_signal_that_asks_for_an_end_ends_with_75_and_the_same_command_goes_on() {
    let dir = folder();
    let src = dir.path().join("src");
    many_images(&src);
    let job = Job::new(&src, &[]);
    let fresh = dir.path().join("fresh");
    job.finish(&fresh);
    for (name, signal) in [
        ("int", Signal::INT),
        ("term", Signal::TERM),
        ("hup", Signal::HUP),
        ("usr1", Signal::USR1),
        ("usr2", Signal::USR2),
    ] {
        let send = |child: &Child| kill_process(Pid::from_child(child), signal).ok();
        let (out, outcome) = early_enough(&dir.path().join(name), |out| {
            let (_, output) = at_the_start(&job, out, send)?;
            let outcome = Outcome::from(output);
            (outcome.code != 0).then_some(outcome)
        });
        assert_eq!(outcome.code, 75, "{name}: {outcome:?}");
        let told = "run the same command again";
        assert!(outcome.stderr.contains(told), "{name}: {outcome:?}");
        job.finish(&out);
        assert!(tree(&out) == tree(&fresh), "{name}");
    }
}

#[test]
fn other_options_start_anew_only_if_that_is_said() {
    let dir = folder();
    let src = dir.path().join("src");
    many_images(&src);
    let out = unfinished(&Job::new(&src, &[]), dir.path());
    let refused = pack(&src, &out, &["--samples-per-shard", "41"], 2);
    let told = "an earlier packing of other files, or with other options, has finished ";
    assert!(refused.stderr.contains(told), "{refused:?}");
    let anew = ["--samples-per-shard", "41", "--overwrite"];
    let outcome = pack(&src, &out, &anew, 0);
    assert!(!outcome.stderr.contains("going on after"), "{outcome:?}");
    let fresh = dir.path().join("fresh");
    pack(&src, &fresh, &["--samples-per-shard", "41"], 0);
    assert!(tree(&out) == tree(&fresh));
    assert!(names_in(&out).iter().all(|name| !name.starts_with('.')));
}
