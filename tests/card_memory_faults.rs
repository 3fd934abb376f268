//! Every call that is made of a card's driver, by a daemon that makes views there or by a program that reads them, fails in turn. Nobody hangs, and no view is another.

use std::fs;
use std::path::Path;

use loader_ipc::{Client, Subscription};

use crate::card::{Bench, batches};
use crate::card_faults::{assert_ends, counted, faults};
use crate::card_memory::{ON_CARD, num_mappings};
use crate::harness::{Finished, PATIENCE, Running, status, text, until};
use crate::killed::num_subscribers;

/// Where a reader says that its views lie, before anything else can go wrong with them.
const WHERE: &str = "views in memory of ";

impl Bench {
    /// Holds that a reader has got the views of the CPU, or else one error in words that are not of a wait in vain; tells which.
    #[track_caller]
    fn has_read(&self, read: &Finished, fault: &str) -> bool {
        let told = format!("{fault}: {:?}, {}", read.code, read.stderr);
        match read.code {
            Some(0) => self.assert_read(read, WHERE),
            Some(1) => assert_is_one_error(&read.stderr, &told),
            _ => panic!("it ends by itself; {told}"),
        }
        read.code == Some(0)
    }
}

impl Bench {
    /// Whether two readers, one after the other, have got their views. What the first one had is freed while the second reads.
    #[track_caller]
    fn both_have_read(&self, fault: &str) -> bool {
        (0..2).all(|_| {
            let has_read = self.has_read(&self.read(&batches(), &[]).finish(), fault);
            // There is none where the daemon has ended.
            until("the reader to be forgotten", || {
                status(&self.socket())
                    .is_none_or(|told| told["subscribers"] == serde_json::json!([]))
            });
            has_read
        })
    }
}

/// Besides the line that says where the views lie there is one of what, where and what to do. The calls of the example's own stream are told without a place.
#[track_caller]
fn assert_is_one_error(stderr: &str, told: &str) {
    let errors = stderr.lines().filter(|line| !line.starts_with(WHERE));
    let errors: Vec<&str> = errors.collect();
    assert_eq!(errors.len(), 1, "{told}");
    // A place is not always known.
    let is_in_words = ["; ", "DriverError(", "copying views failed: "]
        .iter()
        .any(|words| errors[0].contains(words));
    assert!(
        is_in_words && !errors[0].contains("no batch within"),
        "{told}"
    );
}

/// Faults of a daemon that serves a reader on the card, frees what it had, then ends.
fn faults_of_daemon(bench: &Bench) -> Vec<String> {
    let log = bench.path("calls");
    let loader = bench.serve("gpu", &[("STANDIN_LOG", text(&log))]);
    bench.assert_read(&bench.read(&batches(), &[]).finish(), ON_CARD);
    until("its memory to be freed", || num_mappings(loader.pid()) == 0);
    assert_ends("none", loader);
    faults_in(&log, &["cuMemExportToShareableHandle", "cuMemUnmap"])
}

/// Faults of the calls that a process has made without one, these among them.
fn faults_in(log: &Path, calls: &[&str]) -> Vec<String> {
    let counts = counted(log);
    assert!(
        calls.iter().all(|call| counts.contains_key(*call)),
        "{counts:?}"
    );
    faults(&counts)
}

#[test]
fn with_a_card_if_there_is_one_every_fault_of_a_daemon_leaves_its_readers_the_views_or_an_error_and_the_next_one_the_views()
 {
    let bench = Bench::new();
    for fault in faults_of_daemon(&bench) {
        let loader = bench.serve("auto", &[("STANDIN_FAIL", &fault)]);
        if !bench.both_have_read(&fault) {
            let next = bench.read(&batches(), &[]).finish();
            bench.assert_read(&next, "views in memory of the host");
        }
        assert_ends(&fault, loader);
    }
}

#[test]
fn with_a_card_for_certain_every_fault_of_a_daemon_leaves_its_readers_the_views_or_an_error() {
    let bench = Bench::new();
    for fault in faults_of_daemon(&bench) {
        let mut loader = bench.start("gpu", &[("STANDIN_FAIL", &fault)]);
        until("the loader to serve or to end", || {
            loader.has_ended() || status(&bench.socket()).is_some()
        });
        let serves = !loader.has_ended() && bench.both_have_read(&fault);
        assert_serves_or_fails(&fault, loader, serves);
    }
}

#[track_caller]
fn assert_serves_or_fails(fault: &str, loader: Running, serves: bool) {
    if serves {
        return assert_ends(fault, loader);
    }
    let ended = loader.finish();
    assert_eq!(ended.code, Some(5), "{fault}: {}", ended.stderr);
    let num_errors = ended.stderr.matches("error[5]: ").count();
    assert_eq!(num_errors, 1, "{fault}: {}", ended.stderr);
}

#[test]
fn every_fault_of_a_reader_leaves_it_the_views_or_an_error_and_the_daemon_serves_on() {
    let bench = Bench::new();
    let log = bench.path("calls");
    let loader = bench.serve("gpu", &[]);
    let clean = bench.read(&batches(), &[("STANDIN_LOG", text(&log))]);
    bench.assert_read(&clean.finish(), ON_CARD);
    for fault in faults_in(
        &log,
        &[
            "cuMemImportFromShareableHandle",
            "cuEventRecord",
            "cuMemUnmap",
        ],
    ) {
        let read = bench.read(&batches(), &[("STANDIN_FAIL", &fault)]).finish();
        bench.has_read(&read, &fault);
    }
    bench.assert_read(&bench.read(&batches(), &[]).finish(), ON_CARD);
    until("all memory to be freed", || num_mappings(loader.pid()) == 0);
    assert_ends("none of the daemon", loader);
}

/// Subscribes at a daemon, and goes while batches are on their way.
fn come_and_go(bench: &Bench, on_card: bool) {
    let endless = Subscription {
        num_epochs: 1_000_000,
        ..batches()
    };
    if on_card {
        let reader = bench.read(&endless, &[]);
        until("a line of the reader", || !reader.stderr().is_empty());
        reader.kill();
    } else {
        let client = Client::connect(&bench.socket(), PATIENCE).unwrap();
        let mut subscriber = client.subscribe(&endless).unwrap();
        subscriber.receive(PATIENCE).unwrap();
    }
    until("the reader to be forgotten", || {
        num_subscribers(&bench.socket()) == 0
    });
}

#[test]
fn a_batch_that_nobody_wants_any_more_and_the_card_does_not_finish_ends_the_use_of_the_card_and_keeps_its_memory()
 {
    let bench = Bench::new();
    let over = "made by the CPU from now on";
    for on_card in [true, false] {
        // As long as memory suffices, nothing but such a batch waits for its stream.
        let loader = bench.serve("auto", &[("STANDIN_FAIL", "cuStreamSynchronize:1+:700")]);
        bench.assert_read(&bench.read(&batches(), &[]).finish(), ON_CARD);
        bench.assert_equal(&loader);
        assert!(!loader.stderr().contains(over), "{}", loader.stderr());
        until("a reader to go while a batch is on its way", || {
            come_and_go(&bench, on_card);
            loader.stderr().contains(over)
        });
        let maps = fs::read_to_string(format!("/proc/{}/maps", loader.pid())).unwrap();
        let ring = if on_card {
            "memfd:card"
        } else {
            "memfd:sslight"
        };
        let told = loader.stderr();
        assert!(maps.contains(ring), "the card may yet write there: {told}");
        bench.assert_equal(&loader);
        bench.assert_read(
            &bench.read(&batches(), &[]).finish(),
            "views in memory of the host",
        );
        assert_ends("cuStreamSynchronize", loader);
    }
    let mut loader = bench.serve("gpu", &[("STANDIN_FAIL", "cuStreamSynchronize:1+:700")]);
    until("the daemon to end", || {
        if !loader.has_ended() {
            let reader = bench.read(&batches(), &[]);
            until("a line of the reader", || !reader.stderr().is_empty());
        }
        loader.has_ended()
    });
    let ended = loader.finish();
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the card has failed"),
        "{}",
        ended.stderr
    );
}
