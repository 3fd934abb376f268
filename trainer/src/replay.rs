//! Batches from a file instead of a loader (`TRAIN.REPLAY_BATCHES`), so that a run can be compared with another program's on the same views.
//!
//! Step k, counted from 0, reads `step{k}.view{v}` (u8 `[B, H, W, 3]`), global views first, and `step{k}.labels` (i64 `[B]`, -1 where unknown).
//! After the last step of the file comes its first. The whole header is checked before the first batch; one batch at a time is in memory.

use std::time::Instant;

use loader_ipc::recipe::ViewGroup;
use safetensors::tensor::Dtype;
use tch::Tensor;

use crate::batch::{Batch, Normalizer};
use crate::batch_source::{BatchSource, DataFacts, Next};
use crate::config::{ReplaySettings, Settings};
use crate::failure::Failure;
use crate::output::show;
use crate::tensor_file::TensorFile;

const KEY: &str = "TRAIN.REPLAY_BATCHES";

/// The file, and the step that is read next.
#[derive(Debug)]
pub struct Replay {
    file: TensorFile,
    groups: Vec<ViewGroup>,
    batch_size: u64,
    num_steps: u64,
    facts: DataFacts,
    next: u64,
}

impl Replay {
    /// Opens the file for a run that has done so many steps.
    ///
    /// # Errors
    /// When it cannot be read, or its views are not those that the configuration describes.
    pub fn open(
        replay: &ReplaySettings,
        settings: &Settings,
        done: u64,
    ) -> Result<Replay, Failure> {
        let file = TensorFile::open(KEY, &replay.path)?;
        let num_steps = Layout::of(&file, settings).check()?;
        let Labels {
            num_classes,
            num_unlabelled,
        } = all_labels(&file, num_steps)?;
        let batch_size = u64::from(settings.batch_size);
        show!(
            "replay: {num_steps} batches of {batch_size} images from {}; {num_classes} classes (the largest label + 1)",
            replay.path.display()
        );
        Ok(Replay {
            file,
            groups: settings.views.groups(),
            batch_size,
            num_steps,
            facts: DataFacts {
                num_samples: num_steps * batch_size,
                num_unlabelled,
                num_classes,
                steps_per_epoch: replay.steps_per_epoch.unwrap_or(num_steps),
            },
            next: done,
        })
    }

    /// The normalised views of one group.
    fn group(&self, step: u64, group: ViewGroup, to: &Normalizer) -> Result<Tensor, Failure> {
        let views = group.first_view..group.first_view + group.num_views;
        let bytes: Result<Vec<Tensor>, Failure> = views
            .map(|view| self.file.read(&view_name(step, view)))
            .collect();
        Ok(to.apply(&Tensor::cat(&bytes?, 0)))
    }

    fn batch(&self, normalizer: &Normalizer) -> Result<Batch, Failure> {
        let step = self.next % self.num_steps;
        let groups = self.groups.iter();
        let views = groups.map(|group| self.group(step, *group, normalizer));
        let first = step * self.batch_size;
        Ok(Batch {
            views_nchw: views.collect::<Result<_, _>>()?,
            labels: labels(&self.file, step)?,
            sample_ids: (first..first + self.batch_size).collect(),
            epoch: self.next / self.facts.steps_per_epoch,
            step: self.next % self.facts.steps_per_epoch,
        })
    }
}

impl BatchSource for Replay {
    fn facts(&self) -> DataFacts {
        self.facts
    }

    fn next(&mut self, normalizer: &Normalizer) -> Result<Next, Failure> {
        let start = Instant::now();
        let batch = self.batch(normalizer)?;
        self.next += 1;
        Ok(Next::Batch(batch, start.elapsed()))
    }
}

fn view_name(step: u64, view: usize) -> String {
    format!("step{step}.view{view}")
}

fn labels_name(step: u64) -> String {
    format!("step{step}.labels")
}

fn labels(file: &TensorFile, step: u64) -> Result<Vec<i64>, Failure> {
    let labels = file.read(&labels_name(step))?;
    Ok(Vec::try_from(labels).expect("labels are checked to be a vector of i64"))
}

/// What is known of the labels of all steps.
struct Labels {
    num_classes: i64,
    num_unlabelled: u64,
}

fn all_labels(file: &TensorFile, num_steps: u64) -> Result<Labels, Failure> {
    let (mut largest, mut num_unlabelled) = (-1, 0);
    for step in 0..num_steps {
        for label in labels(file, step)? {
            largest = label.max(largest);
            num_unlabelled += u64::from(label < 0);
        }
    }
    Ok(Labels {
        num_classes: largest + 1,
        num_unlabelled,
    })
}

/// What the file has to hold.
struct Layout<'a> {
    file: &'a TensorFile,
    sizes: Vec<i64>,
    batch_size: i64,
    has_unread_views: bool,
}

impl Layout<'_> {
    fn of<'a>(file: &'a TensorFile, settings: &Settings) -> Layout<'a> {
        let views = settings.views.views.iter();
        Layout {
            file,
            sizes: views.map(|view| i64::from(view.size)).collect(),
            batch_size: i64::from(settings.batch_size),
            has_unread_views: settings.is_global_only,
        }
    }

    /// Number of steps, if every one is whole and there is nothing else.
    fn check(&self) -> Result<u64, Failure> {
        let names = self.file.tensors().keys();
        let num_steps = names.filter(|name| name.ends_with(".labels")).count() as u64;
        if num_steps == 0 {
            let what = format!("it has no {}", labels_name(0));
            return Err(self.unfit(&what));
        }
        for step in 0..num_steps {
            self.holds(&labels_name(step), Dtype::I64, &[self.batch_size])?;
            for (view, size) in self.sizes.iter().enumerate() {
                let shape = [self.batch_size, *size, *size, 3];
                self.holds(&view_name(step, view), Dtype::U8, &shape)?;
            }
        }
        let more = self.file.tensors().keys();
        let more: Vec<&String> = more.filter(|name| !self.is_read(name, num_steps)).collect();
        match more.first() {
            Some(name)
                if self.has_unread_views && more.iter().all(|name| name.contains(".view")) =>
            {
                let num = more.len();
                show!(
                    "note: {num} views of the file are not read, {name} the first: MOCO.GLOBAL_ONLY is True"
                );
                Ok(num_steps)
            }
            Some(name) => Err(self.unfit(&format!("{name} has no place in it"))),
            None => Ok(num_steps),
        }
    }

    fn holds(&self, name: &str, dtype: Dtype, shape: &[i64]) -> Result<(), Failure> {
        let Some(found) = self.file.tensors().get(name) else {
            return Err(self.unfit(&format!("it has no {name}")));
        };
        if found.dtype == dtype && found.shape == shape {
            return Ok(());
        }
        let (kind, size) = (found.dtype, &found.shape);
        Err(self.unfit(&format!(
            "{name} is {kind:?} {size:?} instead of {dtype:?} {shape:?}"
        )))
    }

    fn is_read(&self, name: &str, num_steps: u64) -> bool {
        let parts = name
            .strip_prefix("step")
            .and_then(|rest| rest.split_once('.'));
        let Some((Ok(step), what)) = parts.map(|(step, what)| (step.parse::<u64>(), what)) else {
            return false;
        };
        let is_view = |what: &str| {
            let view = what.strip_prefix("view").map(str::parse::<usize>);
            view.is_some_and(|view| view.is_ok_and(|view| view < self.sizes.len()))
        };
        step < num_steps && (what == "labels" || is_view(what))
    }

    fn unfit(&self, what: &str) -> Failure {
        Failure::Data(format!(
            "{KEY}: {what}; {}; the configuration asks for batches of {} images with views of {:?} pixels: set TRAIN.BATCH_SIZE, \
             MULTI_VIEWS_TRANSFORMS.NMB_CROPS and LOCAL_CROPS_NUMBER, GLOBAL_CROP_SIZE and LOCAL_CROP_SIZE as the file was made",
            self.file.path().display(),
            self.batch_size,
            self.sizes
        ))
    }
}
