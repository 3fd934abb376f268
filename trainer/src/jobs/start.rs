//! The weights that a classifier starts from.

use std::path::Path;

use crate::config::Settings;
use crate::failure::Failure;
use crate::method::{Method, MethodConfig, classifier::Learns};
use crate::model::parameters::Parameters;
use crate::output::{show, tell};
use crate::pretrained::names::Which;
use crate::pretrained::{self, Pretrained};

/// Gives a fresh classifier its backbone, and the layers below its last one where they are those of a DINO head. What is pre-trained has
/// fresh weights.
///
/// # Errors
/// When they cannot be read, or are of another network.
pub(super) fn start(settings: &Settings, model: &dyn Method) -> Result<(), Failure> {
    let MethodConfig::Classifier(classifier) = &settings.method else {
        return Ok(());
    };
    let Some(path) = &settings.pre_trained else {
        tell!(
            "warning: MODEL.PRE_TRAINED_PATH is empty: the classifier starts on a random backbone"
        );
        return Ok(());
    };
    let weights = pretrained::load(path, Which::Student)?;
    for note in &weights.notes {
        show!("note: {note}");
    }
    let network = model.student();
    weights.copy_backbone(network)?;
    let mut taken = "the backbone".to_owned();
    if matches!(classifier.learns, Learns::All { .. }) {
        taken += &start_head(settings, &weights, network)?;
    }
    show!("starting from {}: {taken}", weights.path.display());
    Ok(())
}

/// Says what was taken of the head.
fn start_head(
    settings: &Settings,
    weights: &Pretrained,
    network: &Parameters,
) -> Result<String, Failure> {
    if settings.ssl_method != "DINO" {
        let method = &settings.ssl_method;
        return Ok(format!(
            "; the classifier is fresh, since SSL_METHOD is {method} and only DINO's head has its layers"
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
