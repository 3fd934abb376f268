//! Which engine a daemon has. What is chosen, and why, is said in one line.

use std::sync::Arc;

use loader_ipc::{ErrorKind, Reason};

use crate::cli::DecoderChoice;
use crate::config::ServeConfig;
use crate::pipeline::cpu::Pool;
use crate::pipeline::engine::Engine;
use crate::pipeline::engines::Engines;

/// The engines that `config` asks for; of cards, the first that the driver shows.
///
/// # Errors
/// When there are no threads, or no card where one is asked for.
pub fn choose(config: &ServeConfig) -> Result<Engines, Reason> {
    let (engine, why) = match config.decoder {
        DecoderChoice::Cpu => (cpu(config)?, "as asked for (--decoder cpu)".to_owned()),
        DecoderChoice::Gpu => (card(config)?, "as asked for (--decoder gpu)".to_owned()),
        DecoderChoice::Auto => match card(config) {
            Ok(engine) => (engine, "there is a card".to_owned()),
            Err(reason) => (cpu(config)?, reason.to_string()),
        },
    };
    tracing::info!("batches are made by {}: {why}", engine.describe());
    Ok(Engines::new(engine))
}

fn cpu(config: &ServeConfig) -> Result<Arc<dyn Engine>, Reason> {
    let pool = Pool::start(config.num_workers, config.pixel_limit);
    let pool = pool.map_err(|error| {
        let what = format!("no thread for a worker: {error}");
        let remedy = "end other programs, or allow more threads (ulimit -u)";
        Reason::new(ErrorKind::Resources, what, "", remedy)
    })?;
    Ok(Arc::new(pool))
}

#[cfg(feature = "cuda")]
fn card(config: &ServeConfig) -> Result<Arc<dyn Engine>, Reason> {
    use crate::pipeline::cuda::{CudaEngine, CudaSettings, OnFailure};
    let settings = CudaSettings {
        num_workers: config.num_workers,
        pixel_limit: config.pixel_limit,
        on_failure: match config.decoder {
            DecoderChoice::Gpu => OnFailure::Stop,
            DecoderChoice::Auto | DecoderChoice::Cpu => OnFailure::UseCpu,
        },
    };
    Ok(Arc::new(CudaEngine::start(settings)?))
}

#[cfg(not(feature = "cuda"))]
fn card(_: &ServeConfig) -> Result<Arc<dyn Engine>, Reason> {
    Err(without_cuda())
}

/// That this program cannot use a card.
#[cfg(not(feature = "cuda"))]
pub fn without_cuda() -> Reason {
    let what = "this loader was built without CUDA";
    let remedy = "build it with --features loader/cuda";
    Reason::new(ErrorKind::Library, what, "", remedy)
}
