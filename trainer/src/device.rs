//! Where to compute, with how many threads, and what happens to freed memory. The only other unsafe room: it loads libtorch's
//! CUDA half and sets the C allocator.
//!
//! PyTorch's `libtorch_cuda.so` registers itself when it is loaded. The linker leaves it out of our binary because nothing
//! refers to it, and that is wanted: the same binary starts on machines without CUDA. So it is opened here, on purpose.

use std::path::{Path, PathBuf};

use tch::{Cuda, Device, Kind, Tensor};

use crate::config::DeviceChoice;
use crate::failure::Failure;

/// Values of a tensor that every thread of libtorch gets a share of.
const POOL_SIZED: i64 = 1 << 22;

/// What libtorch needs for a GPU.
pub const CUDA_HALF: &str = "libtorch_cuda.so";

/// Where a run computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The device.
    pub device: Device,
    /// One line that says what was chosen and why.
    pub reason: String,
}

/// Resolves `DEVICE`.
///
/// # Errors
/// [`Failure::Library`] when CUDA was asked for and does not work.
pub fn choose(choice: DeviceChoice) -> Result<Chosen, Failure> {
    let cpu = |reason: String| Chosen {
        device: Device::Cpu,
        reason,
    };
    if choice == DeviceChoice::Cpu {
        return Ok(cpu("device: CPU (DEVICE cpu)".to_owned()));
    }
    match (cuda(), choice) {
        (Ok(()), _) => {
            // Shapes are fixed, so cuDNN may try its kernels once and keep the fastest.
            Cuda::cudnn_set_benchmark(true);
            Ok(Chosen {
                device: Device::Cuda(0),
                reason: format!("device: CUDA 0 of {}", Cuda::device_count()),
            })
        }
        (Err(why), DeviceChoice::Auto) => Ok(cpu(format!("device: CPU ({why})"))),
        (Err(why), _) => Err(Failure::Library(format!(
            "CUDA does not work: {why}; DEVICE cuda; use DEVICE auto or cpu, or repair the driver"
        ))),
    }
}

/// Threads that this process may compute with: as many as its processors, or fewer where `OMP_NUM_THREADS` asks for it.
pub fn num_threads() -> usize {
    let allowed = allowed_threads();
    asked_threads().map_or(allowed, |asked| asked.min(allowed))
}

fn allowed_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

fn asked_threads() -> Option<usize> {
    let asked = std::env::var("OMP_NUM_THREADS").ok()?;
    asked.parse().ok().filter(|count| *count > 0)
}

/// Gives libtorch as many threads as this process may use, and says how many that is.
pub fn limit_threads() -> String {
    let num = num_threads();
    tch::set_num_threads(num as i32);
    // Large enough for all threads of the pool: they start now, not after a loader has taken what the limits leave.
    let _ = Tensor::zeros([POOL_SIZED], (Kind::Float, Device::Cpu)).exp();
    let why = if num < allowed_threads() {
        "OMP_NUM_THREADS"
    } else {
        "CPU quota and affinity of this process"
    };
    format!("threads: {num} ({why})")
}

/// Keeps freed memory in the process instead of giving it back to the kernel after every tensor.
///
/// Every step frees and allocates gigabytes of activations of the same sizes. By default glibc maps each one afresh, and the
/// kernel clears every page again: a third of a step on the CPU (MobileNetV2, batch 16, two cores: 3.8 s a step before, 2.3 s
/// after). The peak stays what it was, give or take fragmentation.
#[expect(unsafe_code, reason = "the C allocator is set through a C function")]
pub fn keep_freed_memory() {
    const TOP_PAD: i32 = 64 << 20;
    let options = [
        (libc::M_MMAP_MAX, 0),
        (libc::M_TRIM_THRESHOLD, -1),
        (libc::M_TOP_PAD, TOP_PAD),
    ];
    for (option, value) in options {
        // SAFETY: mallopt takes two integers, may be called at any time, and refuses what it does not know; refusal changes
        // speed only.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Makes CUDA available, or says why it is not.
fn cuda() -> Result<(), String> {
    if !has_driver() {
        return Err("no NVIDIA driver on this machine".to_owned());
    }
    load_cuda_half()?;
    if Cuda::is_available() {
        Ok(())
    } else {
        Err("libtorch's CUDA half is loaded but finds no usable GPU".to_owned())
    }
}

fn has_driver() -> bool {
    ["/proc/driver/nvidia", "/dev/nvidiactl"]
        .iter()
        .any(|path| Path::new(path).exists())
}

#[expect(unsafe_code, reason = "loading a library runs its initialisers")]
fn load_cuda_half() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is part of the libtorch that is loaded already, found as it was; its
    // initialisers only register kernels and are meant to run at load time. No other thread of ours exists yet.
    let library = unsafe { Library::open(Some(cuda_half()), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| format!("this libtorch has no CUDA half: {error}"))?;
    // Registered kernels are called for the rest of the process: the library must never be closed.
    std::mem::forget(library);
    Ok(())
}

/// Beside the half that is loaded: in the folder that `LIBTORCH` names, else where the linker looks for it.
fn cuda_half() -> PathBuf {
    let named = std::env::var_os("LIBTORCH").map(PathBuf::from);
    named.map_or(CUDA_HALF.into(), |torch| torch.join("lib").join(CUDA_HALF))
}
