//! In what a manifest contradicts itself, or the naming of files. Pure; opens no file.

use std::collections::HashSet;

use super::schema::{Manifest, ShardManifest, SplitManifest};
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
        let mut files = HashSet::new();
        let shards = self.splits.values().flat_map(|split| &split.shards);
        for file in shards.flat_map(|shard| [&shard.file, &shard.index_file]) {
            if !files.insert(file) {
                problems.push(format!("`{file}` is listed twice"));
            }
        }
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
        for (number, shard) in self.shards.iter().enumerate() {
            if !shard.has_plain_names() {
                problems.push(format!(
                    "shard {number} of `{split}` is called `{}` and its index `{}`",
                    shard.file, shard.index_file
                ));
            }
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
    /// Whether both names lead to no other folder, and the index is named after the shard.
    pub fn has_plain_names(&self) -> bool {
        name::is_plain_file(&self.file) && self.index_file == name::index_file(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_refused, manifest, parse};

    #[test]
    fn counts_that_do_not_add_up_are_refused() {
        let mut lying = manifest();
        lying.splits.get_mut("train").expect("train").num_samples = 4;
        assert_refused(&lying);
    }

    #[test]
    fn a_shard_outside_of_the_folder_is_refused() {
        let mut lying = manifest();
        lying.splits.get_mut("train").expect("train").shards[0].file = "../../etc/passwd".into();
        assert_refused(&lying);
    }

    #[test]
    fn a_shard_may_have_any_plain_name_with_its_index_beside_it() {
        let named = |file: &str, index_file: &str| {
            let mut manifest = manifest();
            let shard = &mut manifest.splits.get_mut("train").expect("train").shards[0];
            (shard.file, shard.index_file) = (file.into(), index_file.into());
            parse(&manifest)
        };
        assert!(named("imagenet 0.v2.tar", "imagenet 0.v2.idx").is_ok());
        assert!(named("shard", "shard.idx").is_ok());
        let wrong = [
            ("a.tar", "b.idx"),
            ("../a.tar", "../a.idx"),
            ("a/b.tar", "a/b.idx"),
            (".a.tar", ".a.idx"),
            ("", ".idx"),
            ("manifest.json", "manifest.json.idx"),
        ];
        for (file, index_file) in wrong {
            assert!(named(file, index_file).is_err(), "{file}");
        }
    }

    #[test]
    fn a_file_listed_twice_is_refused() {
        let mut lying = manifest();
        let val = lying.splits["train"].clone();
        lying.splits.insert("val".into(), val);
        assert_refused(&lying);
    }

    #[test]
    fn a_class_listed_twice_is_refused() {
        let mut lying = manifest();
        lying.classes.push("cat".into());
        assert_refused(&lying);
    }
}
