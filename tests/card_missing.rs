//! A loader that was built for cards, where one of NVIDIA's libraries is not there: nothing takes its place, and the system has none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::card::{Bench, DRIVER, NVRTC, Standin, batches, standins};
use crate::harness::{Running, binary, start_program, start_program_as, status, text, until};
use crate::real_card::say;
use crate::views::views_by_sample;

/// The loader in a folder of its own, above and below which no environment has NVIDIA's libraries.
struct Alone {
    dir: tempfile::TempDir,
    libraries: PathBuf,
}

impl Alone {
    fn with(libraries: &[Standin]) -> Alone {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(binary("loader"), dir.path().join("loader")).unwrap();
        let libraries = standins(dir.path(), libraries);
        Alone { dir, libraries }
    }

    fn serve(&self, bench: &Bench, decoder: &str) -> Running {
        let (program, socket) = (self.dir.path().join("loader"), bench.socket());
        let args = [
            "serve",
            text(&bench.shards),
            "--socket",
            text(&socket),
            "--decoder",
            decoder,
        ];
        start_program_as(text(&program), &args, |command| {
            for active in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
                command.env_remove(active);
            }
            command
                .env("LD_LIBRARY_PATH", &self.libraries)
                .env("NO_COLOR", "1")
                .current_dir(self.dir.path())
        })
    }
}

/// Whether the system knows a library by itself; a line says what is not tested then.
fn system_has(library: &str) -> bool {
    let known = start_program("sh", &["-c", "PATH=$PATH:/sbin ldconfig -p"])
        .finish()
        .stdout;
    let has = known.contains(library) || Path::new("/usr/local/cuda/lib64").join(library).exists();
    if has {
        say(&format!("SKIPPED: this system has {library}"));
    }
    has
}

/// Holds that with `--decoder auto` the views come, and one line says by what, and that with `gpu` the daemon ends with 5. Both say these words.
fn assert_told(libraries: &[Standin], made_by: &str, words: &[&str]) {
    let (bench, alone) = (Bench::new(), Alone::with(libraries));
    let mut loader = alone.serve(&bench, "auto");
    until("the loader's socket", || {
        assert!(!loader.has_ended(), "{}", loader.stderr());
        status(&bench.socket()).is_some()
    });
    let made = views_by_sample(&bench.socket(), &batches());
    let told = loader.stderr();
    assert!(made == bench.expected, "other views; {told}");
    let lines: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("batches are made by"))
        .collect();
    assert_eq!(lines.len(), 1, "{told}");
    let has_all = words.iter().all(|words| lines[0].contains(words));
    assert!(has_all && lines[0].contains(made_by), "{told}");
    drop(loader);
    let ended = alone.serve(&bench, "gpu").finish();
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    for words in words.iter().chain(&["error[5]: ", "--decoder cpu"]) {
        assert_eq!(
            ended.stderr.matches(words).count(),
            1,
            "{words}: {}",
            ended.stderr
        );
    }
}

#[test]
fn without_a_driver_the_cpu_serves_or_the_daemon_ends_with_5() {
    if !system_has("libcuda.so.1") {
        let words = [
            "there is no NVIDIA driver",
            "libcuda.so.1 is not found",
            "install one for CUDA 13",
        ];
        assert_told(&[], "CPU thread", &words);
    }
}

#[test]
fn without_nvrtc_the_cpu_serves_or_the_daemon_ends_with_5() {
    if !system_has("libnvrtc.so.13") {
        let words = [
            "NVIDIA's compiler NVRTC is not there",
            "libnvrtc.so.13 is neither",
            "install the package nvidia-cuda-nvrtc",
        ];
        assert_told(&[DRIVER], "CPU thread", &words);
    }
}

#[test]
fn without_nvjpeg_the_cpu_decodes_for_the_card_or_the_daemon_ends_with_5() {
    if !system_has("libnvjpeg.so.13") {
        let words = [
            "there is no nvJPEG",
            "libnvjpeg.so.13 was sought in",
            "pip install nvidia-nvjpeg",
        ];
        assert_told(
            &[DRIVER, NVRTC],
            "stand-in of a card, images decoded by",
            &words,
        );
    }
}
