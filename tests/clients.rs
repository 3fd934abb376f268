//! Programs of other projects that subscribe: the examples of the clients, as their users would run them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use loader_ipc::{Client, Recipe, Subscription};

use crate::harness::{PATIENCE, packed, run, serve, text};

/// Pixels of an RGB PNG, and their width.
fn read_png(path: &Path) -> (Vec<u8>, usize) {
    let decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (pixels, info.width as usize)
}

#[test]
fn the_rust_example_counts_every_class_and_draws_the_views_that_any_subscriber_gets() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 60, 40);
    let (socket, sheet) = (dir.path().join("s"), dir.path().join("sheet.png"));
    let _loader = serve(&shards, &socket, &[]);
    let args = [
        text(&shards),
        "train",
        "simclr",
        text(&sheet),
        text(&socket),
    ];
    let done = run("examples/contact_sheet", &args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let asked = Subscription {
        drop_last: false,
        ..Subscription::new("train", Recipe::simclr(), 32)
    };
    let mut batches = Client::connect(&socket, PATIENCE)
        .unwrap()
        .subscribe(&asked)
        .unwrap();
    let info = batches.info().clone();
    let counted: Vec<&str> = done.stdout.lines().collect();
    let (total, classes) = counted.split_last().unwrap();
    assert!(
        total
            .trim()
            .starts_with(&format!("{} images of", info.num_samples)),
        "{total}"
    );
    let number = |line: &&str| {
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(classes.iter().map(number).sum::<u64>(), info.num_samples);
    assert_eq!(classes.len(), info.classes.len());

    let (pixels, width) = read_png(&sheet);
    let views = batches
        .receive(PATIENCE)
        .unwrap()
        .unwrap()
        .group(0)
        .to_vec();
    let (side, gap) = (224, 4);
    assert_eq!(width, gap + 2 * (side + gap));
    // The first line of the second view of the third sample.
    let view = &views[(32 + 2) * side * side * 3..][..side * 3];
    let (left, top) = (gap + side + gap, gap + 2 * (side + gap));
    assert_eq!(&pixels[(top * width + left) * 3..][..side * 3], view);
}

#[test]
fn an_example_without_a_loader_or_with_an_unknown_recipe_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let told = |recipe: &str| {
        let args = ["/data", "train", recipe, "out.png", text(&socket)];
        let done = run("examples/contact_sheet", &args);
        assert_eq!(done.code, Some(1));
        done.stderr
    };
    assert!(
        told("dino").contains("no loader answers"),
        "{}",
        told("dino")
    );
    assert!(
        told("dyno").contains("ask for sslight, dino"),
        "{}",
        told("dyno")
    );
}
