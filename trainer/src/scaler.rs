//! Loss scaling for half precision (Micikevicius et al. 2018, section 3.2), with PyTorch's rules: small gradients would vanish in half
//! precision, so the loss is multiplied with a scale that is as large as gradients allow. It knows no optimiser.

use tch::{Kind, Tensor, no_grad};

const START: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
/// Steps in a row with finite gradients after which the scale grows.
const GROWTH_INTERVAL: i64 = 2_000;

/// The scale and how long it has held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaler {
    scale: f64,
    num_finite: i64,
}

impl Default for Scaler {
    fn default() -> Scaler {
        Scaler {
            scale: START,
            num_finite: 0,
        }
    }
}

impl Scaler {
    /// What the loss is multiplied with.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Whether a gradient that is not finite may be so by the scale alone.
    pub fn is_to_blame(self) -> bool {
        self.scale >= 1.0
    }

    /// Moves the scale after a step: down where a gradient was not finite (and the step was skipped), up where none was for long.
    pub fn update(&mut self, is_finite: bool) {
        if !is_finite {
            self.scale *= BACKOFF;
            self.num_finite = 0;
            return;
        }
        self.num_finite += 1;
        if self.num_finite == GROWTH_INTERVAL {
            let grown = self.scale * GROWTH;
            // PyTorch's scale is in single precision, and stays where it would leave that.
            if grown <= f64::from(f32::MAX) {
                self.scale = grown;
            }
            self.num_finite = 0;
        }
    }

    /// The state by name, for a checkpoint.
    pub fn state(&self) -> [(String, Tensor); 2] {
        let scale = Tensor::from(self.scale).to_kind(Kind::Double);
        let num_finite = Tensor::from(self.num_finite);
        [
            (SCALE.to_owned(), scale),
            (NUM_FINITE.to_owned(), num_finite),
        ]
    }

    /// Whether a tensor of a checkpoint is of its state.
    pub fn is_its_own(name: &str) -> bool {
        [SCALE, NUM_FINITE].contains(&name)
    }

    /// Takes the state back. A checkpoint of another precision has none: the scale then starts anew.
    pub fn restore(&mut self, find: impl Fn(&str, &[i64]) -> Result<Tensor, String>) {
        if let (Ok(scale), Ok(num_finite)) = (find(SCALE, &[]), find(NUM_FINITE, &[])) {
            self.scale = scale.double_value(&[]);
            self.num_finite = num_finite.int64_value(&[]);
        }
    }
}

/// Gradients of the loss from those of the loss times `scale`.
pub fn unscale(gradients: &mut [Tensor], scale: &Tensor) {
    no_grad(|| {
        for gradient in gradients {
            *gradient = &*gradient / scale;
        }
    });
}

const SCALE: &str = "scaler.scale";
const NUM_FINITE: &str = "scaler.num_finite";
