//! The card: what must be there before it can be used, its context and its kernels.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, LaunchConfig, PushKernelArg, result, sys,
};
use cudarc::nvrtc::Ptx;
use loader_card::{CardError, ExportedMemory, failed};
use loader_ipc::{CardId, ErrorKind, Reason};

use crate::augment::cuda::{self as views, NUM_THREADS};
use crate::decode;
use crate::pipeline::cuda::compile;
use crate::pipeline::cuda::timing::Clock;

/// The driver that this program is written for, as the driver counts: CUDA 13.0.
const DRIVER_VERSION: i32 = 13_000;

/// A card with the kernels on it.
#[derive(Debug)]
pub(super) struct Card {
    context: Arc<CudaContext>,
    kernels: BTreeMap<&'static str, CudaFunction>,
    name: String,
    memory_bytes: usize,
    taken: Arc<AtomicU64>,
    /// Tells when events were passed.
    pub(super) clock: Clock,
}

impl Card {
    /// One of the cards, as CUDA counts.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub(super) fn open(device: usize) -> Result<Card, Reason> {
        check_driver()?;
        let context = CudaContext::new(device).map_err(failed("opening the card"));
        let context = context.map_err(|error| no_card(&error))?;
        // SAFETY: every buffer is used on the one stream of its lane, or on branches that are forked from it and joined, so no event of cudarc's is needed.
        unsafe { context.disable_event_tracking() };
        let name = context.name().map_err(failed("asking for the card's name"));
        let name = name.map_err(|error| unusable(&error.to_string()))?;
        let memory = context
            .mem_get_info()
            .map_err(failed("asking for its memory"));
        let (_, memory_bytes) = memory.map_err(|error| unusable(&error.to_string()))?;
        let kernels = kernels(&context)?;
        Ok(Card {
            context,
            kernels,
            name,
            memory_bytes,
            taken: Arc::default(),
            clock: Clock::default(),
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All memory that it has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Counts the bytes that are taken of it, but for those of rings.
    pub(super) fn taken(&self) -> &Arc<AtomicU64> {
        &self.taken
    }

    /// Its UUID.
    pub(super) fn id(&self) -> Result<CardId, CardError> {
        loader_card::id_of_context(&self.context)
    }

    /// Memory for the views of a ring.
    pub(super) fn memory_to_share(&self, num_bytes: usize) -> Result<ExportedMemory, Reason> {
        ExportedMemory::new(&self.context, num_bytes)
    }

    /// Makes the card's context that of the calling thread, for libraries that look for one there.
    pub(super) fn bind(&self) -> Result<(), CardError> {
        let bound = self.context.bind_to_thread();
        bound.map_err(failed("making the card this thread's"))
    }

    /// Waits until a stream has nothing to do.
    ///
    /// # Errors
    /// Also that this takes too long.
    pub(super) fn wait_for(&self, stream: &CudaStream) -> Result<(), CardError> {
        let doing = "waiting for the card";
        let is_idle = || {
            // SAFETY: the stream lives.
            match unsafe { sys::cuStreamQuery(stream.cu_stream()) } {
                sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
                asked => asked.result().map(|()| true),
            }
        };
        loader_card::wait(&self.context, doing, is_idle)?;
        // At once, now that it is idle.
        stream.synchronize().map_err(failed(doing))
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }

    fn no_room(&self, error: &CardError) -> Reason {
        let what = format!("there is too little memory for one batch: {error}");
        let place = format!("{} of {} MiB", self.name(), self.memory_bytes() >> 20);
        let remedy =
            "make batches or views smaller, free memory of the card, or let the CPU decode";
        Reason::new(ErrorKind::Resources, what, place, remedy)
    }

    /// What it means that a call failed.
    pub(super) fn broken(&self, error: &CardError) -> Reason {
        if error.is_out_of_memory() {
            return self.no_room(error);
        }
        let what = format!("the card has failed: {error}");
        let remedy = "see the driver's messages (dmesg), or let the CPU decode";
        Reason::new(ErrorKind::Library, what, self.name(), remedy)
    }

    /// Puts a launch of `kernel(table, scratch)` onto `stream`: so many blocks for each of `num_rows` descriptors.
    ///
    /// # Safety
    /// The table holds as many descriptors, all that they say is so, and all memory that they name lives until the stream has done it.
    pub(super) unsafe fn launch(
        &self,
        stream: &CudaStream,
        kernel: &str,
        (num_blocks, num_rows): (u32, u32),
        table: u64,
        scratch: u64,
    ) -> Result<(), CardError> {
        let shape = LaunchConfig {
            grid_dim: (num_blocks, num_rows, 1),
            block_dim: (NUM_THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = stream.launch_builder(&self.kernels[kernel]);
        launch.arg(&table).arg(&scratch);
        // SAFETY: both kernels' parameters are two addresses; the rest is upheld by the caller.
        let launched = unsafe { launch.launch(shape) };
        launched
            .map(|_| ())
            .map_err(failed("launching the kernels"))
    }
}

fn check_driver() -> Result<(), Reason> {
    // SAFETY: the driver does nothing when it is loaded.
    if !unsafe { sys::is_culib_present() } {
        let what = "there is no NVIDIA driver";
        let remedy = "install one for CUDA 13";
        return Err(missing(what, "libcuda.so.1 is not found", remedy));
    }
    let mut version = 0;
    // SAFETY: it writes one number.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    let asked = asked.result().map_err(failed("asking for its version"));
    asked.map_err(|error| unusable(&error.to_string()))?;
    if version < DRIVER_VERSION {
        let shown = |version: i32| format!("CUDA {}.{}", version / 1000, version % 1000 / 10);
        let place = format!(
            "it is for {}, {} is needed",
            shown(version),
            shown(DRIVER_VERSION)
        );
        return Err(missing(
            "the NVIDIA driver is too old",
            &place,
            "install a newer one",
        ));
    }
    let started = result::init().map_err(failed("starting the driver"));
    started.map_err(|error| no_card(&error))
}

fn no_card(error: &CardError) -> Reason {
    if error.is_no_device() {
        return none_shown();
    }
    unusable(&error.to_string())
}

fn none_shown() -> Reason {
    let remedy = "see that nvidia-smi shows one and that CUDA_VISIBLE_DEVICES does not hide it";
    missing("the NVIDIA driver shows no card", "", remedy)
}

fn unusable(what: &str) -> Reason {
    let remedy = "see nvidia-smi and the driver's messages (dmesg)";
    missing("the card cannot be used", what, remedy)
}

fn missing(what: &str, place: &str, remedy: &str) -> Reason {
    Reason::new(ErrorKind::Library, what, place, remedy)
}

/// Compiles and loads all kernels.
fn kernels(context: &Arc<CudaContext>) -> Result<BTreeMap<&'static str, CudaFunction>, Reason> {
    compile::find_nvrtc().map_err(|folders| {
        let folders: Vec<_> = folders.iter().map(|path| path.display().to_string()).collect();
        let place = format!("libnvrtc.so.13 is neither known to the system nor in {}", folders.join(", "));
        let remedy = "install the package nvidia-cuda-nvrtc into the active Python environment, or name its folder in LD_LIBRARY_PATH";
        missing("NVIDIA's compiler NVRTC is not there", &place, remedy)
    })?;
    let capability = context.compute_capability();
    let capability = capability.map_err(failed("asking for the card's architecture"));
    let (major, minor) = capability.map_err(|error| unusable(&error.to_string()))?;
    let architecture = format!("sm_{major}{minor}");
    let mut kernels = BTreeMap::new();
    for (source, names) in [
        (views::SOURCE, &views::KERNELS[..]),
        (decode::SOURCE, &[decode::KERNEL]),
    ] {
        let code = compile::machine_code(source, &architecture, &views::OPTIONS);
        let code = code.map_err(|log| {
            let place = format!("for {architecture}: {log}");
            missing(
                "NVRTC does not compile the kernels",
                &place,
                "install nvidia-cuda-nvrtc of a newer version",
            )
        })?;
        let loaded = load(context, code, names);
        kernels.extend(loaded.map_err(|error| unusable(&error.to_string()))?);
    }
    Ok(kernels)
}

fn load(
    context: &Arc<CudaContext>,
    code: Vec<u8>,
    names: &[&'static str],
) -> Result<Vec<(&'static str, CudaFunction)>, CardError> {
    let module = context.load_module(Ptx::from_binary(code));
    let module = module.map_err(failed("loading the kernels"))?;
    let function = |&name| Ok((name, module.load_function(name)?));
    let functions: Result<_, _> = names.iter().map(function).collect();
    functions.map_err(failed("finding a kernel"))
}
