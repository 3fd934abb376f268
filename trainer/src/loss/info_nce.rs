//! MoCo's contrastive loss over several queries an image, with SSLight's two weights (He et al. 2020, equation 1; SSLight section 3.3.4).
//!
//! Shapes: `b` images, `d` values an embedding, `l` keys in the queue; queries are view-major, the global one first.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::parts::{Choices, LossParts, Weights};

/// `MOCO.{TEMPERATURE,GLOBAL_ONLY}` and `MULTI_VIEWS_TRANSFORMS.LAMBDAS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InfoNce {
    /// Temperature of the softmax.
    pub temperature: f64,
    /// Weights of the global query and of the mean over local ones.
    pub weights: Weights,
}

impl InfoNce {
    /// The loss of queries `[v * b, d]` of which the first `b` are global, each against its image's key `[b, d]` and a queue `[d, l]` of others.
    pub fn forward(&self, queries_vbd: &Tensor, keys_bd: &Tensor, queue_dl: &Tensor) -> LossParts {
        let (b, d) = keys_bd.size2().expect("keys are a matrix");
        let queries = queries_vbd.view([-1, b, d]);
        let positive = (&queries * keys_bd).sum_dim_intlist([-1].as_slice(), true, None::<Kind>);
        let negative = queries.matmul(queue_dl);
        let logits = Tensor::cat(&[positive, negative], -1) / self.temperature;
        let losses_vb = -logits.log_softmax(-1, None::<Kind>).select(-1, 0);
        let num_local = losses_vb.size()[0] - 1;
        let choices = Choices::OneOf(logits.size()[2]);
        let global = losses_vb.select(0, 0).mean(None::<Kind>);
        if num_local == 0 {
            return LossParts::global_only(global, choices);
        }
        let local = losses_vb.narrow(0, 1, num_local).mean(None::<Kind>);
        LossParts::weighted(global, local, self.weights, choices)
    }
}
