//! Loader and trainer with the card of this machine and NVIDIA's own libraries, found as a user's programs find them. Where there is no card each test says so and is done;
//! `REQUIRE_GPU=1` makes that a failure. `STANDIN_GPU=1` runs the same tests without one: stand-ins take the place of the libraries, and the trainer computes on the CPU.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use loader_ipc::{Order, Subscription};

use crate::card::{DRIVER, NVJPEG, NVRTC, standins};
use crate::harness::{Finished, losses, pack, packed, serve_with, start_with, text, tiny_trainer};
use crate::views::{subscription, views_by_sample};

/// The card of this machine, or what takes its place.
struct Card {
    dir: tempfile::TempDir,
    /// Where stand-ins are.
    libraries: Option<PathBuf>,
}

/// Past the test harness, which keeps what `eprintln` says to itself.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}

impl Card {
    /// `None`, with a line, where there is none and none is required.
    fn find() -> Option<Card> {
        let dir = tempfile::tempdir().unwrap();
        if std::env::var_os("STANDIN_GPU").is_some() {
            let libraries = Some(standins(dir.path(), &[DRIVER, NVRTC, NVJPEG]));
            return Some(Card { dir, libraries });
        }
        match loader_card::card_of_device(0) {
            Ok(card) => say(&format!("with {card}")),
            Err(missing) => {
                let required = std::env::var_os("REQUIRE_GPU").is_some();
                assert!(!required, "REQUIRE_GPU is set, and {missing}");
                say(&format!("SKIPPED: {missing}"));
                return None;
            }
        }
        let libraries = None;
        Some(Card { dir, libraries })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a program needs beside the environment of this one.
    fn environment(&self) -> Vec<(&str, &Path)> {
        let libraries = self.libraries.iter();
        libraries
            .map(|folder| ("LD_LIBRARY_PATH", folder.as_path()))
            .collect()
    }

    fn run(&self, program: &str, args: &[&str]) -> Finished {
        start_with(program, args, &self.environment()).finish()
    }

    /// Where the trainer computes, and whether it records its passes.
    fn training(&self, is_recorded: bool) -> [&str; 4] {
        match (&self.libraries, is_recorded) {
            (None, true) => ["DEVICE", "cuda", "TRAIN.CUDA_GRAPH", "True"],
            (None, false) => ["DEVICE", "cuda", "TRAIN.CUDA_GRAPH", "False"],
            (Some(_), _) => ["DEVICE", "cpu", "TRAIN.CUDA_GRAPH", "False"],
        }
    }
}

/// Shards of images that every decoder sees alike.
fn lossless(dir: &Path) -> PathBuf {
    for (nth, (width, height)) in [
        (300, 200),
        (64, 64),
        (33, 170),
        (120, 90),
        (1, 1),
        (500, 375),
    ]
    .into_iter()
    .enumerate()
    {
        let image = dir.join(format!("lossless/train/{}/{nth}.png", nth % 2));
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        let mut encoder = png::Encoder::new(File::create(&image).unwrap(), width, height);
        encoder.set_color(png::ColorType::Rgb);
        let num_bytes = (width * height * 3) as usize;
        let pixels: Vec<u8> = (0..num_bytes)
            .map(|at| (at * (nth + 7) % 251) as u8)
            .collect();
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels)
            .unwrap();
    }
    pack(&dir.join("lossless"), &dir.join("lossless-shards"))
}

#[test]
fn views_of_lossless_images_are_those_of_the_cpu_in_memory_of_the_host_and_of_the_card() {
    let Some(card) = Card::find() else { return };
    let (shards, socket, asked) = (
        lossless(card.dir.path()),
        card.path("s"),
        card.path("asked.json"),
    );
    let batches = Subscription {
        num_slots: Some(2),
        ..subscription(Order::Sequential, 2)
    };
    fs::write(&asked, serde_json::to_string(&batches).unwrap()).unwrap();
    let cpu = serve_with(&shards, &socket, &["--decoder", "cpu"], &card.environment());
    let expected = views_by_sample(&socket, &batches);
    assert_eq!(expected.len(), 6);
    let read = || {
        let read = card.run("examples/card_views", &[text(&socket), text(&asked)]);
        assert_eq!(read.code, Some(0), "{}", read.stderr);
        read
    };
    let on_host = read();
    assert!(
        on_host.stderr.contains("views in memory of the host"),
        "{}",
        on_host.stderr
    );
    drop(cpu);
    let gpu = serve_with(&shards, &socket, &["--decoder", "gpu"], &card.environment());
    let made = views_by_sample(&socket, &batches);
    assert!(made == expected, "other views; {}", gpu.stderr());
    let on_card = read();
    assert!(
        on_card.stderr.contains("views in memory of GPU-"),
        "{}",
        on_card.stderr
    );
    assert_eq!(
        on_card.stdout,
        on_host.stdout,
        "other views; {}",
        gpu.stderr()
    );
}

#[test]
fn jpegs_are_decoded_on_the_card_within_the_bound_of_parity() {
    let Some(card) = Card::find() else { return };
    let shards = packed(card.dir.path(), 2, 8, 200);
    let done = card.run("loader", &["parity", text(&shards), "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    say(&format!("parity: {report}"));
    assert_eq!(report["is_within"], true, "{report}");
    let num_images = report["ways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| way["num_images"].as_u64().unwrap());
    assert_eq!(num_images.sum::<u64>(), 16, "{report}");
}

#[test]
fn a_training_by_recorded_passes_learns_what_one_by_computed_passes_does() {
    let Some(card) = Card::find() else { return };
    let (shards, socket) = (packed(card.dir.path(), 2, 16, 64), card.path("s"));
    let loader = serve_with(&shards, &socket, &["--decoder", "gpu"], &card.environment());
    let [computed, recorded] = [false, true].map(|is_recorded| {
        let out = card.path(&format!("recorded-{is_recorded}"));
        let more = ["LOADER.SOCKET", text(&socket), "TRAIN.MAX_STEPS", "6"];
        let more = [&more[..], &card.training(is_recorded)].concat();
        let done = card.run("trainer", &tiny_trainer(&shards, &out, &more));
        assert_eq!(done.code, Some(0), "{}{}", done.stderr, loader.stderr());
        losses(&out)
    });
    assert_eq!(computed.len(), 6);
    // Sums on a card have no order, which later steps magnify.
    let is_close = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-2 * one.abs();
    assert!(
        computed.iter().zip(&recorded).all(is_close),
        "{computed:?} and {recorded:?}"
    );
    assert_eq!(computed.len(), recorded.len());
}
