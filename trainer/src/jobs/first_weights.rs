//! The weights that a fresh run starts from: what a pre-training left (`MODEL.PRE_TRAINED_PATH`), or tensors by name (`TRAIN.INIT_WEIGHTS`).

use std::path::Path;

use crate::config::Settings;
use crate::failure::Failure;
use crate::init_weights;
use crate::method::classifier::Learns;
use crate::method::{Method, MethodConfig};
use crate::model::parameters::Parameters;
use crate::output::{show, tell};
use crate::pretrained::{self, Pretrained, names::Which};

/// Gives a fresh model its first weights, where the settings name any.
///
/// # Errors
/// When they cannot be read, or are of another network.
pub(super) fn give(settings: &Settings, model: &mut dyn Method) -> Result<(), Failure> {
    match (&settings.pre_trained, &settings.init_weights) {
        (Some(path), _) => give_pretrained(path, settings, model),
        (None, _) if settings.method.is_classifier() => {
            tell!(
                "warning: MODEL.PRE_TRAINED_PATH is empty: the classifier starts on a random backbone"
            );
            Ok(())
        }
        (None, Some(path)) => init_weights::give(path, model),
        (None, None) => Ok(()),
    }
}

/// The student's backbone, and of the head what has a place; what follows the student starts equal to it.
fn give_pretrained(
    path: &Path,
    settings: &Settings,
    model: &mut dyn Method,
) -> Result<(), Failure> {
    let weights = pretrained::load(path, Which::Student)?;
    for note in &weights.notes {
        show!("note: {note}");
    }
    weights.copy_backbone(model.student())?;
    let head = match &settings.method {
        MethodConfig::Classifier(classifier) => match classifier.learns {
            Learns::Linear { .. } => String::new(),
            Learns::All { .. } => give_layers(settings, &weights, model.student())?,
        },
        _ => give_head(&weights, model.student()),
    };
    model.match_student();
    let path = weights.path.display();
    show!("weights: the backbone{head}; from {path}");
    Ok(())
}

/// Takes the head if it is the same, and says whether.
fn give_head(weights: &Pretrained, student: &Parameters) -> String {
    if !weights.tensors.keys().any(|name| name.starts_with("head.")) {
        return " (there is no head; it starts as usual)".to_owned();
    }
    match weights.copy_head(student) {
        Ok(()) => " and the head".to_owned(),
        Err(differences) => {
            let num = differences.len();
            let first = &differences[0];
            format!(" (the head starts as usual: {num} of its tensors differ, {first})")
        }
    }
}

/// Takes the layers of a classifier below its last one, which are those of a DINO head, and says which.
fn give_layers(
    settings: &Settings,
    weights: &Pretrained,
    network: &Parameters,
) -> Result<String, Failure> {
    if settings.ssl_method != "DINO" {
        let method = &settings.ssl_method;
        return Ok(format!(
            " (the classifier is fresh, since SSL_METHOD is {method} and only DINO's head has its layers)"
        ));
    }
    let kept = layers_below_the_last(network);
    weights
        .copy_layers(&kept, network)
        .map_err(|differences| other_head(&weights.path, &differences))?;
    let names: Vec<&str> = kept
        .iter()
        .map(|layer| layer.trim_end_matches('.'))
        .collect();
    Ok(format!(" and {}", names.join(", ")))
}

/// `head.mlp.0.` and so on: layers of the classifier, but for the last one.
fn layers_below_the_last(network: &Parameters) -> Vec<String> {
    let entries = network.entries().iter();
    let names = entries.filter_map(|entry| entry.name.starts_with("head.").then_some(&entry.name));
    let layer = |name: &String| name[..=name.rfind('.').unwrap_or(0)].to_owned();
    let mut layers: Vec<String> = names.map(layer).collect();
    layers.dedup();
    layers.pop();
    layers
}

fn other_head(path: &Path, differences: &[String]) -> Failure {
    Failure::Usage(format!(
        "the head in it has other layers; {}; set DINOHead.NUM_LAYERS, HIDDEN_SIZE and USE_BN_IN_HEAD to what it was trained with:\n  {}",
        path.display(),
        differences.join("\n  ")
    ))
}
