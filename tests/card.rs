//! The loader with a card: stand-ins take the place of NVIDIA's libraries, do everything as late as they may, and have as little memory as they are told.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use loader_ipc::{Order, Subscription};

use crate::harness::{
    Finished, Running, losses, pack, run, start_with, status, synth, text, tiny_trainer, until,
};
use crate::killed::{num_segments, num_subscribers, training};
use crate::views::{stages, subscription, try_views_by_sample, views_by_sample};

/// Every view of every sample.
pub(crate) type Views = BTreeMap<u64, Vec<Vec<u8>>>;

/// Shards of several kinds of images, what the CPU makes of them, and the stand-ins.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) shards: PathBuf,
    libraries: PathBuf,
    pub(crate) expected: Views,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        synth(&images, 3, 6, 70);
        vary(&images.join("train"));
        let shards = pack(&images, &dir.path().join("shards"));
        let libraries = standins(dir.path(), &[DRIVER, NVRTC, NVJPEG]);
        let mut bench = Bench {
            dir,
            shards,
            libraries,
            expected: Views::new(),
        };
        let socket = bench.socket();
        let _cpu = bench.serve("cpu", &[]);
        bench.expected = views_by_sample(&socket, &batches());
        assert_eq!(bench.expected.len(), 17, "one of 18 is damaged");
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the stand-ins are.
    pub(crate) fn libraries(&self) -> &Path {
        &self.libraries
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("loader.sock")
    }

    /// Starts a loader; it need not come far.
    pub(crate) fn start(&self, decoder: &str, environment: &[(&str, &str)]) -> Running {
        let (shards, socket) = (text(&self.shards), self.socket());
        let args = [
            "serve",
            shards,
            "--socket",
            text(&socket),
            "--decoder",
            decoder,
        ];
        let environment = environment
            .iter()
            .map(|(name, value)| (*name, Path::new(value)));
        let libraries = ("LD_LIBRARY_PATH", self.libraries.as_path());
        let environment: Vec<_> = environment.chain([libraries]).collect();
        start_with("loader", &args, &environment)
    }

    /// Starts a loader that serves.
    pub(crate) fn serve(&self, decoder: &str, environment: &[(&str, &str)]) -> Running {
        let mut loader = self.start(decoder, environment);
        until("the loader's socket", || {
            assert!(!loader.has_ended(), "{}", loader.stderr());
            status(&self.socket()).is_some()
        });
        loader
    }

    /// Holds that a loader's views are those of the CPU.
    #[track_caller]
    pub(crate) fn assert_equal(&self, loader: &Running) {
        let made = views_by_sample(&self.socket(), &batches());
        assert!(made == self.expected, "other views; {}", loader.stderr());
    }

    /// Images by the way they took.
    pub(crate) fn routes(&self) -> BTreeMap<String, u64> {
        let told = status(&self.socket()).unwrap()["routes"].clone();
        let routes = told.as_array().unwrap().iter();
        let route = |route: &serde_json::Value| {
            let name = route["route"].as_str().unwrap().to_owned();
            (name, route["num_images"].as_u64().unwrap())
        };
        routes.map(route).collect()
    }
}

/// The whole split in order, in batches of which the last is not full.
pub(crate) fn batches() -> Subscription {
    Subscription {
        num_slots: Some(3),
        ..subscription(Order::Sequential, 4)
    }
}

/// A stand-in, and the names of the library in whose place it is.
pub(crate) type Standin = (&'static str, &'static [&'static str]);
pub(crate) const DRIVER: Standin = ("cuda", &["libcuda.so.1", "libcuda.so"]);
pub(crate) const NVRTC: Standin = ("cuda", &["libnvrtc.so.13", "libnvrtc.so"]);
pub(crate) const NVJPEG: Standin = ("nvjpeg", &["libnvjpeg.so.13"]);

/// A new folder in `dir` with stand-ins under the names of what they stand for.
pub(crate) fn standins(dir: &Path, all: &[Standin]) -> PathBuf {
    let libraries = dir.join("libraries");
    fs::create_dir(&libraries).unwrap();
    for (library, names) in all {
        for name in *names {
            symlink(standin(library), libraries.join(name)).unwrap();
        }
    }
    libraries
}

/// Where cargo builds a stand-in.
fn standin(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let path = program.with_file_name(format!("lib{name}_standin.so"));
    assert!(path.exists(), "{} is built with this test", path.display());
    path
}

/// Makes one image grey, one progressive, one a PNG, and damages one.
fn vary(train: &Path) {
    let mut classes: Vec<_> = fs::read_dir(train)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    classes.sort();
    let mut images: Vec<_> = fs::read_dir(&classes[1])
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    images.sort();
    for (image, change) in images.iter().zip(["-grayscale", "-progressive"]) {
        let changed = std::process::Command::new("jpegtran")
            .args([change, text(image)])
            .output()
            .unwrap();
        assert!(
            changed.status.success(),
            "jpegtran is installed by scripts/setup --tests"
        );
        fs::write(image, changed.stdout).unwrap();
    }
    let mut encoder = png::Encoder::new(fs::File::create(&images[2]).unwrap(), 30, 20);
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = (0..30 * 20 * 3).map(|at| (at * 7 % 251) as u8).collect();
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&pixels)
        .unwrap();
    let bytes = fs::read(&images[3]).unwrap();
    fs::write(&images[3], &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_card_makes_the_views_of_the_cpu_whoever_comes_when() {
    let bench = Bench::new();
    for order in ["late", "early", "1", "2", "3"] {
        let loader = bench.serve("gpu", &[("STANDIN_ORDER", order)]);
        bench.assert_equal(&loader);
        assert!(
            loader.stderr().contains("as asked for (--decoder gpu)"),
            "{}",
            loader.stderr()
        );
        assert!(
            !loader.stderr().contains("one copy more"),
            "{}",
            loader.stderr()
        );
        assert_eq!(
            bench.routes().into_values().collect::<Vec<_>>(),
            [0, 1, 1, 16],
            "a progressive file by the hybrid back end, a PNG by the CPU, the rest by the engines"
        );
    }
}

#[test]
fn every_image_goes_through_the_stages_of_its_way_and_one_line_says_what_bounds_the_rate() {
    let bench = Bench::new();
    let stages_with = |environment: &[(&str, &str)]| {
        let _loader = bench.serve("gpu", environment);
        let (stages, bound) = stages(&bench.socket(), &batches());
        assert!(bound.contains("the rate"), "{bound}");
        stages
    };
    let mut all = [
        ("waiting for a free slot", 18),
        ("reading files for the card", 17),
        ("reading and decoding, CPU", 1),
        ("copying to pinned memory", 18),
        ("calling card and nvJPEG", 18),
        ("upload to the card", 18),
        ("decoding, JPEG engines", 16),
        ("decoding, hybrid back end", 1),
        ("colours and views, kernels", 18),
        ("copy to the host", 18),
    ]
    .map(|(stage, num_images)| (stage.to_owned(), num_images))
    .to_vec();
    for order in ["late", "early", "5"] {
        assert_eq!(stages_with(&[("STANDIN_ORDER", order)]), all, "{order}");
    }
    let log = bench.path("calls");
    let num_calls = |of: &str| {
        let calls = fs::read_to_string(&log).unwrap();
        calls.lines().filter(|call| *call == of).count()
    };
    let little = [("STANDIN_MEMORY", "4000000"), ("STANDIN_LOG", text(&log))];
    // nvJPEG's share holds no image of the hybrid back end.
    let mut with_little = all.clone();
    with_little.retain(|(stage, _)| stage != "decoding, hybrid back end");
    with_little[2].1 = 2;
    with_little.insert(3, ("views, CPU".to_owned(), 1));
    assert_eq!(stages_with(&little), with_little);
    let num_batches = 18_usize.div_ceil(4);
    let num_rounds = num_calls("cuMemcpyHtoDAsync_v2");
    assert!(num_rounds > num_batches, "{num_rounds}");
    assert!(num_calls("cuEventElapsedTime_v2") > 4 * num_rounds);
    // Pinned memory that was just taken is asked for once, too, and no time is.
    let num_waits = num_calls("cuEventSynchronize");
    assert_eq!(num_waits, num_batches + num_calls("cuMemHostAlloc"));
    let refused = [("STANDIN_FAIL", "cuMemHostRegister_v2:1+")];
    all.push(("second copy, on the host".to_owned(), 18));
    assert_eq!(stages_with(&refused), all);
}

#[test]
fn without_nvjpeg_or_engines_the_cpu_decodes_for_the_card_or_the_daemon_ends_with_5() {
    let bench = Bench::new();
    // 7: there are no engines, as the first of the decoders is told. Either the card has none, or the driver lacks its part for them.
    let no_engines = [("STANDIN_FAIL", "nvjpegCreateExV2:1:7")];
    let loader = bench.serve("auto", &no_engines);
    bench.assert_equal(&loader);
    for words in ["libnvcuvid.so.1", "NVIDIA_DRIVER_CAPABILITIES"] {
        assert!(loader.stderr().contains(words), "{}", loader.stderr());
    }
    drop(loader);
    let ended = bench.start("gpu", &no_engines).finish();
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("libnvcuvid.so.1"), "{}", ended.stderr);
    let part_of_driver = bench.libraries.join("libnvcuvid.so.1");
    symlink("libcuda.so.1", part_of_driver).unwrap();
    let loader = bench.serve("gpu", &no_engines);
    bench.assert_equal(&loader);
    assert!(
        loader.stderr().contains("finds no JPEG engines"),
        "{}",
        loader.stderr()
    );
    assert_eq!(bench.routes()["decoded by the CPU, views by the card"], 18);
    drop(loader);
    let library = bench.libraries.join("libnvjpeg.so.13");
    fs::remove_file(&library).unwrap();
    fs::write(&library, "no library").unwrap();
    let loader = bench.serve("auto", &[]);
    bench.assert_equal(&loader);
    for words in ["there is a card", "nvJPEG cannot be loaded", text(&library)] {
        assert!(loader.stderr().contains(words), "{}", loader.stderr());
    }
    drop(loader);
    let ended = bench.start("gpu", &[]).finish();
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    for words in ["nvJPEG cannot be loaded", "--decoder cpu"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn parity_counts_how_far_the_cards_pixels_are_from_those_of_the_cpu() {
    let bench = Bench::new();
    let parity = |levels: &str, more: &[&str]| {
        let args = [&["parity", text(&bench.shards)][..], more].concat();
        let environment = [
            ("LD_LIBRARY_PATH", bench.libraries.as_path()),
            ("STANDIN_LEVELS", Path::new(levels)),
        ];
        start_with("loader", &args, &environment).finish()
    };
    for (levels, most, code) in [("0", 0, 0), ("1", 3, 0), ("9", 25, 5)] {
        let done = parity(levels, &["--json"]);
        assert_eq!(done.code, Some(code), "{}", done.stderr);
        let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        let ways = report["ways"].as_array().unwrap();
        let num_images = ways.iter().map(|way| way["num_images"].as_u64().unwrap());
        assert_eq!(num_images.collect::<Vec<_>>(), [1, 15], "{report}");
        assert!(
            ways.iter().all(|way| way["most"].as_u64().unwrap() <= most),
            "{report}"
        );
        let is_off = |way: &serde_json::Value| {
            way["by_one"].as_u64().unwrap() + way["by_more"].as_u64().unwrap() > 0
        };
        assert_eq!(ways.iter().all(is_off), levels != "0", "{report}");
        assert_eq!(report["is_within"], code == 0, "{report}");
        assert_eq!(report["not_decoded"]["it is no JPEG"], 1, "{report}");
    }
    let done = parity("9", &["--images", "3"]);
    for words in ["error[5]: the card decodes other pixels", "key "] {
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
    assert!(
        done.stdout.contains("the card's engines"),
        "{}",
        done.stdout
    );
}

#[test]
fn several_subscribers_share_a_card() {
    let bench = Bench::new();
    let loader = bench.serve("auto", &[]);
    assert!(
        loader.stderr().contains("there is a card"),
        "{}",
        loader.stderr()
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| bench.assert_equal(&loader));
        }
    });
}

#[test]
fn a_card_with_little_memory_works_in_rounds_and_leaves_the_rest_to_the_cpu() {
    let bench = Bench::new();
    for total in ["4000000", "1200000", "700000"] {
        let loader = bench.serve("gpu", &[("STANDIN_MEMORY", total)]);
        bench.assert_equal(&loader);
    }
    let loader = bench.serve("gpu", &[("STANDIN_MEMORY", "300000")]);
    bench.assert_equal(&loader);
    assert_eq!(bench.routes()["all by the CPU"], 18, "no image fits");
}

#[test]
fn a_card_without_memory_for_another_slot_has_fewer_batches_in_flight() {
    let bench = Bench::new();
    let loader = bench.serve("gpu", &[("STANDIN_MEMORY", "110000")]);
    bench.assert_equal(&loader);
    assert!(
        loader.stderr().contains("in flight only"),
        "{}",
        loader.stderr()
    );
}

#[test]
fn a_card_without_memory_for_one_slot_ends_the_daemon_with_4_or_leaves_all_to_the_cpu() {
    let bench = Bench::new();
    let little = [("STANDIN_MEMORY", "30000")];
    let loader = bench.serve("auto", &little);
    bench.assert_equal(&loader);
    assert!(
        loader.stderr().contains("made by the CPU from now on"),
        "{}",
        loader.stderr()
    );
    drop(loader);
    let (ended, error) = ended(&bench, "gpu", &little);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("too little memory for one batch"),
        "{}",
        ended.stderr
    );
    assert!(error.contains("too little memory"), "{error}");
}

/// What ends a loader and its subscriber.
pub(crate) fn ended(
    bench: &Bench,
    decoder: &str,
    environment: &[(&str, &str)],
) -> (Finished, String) {
    let loader = bench.serve(decoder, environment);
    let many = Subscription {
        num_epochs: 30,
        ..batches()
    };
    let received = try_views_by_sample(&bench.socket(), &many);
    let error = received.map_or_else(|error| error.to_string(), |_| String::new());
    (loader.finish(), error)
}

#[test]
fn without_a_card_the_cpu_serves_or_the_daemon_ends_with_5_and_says_why() {
    let bench = Bench::new();
    for (environment, words) in [
        (("STANDIN_DEVICES", "0"), "shows no card"),
        (
            ("STANDIN_DRIVER", "12040"),
            "CUDA 12.4, CUDA 13.0 is needed",
        ),
        (
            ("STANDIN_FAIL", "nvrtcCompileProgram:1"),
            "NVRTC does not compile",
        ),
    ] {
        let loader = bench.serve("auto", &[environment]);
        let told = loader.stderr();
        let line = told
            .lines()
            .find(|line| line.contains("batches are made by"))
            .unwrap();
        assert!(
            line.contains("CPU thread") && line.contains(words),
            "{told}"
        );
        bench.assert_equal(&loader);
        drop(loader);
        let ended = bench.start("gpu", &[environment]).finish();
        assert_eq!(ended.code, Some(5), "{}", ended.stderr);
        let has_words = ended.stderr.contains(words) && ended.stderr.contains("--decoder cpu");
        assert!(has_words, "{}", ended.stderr);
    }
}

#[test]
fn a_driver_that_does_not_take_the_ring_costs_a_copy_and_says_so() {
    let bench = Bench::new();
    for order in ["late", "4"] {
        let refused = [
            ("STANDIN_FAIL", "cuMemHostRegister_v2:1+"),
            ("STANDIN_ORDER", order),
        ];
        let loader = bench.serve("gpu", &refused);
        bench.assert_equal(&loader);
        assert!(
            loader.stderr().contains("one copy more"),
            "{}",
            loader.stderr()
        );
    }
}

#[test]
fn a_killed_subscriber_leaves_nothing_of_its_ring_and_the_card_goes_on() {
    let bench = Bench::new();
    let loader = bench.serve("gpu", &[]);
    let trainer = training(&bench.shards, &bench.path("run"), &bench.socket());
    assert_eq!(num_segments(loader.pid()), 2, "control and views");
    trainer.kill();
    until("the subscriber to be forgotten", || {
        num_subscribers(&bench.socket()) == 0
    });
    until("its shared memory to be freed", || {
        num_segments(loader.pid()) == 0
    });
    bench.assert_equal(&loader);
}

#[test]
fn a_killed_daemon_with_a_card_ends_the_trainer_and_the_next_one_serves() {
    let bench = Bench::new();
    let loader = bench.serve("gpu", &[]);
    let trainer = training(&bench.shards, &bench.path("run"), &bench.socket());
    loader.kill();
    let ended = trainer.finish();
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    let next = bench.serve("gpu", &[]);
    bench.assert_equal(&next);
    let (out, socket) = (bench.path("next"), bench.socket());
    let more = ["LOADER.SOCKET", text(&socket), "TRAIN.MAX_STEPS", "2"];
    let done = run("trainer", &tiny_trainer(&bench.shards, &out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(losses(&out).len(), 2);
}
