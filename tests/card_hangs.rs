//! A card that hangs: it takes work and answers questions, and is never done. Nobody waits for it for ever, and no memory that it might yet write is used again.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use loader_ipc::{Client, IpcError};

use crate::card::{Bench, batches, ended};
use crate::harness::{Finished, PATIENCE, Running, start_with, text};
use crate::views::try_views_by_sample;

/// Seconds that daemons and readers wait for a card here.
const OF_CARD: (&str, &str) = ("SSLIGHT_CARD_PATIENCE", "3");
/// Less than that.
const SHORT: Duration = Duration::from_secs(1);
const HANGS: &str = "s: the card hangs";

/// Holds that a daemon has said once that the card hangs, that the CPU serves whoever comes next, and that it ends when it is asked to.
#[track_caller]
fn assert_goes_on(bench: &Bench, loader: Running) {
    bench.assert_equal(&loader);
    loader.interrupt();
    let ended = loader.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = ended
        .stderr
        .lines()
        .filter(|line| line.contains("made by the CPU from now on") && line.contains(HANGS));
    assert_eq!(said.count(), 1, "{}", ended.stderr);
}

/// What a program reads in memory of the card.
fn read(bench: &Bench, environment: &[(&str, &str)]) -> Finished {
    let asked = tempfile::NamedTempFile::new().unwrap();
    fs::write(&asked, serde_json::to_string(&batches()).unwrap()).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| (*name, Path::new(value)));
    let libraries = ("LD_LIBRARY_PATH", bench.libraries());
    let environment: Vec<_> = environment.chain([libraries]).collect();
    let args = [text(&bench.socket()), text(asked.path())].map(str::to_owned);
    let args = args.each_ref().map(String::as_str);
    start_with("examples/card_views", &args, &environment).finish()
}

/// The memory is registered, so the card might yet write the slots that it was given.
fn a_stream_whose_slots_the_card_might_write_ends_with_the_reason(hang: &str) {
    let bench = Bench::new();
    let loader = bench.serve("auto", &[OF_CARD, ("STANDIN_HANG", hang)]);
    let client = Client::connect(&bench.socket(), PATIENCE).unwrap();
    let mut subscriber = client.subscribe(&batches()).unwrap();
    let mut receive = |timeout| loop {
        match subscriber.receive(timeout) {
            Ok(lease) => drop(lease.expect("the last batches are never made")),
            Err(error) => return error,
        }
    };
    let in_time = receive(SHORT);
    assert!(matches!(in_time, IpcError::TimedOut { .. }), "{in_time}");
    let ended = receive(PATIENCE).to_string();
    assert!(ended.contains("might yet write"), "{ended}");
    assert_goes_on(&bench, loader);
}

fn a_stream_whose_slots_the_card_was_not_given_goes_on_by_the_cpu() {
    let bench = Bench::new();
    let refused = ("STANDIN_FAIL", "cuMemHostRegister_v2:1+");
    let loader = bench.serve("auto", &[OF_CARD, refused, ("STANDIN_HANG", "1")]);
    bench.assert_equal(&loader);
    assert_goes_on(&bench, loader);
}

fn a_round_that_is_never_done_holds_no_thread() {
    let bench = Bench::new();
    let little = ("STANDIN_MEMORY", "1200000");
    let loader = bench.serve("auto", &[OF_CARD, little, ("STANDIN_HANG", "5")]);
    if let Ok(made) = try_views_by_sample(&bench.socket(), &batches()) {
        assert!(made == bench.expected, "{}", loader.stderr());
    }
    assert_goes_on(&bench, loader);
}

fn a_daemon_with_a_card_for_certain_ends_with_5() {
    let bench = Bench::new();
    let (ended, error) = ended(&bench, "gpu", &[OF_CARD, ("STANDIN_HANG", "30")]);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains(HANGS), "{}", ended.stderr);
    assert!(error.contains(HANGS), "{error}");
}

fn views_on_the_card_end_with_the_reason_and_the_next_ones_lie_on_the_host() {
    let bench = Bench::new();
    // The first is the clearing of the ring.
    let loader = bench.serve("auto", &[OF_CARD, ("STANDIN_HANG", "2")]);
    let words = "the card that holds the views has failed";
    let first = read(&bench, &[]);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    assert!(first.stderr.contains(words), "{}", first.stderr);
    let next = read(&bench, &[]);
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    assert!(next.stderr.contains(words), "{}", next.stderr);
    assert_goes_on(&bench, loader);
}

fn a_ring_that_is_never_cleared_lies_on_the_host_and_is_filled_by_the_cpu() {
    let bench = Bench::new();
    let loader = bench.serve("auto", &[OF_CARD, ("STANDIN_HANG", "1")]);
    let read = read(&bench, &[]);
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    let words =
        "views in memory of the host: memory of the card is not shared: clearing memory took";
    assert!(read.stderr.contains(words), "{}", read.stderr);
    assert_goes_on(&bench, loader);
}

#[test]
fn a_daemon_whose_card_hangs_says_so_and_loses_no_stream_to_it() {
    let all: [fn(); 7] = [
        || a_stream_whose_slots_the_card_might_write_ends_with_the_reason("1"),
        || a_stream_whose_slots_the_card_might_write_ends_with_the_reason("25"),
        a_stream_whose_slots_the_card_was_not_given_goes_on_by_the_cpu,
        a_round_that_is_never_done_holds_no_thread,
        a_daemon_with_a_card_for_certain_ends_with_5,
        views_on_the_card_end_with_the_reason_and_the_next_ones_lie_on_the_host,
        a_ring_that_is_never_cleared_lies_on_the_host_and_is_filled_by_the_cpu,
    ];
    // Each waits as long as a daemon is patient.
    thread::scope(|scope| {
        for case in all {
            scope.spawn(case);
        }
    });
}

#[test]
fn a_reader_whose_streams_hang_learns_of_its_time_out_and_ends_and_others_are_served() {
    let bench = Bench::new();
    let loader = bench.serve("gpu", &[]);
    let times_out = &|readers: Option<(&str, &str)>| {
        let hangs = [OF_CARD, ("STANDIN_HANG", "1"), ("PATIENCE", "2")];
        let environment: Vec<_> = hangs.into_iter().chain(readers).collect();
        let read = read(&bench, &environment);
        assert_eq!(read.code, Some(1), "{}", read.stderr);
        assert!(
            read.stderr.contains("views in memory of GPU-"),
            "{}",
            read.stderr
        );
        assert!(read.stderr.contains("no batch within 2"), "{}", read.stderr);
    };
    // Each waits for its copies before it gives up.
    thread::scope(|scope| {
        for readers in [None, Some(("READERS", "unknown"))] {
            scope.spawn(move || times_out(readers));
        }
    });
    bench.assert_equal(&loader);
}
