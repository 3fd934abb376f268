//! The loader from C, and from a language that only knows how to call C: programs as their authors would build and run them.

use std::fs;
use std::path::{Path, PathBuf};

use loader_ipc::{Client, Recipe, Subscriber, Subscription};

use crate::harness::{
    Finished, PATIENCE, binary, packed, root, serve, start_program, start_program_as, text, until,
};

/// Where cargo puts the library when it builds the tests.
fn library_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// Runs a program that was built here; it finds the library by itself, not by what cargo says of libraries.
fn run_built(command: &[&str]) -> Finished {
    start_program_as(command[0], &command[1..], |command| {
        command.env_remove("LD_LIBRARY_PATH")
    })
    .finish()
}

fn shell(line: &str) -> Finished {
    start_program("sh", &["-c", line]).finish()
}

/// The lines of the loader's page that build `count.c`, for the library of these tests and into `dir`.
fn documented_builds(dir: &Path) -> Vec<String> {
    let page = fs::read_to_string(root().join("loader/README.md")).unwrap();
    let lines = page.lines().map(str::trim);
    let builds = lines.filter(|line| line.starts_with("cc ") && line.contains("count.c"));
    let libraries = library_dir();
    let here = |line: &str| {
        line.replace("$PWD/", "")
            .replace("target/release", text(&libraries))
            .replace("-o ", &format!("-o {}/", text(dir)))
    };
    builds.map(here).collect()
}

/// Builds `source` with `flags` against the shared library.
pub(crate) fn built(source: &str, flags: &str, dir: &Path) -> PathBuf {
    let program = dir.join("program");
    let (out, libraries) = (text(&program), library_dir());
    let libraries = text(&libraries);
    let line = format!(
        "cc -g -Wall -Wextra -Werror {flags} -o {out} {source} -Iloader/c -L{libraries} -lsslight_loader -Wl,-rpath,{libraries} -pthread"
    );
    let done = shell(&line);
    assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
    program
}

fn subscribed(socket: &Path, subscription: &Subscription) -> Subscriber {
    let client = Client::connect(socket, PATIENCE).unwrap();
    client.subscribe(subscription).unwrap()
}

/// What `count` prints, by the client in Rust.
fn counted(shards: &Path, socket: &Path) -> String {
    let asked = Subscription {
        drop_last: false,
        ..Subscription::new("train", Recipe::val(), 32)
    };
    let mut batches = subscribed(socket, &asked);
    let info = batches.info().clone();
    let (mut counts, mut sum, mut num_values) = (vec![0; info.classes.len()], 0, 0);
    while let Some(batch) = batches.receive(PATIENCE).unwrap() {
        for label in &batch.labels()[..batch.num_valid()] {
            counts[*label as usize] += 1;
        }
        let view = &batch.group(0).to_vec()[..batch.num_valid() * 224 * 224 * 3];
        sum += view.iter().map(|value| u64::from(*value)).sum::<u64>();
        num_values += view.len();
    }
    let classes = info.classes.iter().zip(counts);
    let lines: String = classes
        .map(|(class, count)| format!("{count:8} {class}\n"))
        .collect();
    let mean = sum as f64 / num_values as f64;
    let (num_samples, shards) = (info.num_samples, text(shards));
    format!("{lines}{num_samples:8} images of {shards}, mean value {mean:.3}\n")
}

#[test]
fn the_example_in_c_builds_by_the_lines_of_the_page_and_counts_what_any_subscriber_sees() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 60, 40);
    let socket = dir.path().join("s");
    let _loader = serve(&shards, &socket, &[]);
    let expected = counted(&shards, &socket);
    let builds = documented_builds(dir.path());
    assert_eq!(builds.len(), 2, "shared and static: {builds:?}");
    for (line, program) in builds.iter().zip(["count", "count-static"]) {
        let done = shell(line);
        assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
        let program = dir.path().join(program);
        let done = run_built(&[text(&program), text(&shards), text(&socket)]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(done.stdout, expected);
    }
}

#[test]
fn a_program_in_c_starts_a_loader_where_none_serves_and_takes_it_along() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 20, 40);
    let program = built("loader/c/examples/count.c", "", dir.path());
    let loader = binary("loader");
    let done = start_program_as(text(&program), &[text(&shards)], |command| {
        command
            .env_remove("LD_LIBRARY_PATH")
            .env("PATH", loader.parent().unwrap())
            .env("XDG_RUNTIME_DIR", dir.path())
    })
    .finish();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("40 images of"), "{}", done.stdout);
    let sockets = || {
        let folders = fs::read_dir(dir.path().join("sslight")).into_iter();
        let folders = folders.flatten().map(|folder| folder.unwrap().path());
        folders
            .filter(|folder| folder.join("loader.sock").exists())
            .count()
    };
    until("the end of the loader that was started", || sockets() == 0);
    let words = start_program_as(text(&program), &[text(&shards)], |command| {
        command
            .env_remove("LD_LIBRARY_PATH")
            .env("PATH", "/nowhere")
    })
    .finish();
    assert_eq!(words.code, Some(2), "{}", words.stderr);
    assert!(
        words
            .stderr
            .contains("there is none to start; loader, in no folder of PATH"),
        "{}",
        words.stderr
    );
}

/// Every way in which calls can be wrong, under what `checker` finds wrong with memory.
fn misuse_is_told(flags: &str, checker: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 20, 40);
    let socket = dir.path().join("s");
    let _loader = serve(&shards, &socket, &[]);
    let program = built("loader/c/tests/misuse.c", flags, dir.path());
    let command = [checker, &[text(&program), text(&shards), text(&socket)]].concat();
    let done = run_built(&command);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "all were told\n"),
        "{}",
        done.stderr
    );
}

#[test]
fn wrong_calls_and_a_loader_that_dies_are_told_in_words() {
    misuse_is_told("-O2", &[]);
}

#[test]
fn neither_right_nor_wrong_calls_harm_memory_says_address_sanitizer() {
    misuse_is_told("-fsanitize=address -fno-omit-frame-pointer", &[]);
}

#[test]
fn neither_right_nor_wrong_calls_harm_or_lose_memory_says_valgrind() {
    let valgrind = [
        "valgrind",
        "--quiet",
        "--error-exitcode=9",
        "--leak-check=full",
        "--fair-sched=yes",
    ];
    misuse_is_told("", &valgrind);
}

#[test]
fn the_header_is_c99_and_c_plus_plus() {
    for language in ["c -std=c99", "c++ -std=c++11"] {
        let line = format!(
            "cc -fsyntax-only -Wall -Wextra -pedantic -Werror -x {language} loader/c/sslight_loader.h"
        );
        let done = shell(&line);
        assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
    }
}

#[test]
fn the_shared_library_stays_once_it_is_loaded_and_shows_its_functions_alone() {
    let library = library_dir().join("libsslight_loader.so");
    let library = text(&library);
    let flags = shell(&format!("readelf --dynamic {library}")).stdout;
    assert!(flags.contains("NODELETE"), "{flags}");
    let shown = shell(&format!(
        "nm --dynamic --defined-only --format=just-symbols {library}"
    ))
    .stdout;
    let header = fs::read_to_string(root().join("loader/c/sslight_loader.h")).unwrap();
    assert!(shown.lines().count() >= 6, "{shown}");
    for name in shown.lines() {
        assert!(header.contains(&format!(" {name}(")), "{name}");
    }
}

#[test]
fn python_reads_the_same_batches_through_ctypes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 15, 40);
    let socket = dir.path().join("s");
    let _loader = serve(&shards, &socket, &[]);
    let library = library_dir().join("libsslight_loader.so");
    let args = [
        "loader/c/examples/sums.py",
        text(&library),
        text(&shards),
        text(&socket),
    ];
    let done = start_program("python3", &args).finish();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let asked = Subscription {
        seed: 5,
        drop_last: false,
        ..Subscription::new("train", Recipe::moco(), 8)
    };
    let mut batches = subscribed(&socket, &asked);
    let mut lines = Vec::new();
    while let Some(batch) = batches.receive(PATIENCE).unwrap() {
        let pixels = batch.group(0).to_vec();
        let views = pixels.chunks(224 * 224 * 3).take(batch.num_valid());
        let rows = batch.sample_ids().into_iter().zip(batch.labels());
        for ((id, label), view) in rows.zip(views) {
            let sum: u64 = view.iter().map(|value| u64::from(*value)).sum();
            lines.push(format!("{id} {label} {sum}"));
        }
    }
    assert_eq!(done.stdout.lines().collect::<Vec<_>>(), lines);
}
