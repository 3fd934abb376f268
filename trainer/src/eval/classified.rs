//! Accuracy and loss of a classifier, summed batch by batch on the device, then over all ranks.

use tch::{Device, Kind, Reduction, Tensor};

use crate::world::World;

/// What a classifier made of the samples so far.
#[derive(Debug)]
pub struct Classified {
    /// Right at first, right among the first five, cross-entropy, samples: sums `[4]` on the device.
    sums: Tensor,
}

/// Means over all samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScores {
    /// Samples of all ranks.
    pub num_samples: usize,
    /// Percent of the samples whose class has the highest score.
    pub top1: f64,
    /// Percent of the samples whose class is among the five with the highest scores.
    pub top5: f64,
    /// Cross-entropy.
    pub loss: f64,
}

impl Classified {
    /// No samples yet.
    pub fn new(device: Device) -> Classified {
        Classified {
            sums: Tensor::zeros([4], (Kind::Double, device)),
        }
    }

    /// Adds class scores `[n, classes]` of samples with labels `[n]` from 0.
    pub fn add(&mut self, logits_nc: &Tensor, labels_n: &Tensor) {
        let five = logits_nc.size()[1].min(5);
        let (_, best) = logits_nc.topk(five, 1, true, true);
        let hits = best.eq_tensor(&labels_n.unsqueeze(1));
        let loss = logits_nc.to_kind(Kind::Float).cross_entropy_loss(
            labels_n,
            None::<&Tensor>,
            Reduction::Sum,
            -1,
            0.0,
        );
        let sums = [
            hits.narrow(1, 0, 1).sum(Kind::Double),
            hits.sum(Kind::Double),
            loss.to_kind(Kind::Double),
            Tensor::from(labels_n.size()[0] as f64).to_device(labels_n.device()),
        ];
        self.sums += Tensor::stack(&sums, 0);
    }

    /// The scores of all ranks' samples; `None` without any.
    pub fn scores(&self, world: &dyn World) -> Option<ClassScores> {
        let sums = world.sum(self.sums.copy()).to_device(Device::Cpu);
        let num_samples = sums.double_value(&[3]);
        let mean = |at: i64| sums.double_value(&[at]) / num_samples;
        (num_samples > 0.0).then(|| ClassScores {
            num_samples: num_samples as usize,
            top1: 100.0 * mean(0),
            top5: 100.0 * mean(1),
            loss: mean(2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Alone;

    #[test]
    fn hits_and_losses_are_means_over_all_batches() {
        let mut classified = Classified::new(Device::Cpu);
        assert_eq!(classified.scores(&Alone), None);
        let row = |values: [f32; 6]| Tensor::from_slice(&values).unsqueeze(0);
        classified.add(&row([0.0; 6]), &Tensor::from_slice(&[2i64]));
        let zeros = classified.scores(&Alone).unwrap();
        assert!((zeros.loss - 6f64.ln()).abs() < 1e-6, "{zeros:?}");
        let mut classified = Classified::new(Device::Cpu);
        classified.add(
            &row([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]),
            &Tensor::from_slice(&[0i64]),
        );
        classified.add(
            &row([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]),
            &Tensor::from_slice(&[4i64]),
        );
        classified.add(
            &row([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]),
            &Tensor::from_slice(&[5i64]),
        );
        let scores = classified.scores(&Alone).unwrap();
        assert!((scores.top1 - 100.0 / 3.0).abs() < 1e-9, "{scores:?}");
        assert!((scores.top5 - 200.0 / 3.0).abs() < 1e-9, "{scores:?}");
    }
}
