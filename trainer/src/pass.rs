//! What a step computes before it changes a parameter: from images to losses and gradients. On a card it can be recorded once and replayed
//! (`TRAIN.CUDA_GRAPH`), so what changes from step to step comes to it as tensors, and it reads nothing back.

use tch::{Device, Kind, Tensor, no_grad};
use torch_shim::graph::Graph;
use torch_shim::transfer;

use crate::batch::Batch;
use crate::collapse::measure;
use crate::loss::parts::LossParts;
use crate::phases;
use crate::scalars::{self, LOSS, Named};

/// Times that work of one kind is done before it is recorded: libtorch chooses its kernels and takes its memory.
pub const NUM_BEFORE: usize = 2;

/// What a step computes with, on its device.
#[derive(Debug)]
pub struct Inputs {
    /// One tensor per view size, as a batch has them.
    pub views_nchw: Vec<Tensor>,
    /// Class of each image, `[b]`, -1 where unknown.
    pub labels_b: Tensor,
    numbers: Tensor,
}

/// What a method makes of them.
#[derive(Debug)]
pub struct Forward {
    /// What is minimised.
    pub loss: Tensor,
    /// Numbers without dimensions, by name.
    pub stats: Vec<Named>,
    /// Features `[b, width]` of one view of each image, for a probe; their gradient goes no further.
    pub features_bd: Option<Tensor>,
    /// What the method wants back after the update.
    pub kept: Vec<Tensor>,
}

/// All that is known when gradients are.
#[derive(Debug)]
pub struct Pass {
    /// What was minimised, without its history.
    pub loss: Tensor,
    /// As [`Forward`] has them, and the probe's.
    pub stats: Vec<Named>,
    /// One for each parameter.
    pub gradients: Vec<Tensor>,
    /// As [`Forward`] has it.
    pub kept: Vec<Tensor>,
}

/// Does the same pass again and again: computes it, or has it recorded and replays it.
#[derive(Debug)]
pub struct Recorder {
    /// Where passes are recorded; `None` where each is computed.
    device: Option<Device>,
    same: Same,
    num_computed: usize,
    recorded: Option<Recorded>,
}

/// What a recorded pass cannot take otherwise.
#[derive(Debug, Default, PartialEq)]
struct Same {
    shapes: Vec<Vec<i64>>,
    way: bool,
}

/// A pass with the memory that it reads and writes.
#[derive(Debug)]
struct Recorded {
    inputs: Inputs,
    pass: Pass,
    graph: Graph,
}

impl Inputs {
    /// A batch's views and labels, and numbers of this step.
    pub fn of(batch: &Batch, numbers: &[f64], device: Device) -> Inputs {
        let views = batch.views_nchw.iter();
        Inputs {
            views_nchw: views.map(Tensor::shallow_clone).collect(),
            labels_b: batch.labels_tensor(device),
            numbers: transfer::to_device(&Tensor::from_slice(numbers), device),
        }
    }

    /// One of the numbers, without dimensions.
    pub fn number(&self, nth: i64) -> Tensor {
        self.numbers.get(nth)
    }

    /// Number of images.
    pub fn batch_size(&self) -> i64 {
        self.labels_b.size()[0]
    }

    /// Number of images whose class is known, or 1, without dimensions.
    pub fn num_labelled(&self, kind: Kind) -> Tensor {
        self.labels_b.ge(0).sum(kind).clamp_min(1)
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.views_nchw
            .iter()
            .chain([&self.labels_b, &self.numbers])
    }

    fn copied(&self) -> Inputs {
        Inputs {
            views_nchw: self.views_nchw.iter().map(Tensor::copy).collect(),
            labels_b: self.labels_b.copy(),
            numbers: self.numbers.copy(),
        }
    }

    fn take(&self, values: &Inputs) {
        for (mine, value) in self.tensors().zip(values.tensors()) {
            no_grad(|| mine.shallow_clone().copy_(value));
        }
    }
}

impl Forward {
    /// A loss alone.
    pub fn of_loss(loss: Tensor) -> Forward {
        Forward {
            stats: vec![(LOSS, loss.detach())],
            loss,
            features_bd: None,
            kept: Vec::new(),
        }
    }

    /// What a method makes of its losses and of features `[b, width]` of one view of each image.
    pub fn of(losses: &LossParts, features_bd: Tensor) -> Forward {
        let mut stats = scalars::of_losses(losses);
        stats.extend(measure::signs(losses, &features_bd));
        Forward {
            stats,
            features_bd: Some(features_bd),
            ..Forward::of_loss(losses.total.shallow_clone())
        }
    }

    /// The same with tensors that the method wants back, without their history.
    #[must_use]
    pub fn keeping(self, kept: impl IntoIterator<Item = Tensor>) -> Forward {
        let kept = kept.into_iter().map(|tensor| tensor.detach()).collect();
        Forward { kept, ..self }
    }
}

impl Pass {
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let stats = self.stats.iter().map(|(_, value)| value);
        let lists = [&self.gradients, &self.kept];
        stats.chain(lists.into_iter().flatten()).chain([&self.loss])
    }

    fn handles(&self) -> Pass {
        let handles = |tensors: &[Tensor]| tensors.iter().map(Tensor::shallow_clone).collect();
        let stats = self.stats.iter();
        Pass {
            loss: self.loss.shallow_clone(),
            stats: stats
                .map(|(name, value)| (*name, value.shallow_clone()))
                .collect(),
            gradients: handles(&self.gradients),
            kept: handles(&self.kept),
        }
    }
}

impl Recorder {
    /// One that records on `device`, or computes every pass.
    pub fn new(device: Option<Device>) -> Recorder {
        Recorder {
            device,
            same: Same::default(),
            num_computed: 0,
            recorded: None,
        }
    }

    /// The pass of `inputs`. It depends on them, on tensors of the state, and on the `way` that it takes: where that is another, or shapes
    /// are, it is computed twice and recorded anew. What a recorded one gives holds until the next.
    pub fn run(
        &mut self,
        inputs: Inputs,
        way: bool,
        mut pass: impl FnMut(&Inputs) -> Pass,
    ) -> Pass {
        let Some(device) = self.device else {
            return pass(&inputs);
        };
        let shapes = inputs.tensors().map(Tensor::size).collect();
        self.forget_others(Same { shapes, way });
        if let Some(recorded) = &self.recorded {
            recorded.inputs.take(&inputs);
        } else if self.num_computed < NUM_BEFORE {
            self.num_computed += 1;
            return pass(&inputs);
        }
        let recorded = self
            .recorded
            .get_or_insert_with(|| Recorded::of(device, inputs.copied(), pass));
        recorded.graph.replay();
        recorded.pass.handles()
    }

    fn forget_others(&mut self, same: Same) {
        if self.same != same {
            self.forget();
            self.same = same;
        }
    }

    /// Forgets what was recorded, as the state lies elsewhere now.
    pub fn forget(&mut self) {
        *self = Recorder::new(self.device);
    }
}

impl Recorded {
    fn of(device: Device, inputs: Inputs, mut pass: impl FnMut(&Inputs) -> Pass) -> Recorded {
        let record = || Graph::record(device, || pass(&inputs));
        let (graph, pass) = phases::paused(record);
        let has_history = pass.tensors().any(Tensor::requires_grad);
        assert!(
            !has_history,
            "a pass keeps no history: it would keep the memory of its graph"
        );
        Recorded {
            inputs,
            pass,
            graph,
        }
    }
}
