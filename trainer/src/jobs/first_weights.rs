//! The weights that pre-training starts from (`MODEL.PRE_TRAINED_PATH`).

use std::path::Path;

use crate::failure::Failure;
use crate::method::Method;
use crate::output::show;
use crate::pretrained::{self, Pretrained, names::Which};

/// Gives a fresh model the student's backbone, and the head if it is the same; what follows the student starts equal to it.
///
/// # Errors
/// When there are no weights, or they are of another backbone.
pub(super) fn give(path: &Path, model: &mut dyn Method) -> Result<(), Failure> {
    let weights = pretrained::load(path, Which::Student)?;
    weights.copy_backbone(model.student())?;
    let head = give_head(&weights, model);
    model.match_student();
    for note in &weights.notes {
        show!("note: {note}");
    }
    show!(
        "weights: the backbone{head}; from {}",
        weights.path.display()
    );
    Ok(())
}

fn give_head(weights: &Pretrained, model: &dyn Method) -> String {
    if !weights.tensors.keys().any(|name| name.starts_with("head.")) {
        return " (there is no head; it starts as usual)".to_owned();
    }
    match weights.copy_head(model.student()) {
        Ok(()) => " and the head".to_owned(),
        Err(differences) => {
            let num = differences.len();
            let first = &differences[0];
            format!(" (the head starts as usual: {num} of its tensors differ, {first})")
        }
    }
}
