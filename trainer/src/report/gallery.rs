//! Images of a validation split with what a backbone makes of them, on the CPU.

use std::path::Path;

use loader_ipc::Subscription;
use tch::{Device, Kind, Tensor, no_grad};

use crate::batch::{Normalization, Normalizer};
use crate::batch_source::{BatchSource, Next};
use crate::batch_stream::BatchStream;
use crate::config::Settings;
use crate::failure::Failure;
use crate::loader_process::Loader;
use crate::model::backbone::Backbone;
use crate::model::layers::normalize;
use crate::stop::Stop;
use crate::subset;

/// Images that are looked at; the same ones for every run on the same data.
const MOST_IMAGES: usize = 1000;
const BATCH: u32 = 50;
/// Images that others are compared with.
const NUM_QUERIES: usize = 6;
const SPLIT: &str = "val";

/// Images, their classes and their features.
#[derive(Debug)]
pub struct Gallery {
    /// Normalised views `[n, 3, s, s]`.
    pub views_nchw: Tensor,
    /// Features of length 1, `[n, width]`.
    pub features_nd: Tensor,
    /// Class of each image, -1 where unknown.
    pub labels: Vec<i64>,
    classes: Vec<String>,
    normalization: Normalization,
}

impl Gallery {
    /// Asks a loader for the images, one of our own where none answers; its log comes to lie in `dir`.
    ///
    /// # Errors
    /// When the data are not there, or have no validation split.
    pub fn open(
        settings: &Settings,
        backbone: &Backbone,
        dir: &Path,
        stop: &Stop,
    ) -> Result<Gallery, Failure> {
        let loader = Loader::find(&settings.data_dirs, &settings.loader, dir)?;
        let timeout = settings.loader.timeout;
        let asked = subscription(settings)?;
        let mut batches = BatchStream::open(&loader.socket, timeout, &asked, stop.clone())?;
        let normalizer = Normalizer::new(&settings.normalization, Device::Cpu, Kind::Float);
        let (mut views, mut features, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        while labels.len() < MOST_IMAGES
            && let Next::Batch(batch, _) = batches.next(&normalizer)?
        {
            let images = &batch.views_nchw[0];
            let of_batch = no_grad(|| backbone.forward(images, false));
            features.push(normalize(&of_batch.to_kind(Kind::Float)));
            views.push(images.shallow_clone());
            labels.extend(batch.labels);
        }
        if labels.len() < 2 {
            let shown = settings.shown_data();
            return Err(Failure::Data(format!(
                "fewer than two validation images; {shown}; use a larger validation split"
            )));
        }
        Ok(Gallery {
            views_nchw: Tensor::cat(&views, 0),
            features_nd: Tensor::cat(&features, 0),
            labels,
            classes: batches.info().classes.clone(),
            normalization: settings.normalization,
        })
    }

    /// Images to begin with: the first of each class, as many as are shown, then whatever comes.
    pub fn queries(&self) -> Vec<usize> {
        let all = 0..self.labels.len();
        let is_first = |at: &usize| !self.labels[..*at].contains(&self.labels[*at]);
        let (mut first, others): (Vec<usize>, Vec<usize>) = all.partition(is_first);
        first.extend(others);
        first.truncate(NUM_QUERIES);
        first
    }

    /// Pixels of an image, `[3, s, s]` from 0 to 255.
    pub fn image(&self, at: usize) -> Tensor {
        let Normalization { mean, std } = self.normalization;
        let channels = |values: [f64; 3]| Tensor::from_slice(&values).view([3, 1, 1]);
        let view = self.views_nchw.get(at as i64).to_kind(Kind::Double);
        (view * channels(std) + channels(mean)) * 255.0
    }

    /// What an image's class is called.
    pub fn class(&self, at: usize) -> String {
        let label = self.labels[at];
        let known = usize::try_from(label).ok();
        match known.and_then(|label| self.classes.get(label)) {
            Some(name) => name.clone(),
            None if label < 0 => "no class".to_owned(),
            None => format!("class {label}"),
        }
    }
}

/// A split lies sorted by class: a shuffled one has all classes among its first images.
fn subscription(settings: &Settings) -> Result<Subscription, Failure> {
    let subset = settings.val_subset.as_deref();
    Ok(Subscription {
        name: "trainer, report".to_owned(),
        subset: subset.map(subset::names).transpose()?,
        drop_last: false,
        num_slots: settings.loader.num_slots,
        ..Subscription::new(SPLIT, settings.evaluation.clone(), BATCH)
    })
}
