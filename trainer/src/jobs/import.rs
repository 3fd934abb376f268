//! `trainer import`: weights that others saved, as a file that every job here takes.

use std::fmt::Write;

use super::result;
use crate::cli::ImportArgs;
use crate::failure::Failure;
use crate::pretrained::{self, Pretrained};

/// Writes backbone and head of one network, and says what became of every tensor.
///
/// # Errors
/// When the file cannot be read, holds less or more than a whole backbone, or the result cannot be written.
pub(super) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let mut weights = pretrained::load(&args.file, args.which)?;
    let arch = weights.check_backbone(args.arch)?;
    weights.about.set("arch", arch.name());
    weights.write(&args.to, args.overwrite)?;
    result::print(&format!(
        "{}imported {} tensors of {} to {}\n",
        report(&weights),
        weights.tensors.len(),
        arch.name(),
        args.to.display()
    ))
}

/// A line for each tensor that was taken, with what the file calls it, and for each group that was not.
fn report(weights: &Pretrained) -> String {
    let mut report = String::new();
    for (name, tensor) in &weights.tensors {
        let called = &weights.called[name];
        let from = if called == name {
            String::new()
        } else {
            format!(" from {called}")
        };
        let _ = writeln!(report, "took {name} {:?}{from}", tensor.size());
    }
    for note in &weights.notes {
        report += note;
        report.push('\n');
    }
    report
}
