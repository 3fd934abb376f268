//! What subscribers receive from a real daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use loader_ipc::{Client, IpcError, Order, Recipe, Subscription};

use crate::harness::{PATIENCE, pack, packed, serve, status, synth};

fn small_sslight() -> Recipe {
    let mut recipe = Recipe::sslight();
    for view in &mut recipe.views {
        view.size /= 8;
    }
    recipe
}

pub(crate) fn subscription(order: Order, batch_size: u32) -> Subscription {
    Subscription {
        name: "test".into(),
        seed: 3,
        order,
        drop_last: order == Order::Shuffled,
        ..Subscription::new("train", small_sslight(), batch_size)
    }
}

/// Every view of every sample, by sample id.
pub(crate) fn views_by_sample(
    socket: &Path,
    subscription: &Subscription,
) -> BTreeMap<u64, Vec<Vec<u8>>> {
    try_views_by_sample(socket, subscription).unwrap()
}

/// The same, or what ended the stream.
pub(crate) fn try_views_by_sample(
    socket: &Path,
    subscription: &Subscription,
) -> Result<BTreeMap<u64, Vec<Vec<u8>>>, IpcError> {
    let mut subscriber = Client::connect(socket, PATIENCE)?.subscribe(subscription)?;
    let mut views: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    while let Some(lease) = subscriber.receive(PATIENCE)? {
        for group in 0..lease.num_groups() {
            let bytes = lease.group(group);
            let [_, batch, height, width, channels] = bytes.shape();
            let pixels = bytes.to_vec();
            for (index, view) in pixels.chunks(height * width * channels).enumerate() {
                if index % batch < lease.num_valid() {
                    views
                        .entry(lease.sample_ids()[index % batch])
                        .or_default()
                        .push(view.to_vec());
                }
            }
        }
    }
    Ok(views)
}

/// The images that went through each stage of a stream, in order, and what bounds its rate, once all batches are there.
pub(crate) fn stages(socket: &Path, subscription: &Subscription) -> (Vec<(String, u64)>, String) {
    let client = Client::connect(socket, PATIENCE).unwrap();
    let mut subscriber = client.subscribe(subscription).unwrap();
    while subscriber.receive(PATIENCE).unwrap().is_some() {}
    let told = &status(socket).unwrap()["subscribers"][0];
    let stages = told["stages"].as_array().unwrap().iter();
    let stage = |stage: &serde_json::Value| {
        assert!(stage["ms_per_batch"].as_f64().unwrap() >= 0.0, "{stage}");
        let busy = stage["busy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&busy), "{stage}");
        let name = stage["stage"].as_str().unwrap().to_owned();
        (name, stage["num_images"].as_u64().unwrap())
    };
    let bound = told["bound"].as_str().unwrap().to_owned();
    (stages.map(stage).collect(), bound)
}

#[test]
fn every_image_goes_through_each_stage_and_one_line_says_what_bounds_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 5, 40);
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &["--workers", "2"]);
    let (stages, bound) = stages(&socket, &subscription(Order::Sequential, 4));
    let all = [
        "waiting for a free slot",
        "reading and decoding, CPU",
        "views, CPU",
    ];
    assert_eq!(stages, all.map(|stage| (stage.to_owned(), 15)));
    assert!(bound.contains("the rate"), "{bound}");
}

#[test]
fn threads_batch_size_and_order_do_not_change_a_view() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 5, 40);
    let socket = dir.path().join("loader.sock");
    let one = serve(&shards, &socket, &["--workers", "1"]);
    let expected = views_by_sample(&socket, &subscription(Order::Sequential, 4));
    drop(one);
    assert_eq!(expected.len(), 15);
    let _three = serve(&shards, &socket, &["--workers", "3"]);
    assert_eq!(
        views_by_sample(&socket, &subscription(Order::Sequential, 7)),
        expected
    );
    assert_eq!(
        views_by_sample(&socket, &subscription(Order::Shuffled, 5)),
        expected
    );
    let other_seed = Subscription {
        seed: 4,
        ..subscription(Order::Sequential, 4)
    };
    assert_ne!(views_by_sample(&socket, &other_seed), expected);
}

#[test]
fn a_ring_of_fewer_rows_than_wait_for_workers_is_filled_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 5, 40);
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &["--workers", "3"]);
    let small = Subscription {
        num_slots: Some(2),
        ..subscription(Order::Sequential, 1)
    };
    assert_eq!(views_by_sample(&socket, &small).len(), 15);
}

#[test]
fn a_truncated_jpeg_is_named_once_counted_and_replaced_by_its_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("images");
    synth(&source, 2, 6, 40);
    let class = fs::read_dir(source.join("train"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let victim = fs::read_dir(class).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&victim).unwrap();
    fs::write(&victim, &bytes[..bytes.len() / 2]).unwrap();
    let shards = pack(&source, &dir.path().join("shards"));
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    for _ in 0..2 {
        let ids = views_by_sample(&socket, &subscription(Order::Sequential, 4));
        assert_eq!(ids.len(), 11, "the bad sample's row shows its neighbour");
    }
    let failures = status(&socket).unwrap()["failures"].clone();
    assert_eq!(
        failures,
        serde_json::json!([{ "cause": "truncated", "num_samples": 1 }])
    );
    assert_eq!(
        loader
            .stderr()
            .matches("is replaced by its neighbour")
            .count(),
        1,
        "{}",
        loader.stderr()
    );
}

#[test]
fn too_many_bad_samples_stop_the_daemon_with_3_naming_them() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("images");
    synth(&source, 2, 10, 40);
    for class in fs::read_dir(source.join("train")).unwrap() {
        for (index, image) in fs::read_dir(class.unwrap().path()).unwrap().enumerate() {
            let path = image.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            if index < 6 {
                fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
    }
    let shards = pack(&source, &dir.path().join("shards"));
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    let subscription = subscription(Order::Shuffled, 20);
    let mut subscriber = Client::connect(&socket, PATIENCE)
        .unwrap()
        .subscribe(&subscription)
        .unwrap();
    while let Ok(Some(_)) = subscriber.receive(PATIENCE) {}
    drop(subscriber);
    let ended = loader.finish();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("too many bad samples"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_second_subscriber_and_a_preview_work_beside_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 3, 5, 40);
    let socket = dir.path().join("loader.sock");
    let _loader = serve(&shards, &socket, &[]);
    let mut first = Client::connect(&socket, PATIENCE)
        .unwrap()
        .subscribe(&subscription(Order::Shuffled, 3))
        .unwrap();
    let held = first.receive(PATIENCE).unwrap().unwrap();
    assert_eq!(
        views_by_sample(&socket, &subscription(Order::Sequential, 4)).len(),
        15
    );
    drop(held);
    assert!(first.receive(PATIENCE).unwrap().is_some());
    let picture = dir.path().join("views.png");
    let done = crate::harness::run(
        "loader",
        &[
            "preview",
            crate::harness::text(&shards),
            "--out",
            crate::harness::text(&picture),
            "--images",
            "2",
        ],
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
}
