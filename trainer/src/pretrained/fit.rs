//! Copying weights into a network whose names and shapes have to be theirs, every one.

use std::collections::BTreeMap;

use tch::{Tensor, no_grad};

use crate::differences::{self, Difference};
use crate::model::parameters::{Entry, Parameters};

/// Copies all that is called `<part>*`, or says how the two differ.
pub(super) fn copy(
    part: &str,
    weights: &BTreeMap<String, Tensor>,
    network: &Parameters,
) -> Result<(), Vec<Difference>> {
    let entries = network.entries().iter();
    let of_part = |name: &str| name.starts_with(part);
    let targets: Vec<&Entry> = entries.filter(|entry| of_part(&entry.name)).collect();
    let wanted = targets.iter().map(|entry| (&entry.name, &entry.tensor));
    let found = weights.iter().filter(|(name, _)| of_part(name));
    let differences = differences::between(wanted, found);
    if !differences.is_empty() {
        return Err(differences);
    }
    no_grad(|| {
        for entry in targets {
            entry.tensor.shallow_clone().copy_(&weights[&entry.name]);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::machine::Machine;

    fn network() -> Parameters {
        let mut parameters = Parameters::new();
        let machine = Machine::cpu();
        let mut scope = parameters.scope(&machine);
        for (name, length) in [("backbone.a", 2), ("backbone.b", 3), ("head.c", 4)] {
            let zeros = Tensor::zeros([length], (Kind::Float, Device::Cpu));
            let _ = scope.trainable(name, zeros);
        }
        parameters
    }

    fn weights(of: &[(&str, i64)]) -> BTreeMap<String, Tensor> {
        let ones = |length| Tensor::ones([length], (Kind::Float, Device::Cpu));
        let named = of
            .iter()
            .map(|(name, length)| ((*name).to_owned(), ones(*length)));
        named.collect()
    }

    #[test]
    fn what_fits_is_copied_and_the_head_is_left_alone() {
        let network = network();
        let weights = weights(&[("backbone.a", 2), ("backbone.b", 3), ("head.x", 1)]);
        copy("backbone.", &weights, &network).unwrap();
        let sum = |name: &str| {
            network
                .get(name)
                .unwrap()
                .sum(Kind::Float)
                .double_value(&[])
        };
        assert_eq!((sum("backbone.b"), sum("head.c")), (3.0, 0.0));
    }

    #[test]
    fn every_difference_is_listed_and_nothing_is_copied() {
        let network = network();
        let weights = weights(&[("backbone.a", 5), ("backbone.x", 1)]);
        let found = copy("backbone.", &weights, &network).unwrap_err();
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "backbone.a has shape [5] instead of [2]",
                "backbone.b [3] is missing",
                "backbone.x is not expected"
            ]
        );
        let first = network.get("backbone.a").unwrap();
        assert_eq!(first.sum(Kind::Float).double_value(&[]), 0.0);
    }
}
