//! Every call that the loader makes of a card's libraries fails in turn. What comes of it is said, and never other views.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::card::{Bench, batches, ended};
use crate::harness::{Running, status, text, until};
use crate::views::{try_views_by_sample, views_by_sample};

/// How often each call is made by a loader that starts, serves an epoch and ends.
fn counts(bench: &Bench) -> BTreeMap<String, u64> {
    let log = bench.path("calls");
    let loader = bench.serve("gpu", &[("STANDIN_LOG", text(&log))]);
    bench.assert_equal(&loader);
    loader.interrupt();
    assert_eq!(loader.finish().code, Some(0));
    let counts = counted(&log);
    assert!(counts.len() > 50, "{counts:?}");
    counts
}

/// How often each call is in the log of a process without a fault.
pub(crate) fn counted(log: &Path) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in fs::read_to_string(log).unwrap().lines() {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    // What an error is called is asked only when there is one.
    counts.retain(|name: &String, _| !name.starts_with("cuGetError"));
    counts
}

/// The first call of a name, one in between, and the last.
pub(crate) fn faults(counts: &BTreeMap<String, u64>) -> Vec<String> {
    let of_name = |(name, count): (&String, &u64)| {
        let mut numbers = vec![1, count.div_ceil(2), *count];
        numbers.dedup();
        let fault = |number| format!("{name}:{number}");
        numbers.into_iter().map(fault).collect::<Vec<_>>()
    };
    counts.iter().flat_map(of_name).collect()
}

#[test]
fn with_a_card_if_there_is_one_every_fault_ends_in_the_views_of_the_cpu() {
    let bench = Bench::new();
    for fault in faults(&counts(&bench)) {
        let loader = bench.serve("auto", &[("STANDIN_FAIL", &fault)]);
        let made = views_by_sample(&bench.socket(), &batches());
        assert!(made == bench.expected, "{fault}: {}", loader.stderr());
        assert_ends(&fault, loader);
    }
}

#[test]
fn with_a_card_for_certain_every_fault_ends_in_the_same_views_or_in_an_error() {
    let bench = Bench::new();
    for fault in faults(&counts(&bench)) {
        let mut loader = bench.start("gpu", &[("STANDIN_FAIL", &fault)]);
        until("the loader to serve or to end", || {
            loader.has_ended() || status(&bench.socket()).is_some()
        });
        if !loader.has_ended() && serves(&bench) {
            assert_ends(&fault, loader);
            continue;
        }
        let ended = loader.finish();
        assert_eq!(ended.code, Some(5), "{fault}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("error[5]: "),
            "{fault}: {}",
            ended.stderr
        );
    }
}

/// Whether a subscriber gets all views; they are then those of the CPU.
fn serves(bench: &Bench) -> bool {
    let made = try_views_by_sample(&bench.socket(), &batches());
    made.is_ok_and(|made| {
        assert!(made == bench.expected);
        true
    })
}

#[track_caller]
pub(crate) fn assert_ends(fault: &str, loader: Running) {
    loader.interrupt();
    let ended = loader.finish();
    assert_eq!(ended.code, Some(0), "{fault}: {}", ended.stderr);
    assert!(
        !ended.stderr.contains("panicked"),
        "{fault}: {}",
        ended.stderr
    );
}

#[test]
fn files_that_nvjpeg_fails_at_are_decoded_by_the_cpu_and_the_others_by_nvjpeg() {
    let bench = Bench::new();
    // 3 and 10: the file cannot be parsed, or ends too early.
    for fault in ["nvjpegJpegStreamParse:1:3", "nvjpegDecodeJpegHost:1:10"] {
        let loader = bench.serve("gpu", &[("STANDIN_FAIL", fault)]);
        bench.assert_equal(&loader);
        let routes = bench.routes();
        assert_eq!(routes["all by the CPU"], 1, "{fault}: {routes:?}");
        assert_eq!(
            routes["decoded by the card's engines"], 16,
            "{fault}: {routes:?}"
        );
        assert_ends(fault, loader);
    }
    // The engines fail at a whole batch: its images go the other way.
    let loader = bench.serve("gpu", &[("STANDIN_FAIL", "nvjpegDecodeBatched:1:8")]);
    bench.assert_equal(&loader);
    let routes = bench.routes();
    assert!(
        routes["decoded by nvJPEG's hybrid back end"] > 1,
        "{routes:?}"
    );
    assert!(
        loader
            .stderr()
            .contains("failed; their images were decoded one by one"),
        "{}",
        loader.stderr()
    );
}

#[test]
fn an_nvjpeg_that_is_broken_is_not_asked_again_or_ends_the_daemon_with_5() {
    let bench = Bench::new();
    let fault = [("STANDIN_FAIL", "nvjpegDecodeJpegHost:1:6")];
    let loader = bench.serve("auto", &fault);
    bench.assert_equal(&loader);
    assert!(
        loader
            .stderr()
            .contains("images are decoded by the CPU from now on"),
        "{}",
        loader.stderr()
    );
    drop(loader);
    let (ended, error) = ended(&bench, "gpu", &fault);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(error.contains("nvJPEG has failed"), "{error}");
    // Engines that fail time and again are left, since what remains is slow.
    let fault = [("STANDIN_FAIL", "nvjpegDecodeBatched:1+:8")];
    let (ended, error) = super::card::ended(&bench, "gpu", &fault);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(error.contains("nvjpegDecodeBatched"), "{error}");
    let loader = bench.serve("auto", &fault);
    (0..12).for_each(|_| bench.assert_equal(&loader));
    assert!(
        loader
            .stderr()
            .contains("images are decoded by the CPU from now on"),
        "{}",
        loader.stderr()
    );
    drop(loader);
    // 2: the driver has no memory for nvJPEG, not even for one file.
    let full = [("STANDIN_FAIL", "cuMemAlloc_v2:1+:2")];
    let (ended, error) = super::card::ended(&bench, "gpu", &full);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(error.contains("nvJPEG has failed"), "{error}");
}

#[test]
fn an_nvjpeg_with_too_little_memory_decodes_fewer_images_at_once() {
    let bench = Bench::new();
    for (fault, words) in [
        ("nvjpegDecodeBatched:1+:5", "images at once"),
        ("nvjpegDecodeJpegHost:1:5", "begins anew"),
    ] {
        let loader = bench.serve("gpu", &[("STANDIN_FAIL", fault)]);
        bench.assert_equal(&loader);
        let told = loader.stderr();
        assert!(told.contains(words), "{fault}: {told}");
        assert_ends(fault, loader);
    }
}

#[test]
fn a_card_that_stays_broken_loses_no_batch_to_a_hang() {
    let bench = Bench::new();
    for fault in [
        "cuEventSynchronize:6+:700",
        "cuLaunchKernel:9+:719",
        "cuStreamSynchronize:1+:700",
    ] {
        let loader = bench.serve("auto", &[("STANDIN_FAIL", fault)]);
        bench.assert_equal(&loader);
        assert_ends(fault, loader);
    }
    let (ended, error) = ended(
        &bench,
        "gpu",
        &[("STANDIN_FAIL", "cuEventSynchronize:6+:700")],
    );
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(error.contains("the card has failed"), "{error}");
}
