//! A step that is skipped leaves no trace, in any method.

use tch::Tensor;
use trainer::method::Method;
use trainer::model::backbone::Arch;
use trainer::model::layers::normalize;
use trainer::model::precision::Precision;
use trainer::non_finite::Before;

use crate::oracle::alone_with_the_generator;
use crate::resume::{batches, fresh, rates};
use crate::steps::config;

fn state(model: &dyn Method) -> Vec<(String, Tensor)> {
    let state = model.state().into_iter();
    state.map(|(name, tensor)| (name, tensor.copy())).collect()
}

fn check(method: &str) {
    let mut model = fresh(&config(method, Arch::MobilenetV2), Precision::Full);
    model.learner_mut().guard();
    let [good, bad, ..] = &mut batches()[..] else {
        panic!("there are several batches")
    };
    let _ = bad.views_nchw[0].get(0).fill_(f64::NAN);
    assert_eq!(model.step(good, rates(0)).read().non_finite(), None);
    let wanted = state(model.as_ref());
    let before = Before::of(model.as_ref());
    let measured = model.step(bad, rates(1)).read();
    assert_eq!(measured.non_finite(), Some("loss"), "{method}");
    before.restore();
    for ((name, found), (_, wanted)) in state(model.as_ref()).iter().zip(&wanted) {
        // SwAV's prototypes get length 1 at the start of every step.
        let is_same = match name.ends_with("prototypes.weight") {
            true => found.allclose(&normalize(wanted), 1e-6, 1e-6, false),
            false => found == wanted,
        };
        assert!(is_same, "{method}: {name} differs");
    }
    let norms = model.learner().gradient_norms();
    assert_eq!(norms.len(), model.student().trainable().count());
    assert!(norms.iter().any(|(_, norm)| !norm.is_finite()), "{method}");
    assert_eq!(model.step(good, rates(2)).read().non_finite(), None);
}

#[test]
fn a_step_without_a_finite_loss_that_is_skipped_leaves_the_state_bit_equal() {
    let _alone = alone_with_the_generator();
    for method in ["dino", "swav", "moco"] {
        check(method);
    }
}
