//! Where a run's batches come from, as its settings say: a loader's stream, or a file of batches.

use loader_ipc::{CardId, Subscription};
use tch::Device;

use crate::batch_source::BatchSource;
use crate::batch_stream::BatchStream;
use crate::checkpoint::Position;
use crate::config::Settings;
use crate::failure::Failure;
use crate::loader_process::Loader;
use crate::output::show;
use crate::replay::Replay;
use crate::stop::Stop;
use crate::subset;

/// Training batches and who serves them.
#[derive(Debug)]
pub struct TrainingData {
    /// The batches from a position on.
    pub batches: Box<dyn BatchSource>,
    /// The loader, which serves validations too; none for a file of batches.
    pub loader: Option<Loader>,
}

impl TrainingData {
    /// Finds the batches that follow `position`, with the views in memory of `device` if the loader can make them there.
    ///
    /// # Errors
    /// Whatever the loader answers, or what is wrong with the file.
    pub fn open(
        settings: &Settings,
        position: &Position,
        device: Device,
        stop: &Stop,
    ) -> Result<TrainingData, Failure> {
        if let Some(replay) = &settings.replay {
            let replay = Replay::open(replay, settings, position.step)?;
            return Ok(TrainingData {
                batches: Box::new(replay),
                loader: None,
            });
        }
        let (dirs, own_log) = (&settings.data_dirs, &settings.output_dir);
        let loader = Loader::find(dirs, &settings.loader, own_log)?;
        show!("{}", loader.line);
        let stream = stream(settings, &loader, position, device, stop)?;
        Ok(TrainingData {
            batches: Box::new(stream),
            loader: Some(loader),
        })
    }
}

fn stream(
    settings: &Settings,
    loader: &Loader,
    position: &Position,
    device: Device,
    stop: &Stop,
) -> Result<BatchStream, Failure> {
    let subset = settings.train_subset.as_deref();
    let subscription = Subscription {
        name: format!("trainer, {}", settings.output_dir.display()),
        subset: subset.map(subset::names).transpose()?,
        seed: settings.seed,
        drop_last: settings.drop_last,
        start_epoch: position.epoch,
        start_step: position.step_in_epoch,
        num_epochs: settings.schedules.total_epochs - position.epoch,
        num_slots: settings.loader.num_slots,
        card: card(device),
        ..Subscription::new("train", settings.views.clone(), settings.batch_size)
    };
    let timeout = settings.loader.timeout;
    Ok(BatchStream::open(
        &loader.socket,
        timeout,
        &subscription,
        stop.clone(),
    )?)
}

/// The card that computes, by the name that the loader knows it by. Where the driver tells none, the views come through memory of the host.
fn card(device: Device) -> Option<CardId> {
    let Device::Cuda(number) = device else {
        return None;
    };
    let told = |reason| show!("views come through memory of the host: {reason}");
    loader_card::card_of_device(number).map_err(told).ok()
}
