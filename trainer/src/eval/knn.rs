//! Weighted k-nearest-neighbour classification (Wu et al. 2018): of one split by another, or leave one out: every sample is classified by
//! all others.

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

/// Labelled samples: features `[n, d]` of any length, labels `[n]` from 0.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// Features.
    pub features_nd: &'a Tensor,
    /// Labels.
    pub labels_n: &'a Tensor,
}

/// Classifies each of `n >= 2` samples by its nearest others. Features `[n, d]` of any length, labels `[n]` from 0.
pub fn leave_one_out(features_nd: &Tensor, labels_n: &Tensor, config: &KnnConfig) -> KnnScores {
    let samples = Labelled {
        features_nd,
        labels_n,
    };
    score(samples, samples, true, config)
}

/// Classifies samples by the nearest of others, of which there is at least one.
pub fn by_others(samples: Labelled, others: Labelled, config: &KnnConfig) -> KnnScores {
    score(samples, others, false, config)
}

fn score(samples: Labelled, others: Labelled, is_same: bool, config: &KnnConfig) -> KnnScores {
    no_grad(|| {
        let unit = |of: Labelled| normalize(&of.features_nd.to_kind(Kind::Float));
        let others_nd = unit(others);
        let queries_md = if is_same {
            others_nd.shallow_clone()
        } else {
            unit(samples)
        };
        let m = queries_md.size()[0];
        let highest = |of: Labelled| of.labels_n.max().int64_value(&[]);
        let num_classes = highest(samples).max(highest(others)) + 1;
        let k = config.k.min(others_nd.size()[0] - i64::from(is_same));
        let config = KnnConfig { k, ..*config };
        let (mut hits_1, mut hits_5) = (0.0, 0.0);
        for first in (0..m).step_by(CHUNK as usize) {
            let rows = CHUNK.min(m - first);
            let mut similarity = queries_md.narrow(0, first, rows).mm(&others_nd.tr());
            if is_same {
                similarity = without_themselves(&similarity, first);
            }
            let votes = votes(&similarity, others.labels_n, num_classes, &config);
            let (one, five) = count_hits(&votes, &samples.labels_n.narrow(0, first, rows));
            hits_1 += one;
            hits_5 += five;
        }
        KnnScores {
            top1: hits_1 * 100.0 / m as f64,
            top5: hits_5 * 100.0 / m as f64,
        }
    })
}

/// The similarity `[rows, n]` of samples `first..first + rows` to all, but -2, below all others, of a sample to itself.
fn without_themselves(similarity_rn: &Tensor, first: i64) -> Tensor {
    let [rows, n] = similarity_rn.size()[..] else {
        unreachable!("similarity is a matrix")
    };
    let options = (Kind::Int64, similarity_rn.device());
    let own = Tensor::arange_start(first, first + rows, options).unsqueeze(1);
    let all = Tensor::arange(n, options).unsqueeze(0);
    similarity_rn.masked_fill(&own.eq_tensor(&all), -2.0)
}

/// Votes `[rows, classes]` of the nearest neighbours.
fn votes(
    similarity_rn: &Tensor,
    labels_n: &Tensor,
    num_classes: i64,
    config: &KnnConfig,
) -> Tensor {
    let rows = similarity_rn.size()[0];
    let (similarity_rk, neighbours_rk) = similarity_rn.topk(config.k, 1, true, true);
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
