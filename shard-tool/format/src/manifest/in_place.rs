//! What is kept of sets whose shards were there before them: how they were indexed, and when each tar was last written to.
//!
//! Packed sets keep neither, so that the same input gives the same bytes and copies are as good as originals.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::pattern;
use crate::remedy::Remedy;

/// How tars that were there were made a set, and what they were like then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedInPlace {
    /// The tars of each split, as patterns relative to the folder, joined by `::`.
    pub patterns: BTreeMap<String, String>,
    /// The list of classes, absolute or relative to the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<String>,
    /// The field of the `.json` that holds the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_field: Option<String>,
    /// Whether damaged tars were borne.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_damaged: bool,
    /// When each tar was last written to, ns since 1970, by file name.
    #[serde(default)]
    pub modified_ns: BTreeMap<String, i64>,
}

impl IndexedInPlace {
    /// The command that indexes the tars again, now that they lie in `dir`; a POSIX shell takes it as it is.
    pub fn command(&self, dir: &Path) -> String {
        let dir = dir.to_string_lossy();
        // A colon may look like the end of a pattern, or of a scheme; the folder is entered then.
        let (enter, folder) = if dir.contains(':') {
            (format!("cd {} && ", quoted(&dir)), String::new())
        } else {
            (String::new(), format!("{}/", dir.trim_end_matches('/')))
        };
        let mut command = format!("{enter}shard-tool index");
        for (split, patterns) in &self.patterns {
            let place = pattern::escape(&folder);
            let placed: Vec<String> = patterns
                .split("::")
                .map(|pattern| format!("{place}{pattern}"))
                .collect();
            command += &format!(" --split {split}={}", quoted(&placed.join("::")));
        }
        if let Some(classes) = &self.classes {
            let folder = if classes.starts_with('/') {
                ""
            } else {
                &folder
            };
            command += &format!(" --classes {}", quoted(&format!("{folder}{classes}")));
        }
        if let Some(field) = &self.label_field {
            command += &format!(" --label-field={}", quoted(field));
        }
        if self.allow_damaged {
            command += " --allow-damaged";
        }
        command + " --overwrite"
    }

    /// The times of modification of this tar, as noted and as found, ns since 1970, where they differ.
    pub(crate) fn differing_times(&self, file: &str, found: &Metadata) -> Option<(i64, i64)> {
        let times = (*self.modified_ns.get(file)?, modified_ns(found));
        (times.0 != times.1).then_some(times)
    }

    pub(crate) fn remedy(&self, dir: &Path) -> Remedy {
        Remedy::Reindex(self.command(dir).into())
    }
}

/// Time of modification, ns since 1970, as [`IndexedInPlace::modified_ns`] has it.
pub fn modified_ns(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexed() -> IndexedInPlace {
        IndexedInPlace {
            patterns: [
                ("train".to_owned(), "a-{0..9}.tar::b.tar".to_owned()),
                ("val".to_owned(), "v.tar".to_owned()),
            ]
            .into(),
            ..Default::default()
        }
    }

    #[test]
    fn the_command_names_every_split_in_the_folder_of_now() {
        assert_eq!(
            indexed().command(Path::new("/data/set/")),
            "shard-tool index --split train='/data/set/a-{0..9}.tar::/data/set/b.tar' --split val='/data/set/v.tar' --overwrite"
        );
    }

    #[test]
    fn the_command_has_every_option_that_decides_what_is_indexed() {
        let indexed = IndexedInPlace {
            classes: Some("names.txt".to_owned()),
            label_field: Some("it's".to_owned()),
            allow_damaged: true,
            ..indexed()
        };
        assert!(indexed.command(Path::new("set")).ends_with(
            r"--split val='set/v.tar' --classes 'set/names.txt' --label-field='it'\''s' --allow-damaged --overwrite"
        ));
        let elsewhere = IndexedInPlace {
            classes: Some("/lists/names.txt".to_owned()),
            ..indexed
        };
        assert!(
            elsewhere
                .command(Path::new("set"))
                .contains("--classes '/lists/names.txt'")
        );
    }

    #[test]
    fn a_folder_with_braces_is_escaped_and_one_with_a_colon_is_entered() {
        let command = |dir: &str| indexed().command(Path::new(dir));
        assert!(command("a{1,2}").contains(r"val='a\{1\,2\}/v.tar'"));
        let entered = command("a::b");
        assert!(
            entered
                .starts_with("cd 'a::b' && shard-tool index --split train='a-{0..9}.tar::b.tar'")
        );
    }
}
