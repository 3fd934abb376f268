//! Weights of a backbone, and of its head where there is one, from wherever they come: a checkpoint or an export of ours, or what others
//! saved. Whatever the file calls them, they leave here as `backbone.*` (torchvision's and timm's names) and `head.*` (ours).
//!
//! Nothing is taken in part and in silence: what stays behind is told, and what does not fit is a table of differences.

pub mod about;
pub mod arch;
pub mod error;
mod fit;
pub mod layout;
pub mod names;
mod pickle;
mod pth;
mod saved;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use crate::differences::Difference;
use crate::machine::Machine;
use crate::model::backbone::{Arch, Backbone, BackboneConfig};
use crate::model::parameters::Parameters;
use about::About;
use error::PretrainedError;
use layout::Layout;
use names::{Network, Which};
use saved::Saved;

/// Weights of one network.
#[derive(Debug)]
pub struct Pretrained {
    /// Where they lie: a file, or the folder of a checkpoint.
    pub path: PathBuf,
    /// `backbone.*` and `head.*`, in single precision, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
    /// What the file calls each of them.
    pub called: BTreeMap<String, String>,
    /// What was left behind and why, a line each.
    pub notes: Vec<String>,
    /// What is known of them.
    pub about: About,
}

/// Reads the weights of a network from a checkpoint's folder, a run's folder (its latest checkpoint) or a file. A file that holds one
/// network alone gives that one where the student is asked for.
///
/// # Errors
/// When nothing there can be read, no tensor of a backbone is found, or there is no teacher.
pub fn load(path: &Path, which: Which) -> Result<Pretrained, PretrainedError> {
    let saved = saved::read(path)?;
    let network = choose(&saved, which)?;
    let Saved {
        path,
        tensors,
        mut left,
        mut about,
    } = saved;
    let (mut taken, mut called) = (BTreeMap::new(), BTreeMap::new());
    for named in tensors {
        if named.network != network {
            *left.entry(named.network.left_behind()).or_insert(0) += 1;
            continue;
        }
        if let Some(other) = called.insert(named.name.clone(), named.called.clone()) {
            let what = format!("both {other} and {} are {}", named.called, named.name);
            return Err(PretrainedError::Unreadable { path, what });
        }
        taken.insert(named.name, named.tensor.to_kind(Kind::Float));
    }
    if let Network::Student | Network::Teacher = network {
        about.set("which", which.name());
    }
    let note = |((what, why), count): (&(String, String), &u64)| match count {
        1 => format!("left out {what}: {why}"),
        count => format!("left out {what} ({count} tensors): {why}"),
    };
    Ok(Pretrained {
        path,
        tensors: taken,
        called,
        notes: left.iter().map(note).collect(),
        about,
    })
}

/// The network of the file that is meant.
fn choose(saved: &Saved, which: Which) -> Result<Network, PretrainedError> {
    let has = |network| {
        let mut tensors = saved.tensors.iter();
        tensors.any(|named| named.network == network && named.name.starts_with("backbone."))
    };
    let wanted = Network::from(which);
    let is_alone =
        has(Network::Only) && (which == Which::Student || saved.about.which() == Some(which));
    let path = saved.path.clone();
    if has(wanted) {
        Ok(wanted)
    } else if is_alone {
        Ok(Network::Only)
    } else if [Network::Student, Network::Teacher, Network::Only].map(has) == [false; 3] {
        let what = "no tensor has a name of a backbone known here".to_owned();
        Err(PretrainedError::Unreadable { path, what })
    } else {
        Err(PretrainedError::NoSuchNetwork { path, which })
    }
}

impl Pretrained {
    /// The backbone that these are weights of, as far as names and shapes tell.
    ///
    /// # Errors
    /// When they are of none that is known here.
    pub fn backbone(&self) -> Result<BackboneConfig, PretrainedError> {
        arch::of(&self.tensors).ok_or_else(|| PretrainedError::Unreadable {
            path: self.path.clone(),
            what: "names and shapes are of no backbone known here".to_owned(),
        })
    }

    /// Gives every `backbone.*` of a network its value. Names and shapes have to agree, all of them.
    ///
    /// # Errors
    /// The table of all that is missing, unexpected or of another shape; then nothing was changed.
    pub fn copy_backbone(&self, network: &Parameters) -> Result<(), PretrainedError> {
        fit::copy("backbone.", &self.tensors, network).map_err(|differences| {
            PretrainedError::Differs {
                path: self.path.clone(),
                differences,
            }
        })
    }

    /// Gives the layers of a network whose names begin like one of these their values. Names and shapes have to agree, all of them.
    ///
    /// # Errors
    /// All that is missing, unexpected or of another shape, a line each.
    pub fn copy_layers(&self, layers: &[String], network: &Parameters) -> Result<(), Vec<String>> {
        let copied = layers
            .iter()
            .filter_map(|layer| fit::copy(layer, &self.tensors, network).err());
        let differences: Vec<String> = copied.flatten().map(|line| line.to_string()).collect();
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences)
        }
    }

    /// The same for `head.*`.
    ///
    /// # Errors
    /// All that is missing, unexpected or of another shape; then nothing was changed.
    pub fn copy_head(&self, network: &Parameters) -> Result<(), Vec<Difference>> {
        fit::copy("head.", &self.tensors, network)
    }

    /// Holds the weights against a backbone: this one, or the one that they look like. Draws from the global random state.
    ///
    /// # Errors
    /// The table of all that is missing, unexpected or of another shape.
    pub fn check_backbone(&self, arch: Option<Arch>) -> Result<Arch, PretrainedError> {
        let mut config = self.backbone()?;
        config.arch = arch.unwrap_or(config.arch);
        self.network(&config, &Machine::cpu())?;
        Ok(config.arch)
    }

    /// A backbone with these weights; its tensors live as long as the parameters. Draws from the global random state.
    ///
    /// # Errors
    /// The table of all that is missing, unexpected or of another shape.
    pub fn network(
        &self,
        config: &BackboneConfig,
        machine: &Machine,
    ) -> Result<(Backbone, Parameters), PretrainedError> {
        let mut parameters = Parameters::new();
        let backbone = Backbone::new(config, &mut parameters.scope(machine).child("backbone"));
        self.copy_backbone(&parameters)?;
        Ok((backbone, parameters))
    }

    /// Writes backbone and head as a safetensors file that [`load`] reads, unless there is a file already.
    ///
    /// # Errors
    /// When there is a file that is not to be replaced, or writing fails.
    pub fn write(&self, path: &Path, replace: bool) -> Result<(), PretrainedError> {
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        written::write(path, &tensors.collect::<Vec<_>>(), &self.about, replace)
    }

    /// Writes the backbone alone, under the names of a layout, and returns the number of tensors.
    ///
    /// # Errors
    /// When there is a file that is not to be replaced, or writing fails.
    pub fn write_backbone(
        &self,
        layout: Layout,
        path: &Path,
        replace: bool,
    ) -> Result<usize, PretrainedError> {
        let named = |(name, tensor): (&String, &Tensor)| {
            let name = layout.rename(name.strip_prefix("backbone.")?);
            Some((name, tensor.shallow_clone()))
        };
        let tensors: Vec<_> = self.tensors.iter().filter_map(named).collect();
        written::write(path, &tensors, &self.about, replace)?;
        Ok(tensors.len())
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::checkpoint::{self, Position, State};

    fn ones(names: &[&str]) -> Vec<(String, Tensor)> {
        let one = || Tensor::ones([2], (Kind::Double, Device::Cpu));
        let named = names.iter().map(|name| ((*name).to_owned(), one()));
        named.collect()
    }

    fn save(run: &Path, step: u64, names: &[&str]) -> PathBuf {
        let settings = [
            ("MODEL.BACKBONE_ARCH", "resnet18"),
            ("DATA.MEAN", "[0.5, 0.25, 0.0]"),
            ("DATA.STD", "[0.5, 0.25, 1.0]"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let state = State {
            position: Position {
                step,
                ..Position::default()
            },
            steps_per_epoch: 10,
            probe_classes: None,
            settings: settings.into_iter().collect(),
        };
        checkpoint::save(&run.join("checkpoints"), &state, &ones(names)).unwrap()
    }

    const DINO: [&str; 5] = [
        "student.backbone.conv1.weight",
        "student.head.mlp.0.weight",
        "teacher.backbone.bn1.weight",
        "optimizer.backbone.conv1.weight.momentum",
        "center",
    ];

    #[test]
    fn a_run_gives_the_network_asked_for_from_its_latest_checkpoint() {
        let run = tempfile::tempdir().unwrap();
        save(run.path(), 1, &["student.backbone.features.0.0.weight"]);
        let latest = save(run.path(), 2, &DINO);
        for path in [run.path(), &run.path().join("checkpoints"), &latest] {
            let student = load(path, Which::Student).unwrap();
            assert_eq!(student.path, latest);
            let names: Vec<_> = student.tensors.keys().collect();
            assert_eq!(names, ["backbone.conv1.weight", "head.mlp.0.weight"]);
            assert_eq!(student.tensors["backbone.conv1.weight"].kind(), Kind::Float);
            assert_eq!(student.about.get("step"), Some("2"));
            assert_eq!(student.about.which(), Some(Which::Student));
            let normalization = student.about.normalization().unwrap();
            assert_eq!(normalization.mean, [0.5, 0.25, 0.0]);
            let notes = student.notes.join("\n");
            assert!(notes.contains("left out teacher.*: another"), "{notes}");
            assert!(notes.contains("left out center: the centre"), "{notes}");
        }
        let teacher = load(&latest, Which::Teacher).unwrap();
        assert!(teacher.tensors.contains_key("backbone.bn1.weight"));
    }

    #[test]
    fn a_file_of_one_network_gives_it_and_is_no_teacher() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("any.name");
        Tensor::write_safetensors(&ones(&["conv1.weight", "fc.weight"]), &file).unwrap();
        let found = load(&file, Which::Student).unwrap();
        assert!(found.tensors.contains_key("backbone.conv1.weight"));
        assert_eq!(found.notes, ["left out fc.*: a classifier"]);
        let teacher = load(&file, Which::Teacher).unwrap_err().to_string();
        assert!(teacher.contains("it holds no teacher"), "{teacher}");
    }

    #[test]
    fn what_holds_no_backbone_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let (none, text, other) = (
            dir.path().join("a"),
            dir.path().join("b"),
            dir.path().join("c"),
        );
        std::fs::write(&text, "hello").unwrap();
        Tensor::write_safetensors(&ones(&["encoder.weight", "lstm.weight"]), &other).unwrap();
        for (path, what) in [
            (dir.path(), "holds no checkpoint"),
            (&none, "No such file"),
            (&text, "HeaderTooSmall"),
            (&other, "no tensor has a name of a backbone"),
        ] {
            let error = load(path, Which::Student).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
        }
    }
}
