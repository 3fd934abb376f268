//! Weighted k-nearest-neighbour classification (Wu et al. 2018), leave one out: every sample is classified by all others.

use tch::{Kind, Tensor, no_grad};

use crate::model::layers::normalize;

/// Rows of the similarity matrix made at once; bounds memory to `CHUNK * n` values.
const CHUNK: i64 = 512;

/// How neighbours vote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnnConfig {
    /// Number of neighbours; fewer where there are fewer samples.
    pub k: i64,
    /// A neighbour of cosine similarity s votes with weight `exp(s / temperature)`.
    pub temperature: f64,
}

/// Accuracies in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnnScores {
    /// The class with most votes is right.
    pub top1: f64,
    /// The right class is among the five with most votes. A class without any vote is never among them: their order would be
    /// chance.
    pub top5: f64,
}

impl Default for KnnConfig {
    fn default() -> KnnConfig {
        KnnConfig {
            k: 20,
            temperature: 0.07,
        }
    }
}

/// Classifies each of `n >= 2` samples by its nearest others. Features `[n, d]` of any length, labels `[n]` from 0.
pub fn leave_one_out(features_nd: &Tensor, labels_n: &Tensor, config: &KnnConfig) -> KnnScores {
    no_grad(|| {
        let features_nd = normalize(&features_nd.to_kind(Kind::Float));
        let n = features_nd.size()[0];
        let num_classes = labels_n.max().int64_value(&[]) + 1;
        let (mut hits_1, mut hits_5) = (0.0, 0.0);
        for first in (0..n).step_by(CHUNK as usize) {
            let rows = CHUNK.min(n - first);
            let similarity = similarity_to_others(&features_nd, first, rows);
            let votes = votes(&similarity, labels_n, num_classes, config);
            let targets = labels_n.narrow(0, first, rows);
            let (one, five) = count_hits(&votes, &targets);
            hits_1 += one;
            hits_5 += five;
        }
        KnnScores {
            top1: hits_1 * 100.0 / n as f64,
            top5: hits_5 * 100.0 / n as f64,
        }
    })
}

/// Cosine similarity `[rows, n]` of samples `first..first + rows` to all; that of a sample to itself is -2, below all others.
fn similarity_to_others(features_nd: &Tensor, first: i64, rows: i64) -> Tensor {
    let n = features_nd.size()[0];
    let device = features_nd.device();
    let queries = features_nd.narrow(0, first, rows);
    let own = Tensor::arange_start(first, first + rows, (Kind::Int64, device)).unsqueeze(1);
    let all = Tensor::arange(n, (Kind::Int64, device)).unsqueeze(0);
    queries
        .mm(&features_nd.tr())
        .masked_fill(&own.eq_tensor(&all), -2.0)
}

/// Votes `[rows, classes]` of the nearest neighbours.
fn votes(
    similarity_rn: &Tensor,
    labels_n: &Tensor,
    num_classes: i64,
    config: &KnnConfig,
) -> Tensor {
    let [rows, n] = similarity_rn.size()[..] else {
        unreachable!("similarity is a matrix")
    };
    let k = config.k.min(n - 1);
    let (similarity_rk, neighbours_rk) = similarity_rn.topk(k, 1, true, true);
    let classes_rk = labels_n.take(&neighbours_rk);
    let weights_rk = (similarity_rk / config.temperature).exp();
    let options = (Kind::Float, similarity_rn.device());
    Tensor::zeros([rows, num_classes], options).scatter_add_(1, &classes_rk, &weights_rk)
}

/// How many rows have their target first, and among the first five.
fn count_hits(votes_rc: &Tensor, targets_r: &Tensor) -> (f64, f64) {
    let five = votes_rc.size()[1].min(5);
    let (votes, best) = votes_rc.topk(five, 1, true, true);
    let hits = best
        .eq_tensor(&targets_r.unsqueeze(1))
        .logical_and(&votes.gt(0.0));
    let count = |hits: Tensor| hits.sum(Kind::Float).double_value(&[]);
    (count(hits.narrow(1, 0, 1)), count(hits))
}
