//! The packed set itself, for what a stream does not say: the parameters of views, an image as it was packed, and why a subscription was refused.
//!
//! Views are a pure function of seed, epoch, sample and view; so their parameters need not travel, and are drawn here by the daemon's own code.

use std::path::PathBuf;

use loader::augment::{ViewKey, draw};
use loader::source::{Plan, Samples, Shards};
use loader::{augment, set_error};
use loader_ipc::{ErrorKind, Recipe, Subscription};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shard_format::{FormatError, Manifest, ReadOptions};

use crate::errors;

/// What the data set says of a subscription.
pub(crate) enum Verdict {
    NoSuchSplit,
    TooFewSamples,
    Nothing,
}

/// A packed data set, opened for reading.
#[pyclass(frozen, module = "sslight_loader._native")]
pub(crate) struct DataSet(Shards);

/// What a view was drawn as, in the order in which it is applied.
#[pyclass(frozen, get_all, eq, module = "sslight_loader")]
#[derive(PartialEq)]
pub(crate) struct ViewParams {
    /// Width and height of the source image in pixels.
    image: (u32, u32),
    /// Left, top, width and height of what is cut out of it, in pixels.
    crop: (u32, u32, u32, u32),
    /// Width and height that the crop is resized to.
    resized: (u32, u32),
    /// Left and top of the view in the resized crop.
    window: (u32, u32),
    /// Whether it is mirrored left to right.
    flip: bool,
    /// Factors of brightness, contrast and saturation and shift of the hue in turns, in the order in which they are applied.
    jitter: Option<Vec<(&'static str, f32)>>,
    /// Whether it is made grey.
    grey: bool,
    /// Radius of the Gaussian blur in pixels.
    blur: Option<f32>,
    /// Whether values of 128 or more are inverted.
    solarize: bool,
}

#[pymethods]
impl DataSet {
    /// Opens the set in these folders.
    #[new]
    fn new(py: Python<'_>, folders: Vec<PathBuf>) -> PyResult<DataSet> {
        let options = ReadOptions {
            allow_damaged: false,
        };
        let opened = py.detach(|| Shards::open(&folders, options));
        opened.map(DataSet).map_err(|error| format_error(&error))
    }

    /// Names of the splits.
    fn splits(&self) -> Vec<String> {
        self.0.split_names()
    }

    /// Number of samples in `split`.
    fn num_samples(&self, split: &str) -> PyResult<u64> {
        let samples = self.0.split(split).map_err(|error| format_error(&error))?;
        Ok(samples.num_samples())
    }

    /// The image file of a sample, as it was packed.
    fn image<'py>(&self, py: Python<'py>, split: &str, id: u64) -> PyResult<Bound<'py, PyBytes>> {
        let samples = self.0.split(split).map_err(|error| format_error(&error))?;
        check_id(&samples, id)?;
        let image = samples.sample(id).and_then(|sample| sample.image());
        Ok(PyBytes::new(
            py,
            image.map_err(|error| format_error(&error))?,
        ))
    }

    /// For every view of `recipe` (JSON), what it is drawn as for each of the samples.
    fn draw(
        &self,
        split: &str,
        recipe: &str,
        seed: u64,
        epoch: u32,
        ids: Vec<u64>,
    ) -> PyResult<Vec<Vec<ViewParams>>> {
        let samples = self.0.split(split).map_err(|error| format_error(&error))?;
        let recipe: Recipe = serde_json::from_str(recipe)
            .map_err(|error| errors::RecipeError::new_err((error.to_string(), "", "")))?;
        let mut views: Vec<Vec<ViewParams>> = recipe.views.iter().map(|_| Vec::new()).collect();
        for id in ids {
            check_id(&samples, id)?;
            let header = samples
                .sample(id)
                .map_err(|error| format_error(&error))?
                .header;
            for (view, spec) in recipe.views.iter().enumerate() {
                let key = ViewKey {
                    seed,
                    epoch,
                    sample: id,
                    view: view as u16,
                };
                let params = draw(key, spec, header.width, header.height);
                views[view].push(ViewParams::new((header.width, header.height), params));
            }
        }
        Ok(views)
    }
}

impl ViewParams {
    fn new(image: (u32, u32), params: augment::ViewParams) -> ViewParams {
        let crop = params.crop;
        ViewParams {
            image,
            crop: (crop.left, crop.top, crop.width, crop.height),
            resized: params.resized,
            window: params.window,
            flip: params.flip,
            jitter: params.jitter.as_ref().map(operations),
            grey: params.grey,
            blur: params.blur,
            solarize: params.solarize,
        }
    }
}

#[pymethods]
impl ViewParams {
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let told = ["crop", "flip", "jitter", "grey", "blur", "solarize"];
        let told = told.map(|name| Ok(format!("{name}={}", slf.getattr(name)?.repr()?)));
        let told: PyResult<Vec<String>> = told.into_iter().collect();
        Ok(format!("ViewParams({})", told?.join(", ")))
    }
}

fn operations(jitter: &augment::Jitter) -> Vec<(&'static str, f32)> {
    use augment::JitterOp;
    let value = |operation: &JitterOp| match operation {
        JitterOp::Brightness => ("brightness", jitter.brightness),
        JitterOp::Contrast => ("contrast", jitter.contrast),
        JitterOp::Saturation => ("saturation", jitter.saturation),
        JitterOp::Hue => ("hue", jitter.hue.unwrap_or(0.0)),
    };
    jitter.order.iter().map(value).collect()
}

/// What manifests and plan say of `subscription`; nothing where they cannot be read.
pub(crate) fn judge(subscription: &Subscription, data: &[String]) -> Verdict {
    let manifests = data
        .iter()
        .filter_map(|dir| Manifest::load(dir.as_ref()).ok());
    let manifests: Vec<Manifest> = manifests.collect();
    let splits = manifests
        .iter()
        .filter_map(|manifest| manifest.splits.get(&subscription.split));
    let counts: Vec<u64> = splits.map(|split| split.num_samples).collect();
    if counts.is_empty() && !manifests.is_empty() {
        return Verdict::NoSuchSplit;
    }
    match Plan::new(subscription, counts.iter().sum()) {
        Err(reason) if reason.kind == ErrorKind::Data => Verdict::TooFewSamples,
        _ => Verdict::Nothing,
    }
}

fn check_id(samples: &Samples, id: u64) -> PyResult<()> {
    let num_samples = samples.num_samples();
    if id < num_samples {
        return Ok(());
    }
    let what = format!("sample {id} of {num_samples}");
    let place = format!("split `{}`", samples.split());
    Err(errors::UsageError::new_err((
        what,
        place,
        "samples count from 0",
    )))
}

fn format_error(error: &FormatError) -> PyErr {
    errors::by_kind(set_error::reason(error))
}
