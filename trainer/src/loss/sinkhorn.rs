//! Codes by the Sinkhorn-Knopp algorithm (Caron et al. 2020, section 3.1 and appendix A): soft assignments of samples to prototypes that
//! use every prototype alike.

use tch::{Kind, Tensor, no_grad};

use crate::world::World;

/// The entropy regularisation and the number of rounds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sinkhorn {
    /// `SWAV.EPSILON`.
    pub epsilon: f64,
    /// `SWAV.SINKHORN_ITERATIONS`.
    pub num_iterations: i64,
}

impl Sinkhorn {
    /// Codes `[n, k]`, whose rows sum to 1, of scores `[n, k]`. Ranks hold rows of one problem; each gets its own rows back.
    pub fn codes(&self, scores_nk: &Tensor, world: &dyn World) -> Tensor {
        no_grad(|| {
            let num_samples = (scores_nk.size()[0] * world.size()) as f64;
            let num_prototypes = scores_nk.size()[1] as f64;
            let mut q_nk = (scores_nk / self.epsilon).exp();
            q_nk /= world.sum(q_nk.sum(None::<Kind>));
            for _ in 0..self.num_iterations {
                let per_prototype = q_nk.sum_dim_intlist([0].as_slice(), true, None::<Kind>);
                q_nk /= world.sum(per_prototype) * num_prototypes;
                q_nk /= q_nk.sum_dim_intlist([1].as_slice(), true, None::<Kind>) * num_samples;
            }
            q_nk * num_samples
        })
    }
}
