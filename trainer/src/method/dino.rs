//! DINO (Caron et al. 2021) with SSLight's weights: student, teacher, loss, optimiser and the joint linear probe.
//!
//! One [`Dino::step`] is: teacher and student forward, loss, gradients, optimiser, teacher average. It does not know where
//! views come from, which step it is, or what is done with the numbers. Runs on the training thread; reads nothing back from
//! the device.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor, no_grad};

use crate::batch::Batch;
use crate::ema;
use crate::loss::dino::{DinoLoss, LossConfig};
use crate::model::Network;
use crate::model::backbone::BackboneConfig;
use crate::model::head::HeadConfig;
use crate::model::layers::Linear;
use crate::model::parameters::Parameters;
use crate::optim::{Optimizer, OptimizerConfig, Rates};

/// Everything that decides what a DINO model is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DinoConfig {
    /// The student's backbone; the teacher's is the same without drop path.
    pub backbone: BackboneConfig,
    /// The projection head.
    pub head: HeadConfig,
    /// The loss.
    pub loss: LossConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Largest norm of one parameter's gradient; 0 is no limit.
    pub clip_grad: f64,
    /// Epochs in which the head's last layer stays as it is.
    pub freeze_last_layer_epochs: u64,
    /// Classes of the joint linear probe; `None` trains no probe.
    pub probe_classes: Option<i64>,
}

/// The scheduled values of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRates {
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Learning rate and weight decay.
    pub optimizer: Rates,
    /// Share of the teacher that stays.
    pub momentum: f64,
    /// Temperature of the teacher's softmax.
    pub teacher_temp: f64,
    /// Seed of what the step draws (drop path), so that a resumed run draws the same.
    pub seed: i64,
}

/// What one step measured; the tensor still lies on the device.
#[derive(Debug)]
pub struct StepStats {
    /// Loss, then (with a probe) the probe's cross-entropy and its share of right answers.
    values: Tensor,
}

/// The numbers of one step, on the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepValues {
    /// The self-supervised loss.
    pub loss: f64,
    /// The probe's cross-entropy.
    pub probe_loss: Option<f64>,
    /// Percent of the batch that the probe classified rightly.
    pub probe_accuracy: Option<f64>,
}

/// The method with all of its state.
#[derive(Debug)]
pub struct Dino {
    config: DinoConfig,
    student: Network,
    teacher: Network,
    probe: Option<Probe>,
    loss: DinoLoss,
    optimizer: Optimizer,
    student_values: Vec<Tensor>,
    teacher_values: Vec<Tensor>,
}

/// A linear classifier on detached features.
#[derive(Debug)]
struct Probe {
    parameters: Parameters,
    linear: Linear,
}

impl Dino {
    /// A student with fresh weights and a teacher equal to it.
    pub fn new(config: DinoConfig, device: Device) -> Dino {
        let student = Network::new(&config.backbone, &config.head, device);
        let teachers = config.backbone.without_drop_path();
        let mut teacher = Network::new(&teachers, &config.head, device);
        teacher.parameters.copy_from(&student.parameters);
        teacher.parameters.freeze();
        let probe = config
            .probe_classes
            .map(|classes| Probe::new(student.width(), classes, device));
        let learnt = student.parameters.trainable();
        let learnt = learnt.chain(probe.iter().flat_map(|probe| probe.parameters.trainable()));
        let optimizer = Optimizer::new(config.optimizer.clone(), learnt);
        Dino {
            loss: DinoLoss::new(config.loss.clone(), device),
            student_values: ema::averaged(&student.parameters),
            teacher_values: ema::averaged(&teacher.parameters),
            config,
            student,
            teacher,
            probe,
            optimizer,
        }
    }

    /// Converts every tensor to another precision. Runs are in single precision; double tells rounding from mistakes when a
    /// step is compared with another implementation.
    pub fn convert(&mut self, kind: Kind) {
        self.student.parameters.convert(kind);
        self.teacher.parameters.convert(kind);
        if let Some(probe) = &mut self.probe {
            probe.parameters.convert(kind);
        }
        self.loss.convert(kind);
        self.optimizer.convert(kind);
    }

    /// The student, whose features are evaluated.
    pub fn student(&self) -> &Network {
        &self.student
    }

    /// Learns from one batch.
    pub fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats {
        tch::manual_seed(rates.seed);
        let teacher_out = no_grad(|| {
            let globals = self.global_views(batch);
            self.teacher.forward(&[globals], true).1
        });
        let (features, student_out) = self.student.forward(&batch.views_nchw, true);
        let loss = self
            .loss
            .forward(&student_out, &teacher_out, rates.teacher_temp);
        let measured = self.probe_loss(&features, batch);
        let total = match &measured {
            Some((probe_loss, _)) => &loss + probe_loss,
            None => loss.shallow_clone(),
        };
        self.learn(&total, rates);
        StepStats::new(&loss, measured)
    }

    /// Class scores `[n, classes]` of the probe for features `[n, width]`.
    pub fn probe_logits(&self, features_nd: &Tensor) -> Option<Tensor> {
        let probe = self.probe.as_ref()?;
        Some(probe.linear.forward(features_nd))
    }

    /// Every tensor of the state by name, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state: Vec<(String, Tensor)> = self
            .weights()
            .map(|(name, tensor)| (name, tensor.detach()))
            .collect();
        state.push(("center".to_owned(), self.loss.center().shallow_clone()));
        let optimizer = self.optimizer.state().into_iter();
        state.extend(optimizer.map(|(name, tensor)| (format!("optimizer.{name}"), tensor)));
        state
    }

    /// Takes the state back; `find` gives the tensor of a name and shape.
    ///
    /// Errors with the first name that is missing or has another shape.
    pub fn restore(
        &mut self,
        find: impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        let mut targets: Vec<(String, Tensor)> = self.weights().collect();
        targets.push(("center".to_owned(), self.loss.center().shallow_clone()));
        for (name, mut target) in targets {
            let value = find(&name, &target.size())?;
            no_grad(|| target.copy_(&value));
        }
        self.optimizer
            .restore(|name, shape| find(&format!("optimizer.{name}"), shape))
    }

    fn weights(&self) -> impl Iterator<Item = (String, Tensor)> {
        let probe = self
            .probe
            .as_ref()
            .map(|probe| ("probe", &probe.parameters));
        let parts = [
            ("student", &self.student.parameters),
            ("teacher", &self.teacher.parameters),
        ];
        parts
            .into_iter()
            .chain(probe)
            .flat_map(|(part, parameters)| {
                parameters.entries().iter().map(move |entry| {
                    (
                        format!("{part}.{}", entry.name),
                        entry.tensor.shallow_clone(),
                    )
                })
            })
    }

    /// Global views are the first rows of the first group, also where local views have their size.
    fn global_views(&self, batch: &Batch) -> Tensor {
        let rows = self.config.loss.num_global * batch.batch_size();
        batch.views_nchw[0].narrow(0, 0, rows)
    }

    /// Cross-entropy and accuracy of the probe on the first view; `None` without a probe or without any label.
    fn probe_loss(&self, features_nd: &Tensor, batch: &Batch) -> Option<(Tensor, Tensor)> {
        let probe = self.probe.as_ref()?;
        let num_labelled = batch.labels.iter().filter(|label| **label >= 0).count();
        if num_labelled == 0 {
            return None;
        }
        let first_view = features_nd.narrow(0, 0, batch.batch_size()).detach();
        let logits = probe.linear.forward(&first_view);
        let labels = batch.labels_tensor();
        let loss = logits.cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -1, 0.0);
        let right = logits.argmax(-1, false).eq_tensor(&labels);
        let accuracy = right.sum(Kind::Float) * (100.0 / num_labelled as f64);
        Some((loss, accuracy))
    }

    fn learn(&mut self, total: &Tensor, rates: StepRates) {
        let mut gradients = Tensor::run_backward(&[total], &self.optimizer.params(), false, false);
        if self.config.clip_grad > 0.0 {
            // The probe is not part of the student: the reference does not clip it.
            self.optimizer
                .clip(&mut gradients, self.config.clip_grad, |name| {
                    !name.starts_with(PROBE)
                });
        }
        let is_frozen = rates.epoch < self.config.freeze_last_layer_epochs;
        self.optimizer.step(&gradients, rates.optimizer, |name| {
            is_frozen && name.contains("last_layer")
        });
        ema::update(
            &mut self.teacher_values,
            &self.student_values,
            rates.momentum,
        );
    }
}

const PROBE: &str = "classifier";

impl Probe {
    fn new(width: i64, classes: i64, device: Device) -> Probe {
        let mut parameters = Parameters::new();
        let mut root = parameters.scope(device);
        let linear = Linear::with_default_init(width, classes, &mut root.child(PROBE));
        Probe { parameters, linear }
    }
}

impl StepStats {
    fn new(loss: &Tensor, probe: Option<(Tensor, Tensor)>) -> StepStats {
        let mut values = vec![loss.detach()];
        if let Some((probe_loss, accuracy)) = probe {
            values.push(probe_loss.detach());
            values.push(accuracy);
        }
        StepStats {
            values: Tensor::stack(&values, 0),
        }
    }

    /// Waits for the device and reads the numbers: the one synchronisation of a step.
    pub fn read(&self) -> StepValues {
        let values = self.values.to_device(Device::Cpu);
        let at =
            |index: usize| (index < values.numel()).then(|| values.double_value(&[index as i64]));
        StepValues {
            loss: values.double_value(&[0]),
            probe_loss: at(1),
            probe_accuracy: at(2),
        }
    }
}
