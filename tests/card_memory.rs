//! Views that stay in memory of the card: a program beside the daemon reads them there, under the stand-ins, with its own streams.

use std::fs;
use std::path::Path;

use loader_ipc::Subscription;

use crate::c_library::built;
use crate::card::{Bench, batches};
use crate::harness::{Finished, Running, start_program_as, start_with, status, text, until};
use crate::killed::num_subscribers;

impl Bench {
    /// Starts a program that reads all views in memory of the card.
    pub(crate) fn read(
        &self,
        subscription: &Subscription,
        environment: &[(&str, &str)],
    ) -> Running {
        let asked = self.path("subscription.json");
        fs::write(&asked, serde_json::to_string(subscription).unwrap()).unwrap();
        let libraries = self.libraries().to_owned();
        let environment = environment
            .iter()
            .map(|(name, value)| (*name, Path::new(value)));
        let environment: Vec<_> = environment
            .chain([("LD_LIBRARY_PATH", libraries.as_path())])
            .collect();
        let socket = self.socket();
        start_with(
            "examples/card_views",
            &[text(&socket), text(&asked)],
            &environment,
        )
    }

    /// The lines that a reader prints of what the CPU makes. A sample that takes the place of a damaged one has every view twice.
    fn expected_lines(&self) -> Vec<String> {
        let line = |(id, views): (&u64, &Vec<Vec<u8>>)| {
            let mut sums: Vec<u32> = views.iter().map(|view| crc32fast::hash(view)).collect();
            sums.dedup();
            let sums = sums.iter().map(|sum| format!(" {sum:08x}"));
            format!("{id}{}", sums.collect::<String>())
        };
        self.expected.iter().map(line).collect()
    }

    /// Holds that a reader has seen the views of the CPU.
    #[track_caller]
    pub(crate) fn assert_read(&self, read: &Finished, where_they_lay: &str) {
        assert_eq!(read.code, Some(0), "{}", read.stderr);
        assert!(read.stderr.contains(where_they_lay), "{}", read.stderr);
        let mut lines: Vec<&str> = read.stdout.lines().collect();
        lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap());
        lines.dedup();
        assert_eq!(lines, self.expected_lines(), "other views; {}", read.stderr);
    }
}

/// How often a process maps memory that cards share.
pub(crate) fn num_mappings(pid: i32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines()
        .filter(|line| line.contains("memfd:card"))
        .count()
}

pub(crate) const ON_CARD: &str = "views in memory of GPU-7374616e-642d-696e-2c20-636172642030";

#[test]
fn views_in_memory_of_the_card_are_those_of_the_cpu_whoever_comes_when() {
    let bench = Bench::new();
    let log = bench.path("calls");
    for (maker, reader) in [
        ("late", "late"),
        ("early", "late"),
        ("1", "late"),
        ("late", "early"),
        ("2", "3"),
    ] {
        let loader = bench.serve(
            "gpu",
            &[("STANDIN_ORDER", maker), ("STANDIN_LOG", text(&log))],
        );
        for num_slots in [2, 3, 5] {
            let num_slots = Some(num_slots);
            let asked = Subscription {
                num_slots,
                batch_size: 2,
                ..batches()
            };
            let read = bench.read(&asked, &[("STANDIN_ORDER", reader)]).finish();
            bench.assert_read(&read, ON_CARD);
        }
        drop(loader);
    }
    let calls = fs::read_to_string(&log).unwrap();
    assert!(
        !calls.contains("cuMemcpyDtoH"),
        "nothing of them comes back to the host"
    );
}

#[test]
fn a_daemon_tells_what_it_has_of_the_cards_memory() {
    let bench = Bench::new();
    let used = bench.path("used");
    let loader = bench.serve("gpu", &[("STANDIN_USED", text(&used))]);
    let endless = Subscription {
        num_epochs: 1_000_000,
        ..batches()
    };
    let memory = || {
        let card = status(&bench.socket()).unwrap()["cards"][0].clone();
        ["slot_bytes", "in_flight_bytes"].map(|name| card[name].as_u64().unwrap())
    };
    let is_all = |[slots, in_flight]: [u64; 2]| {
        let used = fs::read_to_string(&used).unwrap();
        in_flight > 0 && used == (slots + in_flight).to_string()
    };
    let [none, _] = memory();
    assert_eq!(none, 0, "{}", loader.stderr());
    until("no other memory than that for batches", || is_all(memory()));
    let reader = bench.read(&endless, &[]);
    until("slots, and no other memory", || {
        let told = memory();
        told[0] > 0 && is_all(told)
    });
    reader.kill();
    until("slots to be free", || memory()[0] == 0);
    until("no other memory than that for batches", || is_all(memory()));
}

#[test]
fn programs_with_views_on_the_card_and_on_the_host_share_a_daemon() {
    let bench = Bench::new();
    let loader = bench.serve("gpu", &[]);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| bench.read(&batches(), &[]).finish());
        bench.assert_equal(&loader);
        bench.assert_read(&reading.join().unwrap(), ON_CARD);
    });
}

#[test]
fn where_the_card_shares_no_memory_the_views_lie_in_memory_of_the_host_and_both_say_why() {
    let bench = Bench::new();
    let calls = [
        "cuMemCreate",
        "cuMemAddressReserve",
        "cuMemMap",
        "cuMemSetAccess",
        "cuMemsetD8_v2",
        "cuMemExportToShareableHandle",
    ];
    let failing = calls.map(|call| {
        (
            format!("{call}:1"),
            "memory of the card is not shared".to_owned(),
        )
    });
    let mut cases = vec![
        (
            "gpu",
            "STANDIN_EXPORTS",
            "0".to_owned(),
            "the card's driver exports no memory".to_owned(),
        ),
        (
            "gpu",
            "STANDIN_MEMORY",
            "110000".to_owned(),
            "the card has no room for a ring".to_owned(),
        ),
        (
            "cpu",
            "STANDIN_ORDER",
            "late".to_owned(),
            "batches are made by the CPU".to_owned(),
        ),
    ];
    cases.extend(failing.map(|(call, words)| ("gpu", "STANDIN_FAIL", call, words)));
    for (decoder, name, value, words) in cases {
        let loader = bench.serve(decoder, &[(name, &value)]);
        let read = bench.read(&batches(), &[]).finish();
        bench.assert_read(&read, &format!("views in memory of the host: {words}"));
        let told = loader.stderr();
        assert!(
            told.contains("in memory of the host") && told.contains(&words),
            "{value}: {told}"
        );
        assert_eq!(num_mappings(loader.pid()), 0, "{value}");
    }
}

#[test]
fn batches_without_an_image_for_the_card_that_holds_them_leave_the_card_in_use() {
    let bench = Bench::new();
    // With more memory a small PNG fits, with less nothing.
    for (total, num_on_card) in [("300000", 0), ("1200000", 2)] {
        let _loader = bench.serve("gpu", &[("STANDIN_MEMORY", total)]);
        for _ in 0..2 {
            bench.assert_read(&bench.read(&batches(), &[]).finish(), ON_CARD);
        }
        let routes = bench.routes();
        assert_eq!(routes["all by the CPU"], 36 - num_on_card, "{routes:?}");
    }
}

#[test]
fn a_program_that_cannot_map_the_cards_memory_reads_the_hosts() {
    let bench = Bench::new();
    let loader = bench.serve("gpu", &[]);
    for call in [
        "cuMemImportFromShareableHandle",
        "cuMemAddressReserve",
        "cuMemMap",
        "cuMemSetAccess",
    ] {
        let read = bench
            .read(&batches(), &[("STANDIN_FAIL", &format!("{call}:1"))])
            .finish();
        bench.assert_read(
            &read,
            "views in memory of the host: memory of the card is not shared",
        );
    }
    let hidden = bench.read(&batches(), &[("STANDIN_DEVICES", "0")]).finish();
    assert!(
        hidden.stderr.contains("hidden from this process"),
        "{}",
        hidden.stderr
    );
    // An event that cannot be made or recorded costs time, never a view.
    for call in [
        "cuEventCreate:2",
        "cuEventRecord:2",
        "cuThreadExchangeStreamCaptureMode:1+",
    ] {
        let read = bench.read(&batches(), &[("STANDIN_FAIL", call)]).finish();
        bench.assert_read(&read, ON_CARD);
    }
    bench.assert_equal(&loader);
}

#[test]
fn killed_readers_leave_nothing_and_a_killed_daemon_leaves_its_readers_an_error() {
    let bench = Bench::new();
    let endless = Subscription {
        num_epochs: 1_000_000,
        ..batches()
    };
    let loader = bench.serve("gpu", &[]);
    for _ in 0..2 {
        let reader = bench.read(&endless, &[]);
        until("memory that both map", || {
            num_mappings(loader.pid()) == 1 && num_mappings(reader.pid()) == 1
        });
        reader.kill();
        until("the reader to be forgotten", || {
            num_subscribers(&bench.socket()) == 0
        });
        until("its memory to be freed", || num_mappings(loader.pid()) == 0);
    }
    let reader = bench.read(&endless, &[]);
    until("memory that both map", || num_mappings(reader.pid()) == 1);
    loader.kill();
    let ended = reader.finish();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("gone"), "{}", ended.stderr);
}

#[test]
fn where_the_card_fails_its_readers_learn_why_and_the_next_ones_read_the_hosts_memory() {
    let bench = Bench::new();
    for call in [
        "cuLaunchKernel:9+",
        "cuEventRecord:3+",
        "cuMemcpyHtoDAsync_v2:3+:700",
    ] {
        let loader = bench.serve("auto", &[("STANDIN_FAIL", call)]);
        let ended = bench.read(&batches(), &[]).finish();
        assert_eq!(ended.code, Some(1), "{call}: {}", ended.stderr);
        let words = "the card that holds the views has failed";
        assert!(ended.stderr.contains(words), "{call}: {}", ended.stderr);
        let next = bench.read(&batches(), &[]).finish();
        bench.assert_read(&next, &format!("views in memory of the host: {words}"));
        assert!(status(&bench.socket()).is_some(), "{}", loader.stderr());
        drop(loader);
        let loader = bench.serve("gpu", &[("STANDIN_FAIL", call)]);
        let reader = bench.read(&batches(), &[]).finish();
        assert_eq!(reader.code, Some(1), "{call}: {}", reader.stderr);
        assert!(
            reader.stderr.contains("the card has failed"),
            "{call}: {}",
            reader.stderr
        );
        assert_eq!(loader.finish().code, Some(5), "{call}");
    }
}

#[test]
fn a_daemon_opens_every_card_that_somebody_wants_his_views_on() {
    let bench = Bench::new();
    let two = ("STANDIN_DEVICES", "2");
    let (all_but_number, _) = ON_CARD.split_at(ON_CARD.len() - 2);
    let on = |device: &str| bench.read(&batches(), &[two, ("CARD", device)]).finish();
    let loader = bench.serve("gpu", &[two]);
    for (device, id) in [("1", "31"), ("0", "30"), ("1", "31")] {
        bench.assert_read(&on(device), &format!("{all_but_number}{id}"));
    }
    assert_eq!(
        loader
            .stderr()
            .matches("made by stand-in of a card")
            .count(),
        5,
        "two engines, three streams: {}",
        loader.stderr()
    );
    bench.assert_equal(&loader);
    drop(loader);
    // The first card has two modules, so it is the other one that cannot be used.
    let loader = bench.serve("gpu", &[two, ("STANDIN_FAIL", "cuModuleLoadData:3")]);
    bench.assert_read(
        &on("1"),
        "views in memory of the host: the card cannot be used",
    );
    bench.assert_read(&on("0"), ON_CARD);
    drop(loader);
    // A card that only the reader sees.
    let _loader = bench.serve("gpu", &[]);
    bench.assert_read(
        &on("1"),
        "views in memory of the host: the card is not there, or hidden from this process",
    );
}

#[test]
fn a_program_in_c_reads_the_cards_memory_and_its_slots_wait_for_the_streams_that_read() {
    let bench = Bench::new();
    let program = built("loader/c/tests/card.c", "-ldl", &bench.path(""));
    let asked = serde_json::to_value(batches()).unwrap();
    let asked = |card: serde_json::Value| {
        let mut asked = asked.clone();
        asked["card"] = card;
        asked["batch_size"] = 2.into();
        asked.to_string()
    };
    let sum = |view: &Vec<u8>| view.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let sums = bench
        .expected
        .iter()
        .map(|(id, views)| format!("{id} {}", sum(&views[0])));
    let sums: Vec<String> = sums.collect();
    let read = |asked: &str, more: &[&str]| {
        let (shards, socket) = (bench.path("shards"), bench.socket());
        let args = [&[text(&shards), text(&socket), asked][..], more].concat();
        let libraries = bench.libraries();
        start_program_as(text(&program), &args, |command| {
            command.env("LD_LIBRARY_PATH", libraries)
        })
        .finish()
    };
    let assert_read = |read: &Finished, where_they_lay: &str| {
        assert_eq!(read.code, Some(0), "{}", read.stderr);
        assert!(read.stderr.contains(where_they_lay), "{}", read.stderr);
        let mut lines: Vec<&str> = read.stdout.lines().collect();
        lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap());
        lines.dedup();
        assert_eq!(lines, sums, "{}", read.stderr);
    };
    let loader = bench.serve("gpu", &[]);
    assert_read(&read(&asked(0.into()), &[]), "device 2 0");
    assert_read(&read(&asked(0.into()), &["nobody says"]), "device 2 0");
    let refused = read(&asked(7.into()), &[]);
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("device 7"), "{}", refused.stderr);
    drop(loader);
    let _loader = bench.serve("cpu", &[]);
    assert_read(
        &read(&asked(0.into()), &[]),
        "not on the card: batches are made by the CPU",
    );
}
