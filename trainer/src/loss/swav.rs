//! SwAV's swapped prediction with SSLight's two weights (Caron et al. 2020, section 3; SSLight section 3.3.4): the code of each assigned
//! view is predicted from every other view.
//!
//! Shapes: `b` images, `k` prototypes; scores are view-major (`row = view * b + image`), global views first.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::parts::{Choices, LossParts, Weights};

/// `SWAV.TEMPERATURE` and `MULTI_VIEWS_TRANSFORMS.{NMB_CROPS,LAMBDAS,CROPS_FOR_ASSIGN}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwavLoss {
    /// Global views.
    pub num_global: i64,
    /// Local views.
    pub num_local: i64,
    /// Weights of the two means.
    pub weights: Weights,
    /// Global views whose codes are predicted.
    pub assigned: Vec<i64>,
    /// Temperature of the prediction's softmax.
    pub temperature: f64,
}

impl SwavLoss {
    /// The loss of scores `[v * b, k]` against codes, one `[b, k]` for each assigned view.
    pub fn forward(&self, scores_vbk: &Tensor, codes_bk: &[Tensor]) -> LossParts {
        let views = self.num_global + self.num_local;
        let k = scores_vbk.size()[1];
        let log_p = (scores_vbk / self.temperature).log_softmax(-1, None::<Kind>);
        let log_p_vbk = log_p.view([views, -1, k]);
        let sum = |first, num| {
            let part = log_p_vbk.narrow(0, first, num);
            part.sum_dim_intlist([0].as_slice(), false, None::<Kind>)
        };
        // Summing over all views of a kind and taking the assigned one away needs one product for each code.
        let (globals, locals) = (
            sum(0, self.num_global),
            sum(self.num_global, self.num_local),
        );
        let pairs = || self.assigned.iter().zip(codes_bk);
        let global =
            pairs().map(|(view, code)| cross(code, &(&globals - log_p_vbk.select(0, *view))));
        let local = pairs().map(|(_, code)| cross(code, &locals));
        let num_codes = self.assigned.len() as i64;
        let mean = |terms: Vec<Tensor>, num_views: i64| {
            Tensor::stack(&terms, 0).sum(None::<Kind>) / (num_codes * num_views) as f64
        };
        let global = mean(global.collect(), self.num_global - 1);
        let choices = Choices::Targets(Tensor::cat(codes_bk, 0));
        if self.num_local == 0 {
            return LossParts::global_only(global, choices);
        }
        let local = mean(local.collect(), self.num_local);
        LossParts::weighted(global, local, self.weights, choices)
    }
}

/// Cross-entropy of `[b, k]` against `[b, k]`, mean over `b`.
fn cross(code_bk: &Tensor, log_p_bk: &Tensor) -> Tensor {
    -(code_bk * log_p_bk).sum(None::<Kind>) / code_bk.size()[0] as f64
}
