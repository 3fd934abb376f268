//! `trainer export`: the backbone of a checkpoint, for other programs.

use super::result;
use crate::cli::ExportArgs;
use crate::failure::Failure;
use crate::model::backbone::Arch;
use crate::pretrained::{self, layout::Layout};

/// Writes it and says how it is loaded.
///
/// # Errors
/// When there is no such network, it has no names in that layout, or the file cannot be written.
pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let mut weights = pretrained::load(&args.checkpoint, args.which)?;
    let arch = weights.check_backbone(None)?;
    let layout = args.layout.unwrap_or(Layout::own(arch));
    if !layout.knows(arch) {
        return Err(Failure::Usage(format!(
            "{} has no names for {}; {}; leave the layout out for {}'s",
            layout.name(),
            arch.name(),
            weights.path.display(),
            Layout::own(arch).name()
        )));
    }
    weights.about.set("format", "pt");
    weights.about.set("layout", layout.name());
    let num = weights.write_backbone(layout, &args.to, args.overwrite)?;
    result::print(&format!(
        "exported {num} tensors of {} from {} to {}\n{}\n",
        arch.name(),
        weights.path.display(),
        args.to.display(),
        how_to_load(layout, arch)
    ))
}

/// What to type in Python.
fn how_to_load(layout: Layout, arch: Arch) -> String {
    let (model, head) = match (layout, arch) {
        (Layout::Detectron2, _) => {
            return "detectron2 reads it as a .pkl: configs/README.md has the lines".to_owned();
        }
        (Layout::Timm, _) => {
            let name = arch.name();
            return format!(
                "load it: timm.create_model('{name}_patch16_224', num_classes=0), then load_state_dict(load_file(..))"
            );
        }
        (_, Arch::MobilenetV2) => ("mobilenet_v2", "classifier"),
        _ => (arch.name(), "fc"),
    };
    format!(
        "load it: model = torchvision.models.{model}(); model.{head} = torch.nn.Identity(); model.load_state_dict(load_file(..))"
    )
}
