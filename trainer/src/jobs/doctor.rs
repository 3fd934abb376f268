//! `trainer doctor`: what a run would compute on and with, and what is wrong with it.

use std::fs;
use std::path::{Path, PathBuf};

use tch::{Cuda, utils};

use super::result;
use crate::config::DeviceChoice;
use crate::device;
use crate::failure::Failure;
use crate::libtorch;
use crate::limits;
use crate::loader_process;

/// Prints a line for each thing that a run needs.
///
/// # Errors
/// The limit that keeps a run from starting, after all lines.
pub(super) fn run() -> Result<(), Failure> {
    let num_threads = device::num_threads();
    let limits = limits::check(num_threads);
    // Before the device: loading CUDA must find no other thread.
    let chosen = device::choose(DeviceChoice::Auto)?;
    let lines = [
        ("trainer", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", libtorch_line()),
        (
            "built with",
            format!("libtorch {} of {}", libtorch::WANTED, libtorch::BUILT_WITH),
        ),
        ("loader", loader_line()?),
        ("threads", num_threads.to_string()),
        ("CPU libraries", cpu_libraries()),
        (
            "DEVICE auto",
            chosen.reason.trim_start_matches("device: ").to_owned(),
        ),
        ("CUDA libraries", cuda_libraries()),
    ];
    let line = |(what, found): &(&str, String)| format!("{what:<15} {found}\n");
    result::print(&lines.iter().map(line).collect::<String>())?;
    limits
}

fn loader_line() -> Result<String, Failure> {
    let path = loader_process::program()?.path;
    let there = path.display().to_string();
    Ok(match path.exists() {
        true => there,
        false => format!("not at {there}: runs need one that serves already"),
    })
}

/// The one that is loaded, which need not be the one that we were built with.
fn libtorch_line() -> String {
    let Some(lib) = loaded(libtorch::CPU_HALF) else {
        return "not among the files of this process".to_owned();
    };
    let folder = lib.parent().and_then(Path::parent).unwrap_or(&lib);
    let folder_shown = folder.display();
    match libtorch::version(folder) {
        Some(version) if libtorch::is_wanted(&version) => format!("{version} of {folder_shown}"),
        Some(version) => format!(
            "{version} of {folder_shown}, where {} is needed",
            libtorch::WANTED
        ),
        None => format!("of {folder_shown}, which does not tell its version"),
    }
}

fn cpu_libraries() -> String {
    let has = [
        ("oneDNN", utils::has_mkldnn()),
        ("MKL", utils::has_mkl()),
        ("OpenMP", utils::has_openmp()),
    ];
    let of = |has_it: bool| -> Vec<&str> {
        let of = has.iter().filter(|(_, has)| *has == has_it);
        of.map(|(name, _)| *name).collect()
    };
    match of(false)[..] {
        [] => of(true).join(", "),
        _ => format!(
            "{} (without {}: slow)",
            of(true).join(", "),
            of(false).join(", ")
        ),
    }
}

/// Tells a libtorch for CPUs alone from one whose other half is there and not loaded.
fn cuda_libraries() -> String {
    if let Some(lib) = loaded(device::CUDA_HALF) {
        let cudnn = match Cuda::cudnn_is_available() {
            true => format!("cuDNN {}", utils::version_cudnn()),
            false => "no cuDNN".to_owned(),
        };
        return format!("{} is loaded, {cudnn}", lib.display());
    }
    let beside = loaded(libtorch::CPU_HALF).map(|lib| lib.with_file_name(device::CUDA_HALF));
    match beside {
        Some(lib) if lib.exists() => format!("{} is there and not loaded", lib.display()),
        _ => "none: this libtorch is for CPUs alone".to_owned(),
    }
}

/// Where the library of this name lies that this process has loaded.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    let mut paths = paths.map(Path::new);
    let found = paths.find(|path| path.file_name().is_some_and(|file| file == name));
    found.map(Path::to_owned)
}
