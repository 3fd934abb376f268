//! Accuracy and loss of a classifier, summed batch by batch on the device.

use tch::{Kind, Reduction, Tensor};

/// What a classifier made of the samples so far.
#[derive(Debug, Default)]
pub struct Classified {
    /// Right at first, right among the first five, cross-entropy: sums `[3]` on the device.
    sums: Option<Tensor>,
    num_samples: usize,
}

/// Means over all samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScores {
    /// Percent of the samples whose class has the highest score.
    pub top1: f64,
    /// Percent of the samples whose class is among the five with the highest scores.
    pub top5: f64,
    /// Cross-entropy.
    pub loss: f64,
}

impl Classified {
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
        ];
        let sums = Tensor::stack(&sums, 0);
        self.num_samples += labels_n.size()[0] as usize;
        self.sums = Some(match self.sums.take() {
            Some(before) => before + sums,
            None => sums,
        });
    }

    /// The scores; `None` without any sample.
    pub fn scores(&self) -> Option<ClassScores> {
        let sums = self.sums.as_ref()?;
        let num_samples = self.num_samples as f64;
        let mean = |at: i64| sums.double_value(&[at]) / num_samples;
        Some(ClassScores {
            top1: 100.0 * mean(0),
            top5: 100.0 * mean(1),
            loss: mean(2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_and_losses_are_means_over_all_batches() {
        let mut classified = Classified::default();
        assert_eq!(classified.scores(), None);
        let row = |values: [f32; 6]| Tensor::from_slice(&values).unsqueeze(0);
        classified.add(&row([0.0; 6]), &Tensor::from_slice(&[2i64]));
        let zeros = classified.scores().unwrap();
        assert!((zeros.loss - 6f64.ln()).abs() < 1e-6, "{zeros:?}");
        let mut classified = Classified::default();
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
        let scores = classified.scores().unwrap();
        assert!((scores.top1 - 100.0 / 3.0).abs() < 1e-9, "{scores:?}");
        assert!((scores.top5 - 200.0 / 3.0).abs() < 1e-9, "{scores:?}");
    }
}
