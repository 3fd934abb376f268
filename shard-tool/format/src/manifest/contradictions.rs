//! In what a manifest contradicts itself, or the naming of files. Pure; opens no file.

use super::{Manifest, ShardManifest, SplitManifest};
use crate::name;

impl Manifest {
    /// Everything in which the manifest contradicts itself or the naming of files.
    pub fn contradictions(&self) -> Vec<String> {
        let mut classes: Vec<&String> = self.classes.iter().collect();
        classes.sort();
        let twice = classes.windows(2).filter(|pair| pair[0] == pair[1]);
        let mut problems: Vec<String> = twice
            .map(|pair| format!("class `{}` is listed twice", pair[0]))
            .collect();
        for (name, split) in &self.splits {
            split.add_contradictions(name, &mut problems);
        }
        problems
    }
}

impl SplitManifest {
    fn add_contradictions(&self, split: &str, problems: &mut Vec<String>) {
        if !name::is_split_name(split) {
            problems.push(format!("`{split}` is not a name for a split"));
        }
        let mut last = None;
        for (position, shard) in self.shards.iter().enumerate() {
            let number = shard.number_in(split);
            if number.is_none() || number <= last {
                let file = &shard.file;
                problems.push(format!("shard {position} of `{split}` is called `{file}`"));
            }
            last = number.or(last);
        }
        let sum = |field: fn(&ShardManifest) -> u64| {
            self.shards
                .iter()
                .try_fold(0u64, |sum, shard| sum.checked_add(field(shard)))
        };
        if sum(|shard| shard.num_samples) != Some(self.num_samples) {
            problems.push(format!(
                "the shards of `{split}` do not sum to its number of samples"
            ));
        }
        if sum(|shard| shard.num_bytes) != Some(self.num_bytes) {
            problems.push(format!("the shards of `{split}` do not sum to its size"));
        }
    }
}

impl ShardManifest {
    /// The number in the file name, if shard and index are named as files of `split` are; such names
    /// lead to no other folder.
    pub fn number_in(&self, split: &str) -> Option<usize> {
        let number = name::shard_number(&self.file, split)?;
        (self.index_file == name::index_file(&self.file)).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{manifest, parse};
    use crate::FormatError;

    #[test]
    fn counts_that_do_not_add_up_are_refused() {
        let mut lying = manifest();
        lying.splits.get_mut("train").expect("train").num_samples = 4;
        assert!(matches!(
            parse(&lying),
            Err(FormatError::ManifestInvalid { .. })
        ));
    }

    #[test]
    fn a_shard_outside_of_the_folder_is_refused() {
        let mut lying = manifest();
        lying.splits.get_mut("train").expect("train").shards[0].file = "../../etc/passwd".into();
        assert!(matches!(
            parse(&lying),
            Err(FormatError::ManifestInvalid { .. })
        ));
    }

    #[test]
    fn a_number_may_be_left_out_but_not_go_back() {
        let mut manifest = manifest();
        let train = manifest.splits.get_mut("train").expect("train");
        train.shards[0].file = "train-000002.tar".into();
        train.shards[0].index_file = "train-000002.idx".into();
        assert_eq!(manifest.contradictions(), [""; 0]);
        let train = manifest.splits.get_mut("train").expect("train");
        train.shards.push(train.shards[0].clone());
        (train.num_samples, train.num_bytes) = (6, 20_480);
        assert_eq!(
            manifest.contradictions(),
            ["shard 1 of `train` is called `train-000002.tar`"]
        );
    }

    #[test]
    fn a_class_listed_twice_is_refused() {
        let mut lying = manifest();
        lying.classes.push("cat".into());
        assert!(matches!(
            parse(&lying),
            Err(FormatError::ManifestInvalid { .. })
        ));
    }
}
