//! One split of one or several packed sets: samples numbered through, set by set, and classes of one name are one class.

use std::collections::HashMap;

use shard_format::{FormatError, Sample, ShardSet};

/// A split as streams see it. Shared freely between threads.
#[derive(Debug)]
pub struct Samples {
    split: String,
    parts: Vec<Part>,
    classes: Vec<String>,
    num_samples: u64,
}

/// The split of one set.
#[derive(Debug)]
struct Part {
    set: ShardSet,
    /// Id of its first sample.
    first: u64,
    /// Labels here by labels there.
    labels: Vec<u32>,
}

impl Samples {
    /// The split of these sets, of which there is at least one, in their order. Classes come in the order of the first set, then those that only later
    /// ones have.
    pub fn of(sets: Vec<ShardSet>) -> Samples {
        let mut by_name: HashMap<String, u32> = HashMap::new();
        let mut samples = Samples {
            split: sets[0].split().to_owned(),
            parts: Vec::new(),
            classes: Vec::new(),
            num_samples: 0,
        };
        for set in sets {
            let label = |name: &String| {
                *by_name.entry(name.clone()).or_insert_with(|| {
                    samples.classes.push(name.clone());
                    samples.classes.len() as u32 - 1
                })
            };
            let labels = set.classes().iter().map(label).collect();
            let first = samples.num_samples;
            samples.num_samples += set.num_samples();
            samples.parts.push(Part { set, first, labels });
        }
        samples
    }

    /// Name of the split.
    pub fn split(&self) -> &str {
        &self.split
    }

    /// How many there are; they are numbered from 0.
    pub fn num_samples(&self) -> u64 {
        self.num_samples
    }

    /// Whether the manifests say that every sample has a label.
    pub fn is_all_labelled(&self) -> bool {
        let stated = self.sets().map(|set| &set.manifest().splits[set.split()]);
        stated.map(|split| split.num_unlabelled).sum::<u64>() == 0
    }

    /// Class names; a label is a position in this list.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The sets that it is made of.
    pub fn sets(&self) -> impl Iterator<Item = &ShardSet> {
        self.parts.iter().map(|part| &part.set)
    }

    /// Sample `id`, whose label is a position in [`Samples::classes`].
    ///
    /// # Errors
    /// If there is no such sample, or an index is damaged.
    pub fn sample(&self, id: u64) -> Result<Sample<'_>, FormatError> {
        let after = self.parts.partition_point(|part| part.first <= id);
        let part = &self.parts[after - 1];
        let mut sample = part.set.sample(id - part.first)?;
        sample.label = sample.label.map(|label| part.labels[label as usize]);
        Ok(sample)
    }

    /// All of them in order.
    pub fn samples(&self) -> impl Iterator<Item = Result<Sample<'_>, FormatError>> {
        (0..self.num_samples).map(|id| self.sample(id))
    }
}
