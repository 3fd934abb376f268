//! `trainer eval`: k nearest neighbours on weights of any origin, without training anything.

use std::path::Path;
use std::time::Duration;

use loader_ipc::{Order, Recipe, Subscription};
use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::result;
use crate::batch::{Normalization, Normalizer};
use crate::batch_source::{BatchSource, Next};
use crate::batch_stream::BatchStream;
use crate::cli::EvalArgs;
use crate::config::LoaderSettings;
use crate::device;
use crate::eval::bank::{Bank, labelled};
use crate::eval::knn::{self, KnnConfig, Labelled};
use crate::failure::Failure;
use crate::limits;
use crate::loader_process::Loader;
use crate::machine::Machine;
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::precision::Precision;
use crate::output::tell;
use crate::pretrained::{self, Pretrained};
use crate::stop::Stop;

/// Longest wait for a batch.
const TIMEOUT: Duration = Duration::from_secs(120);
/// ImageNet's, which the reference normalises with.
const NORMALIZATION: Normalization = Normalization {
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};
/// Side of an image where nothing says another.
const SIZE: u32 = 224;

/// What was found; accuracies in percent.
#[derive(Debug, Serialize)]
struct Found {
    weights: String,
    which: &'static str,
    arch: serde_json::Value,
    num_features: i64,
    size: u32,
    knn_k: i64,
    knn_temperature: f64,
    /// The validation split by the training split.
    train_to_val: Option<Accuracy>,
    /// The validation split by itself, leave one out.
    leave_one_out: Option<Accuracy>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Accuracy {
    /// Labelled images that were classified.
    num_samples: usize,
    /// Labelled images among which neighbours were looked for.
    num_neighbours: usize,
    top1: f64,
    top5: f64,
}

/// Everything that a split goes through.
struct Measure<'a> {
    args: &'a EvalArgs,
    backbone: &'a Backbone,
    machine: &'a Machine,
    socket: &'a Path,
    recipe: Recipe,
    normalizer: Normalizer,
}

/// Measures and prints.
///
/// # Errors
/// When the weights cannot be had or the data cannot be read.
pub(super) fn run(args: &EvalArgs) -> Result<(), Failure> {
    limits::check(device::num_threads())?;
    device::keep_freed_memory();
    let chosen = device::choose(args.device)?;
    tell!("{}, {}", chosen.reason, device::limit_threads());
    let weights = pretrained::load(&args.weights, args.which)?;
    for note in &weights.notes {
        tell!("note: {note}");
    }
    let config = weights.backbone()?;
    let machine = Machine::alone(chosen.device, Precision::Full);
    let (backbone, _parameters) = weights.network(&config, &machine)?;
    let log = tempfile::tempdir().map_err(Failure::io("making a folder", &std::env::temp_dir()))?;
    let loader = LoaderSettings {
        socket: args.socket.clone(),
        timeout: TIMEOUT,
        num_slots: None,
    };
    let loader = Loader::find(&args.data, &loader, log.path())?;
    tell!("{}", loader.line);
    let known = weights.about.get("size").and_then(|size| size.parse().ok());
    let size = args.size.or(known).unwrap_or(SIZE);
    let normalization = weights.about.normalization().unwrap_or(NORMALIZATION);
    let measure = Measure {
        args,
        backbone: &backbone,
        machine: &machine,
        socket: &loader.socket,
        recipe: Recipe::evaluation(size * 256 / 224, size),
        normalizer: Normalizer::new(&normalization, chosen.device, Kind::Float),
    };
    let found = measure.found(&weights, &config, size)?;
    result::print(&match args.json {
        true => serde_json::to_string_pretty(&found).expect("names and numbers") + "\n",
        false => table(&found),
    })
}

impl Measure<'_> {
    fn found(
        &self,
        weights: &Pretrained,
        config: &BackboneConfig,
        size: u32,
    ) -> Result<Found, Failure> {
        let (train, val) = (self.features("train")?, self.features("val")?);
        let knn = KnnConfig {
            k: self.args.knn_k,
            ..KnnConfig::default()
        };
        let accuracy = |samples: Labelled, others: Labelled, scores: knn::KnnScores| Accuracy {
            num_samples: samples.labels_n.numel(),
            num_neighbours: others.labels_n.numel(),
            top1: scores.top1,
            top5: scores.top5,
        };
        let (train, val) = (labelled_pair(&train), labelled_pair(&val));
        let (num_train, num_val) = (train.labels_n.numel(), val.labels_n.numel());
        Ok(Found {
            weights: weights.path.display().to_string(),
            which: self.args.which.name(),
            arch: serde_json::to_value(config.arch).expect("a name"),
            num_features: self.backbone.width(),
            size,
            knn_k: knn.k,
            knn_temperature: knn.temperature,
            train_to_val: (num_train > 0 && num_val > 0)
                .then(|| accuracy(val, train, knn::by_others(val, train, &knn))),
            leave_one_out: (num_val >= 2).then(|| {
                let scores = knn::leave_one_out(val.features_nd, val.labels_n, &knn);
                accuracy(val, val, scores)
            }),
        })
    }

    /// Features and labels of a whole split.
    fn features(&self, split: &str) -> Result<(Tensor, Tensor), Failure> {
        let subscription = Subscription {
            name: format!("trainer eval, {split}"),
            order: Order::Sequential,
            drop_last: false,
            ..Subscription::new(split, self.recipe.clone(), self.args.batch)
        };
        let mut batches = BatchStream::open(self.socket, TIMEOUT, &subscription, Stop::default())?;
        let mut bank = Bank::new(self.backbone.width(), self.machine.device);
        while let Next::Batch(batch, _) = batches.next(&self.normalizer)? {
            let images = &batch.views_nchw[0];
            if let Some(rows) = labelled(&batch, images.device()) {
                let features = no_grad(|| self.backbone.forward(images, false));
                bank.add(features.index_select(0, &rows), &batch);
            }
        }
        let (features, labels) = bank.gather(self.machine.world.as_ref());
        self.check_finite(split, &features)?;
        let left_out = match batches.info().num_unlabelled {
            0 => String::new(),
            num => format!("; {num} without a label are left out"),
        };
        let num = labels.numel();
        tell!("{split}: features of {num} labelled images{left_out}");
        Ok((features, labels))
    }

    /// What is no number has no neighbours.
    fn check_finite(&self, split: &str, features_nd: &Tensor) -> Result<(), Failure> {
        let is_finite = features_nd.isfinite().all_dim(1, false);
        let num_bad = is_finite.logical_not().sum(Kind::Int64).int64_value(&[]);
        if num_bad == 0 {
            return Ok(());
        }
        Err(Failure::Data(format!(
            "the features of {num_bad} images of {split} are no numbers; {}; the weights are of a run that diverged: take an earlier checkpoint",
            self.args.weights.display()
        )))
    }
}

fn labelled_pair((features_nd, labels_n): &(Tensor, Tensor)) -> Labelled<'_> {
    Labelled {
        features_nd,
        labels_n,
    }
}

fn table(found: &Found) -> String {
    let mut text = format!(
        "{} of {} ({}, {} features, {} px), {} neighbours\n{:32}{:>8}{:>8}{:>8}\n",
        found.which,
        found.weights,
        found.arch.as_str().unwrap_or_default(),
        found.num_features,
        found.size,
        found.knn_k,
        "",
        "images",
        "top-1",
        "top-5"
    );
    for (name, accuracy) in [
        ("kNN, training -> validation", found.train_to_val),
        ("kNN, validation, leave one out", found.leave_one_out),
    ] {
        text += &match accuracy {
            Some(of) => format!(
                "{name:32}{:8}{:8.2}{:8.2}\n",
                of.num_samples, of.top1, of.top5
            ),
            None => format!("{name:32}too few labelled images\n"),
        };
    }
    text
}
