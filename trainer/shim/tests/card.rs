//! Copies between host and card that nobody waits for, on the card of this machine. Where there is none the test says so and is done; `REQUIRE_GPU=1` makes that a failure,
//! `STANDIN_GPU=1` runs it on the CPU. A test of its own, since libtorch's CUDA half stays loaded.

#![allow(unsafe_code)]

use std::io::Write;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device, Kind, Tensor};
use torch_shim::transfer::{ToHost, to_device};

/// Past the test harness, which keeps what `eprintln` says to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}

/// Where to compute, or a line that says what is missing.
fn device() -> Option<Device> {
    if std::env::var_os("STANDIN_GPU").is_some() {
        return Some(Device::Cpu);
    }
    let Err(missing) = load_cuda_half() else {
        return Some(Device::Cuda(0));
    };
    let required = std::env::var_os("REQUIRE_GPU").is_some();
    assert!(!required, "REQUIRE_GPU is set, and {missing}");
    say(&format!("SKIPPED: {missing}"));
    None
}

fn load_cuda_half() -> Result<(), String> {
    let half = Path::new(env!("TORCH_LIB")).join("libtorch_cuda.so");
    // SAFETY: it is part of the libtorch that is loaded already; its initialisers only register kernels.
    let half = unsafe { Library::open(Some(half), RTLD_NOW | RTLD_GLOBAL) };
    std::mem::forget(half.map_err(|error| format!("this libtorch has no CUDA half: {error}"))?);
    match Cuda::is_available() {
        true => Ok(()),
        false => Err("libtorch finds no card".to_owned()),
    }
}

#[test]
fn values_go_to_the_card_and_come_back_as_they_are_when_they_are_asked_for() {
    let Some(device) = device() else { return };
    for kind in [Kind::Uint8, Kind::Int64, Kind::Float] {
        let mut values = Tensor::arange(1 << 20, (kind, Device::Cpu));
        let expected = values.copy();
        let there = to_device(&values, device);
        assert_eq!(there.device(), device);
        assert!(
            to_device(&there, device) == there,
            "one that is there is given as it is"
        );
        if device != Device::Cpu {
            // The copy is of what they were when it was asked for.
            let _ = values.fill_(7);
        }
        let more = &there + 1;
        let (before, after) = (ToHost::of(&there), ToHost::of(&more));
        // Asked for later than the copies, on the same stream.
        let _ = more.shallow_clone().zero_();
        assert!(before.wait() == expected, "{kind:?}");
        if device != Device::Cpu {
            assert!(after.wait() == &expected + 1, "{kind:?}");
        }
    }
}
