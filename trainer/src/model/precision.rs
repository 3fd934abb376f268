//! The number format that a network computes in while it learns (mixed precision, Micikevicius et al. 2018).
//!
//! What flows decides: [`super::Network::features`] converts the images, convolutions and linear layers follow the kind of what they are
//! given and convert their weights, which stay in single precision as their gradients do. Statistics, a transformer's stream, and all
//! that follows a head's perceptron are in at least single precision. Images that nobody converted, as in an evaluation, are not
//! computed with in less.

use tch::{Kind, Tensor};

/// `TRAIN.PRECISION` and `USE_FP16`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the weights are: single.
    #[default]
    Full,
    /// bfloat16: the range of single precision, 8 significant bits.
    Bf16,
    /// IEEE half: 11 significant bits and a small range, so that the loss has to be scaled ([`crate::scaler`]).
    Fp16,
}

impl Precision {
    /// The kind of the values that a network is given and passes on.
    pub fn kind(self) -> Kind {
        match self {
            Precision::Full => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp16 => Kind::Half,
        }
    }

    /// The same values as this precision computes with them.
    pub fn of(self, images: &Tensor) -> Tensor {
        match self {
            Precision::Full => images.shallow_clone(),
            Precision::Bf16 | Precision::Fp16 => images.to_kind(self.kind()),
        }
    }
}

/// The same values, in single precision where they were in less.
pub fn at_least_single(x: &Tensor) -> Tensor {
    match x.kind() {
        Kind::BFloat16 | Kind::Half => x.to_kind(Kind::Float),
        _ => x.shallow_clone(),
    }
}
